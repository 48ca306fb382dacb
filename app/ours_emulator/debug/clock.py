"""The clock of an account: GET and PUT /debug/clock. It never governs waits or health (rule clock)."""

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

    def changed(self, clock: Clock) -> Clock:
        """Return *clock* after the change. A time outside the years 1970 to 9999 is answered 400."""
        if self.freeze is not None:
            return clock.frozen(None if self.freeze is True else self.freeze)
        if self.set is not None:
            return clock.set(self.set)
        if self.advance_ms is None:
            return Clock()
        advanced = clock.now() + self.advance_ms
        if not 0 <= advanced <= LAST_MOMENT:
            raise HTTPException(400, "advance_ms: the time would be outside the years 1970 to 9999; use a smaller step")
        return clock.set(advanced)


@router.get("/clock", response_model=Moment)
async def clock(parts: Needs, account: OneAccount) -> Response:
    """Show the account's clock."""
    return answer(shown_clock(account, parts.shown(account).clock))


@router.put("/clock", response_model=Moment)
async def set_clock(parts: Needs, account: OneAccount, body: ClockBody) -> Response:
    """Freeze, set, advance or resume the account's clock."""

    def change() -> Clock:
        opened = parts.opened(account)
        changed = opened.with_clock(body.changed(opened.clock))
        parts.accounts.put(account, changed)
        return changed.clock

    return answer(shown_clock(account, await parts.pipeline.change(change)))


def shown_clock(account: str, clock: Clock) -> Moment:
    """Return what *clock* says now."""
    now = clock.now()
    return Moment(account=account, now=utc(now), now_ms=now, state=clock.state)
