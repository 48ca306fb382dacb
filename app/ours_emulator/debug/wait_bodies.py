"""What may be asked of waits and verifications, and what they answer."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SkipValidation
from typing_extensions import TypedDict

from ours_emulator.debug import examples, views
from ours_emulator.debug.params import AskedOutcome, ErrorView
from ours_emulator.model import ACCOUNT_NAME
from ours_emulator.store import LARGEST

MOST_MS = 55_000
"""The longest wait: many clients, and what is between them and here, give up after a minute."""
Mode: TypeAlias = Literal["at_least", "exactly", "at_most", "none"]
Matching: TypeAlias = SkipValidation[dict[str, JsonValue]]
"""Checked by `compiled`: what pydantic takes for text has no lone surrogates, which events may have."""
Milliseconds: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=MOST_MS)]


class About(BaseModel):
    """Which events are asked about."""

    model_config = ConfigDict(extra="forbid")

    account: str | None = Field(None, pattern=f"^{ACCOUNT_NAME.pattern}$", description="Default: all of them.")
    outcome: AskedOutcome | None = Field(None, description="Default: accepted, unless the match asks for an outcome.")
    after: int = Field(0, strict=True, ge=0, le=LARGEST, description="Only events with a greater id.")


class VerifyCall(About):
    """What should have arrived by now."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"match": {"event": "Purchase", "email": "ann@example.com"}},
                {"match": {"event_properties.amount": {"$gt": 50}}, "count": 2, "mode": "exactly"},
            ]
        }
    )

    match: Matching = Field(description="Fields of an event; {} is any event.")
    count: int | None = Field(None, strict=True, ge=0, description="Default: 1.")
    mode: Mode = "at_least"


class WaitCall(VerifyCall):
    """What should arrive, how long to wait for it, and how long no further one may come after that."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"match": {"event": "Purchase", "email": "ann@example.com"}, "timeout_ms": 2000},
                {"match": {"event": {"$regex": "^Error"}}, "mode": "none", "settle_ms": 200},
            ]
        }
    )

    timeout_ms: Milliseconds = 5000
    settle_ms: Milliseconds = 0


class SequenceCall(About):
    """What should have arrived by now, in this order of time."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"sequence": [{"event": "Cart Viewed"}, {"event": "Purchase"}], "strict": False}]
        }
    )

    sequence: list[Matching] = Field(min_length=1, max_length=100)
    strict: bool = Field(False, strict=True, description="Nothing else may be between them.")


class MissView(TypedDict):
    """One thing that is not as it was asked for."""

    path: str
    expected: JsonValue
    actual: JsonValue
    why: str


class NearView(TypedDict):
    """An event that was probably meant, and what keeps it from matching."""

    event: views.EventView
    misses: list[MissView]


class MetView(TypedDict):
    """It is as asked: the events that match, the first to arrive first (at most 1000), and how many they are.

    `last` is the last of all to arrive, null if there is none; of a sequence, its last one.
    """

    items: list[views.EventView]
    last: views.EventView | None
    count: int
    evicted: int
    waited_ms: int


class UnmetView(TypedDict):
    """It is not as asked, and why: `candidates` match, but were rejected, dropped or duplicate; the rest is near.

    `error` is all of it in a sentence, `found` only what there is.
    """

    error: str
    found: str
    mode: Literal["at_least", "exactly", "at_most", "none", "sequence"]
    expected: int
    count: int
    items: list[views.EventView]
    candidates: list[NearView]
    near_misses: list[NearView]
    evicted: int
    waited_ms: int


_UNMET: Mapping[str, JsonValue] = {
    "error": "no events matched within 5000 ms; expected at least 1; nearest is event 17: "
    "event_properties.amount: a number, not a string",
    "found": "no events matched within 5000 ms",
    "mode": "at_least",
    "expected": 1,
    "count": 0,
    "items": [],
    "candidates": [],
    "near_misses": [
        {
            "event": dict(examples.EVENT),
            "misses": [
                {
                    "path": "event_properties.amount",
                    "expected": "99.99",
                    "actual": 99.99,
                    "why": "a number, not a string",
                }
            ],
        }
    ],
    "evicted": 0,
    "waited_ms": 5000,
}


def _example(value: object) -> dict[str, Any]:
    return {"content": {"application/json": {"example": value}}}


RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {
        "model": ErrorView,
        "description": "Not understood; the error names what.",
        **_example({"error": "match.evnt: there is no such field; did you mean event?"}),
    },
    406: {"model": UnmetView, "description": "It is not as asked, and why.", **_example(dict(_UNMET))},
    415: {"model": ErrorView, "description": "The body is not JSON."},
}
ENDED: dict[int | str, dict[str, Any]] = {503: {"model": ErrorView, "description": "The emulator shut down."}}
