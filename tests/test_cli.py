"""The command line, as a process of its own: what it says, how it fails, how it ends."""

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

import forking
from forking import Forked, forked
from ours_emulator import __version__
from ours_emulator.settings import ENV_PREFIX, Settings, flag
from waiting import NO_TLS, PATIENCE, until

COMMAND = [sys.executable, "-m", "ours_emulator"]
BANNER_END = re.compile(r"Ready\.\n|\{[^\n]* is ready at [^\n]*\n")
"""The end of the banner, for people or for programs."""


@dataclass(frozen=True)
class Running:
    """An emulator in a process of its own."""

    process: Forked | subprocess.Popen[bytes]
    url: str
    directory: Path

    def said(self) -> str:
        return (self.directory / "stdout").read_text("utf-8")

    def complained(self) -> str:
        return (self.directory / "stderr").read_text("utf-8")

    def lines(self, count: int) -> list[str]:
        """Return the lines after the banner, once there are *count*."""
        until(lambda: len(self.after_banner()) >= count)
        return self.after_banner()

    def after_banner(self) -> list[str]:
        return BANNER_END.split(self.said(), maxsplit=1)[1].splitlines()

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def environment(tmp_path: Path, **variables: str) -> dict[str, str]:
    """Return an environment without settings, whose temporary files are below *tmp_path*."""
    (tmp_path / "tmp").mkdir(exist_ok=True)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}
    return {**clean, "TMPDIR": str(tmp_path / "tmp"), **variables}


def started(
    tmp_path: Path, arguments: Sequence[str], command: Sequence[str], variables: Mapping[str, str]
) -> Forked | subprocess.Popen[bytes]:
    """Start *command* with *arguments*, in *tmp_path* with its output; without a command a process is forked."""
    env = environment(tmp_path, **variables)
    with (
        (tmp_path / "stdout").open("wb") as out,
        (tmp_path / "stderr").open("wb") as err,
        Path(os.devnull).open("rb") as nothing,
    ):
        if not command:
            return forked(arguments, tmp_path, env, nothing, out, err)
        return subprocess.Popen([*command, *arguments], stdout=out, stderr=err, stdin=nothing, cwd=tmp_path, env=env)


@contextmanager
def serving(tmp_path: Path, *flags: str, command: Sequence[str] = (), **variables: str) -> Generator[Running]:
    """Run `serve` on a free port until the block ends: in a process that is forked, or by *command*."""
    port_file = tmp_path / "port"
    arguments = ["serve", "--port", "0", "--port-file", str(port_file), *flags]
    process = started(tmp_path, arguments, command, variables)
    try:
        until(lambda: port_file.exists() or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "stderr").read_text()
        content = port_file.read_text()
        assert re.fullmatch(r"[1-9][0-9]*\n", content)
        running = Running(process, f"http://127.0.0.1:{int(content)}", tmp_path)
        until(lambda: BANNER_END.search(running.said()))
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(PATIENCE)


def run(tmp_path: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        env=environment(tmp_path, **variables),
        check=False,
    )


def complaint(tmp_path: Path, *arguments: str, **variables: str) -> str:
    """Return the one line that is said about what cannot be done."""
    done = forking.run(arguments, tmp_path, environment(tmp_path, **variables))
    assert done.returncode == 2, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("ours-emulator: ")
    assert list((tmp_path / "tmp").iterdir()) == []
    return line


def track(running: Running, **fields: object) -> int:
    body = json.dumps({"token": "t", "event": "Purchase", "userId": "user123", **fields})
    response = httpx.post(
        running.url + "/track",
        content=body,
        headers={"content-type": "application/json"},
        trust_env=False,
        verify=NO_TLS,
    )
    return response.status_code


# Starting


def test_the_banner_says_where_it_is_and_how_to_use_it(tmp_path: Path) -> None:
    with serving(tmp_path, command=COMMAND) as running:
        banner = running.said()
        assert banner.endswith("\nReady.\n")
        assert f"\n  export OURS_PRIVACY_BASE_URL={running.url}/api/v1\n" in banner
        assert __version__ in banner
        served = re.findall(r"(GET|POST) +(http\S+)", banner)
        assert {url.removeprefix(running.url) for _, url in served} >= {
            "/api/v1/track",
            "/api/v1/identify",
            "/api/v1/batch",
            "/api/v1/openapi",
            "/debug",
        }
        with httpx.Client(trust_env=False, verify=NO_TLS) as http:
            for method, url in served:
                assert http.request(method, url).status_code not in (404, 405, 500), url
        assert running.complained() == ""


def test_the_port_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        assert httpx.get(running.url + "/debug/health", trust_env=False, verify=NO_TLS).status_code == 200
        assert sorted(path.name for path in tmp_path.iterdir()) == ["port", "stderr", "stdout", "tmp"]


def test_settings_come_from_flags_environment_and_file(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('keep = 1\nmax_row_bytes = 2\nlog_format = "json"\n')
    variables = {"OURS_EMULATOR_CONFIG": "settings.toml", "OURS_EMULATOR_MAX_ROW_BYTES": "3"}
    with serving(
        tmp_path, "--log-format", "none", "--strict-openapi", "--no-require-identifier", **variables
    ) as running:
        settings = httpx.get(running.url + "/debug/settings", trust_env=False, verify=NO_TLS).json()
        assert settings["keep"] == {"value": 1, "origin": "file"}
        assert settings["max_row_bytes"] == {"value": 3, "origin": "environment"}
        assert settings["log_format"] == {"value": "none", "origin": "flag"}
        assert settings["strict_openapi"] == {"value": True, "origin": "flag"}
        assert settings["require_identifier"] == {"value": False, "origin": "flag"}
        assert settings["host"] == {"value": "127.0.0.1", "origin": "default"}


def test_every_setting_has_a_flag_with_its_description_and_default(tmp_path: Path) -> None:
    done = run(tmp_path, "serve", "--help", COLUMNS="500")
    assert (done.returncode, done.stderr) == (0, "")
    text = " ".join(done.stdout.split())
    for name, field in Settings.model_fields.items():
        assert re.search(rf"{flag(name)}\b", text), name
        assert " ".join((field.description or "").split()) in text, name
    for default in ("4010", "127.0.0.1", "100000", "human"):
        assert f"[default: {default}]" in text


def test_the_help_of_exec_shows_its_own_defaults(tmp_path: Path) -> None:
    text = " ".join(run(tmp_path, "exec", "--help", COLUMNS="500").stdout.split())
    assert "--port TEXT Port to listen on; 0 picks a free one. [default: 0]" in text
    assert "human, json or none. [default: none]" in text
    assert "[default: 127.0.0.1]" in text


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_names_the_commands_in_more_than_one_line(tmp_path: Path, arguments: list[str]) -> None:
    done = run(tmp_path, *arguments)
    text = done.stdout or done.stderr
    assert re.search(r"^ *serve  +Run the emulator", text, re.MULTILINE)


def test_the_version_is_reported(tmp_path: Path) -> None:
    done = run(tmp_path, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


# Failing


def test_a_taken_port_is_reported(tmp_path: Path) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(tmp_path, "serve", "--port", str(port))
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"ours-emulator: cannot listen on 127.0.0.1:{port}: ")
        assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["serve", "--port", "many"], "--port"),
        (["serve", "--port", "70000"], "--port"),
        (["serve", "--now", "yesterday"], "--now"),
        (["serve", "--log-format", "xml"], "--log-format"),
        (["serve", "--prot", "1"], "--prot"),
        (["serve", "--port"], "--port"),
        (["serve", "extra"], "extra"),
        (["server"], "server"),
        (["--nonsense"], "--nonsense"),
        (["serve", "--config", "missing.toml"], "missing.toml"),
        (["serve", "--host", "256.256.256.256", "--port", "0"], "256.256.256.256"),
        (["serve", "--host", "a..b", "--port", "0"], "a..b"),
        (["serve", "--host", "x" * 70, "--port", "0"], "x" * 70),
        (["serve", "--port", "0", "--port-file", "missing/port"], "missing/port"),
        (["serve", "--port", "0", "--port-file", "."], "port"),
        (["serve", "--port", "0", "--port-file", "/dev/null/port"], "/dev/null/port cannot be written"),
        (["serve", "--port", "0", "--database", "tmp"], "tmp"),
        (["serve", "--port", "0", "--database", ""], "--database"),
        (["serve", "--port", "0", "--database", "no/x.db"], "no does not exist; create it"),
        (["serve", "--port", "0", "--database", "tmp/\udcff.db"], "--database: must be UTF-8"),
    ],
)
def test_what_can_not_be_done_is_one_line_that_names_it(tmp_path: Path, arguments: list[str], named: str) -> None:
    assert named in complaint(tmp_path, *arguments)


def test_a_bad_variable_is_reported_by_name(tmp_path: Path) -> None:
    assert "OURS_EMULATOR_PORT" in complaint(tmp_path, "serve", OURS_EMULATOR_PORT="many")


def test_a_bad_line_of_the_file_is_reported_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("prot = 1\n")
    line = complaint(tmp_path, "serve", "--config", "bad.toml")
    assert "prot" in line
    assert "bad.toml" in line


def test_a_file_that_is_no_store_is_reported(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database " * 100)
    line = complaint(tmp_path, "serve", "--port", "0", "--database", "notes.txt")
    assert line == (
        f"ours-emulator: {tmp_path / 'notes.txt'} cannot be opened: file is not a database; "
        "restore it from a backup or use a new file"
    )
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE mine (id)")
    assert "other.db" in complaint(tmp_path, "serve", "--port", "0", "--database", "other.db")


def test_a_database_in_use_is_reported(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    database = str(tmp_path / "store.db")
    with serving(tmp_path / "first", "--database", database) as running:
        line = complaint(tmp_path, "serve", "--port", "0", "--database", database)
        assert line == f"ours-emulator: {database} is in use by another emulator; stop that one or use another file"
        assert track(running) == 200


def test_a_path_with_a_nul_character_is_reported(tmp_path: Path) -> None:
    for name in ("database", "port_file", "seed"):
        (tmp_path / "nul.toml").write_text(f'{name} = "store\\u0000.db"\n')
        assert "NUL" in complaint(tmp_path, "serve", "--port", "0", "--config", "nul.toml")


def test_a_file_of_experiments_that_is_not_valid_is_reported_with_the_place(tmp_path: Path) -> None:
    (tmp_path / "experiments.toml").write_text("[checkout]\nvariants = [{id = 5}]\n")
    line = complaint(tmp_path, "serve", "--port", "0", "--experiments", "experiments.toml")
    assert line == "ours-emulator: experiments.toml: checkout.variants.0.id: must be a string"


def test_without_a_directory_for_temporary_files_it_says_what_to_do(tmp_path: Path) -> None:
    # No file may have a byte, as on a root that is read-only; permissions would not stop root.
    script = "import resource, sys; from ours_emulator.cli import main; "
    script += "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); sys.argv = ['ours-emulator', *sys.argv[1:]]; main()"
    for words, said in ((["serve", "--port", "0"], "set TMPDIR"), (["events"], "no emulator answers at")):
        variables = environment(tmp_path, OURS_EMULATOR_PORT="1")
        done = subprocess.run(
            [sys.executable, "-c", script, *words], cwd=tmp_path, env=variables, capture_output=True, text=True
        )
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert said in line


def test_an_ipv6_host_may_be_in_brackets(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "[::1]") as running:
        assert "\n  export OURS_PRIVACY_BASE_URL=http://[::1]:" in running.said()


def test_a_file_of_settings_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "windows.toml").write_text("\ufeffkeep = 7\n", "utf-8")
    with serving(tmp_path, "--config", "windows.toml") as running:
        settings = httpx.get(running.url + "/debug/settings", trust_env=False, verify=NO_TLS).json()
        assert settings["keep"] == {"value": 7, "origin": "file"}


def test_an_unknown_variable_is_reported_with_the_nearest_name(tmp_path: Path) -> None:
    done = run(tmp_path, "--help", OURS_EMULATOR_PROT="1", OURS_EMULATOR_ZZZ="secret")
    assert done.returncode == 0
    assert done.stderr == ""
    done = run(tmp_path, "visitors", "--url", "127.0.0.1:1", OURS_EMULATOR_PROT="1", OURS_EMULATOR_ZZZ="secret")
    first, second, _ = done.stderr.splitlines()
    unknown = "has no effect: unknown variable"
    assert first == f"ours-emulator: OURS_EMULATOR_PROT {unknown}; did you mean OURS_EMULATOR_PORT?"
    assert second == f"ours-emulator: OURS_EMULATOR_ZZZ {unknown}"


def test_variables_that_our_other_programs_or_kubernetes_set_are_known(tmp_path: Path) -> None:
    names = ("URL", "COMMAND", "CLIENT_URL", "TOKEN", "PUBLIC_KEY", "ADMIN_TOKEN", "KEEP", "SERVICE_HOST")
    variables = {f"OURS_EMULATOR_{name}": "1" for name in (*names, "SERVICE_PORT_HTTP", "PORT_4010_TCP_ADDR")}
    done = run(tmp_path, "visitors", "--url", "127.0.0.1:1", **variables)
    assert len(done.stderr.splitlines()) == 1
    assert "no emulator answers" in done.stderr


# Ending


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 0), (signal.SIGHUP, 0), (signal.SIGQUIT, 0)],
)
def test_a_signal_ends_it_and_nothing_is_left(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with serving(tmp_path, command=COMMAND) as running, httpx.Client(trust_env=False, verify=NO_TLS) as http:
        assert track(running) == 200
        assert list((tmp_path / "tmp").glob("*/*store.db")) != []
        # A connection that is kept alive does not hold it up.
        assert http.get(running.url + "/debug/events").json()["total"] == 1
        assert running.end(number) == code
        assert list((tmp_path / "tmp").iterdir()) == []
        assert running.complained() == ""


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    for number in (1, 2):
        directory = tmp_path / str(number)
        directory.mkdir()
        with serving(directory, "--database", str(tmp_path / "store.db")) as running:
            assert track(running, event=f"E{number}") == 200
            events = httpx.get(running.url + "/debug/events", trust_env=False, verify=NO_TLS).json()["items"]
            assert [item["event"] for item in events] == [f"E{n}" for n in range(number, 0, -1)]
            running.end(signal.SIGKILL)


# The log


def test_the_log_for_people_is_one_line_for_each_request(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        track(running)
        httpx.post(
            running.url + "/track",
            content=b'{"token":"t","userId":"u"}',
            headers={"content-type": "application/json"},
            trust_env=False,
            verify=NO_TLS,
        )
        track(running, event="two\nlines \x1b[31m")
        httpx.get(running.url + "/debug/events", trust_env=False, verify=NO_TLS)
        track(running, event="Zoë ✓")
        assert running.lines(4) == [
            "ACCEPTED 200 POST /track #1 Purchase visitor=user123",
            "REJECTED 400 POST /track #2 event: required [schema]",
            "ACCEPTED 200 POST /track #3 two\\nlines \\x1b[31m visitor=user123",
            "ACCEPTED 200 POST /track #4 Zoë ✓ visitor=user123",
        ]


def test_the_log_for_people_has_every_line_on_a_terminal_of_ascii_too(tmp_path: Path) -> None:
    with serving(tmp_path, command=COMMAND, PYTHONIOENCODING="ascii") as running:
        assert track(running, event="Zoë") == 200
        assert track(running, event="last") == 200
        until(lambda: "last" in running.said())
        assert len(running.after_banner()) == 2


def test_the_log_for_programs_is_one_object_for_each_request(tmp_path: Path) -> None:
    with serving(tmp_path, "--log-format", "json") as running:
        track(running, event="two\nlines")
        track(running, userId=5)
        first, second = [json.loads(line) for line in running.lines(2)]
        assert (first["outcome"], first["event"], first["visitor_id"]) == ("accepted", "two\nlines", "user123")
        assert (second["outcome"], second["status"], second["reasons"]) == ("rejected", 400, ["schema /userId"])
        assert [first["request_id"], second["request_id"]] == [1, 2]


def test_without_a_log_nothing_follows_the_banner(tmp_path: Path) -> None:
    with serving(tmp_path, "--log-format", "none") as running:
        track(running)
        track(running, userId=5)
        running.end(signal.SIGTERM)
        assert running.after_banner() == []
        assert running.complained() == ""


def test_a_request_that_could_not_be_stored_has_its_line_too(tmp_path: Path) -> None:
    with serving(tmp_path, "--database", "store.db", "--log-format", "json") as running:
        with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
            connection.execute("CREATE TRIGGER boom BEFORE INSERT ON receipts BEGIN SELECT RAISE(ABORT, 'boom'); END")
            assert track(running) == 500
            connection.execute("DROP TRIGGER boom")
        assert track(running) == 200
        until(lambda: '"status":200' in running.said())
        assert [json.loads(line)["status"] for line in running.after_banner()] == [500, 200]


@pytest.mark.parametrize("form", ["human", "json"])
def test_no_secret_is_ever_logged_and_no_control_character(tmp_path: Path, form: str) -> None:
    token, key, admin, other = "token-5ba8cf1e7d", "pk_5c4d9e2a77", "admin-9d3f1c5b", "sk_unknown-0d61"
    flags = ("--tokens", token, "--public-keys", key, "--admin-token", admin, "--log-format", form)
    with (
        serving(tmp_path, *flags) as running,
        httpx.Client(base_url=running.url, trust_env=False, verify=NO_TLS) as http,
    ):
        sent = 0
        for secret in (token, f"test_{token}", key, admin, other):
            headers = {"authorization": f"Bearer {secret}", "x-api-key": secret}
            nasty = f"{secret}\x1b[2J\r\n\u202e"
            for path, body in (
                ("/track", {"token": secret, "event": nasty, "userId": nasty, secret: 1}),
                ("/track", {"token": token, "event": nasty, "userId": nasty, secret: 1, "time": secret}),
                ("/identify", {"token": secret, "userId": nasty}),
                ("/batch", {"token": secret, "events": [{"event": "E", "token": secret, secret: 1}]}),
                ("/api/client/events", [{"external_id": nasty, "name": nasty, secret: 1}]),
                ("/api/client/alias", {"external_id": nasty, "anonymous_id": nasty}),
                (f"/api/v1/track/{secret}", {}),
                (f"/track?token={secret}", {}),
            ):
                http.post(path, json=body, headers=headers)
                sent += 1
            assert http.get("/debug/events", headers=headers, params={"sought": secret}).status_code in (400, 401)
            http.get(f"/debug/{secret}", headers={"host": f"{secret}.example"})
        lines = running.lines(sent)
        log = "\n".join(lines) + running.complained()
    for secret in (token, key, admin, other):
        assert secret not in log
    assert all(line.isprintable() for line in lines)


def test_the_tokens_of_an_account_are_not_logged_either(tmp_path: Path) -> None:
    with serving(tmp_path) as running, httpx.Client(base_url=running.url, trust_env=False, verify=NO_TLS) as http:
        token = "account-token-8d21c"
        assert http.put("/debug/accounts/a", json={"tokens": [token]}).status_code == 200
        http.post(f"/accounts/a/track/{token}", json={})
        http.post("/accounts/a/track", json={"token": token, "event": token, "userId": token})
        lines = running.lines(2)
    assert token not in "".join(lines)
    assert lines[1] == "ACCEPTED 200 POST /accounts/a/track #2 …d21c visitor=…d21c"


def test_a_secret_that_can_not_be_used_is_not_shown(tmp_path: Path) -> None:
    for name in ("PUBLIC_KEYS", "ADMIN_TOKEN"):
        line = complaint(tmp_path, "serve", "--port", "0", **{f"OURS_EMULATOR_{name}": "top secret"})
        assert name in line
        assert "secret" not in line
