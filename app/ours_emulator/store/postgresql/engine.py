"""The connections that read."""

from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ours_emulator.store.postgresql.address import Address
from ours_emulator.store.postgresql.sessions import ReadingSession


class Cursor(Protocol):
    """What the driver's cursor can do."""

    def execute(self, statement: str, /) -> object:
        """Run *statement*."""
        ...

    def close(self) -> object:
        """Close the cursor."""
        ...


class Connection(Protocol):
    """What the driver's connection can do."""

    def cursor(self) -> Cursor:
        """Return a cursor."""
        ...

    def commit(self) -> object:
        """Commit the transaction."""
        ...


def read_only_engine(address: Address, kept: int, more: int, patience: float) -> AsyncEngine:
    """Return an engine whose connections cannot write to the database; each block reads one snapshot of it.

    It keeps so many connections. *more* serve a burst and are closed after use; further reads queue. A connection is
    lost if the server does not answer for *patience* seconds.
    """

    async def connect(place: str, **parameters: Any) -> ReadingSession:
        connection = await ReadingSession.connect(place, **parameters)
        connection.patience = patience
        return connection

    engine = create_async_engine(
        sa.URL.create("postgresql+psycopg"),
        connect_args={**address.parameters, "async_creator_fn": connect},
        hide_parameters=True,
        pool_size=kept,
        max_overflow=more,
        # The server may have been restarted since.
        pool_pre_ping=True,
        execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    return engine


def _prepare(connection: Connection, _: object) -> None:
    # To compile a statement takes longer than to run it, even if it reads all events.
    cursor = connection.cursor()
    cursor.execute("SET jit = off")
    cursor.close()
    connection.commit()
