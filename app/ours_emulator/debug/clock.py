"""The clock of an account: GET and PUT /debug/clock. It never governs waits or health (rule clock)."""

from collections.abc import Callable
from typing import Literal, Self

from fastapi import HTTPException
from pydantic import ConfigDict, Field, model_validator
from starlette.responses import Response

from ours_emulator.clock import LAST_MOMENT, Clock
from ours_emulator.debug.params import Body, Needs, OneAccount, Timestamp, answer, debug_router
from ours_emulator.records import Moment, utc

router = debug_router()


class ClockBody(Body):
    """Exactly one of these. A timestamp is ISO 8601, or milliseconds since the epoch."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"freeze": "2026-01-01T00:00:00Z"}, {"freeze": True}, {"advance_ms": 60_000}, {"resume": True}]
        }
    )

    freeze: Literal[True] | Timestamp | None = None
    set: Timestamp | None = None
    advance_ms: int | None = Field(default=None, ge=-LAST_MOMENT, le=LAST_MOMENT)
    resume: Literal[True] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1 or all(value is None for value in self.__dict__.values()):
            raise ValueError("give exactly one of freeze, set, advance_ms and resume")
        return self

    def apply(self, clock: Clock) -> None:
        """Change *clock*. Raises ValueError if its time would be outside the years 1970 to 9999."""
        if self.resume:
            clock.resume()
        elif self.freeze is not None:
            clock.freeze(None if self.freeze is True else self.freeze)
        elif self.set is not None:
            clock.set(self.set)
        elif self.advance_ms is not None:
            advanced = clock.now() + self.advance_ms
            if not 0 <= advanced <= LAST_MOMENT:
                raise ValueError("advance_ms: the time would be outside the years 1970 to 9999; use a smaller step")
            clock.set(advanced)


@router.get("/clock", response_model=Moment)
async def clock(parts: Needs, account: OneAccount) -> Response:
    """Show the account's clock."""
    return answer(shown_clock(account, parts.shown(account).clock))


@router.put("/clock", response_model=Moment)
async def set_clock(parts: Needs, account: OneAccount, body: ClockBody) -> Response:
    """Freeze, set, advance or resume the account's clock."""
    opened = parts.opened(account)
    opened.move_clock(clock_change(body))
    return answer(shown_clock(account, opened.clock))


def shown_clock(account: str, clock: Clock) -> Moment:
    """Return what *clock* says now."""
    now = clock.now()
    return Moment(account=account, now=utc(now), now_ms=now, state=clock.state)


def clock_change(body: ClockBody) -> Callable[[Clock], None]:
    """Return what *body* does to a clock; what is not possible is answered 400."""

    def change(clock: Clock) -> None:
        try:
            body.apply(clock)
        except ValueError as error:
            raise HTTPException(400, str(error)) from None

    return change
