"""Eviction: the oldest rows over the limits are deleted, and counted for their accounts."""

from collections import Counter
from itertools import accumulate
from operator import itemgetter

from ours_emulator.jsontext import json_text
from ours_emulator.store import Retention
from ours_emulator.store.sqlite import receipt_counts
from ours_emulator.store.sqlite import statements as sql
from ours_emulator.store.sqlite.totals import Totals
from ours_emulator.store.sqlite.writing_connection import WritingConnection

_ROWS_PER_SLACK = 400
_BYTES_PER_SLACK = 16
_OLDEST = 1000
"""Events whose sizes are looked at together when some of them have to go."""
_MAX_PENDING = 10_000
_MAX_PENDING_BYTES = 64 * 1024 * 1024


class Eviction:
    """Keeps the *totals* within the limits of *retention*.

    Several rows go at a time: one by one they would take as long as everything else that is written.
    """

    def __init__(self, connection: WritingConnection, retention: Retention, totals: Totals) -> None:
        self._connection = connection
        self._retention = retention
        self._totals = totals

    def evict(self) -> bool:
        """Delete the oldest rows over the limits; return whether there were any."""
        totals, limit = self._totals, self._retention.rows
        before = totals.receipts, totals.requests
        slack = limit // _ROWS_PER_SLACK
        if totals.receipts > limit + slack:
            self._evict_receipts(totals.receipts - limit)
        if totals.event_bytes - totals.present_bytes > self._retention.event_bytes:
            self._evict_event_bytes()
        if totals.requests > limit + slack:
            self._evict_requests(totals.requests - limit)
        while totals.body_bytes > self._retention.body_bytes and totals.known:
            self._evict_requests(1)
        return (totals.receipts, totals.requests) != before

    def evict_pending(self) -> None:
        """Delete the oldest pending devices over the limits."""
        if self._totals.pending > _MAX_PENDING or self._totals.pending_bytes > _MAX_PENDING_BYTES:
            self._connection.run(sql.EVICT_PENDING, _MAX_PENDING, _MAX_PENDING_BYTES)
            self.recount_pending()

    def recount_pending(self) -> None:
        """Count the pending devices that are left."""
        self._totals.pending = self._connection.run(sql.COUNT_PENDING)[0][0]
        self._totals.pending_bytes = self._connection.run(sql.SUM_PENDING)[0][0]

    def _evict_event_bytes(self) -> None:
        """Delete the oldest events over the limit, and some more. What a visitor is now stays, and is not counted."""
        limit = self._retention.event_bytes
        limit -= limit // _BYTES_PER_SLACK
        while (excess := self._totals.event_bytes - self._totals.present_bytes - limit) > 0:
            sizes = accumulate(row[0] for row in self._connection.run(sql.SELECT_OLDEST_SIZES, _OLDEST))
            count = sum(1 for size in sizes if size < excess) + 1
            if not self._evict_receipts(count):
                return

    def _evict_receipts(self, count: int) -> int:
        """Delete the *count* oldest events, and the versions that only they refer to; return how many there were."""
        rows = self._connection.run(sql.EVICT_RECEIPTS, count)
        counts = Counter(row[0] for row in rows)
        last_ids = {row[0]: row[5] for row in sorted(rows, key=itemgetter(5))}
        evicted = [(count, last_ids[account_id], account_id) for account_id, count in counts.items()]
        self._connection.write(sql.COUNT_EVICTED_RECEIPTS, evicted)
        receipt_counts.subtract(self._connection.cursor, Counter(receipt_counts.count_key(*row[:5]) for row in rows))
        visitors = json_text(list({row[6] for row in rows if row[6] is not None}))
        versions = self._connection.run(sql.EVICT_VERSIONS, visitors)
        self._totals.receipts -= len(rows)
        self._totals.event_bytes -= sum(row[7] for row in rows) + sum(row[0] for row in versions)
        return len(rows)

    def _evict_requests(self, count: int) -> None:
        rows = self._connection.run(sql.EVICT_REQUESTS, count)
        counts = Counter(row[0] for row in rows)
        evicted = [(count, account_id) for account_id, count in counts.items()]
        self._connection.write(sql.COUNT_EVICTED_REQUESTS, evicted)
        self._totals.requests -= len(rows)
        self._totals.body_bytes -= sum(row[1] for row in rows)
        # Fewer than were counted: count again.
        self._totals.known = len(rows) == count
