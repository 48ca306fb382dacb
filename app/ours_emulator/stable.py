"""Placeholders for what differs in each run, so that a test can compare what arrived with a stored snapshot."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain, count
from typing import Any, TypeAlias, cast

Json: TypeAlias = Mapping[str, Any]
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DURATION = re.compile(r"\d+(?= ms\b)|(?<=retried after )[\d.]+")
_IDS = {"id": "event", "request_id": "request"}
_SAME_IN_ALL = {
    "account": "<account>",
    # Not numbered: whether two of them are the same millisecond is chance.
    **dict.fromkeys(("time", "received_at", "first_seen", "last_seen"), "<time>"),
}


class _Placeholders:
    """The placeholder of each value, numbered within its kind in the order of appearance."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, object], str] = {}
        self._counts: Counter[str] = Counter()

    def of(self, kind: str, value: object) -> str:
        """Return the placeholder of *value*: `<uuid 1>`. The same value always has the same one."""
        if (kind, value) not in self._given:
            self._counts[kind] += 1
            self._given[kind, value] = f"<{kind} {self._counts[kind]}>"
        return self._given[kind, value]

    def in_text(self, text: str) -> str:
        """Return *text* with a placeholder for each UUID in it."""
        return UUID.sub(lambda found: self.of("uuid", found[0].lower()), text)

    def in_value(self, value: Any) -> Any:
        """Return *value*, which is JSON, with a placeholder for each UUID in it, keys included."""
        if isinstance(value, str):
            return self.in_text(value)
        if isinstance(value, dict):
            members = cast(dict[str, object], value)
            return self._in_members(members)
        if isinstance(value, list):
            return [self.in_value(item) for item in cast(list[object], value)]
        return value

    def _in_members(self, members: Mapping[str, object]) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for key, item in members.items():
            # The same UUID in other letters, say: both values stay.
            keys = chain([self.in_text(key)], (self._another(key, number) for number in count(2)))
            shown[next(one for one in keys if one not in shown)] = self.in_value(item)
        return shown

    def _another(self, key: str, number: int) -> str:
        """Return what stands for *key* if what usually does is taken."""
        if UUID.search(key) is None:
            return f"{key} ({number})"
        return UUID.sub(lambda found: self.of("uuid", (found[0].lower(), number)), key)

    def in_record(self, record: Json) -> dict[str, Any]:
        """Return the JSON of a record with placeholders."""
        return {name: self._in_field(name, value) for name, value in record.items()}

    def _in_field(self, name: str, value: Any) -> Any:
        if name in _IDS:
            return self.of(_IDS[name], value)
        if name in _SAME_IN_ALL:
            return _SAME_IN_ALL[name]
        shown = self.in_value(value)
        if name == "hints":
            return [_without_durations(hint) for hint in shown]
        if name == "default_properties" and "received_at" in shown:
            return {**shown, "received_at": _SAME_IN_ALL["received_at"]}
        if name == "reason" and shown is not None:
            return _without_durations(shown)
        return shown


def _without_durations(said: Json) -> dict[str, Any]:
    """Return a reason or a hint with a placeholder for the durations in its message."""
    return {**said, "message": _DURATION.sub("<duration>", said["message"])}


def stable_forms(records: Iterable[Json]) -> list[dict[str, Any]]:
    """Return the JSON of *records* with placeholders, numbered through all of them."""
    placeholders = _Placeholders()
    return [placeholders.in_record(record) for record in records]
