"""JSON as it is stored and sent: compact and in ASCII, which NUL and lone surrogates survive in any database."""

import json
from json.encoder import encode_basestring_ascii

from pydantic import JsonValue
from pydantic_core import PydanticSerializationError, to_json

_encode = json.JSONEncoder(separators=(",", ":")).encode


def json_text(value: object) -> str:
    """Return a JSON value as text."""
    # Three times as fast, but leaves DEL and what is not ASCII as it is, and refuses lone surrogates and deep values.
    try:
        text = to_json(value)
    except PydanticSerializationError:
        return _encode(value)
    return text.decode("ascii") if text.isascii() and b"\x7f" not in text else _encode(value)


def strict_json(text: str | bytes) -> JsonValue:
    """Return the value that *text* is as JSON. Raises ValueError, also for NaN and Infinity, and RecursionError."""
    value: JsonValue = json.loads(text, parse_constant=_refuse_constant)
    return value


def _refuse_constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is not a JSON number")


def json_length(value: JsonValue) -> int:
    """Return the length of `json_text`."""
    return len(encode_basestring_ascii(value) if isinstance(value, str) else json_text(value))


def same(one: JsonValue, other: JsonValue) -> bool:
    """Whether two JSON values are equal: true does not equal 1, but 1 equals 1.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other
