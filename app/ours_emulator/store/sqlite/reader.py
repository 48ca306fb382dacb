"""What the debug API asks of the store: pages of visitors, events and requests, on connections that cannot write."""

import json
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar, get_args

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ours_emulator.decide.identity import Name
from ours_emulator.jsontext import json_text
from ours_emulator.model import Identifier
from ours_emulator.records import (
    Call,
    Event,
    Outcome,
    Page,
    RequestRecord,
    StoredRequest,
    Summary,
    Visitor,
    VisitorVersion,
)
from ours_emulator.store import (
    LARGEST,
    LIST_BYTES,
    CursorError,
    EventFilter,
    Excerpt,
    RequestFilter,
    Slice,
    StoredEvent,
    StoredVersion,
    StoreFailedError,
    VisitorFilter,
)
from ours_emulator.store.encoding import distinct_digest, encoded, name_digest
from ours_emulator.store.sqlite.decode import (
    Row,
    call_record,
    event_record,
    request_record,
    stored_request,
    stored_version,
    version_record,
    visitor_record,
)
from ours_emulator.store.sqlite.engine import read_only_engine
from ours_emulator.store.sqlite.event_columns import property_is
from ours_emulator.store.sqlite.excerpts import ExcerptReader
from ours_emulator.store.sqlite.file import StoreFile
from ours_emulator.store.sqlite.removal import PREFIX
from ours_emulator.store.sqlite.visitor_columns import STATE_COLUMNS, base, contains, version
from ours_emulator.store.tables import (
    accounts,
    distinct_ids,
    identifiers,
    marks,
    receipt_counts,
    receipts,
    requests,
    visitors,
)

_OUTCOMES: Sequence[Outcome] = get_args(Outcome)
_PAGE_ROWS = 500
_MAX_TOGETHER = 100
_SORTED_ROWS = 20_000
_PAGE_BYTES = 8 * 1024 * 1024
Condition: TypeAlias = sa.ColumnElement[bool]
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Kind(Generic[R]):
    """A kind of record: what is selected of its table and others, and what makes a record of a row.

    A list has the largest `key` first. `evicted` is the column of `accounts` that counts those no longer there.
    """

    table: sa.Table
    key: Sequence[sa.Column[Any]]
    selected: sa.Select[Any]
    record: Callable[[Row], R]
    evicted: str | None = None

    @property
    def latest_first(self) -> Sequence[sa.ColumnElement[Any]]:
        """The order of a list."""
        return [column.desc() for column in self.key]


def _with_state(source: sa.FromClause, *columns: sa.Column[Any]) -> sa.Select[Any]:
    return sa.select(*columns, _account, *STATE_COLUMNS).select_from(source)


_account = accounts.c.name.label("account")
_from_receipts = (
    receipts.join(accounts, accounts.c.id == receipts.c.account_id)
    .outerjoin(visitors, visitors.c.pk == receipts.c.visitor_pk)
    .outerjoin(version, version.c.id == receipts.c.version_id)
    .outerjoin(base, base.c.id == version.c.base_id)
)
_from_visitors = (
    visitors.join(accounts, accounts.c.id == visitors.c.account_id)
    .join(version, version.c.id == visitors.c.version_id)
    .outerjoin(base, base.c.id == version.c.base_id)
)
_VISITORS = _Kind(
    visitors,
    [visitors.c.pk],
    _with_state(_from_visitors, *visitors.columns),
    visitor_record,
)
_VERSIONS = _Kind(
    receipts,
    [version.c.id],
    _with_state(_from_receipts, version.c.id, visitors.c.visitor_id),
    version_record,
)
_EVENTS = _Kind(
    receipts,
    [receipts.c.time, receipts.c.id],
    _with_state(_from_receipts, *receipts.columns, visitors.c.visitor_id),
    event_record,
    "evicted_receipts",
)
_version = sa.select(version.c.id.label("version_id"), *STATE_COLUMNS).select_from(
    version.outerjoin(base, base.c.id == version.c.base_id)
)
# Without the bodies, which may be large.
_REQUESTS = _Kind(
    requests,
    [requests.c.id],
    sa.select(
        *(column for column in requests.columns if column is not requests.c.body),
        sa.func.length(requests.c.body).label("body_bytes"),
        _account,
    ).join(accounts, accounts.c.id == requests.c.account_id),
    request_record,
    "evicted_requests",
)
_with_body = _REQUESTS.selected.add_columns(requests.c.body)


class SqliteReader:
    """The `StoreReader` of a SQLite file."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file
        # Each connection is a thread. Two are enough for a test and the page, eight for a burst of waits. More would
        # only fight for the interpreter.
        self._engine = read_only_engine(file.path, 2, 6)
        # A probe does not queue behind the reads of others: with sixty waits that end at once that took 2.6 seconds.
        self._probing = read_only_engine(file.path, 1, 1)

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()
        await self._probing.dispose()

    @asynccontextmanager
    async def _snapshot(self, account: str | None, engine: AsyncEngine | None = None) -> AsyncGenerator["_Snapshot"]:
        """Give what the store has of *account*, or of all accounts if None, at one moment."""
        covered = sa.select(accounts).where(_covered(account))
        self._file.check()
        try:
            async with (engine or self._engine).connect() as connection:
                yield _Snapshot(connection, (await connection.execute(covered)).mappings().all())
        except SQLAlchemyError as error:
            # What is read of a file that was cut meanwhile is an error of any kind.
            self._file.check()
            raise StoreFailedError(str(error.orig if isinstance(error, DBAPIError) else error)) from error

    async def ping(self) -> None:
        """Read something; raises what keeps the store from being read."""
        # There may be many accounts, and none has this name.
        async with self._snapshot("", self._probing):
            pass

    async def account_names(self) -> list[str]:
        """Return the names of the accounts in the store."""
        async with self._snapshot(None) as stored:
            return [account["name"] for account in stored.accounts]

    async def visitors(
        self, account: str | None, which: VisitorFilter, limit: int, cursor: str | None
    ) -> Page[Visitor]:
        """Return visitors, the newest first."""
        async with self._snapshot(account) as stored:
            where = [stored.owns(visitors)]
            where += [visitors.c.pk.in_(_pks_named(stored.ids, *name)) for name in which.identifiers.items()]
            counted: sa.FromClause = visitors
            if which.text is not None:
                where, counted = [*where, contains(which.text)], _from_visitors
            return await stored.page(_VISITORS, where, limit, cursor, await stored.count(counted, where))

    async def events(self, account: str | None, which: EventFilter, limit: int, cursor: str | None) -> Page[Event]:
        """Return events, the latest by `time` first (rule event-order)."""
        async with self._snapshot(account) as stored:
            where = _event_conditions(stored.ids, which)
            total = await stored.receipts_counted(which) if _is_counted(which) else await stored.count(receipts, where)
            return await stored.page(_EVENTS, where, limit, cursor, total)

    async def latest_event(self, account: str | None, which: EventFilter) -> Event | None:
        """Return the last event by `time` (rule event-order); None if there is none."""
        async with self._snapshot(account) as stored:
            last = _EVENTS.selected.where(*_event_conditions(stored.ids, which)).order_by(*_EVENTS.latest_first)
            rows, _ = await stored.first_rows(last, 1)
        return event_record(rows[0]) if rows else None

    async def arrivals(self, account: str | None, which: EventFilter, after: int, limit: int) -> Slice[Event]:
        """Return the events with an id greater than *after*, the first to arrive first."""
        async with self._snapshot(account) as stored:
            rows, more = await stored.arrivals(_EVENTS.selected, which, after, limit)
            return Slice(list(map(event_record, rows)), more, stored.evicted(_EVENTS), stored.last_evicted)

    async def excerpts(
        self, account: str | None, which: EventFilter, fields: AbstractSet[str], after: int, limit: int
    ) -> Slice[Excerpt]:
        """Return only *fields* of the events that `arrivals` would return."""
        excerpt = ExcerptReader(fields)
        selected = sa.select(*excerpt.columns).select_from(_from_receipts) if excerpt.columns else _EVENTS.selected
        async with self._snapshot(account) as stored:
            rows, more = await stored.arrivals(selected, which, after, limit)
            return Slice(
                [(row["id"], excerpt(row)) for row in rows], more, stored.evicted(_EVENTS), stored.last_evicted
            )

    async def events_of(self, account: str | None, ids: Sequence[int]) -> Sequence[Event]:
        """Return the events with *ids* that are still there, the first to arrive first, as many as a list has."""
        async with self._snapshot(account) as stored:
            wanted = _EVENTS.selected.where(_among(receipts.c.id, ids), stored.owns(receipts, by_index=False))
            rows, _ = await stored.first_rows(wanted.order_by(receipts.c.id), max(1, len(ids)))
        return list(map(event_record, rows))

    async def latest_arrivals(self, account: str | None, which: EventFilter, after: int, limit: int) -> Slice[Event]:
        """Return, of the last *limit* events with an id greater than *after*, those asked for, the last first."""
        last = receipts.alias()
        own = sa.select(accounts.c.id).where(_covered(account))
        of_account = last.c.account_id.in_(own) if account is None else last.c.account_id == own.scalar_subquery()
        ids = sa.select(last.c.id).where(last.c.id > after, of_account).order_by(last.c.id.desc()).limit(limit)
        # Chosen by an index alone: to sort whole rows of a large account takes ten times as long.
        return await self._slice(account, which, [receipts.c.id.in_(ids)], [receipts.c.id.desc()], limit)

    async def newest_event(self) -> int:
        """Return the id of the event that arrived last, in any account; 0 if there is none."""
        async with self._snapshot(None) as stored:
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
        return await self._slice(account, which, where, order, limit)

    async def _slice(
        self,
        account: str | None,
        which: EventFilter,
        where: Sequence[Condition],
        order: Sequence[sa.ColumnElement[Any]],
        limit: int,
    ) -> Slice[Event]:
        async with self._snapshot(account) as stored:
            conditions = [*_event_conditions(stored.ids, which), *where]
            events, more = await stored.first_rows(_EVENTS.selected.where(*conditions).order_by(*order), limit)
            return Slice(list(map(event_record, events)), more, stored.evicted(_EVENTS), stored.last_evicted)

    async def event(self, account: str | None, event_id: int) -> StoredEvent | None:
        """Return one event, whatever its outcome, with what it made of its visitor."""
        async with self._snapshot(account) as stored:
            rows = await stored.rows(_EVENTS.selected.where(receipts.c.id == event_id, stored.owns(receipts)))
            if not rows:
                return None
            row = rows[0]
            event, content = event_record(row), json.loads(row["content"])
            if row["version"] is None:
                return StoredEvent(event, content)
            after = stored_version(row)
            # An event that changed nothing left the version that it found.
            before = after if after.id != event_id else await stored.version_before(row["visitor_pk"], event_id)
            return StoredEvent(event, content, before, after)

    async def visitor_version(self, account: str | None, event_id: int) -> VisitorVersion | None:
        """Return the visitor right after the event *event_id*; None if it is not there or left none."""
        async with self._snapshot(account) as stored:
            return await stored.one(_VERSIONS, receipts.c.id == event_id, version.c.id.is_not(None))

    async def requests(
        self, account: str | None, which: RequestFilter, limit: int, cursor: str | None
    ) -> Page[RequestRecord]:
        """Return the journal, the latest request first."""
        where = [] if which.call_id is None else [_attempts_of([which.call_id])]
        where += _equal(requests, status=which.status, endpoint=which.endpoint)
        async with self._snapshot(account) as stored:
            where = [stored.owns(requests), *where]
            return await stored.page(_REQUESTS, where, limit, cursor, await stored.count(requests, where))

    async def stored_requests(self, account: str | None, after: int) -> Sequence[StoredRequest]:
        """Return some requests with their bodies, a few megabytes at most, the oldest first: those with an id greater
        than *after*. None at all when there are no more."""
        async with self._snapshot(account) as stored:
            wanted = (stored.owns(requests), requests.c.id > after)
            next_ones = (
                sa.select(requests.c.id, sa.func.length(requests.c.body).label("size"))
                .where(*wanted)
                .order_by(requests.c.id)
                .limit(_PAGE_ROWS)
            ).subquery()
            size = sa.func.sum(next_ones.c.size).over(order_by=next_ones.c.id).label("size")
            upto = sa.select(next_ones.c.id, size).subquery()
            first = sa.select(sa.func.min(next_ones.c.id)).scalar_subquery()
            last = sa.select(sa.func.max(upto.c.id)).where(sa.or_(upto.c.size <= _PAGE_BYTES, upto.c.id == first))
            statement = _with_body.where(*wanted, requests.c.id <= last.scalar_subquery()).order_by(requests.c.id)
            return list(map(stored_request, await stored.rows(statement)))

    async def evicted_requests(self, account: str | None) -> int:
        """Return how many requests are no longer there."""
        async with self._snapshot(account) as stored:
            return stored.evicted(_REQUESTS)

    async def calls(self, account: str | None, limit: int, cursor: str | None) -> Page[Call]:
        """Return calls with all their attempts, the latest call first; of one with very many, the first attempts."""
        async with self._snapshot(account) as stored:
            firsts = [stored.owns(requests), requests.c.id == requests.c.call_id]
            page = await stored.page(_REQUESTS, firsts, limit, cursor, await stored.calls())
            of_page = _attempts_of([first.call_id for first in page.items])
            in_order = _REQUESTS.selected.where(of_page).order_by(requests.c.call_id.desc(), requests.c.id)
            rows, more = await stored.first_rows(in_order, LARGEST - 1)
            accepted = await stored.counts(_accepted_by_request(of_page))
        attempts: dict[int, list[RequestRecord]] = {}
        for row in rows:
            attempts.setdefault(row["call_id"], []).append(request_record(row))
        if more and len(attempts) > 1:
            # The attempts of the last one may not be complete.
            attempts.popitem()
        next_cursor = str(min(attempts)) if more else page.next_cursor
        items = tuple(call_record(of_call, accepted) for of_call in attempts.values())
        return Page(items, page.total, next_cursor, page.evicted)

    async def request(self, account: str | None, request_id: int) -> tuple[StoredRequest, Sequence[Event]] | None:
        """Return one request with its body, and its events in the order of its rows, as many as a list has."""
        async with self._snapshot(account) as stored:
            rows = await stored.rows(_with_body.where(requests.c.id == request_id, stored.owns(requests)))
            if not rows:
                return None
            first, count = rows[0]["first_receipt"], rows[0]["receipt_count"]
            of_request = sa.and_(receipts.c.id.between(first, first + count - 1), receipts.c.request_id == request_id)
            events, _ = await stored.first_rows(_EVENTS.selected.where(of_request).order_by(receipts.c.id), count)
        return stored_request(rows[0]), list(map(event_record, events))

    async def summary(self, account: str | None) -> Summary:
        """Return counts of everything."""
        async with self._snapshot(account) as stored:
            outcomes = sa.select(receipt_counts.c.outcome, _counted).group_by(receipt_counts.c.outcome)
            accepted = sa.select(receipt_counts.c.event, _counted).where(*_kind_conditions(EventFilter(named=True)))
            by_event = accepted.group_by(receipt_counts.c.event).order_by(_counted.desc()).limit(100)
            owned = stored.owns(receipt_counts)
            newest_event, newest_request = await stored.newest()
            counts, events = await stored.counts(outcomes.where(owned)), await stored.counts(by_event.where(owned))
            return Summary(
                account=account,
                newest_event=newest_event,
                newest_request=newest_request,
                visitors=await stored.count(visitors, [stored.owns(visitors)]),
                requests=await stored.count(requests, [stored.owns(requests)]),
                outcomes={outcome: counts.get(outcome, 0) for outcome in _OUTCOMES},
                events={json.loads(name): count for name, count in events.items()},
                evicted_requests=stored.evicted(_REQUESTS),
                evicted_events=stored.evicted(_EVENTS),
            )


class _Snapshot:
    """What the store has of some *accounts*, the rows of their table, at one moment."""

    def __init__(self, connection: AsyncConnection, accounts: Sequence[sa.RowMapping]) -> None:
        self._connection = connection
        self.accounts = accounts
        self.ids: Sequence[int] = [account["id"] for account in accounts]

    def owns(self, table: sa.Table, *, by_index: bool = True) -> Condition:
        """Match the rows of *table* that belong to these accounts; without the index, if another one is better."""
        # SQLite does not look for an expression in an index.
        return _among(table.c.account_id if by_index else table.c.account_id + 0, self.ids)

    def evicted(self, kind: _Kind[Any]) -> int:
        """Return how many of that *kind* are no longer there."""
        return 0 if kind.evicted is None else sum(account[kind.evicted] for account in self.accounts)

    async def rows(self, statement: sa.Executable) -> Sequence[sa.RowMapping]:
        """Return the rows that *statement* selects."""
        rows: Sequence[sa.RowMapping] = (await self._connection.execute(statement)).mappings().all()
        return rows

    async def first_rows(self, statement: sa.Select[Any], limit: int) -> tuple[list[sa.RowMapping], bool]:
        """Return the first rows that *statement* selects, and whether there are more.

        They are at most *limit* and, unless it is a single one, LIST_BYTES.
        """
        rows: list[sa.RowMapping] = []
        left, largest, together = LIST_BYTES, 1, 1
        async with self._connection.stream(statement.limit(limit + 1)) as result:
            # One by one, small rows take longer on the way from the driver's thread than for all the rest.
            mappings = result.mappings()
            while some := await mappings.fetchmany(together):
                for row in some:
                    size = sum(len(value) for value in row.values() if isinstance(value, str | bytes))
                    left -= size
                    if rows and (len(rows) == limit or left < 0):
                        return rows, True
                    rows.append(row)
                    largest = max(largest, size)
                together = min(2 * together, _MAX_TOGETHER, left // largest + 1)
        return rows, False

    async def arrivals(
        self, selected: sa.Select[Any], which: EventFilter, after: int, limit: int
    ) -> tuple[list[sa.RowMapping], bool]:
        """Return the first rows of events that arrived after *after*, and whether there are more."""
        # The ids of an account are in no index. Those of a small one are sorted; else SQLite would sort them anew for
        # each page, and a walk through the table, which has them in order, takes a tenth of the time.
        by_index = await self.receipts_counted(EventFilter(outcome=None)) <= _SORTED_ROWS
        where = _event_conditions(self.ids, which, by_index=by_index)
        where = [*where, receipts.c.id > after]
        if by_index:
            # Only the ids are sorted, not the rows, which may be large.
            ids = sa.select(receipts.c.id).where(*where).order_by(receipts.c.id).limit(limit + 1)
            where = [receipts.c.id.in_(ids.correlate(None))]
        return await self.first_rows(selected.where(*where).order_by(receipts.c.id), limit)

    @property
    def last_evicted(self) -> int:
        """The largest id of an event that was evicted; 0 if none was."""
        return max((account["last_evicted"] for account in self.accounts), default=0)

    async def scalar(self, statement: sa.Executable) -> int | None:
        """Return the number that *statement* selects; max and min of nothing are None."""
        number: int | None = (await self._connection.execute(statement)).scalar_one()
        return number

    async def count(self, table: sa.FromClause, where: Sequence[Condition]) -> int:
        """Return how many rows of *table* match all of *where*."""
        return await self.scalar(sa.select(sa.func.count()).select_from(table).where(*where)) or 0

    async def counts(self, statement: sa.Executable) -> dict[Any, int]:
        """Return the counts that *statement* selects, by what it groups them by."""
        return {row[0]: row[1] for row in (await self._connection.execute(statement)).all()}

    async def one(self, kind: _Kind[R], *where: Condition) -> R | None:
        """Return the record of these accounts that matches *where*."""
        rows = await self.rows(kind.selected.where(*where, self.owns(kind.table)))
        return kind.record(rows[0]) if rows else None

    async def version_before(self, visitor_pk: int, event_id: int) -> StoredVersion | None:
        """Return the version in which the event *event_id* found the visitor; None if there is none."""
        earlier = sa.and_(version.c.visitor_pk == visitor_pk, version.c.id < event_id)
        rows = await self.rows(_version.where(earlier).order_by(version.c.id.desc()).limit(1))
        return stored_version(rows[0]) if rows else None

    async def page(
        self,
        kind: _Kind[R],
        where: Sequence[Condition],
        limit: int,
        cursor: str | None,
        total: int,
    ) -> Page[R]:
        """Return a page of the *total* records that match *where*."""
        if cursor is not None:
            where = [*where, sa.tuple_(*kind.key) < sa.tuple_(*_position(cursor, len(kind.key)))]
        rows, more = await self.first_rows(kind.selected.where(*where).order_by(*kind.latest_first), limit)
        next_cursor = _cursor(rows[-1], kind.key) if more else None
        return Page(tuple(map(kind.record, rows)), total, next_cursor, self.evicted(kind))

    async def receipts_counted(self, which: EventFilter) -> int:
        """Return how many receipts match *which*, without a look at them."""
        return await self.scalar(sa.select(_counted).where(self.owns(receipt_counts), *_kind_conditions(which))) or 0

    async def calls(self) -> int:
        """Return how many calls there are: of each that is counted, the first attempt has come."""
        # All requests that begin no call are further attempts, which have an index of their own; and they are few.
        later = sa.and_(requests.c.attempt > 1, requests.c.id != requests.c.call_id)
        every = await self.count(requests, [self.owns(requests)])
        return every - await self.count(requests, [self.owns(requests, by_index=False), later])

    async def newest(self) -> tuple[int, int]:
        """Return the largest ids of an event and of a request. Each table knows of what was evicted from the other."""
        last_receipt = sa.select(sa.func.max(receipt_counts.c.last_id)).where(self.owns(receipt_counts))
        statements = (
            sa.select(_last_receipt, requests.c.id).where(self.owns(requests)).order_by(requests.c.id.desc()).limit(1),
            sa.select(receipts.c.id, receipts.c.request_id).where(receipts.c.id == last_receipt.scalar_subquery()),
        )
        known = [row for statement in statements for row in (await self._connection.execute(statement)).all()]
        last_event = max((row[0] for row in known), default=0)
        return max(last_event, self.last_evicted), max((row[1] for row in known), default=0)


_counted = sa.func.sum(receipt_counts.c.count)


def _is_counted(which: EventFilter) -> bool:
    """Whether *which* asks only for what receipts are counted by."""
    return (which.visitor_id, which.distinct_id, which.since) == (None, None, None) and not which.properties


def _kind_conditions(which: EventFilter) -> list[Condition]:
    """Match the kinds of receipts that *which* asks for."""
    event = None if which.event is None else f'"{encoded(which.event)}"'
    where = _equal(receipt_counts, event=event, endpoint=which.endpoint, outcome=which.outcome, test=which.test)
    return [*where, receipt_counts.c.event != "null"] if which.named else where


def _covered(account: str | None) -> Condition:
    """Match the row of *account*, or those of all accounts that are not being removed."""
    return accounts.c.name.not_like(f"{PREFIX}%") if account is None else accounts.c.name == account


def _among(column: sa.ColumnElement[Any], values: Sequence[int] | Sequence[str]) -> Condition:
    """Match any of *values*. A single one is compared, so that an index which goes on by time gives the order too."""
    if len(values) == 1:
        return column == values[0]
    return column.in_(sa.select(sa.func.json_each(json_text(list(values))).table_valued("value").c.value))


_last_receipt = requests.c.first_receipt + requests.c.receipt_count - 1


def _attempts_of(call_ids: Sequence[int]) -> Condition:
    """Match the first attempt of each call, and the further ones, which have an index of their own."""
    further = sa.and_(requests.c.attempt > 1, _among(requests.c.call_id, call_ids))
    return sa.or_(_among(requests.c.id, call_ids), further)


def _accepted_by_request(which: Condition) -> sa.Executable:
    """Count the accepted events of each of *which* requests, by the id of the request."""
    # As a join, SQLite would begin with all receipts that were accepted.
    own = receipts.c.id.between(requests.c.first_receipt, _last_receipt)
    count = sa.select(sa.func.count()).where(own, receipts.c.outcome == "accepted").correlate(requests)
    return sa.select(requests.c.id, count.scalar_subquery()).where(which)


def _equal(table: sa.Table, **values: object) -> list[Condition]:
    """Match columns of *table* that have these *values*; None matches any."""
    return [table.c[name] == value for name, value in values.items() if value is not None]


def _event_conditions(ids: Sequence[int], which: EventFilter, *, by_index: bool = True) -> list[Condition]:
    """Match the events of accounts that *which* asks for, but not *by_index* of the account if that is said."""
    where: list[Condition] = []
    # A visitor and a held distinct id belong to an account already; naming it too would lead away from their index.
    if which.visitor_id is not None:
        where.append(receipts.c.visitor_pk.in_(_pks_named(ids, "user_id", which.visitor_id)))
    elif which.distinct_id is not None and which.outcome == "accepted":
        where.append(receipts.c.id.in_(_holders(ids, which.distinct_id)))
    else:
        # SQLite does not look for an expression in an index.
        by_index = by_index or which.event is not None
        where.append(_among(receipts.c.account_id if by_index else receipts.c.account_id + 0, ids))
    names = {"event": which.event, "distinct_id": which.distinct_id}
    where += _equal(receipts, **{name: text and encoded(text) for name, text in names.items()})
    where += _equal(receipts, endpoint=which.endpoint, outcome=which.outcome, test=which.test)
    if which.named:
        where.append(receipts.c.event.is_not(None))
    if which.since is not None:
        where.append(receipts.c.received_at >= which.since)
    return where + [property_is(path, text) for path, text in which.properties.items()]


def _holders(ids: Sequence[int], distinct_id: str) -> sa.Select[tuple[int]]:
    digests = [distinct_digest(account_id, distinct_id, test=test) for account_id in ids for test in (False, True)]
    return sa.select(distinct_ids.c.receipt_id).where(_among(distinct_ids.c.digest, digests))


def _pks_named(ids: Sequence[int], kind: Identifier, value: str) -> sa.Select[tuple[int]]:
    names: list[Name] = [(account_id, kind, value) for account_id in ids]
    digests = [name_digest(name) for name in names]
    return sa.select(identifiers.c.visitor_pk).where(_among(identifiers.c.digest, digests))


def _cursor(row: Row, key: Sequence[sa.Column[Any]]) -> str:
    """Return where in its list *row* is: `1767225600000.0:17` by time and id, `17` by id alone."""
    return ":".join(repr(row[column.name]) for column in key)


def _position(cursor: str, parts: int) -> Sequence[float]:
    """Return the *parts* that `_cursor` made *cursor* of."""
    *times, last_id = cursor.split(":")
    if len(times) != parts - 1 or not last_id.isascii() or not last_id.isdecimal() or len(last_id) > 18:
        raise CursorError(cursor)
    try:
        moments = [float(time) for time in times]
    except ValueError:
        raise CursorError(cursor) from None
    if not all(map(math.isfinite, moments)):
        raise CursorError(cursor)
    return [*moments, int(last_id)]
