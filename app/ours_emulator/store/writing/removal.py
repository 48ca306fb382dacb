"""Removal of accounts that were reset or closed: their rows are deleted in slices, between which others write.

An account that is being removed keeps its row, under a name that no account can have. So nobody finds what it has, and
the next start goes on with what a crash left.
"""

import time
from typing import Any

from ours_emulator.jsontext import json_text
from ours_emulator.store.encoding import digest_range
from ours_emulator.store.writing import statements as sql
from ours_emulator.store.writing.counters import Counters
from ours_emulator.store.writing.database import Database

_MIN_ROWS = 50
_MAX_ROWS = 4000
_SLICE_SECONDS = 0.01
"""How long a slice should take."""


class Removal:
    """Deletes accounts in slices, whose size adapts so that each takes about 10 ms, and keeps *counters* true."""

    def __init__(self, counters: Counters) -> None:
        self.account_ids: list[int] = []
        self._counters = counters
        self._rows = 1000

    def delete_slice(self, database: Database) -> None:
        """Delete some rows of the first accounts, and at last their own, in the open transaction."""
        started = time.perf_counter()
        left = self._rows
        while self.account_ids and left > 0:
            left -= self._delete_some(database, self.account_ids[0], left)
        seconds = time.perf_counter() - started
        if seconds > 2 * _SLICE_SECONDS:
            self.make_slices_smaller()
        elif left <= 0 and seconds < _SLICE_SECONDS / 2:
            self._rows = min(_MAX_ROWS, self._rows * 2)

    def make_slices_smaller(self) -> None:
        """Halve the rows of the next slices."""
        self._rows = max(_MIN_ROWS, self._rows // 2)

    def _delete_some(self, database: Database, account_id: int, limit: int) -> int:
        """Delete rows of an account, the account itself if they were fewer than *limit*; return how many there were."""
        deleted = 0
        for step in (_delete_identifiers, _delete_distinct_ids, _delete_receipts, _delete_requests, _delete_visitors):
            deleted += step(database, account_id, limit - deleted, self._counters)
            if deleted >= limit:
                return deleted
        database.write(sql.DELETE_ACCOUNT, [(account_id,)])
        self.account_ids.remove(account_id)
        self._counters.names_version += 1
        return deleted + 1


def _delete_identifiers(database: Database, account_id: int, limit: int, _: Counters) -> int:
    return len(database.run(sql.REMOVE_IDENTIFIERS, *digest_range(account_id), limit))


def _delete_distinct_ids(database: Database, account_id: int, limit: int, _: Counters) -> int:
    return len(database.run(sql.REMOVE_DISTINCT_IDS, *digest_range(account_id), limit))


def _delete_receipts(database: Database, account_id: int, limit: int, counters: Counters) -> int:
    sizes = _firsts(database, sql.REMOVE_RECEIPTS, account_id, limit)
    counters.receipts -= len(sizes)
    counters.event_bytes -= sum(sizes)
    return len(sizes)


def _delete_requests(database: Database, account_id: int, limit: int, counters: Counters) -> int:
    sizes = _firsts(database, sql.REMOVE_REQUESTS, account_id, limit)
    counters.requests -= len(sizes)
    counters.body_bytes -= sum(sizes)
    return len(sizes)


def _delete_visitors(database: Database, account_id: int, limit: int, counters: Counters) -> int:
    """Delete earlier versions of some visitors, and these with their present ones once no other is left."""
    pks = _firsts(database, sql.SELECT_SOME_VISITORS, account_id, limit)
    if not pks:
        return 0
    some = json_text(pks)
    sizes = _firsts(database, sql.REMOVE_EARLIER_VERSIONS, some, limit)
    if len(sizes) < limit:
        counters.present_bytes -= _firsts(database, sql.SUM_PRESENT_VERSIONS, some)[0]
        sizes += _firsts(database, sql.REMOVE_VERSIONS, some)
        database.write(sql.REMOVE_VISITORS, [(some,)])
    counters.event_bytes -= sum(sizes)
    return len(sizes)


def _firsts(database: Database, statement: str, *values: object) -> list[Any]:
    """Return the first column of the rows that *statement* returns."""
    return [row[0] for row in database.run(statement, *values)]
