"""Faults: planned, shown and removed under /debug/faults."""

from dataclasses import dataclass, replace
from typing import Annotated, Self, TypeAlias

from fastapi import Path
from pydantic import AfterValidator, ConfigDict, Discriminator, Field, FiniteFloat, Tag, model_validator
from starlette.responses import Response

from ours_emulator.debug.names import ValidName
from ours_emulator.debug.params import (
    NOT_FOUND,
    AsciiJSON,
    Body,
    Needs,
    OneAccount,
    answer,
    complete_list,
    debug_router,
    found,
)
from ours_emulator.debug.parts import Parts
from ours_emulator.decide.faults import Action, ActiveFault, Delay, Fault, FaultMatch, Faults, RateLimit
from ours_emulator.http.routes import CLIENT_PATHS, EXPERIMENT_PATHS, INGEST_PATHS
from ours_emulator.model import Properties
from ours_emulator.records import Connection, FaultAnswer, Page, RowCode, from_json

_PATHS = {**INGEST_PATHS, **EXPERIMENT_PATHS, **CLIENT_PATHS}
_ENDPOINTS = {path: name for path, name in _PATHS.items() if name != "openapi"}
_MAX_DELAY_MS = 10 * 60 * 1000.0
FaultName: TypeAlias = Annotated[ValidName, Path(description="A name of your own.")]
Milliseconds: TypeAlias = Annotated[FiniteFloat, Field(ge=0, le=_MAX_DELAY_MS, strict=True)]
router = debug_router()


class UniformBody(Body):
    """A delay anywhere between two, in milliseconds."""

    min: Milliseconds
    max: Milliseconds

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError("min exceeds max; swap them")
        return self


class LogNormalBody(Body):
    """A delay with a long tail: its median in milliseconds, and the spread of its logarithm."""

    median: Milliseconds
    sigma: Annotated[FiniteFloat, Field(ge=0, le=3)]


def _delay_kind(value: object) -> str:
    if not isinstance(value, dict):
        return "fixed"
    return "lognormal" if "median" in value or "sigma" in value else "uniform"


DelayBody: TypeAlias = Annotated[
    Annotated[Milliseconds, Tag("fixed")]
    | Annotated[UniformBody, Tag("uniform")]
    | Annotated[LogNormalBody, Tag("lognormal")],
    Discriminator(_delay_kind),
]
"""How long an answer takes. Its form decides the kind, so that an error is about that kind only."""


class AnswerBody(Body):
    """What happens to a request: another answer, a late one, none, or rows of a batch that fail."""

    status: Annotated[int, Field(ge=400, le=599)] | None = Field(
        default=None,
        description="The status, with the body that the endpoint has for it, or else one of the same shape. "
        "500 on /batch is the answer for a failed source look-up.",
    )
    retry_after: Annotated[FiniteFloat, Field(ge=0, le=86_400)] | None = Field(
        default=None, description="Seconds for the Retry-After header."
    )
    error: Annotated[str, Field(max_length=1000)] | None = Field(
        default=None, description="The error text, where the body has one, instead of the usual one."
    )
    delay_ms: DelayBody | None = Field(
        default=None,
        description="A delay in milliseconds, a range (min, max), or a log-normal distribution (median, sigma).",
    )
    connection: Connection | None = Field(
        default=None, description="The connection is reset, never answered (hang), or closed in the middle of the body."
    )
    rows: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None = Field(
        default=None, description="The indexes of the rows of a batch that fail. Default: the rows that match."
    )
    code: RowCode | None = Field(default=None, description="Rows of a batch fail with this code.")
    stored: bool = Field(
        default=False, description="The message is stored as usual, and only the answer is replaced or lost."
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.retry_after is not None and self.status is None:
            raise ValueError("retry_after needs a status; add one, such as 429")
        if self.rows is not None and self.code is None:
            raise ValueError("rows need a code: queue_failed or invalid_event")
        if self.code is not None and (self.status is not None or self.connection is not None):
            raise ValueError(
                "code is for single rows, status and connection are for the whole request; give one of them"
            )
        if self.status is not None and self.connection is not None:
            raise ValueError(
                "status and connection exclude each other: a connection that is cut or silent has no status"
            )
        if all(part is None for part in (self.status, self.delay_ms, self.connection, self.code)):
            raise ValueError("has no effect; give a status, delay_ms, connection or code")
        if self.stored and self.status is None and self.connection is None:
            raise ValueError("stored needs a status or a connection, which is how the answer is lost")
        return self

    def action(self, name: str) -> Action:
        """Return what the fault *name* does."""
        answer = from_json(FaultAnswer, {**self.model_dump(), "name": name, "delay_ms": 0.0})
        return Action(answer, self._delay())

    def _delay(self) -> Delay:
        given = self.delay_ms
        if isinstance(given, UniformBody):
            return Delay(given.min, given.max)
        if isinstance(given, LogNormalBody):
            return Delay(given.median, given.median, given.sigma)
        return Delay(given or 0, given or 0)


def _known_path(path: str) -> str:
    if path not in _ENDPOINTS:
        raise ValueError("unknown path; use for example /track or /api/client/events")
    return path


class MatchBody(Body):
    """Which requests the fault matches; an omitted field matches any. A batch matches if one of its rows does."""

    path: Annotated[str, AfterValidator(_known_path)] | None = Field(
        default=None,
        description="The path of an endpoint, such as /track; /experiments/assignments for all experiments.",
    )
    event: str | None = Field(default=None, description="The name of the event.")
    token: str | None = Field(default=None, description="The token in the body, or the key of the Client API.")
    distinct_id: str | None = Field(default=None, description="The distinctId.")


class RateLimitBody(Body):
    """A token bucket, by the account's clock.

    Requests beyond it get 429, or the status of `answer`, with an exact Retry-After.
    """

    per_second: Annotated[FiniteFloat, Field(gt=0, le=1e6)] = Field(description="Requests per second.")
    burst: Annotated[FiniteFloat, Field(ge=1, le=1e6)] = Field(
        default=1, description="How many requests may come at once."
    )


class FaultBody(Body):
    """A planned misbehaviour: what it matches, what it does, how often."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"match": {"path": "/track"}, "answer": {"status": 429, "retry_after": 1}, "times": 2},
                {"answer": {"connection": "reset", "stored": True}, "times": 1},
                {"match": {"path": "/batch"}, "answer": {"code": "queue_failed", "rows": [0, 3]}},
                {"answer": {"status": 503}, "probability": 0.2, "seed": 7},
                {"rate_limit": {"per_second": 10, "burst": 20}},
            ]
        }
    )

    match: MatchBody = MatchBody()
    answer: AnswerBody | None = None
    times: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="How many requests the fault hits at most. Default: all of them."
    )
    sequence: Annotated[list[AnswerBody | None], Field(min_length=1, max_length=1000)] | None = Field(
        default=None,
        description="One answer for each matching request, in this order; null lets a request pass.",
    )
    probability: Annotated[FiniteFloat, Field(ge=0, le=1)] = Field(
        default=1.0, description="The probability that the fault hits a request that it matches."
    )
    seed: int = Field(default=0, description="The same seed gives the same sequence of hits.")
    rate_limit: RateLimitBody | None = None

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if (self.answer is None and self.rate_limit is None) == (self.sequence is None):
            raise ValueError("give one of answer, sequence and rate_limit; only answer and rate_limit go together")
        codes = [one for one in (self.answer, *(self.sequence or ())) if one is not None and one.code is not None]
        if codes and self.rate_limit is not None:
            raise ValueError("a rate limit is for whole requests and a code for single rows; give one of them")
        if codes and self.match.path is not None and not self.match.path.endswith("/batch"):
            raise ValueError("a code is for rows of /batch, but match.path is another endpoint")
        return self

    def fault(self, name: str) -> Fault:
        """Return the planned fault."""
        return Fault(
            name,
            FaultMatch(
                None if self.match.path is None else _ENDPOINTS[self.match.path],
                self.match.event,
                self.match.token,
                self.match.distinct_id,
            ),
            self.answer.action(name) if self.answer else Action(FaultAnswer(name)),
            self.times,
            tuple(None if one is None else one.action(name) for one in self.sequence or ()),
            self.probability,
            self.seed,
            None if self.rate_limit is None else RateLimit(self.rate_limit.per_second, self.rate_limit.burst),
            self.model_dump(mode="json", exclude_none=True),
        )


class FaultState(FaultBody):
    """A fault as it was planned, with its counts: how many requests it matched, and how many of them it hit.

    One that is `used_up` hits nothing more.
    """

    name: str
    account: str
    matched: int
    hits: int
    used_up: bool


@dataclass(frozen=True, slots=True)
class Removed:
    """How many faults were removed."""

    removed: int


@router.get("/faults", response_model=Page[FaultState])
async def faults(parts: Needs, account: OneAccount) -> Response:
    """List the account's faults, the oldest first: the first one that matches and hits decides."""
    parts.shown(account)
    return complete_list(shown_faults(parts, account))


@router.delete("/faults", response_model=Removed)
async def clear_faults(parts: Needs, account: OneAccount) -> Response:
    """Remove all faults of the account."""

    def change() -> Removed:
        removed = parts.shown(account).faults.active
        if removed:
            parts.accounts.put(account, replace(parts.opened(account), faults=Faults()))
        return Removed(len(removed))

    return answer(await parts.pipeline.change(change))


@router.get("/faults/{name}", response_model=FaultState, responses=NOT_FOUND)
async def fault(parts: Needs, account: OneAccount, name: FaultName) -> Response:
    """Show a fault with its counts."""
    return AsciiJSON(_shown(account, _found(parts, account, name)))


@router.put("/faults/{name}", response_model=FaultState, responses=NOT_FOUND)
async def plan_fault(parts: Needs, account: OneAccount, name: FaultName, body: FaultBody) -> Response:
    """Plan a fault. It replaces the one with that name; its counts begin at zero."""
    fault = body.fault(name)

    def change() -> None:
        opened = parts.opened(account)
        parts.accounts.put(account, replace(opened, faults=opened.faults.planned(fault)))

    await parts.pipeline.change(change)
    return AsciiJSON(_shown(account, ActiveFault(fault)))


@router.delete("/faults/{name}", response_model=FaultState, responses=NOT_FOUND)
async def remove_fault(parts: Needs, account: OneAccount, name: FaultName) -> Response:
    """Remove a fault and show its last counts."""

    def change() -> ActiveFault:
        removed = _found(parts, account, name)
        opened = parts.opened(account)
        parts.accounts.put(account, replace(opened, faults=opened.faults.without(name)))
        return removed

    return AsciiJSON(_shown(account, await parts.pipeline.change(change)))


def _found(parts: Parts, account: str, name: str) -> ActiveFault:
    return found(parts.shown(account).faults.named(name), f"there is no fault {name}")


def shown_faults(parts: Parts, account: str) -> list[Properties]:
    """Return the faults of *account*, the oldest first; a closed one has none."""
    opened = parts.accounts.shown(account)
    return [] if opened is None else [_shown(account, active) for active in opened.faults.active]


def _shown(account: str, active: ActiveFault) -> Properties:
    """Return *active* as JSON: as it was planned, with its counts."""
    counts: Properties = {"matched": active.matched, "hits": active.hits, "used_up": active.used_up}
    return {"name": active.fault.name, "account": account, **counts, **active.fault.definition}
