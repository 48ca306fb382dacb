"""What the store has altogether, in rows and bytes, and its next ids: kept up to date, as counting takes a while."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any


@dataclass(slots=True)
class Counters:
    """The running counters of the open store. What a transaction that failed made of them is restored."""

    next_receipt_id: int = 1
    next_request_id: int = 1
    next_visitor_pk: int = 1
    next_pending_pk: int = 1
    receipts: int = 0
    requests: int = 0
    body_bytes: int = 0
    event_bytes: int = 0
    """Those of receipts and of all versions of visitors."""
    present_bytes: int = 0
    """Those of the versions that visitors have now."""
    pending: int = 0
    pending_bytes: int = 0
    failed_attempts: int = 0
    names_version: int = 0
    """How often accounts were added or deleted."""
    accounts_version: int = 0
    """How often the settings, clocks or faults of accounts were changed, where processes share them."""
    known: bool = False
    """Whether they are those of the database. If not, they are counted again."""

    def restore(self, values: tuple[Any, ...]) -> None:
        """Take the counters back to *values*, which `values_of` returned, until they are counted again."""
        self.take(values)
        self.known = False

    def take(self, values: tuple[Any, ...]) -> None:
        """Take over *values*, in the order of `COUNTED`."""
        for name, value in zip(COUNTED, values, strict=True):
            setattr(self, name, value)


COUNTED = [field.name for field in fields(Counters) if field.name != "known"]
"""The names of the counters."""
# Called for each transaction: dataclasses.astuple takes a hundred times as long.
values_of: Callable[[Counters], tuple[Any, ...]] = attrgetter(*COUNTED)
