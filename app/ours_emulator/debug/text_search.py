"""Searching stored events for a text, in slices, so that nobody waits for it."""

import asyncio

from fastapi import HTTPException

from ours_emulator.store import EventFilter, StoreReader

_SECONDS = 20.0
"""How long one search may take. The command line and the handle wait for 30 seconds."""


async def ids_with_text(
    reader: StoreReader, account: str | None, which: EventFilter, text: str, seconds: float = _SECONDS
) -> list[int]:
    """Return the ids of the events *which* that have *text* in them. What takes longer than *seconds* is refused."""
    ids, last = await reader.ids_with_text(account, which, text, 0)
    ids = list(ids)
    deadline = asyncio.get_running_loop().time() + seconds
    while last is not None:
        found, last = await reader.ids_with_text(account, which, text, last)
        ids += found
        if asyncio.get_running_loop().time() > deadline:
            raise HTTPException(400, f"q: the search takes longer than {seconds:g} s; add event= or visitor_id=")
    return ids
