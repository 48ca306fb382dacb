"""What a process tells the others of each of its commits."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from ours_emulator.jsontext import json_text


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit: the id that the next event has after it, and the accounts that it deleted everything of.

    Each of these (None: all accounts) is followed by the first id that events have after that.
    """

    next_id: int
    cleared: Sequence[tuple[str | None, int]] = ()

    def text(self) -> str:
        """Return it as text."""
        return json_text([self.next_id, *map(list, self.cleared)])


def commit_in(text: str) -> Commit:
    """Return the commit in *text*."""
    next_id, *cleared = json.loads(text)
    return Commit(next_id, [(account, first_id) for account, first_id in cleared])
