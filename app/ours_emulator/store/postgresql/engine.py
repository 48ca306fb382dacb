"""The connections that read."""

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ours_emulator.store.postgresql.address import Address


def read_only_engine(address: Address, kept: int, more: int) -> AsyncEngine:
    """Return an engine whose connections cannot write to the database; each block reads one snapshot of it.

    It keeps so many connections. *more* serve a burst and are closed after use; further reads queue.
    """
    return create_async_engine(
        sa.URL.create("postgresql+psycopg"),
        connect_args=dict(address.parameters),
        hide_parameters=True,
        pool_size=kept,
        max_overflow=more,
        # The server may have been restarted since.
        pool_pre_ping=True,
        execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
    )
