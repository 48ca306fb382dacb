"""What a test does to its own process reaches neither the emulator nor the handle, and the emulator ends with it."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from nested import FEW_PLUGINS
from ours_emulator import parent_process
from ours_emulator.emulator import EmulatorError, run_emulator
from ours_emulator.handshake import Order, Ready, read_answer
from waiting import is_running, until

ROOT = Path(__file__).parent.parent
CONFTEST = """
import http.client
import json
import pytest

@pytest.fixture
def send(ours_emulator):
    def send(event="Paid"):
        host = ours_emulator.server_url.removeprefix("http://")
        path = ours_emulator.ingest_url.removeprefix(ours_emulator.server_url) + "/track"
        connection = http.client.HTTPConnection(host, timeout=20)
        body = json.dumps({"token": "t", "event": event, "userId": "u"})
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    return send

@pytest.fixture
def use(ours_emulator, send):
    def use():
        assert send() == 200
        assert ours_emulator.wait_for("Paid").visitor_id == "u"
        with pytest.raises(AssertionError, match="no events matched"):
            ours_emulator.wait_for("Never", timeout=0.05)
        with ours_emulator.fault(status=503) as fault:
            assert send() == 503
        assert fault.hits == 1
        assert ours_emulator.events()[0].received_at.year > 2020
        ours_emulator.wait_ready()
    return use
"""
MOCKING = ("pytest_httpx", "pyfakefs.pytest_plugin", "time_machine")
USED = {
    "freezegun": """
        from freezegun import freeze_time
        import pytest

        @pytest.fixture
        def frozen():
            with freeze_time("2020-01-01"):
                yield

        def test_before_the_first_use(frozen, ours_emulator, use):
            use()

        @freeze_time("2020-01-01")
        def test_frozen(use):
            use()
    """,
    "freezegun before anything is imported": """
        from datetime import UTC, datetime, timedelta
        from freezegun import freeze_time

        def test_frozen(request):
            with freeze_time("2020-01-01"):
                request.getfixturevalue("use")()
                [event] = request.getfixturevalue("ours_emulator").events()
            assert datetime.now(UTC) - event.received_at < timedelta(minutes=10)
            assert request.getfixturevalue("ours_emulator").clock.now().year > 2020
    """,
    "time-machine": """
        import time_machine

        @time_machine.travel("2020-01-01", tick=False)
        def test_frozen(use):
            use()
    """,
    "patched sleep and time": """
        import asyncio
        from unittest.mock import AsyncMock, Mock, patch

        def test_patched(use, ours_emulator_async):
            with patch("asyncio.sleep", new_callable=AsyncMock), patch("time.sleep"), patch("time.time", Mock()):
                use()
                assert len(asyncio.run(ours_emulator_async.events())) == 1

        def test_later(use):
            use()
    """,
    "patched before the first use": """
        from unittest.mock import AsyncMock, patch
        import pytest

        @pytest.fixture
        def patched():
            names = ("time.sleep", "time.monotonic", "subprocess.Popen", "socket.socket", "socket.getaddrinfo")
            with patch("asyncio.sleep", new_callable=AsyncMock):
                patches = [patch(name, side_effect=AssertionError(name)) for name in names]
                for one in patches:
                    one.start()
                yield
                for one in patches:
                    one.stop()

        def test_patched(patched, ours_emulator):
            assert ours_emulator.events() == []
            ours_emulator.wait_ready()
    """,
    "respx": """
        import httpx

        def test_mocked(respx_mock, use):
            respx_mock.get("https://other.test").respond(204)
            assert httpx.get("https://other.test").status_code == 204
            use()
    """,
    "pytest-httpx": """
        import httpx

        def test_mocked(httpx_mock, use):
            httpx_mock.add_response(url="https://other.test", status_code=204)
            assert httpx.get("https://other.test").status_code == 204
            use()
    """,
    "responses": """
        import requests
        import responses

        @responses.activate
        def test_mocked(use):
            responses.get("https://other.test", status=204)
            assert requests.get("https://other.test").status_code == 204
            use()
    """,
    "vcrpy": """
        import vcr

        def test_recorded(ours_emulator, tmp_path):
            with vcr.VCR(record_mode="none").use_cassette(str(tmp_path / "cassette.yaml")) as cassette:
                assert ours_emulator.events() == []
                with ours_emulator.fault(status=503) as fault:
                    assert fault.hits == 0
            assert len(cassette) == 0
    """,
    "pyfakefs": """
        from pathlib import Path

        def test_faked(fs, use):
            Path("/only/here").mkdir(parents=True)
            use()

        def test_later(use):
            use()
    """,
    "pyfakefs with a late first use": """
        def test_faked(fs, request):
            request.getfixturevalue("use")()
    """,
    "tracing of all threads": """
        import sys
        import threading

        def test_traced(request):
            files = set()

            def trace(frame, event, argument):
                files.add(frame.f_code.co_filename.replace("\\\\", "/"))

            for install in (threading.settrace, threading.setprofile):
                install(trace)
            try:
                request.getfixturevalue("use")()
            finally:
                threading.settrace(None)
                threading.setprofile(None)
            assert not [file for file in files if "ours_emulator/" in file]
    """,
    "forks that fail": """
        import os
        import pytest

        @pytest.mark.parametrize("end", [AssertionError, SystemExit])
        def test_forked(ours_emulator, send, end):
            child = os.fork()
            if child == 0:
                # No output, and none of the tests after this one.
                os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
                raise end
            os.waitpid(child, 0)
            assert send() == 200
            assert len(ours_emulator.events()) == 1
    """,
    "forks": """
        import atexit
        import gc
        import multiprocessing
        import os

        def test_forked(ours_emulator, send):
            assert send() == 200
            child = os.fork()
            if child == 0:
                try:
                    assert len(ours_emulator.events()) == 1
                    atexit._run_exitfuncs()
                    gc.collect()
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            other = multiprocessing.get_context("fork").Process(target=send)
            other.start()
            other.join()
            assert other.exitcode == 0
            assert send() == 200
            assert len(ours_emulator.events()) == 3
    """,
}


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FEW_PLUGINS.items():
        monkeypatch.setenv(name, value)
    load(monkeypatch, FEW_PLUGINS["PYTEST_PLUGINS"], *MOCKING)


def load(monkeypatch: pytest.MonkeyPatch, *plugins: str) -> None:
    """Let runs inside a test load these plugins."""
    monkeypatch.setenv("PYTEST_PLUGINS", ",".join(plugins))


# What reaches the first use of the emulator has a run of its own; the others share one, each in its module.
FIRST = (
    "freezegun",
    "freezegun before anything is imported",
    "patched before the first use",
    "pyfakefs with a late first use",
    "tracing of all threads",
)


OTHERS = sorted(USED.keys() - set(FIRST))


@pytest.mark.parametrize("names", [*((name,) for name in FIRST), OTHERS], ids=[*FIRST, "others"])
@pytest.mark.filterwarnings("default")
def test_what_a_test_does_to_its_process_reaches_neither_emulator_nor_handle(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, names: Sequence[str]
) -> None:
    pytester.makeconftest(CONFTEST)
    if len(names) == 1:
        load(monkeypatch, "ours_emulator.pytest_plugin", "pytest_timeout", "pyfakefs.pytest_plugin")
    modules = {f"test_{number}": USED[name] for number, name in enumerate(names)}
    pytester.makepyfile(**modules)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--timeout=40")
    assert result.ret == 0
    passed = result.parseoutcomes()["passed"]
    assert passed >= len(modules)
    result.assert_outcomes(passed=passed)


def test_a_strict_or_failing_test_with_mocked_calls_does_not_end_the_run(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        """
        import httpx
        import pytest

        @pytest.mark.ours_emulator(strict=True)
        def test_strict(respx_mock, send):
            respx_mock.get("https://other.test").respond(204)
            httpx.get("https://other.test")
            assert send() == 200

        def test_fails(respx_mock, send):
            assert send() == 0

        def test_fails_too(httpx_mock, send):
            assert send() == 0

        def test_passes(use):
            use()
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["*1 request, 1 event accepted"] * 2)


def test_an_emulator_that_is_killed_fails_tests_with_the_reason_and_the_run_goes_on(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        """
        import os
        import signal
        import pytest
        from ours_emulator import parent_process

        @pytest.mark.ours_emulator(strict=True)
        def test_killed(ours_emulator, ours_emulator_session):
            os.kill(parent_process.CHILDREN[0].pid, signal.SIGKILL)
            ours_emulator.wait_for("Paid")

        def test_later(ours_emulator):
            pass

        @pytest.mark.ours_emulator(strict=True)
        def test_with_the_session(ours_emulator_session):
            pass

        def test_without():
            pass
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=2, errors=3)
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_later*",
            "the emulator of http://127.0.0.1:* has ended: its process * was killed by SIGKILL",
            "*no emulator answers at http://127.0.0.1:*(its process * was killed by SIGKILL)",
        ]
    )


def test_a_report_that_cannot_be_made_does_not_end_the_run(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from ours_emulator.emulator import Emulator, report

        def test_fails(ours_emulator, monkeypatch):
            monkeypatch.setattr(report, "counts", None)
            assert ours_emulator is None

        def test_passes(ours_emulator):
            pass
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*what arrived is not known: TypeError: *"])


# The end of the emulator

SCRIPT = """
import os, signal, subprocess, sys, time
from ours_emulator.handshake import Order, Ready, read_answer
from ours_emulator.emulator.local import handle_of
from ours_emulator.parent_process import Child

child = Child()
with child.running(Order({"port": 0, "log_format": "none"})):
    fork = os.fork() if "fork" in sys.argv else 1
    try:
        if fork:
            print(child.url, child.pid, fork, flush=True)
        time.sleep(50)
    except KeyboardInterrupt:
        print(handle_of(child).version(), flush=True)
"""


@contextmanager
def parent(*arguments: str) -> Generator[tuple[subprocess.Popen[str], Sequence[str]]]:
    """Run SCRIPT, and give its process, and the URL and the process id of its emulator, and the id of its fork."""
    command = [sys.executable, "-c", SCRIPT, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout
        try:
            yield process, process.stdout.readline().split()
        finally:
            process.kill()


@contextmanager
def child_process(*arguments: str) -> Generator[subprocess.Popen[bytes]]:
    """Run an emulator as a child process that was not given its order yet, by these *arguments* of Python, if any."""
    command = [sys.executable, *(arguments or ("-m", "ours_emulator", "child-process"))]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("keep", [0, 20])
def test_the_emulator_ends_quietly_when_its_parent_ends_while_it_starts(keep: int) -> None:
    order = Order({"port": 0, "log_format": "none"}).line()
    with child_process() as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stdin.write(order[: keep or None])
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 0


COLLECTING = """
import gc, sys, threading
from ours_emulator import child_process

gc.disable()
child_process.main()
for thread in threading.enumerate():
    if thread is not threading.current_thread() and not thread.daemon:
        thread.join()
sys.exit(0 if gc.isenabled() else 5)
"""


def test_the_emulator_collects_garbage_once_everything_is_imported() -> None:
    with child_process("-c", COLLECTING) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(Order({"port": 0, "log_format": "none"}).line())
        process.stdin.flush()
        ready = read_answer(process.stdout.readline())
        assert isinstance(ready, Ready)
        assert urllib.request.urlopen(f"{ready.url}/debug/health").status == 200
        process.stdin.close()
        assert process.wait(20) == 0


@pytest.mark.parametrize("arguments", [(), ("fork",)])
def test_the_emulator_ends_when_its_parent_is_killed_though_a_fork_lives_on(arguments: Sequence[str]) -> None:
    with parent(*arguments) as (process, (_, pid, fork)):
        assert is_running(pid)
        process.kill()
        until(lambda: not is_running(pid))
        if arguments:
            assert is_running(fork)
            os.kill(int(fork), signal.SIGKILL)


def test_the_emulator_ends_when_its_parent_leaves_without_cleaning_up() -> None:
    script = SCRIPT.replace("time.sleep(50)", "os._exit(3)")
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, timeout=50)
    assert done.returncode == 3
    until(lambda: not is_running(done.stdout.split()[1]))


def test_control_c_in_the_terminal_does_not_end_the_emulator_before_its_parent() -> None:
    with parent() as (process, (_, pid, _)):
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout
        assert process.stdout.readline()
        assert process.wait(20) == 0
        until(lambda: not is_running(pid))


# How the emulator is started


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OURS_", "PYTHON"))}
    return {**kept, **changes}


USE = """
import sys
from ours_emulator.emulator import run_emulator
with run_emulator(log_format="human") as emulator:
    emulator.open_account(tokens=["t"])
    assert emulator.token == "token-default"
"""


def test_the_environment_of_the_parent_does_not_disturb_the_emulator(tmp_path: Path) -> None:
    for name in ("fastapi", "pydantic", "sqlalchemy", "uvicorn", "click", "starlette"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('of the user')")
    plugin = tmp_path / "plugin-1.0.dist-info"
    plugin.mkdir()
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (plugin / "entry_points.txt").write_text("[pydantic]\nplugin = plugin_of_the_user:plugin\n")
    (tmp_path / "plugin_of_the_user.py").write_text("raise RuntimeError('of the user')")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("raise ImportError('of the user')")
    disturbing = environment(
        PYTHONPATH=str(tmp_path),
        PYTHONWARNINGS="error",
        PYTHONDEVMODE="1",
        PYTHONINSPECT="1",
        COVERAGE_PROCESS_START="nowhere",
        OURS_EMULATOR_TOKENS="other",
        OURS_EMULATOR_PORT="1",
    )
    command = [sys.executable, "-c", USE]
    done = subprocess.run(
        command, cwd=tmp_path, env=disturbing, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=50
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_the_log_is_not_written_to_standard_output(tmp_path: Path) -> None:
    script = USE + (
        "    import urllib.request\n"
        '    body = b\'{"token": "t", "event": "E", "userId": "u"}\'\n'
        "    headers = {'Content-Type': 'application/json'}\n"
        "    urllib.request.urlopen(urllib.request.Request(emulator.ingest_url + '/track', body, headers))\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=50, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr.startswith("ACCEPTED 200 POST /api/v1/track ")


def bare_environment(directory: Path, *paths: Path | str) -> Path:
    """Return the python of a new virtual environment that finds the packages in *paths*, and no other ones."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True, timeout=50)
    [packages] = directory.glob("lib/python*/site-packages")
    (packages / "paths.pth").write_text("".join(f"{path}\n" for path in paths))
    return directory / "bin" / "python"


def test_a_package_that_only_pythonpath_finds_is_found_by_the_emulator_too(tmp_path: Path) -> None:
    python = bare_environment(tmp_path / "venv")
    paths = os.pathsep.join([str(ROOT / "app"), str(Path(pytest.__file__).parent.parent)])
    subprocess.run([python, "-c", USE], env=environment(PYTHONPATH=paths), check=True, timeout=50, cwd=tmp_path)


def test_the_plugin_needs_none_of_its_dependencies_if_another_command_starts_the_emulator(tmp_path: Path) -> None:
    alone, packages = tmp_path / "alone", Path(pytest.__file__).parent.parent
    alone.mkdir()
    for name in ("pytest", "_pytest", "py.py", "pluggy*", "iniconfig", "packaging", "pygments"):
        for package in packages.glob(name):
            (alone / package.name).symlink_to(package)
    python = bare_environment(tmp_path / "venv", alone, ROOT / "app")
    (tmp_path / "test_it.py").write_text("def test_it(ours_emulator): assert ours_emulator.events() == []")
    run = [str(python), "-m", "pytest", "-p", "no:cacheprovider", "test_it.py"]

    def outcome(**variables: str) -> str:
        settings = environment(PYTEST_PLUGINS="ours_emulator.pytest_plugin", **variables)
        return subprocess.run(run, cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=50).stdout

    command = str(Path(sys.executable).with_name("ours-emulator"))
    assert "OURS_EMULATOR_COMMAND" in outcome()
    assert "No module named" in outcome()
    assert "1 passed" in outcome(OURS_EMULATOR_COMMAND=command)


def says(*lines: object) -> list[str]:
    """Return a command that prints *lines* instead of starting an emulator."""
    return [sys.executable, "-c", f"print({chr(10).join(map(str, lines))!r})"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["no-such-command"], "'no-such-command' cannot be run .*: No such file or directory"),
        (says("hello"), "ended before the emulator was ready"),
        (says(json.dumps({"ours_emulator_protocol": 99})), "another version .* which speaks protocol 99 and not 1"),
        ([sys.executable, "-m", "ours_emulator", "no-such-command"], "ended before the emulator was ready"),
    ],
)
def test_a_command_that_starts_no_emulator_is_reported(command: Sequence[str], message: str) -> None:
    others = list(parent_process.CHILDREN)
    with pytest.raises(EmulatorError, match=message), run_emulator(command=command):
        pass
    assert others == parent_process.CHILDREN


@pytest.mark.parametrize("order", ['{"ours_emulator_protocol": 99}', "hello"])
def test_an_order_of_another_version_or_of_none_is_refused_by_the_emulator(order: str) -> None:
    command = [sys.executable, "-m", "ours_emulator", "child-process"]
    done = subprocess.run(command, input=f"{order}\n", capture_output=True, text=True, timeout=50)
    assert json.loads(done.stdout)["failed"]["kind"] == "ProtocolError"
    assert done.stderr == ""


def test_other_lines_of_the_command_are_passed_over() -> None:
    script = "import os, sys; print('Installing', flush=True); os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-c", script, sys.executable, "-m", "ours_emulator"]
    with run_emulator(command=command) as emulator:
        assert emulator.version()


def test_an_emulator_is_not_reached_any_more_after_its_block() -> None:
    with run_emulator() as emulator:
        assert urllib.request.urlopen(f"{emulator.url}/debug/health").status == 200
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{emulator.url}/debug/health")
