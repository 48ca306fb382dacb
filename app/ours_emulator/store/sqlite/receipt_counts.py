"""How many receipts there are of each kind: kept with every commit, so that nobody has to count them."""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from ours_emulator.store.sqlite import statements as sql

Kind: TypeAlias = tuple[int, str, str, str, bool]
"""The key of the table: account, outcome, endpoint, name as JSON, test."""


def kind_of(account_id: int, outcome: str, endpoint: str, event: str | None, test: bool) -> Kind:
    """Return the kind of a receipt from its columns."""
    return account_id, outcome, endpoint, "null" if event is None else f'"{event}"', test


def add(cursor: sqlite3.Cursor, last_ids: Iterable[tuple[Kind, int]]) -> None:
    """Count new receipts, each given by its kind and its id, in the order of their ids."""
    counts: dict[Kind, tuple[int, int]] = {}
    for kind, receipt_id in last_ids:
        counts[kind] = counts.get(kind, (0, 0))[0] + 1, receipt_id
    cursor.executemany(sql.ADD_RECEIPT_COUNTS, [(*kind, *counted) for kind, counted in counts.items()])


def subtract(cursor: sqlite3.Cursor, counts: Mapping[Kind, int]) -> None:
    """Count no more the receipts that were deleted."""
    cursor.executemany(sql.SUBTRACT_RECEIPT_COUNTS, [(*kind, count) for kind, count in counts.items()])
    cursor.executemany(sql.DELETE_EMPTY_RECEIPT_COUNTS, list(counts))
