"""A first tracking plan, made from messages: what all of one kind have in common. Pure rules."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import JsonValue

from ours_emulator.contract.plan_checks import sent_about_visitor
from ours_emulator.contract.plan_schemas import SURROGATES
from ours_emulator.model import Message, Properties

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MAX_NAMES = 100
"""An object with more different names is a map by ids rather than properties, which each have a meaning."""


def inferred_plan(messages: Iterable[Message], left_out: set[str] | None = None) -> Properties:
    """Return a plan that *messages* fit: types, formats, nested properties, and which are always there.

    Names with lone surrogates, which no plan can have, are added to *left_out*.
    """
    events: dict[str, _Seen] = {}
    visitor = _Seen()
    names: set[str] = set() if left_out is None else left_out
    for message in messages:
        event = {} if message.event is None else _spelled({message.event: message.event_properties}, names)
        for name, properties in event.items():
            if not name.startswith("$"):
                events.setdefault(name, _Seen()).add(properties)
        sent = sent_about_visitor(message)
        if sent:
            visitor.add(_spelled(sent, names))
    plan: Properties = {"allow_unplanned": False, "events": {name: events[name].schema() for name in sorted(events)}}
    # A message sends some properties of the visitor, another one others: none is required.
    if visitor.types:
        plan["visitor"] = visitor.schema(requires=False)
    return plan


def _spelled(value: Properties, left_out: set[str]) -> Properties:
    """Return *value* without the names that have lone surrogates, which are added to *left_out*."""
    left_out.update(name for name in value if SURROGATES.search(name))
    return {name: _spelled_inside(inner, left_out) for name, inner in value.items() if name not in left_out}


def _spelled_inside(value: JsonValue, left_out: set[str]) -> JsonValue:
    if isinstance(value, list):
        return [_spelled_inside(inner, left_out) for inner in value]
    return _spelled(value, left_out) if isinstance(value, dict) else value


@dataclass
class _Seen:
    """The values that came at one place."""

    types: dict[str, int] = field(default_factory=dict[str, int])
    """How many there were of each type."""
    formats: set[str] | None = None
    """Those that every text has; None as long as there is no text."""
    properties: "dict[str, _Seen]" = field(default_factory=lambda: dict[str, _Seen]())
    counts: dict[str, int] = field(default_factory=dict[str, int])
    """In how many objects each property was."""
    items: "_Seen | None" = None

    def add(self, value: JsonValue) -> None:
        """Take *value* into account."""
        name = _type(value)
        self.types[name] = self.types.get(name, 0) + 1
        if isinstance(value, str):
            formats = _formats(value)
            self.formats = formats if self.formats is None else self.formats & formats
        elif isinstance(value, dict):
            for key, inner in value.items():
                self.properties.setdefault(key, _Seen()).add(inner)
                self.counts[key] = self.counts.get(key, 0) + 1
        elif isinstance(value, list):
            self.items = self.items or _Seen()
            for inner in value:
                self.items.add(inner)

    def schema(self, *, requires: bool = True) -> Properties:
        """Return the schema that all of them fit."""
        types = self._types()
        schema: Properties = {"type": types[0] if len(types) == 1 else [*types]}
        if self.formats:
            schema["format"] = min(self.formats)
        if self.items is not None and self.items.types:
            schema["items"] = self.items.schema(requires=requires)
        return {**schema, **(self._object(requires=requires) if "object" in self.types else {})}

    def _types(self) -> Sequence[str]:
        types = sorted(self.types)
        return [name for name in types if name != "integer"] if "number" in types else types

    def _object(self, *, requires: bool) -> Properties:
        if len(self.properties) > _MAX_NAMES:
            return {}
        properties: Properties = {
            name: seen.schema(requires=requires) for name, seen in sorted(self.properties.items())
        }
        always: list[JsonValue] = [
            name for name, count in sorted(self.counts.items()) if count == self.types["object"] and requires
        ]
        required: Properties = {"required": always} if always else {}
        return {"properties": properties, **required, "additionalProperties": False}


def _type(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"
    names: dict[type, str] = {int: "integer", str: "string", dict: "object", list: "array"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "null")


def _formats(text: str) -> set[str]:
    if _MOMENT.fullmatch(text) and _is_date(text[:19]):
        return {"date-time"}
    if _DATE.fullmatch(text) and _is_date(text):
        return {"date"}
    return {"uuid"} if _UUID.fullmatch(text) else set()


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
