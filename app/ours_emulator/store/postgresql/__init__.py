"""The store in a PostgreSQL database. It needs psycopg, which the extra `postgres` installs."""

import sys
from collections.abc import Mapping

from ours_emulator.store import Retention, Store, StoreError, StoreReader


def open_postgresql(url: str, retention: Retention, agreed: Mapping[str, str]) -> Store:
    """Return the store in the database at *url*, of which all processes have the *agreed* settings alike.

    Raises StoreError, which never has a password in its message.
    """
    if sys.platform == "win32":
        raise StoreError("PostgreSQL is not supported on Windows; use a file")
    try:
        from ours_emulator.store.postgresql.address import address_of
        from ours_emulator.store.postgresql.sharing import Sharing
        from ours_emulator.store.postgresql.writer import PostgresqlWriter
    except ImportError:
        raise StoreError(
            "a PostgreSQL database needs the extra postgres; run: pip install 'ours-emulator[postgres]'"
        ) from None
    address = address_of(url)

    def open_reader() -> StoreReader:
        from ours_emulator.store.postgresql.reader import PostgresqlReader

        return PostgresqlReader(address, agreed)

    writer = PostgresqlWriter(address, retention, agreed)
    return Store(writer, open_reader, Sharing(address, writer))
