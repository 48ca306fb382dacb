"""The `Dialect` of SQLite: its JSON functions, and functions of ours where these cannot look."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from ours_emulator.store.reading.comparisons import Among, Condition, IsName, operands
from ours_emulator.store.reading.snapshot import Snapshot
from ours_emulator.store.sqlite.event_conditions import contains_text
from ours_emulator.store.sqlite.event_conditions import gave_identifier as gave_identifier
from ours_emulator.store.sqlite.event_conditions import has_hint as has_hint
from ours_emulator.store.sqlite.event_conditions import has_hints as has_hints
from ours_emulator.store.sqlite.event_conditions import has_reason as has_reason
from ours_emulator.store.sqlite.event_conditions import hint_rows as hint_rows
from ours_emulator.store.sqlite.event_conditions import property_is as property_is
from ours_emulator.store.sqlite.event_conditions import rule_of_hint as rule_of_hint
from ours_emulator.store.sqlite.event_conditions import rule_of_reason as rule_of_reason
from ours_emulator.store.sqlite.visitor_conditions import contains
from ours_emulator.store.tables import receipts, visitors

_WITH_VISITORS = receipts.outerjoin(visitors, visitors.c.pk == receipts.c.visitor_pk)


async def events_with_text(stored: Snapshot, where: Sequence[Condition], text: str) -> Sequence[int]:
    """Return the ids of those of the events that match *where* that have *text* in them, in any case."""
    ids = sa.select(receipts.c.id).select_from(_WITH_VISITORS).where(*where, contains_text(text))
    return [row["id"] for row in await stored.rows(ids)]


async def visitors_with_text(_: Snapshot, text: str) -> Condition:
    """Match the visitors with *text* in their ids or in one of the values they have."""
    return contains(text)


@compiles(Among, "sqlite")
def _among(element: Among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = operands(element, compiler, options)
    return f"{column} IN (SELECT value FROM json_each({values}))"


@compiles(IsName, "sqlite")
def _is_name(element: IsName, compiler: SQLCompiler, **options: Any) -> str:
    return " = ".join(operands(element, compiler, options))
