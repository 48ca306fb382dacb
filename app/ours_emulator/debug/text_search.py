"""Searching stored events for a text: in slices, one at a time, so that nobody else waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.exceptions import HTTPException

from ours_emulator.store import EventFilter, StoreReader

_SECONDS = 20.0
"""How long one search may take, beside waiting for its turns. The command line and the handle wait for 30 seconds."""
IsAbandoned: TypeAlias = Callable[[], Awaitable[bool]]
"""Tells whether whoever asked has left."""


class TextSearch:
    """Searches of one store. Their slices take turns: several at once would only keep the interpreter from others."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def ids(
        self,
        reader: StoreReader,
        account: str | None,
        which: EventFilter,
        text: str,
        is_abandoned: IsAbandoned,
        seconds: float = _SECONDS,
    ) -> list[int]:
        """Return the ids of the events *which* that have *text* in them.

        What takes longer than *seconds* is refused. The search ends when *is_abandoned*, with what it has found so far.
        """
        clock, ids = asyncio.get_running_loop().time, list[int]()
        last: int | None = 0
        while last is not None and not await is_abandoned():
            if seconds < 0:
                raise HTTPException(400, "q: the search takes too long; add event= or visitor_id=")
            async with self._turn:
                began = clock()
                found, last = await reader.ids_with_text(account, which, text, last)
                seconds -= clock() - began
            ids += found
        return ids
