"""What reads a PostgreSQL database."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from ours_emulator.store import AccountText, StoreFailedError
from ours_emulator.store.postgresql import dialect
from ours_emulator.store.postgresql.address import Address
from ours_emulator.store.postgresql.engine import read_only_engine
from ours_emulator.store.reading.reader import SqlReader
from ours_emulator.store.reading.snapshot import Source

_SELECT_CHANGED = sa.text(
    "SELECT name, version, content AS text FROM shared_accounts WHERE version > :version ORDER BY version"
)
_SELECT_AGREED = sa.text("SELECT name, digest FROM agreed_settings")
_PATIENCE = 120
"""Seconds for a search through everything, which gives no row before its end."""
_PATIENCE_OF_PROBES = 10


class PostgresqlReader(SqlReader):
    """The `StoreReader` of a PostgreSQL database, of which all processes have the *agreed* settings alike."""

    def __init__(self, address: Address, agreed: Mapping[str, str]) -> None:
        self._agreed = agreed
        engine = read_only_engine(address, 2, 6, _PATIENCE)
        super().__init__(Source(engine, read_only_engine(address, 1, 1, _PATIENCE_OF_PROBES), dialect))

    async def ping(self) -> None:
        """Read something; raises what keeps the store from being read, or from being written by this process."""
        async with self.snapshot("", self._source.probing) as stored:
            if await stored.scalar(sa.select(sa.func.pg_is_in_recovery())):
                raise StoreFailedError("the database is a standby, which cannot be written")
            # Others may have come while this process had no connection.
            if {row["name"]: row["digest"] for row in await stored.rows(_SELECT_AGREED)} != self._agreed:
                raise StoreFailedError("the database is in use by an emulator with other settings")

    async def accounts_after(self, version: int) -> Sequence[AccountText]:
        """Return the accounts that processes share which have a greater version."""
        async with self.snapshot("") as stored:
            rows = await stored.rows(_SELECT_CHANGED.bindparams(version=version))
        return [AccountText(**row) for row in rows]

    async def size(self) -> int:
        """Return how many bytes the database takes."""
        async with self.snapshot("", self._source.probing) as stored:
            return await stored.scalar(sa.select(sa.func.pg_database_size(sa.func.current_database()))) or 0
