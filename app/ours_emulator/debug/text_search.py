"""Searching stored events for a text: in slices, each off the event loop and in turns with other searches."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any

from fastapi import HTTPException
from pydantic import JsonValue

from ours_emulator.debug.search import TURNS
from ours_emulator.jsontext import json_text
from ours_emulator.patterns import Budget
from ours_emulator.store import EventFilter, EventText, StoreReader

_SLICE = 2000
_SECONDS = 20.0
"""How long one search may take. The command line and the handle wait for 30 seconds."""
_WITH_NAMES = ("event_properties", "default_properties", "identity_context", "user_properties", "data", "device")
"""What of a content is searched with the names in it; of the identifiers the values are."""


async def ids_with_text(reader: StoreReader, account: str | None, which: EventFilter, text: str) -> list[int]:
    """Return the ids of the events *which* that have *text* in them. Too long a search is answered 400."""
    budget, needle, ids, last = Budget(), Needle(text), list[int](), 0
    deadline = asyncio.get_running_loop().time() + _SECONDS
    while True:
        part = await reader.texts(account, which, last, _SLICE)
        steps = sum(len(event.content) for event in part.items)
        ids += await TURNS.take(budget, steps, needle.ids_in, part.items)
        if not part.more:
            return ids
        last = part.items[-1].id
        if asyncio.get_running_loop().time() > deadline:
            raise HTTPException(
                400, f"q: the search takes longer than {_SECONDS:g} s; search fewer events, such as those of an event="
            )


class Needle:
    """A text that events are searched for, in any case."""

    def __init__(self, text: str) -> None:
        self._text = text.casefold()
        self._in_json = encode_basestring_ascii(self._text)[1:-1].lower()

    def ids_in(self, events: Sequence[EventText]) -> list[int]:
        """Return the ids of those of *events* that have the text in them."""
        return [event.id for event in events if self.is_in(event)]

    def is_in(self, event: EventText) -> bool:
        """Whether *event* has the text in a name, an identifier, or a name or value of its message."""
        if any(self._text in name.casefold() for name in event.names):
            return True
        return self._may_be_in(event.content) and any(
            self._text in text.casefold() for text in _texts(json.loads(event.content))
        )

    def _may_be_in(self, content: str) -> bool:
        # Most contents are in ASCII without escapes, and need not be read as JSON. In others two escapes may stand for
        # one character, and some characters outside ASCII are in another case one in it.
        return "\\u" in content or self._in_json in content.lower()


def _texts(content: dict[str, Any]) -> Iterator[str]:
    yield from map(str, content.get("identity", {}).values())
    for name in _WITH_NAMES:
        if content.get(name):
            yield from _texts_in(content[name])


def _texts_in(value: JsonValue) -> Iterator[str]:
    """Yield every name and every value in *value*: text as it is, the others as JSON has them."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts_in(inner)
    else:
        yield value if isinstance(value, str) else json_text(value)
