"""Whether an event has a text in it, in any case: in its name, its ids, or a name or value of what was sent."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import cast

from pydantic import JsonValue

from ours_emulator.jsontext import json_text
from ours_emulator.store.encoding import decoded

_WITH_NAMES = ("event_properties", "default_properties", "identity_context", "user_properties", "data", "device")
"""What of a content is searched with the names in it; of the identifiers only the values are."""


def has_text(names: Sequence[str | None], content: str, text: str) -> bool:
    """Whether *text* is in one of *names* or in the *content* of a message; both are in ASCII, as they are stored."""
    folded, in_json = _folded(text)
    if any(name is not None and folded in decoded(name).casefold() for name in names):
        return True
    # Most contents are ASCII without escapes, so that few have to be read as JSON. Two escapes may stand for one
    # character, and a character outside ASCII may be one of ASCII in another case.
    if in_json not in content.lower() and "\\u" not in content:
        return False
    return any(folded in part.casefold() for part in texts_in(json.loads(content)))


@lru_cache(maxsize=16)
def _folded(text: str) -> tuple[str, str]:
    """Return *text* as it is compared, without and with the escapes that JSON in ASCII has."""
    folded = text.casefold()
    return folded, encode_basestring_ascii(folded)[1:-1].lower()


def texts_in(content: Mapping[str, JsonValue]) -> Iterator[str]:
    """Yield the names and values of a *content* that are searched."""
    yield from cast(Mapping[str, str], content.get("identity", {})).values()
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
