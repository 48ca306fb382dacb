"""Reads of the journal: requests, and calls with all their attempts."""

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from ours_emulator.records import Call, Event, Page, RequestRecord, StoredRequest
from ours_emulator.store import LARGEST, RequestFilter
from ours_emulator.store.reading.comparisons import Condition
from ours_emulator.store.reading.conditions import LAST_RECEIPT, attempts_of, equal
from ours_emulator.store.reading.decode import call_record, event_record, request_record, sent_answer, stored_request
from ours_emulator.store.reading.selections import EVENTS, REQUESTS, REQUESTS_WITH_ANSWER, REQUESTS_WITH_BODY
from ours_emulator.store.reading.snapshot import Snapshot, SnapshotReader
from ours_emulator.store.tables import receipts, requests

_PAGE_ROWS = 500
_PAGE_BYTES = 8 * 1024 * 1024


class RequestReader(SnapshotReader):
    """Reads requests and calls."""

    async def requests(
        self, account: str | None, which: RequestFilter, limit: int, cursor: str | None
    ) -> Page[RequestRecord]:
        """Return the journal, the latest request first."""
        where = [] if which.call_id is None else [attempts_of([which.call_id])]
        where += equal(requests, status=which.status, endpoint=which.endpoint)
        async with self.snapshot(account) as stored:
            where = [stored.owns(requests), *where]
            return await stored.page(REQUESTS, where, limit, cursor, await stored.count(requests, where))

    async def request(self, account: str | None, request_id: int) -> tuple[StoredRequest, Sequence[Event]] | None:
        """Return one request with body and answer, and its events in the order of its rows, as many as a list has."""
        async with self.snapshot(account) as stored:
            rows = await stored.rows(REQUESTS_WITH_ANSWER.where(requests.c.id == request_id, stored.owns(requests)))
            if not rows:
                return None
            first, count = rows[0]["first_receipt"], rows[0]["receipt_count"]
            of_request = sa.and_(receipts.c.id.between(first, first + count - 1), receipts.c.request_id == request_id)
            events, _ = await stored.first_rows(EVENTS.selected.where(of_request).order_by(receipts.c.id), count)
        return replace(stored_request(rows[0]), answer=sent_answer(rows[0])), list(map(event_record, events))

    async def stored_requests(self, account: str | None, after: int) -> Sequence[StoredRequest]:
        """Return some requests with their bodies, a few megabytes at most, the oldest first: those with an id greater
        than *after*. None at all when there are no more."""
        async with self.snapshot(account) as stored:
            wanted = sa.and_(stored.owns(requests), requests.c.id > after)
            some = REQUESTS_WITH_BODY.where(wanted, requests.c.id <= _last_that_fits(wanted))
            return list(map(stored_request, await stored.rows(some.order_by(requests.c.id))))

    async def evicted_requests(self, account: str | None) -> int:
        """Return how many requests are no longer there."""
        async with self.snapshot(account) as stored:
            return stored.evicted(REQUESTS)

    async def calls(self, account: str | None, limit: int, cursor: str | None) -> Page[Call]:
        """Return calls with all their attempts, the latest call first; of one with very many, the first attempts."""
        async with self.snapshot(account) as stored:
            firsts = [stored.owns(requests), requests.c.id == requests.c.call_id]
            page = await stored.page(REQUESTS, firsts, limit, cursor, await _count_of_calls(stored))
            of_page = attempts_of([first.call_id for first in page.items])
            in_order = REQUESTS.selected.where(of_page).order_by(requests.c.call_id.desc(), requests.c.id)
            rows, more = await stored.first_rows(in_order, LARGEST - 1)
            accepted = dict(await stored.pairs(_accepted_by_request(of_page)))
        attempts: dict[int, list[RequestRecord]] = {}
        for row in rows:
            attempts.setdefault(row["call_id"], []).append(request_record(row))
        if more and len(attempts) > 1:
            # The attempts of the last one may not be complete.
            attempts.popitem()
        next_cursor = str(min(attempts)) if more else page.next_cursor
        items = tuple(call_record(of_call, accepted) for of_call in attempts.values())
        return Page(items, page.total, next_cursor, page.evicted)


def _last_that_fits(wanted: Condition) -> sa.ScalarSelect[int]:
    """Select the id up to which the bodies of *wanted* requests are not too many bytes together; at least the first."""
    next_ones = (
        sa.select(requests.c.id, sa.func.length(requests.c.body).label("size"))
        .where(wanted)
        .order_by(requests.c.id)
        .limit(_PAGE_ROWS)
    ).subquery()
    size = sa.func.sum(next_ones.c.size).over(order_by=next_ones.c.id).label("size")
    upto = sa.select(next_ones.c.id, size).subquery()
    first = sa.select(sa.func.min(next_ones.c.id)).scalar_subquery()
    fits = sa.or_(upto.c.size <= _PAGE_BYTES, upto.c.id == first)
    return sa.select(sa.func.max(upto.c.id)).where(fits).scalar_subquery()


async def _count_of_calls(stored: Snapshot) -> int:
    """Return how many calls there are: of each that is counted, the first attempt has come."""
    # All requests that begin no call are further attempts, which have an index of their own; and they are few.
    later = sa.and_(requests.c.attempt > 1, requests.c.id != requests.c.call_id)
    every = await stored.count(requests, [stored.owns(requests)])
    return every - await stored.count(requests, [stored.owns(requests, by_index=False), later])


def _accepted_by_request(which: Condition) -> sa.Executable:
    """Count the accepted events of each of *which* requests, by the id of the request."""
    # As a join, SQLite would begin with all receipts that were accepted.
    own = receipts.c.id.between(requests.c.first_receipt, LAST_RECEIPT)
    count = sa.select(sa.func.count()).where(own, receipts.c.outcome == "accepted").correlate(requests)
    return sa.select(requests.c.id, count.scalar_subquery()).where(which)
