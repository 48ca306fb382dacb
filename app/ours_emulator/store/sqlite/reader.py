"""What the debug API asks of the store."""

from ours_emulator.store.sqlite.event_reader import EventReader
from ours_emulator.store.sqlite.request_reader import RequestReader
from ours_emulator.store.sqlite.summary_reader import SummaryReader
from ours_emulator.store.sqlite.visitor_reader import VisitorReader


class SqliteReader(VisitorReader, EventReader, RequestReader, SummaryReader):
    """The `StoreReader` of a SQLite file."""

    async def ping(self) -> None:
        """Read something; raises what keeps the store from being read."""
        # There may be many accounts, and none has this name.
        async with self.snapshot("", self._probing):
            pass

    async def size(self) -> int:
        """Return how many bytes the store takes."""
        return self._file.size

    async def account_names(self) -> list[str]:
        """Return the names of the accounts in the store."""
        async with self.snapshot(None) as stored:
            return [account["name"] for account in stored.accounts]
