"""What reads a PostgreSQL database."""

import sqlalchemy as sa

from ours_emulator.store import StoreFailedError
from ours_emulator.store.postgresql import dialect
from ours_emulator.store.postgresql.address import Address
from ours_emulator.store.postgresql.engine import read_only_engine
from ours_emulator.store.reading.reader import SqlReader
from ours_emulator.store.reading.snapshot import Source

_PATIENCE = 120
"""Seconds for a search through everything, which gives no row before its end."""
_PATIENCE_OF_PROBES = 10


class PostgresqlReader(SqlReader):
    """The `StoreReader` of a PostgreSQL database."""

    def __init__(self, address: Address) -> None:
        engine = read_only_engine(address, 2, 6, _PATIENCE)
        super().__init__(Source(engine, read_only_engine(address, 1, 1, _PATIENCE_OF_PROBES), dialect))

    async def ping(self) -> None:
        """Read something; raises what keeps the store from being read, and on a standby, which cannot be written."""
        async with self.snapshot("", self._source.probing) as stored:
            if await stored.scalar(sa.select(sa.func.pg_is_in_recovery())):
                raise StoreFailedError("the database is a standby, which cannot be written")

    async def size(self) -> int:
        """Return how many bytes the database takes."""
        async with self.snapshot("", self._source.probing) as stored:
            return await stored.scalar(sa.select(sa.func.pg_database_size(sa.func.current_database()))) or 0
