"""Reads of events: lists by time, arrivals by id, excerpts."""

import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar

import sqlalchemy as sa

from ours_emulator.records import Event, EventOrder, Page
from ours_emulator.store import EventFilter, Excerpt, Slice, StoredEvent, StoredVersion
from ours_emulator.store.reading.comparisons import Condition, among
from ours_emulator.store.reading.conditions import account_is, count_conditions, event_conditions, is_counted
from ours_emulator.store.reading.cursors import after_cursor, cursor_of, position
from ours_emulator.store.reading.decode import event_record, stored_version
from ours_emulator.store.reading.excerpts import ExcerptReader
from ours_emulator.store.reading.selections import COUNTED, EVENTS, EVENTS_BY_ARRIVAL, FROM_RECEIPTS, STATES
from ours_emulator.store.reading.snapshot import Snapshot, SnapshotReader
from ours_emulator.store.reading.state_columns import version
from ours_emulator.store.tables import accounts, marks, receipt_counts, receipts

T = TypeVar("T")
_SORTED_ROWS = 20_000
"""Events of an account up to which its ids are sorted."""
_SEARCHED = 4000
"""Events that are searched for a text before others may use the connection: 10 ms, if they are small."""


class EventReader(SnapshotReader):
    """Reads events."""

    async def events(
        self, account: str | None, which: EventFilter, limit: int, cursor: str | None, order: EventOrder = "time"
    ) -> Page[Event]:
        """Return events, the latest by `time` first (rule event-order), or the last to arrive first."""
        async with self.snapshot(account) as stored:
            where = event_conditions(stored, which)
            total = await _receipts_counted(stored, which) if is_counted(which) else await stored.count(receipts, where)
            if order == "arrival":
                return await _page_by_arrival(stored, which, limit, cursor, total)
            return await stored.page(EVENTS, where, limit, cursor, total)

    async def latest_event(self, account: str | None, which: EventFilter) -> Event | None:
        """Return the last event by `time` (rule event-order); None if there is none."""
        async with self.snapshot(account) as stored:
            last = EVENTS.selected.where(*event_conditions(stored, which)).order_by(*EVENTS.latest_first)
            rows, _ = await stored.first_rows(last, 1)
        return event_record(rows[0]) if rows else None

    async def arrivals(self, account: str | None, which: EventFilter, after: int, limit: int) -> Slice[Event]:
        """Return the events with an id greater than *after*, the first to arrive first."""
        async with self.snapshot(account) as stored:
            rows, more = await _arrivals(stored, EVENTS.selected, which, after, limit)
            return _slice(stored, list(map(event_record, rows)), more)

    async def excerpts(
        self, account: str | None, which: EventFilter, fields: AbstractSet[str], after: int, limit: int
    ) -> Slice[Excerpt]:
        """Return only *fields* of the events that `arrivals` would return."""
        excerpt = ExcerptReader(fields)
        selected = sa.select(*excerpt.columns).select_from(FROM_RECEIPTS) if excerpt.columns else EVENTS.selected
        async with self.snapshot(account) as stored:
            rows, more = await _arrivals(stored, selected, which, after, limit)
            return _slice(stored, [(row["id"], excerpt(row)) for row in rows], more)

    async def ids_with_text(
        self, account: str | None, which: EventFilter, text: str, order: EventOrder, cursor: str
    ) -> tuple[Sequence[int], str | None]:
        """Search some events, the next ones after *cursor* in the list that `events` returns, for *text* in any case.

        Return the ids of those *which* have it, and the cursor up to which was searched; None if that is all there is.
        "" is the cursor of the start.
        """
        by_time = order == "time"
        selection = EVENTS if by_time else EVENTS_BY_ARRIVAL
        async with self.snapshot(account) as stored:
            place = after_cursor(selection.key, cursor or None)
            # No index has the ids of an account in order, but the table has those of all.
            own = [stored.owns(receipts)] if by_time else []
            next_ones = sa.select(*selection.key).where(*own, *place).order_by(*selection.latest_first)
            last = await stored.rows(next_ones.offset(_SEARCHED - 1).limit(1))
            upto = [sa.tuple_(*selection.key) >= sa.tuple_(*last[0].values())] if last else []
            where = [*event_conditions(stored, which, by_index=by_time), *place, *upto]
            found = await stored.dialect.events_with_text(stored, where, text)
        return found, cursor_of(last[0], selection.key) if last else None

    async def events_of(self, account: str | None, ids: Sequence[int]) -> Sequence[Event]:
        """Return the events with *ids* that are still there, the first to arrive first, as many as a list has."""
        async with self.snapshot(account) as stored:
            wanted = EVENTS.selected.where(among(receipts.c.id, ids), stored.owns(receipts, by_index=False))
            rows, _ = await stored.first_rows(wanted.order_by(receipts.c.id), max(1, len(ids)))
        return list(map(event_record, rows))

    async def latest_arrivals(self, account: str | None, which: EventFilter, after: int, limit: int) -> Slice[Event]:
        """Return, of the last *limit* events with an id greater than *after*, those asked for, the last first."""
        last = receipts.alias()
        own = sa.select(accounts.c.id).where(account_is(account))
        of_account = last.c.account_id.in_(own) if account is None else last.c.account_id == own.scalar_subquery()
        ids = sa.select(last.c.id).where(last.c.id > after, of_account).order_by(last.c.id.desc()).limit(limit)
        # Chosen by an index alone: to sort whole rows of a large account takes ten times as long.
        return await self._in_order(account, which, [receipts.c.id.in_(ids)], [receipts.c.id.desc()], limit)

    async def newest_event(self) -> int:
        """Return the id of the event that arrived last, in any account; 0 if there is none."""
        async with self.snapshot(None) as stored:
            newest = await stored.scalar(sa.select(sa.func.max(receipts.c.id)))
            marked = await stored.scalar(sa.select(sa.func.max(marks.c.value - 1)).where(marks.c.kind == "receipt"))
            return max(newest or 0, marked or 0)

    async def timeline(
        self, account: str | None, which: EventFilter, after: int, since: tuple[float, int] | None, limit: int
    ) -> Slice[Event]:
        """Return the events with an id greater than *after*, by time and id, from beyond *since* on."""
        order = [receipts.c.time, receipts.c.id]
        where: list[Condition] = [receipts.c.id > after]
        if since is not None:
            where.append(sa.tuple_(*order) > sa.tuple_(*since))
        return await self._in_order(account, which, where, order, limit)

    async def _in_order(
        self,
        account: str | None,
        which: EventFilter,
        where: Sequence[Condition],
        order: Sequence[sa.ColumnElement[Any]],
        limit: int,
    ) -> Slice[Event]:
        async with self.snapshot(account) as stored:
            conditions = [*event_conditions(stored, which), *where]
            events, more = await stored.first_rows(EVENTS.selected.where(*conditions).order_by(*order), limit)
            return _slice(stored, list(map(event_record, events)), more)

    async def event(self, account: str | None, event_id: int) -> StoredEvent | None:
        """Return one event, whatever its outcome, with what it made of its visitor."""
        async with self.snapshot(account) as stored:
            rows = await stored.rows(EVENTS.selected.where(receipts.c.id == event_id, stored.owns(receipts)))
            if not rows:
                return None
            row = rows[0]
            event, content = event_record(row), json.loads(row["content"])
            if row["version"] is None:
                return StoredEvent(event, content)
            after = stored_version(row)
            # An event that changed nothing left the version that it found.
            before = after if after.id != event_id else await _version_before(stored, row["visitor_pk"], event_id)
            return StoredEvent(event, content, before, after)


async def _version_before(stored: Snapshot, visitor_pk: int, event_id: int) -> StoredVersion | None:
    """Return the version in which the event *event_id* found the visitor; None if there is none."""
    earlier = STATES.where(version.c.visitor_pk == visitor_pk, version.c.id < event_id)
    rows = await stored.rows(earlier.order_by(version.c.id.desc()).limit(1))
    return stored_version(rows[0]) if rows else None


def _slice(stored: Snapshot, items: Sequence[T], more: bool) -> Slice[T]:
    return Slice(items, more, stored.evicted(EVENTS), stored.last_evicted)


async def _arrivals(
    stored: Snapshot, selected: sa.Select[Any], which: EventFilter, after: int, limit: int
) -> tuple[list[sa.RowMapping], bool]:
    """Return the first rows of events that arrived after *after*, and whether there are more."""
    # The ids of an account are in no index. Those of a small one are sorted; else SQLite would sort them anew for
    # each page, and a walk through the table, which has them in order, takes a tenth of the time.
    by_index = await _is_small(stored)
    where = event_conditions(stored, which, by_index=by_index)
    where = [*where, receipts.c.id > after]
    if by_index:
        # Only the ids are sorted, not the rows, which may be large.
        ids = sa.select(receipts.c.id).where(*where).order_by(receipts.c.id).limit(limit + 1)
        where = [receipts.c.id.in_(ids.correlate(None))]
    return await stored.first_rows(selected.where(*where).order_by(receipts.c.id), limit)


async def _page_by_arrival(
    stored: Snapshot, which: EventFilter, limit: int, cursor: str | None, total: int
) -> Page[Event]:
    """Return a page of the *total* events *which*, the last to arrive first. What is sorted is as in `_arrivals`."""
    by_index = await _is_small(stored)
    where = event_conditions(stored, which, by_index=by_index)
    if by_index:
        if cursor is not None:
            # The page has this condition too, but this is where the ids are cut to its length.
            where.append(receipts.c.id < position(cursor, 1)[0])
        ids = sa.select(receipts.c.id).where(*where).order_by(receipts.c.id.desc()).limit(limit + 1)
        where = [receipts.c.id.in_(ids.correlate(None))]
    return await stored.page(EVENTS_BY_ARRIVAL, where, limit, cursor, total)


async def _is_small(stored: Snapshot) -> bool:
    """Whether there are so few events that those of the accounts are found by index, and sorted by id."""
    return await _receipts_counted(stored, EventFilter(outcome=None)) <= _SORTED_ROWS


async def _receipts_counted(stored: Snapshot, which: EventFilter) -> int:
    """Return how many receipts match *which*, without a look at them."""
    return await stored.scalar(sa.select(COUNTED).where(stored.owns(receipt_counts), *count_conditions(which))) or 0
