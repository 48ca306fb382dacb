"""How many receipts there are of each key: kept with every commit, so that nobody has to count them."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from ours_emulator.store.writing import statements as sql
from ours_emulator.store.writing.database import Database

CountKey: TypeAlias = tuple[int, str, str, str, bool]
"""The key of the table: account, outcome, endpoint, name as JSON, test."""


def count_key(account_id: int, outcome: str, endpoint: str, event: str | None, test: bool) -> CountKey:
    """Return the key of a receipt from its columns."""
    return account_id, outcome, endpoint, "null" if event is None else f'"{event}"', test


def add(database: Database, last_ids: Iterable[tuple[CountKey, int]]) -> None:
    """Count new receipts, each given by its key and its id, in the order of their ids."""
    counts: dict[CountKey, tuple[int, int]] = {}
    for key, receipt_id in last_ids:
        counts[key] = counts.get(key, (0, 0))[0] + 1, receipt_id
    database.write(sql.ADD_RECEIPT_COUNTS, [(*key, *counted) for key, counted in counts.items()])


def subtract(database: Database, counts: Mapping[CountKey, int]) -> None:
    """Subtract receipts that were deleted."""
    database.write(sql.SUBTRACT_RECEIPT_COUNTS, [(*key, count) for key, count in counts.items()])
    database.write(sql.DELETE_EMPTY_RECEIPT_COUNTS, list(counts))
