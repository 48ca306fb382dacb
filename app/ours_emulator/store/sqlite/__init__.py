"""The store in one SQLite file."""

from pathlib import Path

from ours_emulator.store import Retention, Store, StoreReader
from ours_emulator.store.sqlite.file import StoreFile
from ours_emulator.store.sqlite.writer import SqliteWriter


def open_sqlite(path: str | None, retention: Retention) -> Store:
    """Return the store in the file at *path*; without one, in a temporary file. Raises StoreError."""
    file = StoreFile(None if path is None else Path(path))

    def open_reader() -> StoreReader:
        from ours_emulator.store.sqlite.reader import SqliteReader

        return SqliteReader(file)

    return Store(SqliteWriter(file, retention), open_reader)
