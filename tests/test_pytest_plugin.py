"""The pytest plugin in runs of its own: fixtures, marker, ini file, options, and what a failing test prints."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from nested import FEW_PLUGINS
from ours_emulator.emulator import Emulator
from ours_emulator.pytest_support.network_guard import ADVICE, ADVICE_FOR_EARLY_CLIENT
from serving import Server, serving

CONFTEST = """
import os
import httpx
import pytest

@pytest.fixture
def track():
    def send(**fields):
        url = os.environ["OURS_PRIVACY_BASE_URL"] + "/track"
        with httpx.Client(trust_env=False) as http:
            return http.post(url, json={"token": "t", "event": "Signed Up", **fields}).status_code
    return send
"""


class Runs:
    """Runs of pytest in a directory of their own, attached to the emulator of this one."""

    def __init__(self, pytester: pytest.Pytester, url: str) -> None:
        self._pytester = pytester
        self._url = url
        pytester.makeconftest(CONFTEST)

    def __call__(self, source: str, *options: str, attach: bool = True) -> pytest.RunResult:
        self._pytester.makepyfile(source)
        attached = [f"--ours-emulator-url={self._url}"] if attach else []
        return self._pytester.runpytest_inprocess("-W", "error", "-p", "no:cacheprovider", *attached, *options)


def errors_of(result: pytest.RunResult) -> list[str]:
    """Return what is printed of a test that did not begin, between its heading and the summary."""
    result.assert_outcomes(errors=1)
    lines = result.stdout.lines
    begin = next(number for number, text in enumerate(lines) if "ERROR at setup of" in text)
    end = next(number for number, text in enumerate(lines) if "short test summary info" in text)
    return lines[begin + 1 : end]


@pytest.fixture(scope="module", autouse=True)
def late_imports(server: Server) -> None:
    """Import what the debug API imports with its first call.

    After each test, pytester drops the modules that were imported during it; then there would be two of each class.
    """
    server.default.debug("events")


@pytest.fixture(autouse=True)
def no_url_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OURS_EMULATOR_URL", raising=False)
    monkeypatch.delenv("OURS_EMULATOR_COMMAND", raising=False)
    monkeypatch.delenv("OURS_PRIVACY_BASE_URL", raising=False)


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FEW_PLUGINS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def runs(pytester: pytest.Pytester, server: Server) -> Runs:
    return Runs(pytester, server.url)


def test_the_fixture_needs_no_import_and_starts_its_own_emulator(runs: Runs) -> None:
    runs(
        """
        import os

        def test_signup(ours_emulator, track):
            assert os.environ["OURS_PRIVACY_BASE_URL"] == ours_emulator.ingest_url
            assert track(email="a@b.co") == 200
            [event] = ours_emulator.events("Signed Up")
            assert event.visitor_id == ours_emulator.visitor(email="a@b.co").visitor_id

        def test_nothing_is_left_of_the_test_before(ours_emulator, ours_emulator_server):
            assert ours_emulator.events() == []
            assert ours_emulator.url.startswith(ours_emulator_server.url + "/accounts/")
        """,
        attach=False,
    ).assert_outcomes(passed=2)


def test_the_variable_is_back_after_each_test(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS_PRIVACY_BASE_URL", "http://before.test")
    runs(
        """
        import os

        def test_with(monkeypatch, ours_emulator):
            monkeypatch.setenv("OURS_PRIVACY_BASE_URL", "http://inside.test")

        def test_without():
            assert os.environ["OURS_PRIVACY_BASE_URL"] == "http://before.test"
        """
    ).assert_outcomes(passed=2)


def test_the_account_is_closed_after_the_test(runs: Runs) -> None:
    runs(
        """
        import httpx

        urls = []

        def test_first(ours_emulator):
            urls.append(ours_emulator.ingest_url + "/track")

        def test_late(ours_emulator):
            late = httpx.post(urls[0], json={"token": "t", "event": "E", "userId": "u"}, trust_env=False)
            assert late.status_code == 410
        """
    ).assert_outcomes(passed=2)


def test_accounts_opened_without_a_name_are_closed_with_the_test(runs: Runs, server: Server) -> None:
    runs(
        """
        import asyncio
        from pathlib import Path

        def test_opens(ours_emulator, ours_emulator_async):
            opened = ours_emulator.open_account(tokens=["t"])
            twins = asyncio.run(ours_emulator_async.open_account(tokens=["t"]))
            nested = opened.open_account(tokens=["t"])
            named = ours_emulator.open_account("stays", tokens=["t"])
            names = [ours_emulator.account, opened.account, twins.account, nested.account, named.account]
            Path("names").write_text(" ".join(names))
        """
    ).assert_outcomes(passed=1)
    names = Path("names").read_text().split()
    states = [server.default.debug(f"accounts/{name}")["state"] for name in names]
    assert states == ["closed", "closed", "closed", "closed", "open"]


def test_the_session_has_an_account_of_its_own(runs: Runs) -> None:
    result = runs(
        """
        import os

        def test_first(ours_emulator_session, track):
            assert os.environ["OURS_PRIVACY_BASE_URL"] == ours_emulator_session.ingest_url
            track(userId="u")

        def test_second(ours_emulator_session):
            assert len(ours_emulator_session.events()) == 1

        def test_both(ours_emulator_session, ours_emulator, track):
            track(userId="u")
            assert len(ours_emulator_session.events()) == len(ours_emulator.events()) == 1

        def test_fails(ours_emulator_session):
            assert False
        """
    )
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*- ours-emulator -*", "*1 request, 1 event accepted*"])


def test_the_asynchronous_handle_is_of_the_same_account(runs: Runs) -> None:
    runs(
        """
        import asyncio

        def test_async(ours_emulator, ours_emulator_async, track):
            track(userId="u")
            assert ours_emulator_async.ingest_url == ours_emulator.ingest_url
            for _ in range(2):  # each in an event loop of its own
                [event] = asyncio.run(ours_emulator_async.events())
            assert event.event == "Signed Up"
        """
    ).assert_outcomes(passed=1)


def test_coroutines_run_with_the_plugin_that_comes_with_httpx(runs: Runs) -> None:
    runs(
        """
        import pytest

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.anyio
        async def test_async(ours_emulator_async, track):
            track(userId="u")
            assert (await ours_emulator_async.wait_for("Signed Up")).visitor_id == "u"
        """
    ).assert_outcomes(passed=1)


def test_the_revision_is_that_of_the_marker_or_else_of_the_ini_file(runs: Runs, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nours_emulator_revision = 2026-10\n")
    runs(
        """
        import pytest

        def test_of_the_ini_file(ours_emulator, track):
            track(userId=" u ")
            assert ours_emulator.events()[0].visitor_id == "u"

        def test_of_the_session(ours_emulator_session, track):
            track(userId=" u ")
            assert ours_emulator_session.events()[0].visitor_id == "u"

        @pytest.mark.ours_emulator(revision="2026-05", strict=True, strict_ignore="revision")
        def test_of_the_marker(ours_emulator, track):
            track(userId=" u ")
            assert ours_emulator.events()[0].visitor_id == " u "

        @pytest.mark.ours_emulator(strict=True, strict_ignore=["revision", "open-object-limits"])
        def test_ignores_rules_of_any_revision(ours_emulator, track):
            track(userId=" u ")
        """
    ).assert_outcomes(passed=4)


def test_a_revision_of_the_ini_file_that_there_is_not_says_where_it_stands(
    runs: Runs, pytester: pytest.Pytester
) -> None:
    pytester.makeini("[pytest]\nours_emulator_revision = 2026-09\n")
    result = runs("def test_it(ours_emulator): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ours_emulator_revision: revision: must be*"])


def test_the_marker_sets_the_experiments_of_the_account(runs: Runs) -> None:
    runs(
        """
        import httpx
        import pytest

        def variant(emulator, key):
            body, path = {"token": "t", "visitor_id": "u"}, f"experiments/assignments/{key}"
            return httpx.post(f"{emulator.ingest_url}/{path}", json=body).json().get("variant_id")

        @pytest.mark.ours_emulator(revision="2026-10", experiments={"e": {"variants": [{"id": "green"}]}})
        def test_it(ours_emulator):
            assert (variant(ours_emulator, "e"), variant(ours_emulator, "f")) == ("green", None)
            assert ours_emulator.experiment("f", variants=[{"id": "blue"}])["key"] == "f"
            assert variant(ours_emulator, "f") == "blue"
            assert ours_emulator.remove_experiment("f")["variants"][0]["id"] == "blue"
            assert variant(ours_emulator, "f") is None
            with pytest.raises(TypeError, match="variant is not an experiment option; did you mean variants"):
                ours_emulator.experiment("f", variant=[])
        """
    ).assert_outcomes(passed=1)


def test_a_strict_test_fails_on_what_differs_from_the_tracking_plan(runs: Runs, pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("plan.yaml").write_text("events:\n  Paid: {required: [amount]}\n")
    result = runs(
        """
        import pytest

        @pytest.fixture(scope="session")
        def ours_emulator_settings():
            return {"tracking_plan": {"allow_unplanned": True, "events": {"Paid": {"required": ["currency"]}}}}

        @pytest.mark.ours_emulator(strict=True, tracking_plan="plan.yaml")
        def test_by_file(ours_emulator, track):
            track(event="Paid", userId="u")

        @pytest.mark.ours_emulator(strict=True)
        def test_by_settings(ours_emulator, track):
            track(event="Paid", userId="u")

        @pytest.mark.ours_emulator(strict=True, tracking_plan={"events": {"Paid": {}}})
        def test_that_fits(ours_emulator, track):
            track(event="Paid", userId="u")
        """
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines_random(
        [
            "*eventProperties.amount: required, but missing ?tracking-plan?",
            "*eventProperties.currency: required, but missing ?tracking-plan?",
        ]
    )


@pytest.mark.parametrize("given", ["{'events': {'Paid': {'required': ['amount']}}}", "'plan.yaml'"])
def test_the_settings_of_the_run_give_each_account_a_tracking_plan(
    runs: Runs, pytester: pytest.Pytester, given: str
) -> None:
    pytester.path.joinpath("plan.yaml").write_text("events:\n  Paid: {required: [amount]}\n")
    runs(
        f"""
        import pytest

        @pytest.fixture(scope="session")
        def ours_emulator_settings():
            return {{"tracking_plan": {given}}}

        def test_it(ours_emulator, ours_emulator_session, track):
            track(event="Paid", userId="u")
            assert [hint.rule for hint in ours_emulator.events()[0].hints] == ["tracking-plan"]
        """,
        attach=False,
    ).assert_outcomes(passed=1)


def test_a_seed_does_not_come_back_with_a_reset(runs: Runs, pytester: pytest.Pytester) -> None:
    with serving() as other, Emulator(other.url) as emulator:
        other.default.track(userId="u")
        pytester.path.joinpath("seed.jsonl").write_text(emulator.export())
    runs(
        """
        import pytest

        @pytest.mark.ours_emulator(seed="seed.jsonl")
        def test_seeded(ours_emulator):
            assert ours_emulator.reset().requests == 1
            assert ours_emulator.requests() == []
        """
    ).assert_outcomes(passed=1)


def test_settings_are_overridden_by_a_fixture(runs: Runs) -> None:
    source = """
        import pytest

        @pytest.fixture(scope="session")
        def ours_emulator_settings():
            return {"tokens": ["secret"], "allowed_events": ["Paid"]}

        def test_settings(ours_emulator, track):
            assert ours_emulator.token == "secret"
            assert track(userId="u") == 401
            assert track(userId="u", token="secret") == 200
            assert [event.outcome for event in ours_emulator.events(outcome="any")] == ["rejected", "dropped"]
        """
    runs(source, attach=False).assert_outcomes(passed=1)
    runs(source).assert_outcomes(passed=1)


def with_settings(settings: object) -> str:
    """Return a test module whose emulator has *settings*, as they are written in Python."""
    return f"""
        import pytest

        @pytest.fixture(scope="session")
        def ours_emulator_settings():
            return {settings}

        def test_settings(ours_emulator):
            pass
        """


def test_what_is_set_at_the_start_cannot_be_set_for_a_running_emulator(runs: Runs) -> None:
    result = runs(with_settings({"keep": 5}))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*keep cannot be set for an emulator that is running already*"])


def test_a_setting_that_is_unknown_is_told_with_the_nearest_name(runs: Runs) -> None:
    source = with_settings({"toknes": ["live"]})
    nearest = {True: "cannot be set for an emulator that is running already", False: "unknown setting"}
    for attach, told in nearest.items():
        assert errors_of(runs(source, attach=attach)) == [
            f"ours_emulator_settings: toknes{'' if attach else ':'} {told}; did you mean tokens?"
        ]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("None", " must return a dict of settings, such as {'tokens': ['live_123']}, not None"),
        ("['tokens']", " must return a dict of settings, such as {'tokens': ['live_123']}, not ['tokens']"),
        ("{'tokens': 'live'}", ": tokens must be a list of tokens, such as ['live_123'], not 'live'"),
        ("{'keep': 0}", ": keep: must be at least 1"),
        ("{'keep': print}", ": keep: <built-in function print> is not a value of a setting"),
        ("{'database': '/no/such.db'}", ": /no/such.db cannot be opened: the folder /no does not exist; create it"),
        ("{'command': ['x']}", ": command is not a setting; use --ours-emulator-command, or OURS_EMULATOR_COMMAND"),
    ],
)
def test_settings_that_are_not_valid_are_told_in_one_line(runs: Runs, settings: str, told: str) -> None:
    result = runs(with_settings(settings), attach=False)
    assert errors_of(result) == [f"ours_emulator_settings{told}"]


def test_a_port_that_is_in_use_is_told_in_one_line(runs: Runs) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = runs(
            f"""
            import pytest

            @pytest.fixture(scope="session")
            def ours_emulator_settings():
                return {{"port": {port}}}

            def test_settings(ours_emulator):
                pass
            """,
            attach=False,
        )
    (told,) = errors_of(result)
    assert told.startswith(f"ours_emulator_settings: cannot listen on 127.0.0.1:{port}: Address already in use; ")


def test_an_ini_setting_that_is_not_valid_is_told_by_its_name(runs: Runs) -> None:
    result = runs("def test_it(ours_emulator): pass", "-o", "ours_emulator_strict=maybe")
    result.stderr.fnmatch_lines(["ERROR: ours_emulator_strict in the ini file must be true or false: *maybe*"])


@pytest.mark.parametrize("given_by", ["option", "variable", "ini"])
def test_an_emulator_that_is_not_there_is_reported_with_where_its_url_comes_from(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, given_by: str
) -> None:
    url = "http://127.0.0.1:9"
    places = {
        "option": "--ours-emulator-url",
        "variable": "OURS_EMULATOR_URL",
        "ini": "ours_emulator_url in the ini file",
    }
    if given_by == "variable":
        monkeypatch.setenv("OURS_EMULATOR_URL", url)
    options = {"option": [f"--ours-emulator-url={url}"], "variable": [], "ini": ["-o", f"ours_emulator_url={url}"]}
    result = runs("def test_it(ours_emulator): pass", *options[given_by], attach=False)
    (told,) = errors_of(result)
    assert told.startswith(f"no emulator answers at {url}: ")
    assert told.endswith(f" (the URL is that of {places[given_by]})")


@pytest.mark.parametrize("token", [None, "wrong"])
def test_an_admin_token_that_is_missing_or_wrong_is_reported_once_at_the_set_up(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    if token is not None:
        monkeypatch.setenv("OURS_EMULATOR_ADMIN_TOKEN", token)
    with serving(admin_token="secret") as guarded:
        monkeypatch.setenv("OURS_EMULATOR_URL", guarded.url)
        result = runs("def test_it(ours_emulator): pass", attach=False)
    assert errors_of(result) == ["the admin token is missing or wrong; set OURS_EMULATOR_ADMIN_TOKEN to it"]


@pytest.mark.parametrize("given_by", ["option", "variable", "ini"])
def test_a_command_that_cannot_be_run_is_reported_as_it_was_given(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, given_by: str
) -> None:
    places = {
        "option": "--ours-emulator-command",
        "variable": "OURS_EMULATOR_COMMAND",
        "ini": "ours_emulator_command in the ini file",
    }
    if given_by == "variable":
        monkeypatch.setenv("OURS_EMULATOR_COMMAND", "no-such -x")
    options = {
        "option": ["--ours-emulator-command=no-such -x"],
        "variable": [],
        "ini": ["-o", "ours_emulator_command=no-such -x"],
    }
    told = errors_of(runs("def test_it(ours_emulator): pass", *options[given_by], attach=False))
    problem = "'no-such -x' cannot be run to start the emulator: No such file or directory"
    assert told == [f"{problem} (the command is that of {places[given_by]})"]


@pytest.mark.parametrize("given_by", ["option", "variable", "ini"])
def test_a_running_emulator_is_attached_to(
    runs: Runs, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, given_by: str
) -> None:
    with serving() as other:
        options = [f"--ours-emulator-url={other.url}"] if given_by == "option" else []
        if given_by == "variable":
            monkeypatch.setenv("OURS_EMULATOR_URL", f"{other.url}/accounts/somebody")
        if given_by == "ini":
            pytester.makeini(f"[pytest]\nours_emulator_url = {other.url}")
        runs(
            f"def test_it(ours_emulator): assert ours_emulator.server_url == {other.url!r}", *options, attach=False
        ).assert_outcomes(passed=1)


def test_a_failing_test_prints_what_arrived_and_a_passing_one_nothing(runs: Runs) -> None:
    result = runs(
        """
        def test_fails(ours_emulator, track):
            track(userId="u", properties={"coupon": "X"})
            track()
            assert False

        def test_sends_elsewhere(ours_emulator):
            assert False

        def test_passes(ours_emulator, track):
            track(userId="quiet")
        """,
        "-rP",
    )
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(
        [
            "*- ours-emulator -*",
            "http://*/accounts/test-fails-*: 2 requests, 1 event accepted, 1 rejected, 1 hint",
            "+0.000 s  ACCEPTED 200 POST /api/v1/track #* Signed Up visitor=u",
            "*hint properties: dropped; did you mean eventProperties? [[]unknown-keys]",
            "+[0-9].[0-9]* s  REJECTED 400 POST /api/v1/track #* Signed Up needs one of userId, * [[]identifier]",
            "http://*/accounts/test-sends-elsewhere-*: 0 requests, 0 events accepted",
            "nothing arrived: does the app read its base URL from OURS_PRIVACY_BASE_URL (http://*/api/v1)?",
        ]
    )
    result.stdout.no_fnmatch_line("*quiet*")
    assert result.stdout.str().count("- ours-emulator -") == 2
    assert result.stdout.str().count("nothing arrived") == 1


def test_a_failing_test_prints_why_the_last_wait_failed(runs: Runs) -> None:
    result = runs(
        """
        import pytest

        def test_caught(ours_emulator, track):
            track(email="b@b.co")
            with pytest.raises(AssertionError):
                ours_emulator.wait_for("Signed Up", email="a@b.co", timeout=0.05)
            assert False

        def test_raised(ours_emulator, track):
            track(email="b@b.co")
            ours_emulator.wait_for("Signed Up", email="a@b.co", timeout=0.05)
        """
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*the last wait failed*", "*email: expected 'a@b.co', got 'b@b.co'*"])
    assert result.stdout.str().count("the last wait failed") == 1


@pytest.mark.parametrize("sent", ["userId='u', properties={}", "", "userId='u', event='Other'"])
def test_strict_fails_on_hints_refusals_and_drops(runs: Runs, sent: str) -> None:
    result = runs(
        f"""
        import pytest

        @pytest.mark.ours_emulator(strict=True, allowed_events=["Signed Up"])
        def test_strict(ours_emulator, track):
            track({sent})

        @pytest.mark.ours_emulator(allowed_events=["Signed Up"])
        def test_lenient(ours_emulator, track):
            track({sent})
        """
    )
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["strict: 1 problem: #*", "*- ours-emulator -*"])


def test_strict_lets_pass_what_is_as_meant_and_planned_faults(runs: Runs) -> None:
    runs(
        """
        import pytest

        @pytest.mark.ours_emulator(strict=True)
        def test_strict(ours_emulator, track):
            assert track(userId="u") == 200
            with ours_emulator.fault(status=503):
                assert track(userId="u") == 503
        """
    ).assert_outcomes(passed=1)


def test_strict_in_the_ini_file_is_for_all_tests_but_those_that_say_otherwise(
    runs: Runs, pytester: pytest.Pytester
) -> None:
    pytester.makeini("[pytest]\nours_emulator_strict = true")
    runs(
        """
        import pytest

        def test_strict(ours_emulator, track):
            track()

        @pytest.mark.ours_emulator(strict=False)
        def test_lenient(ours_emulator, track):
            track()
        """
    ).assert_outcomes(failed=1, passed=1)


def test_strict_is_about_what_came_to_the_session_during_the_test_too(runs: Runs, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nours_emulator_strict = true")
    runs(
        """
        import pytest

        @pytest.mark.ours_emulator(strict=False)
        def test_lenient(ours_emulator_session, track):
            track()

        def test_fails(ours_emulator_session, track):
            track()

        def test_passes(ours_emulator_session, track):
            assert track(userId="u") == 200
        """
    ).assert_outcomes(failed=1, passed=2)


def test_strict_is_about_accounts_that_are_opened_or_asked_for_during_the_test_too(runs: Runs) -> None:
    runs(
        """
        import httpx
        import pytest

        pytestmark = pytest.mark.ours_emulator(strict=True)

        def send(emulator):
            httpx.post(f"{emulator.ingest_url}/track", json={"token": "t"}, trust_env=False)

        def test_opened(ours_emulator):
            send(ours_emulator.open_account())

        def test_asked_for(request):
            send(request.getfixturevalue("ours_emulator"))
        """
    ).assert_outcomes(failed=2)


def test_production_stays_out_of_reach_after_the_test(runs: Runs) -> None:
    result = runs(
        """
        import socket
        import threading

        go, errors = threading.Event(), []

        def connect():
            go.wait(10)
            try:
                socket.create_connection(("api.oursprivacy.com", 443))
            except OSError as error:
                errors.append(error)

        late = threading.Thread(target=connect)

        def test_with_a_thread_that_outlives_it(ours_emulator):
            late.start()

        def test_without_the_fixture():
            go.set()
            late.join()
            [error] = errors
            assert "OURS_PRIVACY_BASE_URL" not in str(error)

        def test_that_fails_later(ours_emulator):
            assert False
        """
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*test_without_the_fixture*", f"E *{ADVICE}", "*test_that_fails_later*"])
    # Where CI is set, pytest's summary has the whole message of the assertion once more.
    details, _ = result.stdout.str().split("short test summary info")
    assert details.splitlines().count(f"E       {ADVICE}") == 1
    assert ADVICE not in details.splitlines()


def test_strict_fails_on_an_attempt_to_reach_production_in_its_test_only(runs: Runs) -> None:
    result = runs(
        """
        import socket
        import pytest

        pytestmark = pytest.mark.ours_emulator(strict=True)

        def test_tries(ours_emulator):
            for _ in range(2):
                with pytest.raises(OSError):
                    socket.getaddrinfo("api.oursprivacy.com", 443)

        def test_does_not(ours_emulator):
            pass
        """
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([ADVICE_FOR_EARLY_CLIENT, "*- ours-emulator -*", "http://*: 0 requests, *"])
    details, _ = result.stdout.str().split("short test summary info")
    assert details.count(ADVICE_FOR_EARLY_CLIENT) == 1


def test_an_attempt_to_reach_production_fails_the_test_whatever_the_app_makes_of_it(runs: Runs) -> None:
    result = runs(
        """
        import socket
        import pytest

        def attempt():
            try:
                socket.create_connection(("api.oursprivacy.com", 443))
            except OSError:
                pass  # as many apps do

        @pytest.fixture
        def late():
            yield
            attempt()

        def test_with_the_fixture(ours_emulator):
            attempt()

        def test_without_the_fixture():
            attempt()

        def test_at_the_end(late):
            pass

        def test_that_does_not(ours_emulator):
            pass
        """
    )
    result.assert_outcomes(passed=2, failed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_at_the_end*", ADVICE])


def test_a_client_made_at_import_shows_why_it_cannot_connect(runs: Runs) -> None:
    result = runs(
        """
        from ours_privacy import OursPrivacy

        client = OursPrivacy(max_retries=0)

        def test_signup(ours_emulator):
            client.track.event(token="t", event="Signed Up", user_id="u")
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *APIConnectionError: Connection error.", f"E *{ADVICE_FOR_EARLY_CLIENT}"])
    # In CI pytest's own summary has the whole message once more.
    report = "\n".join(result.stdout.lines).partition("short test summary")[0]
    assert ADVICE_FOR_EARLY_CLIENT not in report.splitlines()


@pytest.mark.parametrize("attach", [True, False])
def test_a_client_of_an_earlier_test_is_named_in_the_report(runs: Runs, attach: bool) -> None:
    result = runs(
        """
        from functools import cache

        from ours_privacy import APIStatusError, OursPrivacy

        @cache
        def client():
            return OursPrivacy(max_retries=0)

        def test_that_makes_it(ours_emulator):
            client().track.event(token="t", event="Signed Up", user_id="u")

        def test_that_fails_before_it_sends(ours_emulator):
            assert False

        def test_that_sends_elsewhere(ours_emulator):
            try:
                client().track.event(token="t", event="Signed Up", user_id="u")
            except APIStatusError:
                pass  # as many apps do
            ours_emulator.assert_tracked("Signed Up")

        def test_that_fails_after_it(ours_emulator):
            assert False
        """,
        attach=attach,
    )
    result.assert_outcomes(passed=1, failed=3)
    told = "1 request came too late to the closed account of an earlier test; *client.with_options(base_url=*"
    result.stdout.fnmatch_lines(["*test_that_sends_elsewhere*", told])
    assert result.stdout.str().count("came too late") == 1


def test_rules_that_are_ignored_do_not_fail_strict_tests(runs: Runs, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nours_emulator_strict = true\nours_emulator_strict_ignore = allow-list")
    runs(
        """
        import pytest

        @pytest.mark.ours_emulator(allowed_events=["Paid"], strict_ignore=["unknown-keys"])
        def test_both(ours_emulator, track):
            track(userId="u")
            track(userId="u", event="Paid", properties={})

        @pytest.mark.ours_emulator(strict_ignore="identifier")
        def test_refusal(ours_emulator, track):
            track()

        @pytest.mark.ours_emulator(allowed_events=["Paid"])
        def test_ini_alone(ours_emulator, track):
            track(userId="u")
            track(userId="u", event="Paid", properties={})
        """
    ).assert_outcomes(passed=2, failed=1)


def test_an_unknown_rule_to_ignore_in_the_ini_file_is_reported(runs: Runs, pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nours_emulator_strict = true\nours_emulator_strict_ignore = nonsense")
    result = runs("def test_it(ours_emulator): pass")
    result.assert_outcomes(errors=1)
    told = "ours_emulator_strict_ignore: unknown rule 'nonsense'; docs/rules.md lists the rules"
    result.stdout.fnmatch_lines([told])


def test_what_strict_openapi_refuses_is_ignored_by_the_rule_schema(runs: Runs) -> None:
    runs(
        """
        import pytest

        @pytest.mark.ours_emulator(strict=True, strict_openapi=True, strict_ignore=["schema"])
        def test_it(ours_emulator, track):
            track(userId="u", eventProperties={"amount": 5})
        """
    ).assert_outcomes(passed=1)


def test_what_production_is_blocked_with_is_gone_after_the_session(runs: Runs) -> None:
    before = socket.getaddrinfo, socket.create_connection
    runs("def test_it(ours_emulator): pass").assert_outcomes(passed=1)
    assert (socket.getaddrinfo, socket.create_connection) == before


def test_the_marker_stops_the_clock(runs: Runs) -> None:
    runs(
        """
        from datetime import datetime, UTC
        import pytest

        pytestmark = pytest.mark.ours_emulator(clock="2026-01-01T00:00:00Z", allowed_events=["Paid"])

        def test_old(ours_emulator, track):
            assert ours_emulator.clock.now() == datetime(2026, 1, 1, tzinfo=UTC)
            track(userId="u", event="Paid")
            assert ours_emulator.events()[0].received_at == datetime(2026, 1, 1, tzinfo=UTC)

        @pytest.mark.ours_emulator(clock=1_600_000_000_000)
        def test_the_closest_marker_wins(ours_emulator, track):
            assert ours_emulator.clock.now().year == 2020
            track(userId="u")
            assert ours_emulator.events() == []
        """
    ).assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ("stric=True", "unknown option stric; did you mean strict?"),
        ("True", "it takes keyword arguments only, such as strict=True; got True"),
        ("strict='yes'", "strict must be True or False, not 'yes'"),
        ("strict_openapi=1", "strict_openapi must be True or False, not 1"),
        ("revision=2026", "revision must be the name of a revision, such as '2026-10', not 2026"),
        ("revision='2026-09'", "revision: must be '2026-05' or '2026-10'"),
        ("strict_ignore=3", "strict_ignore must be a list of rules, such as ?'unknown-keys'?, not 3"),
        (
            "strict=True, strict_ignore=['unknown-key']",
            "strict_ignore: unknown rule 'unknown-key'; did you mean unknown-keys?; docs/rules.md lists the rules",
        ),
        ("tokens='live'", "tokens must be a list of tokens, such as ?'live_123'?, not 'live'"),
        ("tokens=[]", "tokens must not be empty; omit it to use the default"),
        ("public_keys=['key']", "public_keys.0: a key must begin with pk_ or sk_"),
        ("allowed_events='Paid'", "allowed_events must be a list of names, such as ?'Paid'?, not 'Paid'"),
        ("clock=1.5", "clock must be a datetime, ISO 8601, or milliseconds since the epoch, not 1.5"),
        ("clock='soon'", "clock: 'soon' is not a valid timestamp; use ISO 8601"),
        ("seed=5", "seed must be the path of a file, not 5"),
        ("experiments=['e']", "experiments must be a dict, such as {'checkout': *}, not ?'e'?"),
        ("experiments={'e': {}}", "experiments.e.variants: is missing"),
        ("tracking_plan=5", "tracking_plan must be a dict, such as {'events': *, or the path of a file, not 5"),
        ("tracking_plan='no.yaml'", "tracking_plan no.yaml: no such file; looked for *no.yaml"),
        ("tracking_plan={'events': {'A': {'typ': 1}}}", "tracking_plan: events.A.typ: is not a keyword of JSON Schema"),
    ],
)
def test_a_mistake_in_the_marker_is_reported_in_one_form(runs: Runs, mistake: str, told: str) -> None:
    result = runs(
        f"""
        import pytest

        @pytest.mark.ours_emulator({mistake})
        def test_it(ours_emulator):
            pass
        """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"marker ours_emulator: {told}*"])
    result.stdout.no_fnmatch_line("*pytest_support*")


def test_a_marker_without_the_fixture_is_a_mistake_unless_it_may_be_meant_for_other_tests(runs: Runs) -> None:
    result = runs(
        """
        import pytest

        pytestmark = pytest.mark.ours_emulator(allowed_events=["Paid"])

        @pytest.mark.ours_emulator(strict=True)
        def test_that_forgot_it():
            pass

        @pytest.mark.ours_emulator(strict=True)
        def test_that_asks_late(request):
            request.getfixturevalue("ours_emulator")

        @pytest.mark.ours_emulator(strict=True)
        def test_of_the_session(ours_emulator_session):
            pass

        def test_with_the_marker_of_the_module():
            pass
        """
    )
    result.assert_outcomes(passed=3, failed=1)
    told = "marker ours_emulator: the test does not use the fixture ours_emulator; request it, or remove the marker"
    result.stdout.fnmatch_lines([told])


def test_a_setting_that_is_refused_is_told_from_the_marker(runs: Runs) -> None:
    result = runs(with_settings({"public_keys": ["key"]}), attach=True)
    result.stdout.fnmatch_lines(["ours_emulator_settings: public_keys.0: a key must begin with pk_ or sk_*"])


def test_a_seed_that_is_nowhere_is_reported_with_both_places(runs: Runs, pytester: pytest.Pytester) -> None:
    below = pytester.mkdir("below") / "test_seed.py"
    test = "def test_seeded(ours_emulator): pass"
    below.write_text(f"import pytest\n@pytest.mark.ours_emulator(seed='none.jsonl')\n{test}\n")
    result = runs("", str(below))
    places = f"{pytester.path / 'below' / 'none.jsonl'} and {pytester.path / 'none.jsonl'}"
    result.stdout.fnmatch_lines([f"*seed none.jsonl: no such file; looked for {places}"])


@pytest.mark.parametrize(
    ("seed", "told"),
    [
        ("nosuch.jsonl", "no such file; looked for"),
        ("bad.jsonl", "line 1"),
        ("latin.jsonl", "is not UTF-8; save it"),
    ],
)
def test_a_seed_that_cannot_be_sown_is_reported_in_one_line(
    runs: Runs, pytester: pytest.Pytester, seed: str, told: str
) -> None:
    pytester.path.joinpath("bad.jsonl").write_text("no JSON\n")
    pytester.path.joinpath("latin.jsonl").write_bytes(b"\xe9\n")
    result = runs(
        f"""
        import pytest

        @pytest.mark.ours_emulator(seed="{seed}")
        def test_it(ours_emulator):
            pass
        """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"marker ours_emulator: seed {seed}: *{told}*"])
    result.stdout.no_fnmatch_line("*pytest_support*")
    result.stdout.no_fnmatch_line("*During handling*")


def test_marker_and_option_are_documented(runs: Runs) -> None:
    runs("", "--markers").stdout.fnmatch_lines(["@pytest.mark.ours_emulator(strict, *"])
    runs("", "--help").stdout.fnmatch_lines(["*--ours-emulator-url=URL*", "*ours_emulator_strict (bool)*"])
    runs("", "--fixtures").stdout.fnmatch_lines(["ours_emulator -- *", "*fresh account*"])


def test_the_server_is_started_once_for_all_tests(pytester: pytest.Pytester) -> None:
    pytester.path.joinpath("conftest.py").write_text(
        """
from pathlib import Path
import pytest

servers = set()

@pytest.fixture(autouse=True)
def seen(ours_emulator):
    servers.add(ours_emulator.server_url)

def pytest_sessionfinish():
    Path("servers").write_text(str(len(servers)))
"""
    )
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("number", range(20))
        def test_it(ours_emulator, number): pass
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=20)
    assert (pytester.path / "servers").read_text() == "1"


HEAVY = {"fastapi", "sqlalchemy", "uvicorn", "httpx", "pydantic", "starlette", "click"}


def test_a_run_that_does_not_use_the_plugin_imports_nothing_heavy(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_PLUGINS", "ours_emulator.pytest_plugin")
    pytester.makepyfile(
        """
        import json, sys
        from pathlib import Path

        def test_it():
            Path("seen.json").write_text(json.dumps(list(sys.modules)))
        """
    )
    done = pytester.runpytest_subprocess()
    done.assert_outcomes(passed=1)
    loaded = set(json.loads((pytester.path / "seen.json").read_text()))
    assert "ours_emulator.pytest_plugin" in loaded
    assert not loaded & HEAVY
    assert not {name for name in loaded if name.startswith("ours_emulator.")} - {"ours_emulator.pytest_plugin"}


def test_a_run_that_uses_the_fixture_imports_nothing_heavy(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_PLUGINS", "ours_emulator.pytest_plugin")
    pytester.makepyfile(
        f"""
        import sys

        def test_it(ours_emulator, ours_emulator_async):
            with ours_emulator.fault(status=503):
                assert ours_emulator.events() == []
            assert not sys.modules.keys() & {HEAVY}
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_plugin_alone_imports_nothing_heavy() -> None:
    script = "import sys, ours_emulator.pytest_plugin; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert not set(done.stdout.split()) & HEAVY


@pytest.mark.parametrize("attach", [True, False])
def test_workers_of_xdist_have_accounts_apart(runs: Runs, attach: bool) -> None:
    result = runs(
        """
        from pathlib import Path
        import pytest

        @pytest.mark.parametrize("number", range(8))
        def test_it(ours_emulator, ours_emulator_server, track, number):
            track(userId="u", distinctId="same")
            assert [event.repeats for event in ours_emulator.events()] == [0]
            Path(f"{number}.url").write_text(ours_emulator_server.url)
        """,
        "-n2",
        attach=attach,
    )
    result.assert_outcomes(passed=8)
    urls = {path.read_text() for path in Path.cwd().glob("*.url")}
    assert len(urls) == (1 if attach else 2)


def test_the_marker_begins_with_a_seed_that_is_not_the_tests_doing(runs: Runs, pytester: pytest.Pytester) -> None:
    with serving() as other:
        emulator = Emulator(other.url)
        other.default.track(event="Signed Up", userId="u", distinctId="d1")
        other.default.track()
        pytester.path.joinpath("seed.jsonl").write_text(emulator.export())
        emulator.close()
    runs(
        """
        import pytest

        @pytest.mark.ours_emulator(seed="seed.jsonl", strict=True)
        def test_seeded(ours_emulator, track):
            assert ours_emulator.visitor().visitor_id == "u"
            track(userId="u", distinctId="d1")
            assert len(ours_emulator.events()) == 1
        """
    ).assert_outcomes(passed=1)


def test_a_seed_is_not_the_tests_doing_where_no_bodies_are_kept(runs: Runs, pytester: pytest.Pytester) -> None:
    with serving() as other, Emulator(other.url) as emulator:
        other.default.track()
        pytester.path.joinpath("seed.jsonl").write_text(emulator.export())
    runs(
        """
        import pytest

        @pytest.fixture(scope="session")
        def ours_emulator_settings():
            return {"keep_body_bytes": 0}

        @pytest.mark.ours_emulator(seed="seed.jsonl", strict=True)
        def test_seeded(ours_emulator):
            assert len(ours_emulator.events(outcome="rejected")) == 1
        """,
        attach=False,
    ).assert_outcomes(passed=1)


@pytest.mark.parametrize("attach", [True, False])
def test_what_the_app_logs_is_all_that_is_captured(runs: Runs, attach: bool) -> None:
    runs(
        """
        import logging

        def test_it(ours_emulator, track, caplog):
            track(userId="u")
            ours_emulator.wait_for("Signed Up")
            ours_emulator.visitor()
            logging.getLogger("app").info("done")
            [sent, done] = caplog.records
            assert "/track" in sent.getMessage()
            assert caplog.get_records("setup") == []
        """,
        "--log-level=INFO",
        attach=attach,
    ).assert_outcomes(passed=1)


def test_a_subprocess_with_the_variables_talks_to_the_emulator(runs: Runs) -> None:
    runs(
        """
        import os
        import subprocess
        import sys

        SCRIPT = (
            "import os; from ours_privacy import OursPrivacy\\n"
            "with OursPrivacy() as client:\\n"
            " client.track.event(token=os.environ['OURS_EMULATOR_TOKEN'], event='Job Done', user_id='u')"
        )

        def test_it(ours_emulator):
            command = [sys.executable, "-c", SCRIPT]
            subprocess.run(command, env={**os.environ, **ours_emulator.env}, check=True)
            ours_emulator.assert_tracked("Job Done", count=1)
        """
    ).assert_outcomes(passed=1)
