"""The write-ahead log of the writing connection, which is copied into the database and cut before it grows long."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager, suppress

from ours_emulator.store import StoreLostError
from ours_emulator.store.sqlite.file import BUSY_SECONDS, StoreFile

_FRAMES = 1000
"""Pages of the log from which it is copied into the database. If nobody reads it, it then begins anew."""
_BYTES = 16 * 1024 * 1024
"""Size of the log from which it is cut."""
_WAIT_MS = 200
"""How long writing may pause for readers that still need the log."""


class WriteAheadLog:
    """Bounds the log of a SQLite file."""

    def __init__(self, file: StoreFile, cursor: sqlite3.Cursor) -> None:
        self._file = file
        self._cursor = cursor
        self._cut_at_bytes = _BYTES

    def bound(self) -> None:
        """Copy the log into the database if it has grown, and cut it if it is long all the same."""
        if self._file.log_frames < _FRAMES:
            return
        long = self._file.log_bytes >= self._cut_at_bytes
        with suppress(StoreLostError):
            # A copy from or into a file that was cut would hide it.
            self._file.check()
            self._checkpoint("TRUNCATE" if long else "PASSIVE")
            self._file.committed()
        if long:
            # Readers that still need the log may keep it as it is; then the next try is worth a pause only later.
            self._cut_at_bytes = max(_BYTES, self._file.log_bytes + _BYTES // 4)

    def cut(self) -> None:
        """Copy the log into the database and cut it, as far as readers allow."""
        self._checkpoint("TRUNCATE")

    def _checkpoint(self, mode: str) -> None:
        """Copy the log into the database, as much of it as readers allow; TRUNCATE waits a moment for them."""
        with suppress(sqlite3.Error), self.waiting_briefly():
            self._cursor.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()

    @contextmanager
    def waiting_briefly(self) -> Generator[None]:
        """Wait only a moment for others that use the database: clients wait for the writer."""
        self._cursor.execute(f"PRAGMA busy_timeout = {_WAIT_MS}").fetchall()
        try:
            yield
        finally:
            self._cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}").fetchall()
