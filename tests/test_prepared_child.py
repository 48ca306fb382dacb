"""The emulator of a run of pytest begins its process before the fixtures of the first test, if that test uses it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from nested import FEW_PLUGINS
from ours_emulator.emulator import EmulatorError
from ours_emulator.emulator.local import handle_of
from ours_emulator.handshake import Order
from ours_emulator.parent_process import CHILDREN, Child
from waiting import is_running

CONFTEST = """
import os
import sys
from pathlib import Path

import pytest

def pids():
    parent_process = sys.modules.get("ours_emulator.parent_process")
    return [str(child.pid) for child in parent_process.CHILDREN] if parent_process else []

def pytest_runtest_setup(item):
    # After the plugin, and before the fixtures.
    Path(os.environ["NOTES"], item.name).write_text(" ".join(pids()))
"""
USING = "def test_using(ours_emulator): assert ours_emulator.version()\n"
OTHER = """
import os
import pytest

def test_other():
    with pytest.raises(ChildProcessError):
        os.wait()
"""


def noted(pytester: pytest.Pytester, tests: str, *options: str) -> dict[str, Sequence[str]]:
    """Run *tests*; return the processes of emulators that there were before the fixtures of each of them."""
    notes = pytester.mkdir("notes")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(tests)
    environment = {**os.environ, **FEW_PLUGINS, "NOTES": str(notes)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    # A file: the end of a pipe is the end of all that have it open, and so of a process that was left behind.
    with (pytester.path / "output").open("w") as output:
        subprocess.run(command, cwd=pytester.path, env=environment, stdout=output, stderr=output, timeout=60)
    return {note.name: note.read_text().split() for note in notes.iterdir()}


def test_the_process_is_there_before_the_fixtures_of_a_first_test_that_uses_it(pytester: pytest.Pytester) -> None:
    before = noted(pytester, USING + "def test_other(): pass\n")
    (pid,) = before["test_using"]
    assert before == {name: [pid] for name in ("test_using", "test_other")}
    assert not is_running(pid)
    assert "2 passed" in (pytester.path / "output").read_text()


def test_a_first_test_that_does_not_use_it_is_not_the_parent_of_a_process(pytester: pytest.Pytester) -> None:
    """It may wait for all its child processes."""
    assert noted(pytester, OTHER + USING) == {"test_other": [], "test_using": []}
    assert "2 passed" in (pytester.path / "output").read_text()


def test_a_process_that_the_first_test_does_not_take_ends_with_its_set_up(pytester: pytest.Pytester) -> None:
    failing = "import pytest\n@pytest.fixture(autouse=True, scope='session')\ndef failing(): 1 / 0\n"
    before = noted(pytester, failing + USING + "def test_other(): pass\n")
    (pid,) = before["test_using"]
    assert before["test_other"] == []
    assert not is_running(pid)


def test_no_process_begins_if_the_emulator_of_the_run_is_elsewhere(pytester: pytest.Pytester) -> None:
    assert noted(pytester, USING, "--ours-emulator-url=http://127.0.0.1:9") == {"test_using": []}


def test_what_the_emulator_writes_belongs_to_the_test_it_is_written_for(pytester: pytest.Pytester) -> None:
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

        def test_using(ours_emulator):
            url = ours_emulator.ingest_url + "/track"
            body = b'{"token": "t", "event": "Paid", "userId": "u"}'
            urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": "application/json"})).read()
            ours_emulator.wait_for("Paid")
            assert 0
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    lines = result.stdout.lines
    (logged,) = (number for number, line in enumerate(lines) if line.startswith("{") and '"Paid"' in line)
    begins = [number for number, line in enumerate(lines) if "Captured stderr" in line]
    assert begins
    assert begins[0] < logged


@pytest.mark.parametrize("leave", ["os.kill(child.pid, 9)", "os.chdir('elsewhere')"])
def test_a_process_that_was_killed_or_left_in_another_folder_is_replaced(pytester: pytest.Pytester, leave: str) -> None:
    pytester.mkdir("elsewhere")
    pytester.makeconftest(
        f"""
        import os
        from pathlib import Path
        import pytest

        @pytest.fixture(scope="session")
        def ours_emulator_settings():
            from ours_emulator.parent_process import CHILDREN

            (child,) = CHILDREN
            Path("pid").write_text(str(child.pid))
            {leave}
            return {{"database": "x.db"}}
        """
    )
    pytester.makepyfile(
        f"""
        from pathlib import Path
        from ours_emulator.parent_process import CHILDREN

        def test_using(ours_emulator):
            (child,) = CHILDREN
            assert str(child.pid) != Path("{pytester.path}/pid").read_text()
            assert Path("x.db").exists()
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
    assert not is_running((pytester.path / "pid").read_text())


def test_a_prepared_process_that_ends_when_its_order_comes_is_replaced(tmp_path: Path) -> None:
    """So ends one that is being killed, while it still seems to wait."""
    command = tmp_path / "command"
    first = f"test -e {tmp_path}/begun || {{ touch {tmp_path}/begun; read order; exit 0; }}"
    command.write_text(f'#!/bin/sh\n{first}\nexec {sys.executable} -m ours_emulator "$@"\n')
    command.chmod(0o755)
    child = Child([str(command)])
    child.prepare()
    pid = child.pid
    with child.running(Order({"port": 0, "log_format": "none"})):
        assert child.pid != pid
        assert handle_of(child).version()
    assert not is_running(str(pid))


def test_the_command_is_the_one_of_when_the_emulator_is_wanted(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OURS_EMULATOR_COMMAND", raising=False)
    pytester.makeconftest(
        """
        import os
        import pytest

        @pytest.fixture(scope="session")
        def ours_emulator_settings():
            os.environ["OURS_EMULATOR_COMMAND"] = "no-such-command"
            return {}
        """
    )
    pytester.makepyfile(USING)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
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
    pytester.makepyfile(USING)
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error").assert_outcomes(passed=2)


def test_a_prepared_process_takes_the_order_that_comes_later() -> None:
    others = list(CHILDREN)
    child = Child()
    child.prepare()
    pid = child.pid
    with child.running(Order({"port": 0, "log_format": "none"})):
        assert child.pid == pid
        assert handle_of(child).version()
    assert others == CHILDREN
    with pytest.raises(EmulatorError, match="has no emulator yet"):
        handle_of(child)
