"""The emulator of a run of pytest begins its process when the tests are collected, if some of them use it."""

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from nested import FEW_PLUGINS
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

@pytest.hookimpl(tryfirst=True)
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
    subprocess.run(command, cwd=pytester.path, env=environment, capture_output=True, timeout=60)
    return {note.name: note.read_text().split() for note in notes.iterdir()}


def test_the_process_is_there_before_the_first_test_and_serves_the_one_that_uses_it(pytester: pytest.Pytester) -> None:
    before = noted(pytester)
    (pid,) = before["test_first"]
    assert before == {name: [pid] for name in ("test_first", "test_using", "test_skipped")}
    assert not is_running(pid)


def test_a_process_that_no_test_wanted_ends_with_the_run(pytester: pytest.Pytester) -> None:
    (pid,) = noted(pytester, "-k", "first or skipped")["test_first"]
    assert not is_running(pid)


@pytest.mark.parametrize("options", [("-k", "first"), ("--ours-emulator-url=http://127.0.0.1:9",)])
def test_no_process_begins_if_no_test_uses_it_or_the_emulator_runs_elsewhere(
    pytester: pytest.Pytester, options: tuple[str, ...]
) -> None:
    assert noted(pytester, *options)["test_first"] == []


def test_no_process_begins_where_tests_are_only_collected(pytester: pytest.Pytester) -> None:
    begun = pytester.path / "begun"
    assert noted(pytester, "--collect-only", f"--ours-emulator-command=touch {begun}") == {}
    assert not begun.exists()


@pytest.mark.parametrize(("using", "prepared"), [(1, 0), (2, 1)])
def test_workers_of_xdist_begin_one_each_if_there_are_as_many_tests_for_them(
    pytester: pytest.Pytester, using: int, prepared: int
) -> None:
    tests = "".join(f"def test_{number}(serving): pass\n" for number in range(using))
    before = noted(pytester, "-n2", tests=tests)
    assert [len(pids) for pids in before.values()] == [prepared] * using


def test_a_process_that_waits_for_its_order_ends_with_its_parent(pytester: pytest.Pytester) -> None:
    tests = "import os\ndef test_first(): os.kill(os.getpid(), 9)\ndef test_using(serving): pass\n"
    (pid,) = noted(pytester, tests=tests)["test_first"]
    until(lambda: not is_running(pid))


def test_a_process_that_was_killed_while_it_waited_is_reported(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os
        from ours_emulator.parent_process import CHILDREN

        def test_first():
            os.kill(CHILDREN[0].pid, 9)

        def test_using(ours_emulator): pass
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*ended before the emulator was ready*"])


def test_a_prepared_process_takes_the_order_that_comes_later() -> None:
    child = Child()
    child.prepare()
    pid = child.pid
    with child.running(ORDER):
        assert child.pid == pid
        assert handle_of(child).version()
    assert CHILDREN == []


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
