"""What the handle raises."""

from collections.abc import Sequence

from ours_emulator.records import NearMiss


class EmulatorError(Exception):
    """The emulator cannot be reached, or refused an operation of the debug API; the message says why.

    `status` is the HTTP status of a refusal, None if there was no answer. `reason` is what the emulator itself says of
    it, without the operation; None if it says nothing.
    """

    def __init__(self, message: str, status: int | None = None, reason: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class ExpectationError(AssertionError):
    """What arrived is not what was expected. The message explains it; the parts are here as values.

    `candidates` match but were rejected, dropped or duplicates, or may match, as far as is known; `near_misses` differ
    in some fields, the best one first.
    """

    def __init__(self, message: str, candidates: Sequence[NearMiss] = (), near_misses: Sequence[NearMiss] = ()) -> None:
        super().__init__(message)
        self.candidates = tuple(candidates)
        self.near_misses = tuple(near_misses)
