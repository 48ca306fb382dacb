"""The clock of an account: real, moved or frozen. Timestamps from and to ISO 8601."""

import time
from datetime import UTC, datetime
from typing import Literal

_MIN_MILLISECONDS = 100_000_000_000
"""In the year 1973. A smaller number is probably in seconds."""
_EXAMPLE = "2026-01-31T12:00:00Z"
LAST_MOMENT = 253_402_300_799_999
"""The end of the year 9999, in milliseconds: the last timestamp with a four-digit year in ISO 8601."""


class Clock:
    """The time of an account in milliseconds since the epoch: the real time, until it is moved or frozen.

    It decides the time window, the time of receipt and rate limits, but never waits or health (rule clock).
    """

    def __init__(self, frozen_at: int | None = None) -> None:
        self._started_at = frozen_at
        self._frozen_at = frozen_at
        self._offset = 0

    @property
    def state(self) -> Literal["real", "frozen", "moved"]:
        """Whether the clock shows the real time, stands still, or runs at another time."""
        if self._frozen_at is not None:
            return "frozen"
        return "moved" if self._offset else "real"

    def now(self) -> int:
        """Return the current time in milliseconds since the epoch."""
        if self._frozen_at is not None:
            return self._frozen_at
        # A clock that was set close to the last moment stops there.
        return min(_real() + self._offset, LAST_MOMENT)

    def freeze(self, moment: int | None = None) -> None:
        """Stop the clock at *moment*, or at the current time."""
        self._frozen_at = self.now() if moment is None else moment

    def set(self, moment: int) -> None:
        """Set the clock to *moment*. It runs on from there, unless it is frozen."""
        if self._frozen_at is None:
            self._offset = moment - _real()
        else:
            self._frozen_at = moment

    def resume(self) -> None:
        """Show the real time again."""
        self._offset = 0
        self._frozen_at = None

    def restart(self) -> None:
        """Return to the state at the start: real, or frozen at the same moment."""
        self.resume()
        self._frozen_at = self._started_at


def _real() -> int:
    return time.time_ns() // 1_000_000


def milliseconds(text: str) -> int:
    """Return the timestamp *text*, in ISO 8601 (UTC if there is no offset) or milliseconds, as milliseconds.

    Raises ValueError if it is not valid.
    """
    text = text.strip()
    if text.isascii() and text.isdecimal():
        if 0 < int(text) < _MIN_MILLISECONDS:
            raise ValueError(
                f"{text} looks like seconds or a year; use milliseconds or ISO 8601, for example {_EXAMPLE}"
            )
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a valid timestamp; use ISO 8601, for example {_EXAMPLE}, or milliseconds"
        ) from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def moment(value: object) -> object:
    """Return *value*, text or an integer, as milliseconds (see `milliseconds`); None unchanged.

    Raises ValueError for other values.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"must be a timestamp: ISO 8601, for example {_EXAMPLE}, or milliseconds")
    return milliseconds(str(value))
