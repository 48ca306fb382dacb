"""What the bodies of /debug/wait and /debug/verify ask for."""

from typing import Annotated, TypeAlias

from pydantic import ConfigDict, Field, JsonValue, SkipValidation

from ours_emulator.debug.names import ValidName
from ours_emulator.debug.params import AskedOutcome, Body
from ours_emulator.records import MAX_WAIT_SECONDS, Mode
from ours_emulator.store import LARGEST

MAX_MS = MAX_WAIT_SECONDS * 1000
EventMatch: TypeAlias = SkipValidation[dict[str, JsonValue]]
"""Checked by `compiled`: pydantic takes no text with lone surrogates, which events may have."""
Milliseconds: TypeAlias = Annotated[int, Field(ge=0, le=MAX_MS)]


class ScopeBody(Body):
    """Which events are looked at."""

    account: ValidName | None = Field(None, description="Default: all accounts.")
    outcome: AskedOutcome | None = Field(None, description="Default: accepted, unless the match asks for an outcome.")
    after: int = Field(0, ge=0, le=LARGEST, description="Only events with a greater id.")


class VerifyBody(ScopeBody):
    """The events that should have arrived by now."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"match": {"event": "Purchase", "email": "ann@example.com"}},
                {"match": {"event_properties.amount": {"$gt": 50}}, "count": 2, "mode": "exactly"},
            ]
        }
    )

    match: EventMatch = Field(description="Fields of an event; {} is any event.")
    count: int | None = Field(None, ge=0, description="How many events; omit it with `none`. Default: 1.")
    mode: Mode = Field("at_least", description="How the number of events must compare with `count`.")


class WaitBody(VerifyBody):
    """The events that should arrive, how long to wait for them, and how long no further one may follow."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"match": {"event": "Purchase", "email": "ann@example.com"}, "timeout_ms": 2000},
                {"match": {"event": {"$regex": "^Error"}}, "mode": "none", "settle_ms": 200},
            ]
        }
    )

    timeout_ms: Milliseconds = Field(5000, description="How long to wait until the expectation is met.")
    settle_ms: Milliseconds = Field(0, description="How long no further event may match after that.")


class SequenceBody(ScopeBody):
    """The events that should have arrived by now, in this order of time."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"sequence": [{"event": "Cart Viewed"}, {"event": "Purchase"}], "strict": False}]
        }
    )

    sequence: list[EventMatch] = Field(min_length=1, max_length=100)
    strict: bool = Field(False, description="No other event may be between them.")
