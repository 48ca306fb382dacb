"""Scans of all stored events: in slices, one at a time, so that nobody else waits for them."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TypeAlias, TypeVar

from starlette.exceptions import HTTPException

_SECONDS = 20.0
"""How long one scan may take, beside waiting for its turns. The command line and the handle wait for 30 seconds."""
_T = TypeVar("_T")
_Place = TypeVar("_Place")
Read: TypeAlias = Callable[[_Place], Awaitable[tuple[_T, _Place | None]]]
"""Reads the slice after a place; returns it with the place up to which it goes, None if that is all there is."""
IsAbandoned: TypeAlias = Callable[[], Awaitable[bool]]
"""Tells whether whoever asked has left."""


class Scans:
    """Scans of one store. Their slices take turns: several at once would only keep the interpreter from others."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def slices(
        self,
        read: Read[_Place, _T],
        start: _Place,
        is_abandoned: IsAbandoned,
        too_long: str,
        seconds: float = _SECONDS,
    ) -> AsyncGenerator[_T]:
        """Yield what *read* returns for each slice from *start* on, until it was all, or the scan *is_abandoned*.

        What takes longer than *seconds* is refused: *too_long* says what to do.
        """
        clock = asyncio.get_running_loop().time
        last: _Place | None = start
        while last is not None and not await is_abandoned():
            if seconds < 0:
                raise HTTPException(400, too_long)
            async with self._turn:
                began = clock()
                part, last = await read(last)
                seconds -= clock() - began
            yield part
