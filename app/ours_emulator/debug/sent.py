"""What the requests of events said that the events do not have: for those that explain why one is missing."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from pydantic import JsonValue

from ours_emulator.contract.body import parse
from ours_emulator.contract.sent import message_in, sent_fields, value_at
from ours_emulator.debug.journal_format import text_of
from ours_emulator.debug.match_progress import Nearest
from ours_emulator.event_view import EventView
from ours_emulator.matching import NOT_THERE
from ours_emulator.model import Properties
from ours_emulator.records import Event, Hint, Miss, NearMiss, Reason, StoredRequest, dotted
from ours_emulator.store import StoreReader

_MAX_BYTES = 1024 * 1024
"""Of a body. A larger one is not read: the bodies of all near misses may have to be."""
_DROPPED = "unknown-keys"
_CLIENT_API = "client/"


async def with_sent(reader: StoreReader, views: Sequence[EventView]) -> list[EventView]:
    """Return *views* of refused events with what their requests say of them, as far as it can be read."""
    bodies = _Bodies(reader)
    return [
        view
        if view.event.endpoint.startswith(_CLIENT_API)
        else EventView(view.event, sent_fields(await bodies.message_of(view.event)))
        for view in views
    ]


async def explain_lost(reader: StoreReader, near: Nearest) -> None:
    """Say of each of *near* which properties were sent under a key that was dropped (rule unknown-keys)."""
    bodies = _Bodies(reader)
    near.ranked = [
        (rank, order, await _with_lost(bodies, near_miss), view) for rank, order, near_miss, view in near.ranked
    ]


async def _with_lost(bodies: "_Bodies", near_miss: NearMiss) -> NearMiss:
    event = near_miss.event
    dropped = [hint for hint in event.hints if hint.rule == _DROPPED]
    if not dropped or not any(_is_lost(miss) for miss in near_miss.misses):
        return near_miss
    message = await bodies.message_of(event)
    return replace(near_miss, misses=tuple(_explained(miss, dropped, message) for miss in near_miss.misses))


def _is_lost(miss: Miss) -> bool:
    return miss.path.startswith("event_properties.") and miss.why.startswith(NOT_THERE)


def _explained(miss: Miss, dropped: Sequence[Hint], message: Properties) -> Miss:
    names = miss.path.split(".")[1:]
    for hint in dropped if _is_lost(miss) else ():
        key = dotted(hint.path)
        place = key.split(".")
        # What stood beside the properties instead of in them has lost its own name.
        lost, how = (place, "as") if place[-1:] == names else ([*place, *names], "in")
        if value_at(message, lost) is not None:
            return replace(miss, why=f"{NOT_THERE}; it was sent {how} `{key}`, which was dropped [{_DROPPED}]")
    return miss


class _Bodies:
    """The bodies of requests, each read once: all rows of a batch may have been refused."""

    def __init__(self, reader: StoreReader) -> None:
        self._reader = reader
        self._read: dict[int, JsonValue] = {}

    async def message_of(self, event: Event) -> Properties:
        """Return what the request of *event* says of it."""
        if event.request_id not in self._read:
            found = await self._reader.request(event.account, event.request_id)
            body = await asyncio.to_thread(_body, found[0]) if found else None
            self._read[event.request_id] = body
        return message_in(self._read[event.request_id], event.endpoint, event.batch_index)


def _body(stored: StoredRequest) -> JsonValue:
    text = text_of(stored.body, stored.record.content_encoding, _MAX_BYTES) if len(stored.body) <= _MAX_BYTES else None
    body = None if text is None else parse(text.encode())
    return None if isinstance(body, Reason) else body
