"""The servers under measurement: each a process of its own on a free port of 127.0.0.1, gone when its block ends."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

EMULATOR = (str(Path(sys.executable).with_name("ours-emulator")), "serve", "--port", "0")
BARE = (sys.executable, str(Path(__file__).with_name("bare.py")))
_PLAIN = (sys.executable, str(Path(__file__).with_name("plain.py")))
PLAIN_EMULATOR = (*_PLAIN, "emulator")
PLAIN_BARE = (*_PLAIN, "bare")
_START_SECONDS = 30
_ANSWER_SECONDS = 600
_STOP_SECONDS = 10
_SETTLING_SECONDS = 1
_MOST_SAMPLES = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered."""

    status: int
    text: str
    outcome: str
    """What the emulator says became of the request; empty from other servers."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens, or is about to."""

    pid: int
    """Of the process and of its group."""
    port: int
    spawned: float
    """`time.perf_counter()` just before its process was made."""

    def start_ms(self, path: str, body: str) -> float:
        """Send *body*, and return how many milliseconds after making the process that is answered with a 200."""
        self.post(path, body)
        return (time.perf_counter() - self.spawned) * 1000

    def post(self, path: str, body: str) -> str:
        """Send *body* and return what the emulator says became of it. Raises RuntimeError unless it is a 200."""
        answer = self.answer(path, body)
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {answer.text[:200]}")
        return answer.outcome

    def answer(self, path: str, body: str | None) -> Answer:
        """Send *body*, or GET without one, and return the answer, whatever it is."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=_ANSWER_SECONDS)) as connection:
            content, method = (None, "GET") if body is None else (body.encode(), "POST")
            connection.request(method, path, content, {"content-type": "application/json"})
            response = connection.getresponse()
            text = response.read().decode()
        return Answer(response.status, text, response.getheader("x-emulator-outcome", ""))

    def settled_mib(self) -> float | None:
        """Return the memory of the process and its children once it stays the same; None where there is no /proc.

        After its first answer a server may still be importing what later ones need.
        """
        last, now = None, self._resident_mib()
        for _ in range(_MOST_SAMPLES):
            if now == last:
                break
            time.sleep(_SETTLING_SECONDS)
            last, now = now, self._resident_mib()
        return now

    def _resident_mib(self) -> float | None:
        """Return the memory the process and its children have in RAM; None where there is no /proc."""
        try:
            processes = [self.pid, *map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())]
            return sum(map(_resident_mib, processes))
        except OSError:
            return None


@contextmanager
def running(command: Sequence[str], port_option: str = "") -> Generator[Server]:
    """Run *command* in a folder of its own, with its temporary files, that is removed after it.

    It picks a free port and writes it to a file that it is given, or is given one by its *port_option*.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        port_file = Path(folder, "port")
        given = free_port() if port_option else None
        # Whatever this shell has set, the emulator is measured with its defaults, and compiled once, as when installed.
        others = ("OURS_EMULATOR_", "PYTHONDONTWRITEBYTECODE")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        spawned = time.perf_counter()
        process = subprocess.Popen(
            [*command, *((port_option, str(given)) if given else ("--port-file", str(port_file)))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=folder,
            env={**kept, "TMPDIR": folder},
            # So that Ctrl-C reaches this process alone, which then stops each server with its children.
            process_group=0,
        )
        try:
            yield Server(process.pid, _port(process, port_file, given), spawned)
        finally:
            _stop(process)


def _port(process: subprocess.Popen[bytes], port_file: Path, given: int | None) -> int:
    """Return the port once the server listens on it."""
    deadline = time.monotonic() + _START_SECONDS
    while not (port := _written(port_file) if given is None else _listening(given)):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} before it listened")
        if time.monotonic() > deadline:
            raise RuntimeError(f"the server did not listen within {_START_SECONDS} s")
        time.sleep(0.001)
    return port


def _written(port_file: Path) -> int | None:
    return int(text) if port_file.exists() and (text := port_file.read_text()).endswith("\n") else None


def _listening(port: int) -> int | None:
    with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return port
    return None


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _resident_mib(pid: int) -> float:
    resident = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(resident[1]) / 1024 if resident else 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Stop the process and its children; npm's commands are often a parent that only starts another program."""
    _signal(process, signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
