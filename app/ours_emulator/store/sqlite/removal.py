"""Removal of accounts that were reset or closed: their rows are deleted in slices, between which others write.

An account that is being removed keeps its row, under a name that no account can have. So nobody finds what it has, and
the next start goes on with what a crash left.
"""

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ours_emulator.jsontext import json_text
from ours_emulator.store.encoding import digest_range
from ours_emulator.store.sqlite import statements as sql

PREFIX = "/"
"""What the name of an account that is being removed begins with."""
_MIN_ROWS = 50
_MAX_ROWS = 4000
_SLICE_SECONDS = 0.01
"""How long a slice should take."""


@dataclass(slots=True)
class DeletedTotals:
    """What a slice deleted, in rows and bytes."""

    receipts: int = 0
    requests: int = 0
    body_bytes: int = 0
    event_bytes: int = 0
    present_bytes: int = 0


class Removal:
    """Deletes accounts in slices, whose size adapts so that each takes about 10 ms."""

    def __init__(self) -> None:
        self.account_ids: list[int] = []
        self._rows = 1000

    def delete_slice(self, cursor: sqlite3.Cursor) -> DeletedTotals:
        """Delete some rows of the first account, or at last its own, in the open transaction."""
        started = time.perf_counter()
        account_id, removed = self.account_ids[0], DeletedTotals()
        steps = (self._delete_names, self._delete_receipts, self._delete_requests, self._delete_visitors)
        if not any(step(cursor, account_id, removed) for step in steps):
            cursor.execute(sql.DELETE_ACCOUNT, (name_of(account_id),))
            del self.account_ids[0]
        seconds = time.perf_counter() - started
        if seconds > 2 * _SLICE_SECONDS:
            self.make_slices_smaller()
        elif seconds < _SLICE_SECONDS / 2:
            self._rows = min(_MAX_ROWS, self._rows * 2)
        return removed

    def make_slices_smaller(self) -> None:
        """Halve the rows of the next slices."""
        self._rows = max(_MIN_ROWS, self._rows // 2)

    def _delete_names(self, cursor: sqlite3.Cursor, account_id: int, _: DeletedTotals) -> bool:
        low, high = digest_range(account_id)
        statements = (sql.REMOVE_IDENTIFIERS, sql.REMOVE_DISTINCT_IDS)
        return any(cursor.execute(statement, (low, high, self._rows)).rowcount for statement in statements)

    def _delete_receipts(self, cursor: sqlite3.Cursor, account_id: int, removed: DeletedTotals) -> bool:
        sizes = _firsts(cursor, sql.REMOVE_RECEIPTS, account_id, self._rows)
        removed.receipts = len(sizes)
        removed.event_bytes = sum(sizes)
        return bool(sizes)

    def _delete_requests(self, cursor: sqlite3.Cursor, account_id: int, removed: DeletedTotals) -> bool:
        sizes = _firsts(cursor, sql.REMOVE_REQUESTS, account_id, self._rows)
        removed.requests = len(sizes)
        removed.body_bytes = sum(sizes)
        return bool(sizes)

    def _delete_visitors(self, cursor: sqlite3.Cursor, account_id: int, removed: DeletedTotals) -> bool:
        """Delete earlier versions of some visitors, and these with their present ones once no other is left."""
        pks = _firsts(cursor, sql.SELECT_SOME_VISITORS, account_id, self._rows)
        some = json_text(pks)
        sizes = _firsts(cursor, sql.REMOVE_EARLIER_VERSIONS, some, self._rows)
        if len(sizes) < self._rows:
            removed.present_bytes = _firsts(cursor, sql.SUM_PRESENT_VERSIONS, some)[0]
            sizes += _firsts(cursor, sql.REMOVE_VERSIONS, some)
            cursor.execute(sql.REMOVE_VISITORS, (some,))
        removed.event_bytes = sum(sizes)
        return bool(pks)


def name_of(account_id: int) -> str:
    """Return the name of an account while it is being removed."""
    return f"{PREFIX}{account_id}"


def _firsts(cursor: sqlite3.Cursor, statement: str, *values: object) -> list[Any]:
    """Return the first column of the rows that *statement* returns."""
    rows: Sequence[tuple[Any, ...]] = cursor.execute(statement, values).fetchall()
    return [row[0] for row in rows]
