"""Whether an event has a text in it, in any case: in its name, its ids, or a name or value of what was sent."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from pydantic import JsonValue

from ours_emulator.decide.content import identifiers_in
from ours_emulator.jsontext import json_text
from ours_emulator.store.encoding import decoded, encoded

_SHOWN = ("event_properties", "identity_context")
_NOT_SHOWN = ("default_properties", "user_properties", "data", "device")
"""What of a content is searched with the names in it, as an event shows it or not; of identifiers only the values.

An event shows its default properties with `received_at`, which nobody sent.
"""


def text_in_json(text: str) -> str:
    """Return *text* as a content in lower case has it, unless that has escapes."""
    return _folded(text)[1]


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
    return folded, encoded(folded).lower()


def texts_in(content: Mapping[str, JsonValue]) -> Iterator[str]:
    """Yield the names and values of a *content* that are searched."""
    yield from identifiers_in(content).values()
    yield from map(_text, _parts_of(content, (*_SHOWN, *_NOT_SHOWN)))


def texts_not_shown_in(content: Mapping[str, JsonValue]) -> Iterator[str]:
    """Yield those that are no strings in an event as it is shown.

    Numbers are among them: JavaScript reads 1.0 as 1, and has no integer above 2**53.
    """
    yield from (_text(part) for part in _parts_of(content, _SHOWN) if not isinstance(part, str))
    yield from map(_text, _parts_of(content, _NOT_SHOWN))


def _parts_of(content: Mapping[str, JsonValue], fields: Sequence[str]) -> Iterator[JsonValue]:
    for field in fields:
        if content.get(field):
            yield from _parts_in(content[field])


def _parts_in(value: JsonValue) -> Iterator[JsonValue]:
    """Yield every name in *value*, and every value that contains no other."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _parts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _parts_in(inner)
    else:
        yield value


def _text(part: JsonValue) -> str:
    return part if isinstance(part, str) else json_text(part)
