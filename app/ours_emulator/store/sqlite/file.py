"""Where a store lives: opened, locked, recognised as ours, and its pragmas."""

import os
import shutil
import sqlite3
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from ours_emulator.store.tables import metadata

APPLICATION_ID = 0x4F555253
SCHEMA_VERSION = 2
BUSY_SECONDS = 30
_PREFIX = "ours-emulator-"
_NAME = "temporary-store.db"
_STARTING_SECONDS = 60


class StoreError(Exception):
    """A store that can't be opened; the message is one line for the user."""


class StoreLostError(Exception):
    """The file of an open store was removed, or another one put in its place."""


class StoreFile:
    """One SQLite database: the given file, kept, or a temporary one that goes with the process."""

    def __init__(self, path: Path | None) -> None:
        if path is None:
            _sweep()
        self._temporary = None if path else tempfile.TemporaryDirectory(prefix=_PREFIX)
        self.path = Path(self._temporary.name if self._temporary else "", path or _NAME).resolve()
        self._name = str(self.path)
        # Taken by one thread and given up by another.
        self._lock = FileLock(f"{self.path}.lock", thread_local=False)
        self._engines: list[sa.Engine] = []
        self._identity: tuple[int, int] | None = None

    @property
    def kept(self) -> bool:
        """Whether the store outlives the process."""
        return self._temporary is None

    def open(self) -> sa.Connection:
        """Return the one connection that writes, with the schema in place.

        Raises StoreError if the file is in use, no database, not ours, of another version, or can't be written.
        """
        try:
            # The lock would make the directory, and a mistyped path would look like a new store.
            self.path.parent.stat()
            self._lock.acquire(timeout=0)
        except Timeout:
            raise StoreError(f"{self.path} is in use by another emulator") from None
        except OSError as error:
            raise StoreError(f"{self.path} can't be opened: {error.strerror}") from None
        try:
            return self._connect()
        except (DBAPIError, sqlite3.Error) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            self._give_up()
            raise StoreError(f"{self.path} can't be opened: {cause}") from None
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        """Close, and leave nothing beside a file that is not ours."""
        with suppress(OSError):
            Path(self._lock.lock_file).unlink()
        self.close()

    def check(self) -> None:
        """Raise StoreLostError if what is written would be in a file that nobody finds again."""
        try:
            found = os.stat(self._name)
        except OSError as error:
            raise StoreLostError(f"{self.path} is gone ({error.strerror}); restart the emulator") from None
        if (found.st_dev, found.st_ino) != self._identity:
            raise StoreLostError(f"{self.path} is another file than the one that was opened; restart the emulator")

    def reading_engine(self) -> AsyncEngine:
        """Return an engine whose connections can't write and see one moment of the store in each block."""
        # By this name a file that is gone is not made anew.
        name = f"file:{quote(self.path.as_posix())}"
        engine = create_async_engine(
            sa.URL.create("sqlite+aiosqlite", database=name, query={"mode": "rw", "uri": "true"}),
            hide_parameters=True,
            pool_size=2,
            max_overflow=6,
            connect_args={"isolation_level": None},
        )
        event.listen(engine.sync_engine, "connect", _forbid_writing)
        event.listen(engine.sync_engine, "begin", _begin)
        return engine

    def close(self) -> None:
        """Close the writing connection, give up the lock and remove a temporary store."""
        for engine in self._engines:
            engine.dispose()
        self._engines.clear()
        self._lock.release()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _connect(self) -> sa.Connection:
        engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(self.path)),
            poolclass=StaticPool,
            hide_parameters=True,
            connect_args={"check_same_thread": False, "timeout": BUSY_SECONDS, "isolation_level": None},
        )
        self._engines.append(engine)
        event.listen(engine, "begin", _begin_immediate)
        connection = engine.connect()
        with connection.begin():
            self._recognise(connection)
            metadata.create_all(connection)
        raw = connection.connection
        mode = raw.cursor().execute("PRAGMA journal_mode = WAL").fetchall()[0][0]
        if mode != "wal":
            raise StoreError(f"{self.path} is where SQLite can't keep a write-ahead log (journal_mode is {mode})")
        found = self.path.stat()
        if found.st_nlink > 1:
            # Each name has a lock and a write-ahead log of its own: two emulators would write over each other.
            raise StoreError(f"{self.path} has other names (hard links), under which another emulator could write it")
        self._identity = (found.st_dev, found.st_ino)
        raw.cursor().execute(f"PRAGMA synchronous = {'FULL' if self.kept else 'OFF'}")
        return connection

    def _recognise(self, connection: sa.Connection) -> None:
        application = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        tables = sa.inspect(connection).get_table_names()
        if not tables and application == 0:
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif application != APPLICATION_ID:
            raise StoreError(f"{self.path} is a database of something else")
        elif version != SCHEMA_VERSION:
            raise StoreError(f"{self.path} has store version {version}; this program has {SCHEMA_VERSION}")


def _sweep() -> None:
    """Remove the temporary stores of emulators that were killed. One that runs holds its lock."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_NAME}.lock"):
        # One that has just been made may not be locked yet; and what is somebody else's is not ours to remove.
        with suppress(OSError, Timeout):
            directory = lock.parent.lstat()
            ours = stat.S_ISDIR(directory.st_mode) and directory.st_uid == getattr(os, "getuid", lambda: 0)()
            if ours and not lock.is_symlink() and time.time() - directory.st_mtime > _STARTING_SECONDS:
                with FileLock(lock, timeout=0):
                    shutil.rmtree(lock.parent)


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _forbid_writing(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA query_only = ON")
