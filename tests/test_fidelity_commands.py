"""`compare` and `drift` as a user types them."""

import json
import pty
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from comparing import CREDENTIALS, KEY, LIVE_TOKEN, answering, hang, http
from looping import case
from ours_emulator.cli.main import commands
from ours_emulator.cli.target import NotMetError
from ours_emulator.contract.revision import revision
from serving import Account, Server
from waiting import PATIENCE

TOKEN = CREDENTIALS.token
COMPARE = ("compare", "--token", TOKEN, "--yes", "--rate", "10000")
SOMEWHERE = "http://127.0.0.1:1"


def run(*words: str) -> int:
    """Run a command in this process and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        commands.main([*words], standalone_mode=False)
    return int(str(ended.value.code))


def refusal(*words: str) -> str:
    """Return why a command cannot be run, in one line."""
    with pytest.raises(click.ClickException) as refused:
        commands.main([*words], standalone_mode=False)
    message = refused.value.format_message()
    assert refused.value.exit_code != 0
    assert TOKEN not in message
    return message


@pytest.fixture
def strict(account: Account) -> Account:
    """An account that accepts one token and one key."""
    account.configure(tokens=[LIVE_TOKEN], public_keys=[KEY])
    return account


def exported(account: Account, path: Path, *paths: str) -> str:
    """Export an account that was sent an event with another token, and return the file."""
    account.track(userId="u", token="live_secret_1", time=0)
    for called in paths:
        account.post(called, {"external_id": "x"}, {"authorization": "Bearer pk_secret_2"})
    path.write_bytes(account.http.get(f"{account.url}/debug/export").content)
    return str(path)


def test_an_export_is_compared_and_what_is_sent_where_is_said_before(
    server: Server, strict: Account, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = exported(server.account(), tmp_path / "journal.jsonl", "/api/client/identify")
    code = run(*COMPARE, file, "--against", f"{strict.url}/api/v1", "--public-key", KEY, "--allow-live-data")
    shown, said = capsys.readouterr()
    host = strict.url.split("/")[2]
    assert (code, shown.splitlines()[0]) == (
        0,
        f"2 requests to {host}, revision 2026-05: 0 answered differently",
    )
    assert said.startswith(
        f"ours-emulator: about to send 2 requests, 1 of them to the Client API, to {host} with token …3456"
    )
    assert [item["outcome"] for item in strict.events(outcome="any")] == ["accepted", "rejected"]
    assert TOKEN not in shown + said
    assert "secret" not in json.dumps(strict.debug("events", outcome="any"))


def test_the_emulator_has_the_experiments_of_the_export(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiments = {"checkout": {"variants": [{"id": "a"}, {"id": "b"}]}}
    recorded, other = server.account(), server.account()
    for account in (recorded, other):
        account.configure(revision="2026-10", experiments=experiments)
    for visitor in ("ann", "bob", "cy"):
        body = {"token": "t", "visitor_id": visitor}
        assert recorded.post("/experiments/assignments/checkout", body).json()["in_experiment"]
    file = tmp_path / "journal.jsonl"
    file.write_text(recorded.http.get(f"{recorded.url}/debug/export").text)
    assert run(*COMPARE, str(file), "--against", other.url, "--revision", "2026-10") == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("revision 2026-10: 0 answered differently")
    assert other.debug("summary")["requests"] == 3


def test_what_can_not_be_compared_is_one_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("nonsense\n")
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    client = tmp_path / "client.jsonl"
    client.write_text('{"path": "/api/client/identify", "received_at": 0, "body": {"external_id": "x"}}\n')
    against = ("--against", SOMEWHERE)
    cases: Sequence[tuple[tuple[str, ...], str]] = (
        (("compare", "--suite", *against), "--token"),
        (("compare", "--suite", "--token", TOKEN), "--against"),
        ((*COMPARE, *against), "FILE or --suite"),
        ((*COMPARE, *against, str(bad), "--suite"), "FILE or --suite"),
        ((*COMPARE, *against, str(bad)), "bad.jsonl: line 1: not JSON"),
        ((*COMPARE, *against, str(tmp_path / "none")), "cannot be read"),
        ((*COMPARE, *against, str(tmp_path)), "cannot be read"),
        ((*COMPARE, "--suite", "--against", "x.test"), "--against: not a valid URL"),
        (
            (*COMPARE, "--suite", "--against", "https://u:password@x.test:99999/"),
            "--against: not a valid URL: Port out",
        ),
        ((*COMPARE, "--suite", *against, "--token", LIVE_TOKEN), "Test Mode"),
        ((*COMPARE, "--suite", *against, "--token", "test_"), "1 to 250 characters"),
        ((*COMPARE, "--suite", *against, "--token", "test_" + "x" * 250), "1 to 250 characters"),
        ((*COMPARE, "--suite", *against, "--public-key", KEY), "--allow-live-data"),
        ((*COMPARE, "--suite", *against, "--public-key", "x", "--allow-live-data"), "pk_ or sk_"),
        ((*COMPARE, "--suite", *against, "--rate", "0"), "--rate"),
        (("compare", "--suite", *against, "--token", TOKEN), "confirmation needs a terminal; add --yes"),
        ((*COMPARE, *against, str(empty)), "nothing to send: the file has no requests"),
        ((*COMPARE, *against, str(client)), "nothing to send: line 1: the Client API needs --public-key"),
        (("drift", str(tmp_path / "none")), "cannot be read"),
        (("drift", str(bad)), "bad.jsonl: not JSON"),
        (("drift", "http://user:password@127.0.0.1:1/x?key=secret"), "http://127.0.0.1:1/x: "),
        (("drift", "http://127.0.0.1:99999/x"), "http://127.0.0.1:99999/x: not a valid URL: Port out of range"),
        (("drift", "x\0"), "NUL"),
    )
    for words, shown in cases:
        with case(words):
            assert shown in refusal(*words)


def test_drift_ends_with_1_if_anything_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, code in (("2026-05", 0), ("2026-10", 1)):
        file = tmp_path / f"{name}.json"
        file.write_bytes(revision(name).document)
        assert run("drift", str(file)) == code
        assert capsys.readouterr().out.startswith(f"{file} and revision 2026-05: {'146' if code else '0'} difference")
        assert run("drift", str(file), "--revision", name) == 0
        capsys.readouterr()


def test_on_a_terminal_it_asks_first(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ours, theirs = pty.openpty()
    with open(ours, "wb", buffering=0) as keyboard, open(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        keyboard.write(b"n\n")
        with pytest.raises(NotMetError, match="nothing was sent"):
            commands.main(["compare", "--suite", "--against", SOMEWHERE, "--token", TOKEN], standalone_mode=False)
    assert "Send them? [y/N]" in capsys.readouterr().err


def test_ctrl_c_shows_what_was_found_so_far() -> None:
    hanging = threading.Event()

    def once(connection: socket.socket) -> None:
        if answers:
            connection.sendall(answers.pop())
        else:
            hanging.set()
            hang(connection)

    answers = [http("200 OK", b'{"success":true}')]
    words = [sys.executable, "-m", "ours_emulator", *COMPARE, "--suite", "--timeout", "600"]
    with (
        answering(once) as url,
        subprocess.Popen(
            [*words, "--against", url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert hanging.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        shown, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert shown.startswith("2 requests to 127.0.0.1:")
    assert "interrupted; 5" in shown
    assert "Traceback" not in said


def test_what_serves_and_the_fixtures_load_none_of_it() -> None:
    script = (
        "import sys, ours_emulator.cli.main\n"
        "print('asyncio' in sys.modules)\n"
        "import ours_emulator.child_process, ours_emulator.pytest_plugin\n"
        "print([name for name in sys.modules if name.startswith('ours_emulator.fidelity')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout == "False\n[]\n"
