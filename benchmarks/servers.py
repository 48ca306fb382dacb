"""The servers under measurement: each a process of its own on a free port of 127.0.0.1, gone when its block ends."""

import http.client
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

EMULATOR = (str(Path(sys.executable).with_name("ours-emulator")), "serve", "--port", "0")
BARE = (sys.executable, str(Path(__file__).with_name("bare.py")))
_PLAIN = (sys.executable, str(Path(__file__).with_name("plain.py")))
PLAIN_EMULATOR = (*_PLAIN, "emulator")
PLAIN_BARE = (*_PLAIN, "bare")
_START_SECONDS = 30
_STOP_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens, or is about to."""

    pid: int
    port: int
    spawned: float
    """`time.perf_counter()` just before its process was made."""

    def post(self, path: str, body: str) -> str:
        """Send *body* and return what the emulator says became of it. Raises RuntimeError unless it is a 200."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=_START_SECONDS)) as connection:
            connection.request("POST", path, body.encode(), {"content-type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
        if answer.status != 200:
            raise RuntimeError(f"{path} answered {answer.status}: {text[:200]}")
        return answer.getheader("x-emulator-outcome", "")

    def resident_mib(self) -> float | None:
        """Return the memory the process has in RAM; None where there is no /proc."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return None
        found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        return int(found[1]) / 1024 if found else None


@contextmanager
def running(command: Sequence[str]) -> Generator[Server]:
    """Run *command* with its temporary files in a folder that is removed after it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        port_file = Path(folder, "port")
        # Whatever this shell has set, the emulator is measured with its defaults.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OURS_EMULATOR_")}
        spawned = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--port-file", str(port_file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**kept, "TMPDIR": folder},
        )
        try:
            yield Server(process.pid, _port(process, port_file), spawned)
        finally:
            _stop(process)


def _port(process: subprocess.Popen[bytes], port_file: Path) -> int:
    deadline = time.monotonic() + _START_SECONDS
    while not (port_file.exists() and (text := port_file.read_text()).endswith("\n")):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode} before it listened")
        if time.monotonic() > deadline:
            raise RuntimeError(f"the server did not listen within {_START_SECONDS} s")
        time.sleep(0.001)
    return int(text)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
