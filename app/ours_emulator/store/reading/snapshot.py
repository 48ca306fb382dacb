"""Snapshots of the store: what it has of some accounts at one moment, on connections that cannot write."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ours_emulator.records import Page
from ours_emulator.store import LIST_BYTES, StoreFailedError
from ours_emulator.store.reading.comparisons import Condition, among
from ours_emulator.store.reading.conditions import account_is
from ours_emulator.store.reading.cursors import after_cursor, cursor_of
from ours_emulator.store.reading.dialect import Dialect
from ours_emulator.store.reading.selections import R, Selection
from ours_emulator.store.tables import accounts, receipts

_MAX_TOGETHER = 100
_SEARCHED_TOGETHER = 50
_SIZED = (str, bytes)
# Every read begins with one of these, and to put it together takes as long as to run it.
_ALL_ACCOUNTS = sa.select(accounts).where(account_is(None))
_ACCOUNT = sa.select(accounts).where(accounts.c.name == sa.bindparam("name"))


@dataclass(frozen=True, slots=True)
class Source:
    """A database to read: its connections, those of probes, its dialect, and what raises if it is lost.

    A probe does not queue behind the reads of others: with sixty waits that end at once that took 2.6 seconds.
    """

    engine: AsyncEngine
    probing: AsyncEngine
    dialect: Dialect
    check: Callable[[], None] = lambda: None


class SnapshotReader:
    """Opens snapshots of a database. The base of what reads one kind of record."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def close(self) -> None:
        """Close the connections."""
        await self._source.engine.dispose()
        await self._source.probing.dispose()

    @asynccontextmanager
    async def snapshot(self, account: str | None, engine: AsyncEngine | None = None) -> AsyncGenerator["Snapshot"]:
        """Give what the store has of *account*, or of all accounts if None, at one moment."""
        covered, values = (_ALL_ACCOUNTS, {}) if account is None else (_ACCOUNT, {"name": account})
        self._source.check()
        try:
            async with (engine or self._source.engine).connect() as connection:
                rows = (await connection.execute(covered, values)).mappings().all()
                yield Snapshot(connection, rows, self._source.dialect)
        except SQLAlchemyError as error:
            # What is read of a file that was cut meanwhile is an error of any selection.
            self._source.check()
            raise StoreFailedError(_sentence(error)) from error


def _sentence(error: SQLAlchemyError) -> str:
    """Return the first line of what the driver says."""
    return str(error.orig if isinstance(error, DBAPIError) else error).partition("\n")[0]


class Snapshot:
    """What the store has of some *accounts*, the rows of their table, at one moment."""

    def __init__(self, connection: AsyncConnection, accounts: Sequence[sa.RowMapping], dialect: Dialect) -> None:
        self._connection = connection
        self.dialect = dialect
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

    async def parts(self, statement: sa.Executable) -> AsyncGenerator[Sequence[sa.RowMapping]]:
        """Yield the rows that *statement* selects, a few together: of many large ones no more are in memory."""
        async with self._connection.stream(statement) as result:
            async for part in result.mappings().partitions(_SEARCHED_TOGETHER):
                yield part

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
                    size = sum(len(value) for value in row.values() if isinstance(value, _SIZED))
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
