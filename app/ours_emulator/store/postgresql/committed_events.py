"""Reads what was committed by the ids of events, on a connection that stays open: one way there and back each."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from ours_emulator.records import Event
from ours_emulator.store import StoreFailedError
from ours_emulator.store.postgresql.address import Address
from ours_emulator.store.postgresql.engine import read_only_engine
from ours_emulator.store.reading.conditions import account_is
from ours_emulator.store.reading.decode import event_record
from ours_emulator.store.reading.selections import EVENTS
from ours_emulator.store.tables import receipts

_PATIENCE = 120
# Each may have a visitor of many megabytes.
_TOGETHER = 16
_NEXT_ID = sa.text("SELECT next_receipt_id FROM counters")
_LAST_EVICTED = sa.text("SELECT coalesce(max(last_evicted), 0) AS last_evicted FROM accounts")
_SOME = (
    EVENTS.selected.where(receipts.c.id >= sa.bindparam("first"), receipts.c.id < sa.bindparam("before"))
    .where(account_is(None))
    .order_by(receipts.c.id)
    .limit(_TOGETHER)
)


class CommittedEvents:
    """The events of all accounts, the first to arrive first, read on *connection*."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def next_id(self) -> int:
        """Return the id that the next event has."""
        next_id: int = (await self._rows(_NEXT_ID))[0]["next_receipt_id"]
        return next_id

    async def last_evicted(self) -> int:
        """Return the largest id of an event that was evicted; 0 if none was."""
        last: int = (await self._rows(_LAST_EVICTED))[0]["last_evicted"]
        return last

    async def some(self, first: int, before: int) -> tuple[Sequence[Event], bool]:
        """Return the first events with ids from *first* to below *before*, and whether there may be more."""
        rows = await self._rows(_SOME, first=first, before=before)
        return list(map(event_record, rows)), len(rows) == _TOGETHER

    async def _rows(self, statement: sa.Executable, **values: int) -> Sequence[sa.RowMapping]:
        try:
            return (await self._connection.execute(statement, values)).mappings().all()
        except SQLAlchemyError as error:
            raise _failed(error) from error


@asynccontextmanager
async def committed_events(address: Address) -> AsyncGenerator[CommittedEvents]:
    """Give what reads the events of the database at *address*. Raises StoreFailedError if they cannot be read."""
    engine = read_only_engine(address, 1, 0, _PATIENCE)
    try:
        connection = await engine.connect()
        try:
            # Without a transaction, each statement sees what was committed before it.
            yield CommittedEvents(await connection.execution_options(isolation_level="AUTOCOMMIT"))
        finally:
            await connection.close()
    except SQLAlchemyError as error:
        raise _failed(error) from error
    finally:
        await engine.dispose()


def _failed(error: SQLAlchemyError) -> StoreFailedError:
    return StoreFailedError(str(error).partition("\n")[0])
