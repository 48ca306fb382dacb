"""What the handle raises."""

from collections.abc import Sequence

from ours_emulator.errors import EmulatorError as EmulatorError
from ours_emulator.records import NearMiss


class ExpectationError(AssertionError):
    """What arrived is not what was expected. The message explains it; the parts are here as values.

    `candidates` match but were rejected, dropped or duplicates, or may match, as far as is known; `near_misses` differ
    in some fields, the best one first.
    """

    def __init__(self, message: str, candidates: Sequence[NearMiss] = (), near_misses: Sequence[NearMiss] = ()) -> None:
        super().__init__(message)
        self.candidates = tuple(candidates)
        self.near_misses = tuple(near_misses)
