"""JSON as it is stored and sent: compact and in ASCII, which NUL and lone surrogates survive in any database."""

import json
from json import encoder
from typing import Any, cast

from pydantic import JsonValue

_plain = json.JSONEncoder(separators=(",", ":")).encode
# JSONEncoder makes a C encoder for each text, which takes as long as encoding a small one. CPython only.
_make: Any = getattr(encoder, "c_make_encoder", None)
_parts: Any = _make and _make(
    None, json.JSONEncoder().default, encoder.encode_basestring_ascii, None, ":", ",", False, False, True
)


def _fast(value: object) -> str:
    return "".join(cast("tuple[str, ...]", _parts(value, 0)))


json_text = _fast if _parts else _plain
"""Return a JSON value as text."""


def same(one: JsonValue, other: JsonValue) -> bool:
    """Whether two JSON values are equal: true does not equal 1, but 1 equals 1.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other
