"""Comparing servers in the process of the tests, which is faster than with the command."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from ours_emulator.fidelity.answers import NoReply
from ours_emulator.fidelity.comparison import Comparison, Found
from ours_emulator.fidelity.preparation import Credentials, Outgoing, Unsent
from ours_emulator.fidelity.server import connected

LIVE_TOKEN = "abcdef123456"
KEY = "pk_abcdef123456"
CREDENTIALS = Credentials(f"test_{LIVE_TOKEN}", KEY)
RUN = "123456789"
_RATE = 100_000
_SECONDS = 10


def now() -> int:
    """Return the time in milliseconds."""
    return int(time.time() * 1000)


def compared(
    emulator: str, server: str, requests: Iterable[Outgoing | Unsent], seconds: float = _SECONDS, rate: float = _RATE
) -> Found:
    """Return how *server* answers *requests* otherwise than *emulator*; it has so many *seconds* for each answer."""
    found = Found()

    async def run() -> None:
        async with connected(server, seconds) as other:
            await Comparison(other, emulator, rate, found).run(_made(requests))

    asyncio.run(run())
    return found


def labels(found: Found) -> set[str]:
    """Return which requests were answered differently, or not at all."""
    return {one.request.label for one in found.compared if one.differences or isinstance(one.server, NoReply)}


def _made(requests: Iterable[Outgoing | Unsent]) -> Iterator[Callable[[], Outgoing | Unsent]]:
    return (partial(_itself, request) for request in requests)


def _itself(request: Outgoing | Unsent) -> Outgoing | Unsent:
    return request
