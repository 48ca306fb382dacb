"""What the debug API asks of the store: pages of visitors, events and requests, on connections that can't write."""

import json
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias, get_args

import sqlalchemy as sa
from pydantic import JsonValue
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

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
    CursorError,
    EventFilter,
    RequestFilter,
    Slice,
    StoreFailedError,
    VisitorFilter,
)
from ours_emulator.store.sqlite.decode import (
    call_record,
    event_record,
    request_record,
    stored_request,
    version_record,
    visitor_record,
)
from ours_emulator.store.sqlite.file import StoreFile
from ours_emulator.store.sqlite.visitor_columns import STATE_COLUMNS, base, contains, version
from ours_emulator.store.tables import (
    accounts,
    decoded,
    distinct_digest,
    distinct_ids,
    encoded,
    identifiers,
    marks,
    name_digest,
    receipts,
    requests,
    visitors,
)

_OUTCOMES: Sequence[Outcome] = get_args(Outcome)
_PAGE_ROWS = 500
_PAGE_BYTES = 8 * 1024 * 1024
Condition: TypeAlias = sa.ColumnElement[bool]


_event_columns = (
    *receipts.columns,
    accounts.c.name.label("account"),
    visitors.c.visitor_id,
    *STATE_COLUMNS,
)
_events = (
    receipts.join(accounts, accounts.c.id == receipts.c.account_id)
    .outerjoin(visitors, visitors.c.pk == receipts.c.visitor_pk)
    .outerjoin(version, version.c.id == receipts.c.version_id)
    .outerjoin(base, base.c.id == version.c.base_id)
)
_visitors = (
    visitors.join(accounts, accounts.c.id == visitors.c.account_id)
    .join(version, version.c.id == visitors.c.version_id)
    .outerjoin(base, base.c.id == version.c.base_id)
)


class SqliteReader:
    """The `StoreReader` of a SQLite file."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file
        self._engine = file.reading_engine()

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StoreFailedError(str(error.orig if isinstance(error, DBAPIError) else error)) from error

    async def ping(self) -> None:
        """Read something; raises what keeps the store from being read, StoreLostError if its file is gone."""
        self._file.check()
        async with self._connected() as connection:
            await connection.execute(sa.select(accounts.c.id).limit(1))

    async def account_names(self) -> list[str]:
        """Return the names of the accounts in the store."""
        async with self._connected() as connection:
            return list((await connection.execute(sa.select(accounts.c.name))).scalars())

    async def visitors(
        self, account: str | None, which: VisitorFilter, limit: int, cursor: str | None
    ) -> Page[Visitor]:
        """Return visitors, the newest first."""
        async with self._connected() as connection:
            ids = await _account_ids(connection, account)
            where: list[Condition] = [_among(visitors.c.account_id, ids)]
            where += [_has_name(ids, kind, value) for kind, value in which.identifiers.items()]
            if which.text is not None:
                where.append(contains(which.text))
            total = await _count(connection, visitors if which.text is None else _visitors, where)
            if cursor is not None:
                where.append(visitors.c.pk < _whole(cursor))
            statement = (
                sa.select(*visitors.columns, accounts.c.name.label("account"), *STATE_COLUMNS)
                .select_from(_visitors)
                .where(*where)
                .order_by(visitors.c.pk.desc())
                .limit(limit + 1)
            )
            rows = (await connection.execute(statement)).mappings().all()
        more = len(rows) > limit
        return Page(tuple(map(visitor_record, rows[:limit])), total, str(rows[limit - 1]["pk"]) if more else None)

    async def events(self, account: str | None, which: EventFilter, limit: int, cursor: str | None) -> Page[Event]:
        """Return events, the latest by `time` first (rule event-order)."""
        async with self._connected() as connection:
            ids = await _account_ids(connection, account)
            where = _event_conditions(ids, which)
            total = await _count(connection, receipts, where)
            if cursor is not None:
                where.append(sa.tuple_(receipts.c.time, receipts.c.id) < sa.tuple_(*_moment(cursor)))
            statement = (
                sa.select(*_event_columns)
                .select_from(_events)
                .where(*where)
                .order_by(receipts.c.time.desc(), receipts.c.id.desc())
                .limit(limit + 1)
            )
            rows = (await connection.execute(statement)).mappings().all()
            evicted = await _evicted(connection, accounts.c.evicted_receipts, ids)
        last = rows[limit - 1] if len(rows) > limit else None
        next_cursor = f"{last['time']!r}:{last['id']}" if last else None
        return Page(tuple(map(event_record, rows[:limit])), total, next_cursor, evicted)

    async def arrivals(self, account: str | None, which: EventFilter, after: int, limit: int) -> Slice:
        """Return the events with an id greater than *after*, the first to arrive first."""
        return await self._slice(account, which, [receipts.c.id > after], [receipts.c.id], limit)

    async def latest_arrivals(self, account: str | None, which: EventFilter, after: int, limit: int) -> Slice:
        """Return, of the last *limit* events with an id greater than *after*, those asked for, the last first."""
        last = receipts.alias()
        ids = sa.select(last.c.id).where(last.c.id > after).order_by(last.c.id.desc()).limit(limit)
        if account is not None:
            own = sa.select(accounts.c.id).where(accounts.c.name == account).scalar_subquery()
            ids = ids.where(last.c.account_id == own)
        # Chosen by an index alone: to sort whole rows of a large account takes ten times as long.
        return await self._slice(account, which, [receipts.c.id.in_(ids)], [receipts.c.id.desc()], limit)

    async def newest_event(self) -> int:
        """Return the id of the event that arrived last, in any account; 0 if there is none."""
        async with self._connected() as connection:
            newest = sa.select(sa.func.max(receipts.c.id))
            marked = sa.select(sa.func.max(marks.c.value - 1)).where(marks.c.kind == "receipt")
            ids: list[int | None] = [(await connection.execute(query)).scalar_one() for query in (newest, marked)]
            return max(id_ or 0 for id_ in ids)

    async def timeline(
        self, account: str | None, which: EventFilter, after: int, since: tuple[float, int] | None, limit: int
    ) -> Slice:
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
    ) -> Slice:
        async with self._connected() as connection:
            among = sa.select(accounts.c.id, accounts.c.evicted_receipts)
            if account is not None:
                among = among.where(accounts.c.name == account)
            covered = (await connection.execute(among)).all()
            evicted = sum(row[1] for row in covered)
            statement = (
                sa.select(*_event_columns)
                .select_from(_events)
                .where(*_event_conditions([row[0] for row in covered], which), *where)
                .order_by(*order)
                .limit(limit)
            )
            rows = (await connection.execute(statement)).mappings().all()
            first = (await connection.execute(sa.select(sa.func.min(receipts.c.id)))).scalar_one() if evicted else None
        return Slice([event_record(row) for row in rows], evicted, first)

    async def event(self, account: str | None, event_id: int) -> Event | None:
        """Return one event, whatever its outcome."""
        async with self._connected() as connection:
            ids = await _account_ids(connection, account)
            statement = (
                sa.select(*_event_columns)
                .select_from(_events)
                .where(receipts.c.id == event_id, _among(receipts.c.account_id, ids))
            )
            row = (await connection.execute(statement)).mappings().one_or_none()
        return None if row is None else event_record(row)

    async def visitor_version(self, account: str | None, event_id: int) -> VisitorVersion | None:
        """Return the visitor right after the event *event_id*; None if it is not there or left none."""
        async with self._connected() as connection:
            ids = await _account_ids(connection, account)
            statement = (
                sa.select(version.c.id, visitors.c.visitor_id, accounts.c.name.label("account"), *STATE_COLUMNS)
                .select_from(_events)
                .where(receipts.c.id == event_id, _among(receipts.c.account_id, ids), version.c.id.is_not(None))
            )
            row = (await connection.execute(statement)).mappings().one_or_none()
        return None if row is None else version_record(row)

    async def requests(
        self, account: str | None, which: RequestFilter, limit: int, cursor: str | None
    ) -> Page[RequestRecord]:
        """Return the journal, the latest request first."""
        async with self._connected() as connection:
            ids = await _account_ids(connection, account)
            where: list[Condition] = [_among(requests.c.account_id, ids)]
            if which.call_id is not None:
                where.append(_attempts_of([which.call_id]))
            if which.status is not None:
                where.append(requests.c.status == which.status)
            if which.endpoint is not None:
                where.append(requests.c.endpoint == which.endpoint)
            return await _page_of_requests(connection, ids, where, limit, cursor)

    async def stored_requests(self, account: str | None, after: int) -> Sequence[StoredRequest]:
        """Return some requests with their bodies, a few megabytes at most, the oldest first: those with an id greater
        than *after*. None at all when there are no more."""
        async with self._connected() as connection:
            ids = await _account_ids(connection, account)
            those = (_among(requests.c.account_id, ids), requests.c.id > after)
            next_ones = (
                sa.select(requests.c.id, sa.func.length(requests.c.body).label("size"))
                .where(*those)
                .order_by(requests.c.id)
                .limit(_PAGE_ROWS)
            ).subquery()
            size = sa.func.sum(next_ones.c.size).over(order_by=next_ones.c.id).label("size")
            upto = sa.select(next_ones.c.id, size).subquery()
            first = sa.select(sa.func.min(next_ones.c.id)).scalar_subquery()
            last = sa.select(sa.func.max(upto.c.id)).where(sa.or_(upto.c.size <= _PAGE_BYTES, upto.c.id == first))
            statement = (
                _requests(requests.c.body)
                .where(*those, requests.c.id <= last.scalar_subquery())
                .order_by(requests.c.id)
            )
            return [stored_request(row) for row in (await connection.execute(statement)).mappings()]

    async def evicted_requests(self, account: str | None) -> int:
        """Return how many requests are no longer there."""
        async with self._connected() as connection:
            return await _evicted(connection, accounts.c.evicted_requests, await _account_ids(connection, account))

    async def calls(self, account: str | None, limit: int, cursor: str | None) -> Page[Call]:
        """Return calls with all their attempts, the latest call first."""
        async with self._connected() as connection:
            ids = await _account_ids(connection, account)
            firsts: list[Condition] = [_among(requests.c.account_id, ids), requests.c.id == requests.c.call_id]
            page = await _page_of_requests(connection, ids, firsts, limit, cursor)
            of_page = _attempts_of([first.call_id for first in page.items])
            rows = (await connection.execute(_requests().where(of_page).order_by(requests.c.id))).mappings().all()
            accepted = await _accepted_by_request(connection, of_page)
        attempts: dict[int, list[RequestRecord]] = {}
        for row in rows:
            attempts.setdefault(row["call_id"], []).append(request_record(row))
        items = tuple(call_record(attempts[first.call_id], accepted) for first in page.items)
        return Page(items, page.total, page.next_cursor, page.evicted)

    async def request(self, account: str | None, request_id: int) -> tuple[StoredRequest, Sequence[Event]] | None:
        """Return one request with its body, and its events in the order of its rows."""
        async with self._connected() as connection:
            ids = await _account_ids(connection, account)
            statement = _requests(requests.c.body).where(
                requests.c.id == request_id, _among(requests.c.account_id, ids)
            )
            row = (await connection.execute(statement)).mappings().one_or_none()
            if row is None:
                return None
            last = row["first_receipt"] + row["receipt_count"] - 1
            of_request = (
                sa.select(*_event_columns)
                .select_from(_events)
                .where(receipts.c.id.between(row["first_receipt"], last))
                .order_by(receipts.c.id)
            )
            events = (await connection.execute(of_request)).mappings().all()
        return stored_request(row), [event_record(event) for event in events]

    async def summary(self, account: str | None) -> Summary:
        """Return counts of everything."""
        async with self._connected() as connection:
            ids = await _account_ids(connection, account)
            mine = _among(receipts.c.account_id, ids)
            outcomes = sa.select(receipts.c.outcome, sa.func.count()).where(mine).group_by(receipts.c.outcome)
            named = sa.and_(receipts.c.outcome == "accepted", receipts.c.event.is_not(None))
            accepted = sa.select(receipts.c.event, sa.func.count()).where(mine, named)
            by_event = accepted.group_by(receipts.c.event).order_by(sa.func.count().desc()).limit(100)
            newest_event, newest_request = await _newest(connection, ids)
            counts: dict[str, int] = {row[0]: row[1] for row in (await connection.execute(outcomes)).all()}
            return Summary(
                account=account,
                newest_event=newest_event,
                newest_request=newest_request,
                visitors=await _count(connection, visitors, [_among(visitors.c.account_id, ids)]),
                requests=await _count(connection, requests, [_among(requests.c.account_id, ids)]),
                outcomes={outcome: counts.get(outcome, 0) for outcome in _OUTCOMES},
                events={decoded(row[0]): row[1] for row in (await connection.execute(by_event)).all()},
                evicted_requests=await _evicted(connection, accounts.c.evicted_requests, ids),
                evicted_events=await _evicted(connection, accounts.c.evicted_receipts, ids),
            )


async def _account_ids(connection: AsyncConnection, account: str | None) -> list[int]:
    statement = sa.select(accounts.c.id)
    if account is not None:
        statement = statement.where(accounts.c.name == account)
    return list((await connection.execute(statement)).scalars())


def _among(column: sa.ColumnElement[Any], values: Sequence[int] | Sequence[str]) -> Condition:
    """Match any of *values*. A single one is compared, so that an index which goes on by time gives the order too."""
    if len(values) == 1:
        return column == values[0]
    return column.in_(sa.select(sa.func.json_each(json_text(list(values))).table_valued("value").c.value))


async def _count(connection: AsyncConnection, table: sa.FromClause, where: Sequence[Condition]) -> int:
    statement = sa.select(sa.func.count()).select_from(table).where(*where)
    return (await connection.execute(statement)).scalar_one()


async def _evicted(connection: AsyncConnection, column: sa.Column[int], ids: Sequence[int]) -> int:
    statement = sa.select(sa.func.coalesce(sa.func.sum(column), 0)).where(_among(accounts.c.id, ids))
    return (await connection.execute(statement)).scalar_one()


async def _newest(connection: AsyncConnection, ids: Sequence[int]) -> tuple[int, int]:
    """Return the largest ids of an event and of a request. Each table knows of what was evicted from the other."""
    newest = [
        sa.select(event, request).where(_among(table.c.account_id, ids)).order_by(table.c.id.desc()).limit(1)
        for table, event, request in (
            (requests, _last_receipt, requests.c.id),
            (receipts, receipts.c.id, receipts.c.request_id),
        )
    ]
    found = [row for statement in newest for row in (await connection.execute(statement)).all()]
    return max((row[0] for row in found), default=0), max((row[1] for row in found), default=0)


async def _page_of_requests(
    connection: AsyncConnection, ids: Sequence[int], where: list[Condition], limit: int, cursor: str | None
) -> Page[RequestRecord]:
    total = await _count(connection, requests, where)
    if cursor is not None:
        where = [*where, requests.c.id < _whole(cursor)]
    statement = _requests().where(*where).order_by(requests.c.id.desc()).limit(limit + 1)
    rows = (await connection.execute(statement)).mappings().all()
    evicted = await _evicted(connection, accounts.c.evicted_requests, ids)
    more = len(rows) > limit
    items = tuple(map(request_record, rows[:limit]))
    return Page(items, total, str(items[-1].id) if more else None, evicted)


_last_receipt = requests.c.first_receipt + requests.c.receipt_count - 1


def _attempts_of(call_ids: Sequence[int]) -> Condition:
    """Match the first attempt of each call, and the further ones, which have an index of their own."""
    further = sa.and_(requests.c.attempt > 1, _among(requests.c.call_id, call_ids))
    return sa.or_(_among(requests.c.id, call_ids), further)


async def _accepted_by_request(connection: AsyncConnection, which: Condition) -> dict[int, int]:
    """Return how many accepted events each of *which* requests has, by the id of the request."""
    counted = (
        sa.select(requests.c.id, sa.func.count())
        .join(receipts, receipts.c.id.between(requests.c.first_receipt, _last_receipt))
        .where(which, receipts.c.outcome == "accepted")
        .group_by(requests.c.id)
    )
    return {row[0]: row[1] for row in (await connection.execute(counted)).all()}


def _requests(*more: sa.Column[Any]) -> sa.Select[Any]:
    """Select requests without their bodies, which may be large, and *more* columns."""
    columns = [*(column for column in requests.columns if column is not requests.c.body), *more]
    size = sa.func.length(requests.c.body).label("body_bytes")
    return sa.select(*columns, size, accounts.c.name.label("account")).join(
        accounts, accounts.c.id == requests.c.account_id
    )


def _event_conditions(ids: Sequence[int], which: EventFilter) -> list[Condition]:
    where: list[Condition] = []
    # A visitor and a held distinct id belong to an account already; naming it too would lead away from their index.
    if which.visitor_id is not None:
        where.append(receipts.c.visitor_pk.in_(_pks_named(ids, "user_id", which.visitor_id)))
    elif which.distinct_id is not None and which.outcome == "accepted":
        where.append(receipts.c.id.in_(_holders(ids, which.distinct_id)))
    else:
        where.append(_among(receipts.c.account_id, ids))
    if which.event is not None:
        where.append(receipts.c.event == encoded(which.event))
    if which.distinct_id is not None:
        where.append(receipts.c.distinct_id == encoded(which.distinct_id))
    if which.endpoint is not None:
        where.append(receipts.c.endpoint == which.endpoint)
    if which.outcome is not None:
        where.append(receipts.c.outcome == which.outcome)
    if which.named:
        where.append(receipts.c.event.is_not(None))
    if which.test is not None:
        where.append(receipts.c.test == which.test)
    if which.since is not None:
        where.append(receipts.c.received_at >= which.since)
    return where + [_property_is(path, text) for path, text in which.properties.items()]


def _holders(ids: Sequence[int], distinct_id: str) -> sa.Select[tuple[int]]:
    digests = [distinct_digest(account_id, distinct_id, test=test) for account_id in ids for test in (False, True)]
    return sa.select(distinct_ids.c.receipt_id).where(_among(distinct_ids.c.digest, digests))


def _property_is(path: str, text: str) -> Condition:
    """Match an event property with *text*; *path* is its name, or leads to it through objects by dots."""
    place = "$.event_properties" + "".join(f".{json_text(part)}" for part in path.split("."))
    content = receipts.c.content
    nested = _is(sa.func.json_type(content, place), sa.func.json_extract(content, place), text)
    entries = sa.func.json_each(content, "$.event_properties").table_valued("key", "value", "type")
    named = sa.and_(entries.c.key == path, _is(entries.c.type, entries.c.value, text))
    return sa.or_(nested, sa.select(sa.literal(1)).select_from(entries).where(named).exists())


def _is(kind: sa.ColumnElement[Any], value: sa.ColumnElement[Any], text: str) -> Condition:
    """Match a JSON value of SQLite with *text*, taken as a string or as JSON."""
    as_text = sa.and_(kind == "text", value == text)
    try:
        wanted: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return as_text
    if isinstance(wanted, str):
        return sa.or_(as_text, sa.and_(kind == "text", value == wanted))
    if isinstance(wanted, int | float) and not isinstance(wanted, bool):
        # What no integer of SQLite can hold it has as a double.
        number = wanted if abs(wanted) <= LARGEST else json.loads(text, parse_int=float)
        return sa.or_(as_text, sa.and_(kind.in_(("integer", "real")), value == number))
    if isinstance(wanted, dict | list):
        return sa.or_(as_text, sa.and_(kind.in_(("object", "array")), value == json_text(wanted)))
    return sa.or_(as_text, kind == json_text(wanted))


def _pks_named(ids: Sequence[int], kind: Identifier, value: str) -> sa.Select[tuple[int]]:
    names: list[Name] = [(account_id, kind, value) for account_id in ids]
    digests = [name_digest(name) for name in names]
    return sa.select(identifiers.c.visitor_pk).where(_among(identifiers.c.digest, digests))


def _has_name(ids: Sequence[int], kind: Identifier, value: str) -> Condition:
    return visitors.c.pk.in_(_pks_named(ids, kind, value))


def _whole(cursor: str) -> int:
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > 18:
        raise CursorError(cursor)
    return int(cursor)


def _moment(cursor: str) -> tuple[float, int]:
    time, _, last_id = cursor.partition(":")
    try:
        moment = float(time)
    except ValueError:
        raise CursorError(cursor) from None
    if not math.isfinite(moment):
        raise CursorError(cursor)
    return moment, _whole(last_id)
