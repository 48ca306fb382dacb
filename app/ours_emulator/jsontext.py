"""JSON as it is stored and sent: compact and in ASCII, which NUL and lone surrogates survive in any database."""

import json
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii
from typing import Any, TypeAlias

from pydantic import JsonValue
from pydantic_core import PydanticSerializationError, from_json, to_json

Shape: TypeAlias = Mapping[str, "Shape | None"]
"""The fields of an object, each with the shape of its value: empty for a plain value, None for an open object."""
PLAIN: Shape = {}
"""The shape of a plain value."""
_MAX_NAME = 100
_encode = json.JSONEncoder(separators=(",", ":")).encode


def json_text(value: object) -> str:
    """Return a JSON value as text."""
    # Three times as fast, but leaves DEL and what is not ASCII as it is, and refuses lone surrogates and deep values.
    try:
        text = to_json(value)
    except PydanticSerializationError:
        return _encode(value)
    return text.decode("ascii") if text.isascii() and b"\x7f" not in text else _encode(value)


def quoted(text: str) -> str:
    """Return `json_text` of a string, sooner."""
    return encode_basestring_ascii(text)


def stored_json(text: str) -> Any:
    """Return the value that `json_text` made *text* of."""
    # Half the time, but refuses lone surrogates and deep values.
    try:
        return from_json(text)
    except ValueError:
        return json.loads(text)


def strict_json(text: str | bytes) -> JsonValue:
    """Return the value that *text* is as JSON. Raises ValueError, also for NaN and Infinity, and RecursionError."""
    value: JsonValue = json.loads(text, parse_constant=_refuse_constant)
    return value


class TwiceError(ValueError):
    """A name that an object has more than once, of which a parser would drop all values but the last one."""


def unambiguous_json(text: str | bytes) -> JsonValue:
    """Return the value that *text* is as JSON. Raises ValueError, also for NaN and Infinity and for a name twice."""
    try:
        value: JsonValue = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=each_once)
    except RecursionError:
        raise ValueError("nested too deep") from None
    return value


def each_once(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    """Return the object with *pairs* of name and value. Raises TwiceError if a name is there twice."""
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise TwiceError(is_twice(next(name for name in members if names.count(name) > 1)))
    return members


def is_twice(name: str) -> str:
    """Return what is wrong with an object that has *name* more than once."""
    return f"{name[:_MAX_NAME]!r} is there twice; keep one"


def _refuse_constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is not a JSON number")


def json_length(value: JsonValue) -> int:
    """Return the length of `json_text`."""
    return len(quoted(value) if isinstance(value, str) else json_text(value))


def same(one: JsonValue, other: JsonValue) -> bool:
    """Whether two JSON values are equal: true does not equal 1, but 1 equals 1.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other
