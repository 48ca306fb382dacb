"""The database file of a store: opened, locked, watched, and its pragmas."""

import logging
import os
import shutil
import sqlite3
import stat
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ours_emulator.errors import why
from ours_emulator.store import StoreError, StoreLostError
from ours_emulator.store.sqlite.locking import lock_database, prevent_checkpoint
from ours_emulator.store.sqlite.schema import prepare
from ours_emulator.store.sqlite.watch import TruncatedError, Watch, log_lacks_commits

BUSY_SECONDS = 30
_PREFIX = "ours-emulator-"
_NAME = "temporary-store.db"
_STARTING_SECONDS = 60
_PRIVATE = 0o600
_RESERVED_BYTES = 4 * 1024 * 1024
"""What is left for new events on a disk that is nearly full: deleting rows takes room in the write-ahead log first."""
_log = logging.getLogger(__name__)


class StoreFile:
    """One SQLite database: the given file, or a temporary one that is removed with the process."""

    def __init__(self, path: Path | None) -> None:
        self._temporary = _temporary_directory() if path is None else None
        self.path = Path(self._temporary.name if self._temporary else "", path or _NAME).resolve()
        # Taken by one thread and given up by another.
        self._lock = FileLock(f"{self.path}.lock", mode=_PRIVATE, thread_local=False)
        self._in_use = f"{self.path} is in use by another emulator; stop that one or use another file"
        self._connection: sqlite3.Connection | None = None
        self._descriptor: int | None = None
        self._watch: Watch | None = None
        self._watching = threading.Lock()

    @property
    def kept(self) -> bool:
        """Whether the store outlives the process."""
        return self._temporary is None

    def open(self) -> sqlite3.Connection:
        """Return the one connection that writes, with the schema in place; `close` closes it.

        Raises StoreError if the file is in use, not a database, another program's, of another version, or cannot be
        written.
        """
        try:
            # The lock would make the directory, and a mistyped path would look like a new store.
            self.path.parent.stat()
            self._lock.acquire(timeout=0)
            # SQLite would make the file readable for everybody; what it makes beside it has the file's mode.
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), _PRIVATE)
        except Timeout:
            raise StoreError(self._in_use) from None
        except OSError as error:
            if self._lock.is_locked:
                self._give_up()
            raise StoreError(f"{self.path} cannot be opened: {self._problem(error)}") from None
        try:
            # The file .lock may have been removed since another emulator locked it.
            if not lock_database(self._descriptor):
                raise StoreError(self._in_use)
            self._check_log(self._descriptor)
            self._check_links(self._descriptor)
            connection = self._connect(self._descriptor)
            self._check_readers(self._descriptor)
            return connection
        except (sqlite3.Error, OSError) as error:
            self._give_up()
            raise StoreError(f"{self.path} cannot be opened: {why(error)}{_advice(error)}") from None
        except BaseException:
            self._give_up()
            raise

    def _problem(self, error: OSError) -> str:
        if isinstance(error, FileNotFoundError):
            return f"the folder {self.path.parent} does not exist; create it"
        return why(error)

    def _check_log(self, descriptor: int) -> None:
        """Refuse an emptied database, whose log SQLite would remove, and a cut log, of which it would use the rest."""
        log = Path(f"{self.path}-wal")
        if os.fstat(descriptor).st_size == 0 and log.exists() and log.stat().st_size > 0:
            raise StoreError(f"{self.path} is empty, but {log} is not; restore it, or remove {log} to start anew")
        if log_lacks_commits(self.path):
            raise StoreError(
                f"{log} was truncated by another program, so events are lost; close whatever has {self.path} open, "
                f"then restore both from a backup, or remove {self.path}-shm to start with what is left"
            )

    def _check_links(self, descriptor: int) -> None:
        """Refuse a file with other names: each has a lock and a write-ahead log of its own."""
        if os.fstat(descriptor).st_nlink > 1:
            raise StoreError(
                f"{self.path} has hard links, so another emulator could write to it; remove them or use a copy"
            )

    def _check_readers(self, descriptor: int) -> None:
        """Warn of a store that other users can read."""
        if os.name == "posix" and os.fstat(descriptor).st_mode & 0o044:
            _log.warning(
                "store: other users can read %s, with the tokens in it; run: chmod 600 %s", self.path, self.path
            )

    def _give_up(self) -> None:
        """Close after a failed start, and leave no lock file."""
        with suppress(OSError):
            Path(self._lock.lock_file).unlink()
        self.close()

    @property
    def has_room(self) -> bool:
        """Whether the disk has room for more than the next few events."""
        try:
            return shutil.disk_usage(self.path.parent).free >= _RESERVED_BYTES
        except OSError:
            return False

    @property
    def size(self) -> int:
        """Bytes of the database and its write-ahead log. Any thread may ask."""
        self.check()
        return sum(Path(f"{self.path}{end}").stat().st_size for end in ("", "-wal"))

    @property
    def log_bytes(self) -> int:
        """Bytes of the write-ahead log after the last commit."""
        return 0 if self._watch is None else self._watch.log_bytes

    @property
    def log_frames(self) -> int:
        """Pages of the write-ahead log that the last commit left in use."""
        return 0 if self._watch is None else self._watch.frames

    def check(self) -> None:
        """Raise StoreLostError if what is written would be lost. Any thread may call this."""
        with self._watching:
            if self._watch is not None:
                self._watch.check()

    def committed(self) -> None:
        """Raise StoreLostError if what was just committed is lost, or what came before."""
        with self._watching:
            if self._watch is not None:
                self._watch.committed()

    def close(self) -> None:
        """Close the writing connection, give up the lock and remove a temporary store."""
        self._leave_what_is_left()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        with self._watching:
            if self._watch is not None:
                self._watch.close()
                self._watch = None
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self._lock.release()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _leave_what_is_left(self) -> None:
        """Keep SQLite from copying a log with gaps into the database, which only damages that too."""
        try:
            self.check()
        except TruncatedError:
            if self._descriptor is not None:
                prevent_checkpoint(self._descriptor)
        except StoreLostError:
            # SQLite itself leaves alone what was moved, and copies a log that was removed.
            pass

    def _connect(self, descriptor: int) -> sqlite3.Connection:
        # It is closed by another thread than it is used by, when that has ended.
        self._connection = connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        connection.execute("BEGIN IMMEDIATE")
        # Closing without COMMIT undoes all of it.
        prepare(connection, self.path)
        connection.execute("COMMIT")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StoreError(
                f"{self.path} cannot have a write-ahead log (journal_mode is {mode}); use another file system"
            )
        # In WAL mode only FULL syncs at each commit: with NORMAL, an acknowledged event is lost with the power. A
        # temporary store does not outlive the process, so it need not wait for the disk at all.
        connection.execute(f"PRAGMA synchronous = {'FULL' if self.kept else 'OFF'}")
        # The writer copies the log into the database itself, and looks first whether both are whole.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        # The first read opens the log and its index.
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        self._watch = Watch(self.path, descriptor)
        return connection


def _advice(error: Exception) -> str:
    """Return what to do about a file that is no whole database: the errors of SQLite that are of no other kind."""
    return "; restore it from a backup or use a new file" if type(error) is sqlite3.DatabaseError else ""


def _temporary_directory() -> tempfile.TemporaryDirectory[str]:
    """Return a new directory for a temporary store. Raises StoreError if there is no place for it."""
    try:
        _sweep()
        return tempfile.TemporaryDirectory(prefix=_PREFIX)
    except OSError as error:
        advice = "set TMPDIR to a writable directory, or use --database"
        raise StoreError(f"cannot create a temporary store: {error.strerror}; {advice}") from None


def _sweep() -> None:
    """Remove the temporary stores of emulators that were killed. One that still runs holds its lock."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_NAME}.lock"):
        # A store that was just made may not be locked yet, and directories of other users are not ours to remove.
        with suppress(OSError, Timeout):
            directory = lock.parent.lstat()
            own = stat.S_ISDIR(directory.st_mode) and directory.st_uid == getattr(os, "getuid", lambda: 0)()
            if own and not lock.is_symlink() and time.time() - directory.st_mtime > _STARTING_SECONDS:
                with FileLock(lock, timeout=0):
                    shutil.rmtree(lock.parent)
