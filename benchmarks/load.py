"""The load: events that differ from each other, sent by wrk, or by a plain Python client where there is no wrk."""

import asyncio
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from uuid import uuid4

_ANSWER_SECONDS = 30
_SCRIPT = Path(__file__).with_name("load.lua")
_WRK = shutil.which("wrk")
CLIENT = "wrk, one thread" if _WRK else "plain Python, as there is no wrk; not to be mixed with figures by wrk"

# Python and Lua both fill in the user's id and the distinct id.
_EVENT = (
    '"event":"Order Completed","userId":"%s","distinctId":"%s",'
    '"eventProperties":{"order":"A-1047","product":"Annual plan","currency":"EUR","amount":"99.90"},'
    '"userProperties":{"first_name":"Ada","city":"London"}'
)


@dataclass(frozen=True, slots=True)
class Load:
    """Requests of *rows* events each, over so many connections."""

    path: str
    connections: int
    rows: int = 1
    users: int = 1000
    """How many users the events are about; 0 for a new one with every event."""

    @property
    def envelope(self) -> str:
        """The text around the events of a request, to be filled in."""
        return '{"token":"bench","events":[{%s}]}' if self.rows > 1 else '{"token":"bench",%s}'

    def bodies(self) -> Iterator[str]:
        """Yield bodies without end, none like one before, in this run or any other."""
        prefix, numbers = uuid4().hex[:12], count(1)
        while True:
            ids = [f"{prefix}-{next(numbers)}" for _ in range(self.rows)]
            users = [f"user-{int(it[13:]) % self.users}" if self.users else it for it in ids]
            yield self.envelope % "},{".join(_EVENT % names for names in zip(users, ids, strict=True))


@dataclass(frozen=True, slots=True)
class Result:
    """How fast requests were answered."""

    requests_per_second: float
    p99_ms: float
    """99 of 100 requests were answered within so many milliseconds."""


def requests_per_second(port: int, load: Load, seconds: int) -> float:
    """Send *load* for so long. Raises RuntimeError if anything but success was answered."""
    return measured(port, load, seconds).requests_per_second


def measured(port: int, load: Load, seconds: int) -> Result:
    """Send *load* for so long. Raises RuntimeError if anything but success was answered."""
    return _wrk(_WRK, port, load, seconds) if _WRK else asyncio.run(_python(port, load, seconds))


def _wrk(wrk: str, port: int, load: Load, seconds: int) -> Result:
    options = ["-t", "1", "-c", str(load.connections), "-d", f"{seconds}s", "--timeout", f"{_ANSWER_SECONDS}s"]
    arguments = [_EVENT, load.envelope, uuid4().hex[:12], str(load.rows), str(load.users)]
    command = [wrk, *options, "-s", str(_SCRIPT), f"http://127.0.0.1:{port}{load.path}", "--", *arguments]
    output = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=seconds + 2 * _ANSWER_SECONDS
    ).stdout
    found = re.search(r"^RESULT (\d+) (\d+) (\d+) (\d+)$", output, re.MULTILINE)
    if found is None or found[3] != "0":
        raise RuntimeError(f"{load.path} did not answer every request with success:\n{output}")
    return Result(int(found[1]) / int(found[2]) * 1_000_000, int(found[4]) / 1000)


async def _python(port: int, load: Load, seconds: int) -> Result:
    bodies = load.bodies()
    started = time.perf_counter()
    connections = (_connection(port, load.path, bodies, started + seconds) for _ in range(load.connections))
    times = sorted(chain.from_iterable(await asyncio.gather(*connections)))
    return Result(len(times) / (time.perf_counter() - started), times[int(len(times) * 0.99)] * 1000)


async def _connection(port: int, path: str, bodies: Iterator[str], until: float) -> list[float]:
    """Send one request after the other until then; return how many seconds each took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: "
    times: list[float] = []
    while (sent := time.perf_counter()) < until:
        body = next(bodies)
        writer.write(f"{head}{len(body)}\r\n\r\n{body}".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", answer)
        await reader.readexactly(int(length[1]) if length else 0)
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError(f"{path} answered {answer.splitlines()[0].decode()}")
        times.append(time.perf_counter() - sent)
    writer.close()
    return times
