"""The emulator of a run of pytest begins its process before the first test, if any test uses it."""

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from nested import FEW_PLUGINS
from ours_emulator.emulator import EmulatorError
from ours_emulator.emulator.local import handle_of
from ours_emulator.handshake import Order
from ours_emulator.parent_process import CHILDREN, Child
from waiting import is_running, until

CONFTEST = """
import os
import sys
from pathlib import Path

import pytest

def pids():
    parent_process = sys.modules.get("ours_emulator.parent_process")
    return [str(child.pid) for child in parent_process.CHILDREN] if parent_process else []

# After the plugin, and before the fixtures.
@pytest.hookimpl
def pytest_runtest_setup(item):
    Path(os.environ["NOTES"], item.name).write_text(" ".join(pids()))

@pytest.fixture
def serving(ours_emulator):
    return pids()
"""
TESTS = """
import pytest

def test_first(): pass

def test_using(serving): assert len(serving) == 1

@pytest.mark.skip
def test_skipped(serving): pass
"""
ORDER = Order({"port": 0, "log_format": "none"})


def noted(pytester: pytest.Pytester, *options: str, tests: str = TESTS) -> dict[str, Sequence[str]]:
    """Run *tests*; return the processes of emulators that there were when each of them began."""
    notes = pytester.path / "notes"
    notes.mkdir()
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(tests)
    environment = {**os.environ, **FEW_PLUGINS, "NOTES": str(notes)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    # A file: the end of a pipe is the end of all that have it open, and so of a process that was left behind.
    with (pytester.path / "output").open("w") as output:
        subprocess.run(command, cwd=pytester.path, env=environment, stdout=output, stderr=output, timeout=60)
    return {note.name: note.read_text().split() for note in notes.iterdir()}


def test_the_process_is_there_before_the_first_test_and_serves_the_one_that_uses_it(pytester: pytest.Pytester) -> None:
    before = noted(pytester)
    (pid,) = before["test_first"]
    assert before == {name: [pid] for name in ("test_first", "test_using")}
    assert not is_running(pid)


def test_a_process_that_no_test_wanted_ends_with_the_run(pytester: pytest.Pytester) -> None:
    (pid,) = noted(pytester, "-k", "first or skipped")["test_first"]
    assert not is_running(pid)


@pytest.mark.parametrize(
    "options", [("-k", "first"), ("--ours-emulator-url=http://127.0.0.1:9",), ("-n1", "-k", "first or skipped")]
)
def test_no_process_begins_if_no_test_uses_it_or_the_emulator_runs_elsewhere_or_a_worker_may_not_need_it(
    pytester: pytest.Pytester, options: tuple[str, ...]
) -> None:
    assert noted(pytester, *options)["test_first"] == []


@pytest.mark.parametrize("option", ["--collect-only", "--fixtures"])
def test_no_process_begins_where_no_test_runs(pytester: pytest.Pytester, option: str) -> None:
    begun = pytester.path / "begun"
    noted(pytester, option, f"--ours-emulator-command=touch {begun}")
    assert not begun.exists()


def test_a_process_that_waits_for_its_order_ends_with_its_parent(pytester: pytest.Pytester) -> None:
    tests = "import os\ndef test_first(): os.kill(os.getpid(), 9)\ndef test_using(serving): pass\n"
    (pid,) = noted(pytester, tests=tests)["test_first"]
    until(lambda: not is_running(pid))


def test_what_the_emulator_writes_belongs_to_the_tests_it_is_written_for(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def ours_emulator_settings():
            return {"log_format": "json"}
        """
    )
    pytester.makepyfile(
        """
        import urllib.request

        def test_first(): pass

        def test_using(ours_emulator):
            url = ours_emulator.ingest_url + "/track"
            body = b'{"token": "t", "event": "Paid", "userId": "u"}'
            urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": "application/json"})).read()
            ours_emulator.wait_for("Paid")
            assert 0
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    lines = result.stdout.lines
    (logged,) = (number for number, line in enumerate(lines) if line.startswith("{") and '"Paid"' in line)
    begins = [number for number, line in enumerate(lines) if "Captured stderr" in line]
    assert begins
    assert begins[0] < logged


@pytest.mark.parametrize("left", ["os.kill(CHILDREN[0].pid, 9)", "os.chdir('elsewhere')"])
def test_a_process_that_was_killed_or_left_in_another_folder_is_replaced(pytester: pytest.Pytester, left: str) -> None:
    pytester.mkdir("elsewhere")
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def ours_emulator_settings():
            return {"database": "x.db"}
        """
    )
    pytester.makepyfile(
        f"""
        import os
        from pathlib import Path
        from ours_emulator.parent_process import CHILDREN

        def test_first():
            (child,) = CHILDREN
            Path("{pytester.path}/pid").write_text(str(child.pid))
            {left}

        def test_using(ours_emulator):
            (child,) = CHILDREN
            assert str(child.pid) != Path("{pytester.path}/pid").read_text()
            assert Path("x.db").exists()
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)
    assert not is_running((pytester.path / "pid").read_text())


def test_the_command_is_the_one_of_when_the_emulator_is_wanted(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OURS_EMULATOR_COMMAND", raising=False)
    pytester.makepyfile(
        """
        import os

        def test_first():
            os.environ["OURS_EMULATOR_COMMAND"] = "no-such-command"

        def test_using(ours_emulator): pass
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*'no-such-command' cannot be run*"])


def test_each_set_up_of_the_server_has_a_process_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session", params=[True, False])
        def ours_emulator_settings(request):
            return {"require_identifier": request.param}
        """
    )
    pytester.makepyfile("def test_using(ours_emulator): assert ours_emulator.version()")
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error").assert_outcomes(passed=2)


def test_a_prepared_process_takes_the_order_that_comes_later() -> None:
    others = list(CHILDREN)
    child = Child()
    child.prepare()
    pid = child.pid
    with child.running(ORDER):
        assert child.pid == pid
        assert handle_of(child).version()
    assert others == CHILDREN
    with pytest.raises(EmulatorError, match="has no emulator yet"):
        handle_of(child)


def test_a_process_that_waits_has_imported_what_it_will_need() -> None:
    """With its order there already it begins without that."""
    rest = {"ours_emulator.debug.app", "ours_emulator.store.sqlite.engine"}
    command = [sys.executable, "-X", "importtime", "-m", "ours_emulator", "child-process"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stderr
        missing = set(rest)
        while missing:
            line = process.stderr.readline()
            assert line, f"ended without importing {missing}"
            missing.discard(line.rpartition("|")[2].strip())
        process.kill()
    given = subprocess.run(command, input="no order\n", capture_output=True, text=True, timeout=60)
    imported = {line.rpartition("|")[2].strip() for line in given.stderr.splitlines()}
    assert "ours_emulator.child_process" in imported
    assert imported.isdisjoint(rest)
