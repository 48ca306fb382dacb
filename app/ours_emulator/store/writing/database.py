"""What a writer asks of the connection to its database, whichever it is."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ours_emulator.store import StoreError


class Database(Protocol):
    """The one connection that writes. It runs the statements of `statements` and `table_sql`."""

    @property
    def name(self) -> str:
        """The name of the database in messages."""
        ...

    @property
    def waits_for_disk(self) -> bool:
        """Whether a commit waits until a disk has it."""
        ...

    @property
    def has_room(self) -> bool:
        """Whether there is room for more than the next few events."""
        ...

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of *statement*, which returns rows."""
        ...

    def write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run *statement* with each of *rows*. What it fails with may be raised by a later call."""
        ...

    def begin(self) -> None:
        """Begin a transaction. Raises StoreBusyError if the database cannot be written at all."""
        ...

    def commit(self) -> None:
        """Commit the transaction."""
        ...

    def roll_back(self) -> None:
        """End the transaction, and leave the database as it was."""
        ...

    def as_store_error(self, error: BaseException) -> StoreError | None:
        """Return what the caller of a transaction that failed with *error* is told; None for an error of others."""
        ...

    def tidy(self) -> None:
        """Do what can wait until clients are answered, between transactions."""
        ...

    def waiting_briefly(self) -> AbstractContextManager[None]:
        """Wait only a moment for others that use the database."""
        ...

    def make_room(self) -> None:
        """Give up room that is needed only for a while."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
