"""What a process tells the others of each of its commits."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from ours_emulator.jsontext import json_text

_COMMIT = TypeAdapter(tuple[int, list[tuple[str | None, int]]])


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit: the id that the next event has after it, and the accounts that it deleted everything of.

    Each of these (None: all accounts) is followed by the first id that events have after that.
    """

    next_id: int
    cleared: Sequence[tuple[str | None, int]] = ()

    def text(self) -> str:
        """Return it as text."""
        return json_text([self.next_id, list(map(list, self.cleared))])


def commit_in(text: str) -> Commit | None:
    """Return the commit in *text*; None if it is none: anybody may say anything there."""
    try:
        return Commit(*_COMMIT.validate_json(text))
    except ValidationError:
        return None
