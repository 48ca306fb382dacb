"""`ours-emulator exec`: a command with an emulator of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import forking
from nested import FEW_PLUGINS
from serving import serving

COMMAND = Path(sys.executable).with_name("ours-emulator")
SEND_BY_SDK = """
import sys
from ours_privacy import OursPrivacy
with OursPrivacy() as client:
    client.track.event(token="t", event="Paid", user_id="u")
    client.track.event(token="t", event="Paid", user_id="u", extra_body={"properties": {}})
sys.exit(3)
"""
SENDING = """
import http.client, json, os, sys
url = os.environ["OURS_PRIVACY_BASE_URL"].removeprefix("http://")
connection = http.client.HTTPConnection(url.partition("/")[0])

def send(**fields):
    body = json.dumps({"token": "t", "event": "Paid", "userId": "u", **fields})
    connection.request("POST", "/api/v1/track", body, {"Content-Type": "application/json"})
    connection.getresponse().read()
"""
SEND = f"""{SENDING}
send()
send(properties={{}})
sys.exit(3)
"""
CLOSE_AND_RESET = """
import json
import os
import urllib.request
import pytest
from ours_emulator.emulator import Emulator

def send(event, url=None):
    body = json.dumps({"token": "t", "event": event, "userId": "u"}).encode()
    url = (url or os.environ["OURS_PRIVACY_BASE_URL"]) + "/track"
    urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"})).close()

@pytest.mark.parametrize("events", [["Paid"], ["Paid", "Other"], []])
def test_closed(ours_emulator, events):
    for event in events:
        send(event)

def test_reset(ours_emulator):
    shared = Emulator(ours_emulator.server_url).open_account("shared")
    send("Paid", shared.ingest_url)
    shared.reset()
    send("Paid", shared.ingest_url)
"""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **FEW_PLUGINS, **environment}
    return forking.run(["exec", *arguments], Path.cwd(), env)


def test_the_command_talks_to_the_emulator_and_its_exit_code_is_returned() -> None:
    command = [str(COMMAND), "exec", "--", sys.executable, "-c", SEND_BY_SDK]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert done.returncode == 3
    assert done.stdout == ""
    _, _, first, second = done.stderr.splitlines()
    assert first == "ours-emulator: 2 requests, 2 events accepted, 1 hint"
    assert "properties: dropped; did you mean eventProperties? [unknown-keys]" in second


def test_what_was_closed_or_reset_meanwhile_is_counted_too(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(CLOSE_AND_RESET)
    done = run("--allowed-events", "Paid", sys.executable, "-m", "pytest", "-q", str(tmp_path))
    assert done.returncode == 0, done.stdout
    _, _, first, *problems = done.stderr.splitlines()
    assert first == "ours-emulator: 5 requests, 4 events accepted, 1 dropped, 1 hint"
    assert [line.split()[1:3] for line in problems] == [["'Other'", "dropped:"]]


def test_what_is_no_longer_kept_is_counted_too() -> None:
    done = run("--keep", "1", sys.executable, "-c", SEND)
    assert done.stderr.splitlines()[2] == "ours-emulator: 2 requests, 2 events accepted, 1 hint"


def test_only_the_first_problems_are_listed() -> None:
    script = f"{SENDING}\nfor number in range(25): send(properties={{}})"
    _, _, first, *problems, more = run(sys.executable, "-c", script).stderr.splitlines()
    assert first == "ours-emulator: 25 requests, 25 events accepted, 25 hints"
    assert len(problems) == 20
    assert more == "  and 5 more"


def test_a_command_that_sends_nothing_is_told_what_to_check() -> None:
    _, _, first, advice = run("true").stderr.splitlines()
    assert first == "ours-emulator: 0 requests, 0 events accepted"
    assert "OURS_PRIVACY_BASE_URL (it was http://127.0.0.1:" in advice


def test_the_summary_begins_on_a_line_of_its_own() -> None:
    _, *lines = run("sh", "-c", "printf unfinished >&2").stderr.splitlines()
    assert lines[:2] == ["unfinished", "ours-emulator: 0 requests, 0 events accepted"]


def test_the_address_of_the_page_is_told_first() -> None:
    done = run(sys.executable, "-c", "import os; print(os.environ['OURS_EMULATOR_URL'])")
    assert done.stderr.splitlines()[0] == f"ours-emulator: {done.stdout.strip()}/ shows what arrives"


def test_every_variable_is_in_the_help() -> None:
    described = run("--help").stdout
    variables = run("--admin-token", "secret", "env", http_proxy="http://127.0.0.1:9").stdout
    names = (
        {line.partition("=")[0] for line in variables.splitlines()}
        - os.environ.keys()
        - FEW_PLUGINS.keys()
        - {"http_proxy"}
    )
    assert {"OURS_EMULATOR_ADMIN_TOKEN", "OURS_EMULATOR_CLIENT_URL", "no_proxy"} <= names
    assert [name for name in names if name not in described] == []


def test_what_a_seed_brings_back_with_each_reset_is_not_counted(tmp_path: Path) -> None:
    with serving() as server:
        server.default.track(event="Paid", userId="u")
        (tmp_path / "seed.jsonl").write_text(server.http.get(f"{server.url}/debug/export").text)
    command = f"{COMMAND} reset && {COMMAND} reset"
    done = run("--seed", str(tmp_path / "seed.jsonl"), "sh", "-c", command)
    assert done.stderr.splitlines()[2] == "ours-emulator: 0 requests, 0 events accepted; 2 requests replayed"


def test_the_variables_are_exported_whatever_the_shell_has() -> None:
    done = run("env", OURS_PRIVACY_BASE_URL="http://elsewhere.test", OURS_EMULATOR_PORT="4010")
    variables = {name: value for name, _, value in (line.partition("=") for line in done.stdout.splitlines())}
    url = variables["OURS_EMULATOR_URL"]
    assert variables["OURS_PRIVACY_BASE_URL"] == f"{url}/api/v1"
    assert variables["OURS_EMULATOR_CLIENT_URL"] == f"{url}/api/client"
    assert variables["OURS_EMULATOR_TOKEN"]
    assert variables["OURS_EMULATOR_PUBLIC_KEY"].startswith("pk_")
    assert not url.endswith(":4010")


def test_flags_before_the_command_are_settings_and_those_behind_it_are_its_own() -> None:
    done = run("--allowed-events", "Other", sys.executable, "-c", SEND, "--keep", "0")
    assert "2 requests, 0 events accepted, 2 dropped" in done.stderr
    assert done.returncode == 3


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        (["no-such-command"], 127, "no-such-command cannot be run: No such file or directory"),
        (["/"], 126, "/ cannot be run: Permission denied"),
        ([], 2, "Missing argument"),
        (["--keep", "0", "true"], 2, "--keep: "),
    ],
)
def test_what_cannot_be_run_is_one_line(command: list[str], code: int, told: str) -> None:
    done = run(*command)
    assert (done.returncode, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("ours-emulator: ")
    assert told in line


def test_a_command_that_a_signal_killed_has_the_exit_code_of_shells() -> None:
    assert run("sh", "-c", "kill -9 $$").returncode == 128 + 9


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_are_passed_on(number: int) -> None:
    name = signal.Signals(number).name.removeprefix("SIG")
    script = f"trap 'echo caught; exit 5' {name}; echo ready; while true; do sleep 0.05; done"
    command = [str(COMMAND), "exec", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout
        assert running.stdout.readline() == "ready\n"
        running.send_signal(number)
        output, _ = running.communicate(timeout=50)
    assert output == "caught\n"
    assert running.returncode == 5


def test_tests_below_it_use_its_emulator(tmp_path: Path) -> None:
    test = "import os\ndef test_it(ours_emulator): assert ours_emulator.server_url == os.environ['OURS_EMULATOR_URL']"
    (tmp_path / "test_it.py").write_text(test)
    done = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path))
    assert done.returncode == 0, done.stdout


def test_the_port_is_reported_in_a_file_before_the_command_runs(tmp_path: Path) -> None:
    file = tmp_path / "port"
    done = run("--port-file", str(file), "sh", "-c", f'echo "$OURS_EMULATOR_URL $(cat {file})"')
    url, port = done.stdout.split()
    assert url.endswith(f":{port}")


def test_a_flag_that_is_none_of_its_own_is_not_taken_for_the_command() -> None:
    done = run("--porrt", "4", "--", "true")
    assert (done.returncode, done.stderr) == (2, "ours-emulator: unknown option --porrt; did you mean --port?\n")
