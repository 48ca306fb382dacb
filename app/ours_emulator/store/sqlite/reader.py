"""What reads a SQLite file."""

from ours_emulator.store.reading.reader import SqlReader
from ours_emulator.store.reading.snapshot import Source
from ours_emulator.store.sqlite import dialect
from ours_emulator.store.sqlite.engine import read_only_engine
from ours_emulator.store.sqlite.file import StoreFile


class SqliteReader(SqlReader):
    """The `StoreReader` of a SQLite file."""

    def __init__(self, file: StoreFile) -> None:
        # Each connection is a thread. Two are enough for a test and the page, eight for a burst of waits. More would
        # only fight for the interpreter.
        engine, probing = read_only_engine(file.path, 2, 6), read_only_engine(file.path, 1, 1)
        super().__init__(Source(engine, probing, dialect, file.check))
        self._file = file

    async def size(self) -> int:
        """Return how many bytes the store takes."""
        return self._file.size
