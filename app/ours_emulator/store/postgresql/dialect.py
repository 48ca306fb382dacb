"""The `Dialect` of PostgreSQL: jsonb where values are compared, and Python on the rows that may have a text."""

import asyncio
import json
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any

import sqlalchemy as sa
from pydantic import JsonValue
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from ours_emulator.jsontext import json_text, strict_json
from ours_emulator.store import ANY_RULE
from ours_emulator.store.encoding import decoded
from ours_emulator.store.event_text import has_text, text_in_json
from ours_emulator.store.postgresql.escapes import as_jsonb, jsonb_of, key_of
from ours_emulator.store.reading.comparisons import Among, Condition, IsName, among, operands
from ours_emulator.store.reading.decode import Row
from ours_emulator.store.reading.selections import FROM_VISITORS
from ours_emulator.store.reading.snapshot import Snapshot
from ours_emulator.store.reading.state_columns import STATE_COLUMNS, base, version
from ours_emulator.store.tables import receipts, visitors
from ours_emulator.store.versions import stored_state

_content, _explanation = as_jsonb(receipts.c.content), as_jsonb(receipts.c.explanation)
# Literally, so that an expression is the same in SELECT and GROUP BY.
_RULE, _REASON, _HINTS = (sa.literal_column(f"'{key}'", sa.Text()) for key in ("rule", "reason", "hints"))
hint_rows = sa.func.jsonb_array_elements(sa.func.jsonb_extract_path(_explanation, _HINTS)).table_valued(
    sa.column("value", JSONB)
)
rule_of_hint = sa.func.jsonb_extract_path_text(hint_rows.c.value, _RULE)
rule_of_reason = sa.func.jsonb_extract_path_text(_explanation, _REASON, _RULE)
has_hints = sa.func.strpos(receipts.c.explanation, '"hints":[]') == 0
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def has_hint(rule: str) -> Condition:
    """Match an event with a hint of that *rule*; with any if it is `ANY_RULE`."""
    if rule == ANY_RULE:
        return has_hints
    hints = sa.func.jsonb_extract_path(_explanation, _HINTS)
    return sa.and_(_mentions(rule), hints.op("@>")(jsonb_of(json_text([{"rule": rule}]))))


def has_reason(rule: str) -> Condition:
    """Match an event that the *rule* refused."""
    return sa.and_(_mentions(rule), rule_of_reason == rule)


def _mentions(rule: str) -> Condition:
    # Few events do, and to make jsonb takes much longer than a look for the text.
    return sa.func.strpos(receipts.c.explanation, json_text(rule)) > 0


def property_is(path: str, text: str) -> Condition:
    """Match an event property with *text*, as a string or as JSON; *path* is its name, or leads to it by dots."""
    parts = path.split(".")
    wanted = [jsonb_of(json) for json in (json_text(text), _json_in(text)) if json is not None]
    properties = _content["event_properties"]
    nested = properties
    for part in parts:
        nested = nested[key_of(part)]
    # Few events have the name, and to make jsonb takes much longer than a look for the text.
    is_named = sa.func.strpos(receipts.c.content, json_text(parts[-1])[1:]) > 0
    return sa.and_(is_named, sa.or_(nested.in_(wanted), properties[key_of(path)].in_(wanted)))


def _json_in(text: str) -> str | None:
    """Return *text* as it would be stored if it were read as JSON; None if it is none."""
    try:
        return json.dumps(strict_json(text), allow_nan=False)
    except (ValueError, RecursionError):
        return None


def gave_identifier(identifiers: Mapping[str, str]) -> Condition:
    """Match an event whose message gave, or named, one of *identifiers*, by their names in wire spelling."""
    given = sa.func.coalesce(sa.func.nullif(_content["identity"], jsonb_of("{}")), _content["named"], type_=JSONB)
    return sa.or_(*(given[name] == jsonb_of(json_text(value)) for name, value in identifiers.items()))


async def events_with_text(stored: Snapshot, where: Sequence[Condition], text: str) -> Sequence[int]:
    """Return the ids of those of the events that match *where* that have *text* in them, in any case."""
    # Only Python folds case as the rest of the program does.
    columns = (receipts.c.event, receipts.c.distinct_id, visitors.c.visitor_id, receipts.c.content)
    may = sa.or_(*(_may_contain(column, text_in_json(text)) for column in columns))
    source = receipts.outerjoin(visitors, visitors.c.pk == receipts.c.visitor_pk)
    rows = sa.select(receipts.c.id, *columns).select_from(source).where(*where, may)

    def has(row: Row) -> bool:
        return has_text((row["event"], row["distinct_id"], row["visitor_id"]), row["content"], text)

    return await _keys(stored, rows, "id", has)


async def visitors_with_text(stored: Snapshot, text: str) -> Condition:
    """Match the visitors with *text* in their ids or in one of the values they have."""
    wanted = text.translate(_LOWER)
    in_json = encode_basestring_ascii(wanted)[1:-1]
    # A patch has to be applied first.
    may = [_may_contain(column, in_json) for column in (visitors.c.visitor_id, version.c.content)]
    rows = sa.select(visitors.c.pk, visitors.c.visitor_id, *STATE_COLUMNS).select_from(FROM_VISITORS)
    rows = rows.where(stored.owns(visitors), sa.or_(*may, base.c.id.is_not(None)))

    def has(row: Row) -> bool:
        return any(wanted in value.translate(_LOWER) for value in _values_of(row))

    return among(visitors.c.pk, await _keys(stored, rows, "pk", has))


async def _keys(stored: Snapshot, rows: sa.Executable, key: str, matches: Callable[[Row], bool]) -> list[int]:
    """Return the *key* of each of *rows* that *matches*."""
    found: list[int] = []
    async for part in stored.parts(rows):
        found += [row[key] for row in await asyncio.to_thread(_matching, part, matches)]
    return found


def _matching(rows: Sequence[Row], matches: Callable[[Row], bool]) -> list[Row]:
    return [row for row in rows if matches(row)]


def _may_contain(column: sa.ColumnElement[Any], in_json: str) -> Condition:
    """Match a *column* that may have a text, which is *in_json* in lower case; an escape may be any character."""
    return sa.or_(sa.func.strpos(sa.func.lower(column), in_json) > 0, sa.func.strpos(column, r"\u") > 0)


def _values_of(row: Row) -> Iterator[str]:
    """Yield what is searched of the visitor in *row*."""
    yield decoded(row["visitor_id"])
    state = stored_state(row["version"], row["base"])
    yield from _texts_in([state.properties, state.data, state.anonymous_id])


def _texts_in(value: JsonValue) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts_in(inner)
    elif value is not None:
        yield value if isinstance(value, str) else json_text(value)


@compiles(Among, "postgresql")
def _among(element: Among, compiler: SQLCompiler, **options: Any) -> str:
    # Of an array its planner knows how long it is; one of integers or digests is but for the brackets as in JSON.
    column, values = operands(element, compiler, options)
    kind = "bigint" if isinstance(next(iter(element.clauses)).type, sa.Integer) else "text"
    return f"{column} = ANY (CAST(translate({values}, '[]', '{{}}') AS {kind}[]))"


@compiles(IsName, "postgresql")
def _is_name(element: IsName, compiler: SQLCompiler, **options: Any) -> str:
    # An entry of its indexes has room for 2,700 bytes.
    column, name = operands(element, compiler, options)
    return f"(md5({column}) = md5({name}) AND {column} = {name})"
