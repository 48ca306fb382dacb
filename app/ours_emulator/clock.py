"""The clock of an account, real, moved or frozen, and moments as people write them."""

import time
from datetime import UTC, datetime
from typing import Literal

_LEAST_MILLISECONDS = 100_000_000_000
_EXAMPLE = "2026-01-31T12:00:00Z"
LAST_MOMENT = 253_402_300_799_999
"""The end of the year 9999, in milliseconds: the last moment that ISO 8601 has four digits for."""


class Clock:
    """Milliseconds since the epoch: the real ones until it is moved or, as with *frozen_at*, stands still.

    It governs the time window, the moment of receipt and rate limits; never waits or health (rule clock).
    """

    def __init__(self, frozen_at: int | None = None) -> None:
        self._started_at = frozen_at
        self._frozen_at = frozen_at
        self._offset = 0

    @property
    def state(self) -> Literal["real", "frozen", "moved"]:
        """Whether it is as the world's, stands still, or runs at another moment."""
        if self._frozen_at is not None:
            return "frozen"
        return "moved" if self._offset else "real"

    def now(self) -> int:
        """Return the present moment in milliseconds since the epoch."""
        if self._frozen_at is not None:
            return self._frozen_at
        # One that was set to the end of all years goes no further.
        return min(_real() + self._offset, LAST_MOMENT)

    def freeze(self, moment: int | None = None) -> None:
        """Stand still at *moment*, or where it is."""
        self._frozen_at = self.now() if moment is None else moment

    def set(self, moment: int) -> None:
        """Be at *moment*; it runs on from there unless it stands still."""
        if self._frozen_at is None:
            self._offset = moment - _real()
        else:
            self._frozen_at = moment

    def resume(self) -> None:
        """Run with the real time again."""
        self._offset = 0
        self._frozen_at = None

    def restart(self) -> None:
        """Be as at the start."""
        self.resume()
        self._frozen_at = self._started_at


def _real() -> int:
    return time.time_ns() // 1_000_000


def milliseconds(text: str) -> int:
    """Return the moment that *text* names, in ISO 8601 (UTC unless it says otherwise) or in milliseconds already.

    Raises ValueError if it names none.
    """
    text = text.strip()
    if text.isascii() and text.isdecimal():
        if 0 < int(text) < _LEAST_MILLISECONDS:
            raise ValueError(f"{text} looks like seconds or a year; say milliseconds or ISO 8601, as {_EXAMPLE}")
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no moment; say ISO 8601, as {_EXAMPLE}, or milliseconds") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def moment(value: object) -> object:
    """Return the moment that *value* names, as `milliseconds` does, if it is text or a number. Raises ValueError."""
    named = isinstance(value, str | int) and not isinstance(value, bool)
    return milliseconds(str(value)) if named else value


def iso(moment: int) -> str:
    """Return *moment*, in milliseconds since the epoch, as ISO 8601 in UTC."""
    text = datetime.fromtimestamp(moment // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{moment % 1000:03d}Z"
