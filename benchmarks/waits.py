"""How soon a waiter is answered, with many that wait at once: after its event was sent, and after that was answered."""

import argparse
import asyncio
import json
import re
import time
from collections.abc import Sequence

from report import emulator_version, load_average, machine
from servers import EMULATOR, running

_READY_SECONDS = 30


class Connection:
    """One kept-alive connection of a plain client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, port: int) -> "Connection":
        """Return a connection to *port* of this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def post(self, path: str, body: object, status: int = 200) -> float:
        """Send *body* as JSON; return `time.perf_counter()` of the answer. Raises RuntimeError if *status* differs."""
        text = json.dumps(body)
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        self._writer.write(f"{head}Content-Length: {len(text)}\r\n\r\n{text}".encode())
        answer = await self._reader.readuntil(b"\r\n\r\n")
        answered = time.perf_counter()
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", answer)
        content = await self._reader.readexactly(int(length[1]) if length else 0)
        if not answer.startswith(f"HTTP/1.1 {status} ".encode()):
            raise RuntimeError(f"{path} answered {answer.splitlines()[0].decode()}: {content[:200].decode()}")
        return answered

    def close(self) -> None:
        """Close it."""
        self._writer.close()


async def all_listen(port: int) -> None:
    """Return when the emulator at *port* has begun the waits that it was sent before.

    It begins them in the order in which they arrive. So this sends one more, which ends at once, and a second one, as
    the first may have overtaken some.
    """
    # So that those of this loop are sent.
    await asyncio.sleep(0)
    connection = await Connection.to(port)
    for _ in range(2):
        await connection.post("/debug/wait", {"match": {"event": "None"}, "timeout_ms": 0}, status=406)
    connection.close()


async def delays(port: int, waiters: int, *, apart: bool, together: bool) -> list[tuple[float, float]]:
    """Return for each waiter the seconds until its answer, from sending its event and from the answer to that.

    *apart*: each in an account of its own, else all in one. *together*: the events are sent at once, over 16
    connections, else one after the other.
    """
    prefixes = [f"/accounts/{number}-{apart}-{together}" if apart else "" for number in range(waiters)]
    names = [f"Event {number} {apart} {together}" for number in range(waiters)]
    connections = await asyncio.gather(*(Connection.to(port) for _ in range(waiters)))

    async def wait(number: int) -> float:
        call = {"match": {"event": names[number]}, "timeout_ms": _READY_SECONDS * 1000}
        return await connections[number].post(f"{prefixes[number]}/debug/wait", call)

    async def send(poster: Connection, numbers: Sequence[int]) -> dict[int, tuple[float, float]]:
        times: dict[int, tuple[float, float]] = {}
        for number in numbers:
            started = time.perf_counter()
            event = {"token": "t", "event": names[number], "userId": f"u{number}"}
            times[number] = started, await poster.post(f"{prefixes[number]}/track", event)
        return times

    waiting = [asyncio.create_task(wait(number)) for number in range(waiters)]
    await all_listen(port)
    posters = [await Connection.to(port) for _ in range(16 if together else 1)]
    sent: dict[int, tuple[float, float]] = {}
    for part in await asyncio.gather(
        *(send(poster, range(first, waiters, len(posters))) for first, poster in enumerate(posters))
    ):
        sent |= part
    answered = await asyncio.gather(*waiting)
    for connection in (*connections, *posters):
        connection.close()
    return [(answered[number] - sent[number][0], answered[number] - sent[number][1]) for number in range(waiters)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waiters", type=int, default=500, help="how many wait at once [default: 500]")
    options = parser.parse_args()
    print(f"{emulator_version()}; {machine()}; {load_average()} before the run.\n")
    with running(EMULATOR) as server:
        for apart in (False, True):
            for together in (False, True):
                found = asyncio.run(delays(server.port, options.waiters, apart=apart, together=together))
                where = "each in an account of its own" if apart else "all in one account"
                how = "events at once over 16 connections" if together else "one event after the other"
                after_sent, after_answer = (_percentiles(seconds) for seconds in zip(*found, strict=True))
                print(f"{options.waiters} waiters, {where}, {how}:")
                print(f"  after the event's answer {after_answer}; after it was sent {after_sent}")


def _percentiles(seconds: Sequence[float]) -> str:
    found = sorted(it * 1000 for it in seconds)
    return f"median {found[len(found) // 2]:.2f} ms, p99 {found[int(len(found) * 0.99)]:.2f} ms"


if __name__ == "__main__":
    main()
