"""What the processes that share a PostgreSQL database tell each other through it."""

from collections.abc import Callable

from ours_emulator.store import CommitListener
from ours_emulator.store.postgresql.address import Address
from ours_emulator.store.postgresql.writer import PostgresqlWriter


class Sharing:
    """The `SharedDatabase` at *address*, to which *writer* writes."""

    def __init__(self, address: Address, writer: PostgresqlWriter) -> None:
        self._address = address
        self._writer = writer
        self._close: Callable[[], None] = lambda: None
        self.accounts = writer.accounts
        """Where processes leave accounts that they changed."""

    def follow(self, listener: CommitListener) -> Callable[[], None]:
        """Tell *listener* of each commit, and return what is to be called once somebody wants to hear of them."""
        # It reads with SQLAlchemy, which takes long to import.
        from ours_emulator.store.postgresql.follower import Follower

        follower = Follower(self._address, self._writer.channel, self._writer.next_receipt_id, listener)
        self._close = follower.close
        return follower.wake

    def close(self) -> None:
        """Tell of nothing any more. Calling it twice is harmless."""
        self._close()
