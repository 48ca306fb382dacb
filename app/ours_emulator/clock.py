"""The clock of an account: real, moved or frozen. Timestamps from and to ISO 8601."""

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

_MIN_MILLISECONDS = 100_000_000_000
"""In the year 1973. A smaller number is probably in seconds."""
_EXAMPLE = "2026-01-31T12:00:00Z"
LAST_MOMENT = 253_402_300_799_999
"""The end of the year 9999, in milliseconds: the last timestamp with a four-digit year in ISO 8601."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The time of an account in milliseconds since the epoch: the real time, until it is moved or frozen.

    It decides the time window, the time of receipt and rate limits, but never waits or health (rule clock).
    """

    frozen_at: int | None = None
    offset: int = 0

    @property
    def state(self) -> Literal["real", "frozen", "moved"]:
        """Whether the clock shows the real time, stands still, or runs at another time."""
        if self.frozen_at is not None:
            return "frozen"
        return "moved" if self.offset else "real"

    def now(self) -> int:
        """Return the current time in milliseconds since the epoch."""
        return self.at(real_now())

    def at(self, moment: int) -> int:
        """Return what it shows at the *moment*, in milliseconds of the real time."""
        if self.frozen_at is not None:
            return self.frozen_at
        # A clock that was set close to the last moment stops there.
        return min(moment + self.offset, LAST_MOMENT)

    def frozen(self, moment: int | None = None) -> "Clock":
        """Return the clock as it stands at *moment*, or at the current time."""
        return replace(self, frozen_at=self.now() if moment is None else moment)

    def set(self, moment: int) -> "Clock":
        """Return the clock set to *moment*. It runs on from there, unless it is frozen."""
        if self.frozen_at is None:
            return Clock(None, moment - real_now())
        return replace(self, frozen_at=moment)


def real_now() -> int:
    """Return the real time in milliseconds since the epoch."""
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
