"""Excerpts of events: the few fields that a match asks for, read without making records of whole rows.

A match without a name looks at every event of an account. Of all that such a read costs, records are nine tenths.
"""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, TypeAlias

import sqlalchemy as sa

from ours_emulator.jsontext import stored_json
from ours_emulator.model import Properties
from ours_emulator.records import to_json, whole
from ours_emulator.store.reading.decode import Row, event_record, text
from ours_emulator.store.reading.state_columns import STATE_COLUMNS
from ours_emulator.store.tables import accounts, receipts, visitors
from ours_emulator.store.versions import stored_state

_Column: TypeAlias = sa.ColumnElement[Any]
_COLUMNS: Mapping[str, tuple[_Column, Callable[[Any], Any] | None]] = {
    "account": (accounts.c.name.label("account"), None),
    "visitor_id": (visitors.c.visitor_id, text),
    "event": (receipts.c.event, text),
    "distinct_id": (receipts.c.distinct_id, text),
    "time": (receipts.c.time, whole),
    **{
        name: (receipts.c[name], None)
        for name in ("id", "endpoint", "outcome", "test", "repeats", "request_id", "batch_index")
    },
}
"""Fields that are a column, and what makes JSON of its value."""
_IN_CONTENT: Mapping[str, Any] = {"event_properties": {}, "identity_context": None, "identity": {}}
"""Fields that are in the content of a receipt, and what they are if it has none."""
_VISITOR = "visitor_properties"
_CHEAP = {*_COLUMNS, *_IN_CONTENT, _VISITOR}


class ExcerptReader:
    """Makes excerpts with *fields* of rows with `columns`; these are None if it takes whole records."""

    def __init__(self, fields: AbstractSet[str]) -> None:
        self._fields = fields
        self._cheap = fields <= _CHEAP
        self._plain = [(name, *_COLUMNS[name]) for name in fields if name in _COLUMNS]
        self._contained = [(name, _IN_CONTENT[name]) for name in fields if name in _IN_CONTENT]
        self._with_visitor = _VISITOR in fields

    @property
    def columns(self) -> Sequence[_Column] | None:
        """The columns of a row."""
        if not self._cheap:
            return None
        needed = {"id": receipts.c.id, **{name: column for name, column, _ in self._plain}}
        content = [receipts.c.content] if self._contained else []
        return [*needed.values(), *content, *(STATE_COLUMNS if self._with_visitor else ())]

    def __call__(self, row: Row) -> Properties:
        """Return the fields of the event in *row*, as its JSON has them."""
        if not self._cheap:
            event = to_json(event_record(row))
            return {name: event[name] for name in self._fields}
        part: Properties = {}
        for name, _, convert in self._plain:
            part[name] = row[name] if convert is None else convert(row[name])
        if self._contained:
            content = stored_json(row["content"])
            for name, without in self._contained:
                part[name] = content.get(name, without)
        if self._with_visitor:
            version = row["version"]
            part[_VISITOR] = None if version is None else stored_state(version, row["base"]).properties
        return part
