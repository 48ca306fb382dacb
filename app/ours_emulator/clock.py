"""The emulator's clock, real or stopped, and moments as people write them."""

import time
from datetime import UTC, datetime

LAST_MOMENT = 253_402_300_799_999
"""The end of the year 9999, in milliseconds: the last moment that ISO 8601 has four digits for."""


class Clock:
    """Milliseconds since the epoch. With *fixed_at* it stands still there (setting `now`)."""

    def __init__(self, fixed_at: int | None = None) -> None:
        self._fixed_at = fixed_at

    def now(self) -> int:
        """Return the present moment in milliseconds since the epoch."""
        return time.time_ns() // 1_000_000 if self._fixed_at is None else self._fixed_at


def milliseconds(text: str) -> int:
    """Return the moment that *text* names, in ISO 8601 (UTC unless it says otherwise) or in milliseconds already.

    Raises ValueError if it names none.
    """
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return int(text)
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def iso(moment: int) -> str:
    """Return *moment*, in milliseconds since the epoch, as ISO 8601 in UTC."""
    text = datetime.fromtimestamp(moment // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{moment % 1000:03d}Z"
