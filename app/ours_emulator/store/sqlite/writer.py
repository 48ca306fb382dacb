"""The writer of a SQLite file, whose counters are counted when it is opened."""

from ours_emulator.store import Retention
from ours_emulator.store.sqlite.file import StoreFile
from ours_emulator.store.sqlite.writing_connection import WritingConnection
from ours_emulator.store.writing import statements as sql
from ours_emulator.store.writing.writer import SqlWriter


class SqliteWriter(SqlWriter):
    """The `StoreWriter` of a SQLite file."""

    def __init__(self, file: StoreFile, retention: Retention) -> None:
        super().__init__(WritingConnection(file), retention)

    def reserve(self) -> None:
        """Do nothing: no other process writes."""

    def release(self) -> None:
        """Do nothing: nothing was reserved."""

    def _opened(self) -> None:
        self._counters.event_bytes, self._counters.present_bytes = self._run(sql.SUM_EVENTS)[0]
        self._counters.pending_bytes = self._run(sql.SUM_PENDING)[0][0]

    def _load_counters(self) -> None:
        # Nobody else writes, so they stay true until a transaction fails.
        if not self._counters.known:
            self._count()

    def _save_counters(self) -> None:
        pass
