"""The files that a failing test leaves in `.ours-emulator`: when, under which names, and how long they stay."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import forking
from looping import case
from nested import FEW_PLUGINS
from ours_emulator.emulator import Emulator
from ours_emulator.pytest_support.report_files import new_list, remove_old_reports
from serving import Server

COMMAND = Path(sys.executable).with_name("ours-emulator")
FOLDER = Path(".ours-emulator")
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")
"""A run of its own."""
PATIENCE = 90
FAILING = """
import os
import httpx
import pytest

def send(**fields):
    url = os.environ["OURS_PRIVACY_BASE_URL"] + "/track"
    with httpx.Client(trust_env=False) as http:
        http.post(url, json={"token": "live_5ba8cf1e7d", "userId": "u", **fields})

def test_it(ours_emulator):
    send(event="Other")
    ours_emulator.wait_for("Paid", timeout=0)
"""
MORE = FAILING.partition("def test_it")[0]


class Runs:
    """Runs of pytest in a directory of their own, attached to the emulator of this one."""

    def __init__(self, pytester: pytest.Pytester, server: Server) -> None:
        self._pytester = pytester
        self._options = ("-p", "no:cacheprovider", f"--ours-emulator-url={server.url}")

    def __call__(self, source: str, *options: str) -> pytest.RunResult:
        self._pytester.makepyfile(source)
        return self._pytester.runpytest_inprocess("-W", "error", *self._options, *options)


@pytest.fixture(scope="module", autouse=True)
def late_imports(server: Server) -> None:
    """Import what the debug API imports with its first call: pytester drops what is imported in a test."""
    server.default.debug("events")


@pytest.fixture(autouse=True)
def no_url_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OURS_EMULATOR_URL", "OURS_EMULATOR_COMMAND", "OURS_PRIVACY_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FEW_PLUGINS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def runs(pytester: pytest.Pytester, server: Server) -> Runs:
    return Runs(pytester, server)


def reported(lines: Sequence[str]) -> list[Path]:
    """The files that a run printed as its reports."""
    return [Path(line.removeprefix("report: ")) for line in lines if line.startswith("report: ")]


def left() -> set[str]:
    """The names of the reports in the folder."""
    return {path.name for path in FOLDER.glob("*") if path.suffix in (".html", ".jsonl")}


def test_a_failing_test_leaves_a_page_and_its_requests_and_prints_the_path(runs: Runs, server: Server) -> None:
    result = runs(FAILING)
    result.assert_outcomes(failed=1)
    (page,) = reported(result.outlines)
    assert page.is_absolute()
    assert page.parent == FOLDER.absolute()
    assert re.fullmatch(r"test_.*\.py-test_it-[0-9a-f]{8}\.html", page.name)
    html, requests = page.read_text(), page.with_suffix(".jsonl").read_text()
    assert "::test_it" in html
    assert "expected at least 1 event 'Paid'" in html
    with Emulator(server.account().url) as emulator:
        assert emulator.replay(requests).imported == 1
    for text in (html, requests):
        assert "Other" in text
        assert "live_5ba8cf1e7d" not in text
    assert (FOLDER / ".gitignore").read_text() == "*\n"


def test_a_passing_test_leaves_nothing(runs: Runs) -> None:
    runs("def test_it(ours_emulator): pass").assert_outcomes(passed=1)
    assert not FOLDER.exists()


def test_a_strict_test_that_passed_but_for_its_hints_leaves_a_report(runs: Runs) -> None:
    source = f"""{MORE}
@pytest.mark.ours_emulator(strict=True)
def test_it(ours_emulator):
    send(event="Paid", coupon="S")
"""
    (page,) = reported(runs(source).outlines)
    assert "strict: 1 problem" in page.read_text()


def test_a_failing_teardown_leaves_a_report_with_what_the_test_failed_with(runs: Runs) -> None:
    source = f"""{MORE}
@pytest.fixture
def without_hints(ours_emulator):
    yield
    assert not any(event.hints for event in ours_emulator.events()), "there were hints"

def test_passes(without_hints):
    send(event="Paid", coupon="S")

def test_fails(without_hints):
    send(event="Refunded", coupon="S")
    assert 0, "the test failed"

def test_is_fine(ours_emulator):
    pass
"""
    result = runs(source)
    result.assert_outcomes(passed=2, failed=1, errors=2)
    passes, fails, again = reported(result.outlines)
    assert "there were hints" in passes.read_text()
    assert '"event":"Paid"' in passes.read_text()
    assert again == fails
    for text in ("the test failed", "there were hints", '"event":"Refunded"'):
        assert text in fails.read_text()
    assert left() == {each.with_suffix(end).name for each in (passes, fails) for end in (".html", ".jsonl")}


def test_the_teardown_of_the_last_test_leaves_a_report_before_the_emulator_ends(pytester: pytest.Pytester) -> None:
    source = f"""{MORE}
@pytest.fixture
def failing(ours_emulator):
    yield
    assert 0, "teardown failed"

def test_passes(failing):
    send(event="Paid")
"""
    path = pytester.makepyfile(source)
    done = subprocess.run([*PYTEST, str(path)], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert "1 passed, 1 error" in done.stdout
    (page,) = reported(done.stdout.splitlines())
    assert "teardown failed" in page.read_text()
    assert '"event":"Paid"' in page.read_text()


def test_what_arrived_is_told_even_if_the_report_fails_and_each_failure_has_its_own_sentence(runs: Runs) -> None:
    source = f"""{MORE}
class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no text")

def test_it(ours_emulator):
    send(event="Paid")
    raise Unprintable
"""
    lines = runs(source).outlines
    assert any("1 request, 1 event accepted" in line for line in lines)
    assert "there is no report: ValueError: no text" in lines
    assert not any("what arrived is not known" in line for line in lines)


def test_a_list_of_files_is_locked_from_the_moment_that_it_has_its_name(tmp_path: Path) -> None:
    folder = str(tmp_path)

    def remove() -> None:
        for _ in range(5):
            remove_old_reports(tmp_path)

    with ThreadPoolExecutor(1) as pool:
        for _ in range(150):
            removing = pool.submit(remove)
            lists = [new_list(folder) for _ in range(5)]
            removing.result()
            assert len(list(tmp_path.glob(".*.list"))) == len(lists)
            for descriptor in lists:
                os.close(descriptor)
            remove_old_reports(tmp_path)
            assert list(tmp_path.iterdir()) == []


def test_the_account_of_the_session_and_opened_ones_have_reports_too(runs: Runs) -> None:
    source = f"""{MORE}
def test_it(ours_emulator, ours_emulator_session):
    ours_emulator.open_account(tokens=["t"])
    assert 0
"""
    pages = reported(runs(source).outlines)
    titles = [re.findall("<title>.*::test_it(.*)</title>", page.read_text())[0] for page in pages]
    assert len(set(pages)) == 3
    assert titles[0] == ""
    assert titles[1].startswith(", account account-")
    assert titles[2] == " (account of the session)"


def test_names_of_files_are_short_safe_and_unique(runs: Runs) -> None:
    values = [
        "a/b",
        "a:b",
        "a\\b",
        "../../x",
        "CON",
        "x" * 400,
        "y" * 400,
        "",
        ".",
        "é",
        "<script>",
        "a\nb",
        "\ud800",
        "%00",
    ]
    source = f"""{MORE}
@pytest.mark.parametrize("value", {values!a})
def test_it(ours_emulator, value):
    assert 0
"""
    pages = reported(runs(source).outlines)
    assert len({page.name.lower() for page in pages}) == len(values)
    for page in pages:
        with case(page.name):
            assert page.parent == FOLDER.absolute()
            assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*\.html", page.name)
            assert len(page.name) <= 150
            assert page.exists()


def test_what_cannot_be_written_is_one_line_and_no_error(runs: Runs) -> None:
    FOLDER.write_text("not a folder")
    result = runs(FAILING)
    result.assert_outcomes(failed=1)
    (line,) = [line for line in result.outlines if "report" in line and "written" in line]
    assert line == f"the report cannot be written to {FOLDER.absolute()}: Not a directory"
    assert FOLDER.read_text() == "not a folder"


def test_the_ini_file_turns_the_reports_off(runs: Runs, pytester: pytest.Pytester) -> None:
    runs(FAILING)
    before = left()
    pytester.makeini("[pytest]\nours_emulator_report = false")
    assert reported(runs(FAILING).outlines) == []
    assert left() == before
    pytester.makeini("[pytest]\nours_emulator_report = perhaps")
    assert "ours_emulator_report in the ini file must be true or false" in runs(FAILING).stderr.str()


def test_the_next_run_removes_the_reports_and_nothing_else(runs: Runs) -> None:
    runs(FAILING)
    old = left()
    (FOLDER / "mine.html").write_text("mine")
    outside = Path("outside.html")
    outside.write_text("outside")
    (FOLDER / "9-0.list").write_text("../outside.html\nnothing.html\n.gitignore\n/etc/hosts.html\n\0.html\n")
    runs("def test_it(ours_emulator): pass", "--collect-only")
    assert left() == {*old, "mine.html"}
    runs("def test_it(): pass").assert_outcomes(passed=1)
    assert left() == {"mine.html"}
    assert outside.exists()
    assert {path.name for path in FOLDER.iterdir()} == {"mine.html", ".gitignore"}


HOLDING = (
    FAILING
    + """
def test_holds(ours_emulator):
    import sys
    print("failed", file=sys.__stdout__, flush=True)
    sys.__stdin__.read(1)
"""
)


@pytest.fixture
def living(pytester: pytest.Pytester, server: Server) -> Iterator["subprocess.Popen[str]"]:
    """Another run in the same directory, which goes on until something is written to it."""
    path = pytester.makepyfile(test_holding=HOLDING)
    command = [*PYTEST, "-s", str(path)]
    with subprocess.Popen(
        [*command, f"--ours-emulator-url={server.url}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=pytester.path,
    ) as running:
        yield running


def test_a_run_that_lives_keeps_its_reports(living: "subprocess.Popen[str]", runs: Runs) -> None:
    assert living.stdout
    assert any(line.endswith("failed\n") for line in iter(living.stdout.readline, ""))
    kept = left()
    assert len(kept) == 2
    (same,) = reported(runs("", "test_holding.py", "-k", "test_it").outlines)
    assert same.name not in kept
    assert left() == {*kept, same.name, same.with_suffix(".jsonl").name}
    living.communicate("x")
    runs("def test_it(): pass", "--ignore=test_holding.py")
    assert left() == set()


def test_each_worker_of_xdist_writes_and_only_the_controller_removes(
    pytester: pytest.Pytester, runs: Runs, server: Server
) -> None:
    source = f"""{MORE}
@pytest.mark.parametrize("number", range(6))
def test_it(ours_emulator, number):
    assert 0
"""
    runs(source.replace("range(6)", "range(100, 103)"))
    assert len(left()) == 6
    path = pytester.makepyfile(source)
    command = [*PYTEST, "-n", "2", str(path)]
    attached = [*command, f"--ours-emulator-url={server.url}"]
    done = subprocess.run(attached, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert "6 failed" in done.stdout
    pages = reported(done.stdout.splitlines())
    assert {page.name for page in pages} == {name for name in left() if name.endswith(".html")}
    assert len(pages) == 6


def test_a_faked_file_system_and_a_frozen_clock_do_not_reach_the_report(pytester: pytest.Pytester) -> None:
    source = f"""{MORE}
from freezegun import freeze_time

@freeze_time("2020-01-01")
def test_it(ours_emulator, fs):
    assert 0
"""
    path = pytester.makepyfile(source)
    command = [*PYTEST, "-p", "pyfakefs.pytest_plugin", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    (page,) = reported(done.stdout.splitlines())
    assert {page.name, page.with_suffix(".jsonl").name} == left()
    assert '"made_at":"2020' not in page.read_text()


def test_a_test_that_fails_again_replaces_its_report(runs: Runs, pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            runtestprotocol(item, nextitem=nextitem, log=False)
        """
    )
    (page,) = reported(runs(FAILING).outlines)
    assert left() == {page.name, page.with_suffix(".jsonl").name}


def open_page(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return forking.run(["open", "--no-browser", *arguments], Path.cwd(), {**os.environ, **variables})


def test_open_shows_the_requests_that_a_failing_test_left(runs: Runs, tmp_path: Path) -> None:
    (page,) = reported(runs(FAILING).outlines)
    file = page.with_suffix(".jsonl")
    done = open_page(str(file), "-o", str(tmp_path / "out.html"))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path / 'out.html'}\n", "")
    html = (tmp_path / "out.html").read_text()
    assert f"<title>{file.name}</title>" in html
    assert '"event":"Other"' in html


def test_open_shows_the_outcomes_that_the_failing_test_had(runs: Runs, tmp_path: Path) -> None:
    test = """
@pytest.mark.ours_emulator(allowed_events=["Paid"], tokens=["live_1"])
def test_it(ours_emulator):
    send(event="Paid")
    send(event="Other", token="live_1")
    assert False
"""
    (page,) = reported(runs(MORE.replace("**fields}", "} | fields") + test).outlines)
    done = open_page(str(page.with_suffix(".jsonl")), "-o", str(tmp_path / "out.html"))
    assert (done.returncode, done.stderr) == (0, "")
    for html in (page.read_text(), (tmp_path / "out.html").read_text()):
        assert re.findall(r'"outcome":"(\w+)"', html).count("accepted") == 0
        assert {"dropped", "rejected"} <= set(re.findall(r'"outcome":"(\w+)"', html))


def test_open_says_what_is_answered_otherwise_than_when_recorded(tmp_path: Path) -> None:
    lines = tmp_path / "lines.jsonl"
    body = '{"token": "t", "event": "E", "userId": "u"}'
    lines.write_text(f'{{"path": "/track", "body": {body}, "received_at": 1767225600000, "status": 401}}\n')
    done = open_page(str(lines), "-o", str(tmp_path / "out.html"))
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'out.html'}\n")
    told = ["1 request answered with another status than when recorded", "line 1: answered 200, but 401 when recorded"]
    assert done.stderr.splitlines() == [f"ours-emulator: {each}" for each in told]
    assert all(each in (tmp_path / "out.html").read_text() for each in told)


def test_open_writes_to_a_temporary_file_unless_one_is_named(tmp_path: Path) -> None:
    lines = tmp_path / "lines.jsonl"
    lines.write_text(
        '{"path": "/track", "body": {"token": "t", "event": "E", "userId": "u"}, "received_at": 1767225600000}\n'
    )
    done = open_page(str(lines), TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    written = Path(done.stdout.strip())
    assert (written.parent.parent, written.name) == (tmp_path, "lines.html")
    assert '"account":"default"' in written.read_text()


def test_open_starts_the_browser(tmp_path: Path) -> None:
    lines = tmp_path / "lines.jsonl"
    lines.write_text("")
    env = {**os.environ, "BROWSER": f"sh -c 'echo %s > {tmp_path}/opened'", "DISPLAY": ":0"}
    command = [str(COMMAND), "open", str(lines), "-o", str(tmp_path / "out.html")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "opened").read_text().strip() == (tmp_path / "out.html").as_uri()


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        (None, (), "lines.jsonl cannot be read: No such file or directory; check the path"),
        ("not json", (), "lines.jsonl: line 1: not JSON: "),
        ("{}", (), "lines.jsonl: line 1: path: "),
        ("", ("-o", "nowhere/out.html"), "nowhere/out.html cannot be written: the folder nowhere does not exist"),
    ],
)
def test_what_open_cannot_do_is_one_line(
    tmp_path: Path, content: str | None, options: tuple[str, ...], told: str
) -> None:
    file = tmp_path / "lines.jsonl"
    if content is not None:
        file.write_text(content)
    done = open_page(str(file), *options)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("ours-emulator: ")
    assert told in line
