"""What the debug API asks of the store."""

from collections.abc import Sequence

from ours_emulator.store import AccountText
from ours_emulator.store.reading.event_reader import EventReader
from ours_emulator.store.reading.request_reader import RequestReader
from ours_emulator.store.reading.summary_reader import SummaryReader
from ours_emulator.store.reading.visitor_reader import VisitorReader


class SqlReader(VisitorReader, EventReader, RequestReader, SummaryReader):
    """The `StoreReader` of a database."""

    async def ping(self) -> None:
        """Read something; raises what keeps the store from being read."""
        # There may be many accounts, and none has this name.
        async with self.snapshot("", self._source.probing):
            pass

    async def accounts_after(self, version: int) -> Sequence[AccountText]:
        """Return the accounts that processes share which have a greater version: none, if no processes share any."""
        del version
        return ()

    async def account_names(self) -> list[str]:
        """Return the names of the accounts in the store."""
        async with self.snapshot(None) as stored:
            return [account["name"] for account in stored.accounts]
