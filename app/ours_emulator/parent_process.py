"""Starts an emulator in a child process. This is the parent's end of its pipes; `child_process` is the other.

Nothing that a test does to its own process reaches the emulator, and nothing here uses what tests replace: functions
are taken when this module is imported, and time limits are those of locks, which a frozen clock does not stop. The
child ends with its parent, however that ends, because then the pipe to it is closed.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import warnings
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from ours_emulator import __version__
from ours_emulator.errors import EmulatorError, why
from ours_emulator.handshake import (
    PROTOCOL,
    Arrivals,
    Failed,
    Order,
    ProtocolError,
    Ready,
    read_answer,
    read_arrivals,
)
from ours_emulator.variables import COMMAND_VARIABLE

if TYPE_CHECKING:
    import subprocess

T = TypeVar("T")
ENDED: dict[str, Callable[[], str]] = {}
"""For the address of each emulator that this process has started: what says how it ended, if it did."""
SUBCOMMAND = "child-process"
_START_SECONDS = 60
_STOP_SECONDS = 10
_LOOK_SECONDS = 0.5
_PACKAGE = Path(__file__).resolve().parent
_BOOT = str(_PACKAGE / "boot.py")
_PYTHON = sys.executable
_NOT_PASSED_ON = ("OURS_", "PYTHON", "COVERAGE_", "COV_CORE_")
_PASSED_ON = frozenset({"PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONPLATLIBDIR", "PYTHONPYCACHEPREFIX"})
"""Variables that say where an interpreter has its files."""
_ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name in _PASSED_ON or not name.upper().startswith(_NOT_PASSED_ON)
} | {"PYDANTIC_DISABLE_PLUGINS": "__all__"}
"""Without the plugins of pydantic, which are the app's, and would be imported before the emulator is ready."""
_PATHS = [str(_PACKAGE.parent), *filter(os.path.isabs, os.environ.get("PYTHONPATH", "").split(os.pathsep))]


class _System:
    """Functions of the system as they are now.

    They are attributes of a class, because pyfakefs and freezegun replace attributes of modules, and `popen` is that of
    a copy of `subprocess` that only this class knows, because its own functions use the attributes of theirs.
    """

    getcwd = staticmethod(os.getcwd)
    getpid = staticmethod(os.getpid)
    killpg = staticmethod(getattr(os, "killpg", os.kill))
    popen: Callable[..., subprocess.Popen[bytes]]

    @classmethod
    def load(cls) -> None:
        """Load the copy of `subprocess`."""
        spec = importlib.util.find_spec("subprocess")
        assert spec
        assert spec.loader
        copy = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(copy)
        cls.popen = copy.Popen


_System.load()
_PIPE = -1
"""What `subprocess.PIPE` is."""


class Child:
    """An emulator in a child process of this one. Forks of this process neither use nor stop it.

    *command* starts `ours-emulator`, by default the one of this environment.
    """

    def __init__(self, command: Sequence[str] = ()) -> None:
        self.command = command
        """What it is started with; empty if that is the environment's own."""
        self._arguments = [*command, SUBCOMMAND] if command else [_PYTHON, "-P", _BOOT, *_PATHS]
        self._folder = ""
        self._owner = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._ready: Ready | None = None
        self.arrivals = Arrivals()

    @property
    def url(self) -> str:
        """The address of the emulator."""
        return "" if self._ready is None else self._ready.url

    @property
    def pid(self) -> int:
        """The process."""
        return 0 if self._process is None else self._process.pid

    @property
    def ready(self) -> Ready:
        """Where it serves, and its tokens. Raises EmulatorError unless it does."""
        if self._ready is None:
            raise EmulatorError(f"{self} has no emulator yet; call start() first")
        return self._ready

    @contextmanager
    def running(self, order: Order) -> Generator[None]:
        """Run the emulator of *order* until the block ends; its `arrivals` are known after that."""
        __tracebackhide__ = True
        try:
            self.start(order)
            yield
        finally:
            self.stop()

    def prepare(self) -> None:
        """Begin its process, which imports what it needs before it reads its order. Raises EmulatorError."""
        self._owner, self._folder = _System.getpid(), _folder()
        self._process = self._spawn()
        CHILDREN.append(self)

    def start(self, order: Order) -> None:
        """Start the emulator of *order*, and return when it serves. Raises what keeps it from that."""
        __tracebackhide__ = True
        line = order.line()
        # Even a process that is being killed may seem to wait: `poll` does not know yet. It ends without an answer.
        answer = self._send(line) if self._is_prepared() else None
        if answer is None:
            self.stop()
            self.prepare()
            answer = self._send(line)
        if not isinstance(answer, Ready):
            raise self._refusal(answer)
        self._ready = answer
        ENDED[self.url] = self.end

    def stop(self) -> None:
        """End it and wait for that; kill it, with a warning, if it takes too long."""
        process = self._process
        if process is None or _System.getpid() != self._owner:
            return
        CHILDREN.remove(self)
        ENDED.pop(self.url, None)
        if self._ready is None and process.poll() is None:
            _kill(process)
        self._process = self._ready = None
        _pipe(process.stdin).close()
        try:
            self.arrivals = _within(_STOP_SECONDS, process, lambda: self._farewell(process))
        except TimeoutError:
            _kill(process)
            process.wait()
            # Last, because filters can make it an error.
            warnings.warn(f"{self} did not end within {_STOP_SECONDS} s and was killed", RuntimeWarning, stacklevel=2)

    def end(self) -> str:
        """Return how the process ended: `its process 123 was killed by SIGKILL`; "" if it did not."""
        process = self._process
        code = None if process is None else process.poll()
        if process is None or code is None:
            return ""
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return f"its process {process.pid} {how}"

    def disown(self) -> None:
        """Forget the process, which is the parent's, in a fork."""
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                _pipe(pipe).close()
            # Else its finalizer would warn that the process is still running.
            self._process.returncode = 0
            self._process = self._ready = None

    def __str__(self) -> str:
        return repr(" ".join(self.command) or _PYTHON)

    def _is_prepared(self) -> bool:
        """Whether its process seems to wait for an order, and would read the paths in it as this one does."""
        waits = self._process is not None and self._ready is None and self._process.poll() is None
        return waits and self._folder == _folder()

    def _spawn(self) -> subprocess.Popen[bytes]:
        # Apart from the process group of the parent, which gets the signals of the terminal.
        apart: Mapping[str, Any] = {"creationflags": 0x200} if sys.platform == "win32" else {"start_new_session": True}
        try:
            return _System.popen(self._arguments, stdin=_PIPE, stdout=_PIPE, bufsize=0, env=_ENVIRONMENT, **apart)
        except OSError as error:
            raise EmulatorError(f"{self} cannot be run to start the emulator: {why(error)}") from None

    def _send(self, order: bytes) -> Ready | Failed | None:
        """Send the process its *order* and return the answer; None if it ended without one. Raises EmulatorError."""
        __tracebackhide__ = True
        process = self._process
        assert process
        try:
            return _within(_START_SECONDS, process, lambda: _answer_to(order, process))
        except TimeoutError:
            raise EmulatorError(f"{self} did not start the emulator within {_START_SECONDS} s") from None
        except ProtocolError as error:
            raise EmulatorError(self._other_version(str(error))) from None

    def _refusal(self, failed: Failed | None) -> Exception:
        if failed is None:
            advice = "see its standard error; the command must start ours-emulator"
            return EmulatorError(f"{self} ended before the emulator was ready; {advice}")
        return failed.error() or EmulatorError(
            f"{self} cannot run the emulator: {failed.kind}: {' '.join(map(str, failed.arguments))}; install "
            f"ours-emulator with its dependencies there, or name another command in {COMMAND_VARIABLE}"
        )

    def _other_version(self, protocol: str) -> str:
        return (
            f"{self} starts another version of ours-emulator, which speaks protocol {protocol} and not {PROTOCOL}; "
            f"install version {__version__} there"
        )

    def _farewell(self, process: subprocess.Popen[bytes]) -> Arrivals:
        last = b""
        with suppress(ProtocolError), _pipe(process.stdout) as output:
            last = next(iter(output.readlines()[-1:]), b"")
        process.wait()
        return read_arrivals(last)


CHILDREN: list[Child] = []
"""Those that this process has started and not stopped."""


def _disown_all() -> None:
    """Forget the children of the parent: its pipes would keep them running after its end."""
    for child in CHILDREN:
        child.disown()
    CHILDREN.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)


def _folder() -> str:
    """Return the working directory; "" if it was removed."""
    try:
        return _System.getcwd()
    except OSError:
        return ""


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe
    return pipe


def _answer_to(order: bytes, process: subprocess.Popen[bytes]) -> Ready | Failed | None:
    """Return the answer of *process* to its *order*. One that reads no order, or gives no answer, takes for ever."""
    with suppress(BrokenPipeError):
        _write_all(_pipe(process.stdin), order)
    # Other lines may come before, of what its command prints.
    return next((answer for line in _pipe(process.stdout) if (answer := read_answer(line)) is not None), None)


def _write_all(pipe: IO[bytes], line: bytes) -> None:
    """Write all of *line*: a pipe without a buffer may take a part of it at a time."""
    rest = memoryview(line)
    while rest:
        rest = rest[pipe.write(rest) :]


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill *process* and what it started, which may hold its pipes, also when *process* itself has ended."""
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError):
            _System.killpg(process.pid, signal.SIGKILL)


def _within(seconds: float, process: subprocess.Popen[bytes], work: Callable[[], T]) -> T:
    """Return the result of *work*, which reads from *process*. Raises TimeoutError if it takes so many *seconds*.

    Once *process* has ended, what it started is killed: that may hold the pipe open, and nobody else would end it.
    """
    done = allocate_lock()
    done.acquire()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            done.release()

    start_new_thread(run, ())
    while not done.acquire(timeout=min(seconds, _LOOK_SECONDS)):
        seconds -= _LOOK_SECONDS
        if seconds <= 0:
            raise TimeoutError
        if process.poll() is not None:
            _kill(process)
    if errors:
        raise errors[0]
    return results[0]
