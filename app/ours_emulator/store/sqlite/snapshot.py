"""Snapshots of the store: what it has of some accounts at one moment, on connections that cannot write."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ours_emulator.records import Page
from ours_emulator.store import LIST_BYTES, StoreFailedError
from ours_emulator.store.sqlite.conditions import Condition, account_is, among
from ours_emulator.store.sqlite.cursors import after_cursor, cursor_of
from ours_emulator.store.sqlite.engine import read_only_engine
from ours_emulator.store.sqlite.file import StoreFile
from ours_emulator.store.sqlite.selections import R, Selection
from ours_emulator.store.tables import accounts, receipts

_MAX_TOGETHER = 100


class SnapshotReader:
    """Opens snapshots of a SQLite file. The base of what reads one kind of record."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file
        # Each connection is a thread. Two are enough for a test and the page, eight for a burst of waits. More would
        # only fight for the interpreter.
        self._engine = read_only_engine(file.path, 2, 6)
        # A probe does not queue behind the reads of others: with sixty waits that end at once that took 2.6 seconds.
        self._probing = read_only_engine(file.path, 1, 1)

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()
        await self._probing.dispose()

    @asynccontextmanager
    async def snapshot(self, account: str | None, engine: AsyncEngine | None = None) -> AsyncGenerator["Snapshot"]:
        """Give what the store has of *account*, or of all accounts if None, at one moment."""
        covered = sa.select(accounts).where(account_is(account))
        self._file.check()
        try:
            async with (engine or self._engine).connect() as connection:
                yield Snapshot(connection, (await connection.execute(covered)).mappings().all())
        except SQLAlchemyError as error:
            # What is read of a file that was cut meanwhile is an error of any selection.
            self._file.check()
            raise StoreFailedError(str(error.orig if isinstance(error, DBAPIError) else error)) from error


class Snapshot:
    """What the store has of some *accounts*, the rows of their table, at one moment."""

    def __init__(self, connection: AsyncConnection, accounts: Sequence[sa.RowMapping]) -> None:
        self._connection = connection
        self.accounts = accounts
        self.ids: Sequence[int] = [account["id"] for account in accounts]

    def owns(self, table: sa.Table, *, by_index: bool = True) -> Condition:
        """Match the rows of *table* that belong to these accounts; without the index, if another one is better."""
        # SQLite does not look for an expression in an index.
        return among(table.c.account_id if by_index else table.c.account_id + 0, self.ids)

    def evicted(self, selection: Selection[Any]) -> int:
        """Return how many records of the *selection* are no longer there."""
        return 0 if selection.evicted is None else sum(account[selection.evicted] for account in self.accounts)

    async def rows(self, statement: sa.Executable) -> Sequence[sa.RowMapping]:
        """Return the rows that *statement* selects."""
        rows: Sequence[sa.RowMapping] = (await self._connection.execute(statement)).mappings().all()
        return rows

    async def first_rows(self, statement: sa.Select[Any], limit: int) -> tuple[list[sa.RowMapping], bool]:
        """Return the first rows that *statement* selects, and whether there are more.

        They are at most *limit* and, unless it is a single one, LIST_BYTES.
        """
        rows: list[sa.RowMapping] = []
        left, largest, together = LIST_BYTES, 1, 1
        async with self._connection.stream(statement.limit(limit + 1)) as result:
            # One by one, small rows take longer on the way from the driver's thread than for all the rest.
            mappings = result.mappings()
            while some := await mappings.fetchmany(together):
                for row in some:
                    size = sum(len(value) for value in row.values() if isinstance(value, str | bytes))
                    left -= size
                    if rows and (len(rows) == limit or left < 0):
                        return rows, True
                    rows.append(row)
                    largest = max(largest, size)
                together = min(2 * together, _MAX_TOGETHER, left // largest + 1)
        return rows, False

    @property
    def last_evicted(self) -> int:
        """The largest id of an event that was evicted; 0 if none was."""
        return max((account["last_evicted"] for account in self.accounts), default=0)

    async def pairs(self, statement: sa.Executable) -> Sequence[tuple[Any, int]]:
        """Return the pairs that *statement* selects: something, and a number."""
        return [(row[0], row[1]) for row in (await self._connection.execute(statement)).all()]

    async def scalar(self, statement: sa.Executable) -> int | None:
        """Return the number that *statement* selects; max and min of nothing are None."""
        number: int | None = (await self._connection.execute(statement)).scalar_one()
        return number

    async def count(self, table: sa.FromClause, where: Sequence[Condition]) -> int:
        """Return how many rows of *table* match all of *where*."""
        return await self.scalar(sa.select(sa.func.count()).select_from(table).where(*where)) or 0

    async def next_events(self, after: int, count: int) -> tuple[int, int] | None:
        """Return the range of the next *count* ids of events, of any account, after *after*; None if there are none."""
        first = await self.scalar(sa.select(sa.func.min(receipts.c.id)).where(receipts.c.id > after))
        return None if first is None else (first, first + count - 1)

    async def one(self, selection: Selection[R], *where: Condition) -> R | None:
        """Return the record of these accounts that matches *where*."""
        rows = await self.rows(selection.selected.where(*where, self.owns(selection.table)))
        return selection.record(rows[0]) if rows else None

    async def page(
        self,
        selection: Selection[R],
        where: Sequence[Condition],
        limit: int,
        cursor: str | None,
        total: int,
    ) -> Page[R]:
        """Return a page of the *total* records that match *where*."""
        where = [*where, *after_cursor(selection.key, cursor)]
        rows, more = await self.first_rows(selection.selected.where(*where).order_by(*selection.latest_first), limit)
        next_cursor = cursor_of(rows[-1], selection.key) if more else None
        return Page(tuple(map(selection.record, rows)), total, next_cursor, self.evicted(selection))
