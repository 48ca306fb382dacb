"""How many receipts there are of each key: kept with every commit, so that nobody has to count them."""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from ours_emulator.store.sqlite import statements as sql

CountKey: TypeAlias = tuple[int, str, str, str, bool]
"""The key of the table: account, outcome, endpoint, name as JSON, test."""


def count_key(account_id: int, outcome: str, endpoint: str, event: str | None, test: bool) -> CountKey:
    """Return the key of a receipt from its columns."""
    return account_id, outcome, endpoint, "null" if event is None else f'"{event}"', test


def add(cursor: sqlite3.Cursor, last_ids: Iterable[tuple[CountKey, int]]) -> None:
    """Count new receipts, each given by its key and its id, in the order of their ids."""
    counts: dict[CountKey, tuple[int, int]] = {}
    for key, receipt_id in last_ids:
        counts[key] = counts.get(key, (0, 0))[0] + 1, receipt_id
    cursor.executemany(sql.ADD_RECEIPT_COUNTS, [(*key, *counted) for key, counted in counts.items()])


def subtract(cursor: sqlite3.Cursor, counts: Mapping[CountKey, int]) -> None:
    """Subtract receipts that were deleted."""
    cursor.executemany(sql.SUBTRACT_RECEIPT_COUNTS, [(*key, count) for key, count in counts.items()])
    cursor.executemany(sql.DELETE_EMPTY_RECEIPT_COUNTS, list(counts))
