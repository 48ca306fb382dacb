"""Fill a running emulator with events, as fast as it takes them."""

import asyncio
import json
import re
from collections.abc import Iterator, Sequence
from typing import TypeVar

_T = TypeVar("_T")
_CONNECTIONS = 4
_PIPELINED = 20
_PORTION = 50_000
_USERS = 1000
NAMES = 20
"""How many event names there are: `Event 0` and so on."""
RARE = 1000
"""One of so many events has the plan `rare`, the others `common`."""


def event(number: int) -> dict[str, object]:
    """Return the event of that number, without a token."""
    return {
        "event": f"Event {number % NAMES}",
        "userId": f"user-{number % _USERS}",
        "distinctId": f"event-{number}",
        "eventProperties": {"order": f"A-{number}", "plan": "common" if number % RARE else "rare", "currency": "EUR"},
        "userProperties": {"first_name": "Ada", "city": "London"},
    }


def fill(port: int, events: int, rows: int = 1) -> None:
    """Send *events* events, *rows* in each request. Raises RuntimeError if anything but success was answered."""
    for first in range(0, events, _PORTION):
        numbers = range(first, min(first + _PORTION, events))
        asyncio.run(_fill(port, _tracks(numbers) if rows == 1 else _batches(numbers, rows)))


def _tracks(numbers: range) -> list[bytes]:
    return [_request("/track", event(number)) for number in numbers]


def _batches(numbers: range, rows: int) -> list[bytes]:
    return [_request("/batch", {"events": list(map(event, some))}) for some in _portions(numbers, rows)]


async def _fill(port: int, requests: Sequence[bytes]) -> None:
    await asyncio.gather(*(_send(port, requests[first::_CONNECTIONS]) for first in range(_CONNECTIONS)))


async def _send(port: int, requests: Sequence[bytes]) -> None:
    """Send *requests* over one connection, some at a time without waiting for the answers in between."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for some in _portions(requests, _PIPELINED):
        writer.writelines(some)
        for _ in some:
            await _success(reader)
    writer.close()
    await writer.wait_closed()


def _portions(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _request(path: str, fields: dict[str, object]) -> bytes:
    body = json.dumps({"token": "bench", **fields}, separators=(",", ":"))
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


async def _success(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    text = await reader.readexactly(int(length[1]) if length else 0)
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(f"answered {head.splitlines()[0].decode()}: {text[:200].decode()}")
