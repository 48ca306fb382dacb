"""Conditions on what the content of an event has."""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from pydantic import JsonValue

from ours_emulator.decide.content import identifiers_in
from ours_emulator.jsontext import json_text, same
from ours_emulator.model import Properties
from ours_emulator.store import ANY_RULE, LARGEST
from ours_emulator.store.event_text import has_text
from ours_emulator.store.reading.comparisons import Condition
from ours_emulator.store.sqlite.visitor_conditions import Connection
from ours_emulator.store.tables import receipts, visitors


def add_functions(connection: Connection) -> None:
    """Let *connection* run what the conditions of this module need."""
    connection.create_function("has_property", 2, _has_property, deterministic=True)
    connection.create_function("gave_identifier", 2, _gave_identifier, deterministic=True)
    connection.create_function("has_text", 5, _has_text, deterministic=True)


def property_is(path: str, text: str) -> Condition:
    """Match an event property with *text*, as a string or as JSON; *path* is its name, or leads to it by dots."""
    wanted = _json_in(text)
    content = receipts.c.content
    in_python = sa.func.has_property(content, json_text([path, text])) == 1
    asked = path + text + (wanted if isinstance(wanted, str) else "")
    # SQLite cuts texts at NUL, has no lone surrogates, and knows no escapes in a path.
    if not asked.isprintable() or '"' in path or "\\" in path:
        return in_python
    return sa.case((sa.func.instr(content, r"\u0000") > 0, in_python), else_=_by_json_functions(path, text, wanted))


hint_rows = sa.func.json_each(receipts.c.explanation, "$.hints").table_valued("value")
"""The hints of an event, a row each."""
rule_of_hint = sa.func.json_extract(hint_rows.c.value, "$.rule")
rule_of_reason = sa.func.json_extract(receipts.c.explanation, "$.reason.rule")
has_hints = sa.func.instr(receipts.c.explanation, '"hints":[]') == 0
"""Match an event with hints. Most have none, and the JSON functions take much longer than a look for the text."""


def has_hint(rule: str) -> Condition:
    """Match an event with a hint of that *rule*."""
    if rule == ANY_RULE:
        return has_hints
    of_rule = sa.select(sa.literal(1)).select_from(hint_rows).where(rule_of_hint == rule)
    return sa.and_(_mentions(rule), of_rule.exists())


def has_reason(rule: str) -> Condition:
    """Match an event that the *rule* refused."""
    return sa.and_(_mentions(rule), rule_of_reason == rule)


def _mentions(rule: str) -> Condition:
    # Few events do, and the JSON functions take much longer than a look for the text.
    return sa.func.instr(receipts.c.explanation, json_text(rule)) > 0


def gave_identifier(identifiers: Mapping[str, str]) -> Condition:
    """Match an event whose message gave, or named, one of *identifiers*, by their names in wire spelling."""
    return sa.func.gave_identifier(receipts.c.content, json_text(dict(identifiers))) == 1


def _gave_identifier(content: str, identifiers: str) -> bool:
    given = identifiers_in(json.loads(content))
    return any(given.get(name) == value for name, value in json.loads(identifiers).items())


def contains_text(text: str) -> Condition:
    """Match *text*, in any case, anywhere in an event: see `store.event_text`."""
    parts = (receipts.c.event, receipts.c.distinct_id, visitors.c.visitor_id, receipts.c.content)
    return sa.func.has_text(*parts, json_text(text)) == 1


def _has_text(event: str | None, distinct_id: str | None, visitor_id: str | None, content: str, text: str) -> bool:
    return has_text((event, distinct_id, visitor_id), content, _text_in(text))


@lru_cache(maxsize=16)
def _text_in(json_string: str) -> str:
    text: str = json.loads(json_string)
    return text


def _by_json_functions(path: str, text: str, wanted: JsonValue) -> Condition:
    place = "$.event_properties" + "".join(f".{json_text(part)}" for part in path.split("."))
    content = receipts.c.content
    nested = _is(sa.func.json_type(content, place), sa.func.json_extract(content, place), text, wanted)
    entries = sa.func.json_each(content, "$.event_properties").table_valued("key", "value", "type")
    named = sa.and_(entries.c.key == path, _is(entries.c.type, entries.c.value, text, wanted))
    return sa.or_(nested, sa.select(sa.literal(1)).select_from(entries).where(named).exists())


def _is(kind: sa.ColumnElement[Any], value: sa.ColumnElement[Any], text: str, wanted: JsonValue) -> Condition:
    """Match a JSON value of SQLite with *text*, or with *wanted*, what it is as JSON."""
    as_text = sa.and_(kind == "text", value == text)
    if isinstance(wanted, str):
        return sa.or_(as_text, sa.and_(kind == "text", value == wanted))
    if isinstance(wanted, int | float) and not isinstance(wanted, bool):
        # What no integer of SQLite can hold it has as a double.
        number = wanted if abs(wanted) <= LARGEST else json.loads(text, parse_int=float)
        return sa.or_(as_text, sa.and_(kind.in_(("integer", "real")), value == number))
    if isinstance(wanted, dict | list):
        return sa.or_(as_text, sa.and_(kind.in_(("object", "array")), value == json_text(wanted)))
    return sa.or_(as_text, kind == json_text(wanted))


def _has_property(content: str, asked: str) -> bool:
    path, text = json.loads(asked)
    properties = json.loads(content).get("event_properties", {})
    wanted = (text, _json_in(text))
    return any(same(value, one) for value in _values_at(properties, path) for one in wanted)


def _values_at(properties: Properties, path: str) -> Iterator[JsonValue]:
    """Yield the value of the property called *path*, and the one that its dots lead to."""
    if path in properties:
        yield properties[path]
    value: JsonValue = properties
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return
        value = value[part]
    yield value


def _json_in(text: str) -> JsonValue:
    """Return *text* read as JSON; as it is, if it is none."""
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value
