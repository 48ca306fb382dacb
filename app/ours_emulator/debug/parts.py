"""The parts that the emulator is made of. FastAPI is not among them: they exist before it is imported."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from ours_emulator.accounts import Accounts, OpenAccount
from ours_emulator.debug.scans import Scans
from ours_emulator.feed import Feed
from ours_emulator.http.log import RequestLog
from ours_emulator.http.redaction import Redactor
from ours_emulator.pipeline import Pipeline
from ours_emulator.settings import Loaded
from ours_emulator.store import Store

if TYPE_CHECKING:
    from ours_emulator.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Parts:
    """What the debug API works with."""

    store: Store
    pipeline: Pipeline
    accounts: Accounts
    feed: Feed
    loaded: Loaded
    redactor: Redactor
    log: RequestLog
    metrics: "Metrics | None" = None
    """What /metrics answers; None if that is off."""
    scans: Scans = field(default_factory=Scans)

    def opened(self, account: str) -> OpenAccount:
        """Return *account* to change it, made on first use. A closed one is answered 409."""
        return _unless_closed(self.accounts.open(account), account)

    def shown(self, account: str) -> OpenAccount:
        """Return *account* to look at it; looking makes none. A closed one is answered 409."""
        return _unless_closed(self.accounts.shown(account), account)

    async def close(self) -> None:
        """End waits and streams, finish writing, close the store, and the log. Calling it twice is harmless."""
        self.feed.close()
        try:
            await self.store.close_reader()
        finally:
            # It may have to wait for what is still being written.
            await asyncio.to_thread(self.pipeline.close)
            await asyncio.to_thread(self.log.close)


def _unless_closed(account: OpenAccount | None, name: str) -> OpenAccount:
    if account is None:
        raise HTTPException(409, f"account {name} is closed; PUT /debug/accounts/{name} opens it again")
    return account
