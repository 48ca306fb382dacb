"""An emulator that answers before it commits, which test_kill must find out. The program itself has no such switch."""

from collections.abc import Generator
from contextlib import contextmanager

from ours_emulator import cli
from ours_emulator.store import sqlite
from ours_emulator.store.sqlite.writer import SqliteWriter


class HastyWriter(SqliteWriter):
    """Keeps one transaction open for as long as it lives, as if everything in it were committed."""

    _begun = False

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Do what happens inside, and let it be answered."""
        if not self._begun:
            self._database.begin()
            self._begun = True
        self._load_counters()
        yield


if __name__ == "__main__":
    setattr(sqlite, SqliteWriter.__name__, HastyWriter)
    cli.main()
