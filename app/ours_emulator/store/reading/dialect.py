"""What readers ask of a dialect: the conditions on JSON, which each database looks into in its own way."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import sqlalchemy as sa

from ours_emulator.store.reading.comparisons import Condition

if TYPE_CHECKING:
    from ours_emulator.store.reading.snapshot import Snapshot


class Dialect(Protocol):
    """The conditions. Those of events may be used where `receipts` is selected, those of hints with `hint_rows`."""

    @property
    def has_hints(self) -> Condition:
        """Match an event with hints."""
        ...

    @property
    def hint_rows(self) -> sa.FromClause:
        """The hints of an event, a row each."""
        ...

    @property
    def rule_of_hint(self) -> sa.ColumnElement[Any]:
        """The rule in a row of `hint_rows`."""
        ...

    @property
    def rule_of_reason(self) -> sa.ColumnElement[Any]:
        """The rule that refused an event."""
        ...

    def has_hint(self, rule: str, /) -> Condition:
        """Match an event with a hint of that *rule*; with any if it is `ANY_RULE`."""
        ...

    def has_reason(self, rule: str, /) -> Condition:
        """Match an event that the *rule* refused."""
        ...

    def property_is(self, path: str, text: str, /) -> Condition:
        """Match an event property with *text*, as a string or as JSON; *path* is its name, or leads to it by dots."""
        ...

    def gave_identifier(self, identifiers: Mapping[str, str], /) -> Condition:
        """Match an event whose message gave, or named, one of *identifiers*, by their names in wire spelling."""
        ...

    async def events_with_text(self, stored: "Snapshot", where: Sequence[Condition], text: str, /) -> Sequence[int]:
        """Return the ids of those of the events that match *where* that have *text* in them, in any case."""
        ...

    async def visitors_with_text(self, stored: "Snapshot", text: str, /) -> Condition:
        """Match the visitors with *text* in their ids or in one of the values they have."""
        ...
