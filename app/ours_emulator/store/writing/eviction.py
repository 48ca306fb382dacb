"""Eviction: the oldest rows over the limits are deleted, and counted for their accounts."""

from collections import Counter
from itertools import accumulate
from operator import itemgetter

from ours_emulator.jsontext import json_text
from ours_emulator.store import Retention
from ours_emulator.store.writing import receipt_counts
from ours_emulator.store.writing import statements as sql
from ours_emulator.store.writing.counters import Counters
from ours_emulator.store.writing.database import Database

_ROWS_PER_SLACK = 400
_BYTES_PER_SLACK = 16
_OLDEST = 1000
"""Events whose sizes are looked at together when some of them have to go."""
_MAX_PENDING = 10_000
_MAX_FAILED_ATTEMPTS = 10_000
_FAILED_ATTEMPTS_SLACK = 500
_MAX_PENDING_BYTES = 64 * 1024 * 1024


class Eviction:
    """Keeps the *counters* within the limits of *retention*.

    Several rows go at a time: one by one they would take as long as everything else that is written.
    """

    def __init__(self, database: Database, retention: Retention, counters: Counters) -> None:
        self._database = database
        self._retention = retention
        self._counters = counters

    def evict(self) -> bool:
        """Delete the oldest rows over the limits; return whether there were any."""
        counters, limit = self._counters, self._retention.rows
        before = counters.receipts, counters.requests
        slack = limit // _ROWS_PER_SLACK
        if counters.receipts > limit + slack:
            self._evict_receipts(counters.receipts - limit)
        if counters.event_bytes - counters.present_bytes > self._retention.event_bytes:
            self._evict_event_bytes()
        if counters.requests > limit + slack:
            self._evict_requests(counters.requests - limit)
        while counters.body_bytes > self._retention.body_bytes and counters.known:
            self._evict_requests(1)
        return (counters.receipts, counters.requests) != before

    def evict_pending(self) -> None:
        """Delete the oldest pending devices over the limits."""
        if self._counters.pending > _MAX_PENDING or self._counters.pending_bytes > _MAX_PENDING_BYTES:
            self._database.write(sql.EVICT_PENDING, [(_MAX_PENDING, _MAX_PENDING_BYTES)])
            self.recount_pending()

    def recount_pending(self) -> None:
        """Count the pending devices that are left."""
        self._counters.pending = self._database.run(sql.COUNT_PENDING)[0][0]
        self._counters.pending_bytes = self._database.run(sql.SUM_PENDING)[0][0]

    def evict_failed_attempts(self) -> None:
        """Forget the oldest attempts that failed over the limit, and some more; the others are counted."""
        self.recount_failed_attempts()
        if self._counters.failed_attempts > _MAX_FAILED_ATTEMPTS:
            self._database.write(sql.EVICT_FAILED_ATTEMPTS, [(_FAILED_ATTEMPTS_SLACK,)])
            self.recount_failed_attempts()

    def recount_failed_attempts(self) -> None:
        """Count the attempts that failed."""
        self._counters.failed_attempts = self._database.run(sql.COUNT_FAILED_ATTEMPTS)[0][0]

    def _evict_event_bytes(self) -> None:
        """Delete the oldest events over the limit, and some more. What a visitor is now stays, and is not counted."""
        limit = self._retention.event_bytes
        limit -= limit // _BYTES_PER_SLACK
        while (excess := self._counters.event_bytes - self._counters.present_bytes - limit) > 0:
            sizes = accumulate(row[0] for row in self._database.run(sql.SELECT_OLDEST_SIZES, _OLDEST))
            count = sum(1 for size in sizes if size < excess) + 1
            if not self._evict_receipts(count):
                return

    def _evict_receipts(self, count: int) -> int:
        """Delete the *count* oldest events, and the versions that only they refer to; return how many there were."""
        rows = self._database.run(sql.EVICT_RECEIPTS, count)
        counts = Counter(row[0] for row in rows)
        last_ids = {row[0]: row[5] for row in sorted(rows, key=itemgetter(5))}
        evicted = [(count, last_ids[account_id], account_id) for account_id, count in counts.items()]
        self._database.write(sql.COUNT_EVICTED_RECEIPTS, evicted)
        receipt_counts.subtract(self._database, Counter(receipt_counts.count_key(*row[:5]) for row in rows))
        visitors = json_text(list({row[6] for row in rows if row[6] is not None}))
        versions = self._database.run(sql.EVICT_VERSIONS, visitors)
        self._counters.receipts -= len(rows)
        self._counters.event_bytes -= sum(row[7] for row in rows) + sum(row[0] for row in versions)
        return len(rows)

    def _evict_requests(self, count: int) -> None:
        rows = self._database.run(sql.EVICT_REQUESTS, count)
        counts = Counter(row[0] for row in rows)
        evicted = [(count, account_id) for account_id, count in counts.items()]
        self._database.write(sql.COUNT_EVICTED_REQUESTS, evicted)
        self._counters.requests -= len(rows)
        self._counters.body_bytes -= sum(row[1] for row in rows)
        # Fewer than were counted: count again.
        self._counters.known = len(rows) == count
