"""What keeps an event from being stored twice: its distinct id (rule dedup)."""

from typing import NamedTuple

from ours_emulator.values import value


class DistinctId(NamedTuple):
    """A distinct id as events are deduplicated by it: in its account, separately for live and test."""

    account_id: int
    test: bool
    value: str


@value
class Original:
    """The accepted event that holds a distinct id. The fields after the id are None once it was evicted."""

    receipt_id: int
    visitor_pk: int | None
    visitor_id: str | None
    event: str | None
    content: str | None
