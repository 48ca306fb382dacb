"""The floor under a batch: the rows that the emulator stores for one, written by sqlite3 alone with `executemany`."""

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from load import Load
from ours_emulator.store.tables import metadata
from servers import EMULATOR, running

_TABLES = ("requests", "receipts", "distinct_ids", "visitors", "visitor_versions", "identifiers")
_IDS = {"id", "pk", "call_id", "first_receipt", "receipt_id", "request_id", "visitor_pk", "version_id"}


@dataclass(frozen=True, slots=True)
class Written:
    """What a batch added to one table."""

    table: sa.Table
    rows: list[Sequence[Any]]

    @property
    def insert(self) -> str:
        """The statement that adds a row."""
        return f"INSERT INTO {self.table.name} VALUES ({', '.join('?' * len(self.table.columns))})"

    def fresh(self, shift: int) -> Iterator[Sequence[Any]]:
        """Yield the rows as a later batch would have them: ids moved on by *shift*, new digests."""
        names = [column.name for column in self.table.columns]
        ids = [place for place, name in enumerate(names) if name in _IDS]
        digests = [place for place, name in enumerate(names) if name == "digest"]
        for row in self.rows:
            values = list(row)
            for place in ids:
                values[place] += shift
            for place in digests:
                account, _, digest = values[place].partition(":")
                values[place] = f"{account}:{os.urandom(len(digest) // 2).hex()}"
            yield values


def written_for(load: Load) -> list[Written]:
    """Return the rows that the emulator stores for one request of *load*. Raises RuntimeError if it refuses any."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder, "store.db")
        with running([*EMULATOR, "--database", str(path)]) as server:
            outcome = server.post(load.path, next(load.bodies()))
        if outcome != "accepted":
            raise RuntimeError(f"the batch was not accepted: {outcome}")
        with closing(sqlite3.connect(path)) as connection:
            tables = [metadata.tables[name] for name in _TABLES]
            return [Written(it, connection.execute(f"SELECT * FROM {it.name}").fetchall()) for it in tables]


def transactions_per_second(batch: Sequence[Written], rows: int, seconds: int) -> float:
    """Write *batch*, of so many *rows*, for so long, each time in a transaction. Making the rows is not counted."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, closing(_database(folder)) as connection:
        until, spent, count = time.perf_counter() + seconds, 0.0, 0
        while time.perf_counter() < until:
            count += 1
            ready = [(it.insert, list(it.fresh(count * rows))) for it in batch]
            started = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            for statement, values in ready:
                connection.executemany(statement, values)
            connection.execute("COMMIT")
            spent += time.perf_counter() - started
        return count / spent


def _database(folder: str) -> sqlite3.Connection:
    """Return a connection to an empty store with the emulator's schema and the pragmas of its default store."""
    path = Path(folder, "store.db")
    engine = sa.create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = OFF")
    return connection
