"""The connections that read."""

from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ours_emulator.store.sqlite import event_conditions, visitor_conditions
from ours_emulator.store.sqlite.visitor_conditions import Connection


def read_only_engine(path: Path, kept: int, more: int) -> AsyncEngine:
    """Return an engine whose connections cannot write to the database; each block reads one snapshot of it.

    It keeps so many connections. *more* serve a burst and are closed after use; further reads queue.
    """
    # With mode=rw SQLite does not create a file that is gone.
    name = f"file:{quote(path.as_posix())}"
    engine = create_async_engine(
        sa.URL.create("sqlite+aiosqlite", database=name, query={"mode": "rw", "uri": "true"}),
        hide_parameters=True,
        pool_size=kept,
        max_overflow=more,
        connect_args={"isolation_level": None},
    )
    event.listen(engine.sync_engine, "connect", _prepare)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _prepare(connection: Connection, _: object) -> None:
    connection.execute("PRAGMA query_only = ON")
    visitor_conditions.add_functions(connection)
    event_conditions.add_functions(connection)


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")
