"""The one connection that writes: its statements and transactions, and what their errors mean."""

import re
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from functools import cache
from typing import Any

from ours_emulator.store import StoreBusyError, StoreError, StoreFailedError, StoreLostError
from ours_emulator.store.sqlite.file import StoreFile
from ours_emulator.store.sqlite.watch import TruncatedError
from ours_emulator.store.sqlite.write_ahead_log import WriteAheadLog


class WritingConnection:
    """Opens *file* for writing: the `Database` of a SQLite writer."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file
        self.cursor = file.open().cursor()
        self._log = WriteAheadLog(file, self.cursor)

    @property
    def name(self) -> str:
        """The name of the database in messages."""
        return str(self._file.path)

    @property
    def waits_for_disk(self) -> bool:
        """Whether a commit waits until the disk has it. A temporary store does not."""
        return self._file.kept

    @property
    def has_room(self) -> bool:
        """Whether the disk has room for more than the next few events."""
        return self._file.has_room

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of *statement*."""
        rows: list[tuple[Any, ...]] = self.cursor.execute(_spelled(statement), values).fetchall()
        return rows

    def write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run *statement* with each of *rows*."""
        if len(rows) == 1:
            self.cursor.execute(_spelled(statement), rows[0])
        elif rows:
            self.cursor.executemany(_spelled(statement), rows)

    def begin(self) -> None:
        """Begin a transaction. Raises StoreBusyError if the store cannot be written at all."""
        try:
            self._file.check()
            self.cursor.execute("BEGIN IMMEDIATE")
        except StoreLostError as error:
            if not isinstance(error, TruncatedError):
                # The log that is open still has what was acknowledged, wherever its database is now. What another
                # file at the same path would make of it is damage.
                self._log.cut()
            raise StoreBusyError(str(error)) from error
        except sqlite3.OperationalError as error:
            raise StoreBusyError(str(error)) from error
        except sqlite3.Error as error:
            raise StoreError(str(error)) from error

    def commit(self) -> None:
        """Commit the transaction. Raises StoreLostError if that is lost."""
        self.cursor.execute("COMMIT")
        self._file.committed()

    def roll_back(self) -> None:
        """End the transaction, and leave the store as it was."""
        # Some errors (disk full, input/output) have ended the transaction already.
        with suppress(sqlite3.Error):
            self.cursor.execute("ROLLBACK")

    def as_store_error(self, error: BaseException) -> StoreError | None:
        """Return what the caller of a transaction that failed with *error* is told; None for an error of others."""
        if isinstance(error, StoreLostError):
            return StoreBusyError(str(error))
        if isinstance(error, sqlite3.OperationalError):
            return StoreFailedError(str(error))
        return StoreError(str(error)) if isinstance(error, sqlite3.Error) else None

    def tidy(self) -> None:
        """Bound the write-ahead log."""
        self._log.bound()

    def waiting_briefly(self) -> AbstractContextManager[None]:
        """Wait only a moment for others that use the database."""
        return self._log.waiting_briefly()

    def make_room(self) -> None:
        """Cut the write-ahead log."""
        self._log.cut()

    def close(self) -> None:
        """Close the connection and the file."""
        self._file.close()


@cache
def _spelled(statement: str) -> str:
    """Return *statement* as SQLite has it. Its indexes take texts of any length."""
    return re.sub(r"key\((\S+?)\)", r"\1", statement).replace("elements(", "json_each(")
