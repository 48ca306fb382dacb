"""Reads of visitors."""

import sqlalchemy as sa

from ours_emulator.records import Page, Visitor, VisitorVersion
from ours_emulator.store import VisitorFilter
from ours_emulator.store.reading.conditions import pks_named
from ours_emulator.store.reading.selections import FROM_VISITORS, VERSIONS, VISITORS
from ours_emulator.store.reading.snapshot import SnapshotReader
from ours_emulator.store.reading.state_columns import version
from ours_emulator.store.tables import receipts, visitors


class VisitorReader(SnapshotReader):
    """Reads visitors and their versions."""

    async def visitors(
        self, account: str | None, which: VisitorFilter, limit: int, cursor: str | None
    ) -> Page[Visitor]:
        """Return visitors, the newest first."""
        async with self.snapshot(account) as stored:
            where = [stored.owns(visitors)]
            where += [visitors.c.pk.in_(pks_named(stored.ids, *name)) for name in which.identifiers.items()]
            counted: sa.FromClause = visitors
            if which.text is not None:
                where.append(await stored.dialect.visitors_with_text(stored, which.text))
                counted = FROM_VISITORS
            return await stored.page(VISITORS, where, limit, cursor, await stored.count(counted, where))

    async def visitor_version(self, account: str | None, event_id: int) -> VisitorVersion | None:
        """Return the visitor right after the event *event_id*; None if it is not there or left none."""
        async with self.snapshot(account) as stored:
            return await stored.one(VERSIONS, receipts.c.id == event_id, version.c.id.is_not(None))
