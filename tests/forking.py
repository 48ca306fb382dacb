"""Commands in processes of their own, each forked from one that has imported the program.

They do all that the command does when it is typed, but for the start of Python and the imports, which take longer than
most tests.
"""

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO

from waiting import PATIENCE

_NUMBER_BYTES = 4
_ORDERING = Lock()
"""Held while an order is written, so that those of two threads do not mix."""


@dataclass
class Forked:
    """A process, as `subprocess.Popen` has it."""

    args: Sequence[str]
    pid: int
    _ended: socket.socket = field(repr=False)
    returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code once the process has ended; of one that a signal ended, less than 0."""
        if self.returncode is None:
            self._ended.setblocking(False)
            try:
                code = self._ended.recv(_NUMBER_BYTES)
            except BlockingIOError:
                return None
            self._ended.close()
            self.returncode = _number(code)
        return self.returncode

    def wait(self, timeout: float = PATIENCE) -> int:
        """Return the exit code once the process has ended, within *timeout* seconds."""
        if self.returncode is None and not select.select([self._ended], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(self.args, timeout)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask the process to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process."""
        self.send_signal(signal.SIGKILL)


def forked(
    arguments: Sequence[str], cwd: Path, env: Mapping[str, str], stdin: IO[bytes], stdout: IO[bytes], stderr: IO[bytes]
) -> Forked:
    """Run `ours-emulator` with these *arguments*."""
    order = json.dumps({"arguments": [*arguments], "cwd": str(cwd), "env": dict(env)}).encode("ascii")
    ours, theirs = socket.socketpair()
    with theirs:
        descriptors = [theirs.fileno(), stdin.fileno(), stdout.fileno(), stderr.fileno()]
        with _ORDERING:
            socket.send_fds(_parent(), [_written(len(order))], descriptors)
            _parent().sendall(order)
    return Forked(["ours-emulator", *arguments], _number(ours.recv(_NUMBER_BYTES)), ours)


def _written(number: int) -> bytes:
    return number.to_bytes(_NUMBER_BYTES, signed=True)


def _number(written: bytes) -> int:
    assert len(written) == _NUMBER_BYTES
    return int.from_bytes(written, signed=True)


def run(arguments: Sequence[str], cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `ours-emulator` with these *arguments* to its end."""
    with Path(os.devnull).open("rb") as nothing, TemporaryFile() as out, TemporaryFile() as err:
        process = forked(arguments, cwd, env, nothing, out, err)
        code = process.wait()
        said, complained = (_content(file) for file in (out, err))
    return subprocess.CompletedProcess(process.args, code, said, complained)


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


@cache
def _parent() -> socket.socket:
    """Start the process that the others are forked from; it ends when the socket is closed."""
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, str(Path(__file__).absolute()), str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()])

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _read(orders: socket.socket) -> tuple[list[int], bytes]:
    """Return the file descriptors of an order, and the order; both are empty once there are no more."""
    head, descriptors, _, _ = socket.recv_fds(orders, _NUMBER_BYTES, 4)
    order = b""
    while head and len(order) < _number(head):
        order += orders.recv(_number(head) - len(order))
    return descriptors, order


def _serve(orders: socket.socket) -> None:
    """Fork a process for each order. Returns in such a process, and does not in this one."""
    while True:
        descriptors, order = _read(orders)
        if not order:
            os._exit(0)
        child = os.fork()
        if child == 0:
            orders.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _become(order, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _become(order: bytes, status: int, *standard: int) -> None:
    """Fork the process of the *order*, in which this returns, and report its process id and its exit code."""
    child = os.fork()
    if child:
        for descriptor in standard:
            os.close(descriptor)
        os.write(status, _written(child))
        os.write(status, _written(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
        os._exit(0)
    os.close(status)
    for number, descriptor in enumerate(standard):
        os.dup2(descriptor, number)
        os.close(descriptor)
    said = json.loads(order)
    os.chdir(said["cwd"])
    os.environ.clear()
    os.environ.update(said["env"])
    sys.argv = ["ours-emulator", *said["arguments"]]


def _main() -> None:
    codes: list[int] = []

    def leave() -> None:
        """End without freeing each object, whose memory would have to be copied for that."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(codes[0] if codes else 1)

    # Before all others, so that it is called after them.
    atexit.register(leave)
    # Among them is what the program imports only when it serves, or after "Ready.".
    for name in ("app", "child_process", "debug.app", "http.server", "openapi.app", "settings", "store.sqlite.reader"):
        import_module(f"ours_emulator.{name}")
    from ours_emulator.cli import main

    # The folder of this file, which only this file needs.
    sys.path.pop(0)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    _serve(socket.socket(fileno=int(sys.argv[1])))
    try:
        main()
    except SystemExit as end:
        codes.append(end.code if isinstance(end.code, int) else 0)
    else:
        codes.append(0)


if __name__ == "__main__":
    _main()
