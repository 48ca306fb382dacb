"""The commands that look into a running emulator, as a user types them."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

import httpx
import pytest
from click.testing import CliRunner

import forking
from forking import Forked, forked
from ours_emulator.cli import main
from ours_emulator.cli.output import tail_line
from ours_emulator.records import Reset
from serving import Account, Server, serving
from waiting import PATIENCE, until

COMMAND = [sys.executable, "-m", "ours_emulator"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing of this machine is found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OURS_")}
    return {**kept, "XDG_RUNTIME_DIR": str(tmp_path), "PYTHONIOENCODING": "utf-8"}


@dataclass(frozen=True)
class Result:
    """What came of a command."""

    code: int
    stdout: str
    stderr: str


def result(environment: dict[str, str], *words: str, given: bytes | None = None) -> Result:
    """Run a command to its end in this process: hundreds of them in processes of their own would take minutes."""
    others = dict.fromkeys(os.environ.keys() - environment.keys())
    code = 0
    with CliRunner().isolation(given, env={**others, **environment}) as (stdout, stderr, _):
        try:
            main([*words])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        sys.stdout.flush()
        sys.stderr.flush()
        return Result(code, stdout.getvalue().decode(), stderr.getvalue().decode())


def run(environment: dict[str, str], *words: str, code: int = 0, given: bytes | None = None) -> str:
    """Run a command to its end and return what it wrote: to standard output, or, if it failed, to standard error."""
    done = result(environment, *words, given=given)
    assert done.code == code, done.stderr
    return done.stderr if code else done.stdout


@pytest.fixture
def at(account: Account, environment: dict[str, str]) -> dict[str, str]:
    """An environment in which the account of a test is what the commands are about."""
    return {**environment, "OURS_EMULATOR_URL": account.url}


@pytest.fixture
def fresh() -> Generator[Server]:
    """An emulator that no other test uses."""
    with serving() as server:
        yield server


@pytest.fixture
def here(fresh: Server, environment: dict[str, str]) -> dict[str, str]:
    """An environment in which the commands are about a fresh emulator."""
    return {**environment, "OURS_EMULATOR_URL": fresh.url}


@pytest.fixture
def by_port(fresh: Server, environment: dict[str, str]) -> dict[str, str]:
    """An environment that has only the port of a fresh emulator."""
    return {**environment, "OURS_EMULATOR_PORT": fresh.url.rpartition(":")[2]}


def tracked_in_two_accounts(server: Server) -> Account:
    """Track an event in the default account and in another one; return the other one."""
    other = server.account()
    for account in (server.default, other):
        account.track(userId="u")
    return other


@contextmanager
def served(environment: dict[str, str], *words: str) -> Generator[Forked]:
    with Path(os.devnull).open("r+b") as nothing, TemporaryFile() as output:
        process = forked(["serve", "--port", "0", *words], Path.cwd(), environment, nothing, output, nothing)
        try:
            until(lambda: os.pread(output.fileno(), 10_000, 0).endswith(b"Ready.\n"))
            yield process
        finally:
            process.terminate()
            process.wait()


def test_visitors_and_events_are_shown_in_columns(account: Account, at: dict[str, str]) -> None:
    account.track(event="Purchase", userId="u1", externalId="x", email="a@b.co")
    account.track(event="Typo", userId="u2", properties={})
    account.track(event="Nobody")
    heads, *rows = run(at, "visitors").splitlines()
    assert heads.split()[:2] == ["ACCOUNT", "VISITOR"]
    assert [row.split()[1:4] for row in rows] == [["u2", "-", "-"], ["u1", "x", "a@b.co"]]
    shown = run(at, "events").splitlines()
    assert len(shown) == 3
    assert "hint: properties: dropped; did you mean eventProperties? [unknown-keys]" in shown[1]
    assert "[identifier]" in run(at, "events", "--outcome", "rejected").splitlines()[1]


def test_the_account_is_shown_unless_it_was_asked_for(fresh: Server, here: dict[str, str]) -> None:
    name = tracked_in_two_accounts(fresh).url.rpartition("/")[2]
    for command in ("visitors", "events"):
        heads, *rows = run(here, command).splitlines()
        assert heads.startswith("ACCOUNT ")
        assert {row.split()[0] for row in rows} == {"default", name}
        heads, row = run(here, command, "--account", name).splitlines()
        assert "ACCOUNT" not in heads
        assert name not in row


def test_what_is_refused_names_the_field(account: Account, at: dict[str, str]) -> None:
    account.post("/track", {"token": "t", "userId": "u", "evnt": "Typo"})
    (refused,) = run(at, "events", "--outcome", "rejected").splitlines()[1:]
    assert "event: required [schema]; hint: evnt: dropped; did you mean event? [unknown-keys]" in refused


def test_json_is_what_the_debug_api_has_a_line_each(account: Account, at: dict[str, str]) -> None:
    for name in ("a", "b", "c"):
        phone = {"phone_number": f"+1 555-{ord(name)}"}
        account.track(event=name, userId=name, eventProperties={"plan": name}, userProperties=phone)
    found = [json.loads(line) for line in run(at, "events", "--json", "--limit", "2").splitlines()]
    assert found == account.events()[:2]
    (only,) = run(at, "events", "--json", "--property", "plan=a").splitlines()
    assert json.loads(only)["event"] == "a"
    (only,) = run(at, "visitors", "--json", "--phone-number", f"001555{ord('b')}").splitlines()
    assert json.loads(only)["visitor_id"] == "b"
    (only,) = run(at, "visitors", "--json", "--user-id", "b").splitlines()
    assert json.loads(only) == account.visitor(user_id="b")


def test_what_a_client_sent_can_not_move_the_cursor(account: Account, at: dict[str, str]) -> None:
    account.track(event="\x1b[2J\nforged", userId="\ud7ff\u202e")
    shown = run(at, "events")
    assert "\x1b" not in shown
    assert len(shown.splitlines()) == 2
    assert "\\x1b[2J\\nforged" in shown


def test_reset_deletes_what_it_is_reported_to(fresh: Server, here: dict[str, str]) -> None:
    other = tracked_in_two_accounts(fresh)
    assert run(here, "reset") == f"deleted 1 visitor, 1 event, 1 request of account default at {fresh.url}\n"
    assert len(other.visitors()) == 1
    assert f"of all accounts at {fresh.url}" in run(here, "reset", "--all")
    assert other.visitors() == []
    assert "not both" in run(here, "reset", "--all", "--account", "a", code=2)


def test_export_and_import(account: Account, at: dict[str, str], tmp_path: Path) -> None:
    account.track(userId="u", token="secret")
    file = tmp_path / "journal.jsonl"
    assert run(at, "export", "--output", str(file)) == ""
    assert run(at, "export") == file.read_text()
    assert "secret" not in run(at, "export", "--redact")
    assert run(at, "import", str(file)) == "imported 1 request: 1 accepted\n"
    assert run(at, "import", "-", given=file.read_bytes()) == "imported 1 request: 1 accepted\n"
    assert "line 1: not JSON" in run(at, "import", "-", given=b"nonsense", code=2)
    assert "cannot be written" in run(at, "export", "--output", str(tmp_path / "none" / "x"), code=2)
    assert list(tmp_path.glob("*.partial")) == []


def test_events_are_found_by_text_hint_and_request_in_either_order(account: Account, at: dict[str, str]) -> None:
    now = account.debug("clock")["now_ms"]
    account.track(event="First", userId="u", time=now - 1000, properties={})
    account.track(event="Second", email="ann@example.com", time=now - 2000)

    def listed(*words: str) -> list[str]:
        lines = run(at, "events", "--json", *words).splitlines()
        return [json.loads(line)["event"] for line in lines]

    assert listed() == listed("--order", "time") == ["First", "Second"]
    assert listed("--order", "arrival") == ["Second", "First"]
    assert listed("--q", "ANN@") == ["Second"]
    assert listed("--hint", "unknown-keys") == ["First"]
    assert listed("--request-id", str(account.debug("requests")["items"][0]["id"])) == ["Second"]
    assert "hint: x is not a rule" in run(at, "events", "--hint", "x", code=2)
    assert json.loads(first_of_tail(account, at, "--json", "--visitor-id", "u"))["visitor_id"] == "u"


def first_of_tail(account: Account, environment: dict[str, str], *words: str) -> str:
    """Return the first line that `tail` shows of events in *account*."""
    with subprocess.Popen([*COMMAND, "tail", *words], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        output, lines = process.stdout, [""]
        os.set_blocking(output.fileno(), False)

        def told() -> bool:
            account.track(event="Purchase", userId="u")
            lines.append(output.readline())
            return bool(lines[-1])

        # It has no way to say when it is connected; so something is sent until it is.
        until(told)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    return lines[-1]


def test_tail_shows_what_arrives(account: Account, at: dict[str, str]) -> None:
    assert json.loads(first_of_tail(account, at, "--json"))["event"] == "Purchase"


def test_tail_has_always_the_same_columns_the_account_first(account: Account, environment: dict[str, str]) -> None:
    server, _, name = account.url.rpartition("/accounts/")
    for words in ([], ["--account", name]):
        line = first_of_tail(account, environment, "--url", server, *words)
        shown, _, _, *rest = line.split()
        assert (shown, rest) == (name, ["accepted", "track", "Purchase", "u", "-"])


def test_the_emulator_that_runs_is_found_and_forgotten_when_it_ends(environment: dict[str, str]) -> None:
    with served(environment):
        assert run(environment, "healthcheck") == ""
        assert "is ready" in run(environment, "wait-ready")
    assert "no emulator answers at" in run(environment, "visitors", "--url", "127.0.0.1:1", code=2)
    assert "no emulator answers at" in run({**environment, "OURS_EMULATOR_PORT": "1"}, "visitors", code=2)


def test_of_several_that_run_one_must_be_named(environment: dict[str, str]) -> None:
    with served(environment), served(environment):
        assert "several emulators are running here" in run(environment, "reset", "--all", code=2)


def test_one_that_was_killed_is_not_found(environment: dict[str, str]) -> None:
    with served(environment) as killed:
        killed.kill()
        killed.wait(10)
        with served(environment):
            assert run(environment, "healthcheck") == ""


def test_a_place_that_somebody_else_announced_is_not_believed(by_port: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.json").write_text(json.dumps({"url": "http://127.0.0.1:1", "pid": os.getpid()}))
    (tmp_path / f"ours-emulator-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    assert run(by_port, "healthcheck") == ""


def test_a_file_left_behind_is_not_believed_if_its_process_id_is_another_programs(
    by_port: dict[str, str], tmp_path: Path
) -> None:
    directory = tmp_path / f"ours-emulator-{os.getuid()}"
    directory.mkdir(mode=0o700)
    network = os.stat("/proc/self/ns/net").st_ino if Path("/proc/self/ns/net").exists() else 0
    for name in (f"{os.getpid()}.json", f"{os.getpid()}-0.json"):
        place = {"url": "http://127.0.0.1:1", "pid": os.getpid(), "network": network}
        (directory / name).write_text(json.dumps(place))
    assert run(by_port, "healthcheck") == ""
    assert list(directory.iterdir()) == []


IN_CONTAINER = ["unshare", "--map-root-user", "--pid", "--net", "--fork", "--kill-child"]


@pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run([*IN_CONTAINER, "true"], check=False).returncode != 0,
    reason="containers cannot be made here",
)
def test_emulators_of_containers_with_one_directory_do_not_know_each_other(
    environment: dict[str, str], tmp_path: Path
) -> None:
    directory = tmp_path / f"ours-emulator-{os.getuid()}"
    command = [*IN_CONTAINER, *COMMAND, "serve", "--host", "0.0.0.0"]
    with ExitStack() as stack:
        for _ in range(2):
            container = stack.enter_context(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE))
            stack.callback(container.kill)
            assert container.stdout
            assert any(line == b"Ready.\n" for line in container.stdout)
        places = [json.loads(file.read_text()) for file in directory.iterdir()]
        assert [place["pid"] for place in places] == [1, 1]
        assert "no emulator answers at" in run({**environment, "OURS_EMULATOR_PORT": "1"}, "visitors", code=2)
        with served(environment):
            assert run(environment, "healthcheck") == ""


def test_the_healthcheck_of_a_container_needs_only_its_settings(environment: dict[str, str]) -> None:
    with serving() as server:
        port = server.url.rpartition(":")[2]
        settings = {"OURS_EMULATOR_HOST": "0.0.0.0", "OURS_EMULATOR_PORT": port}
        assert run({**environment, **settings}, "healthcheck") == ""
    assert "no emulator answers at" in run({**environment, **settings}, "healthcheck", code=1)


def test_wait_ready_gives_up_in_time(environment: dict[str, str]) -> None:
    assert "no emulator answers at" in run(
        environment, "wait-ready", "--url", "127.0.0.1:1", "--timeout", "0.3", code=1
    )


def test_wait_ready_waits_until_it_is(environment: dict[str, str]) -> None:
    waiting = subprocess.Popen([*COMMAND, "wait-ready"], env=environment, stdout=subprocess.PIPE, text=True)
    with served(environment):
        out, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == 0
    assert out.endswith(" is ready\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["events", "--since", "yesterday"], "since"),
        (["events", "--property", "plan"], "NAME=VALUE"),
        (["events", "--outcome", "lost"], "outcome"),
        (["events", "--account", "no spaces"], "not a valid account name"),
        (["visitors", "--limit", "0"], "limit"),
        (["import", "/nowhere/at/all"], "/nowhere/at/all"),
        (["nonsense"], "nonsense"),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_code_2(at: dict[str, str], words: Sequence[str], said: str) -> None:
    error = run(at, *words, code=2)
    assert said in error
    assert len(error.splitlines()) == 1


def test_what_is_not_an_emulator_is_reported(environment: dict[str, str], account: Account) -> None:
    assert "is not the address of an emulator" in run(
        environment, "visitors", "--url", account.url + "/nothing", code=2
    )


def test_a_locked_emulator_says_how_its_token_is_given(environment: dict[str, str]) -> None:
    with serving(admin_token="sesame") as server:
        here = {**environment, "OURS_EMULATOR_URL": server.url}
        for token in ("", "wrong"):
            told = run({**here, "OURS_EMULATOR_ADMIN_TOKEN": token}, "events", code=2)
            advice = "set OURS_EMULATOR_ADMIN_TOKEN to it"
            assert told == f"ours-emulator: the admin token is missing or wrong; {advice}\n"
        assert run({**here, "OURS_EMULATOR_ADMIN_TOKEN": "sesame"}, "events") != ""


@pytest.mark.parametrize("command", ["visitors", "events", "tail", "reset", "export", "import"])
def test_help_says_how_a_locked_emulator_is_asked(environment: dict[str, str], command: str) -> None:
    assert "OURS_EMULATOR_ADMIN_TOKEN" in run(environment, command, "--help")


def test_a_reader_that_has_enough_is_reported_nothing(account: Account, at: dict[str, str]) -> None:
    body = {"token": "t", "events": [{"event": "E" * 900, "userId": "u", "distinctId": str(at)} for at in range(1000)]}
    assert httpx.post(account.url + "/batch", json=body, trust_env=False).status_code == 200
    shell = f"{sys.executable} -m ours_emulator events --json --limit 1000 | head -1"
    done = subprocess.run(["bash", "-c", shell], env=at, capture_output=True, text=True, timeout=30, check=True)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("events", "--account TEXT Only this account. [default: all of them]"),
        ("reset", "--account TEXT Delete what this account has. [default: default]"),
        ("import", "--account TEXT Replay everything into this account. [default: each request into its own]"),
        ("healthcheck", "Address of the emulator. [default: OURS_EMULATOR_URL, or else the one that is running here]"),
    ],
)
def test_help_says_what_happens_without_an_option(environment: dict[str, str], command: str, said: str) -> None:
    assert said in " ".join(run({**environment, "COLUMNS": "500"}, command, "--help").split())


def test_import_puts_each_request_into_its_account_or_all_into_one(fresh: Server, here: dict[str, str]) -> None:
    for account in (fresh.account(), fresh.account()):
        account.track(userId="u")
    journal = run(here, "export").encode()
    run(here, "reset", "--all")
    run(here, "import", "-", given=journal)
    assert run(here, "visitors", "--account", "default").count("\n") == 1
    run(here, "import", "-", "--account", "default", given=journal)
    assert len(fresh.default.debug("events", account="default")["items"]) == 2
    assert len(fresh.default.events()) == 4


def test_help_and_serve_need_nothing_of_the_other_commands(environment: dict[str, str]) -> None:
    script = "import sys; import ours_emulator.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    late = {"fastapi", "sqlalchemy", "uvicorn", "httpx", "starlette", "webbrowser", "ours_emulator.emulator"}
    assert not loaded & late


def test_the_account_may_be_named_in_the_address(account: Account, environment: dict[str, str]) -> None:
    account.track(userId="u")
    there = {**environment, "OURS_EMULATOR_URL": account.url}
    name = account.url.rpartition("/")[2]
    assert "is for account" in run(there, "events", "--account", "other", code=2)
    assert (
        run(there, "reset")
        == f"deleted 1 visitor, 1 event, 1 request of account {name} at {account.url.partition('/accounts')[0]}\n"
    )


def test_an_account_name_that_is_not_valid_is_reported_without_a_request(
    server: Server, environment: dict[str, str]
) -> None:
    there = {**environment, "OURS_EMULATOR_URL": server.url}
    before = server.default.debug("requests")["total"]
    assert "--account a b: not a valid account name" in run(there, "events", "--account", "a b", code=2)
    assert "is not the address" in run(there, "events", "--url", "ftp://x", code=2)
    assert server.default.debug("requests")["total"] == before


def test_tables_show_properties_and_say_what_they_leave_out(account: Account, at: dict[str, str]) -> None:
    account.track(userId="u", distinctId="d", eventProperties={"plan": "pro", "tags": ["a", 1], "long": "x" * 99})
    account.track(userId="u", distinctId="d")
    account.track()
    listed = result(at, "events")
    (_, row) = listed.stdout.splitlines()
    assert 'plan=pro tags=["a", 1] long=xxx' in row
    assert "x…" in row
    assert listed.stderr == "not shown: 1 rejected, 1 duplicate: --outcome any\n"
    assert result(at, "events", "--outcome", "any").stderr == ""
    assert result(at, "events", "--outcome", "any", "--limit", "1").stderr == "not shown: 2 more: --limit 3\n"
    assert result(at, "events", "--json").stderr == ""
    assert result(at, "events", "--event", "Other").stderr == ""
    account.track(userId="v")
    assert result(at, "visitors", "--limit", "1").stderr == "not shown: 1 more: --limit 2\n"


def test_one_event_is_shown_with_everything(account: Account, at: dict[str, str]) -> None:
    account.track(userId="u", eventProperties={"plan": "pro"})
    (event,) = account.events()
    shown = run(at, "show", f"#{event['id']}")
    assert '\nevent_properties    {"plan": "pro"}\n' in shown
    assert "\nvisitor_id          u\n" in shown
    assert '\nchanges:\nadded  identifiers.user_id  "u"' in shown
    detail = json.loads(run(at, "show", str(event["id"]), "--json"))
    assert detail == account.debug(f"events/{event['id']}")
    assert f"\ntime                {event['received_at']}\n" in shown
    assert run(at, "show", "999999999", code=1) == "ours-emulator: there is no event 999999999\n"
    assert "last is not the id of an event" in run(at, "show", "last", code=2)


def test_one_visitor_is_shown_with_all_properties(account: Account, at: dict[str, str]) -> None:
    name = "a/b c"
    account.identify(userId=name, userProperties={"first_name": "Ada"})
    assert '{"first_name": "Ada"}' in run(at, "visitor", name)
    assert json.loads(run(at, "visitor", name, "--json")) == account.visitor(user_id=name)
    assert run(at, "visitor", "nobody", code=1) == "ours-emulator: there is no visitor nobody\n"


def test_requests_are_listed_the_latest_first(account: Account, at: dict[str, str]) -> None:
    account.track(userId="u")
    account.track()
    heads, refused, accepted = run(at, "requests").splitlines()
    assert heads.split()[:5] == ["ACCOUNT", "ID", "TIME", "METHOD", "PATH"]
    assert " 400 " in refused
    assert " 200 " in accepted
    (only,) = run(at, "requests", "--status", "400", "--json").splitlines()
    assert json.loads(only) == account.debug("requests")["items"][0]
    assert result(at, "requests", "--limit", "1").stderr == "not shown: 1 more: --limit 2\n"


def test_one_request_is_shown_with_its_events_and_its_body(account: Account, at: dict[str, str]) -> None:
    account.track(userId="u", event="Purchase", eventProperties={"text": "x" * 3000})
    (request,) = account.debug("requests")["items"]
    (event,) = account.events()
    shown = run(at, "requests", f"#{request['id']}")
    assert f"\nevents:\n#{event['id']} 'Purchase' visitor=u accepted\n" in shown
    body = httpx.get(f"{account.url}/debug/requests/{request['id']}", trust_env=False).json()["body"]
    assert f"\nbody:\n{body[:2000]}…\n({len(body) - 2000} more characters: --json)\n" in shown
    assert "\nanswer:\n200\naccess-control-allow-origin: *\n" in shown
    assert shown.endswith('\n{"success":true}\n')
    assert json.loads(run(at, "requests", str(request["id"]), "--json"))["body"] == body
    assert run(at, "requests", "999999999", code=1) == "ours-emulator: there is no request 999999999\n"
    assert "use an ID or filters, not both" in run(at, "requests", "1", "--status", "400", code=2)
    assert "last is not the id of a request" in run(at, "requests", "last", code=2)


def test_a_request_is_shown_with_the_reasons_and_hints_that_its_answer_had(
    account: Account, at: dict[str, str]
) -> None:
    account.track(coupon="SUMMER")
    (request,) = account.debug("requests")["items"]
    shown = run(at, "requests", str(request["id"]))
    assert " 'Test' rejected: needs one of userId, externalId and email [identifier]\n" in shown
    assert "\n  hint coupon: dropped" in shown
    assert "\nanswer:\n400\n" in shown


def test_a_body_that_is_no_text_is_shown_in_base64(account: Account, at: dict[str, str]) -> None:
    httpx.post(account.url + "/track", content=b"\xff\x1b[2J", trust_env=False)
    (request,) = account.debug("requests")["items"]
    assert "\nbody in base64:\n/xtbMko=\n" in run(at, "requests", str(request["id"]))


def test_a_number_that_is_none_is_told_by_the_option_and_in_its_unit(at: dict[str, str]) -> None:
    problem = "is not in the range 0<=x<=55"
    told: dict[tuple[str, ...], str] = {
        ("wait", "X", "--timeout", "100"): f"Invalid value for '--timeout': 100.0 {problem}.",
        ("wait", "X", "--timeout", "soon"): "Invalid value for '--timeout': 'soon' is not a valid number.",
        ("wait", "X", "--count", "many"): "Invalid value for '--count': 'many' is not a valid integer.",
        ("wait-ready", "--timeout", "soon"): "Invalid value for '--timeout': 'soon' is not a valid number.",
        ("fault", "f", "--probability", "x"): "Invalid value for '--probability': 'x' is not a valid number.",
    }
    for words, line in told.items():
        assert run(at, *words, code=2) == f"ours-emulator: {line}\n"


def test_a_field_that_a_wait_is_given_twice_is_refused(at: dict[str, str]) -> None:
    told = "ours-emulator: event is given twice, by itself and in match; give it once\n"
    assert run(at, "wait", "X", "--match", '{"event": "Y"}', code=2) == told


def test_a_fault_without_an_effect_is_refused_with_the_options_that_have_one(at: dict[str, str]) -> None:
    told = "ours-emulator: the fault has no effect; add --status, --delay-ms, --connection or --code\n"
    assert run(at, "fault", "f", "--times", "2", code=2) == told


def test_an_unknown_option_is_reported_with_the_nearest_one_or_where_they_are(at: dict[str, str]) -> None:
    told = {"visitors": "did you mean --email?", "events": "see ours-emulator events --help"}
    for command, advice in told.items():
        assert run(at, command, "--emial", "x", code=2) == f"ours-emulator: unknown option --emial; {advice}\n"


def test_a_path_that_cannot_be_used_is_reported_with_what_to_do(at: dict[str, str], tmp_path: Path) -> None:
    missing, folder = tmp_path / "none" / "x", tmp_path / "folder"
    folder.mkdir()
    told = {
        ("serve", "--port", "0", "--port-file", missing): f"the folder {missing.parent} does not exist; create it",
        ("export", "--output", missing): f"the folder {missing.parent} does not exist; create it",
        ("serve", "--port", "0", "--port-file", folder): "Is a directory; name a file in it",
        ("serve", "--port", "0", "--config", missing): "No such file or directory; check the path",
        ("serve", "--port", "0", "--config", folder): "Is a directory; name a file in it",
        ("serve", "--port", "0", "--seed", missing): "No such file or directory; check the path",
    }
    for words, advice in told.items():
        done = forking.run([*map(str, words)], tmp_path, at)
        assert (done.returncode, done.stderr.endswith(f": {advice}\n")) == (2, True), words


def test_the_help_of_no_option_has_a_range_without_bounds(environment: dict[str, str]) -> None:
    for command in ("fault", "wait", "wait-ready", "healthcheck", "events", "requests"):
        assert "None" not in run(environment, command, "--help")


def test_the_rules_are_listed_and_those_of_an_account_are_of_its_revision(account: Account, at: dict[str, str]) -> None:
    account.configure(revision="2026-10")
    lines = run(at, "rules").splitlines()
    items = account.debug("rules")["items"]
    assert lines[0].split() == ["RULE", "BASIS", "REVISIONS", "TEXT"]
    for line, rule in zip(lines[1:], items, strict=True):
        assert line.split()[:2] == [rule["id"], rule["basis"]]
        assert ", ".join(rule["revisions"]) in line
        assert line.endswith(rule["text"])
    assert [json.loads(line) for line in run(at, "rules", "--json").splitlines()] == items


def test_an_account_without_requests_is_reported_with_those_that_exist(fresh: Server, here: dict[str, str]) -> None:
    fresh.default.track(userId="u")
    note = "ours-emulator: account nosuch has no requests; existing accounts: default\n"
    for command in ("visitors", "events", "requests", "export", "fault", "clock", "reset"):
        assert result(here, command, "--account", "nosuch").stderr == note
        assert result(here, command, "--account", "default").stderr == ""
    for words in (("visitor", "x"), ("show", "99"), ("requests", "99"), ("fault", "x")):
        stderr = result(here, *words, "--account", "nosuch").stderr
        assert (stderr.count(note), stderr.startswith(note), stderr.count("\n")) == (1, True, 2), words
        assert result(here, *words, "--account", "default").stderr == stderr.removeprefix(note)
    assert result(here, "wait", "X", "--account", "nosuch", "--timeout", "0").stderr.startswith(note)
    with subprocess.Popen([*COMMAND, "tail", "--account", "nosuch"], env=here, stderr=subprocess.PIPE) as tail:
        assert tail.stderr
        assert tail.stderr.readline().decode() == note
        tail.terminate()
    dropped = result(here, "fault", "x", "--drop", "--account", "nosuch")
    assert dropped.stderr == note + "ours-emulator: there is no fault x\n"


def test_every_command_about_a_closed_account_says_so_and_exits_with_1(fresh: Server, here: dict[str, str]) -> None:
    fresh.default.http.delete(f"{fresh.url}/debug/accounts/default")
    line = "ours-emulator: account default is closed; choose another one with --account"
    for words in ("visitors", "events", "requests", "tail", "export", "visitor x", "show 9", "wait X", "requests 9"):
        assert run(here, *words.split(), "--account", "default", code=1) == f"{line}\n", words
    for words in ("fault", "fault f", "fault f --drop", "fault f --status 503", "clock", "clock freeze", "reset"):
        assert run(here, *words.split(), code=1) == f"{line}\n", words
    other = fresh.account()
    other.track(userId="u")
    name = other.url.rpartition("/")[2]
    assert run(here, "clock", code=1) == f"{line}; existing accounts: {name}\n"


def test_a_visitor_of_several_accounts_is_reported_with_their_names(fresh: Server, here: dict[str, str]) -> None:
    other = tracked_in_two_accounts(fresh)
    name = other.url.rpartition("/")[2]
    told = run(here, "visitor", "u", code=2)
    assert told == f"ours-emulator: several accounts have visitor u: {name}, default; name the account\n"


def test_tail_names_the_account_of_a_reset() -> None:
    assert tail_line(Reset(account="shop"), as_json=False) == "--- reset of account shop ---"
    assert tail_line(Reset(), as_json=False) == "--- reset of all accounts ---"
    assert json.loads(tail_line(Reset(account="shop"), as_json=True)) == {"reset": True, "account": "shop"}


def test_wait_prints_the_event_or_fails_with_the_reason(account: Account, at: dict[str, str]) -> None:
    account.track(event="Purchase", userId="u", eventProperties={"plan": "pro"})
    assert " Purchase  u  plan=pro" in run(at, "wait", "Purchase", "--user-id", "u")
    matching = '{"event_properties": {"plan": "pro"}}'
    assert json.loads(run(at, "wait", "--match", matching, "--json")) == account.events()[0]
    missed = run(at, "wait", "Purchase", "--count", "2", "--timeout", "0", code=1)
    assert missed.startswith("ours-emulator: expected at least 2 events 'Purchase'")
    assert "expected at least 1" in run(at, "wait", "Purchase", "--new", "--timeout", "0", code=1)
    assert "--match is not JSON" in run(at, "wait", "--match", "{", code=2)
    assert "must be a JSON object" in run(at, "wait", "--match", "5", code=2)


def test_a_fault_is_planned_shown_and_dropped(account: Account, at: dict[str, str]) -> None:
    assert run(at, "fault", "busy", "--status", "429", "--times", "1") == "fault busy: planned\n"
    assert account.track(userId="u").status_code == 429
    assert run(at, "fault", "busy") == "fault busy: 1 request matched, 1 hit\n"
    (_, row) = run(at, "fault").splitlines()
    assert row.split()[:3] == ["busy", "1", "1"]
    (listed,) = run(at, "fault", "--json").splitlines()
    assert json.loads(listed) == account.debug("faults")["items"][0]
    assert json.loads(run(at, "fault", "busy", "--drop", "--json")) == {"name": "busy", "matched": 1, "hits": 1}
    assert run(at, "fault", "busy", code=1) == "ours-emulator: there is no fault busy\n"
    assert "needs a NAME" in run(at, "fault", "--status", "429", code=2)
    assert "not both" in run(at, "fault", "busy", "--status", "429", "--drop", code=2)
    assert "has no effect" in run(at, "fault", "busy", "--stored", code=2)
    too_large = "ours-emulator: answer.status: must be at most 599\n"
    assert run(at, "fault", "busy", "--status", "4290", code=2) == too_large


def test_the_clock_is_shown_and_moved(account: Account, at: dict[str, str]) -> None:
    name = account.url.rpartition("/")[2]
    assert run(at, "clock").endswith(f"Z (real) in account {name}\n")
    frozen = run(at, "clock", "freeze", "2026-01-01T00:00:00Z")
    assert frozen == f"2026-01-01T00:00:00.000Z (frozen) in account {name}\n"
    assert run(at, "clock", "advance", "1d2h30m").startswith("2026-01-02T02:30:00.000Z (frozen)")
    assert run(at, "clock", "advance", "-1d").startswith("2026-01-01T02:30:00.000Z (frozen)")
    assert run(at, "clock", "advance", "--", "-30m").startswith("2026-01-01T02:00:00.000Z (frozen)")
    assert "unknown option -d" in run(at, "clock", "-d", code=2)
    assert json.loads(run(at, "clock", "set", "1767225600000", "--json"))["now_ms"] == 1767225600000
    assert "(real)" in run(at, "clock", "resume")
    for words, said in (
        (["advance", "soon"], "soon is not a duration"),
        (["set"], "needs a value"),
        (["resume", "now"], "takes no value"),
        (["set", "yesterday"], "yesterday"),
    ):
        assert said in run(at, "clock", *words, code=2)


@pytest.mark.parametrize("command", ["show", "visitor", "requests", "wait", "fault", "clock"])
def test_the_help_of_a_command_says_how_json_is_printed(environment: dict[str, str], command: str) -> None:
    assert "--json" in run(environment, command, "--help")


def test_a_body_may_be_written_as_the_json_that_it_is(account: Account, at: dict[str, str]) -> None:
    lines = [
        {"path": "/track", "received_at": 1767225600000, "body": {"token": "t", "event": "A", "userId": "Zoë"}},
        {
            "path": "/api/client/events",
            "received_at": 1767225600000,
            "headers": {"authorization": "Bearer pk_a"},
            "body": [{"external_id": "x", "name": "B"}],
        },
    ]
    given = "\n".join(map(json.dumps, lines)).encode()
    assert run(at, "import", "-", given=given).startswith("imported 2 requests")
    assert {event["event"] for event in account.events()} >= {"A", "B"}
    bad = json.dumps({**lines[0], "body": 5}).encode()
    assert "line 1: body: must be a JSON object or array, or the body as text" in run(
        at, "import", "-", given=bad, code=2
    )
