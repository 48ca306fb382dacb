"""What the store has altogether, in rows and bytes: kept up to date with each change, as counting takes a while."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter


@dataclass(slots=True)
class Totals:
    """The running totals of the open store. What a transaction that failed made of them is restored."""

    receipts: int = 0
    requests: int = 0
    body_bytes: int = 0
    event_bytes: int = 0
    """Those of receipts and of all versions of visitors."""
    present_bytes: int = 0
    """Those of the versions that visitors have now."""
    pending: int = 0
    pending_bytes: int = 0
    known: bool = False
    """Whether they are those of the database. If not, the next transaction counts again."""

    def restore(self, values: tuple[int, ...]) -> None:
        """Take the totals back to *values*, which `values_of` returned, until they are counted again."""
        for name, value in zip(_NAMES, values, strict=True):
            setattr(self, name, value)
        self.known = False


_NAMES = [field.name for field in fields(Totals)]
# Called for each transaction: dataclasses.astuple takes a hundred times as long.
values_of: Callable[[Totals], tuple[int, ...]] = attrgetter(*_NAMES)
