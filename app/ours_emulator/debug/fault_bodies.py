"""A fault as it is asked for, and as it is shown."""

from typing import Annotated, Any, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, FiniteFloat, Tag, model_validator
from typing_extensions import TypedDict

from ours_emulator.decide.faults import Action, Delay, Fault, FaultMatch, PlantedFault, RateLimit
from ours_emulator.http import client_paths, ingest_paths
from ours_emulator.records import Connection, FaultAnswer, RowCode

_ENDPOINTS = {path: name for path, name in {**ingest_paths.PATHS, **client_paths.PATHS}.items() if name != "openapi"}
_MOST_DELAY_MS = 10 * 60 * 1000.0
Milliseconds: TypeAlias = Annotated[FiniteFloat, Field(ge=0, le=_MOST_DELAY_MS, strict=True)]


class Call(BaseModel):
    """The body of a call: what is not known is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class UniformCall(Call):
    """A delay anywhere between two, in milliseconds."""

    min: Milliseconds
    max: Milliseconds

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError("min is more than max")
        return self


class LogNormalCall(Call):
    """A delay with a long tail: its median in milliseconds, and the spread of its logarithm."""

    median: Milliseconds
    sigma: Annotated[FiniteFloat, Field(ge=0, le=3)]


def _delay_kind(value: object) -> str:
    if not isinstance(value, dict):
        return "fixed"
    return "lognormal" if "median" in value or "sigma" in value else "uniform"


DelayCall: TypeAlias = Annotated[
    Annotated[Milliseconds, Tag("fixed")]
    | Annotated[UniformCall, Tag("uniform")]
    | Annotated[LogNormalCall, Tag("lognormal")],
    Discriminator(_delay_kind),
]
"""How long an answer takes. What it looks like decides which, so that an error is about that one."""


class AnswerCall(Call):
    """What happens to a request: another answer, a late one, none, or rows of a batch that fail."""

    status: Annotated[int, Field(ge=400, le=599)] | None = None
    retry_after: Annotated[FiniteFloat, Field(ge=0, le=86_400)] | None = Field(default=None, description="Seconds.")
    error: Annotated[str, Field(max_length=1000)] | None = None
    delay_ms: DelayCall | None = None
    connection: Connection | None = None
    rows: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None = None
    code: RowCode | None = None
    stored: bool = Field(default=False, description="What was sent is committed; only the answer is lost.")

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.retry_after is not None and self.status is None:
            raise ValueError("retry_after needs a status")
        if self.rows is not None and self.code is None:
            raise ValueError("rows need a code, queue_failed or invalid_event")
        if self.code is not None and (self.status is not None or self.connection is not None):
            raise ValueError("rows fail one by one, or status or connection is about the whole request; not both")
        if self.status is not None and self.connection is not None:
            raise ValueError("a connection that is cut or silent has no status; say one of both")
        if all(it is None for it in (self.status, self.delay_ms, self.connection, self.code)):
            raise ValueError("says nothing to do: a status, delay_ms, connection or code")
        if self.stored and self.status is None and self.connection is None:
            raise ValueError("stored needs a status or a connection: the answer that is lost")
        return self

    def action(self, name: str) -> Action:
        """Return what the fault *name* does."""
        rows = None if self.rows is None else tuple(self.rows)
        answer = FaultAnswer(
            name,
            self.status,
            self.retry_after,
            self.error,
            connection=self.connection,
            code=self.code,
            rows=rows,
            stored=self.stored,
        )
        return Action(answer, self._delay())

    def _delay(self) -> Delay:
        said = self.delay_ms
        if isinstance(said, UniformCall):
            return Delay(said.min, said.max)
        if isinstance(said, LogNormalCall):
            return Delay(said.median, said.median, said.sigma)
        return Delay(said or 0, said or 0)


def _known_path(path: str) -> str:
    if path not in _ENDPOINTS:
        raise ValueError("there is no such path; say for instance /track or /api/client/events")
    return path


class MatchCall(Call):
    """Which requests are meant; what is not said may be anything. Of a batch, one row that fits is enough."""

    path: Annotated[str, AfterValidator(_known_path)] | None = None
    event: str | None = None
    token: str | None = Field(default=None, description="The token in the body, or the key of the Client API.")
    distinct_id: str | None = None


class RateLimitCall(Call):
    """A token bucket, by the account's clock; beyond it 429 with an honest Retry-After."""

    per_second: Annotated[FiniteFloat, Field(gt=0, le=1e6)]
    burst: Annotated[FiniteFloat, Field(ge=1, le=1e6)] = 1


class FaultCall(Call):
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

    match: MatchCall = MatchCall()
    answer: AnswerCall | None = None
    times: Annotated[int, Field(ge=1)] | None = None
    sequence: Annotated[list[AnswerCall | None], Field(min_length=1, max_length=1000)] | None = None
    probability: Annotated[FiniteFloat, Field(ge=0, le=1)] = 1.0
    seed: int = 0
    rate_limit: RateLimitCall | None = None

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if (self.answer is None) == (self.sequence is None) and not (self.rate_limit and not self.answer):
            raise ValueError("say what happens: answer, or sequence, or rate_limit")
        codes = [it for it in (self.answer, *(self.sequence or ())) if it is not None and it.code is not None]
        if codes and self.rate_limit is not None:
            raise ValueError("a rate limit is about whole requests, and a code about rows; say one of both")
        if codes and self.match.path is not None and not self.match.path.endswith("/batch"):
            raise ValueError("a code is for rows of /batch, and match.path means another endpoint")
        return self

    def fault(self, name: str) -> Fault:
        """Return the fault that is meant."""
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
            tuple(None if it is None else it.action(name) for it in self.sequence or ()),
            self.probability,
            self.seed,
            None if self.rate_limit is None else RateLimit(self.rate_limit.per_second, self.rate_limit.burst),
            self.model_dump(mode="json", exclude_none=True),
        )


class FaultView(FaultCall):
    """A fault with its counts: how many requests it matched, and how many of them it hit."""

    name: str
    account: str
    matched: int
    hits: int


class FaultList(TypedDict):
    """The faults of an account."""

    items: list[FaultView]
    total: int
    next_cursor: str | None
    evicted: int


def fault_view(account: str, planted: PlantedFault) -> dict[str, Any]:
    """Return *planted* as it is shown: as it was asked for, with its counts (the JSON of FaultView)."""
    fault = planted.fault
    counts = {"matched": planted.matched, "hits": planted.hits}
    return {"name": fault.name, "account": account, **counts, **fault.said}
