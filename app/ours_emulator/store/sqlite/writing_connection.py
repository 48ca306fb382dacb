"""The one connection that writes: its statements and transactions, and what their errors mean."""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ours_emulator.store import StoreBusyError, StoreError, StoreFailedError, StoreLostError
from ours_emulator.store.sqlite.file import StoreFile
from ours_emulator.store.sqlite.watch import TruncatedError
from ours_emulator.store.sqlite.write_ahead_log import WriteAheadLog


class WritingConnection:
    """Opens *file* for writing."""

    def __init__(self, file: StoreFile) -> None:
        self._file = file
        self.cursor = file.open().cursor()
        self.log = WriteAheadLog(file, self.cursor)

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of *statement*."""
        rows: list[tuple[Any, ...]] = self.cursor.execute(statement, values).fetchall()
        return rows

    def write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run *statement* with each of *rows*."""
        if len(rows) == 1:
            self.cursor.execute(statement, rows[0])
        elif rows:
            self.cursor.executemany(statement, rows)

    def begin(self) -> None:
        """Begin a transaction. Raises StoreBusyError if the store cannot be written at all."""
        try:
            self._file.check()
            self.cursor.execute("BEGIN IMMEDIATE")
        except StoreLostError as error:
            if not isinstance(error, TruncatedError):
                # The log that is open still has what was acknowledged, wherever its database is now. What another
                # file at the same path would make of it is damage.
                self.log.cut()
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


def as_store_error(error: sqlite3.Error | StoreLostError) -> StoreError:
    """Return what the caller of a transaction that failed with *error* is told."""
    if isinstance(error, StoreLostError):
        return StoreBusyError(str(error))
    return (StoreFailedError if isinstance(error, sqlite3.OperationalError) else StoreError)(str(error))
