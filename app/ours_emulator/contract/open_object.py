"""Objects whose names are free: what is removed from them, and what they may hold (rules open-object-*)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import JsonValue

from ours_emulator.javascript import MAX_SAFE_INTEGER, longer_than, sent_digits
from ours_emulator.model import Properties


class Excess(NamedTuple):
    """Where in an open object a limit is exceeded, as the keys that lead there, and which."""

    inner: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class OpenObject:
    """How an object with free names is tidied, and its limits."""

    max_keys: int
    max_levels: int
    """Objects inside each other, the outermost one included. What is inside an array does not count."""
    max_items: int
    """Of each array; the others are cut off."""
    max_units: int
    """Length of its JSON in UTF-16 code units."""

    @classmethod
    def read(cls, raw: Mapping[str, int]) -> "OpenObject":
        """Return what a document says of an open object."""
        return cls(raw["maxKeys"], raw["maxLevels"], raw["maxItems"], raw["maxUtf16Units"])

    def tidied(self, value: JsonValue) -> JsonValue:
        """Return *value*, if it is an object, without empty keys and with what of it is cut or becomes text."""
        if not isinstance(value, dict):
            return value
        return {key: self._entry(item) for key, item in value.items() if key}

    def problem(self, value: Properties) -> Excess | None:
        """Return which limit *value*, which is tidied, exceeds."""
        if len(value) > self.max_keys:
            return Excess((), f"must not have more than {self.max_keys} keys, got {len(value)}")
        too_deep = _too_deep(value, self.max_levels)
        if too_deep is not None:
            return Excess(too_deep, f"must not have more than {self.max_levels} levels of objects")
        if longer_than(value, self.max_units):
            return Excess((), f"must not be longer than {self.max_units} UTF-16 code units as JSON")
        return None

    def _entry(self, value: JsonValue) -> JsonValue:
        if isinstance(value, int | float) and abs(value) > MAX_SAFE_INTEGER:
            return sent_digits(value)
        return self._inside(value)

    def _inside(self, value: JsonValue) -> JsonValue:
        if isinstance(value, dict):
            return {key: self._inside(item) for key, item in value.items() if key}
        return [self._inside(item) for item in value[: self.max_items]] if isinstance(value, list) else value


def _too_deep(value: Properties, levels: int) -> tuple[str, ...] | None:
    """Return the keys that lead to an object with more than *levels* above it, or itself and those."""
    for key, item in value.items():
        if isinstance(item, dict):
            inner = () if levels == 1 else _too_deep(item, levels - 1)
            if inner is not None:
                return (key, *inner)
    return None
