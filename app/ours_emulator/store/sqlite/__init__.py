"""The store in one SQLite file."""

from pathlib import Path

from ours_emulator.store import Retention, Store
from ours_emulator.store.sqlite.file import StoreFile
from ours_emulator.store.sqlite.reader import SqliteReader
from ours_emulator.store.sqlite.writer import SqliteWriter


def open_sqlite(path: str | None, retention: Retention) -> Store:
    """Return the store in the file at *path*; without one, in a temporary file. Raises StoreError."""
    file = StoreFile(None if path is None else Path(path))
    writer = SqliteWriter(file, retention)
    return Store(SqliteReader(file), writer)
