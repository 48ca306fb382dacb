"""Planned misbehaviour: which requests it hits, when, and what it does to them (rule 429-500)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from threading import Lock

from pydantic import JsonValue

from ours_emulator.model import Arrival, Properties, Rejection, Request
from ours_emulator.records import FaultAnswer, Reason

_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Delay:
    """How long an answer takes, in milliseconds: evenly spread between two, or log-normal around a median."""

    low: float
    high: float
    sigma: float | None = None
    """The spread of the logarithm; *low* is then the median."""

    def drawn(self, random: Random) -> float:
        """Return one delay in milliseconds."""
        if self.sigma is not None:
            return self.low * math.exp(random.gauss(0, self.sigma))
        return self.low if self.low == self.high else random.uniform(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Action:
    """What a fault does; the delay is drawn anew for each request."""

    answer: FaultAnswer
    delay: Delay = Delay(0, 0)


@dataclass(frozen=True, slots=True)
class FaultMatch:
    """Which requests a fault is about; None is about any. Of a batch, one row that fits is enough."""

    endpoint: str | None = None
    event: str | None = None
    token: str | None = None
    """The token in the body, or the key of the Client API."""
    distinct_id: str | None = None

    def fits(self, request: Request, arrivals: Sequence[Arrival], token: Callable[[Request], str | None]) -> bool:
        """Tell whether *request*, which says *arrivals*, is meant; *token* finds its token if that matters."""
        if self.endpoint not in (None, request.endpoint):
            return False
        if self.token is not None and token(request) != self.token:
            return False
        return any(self.names(arrival) for arrival in arrivals)

    def names(self, arrival: Arrival) -> bool:
        """Tell whether *arrival* has the event name and the distinct id that are asked for."""
        distinct_id = getattr(arrival, "distinct_id", None)
        return self.event in (None, arrival.event) and self.distinct_id in (None, distinct_id)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A token bucket: *burst* requests at once, and *per_second* in the long run, by the account's clock."""

    per_second: float
    burst: float


@dataclass(frozen=True, slots=True)
class Fault:
    """A planned misbehaviour: a name, what it matches, what it does, and how often."""

    name: str
    match: FaultMatch
    action: Action
    times: int | None = None
    """It hits so often at most."""
    sequence: tuple[Action | None, ...] = ()
    """What is done to the first match, the second, and so on; None lets one pass, and the end lets all pass."""
    probability: float = 1.0
    seed: int = 0
    rate_limit: RateLimit | None = None
    said: Properties = field(default_factory=dict[str, JsonValue])
    """The fault as it was asked for."""


class _Bucket:
    """What is left of a rate limit, as the moment (ms) at which it is full again: sums of small parts would err."""

    def __init__(self, limit: RateLimit) -> None:
        self._apart = 1000 / limit.per_second
        self._ahead = (limit.burst - 1) * self._apart
        self._full_at = 0.0
        self._latest = 0

    def wait(self, now: int) -> float | None:
        """Take a token at *now* (ms); return the seconds until there is one again if there is none."""
        # One that was received before another may be decided after it: it is not yet that moment again.
        self._latest = now = max(now, self._latest)
        full_at = max(self._full_at, now)
        if full_at - self._ahead > now + _ROUNDING:
            return (full_at - self._ahead - now) / 1000
        self._full_at = full_at + self._apart
        return None

    def move(self, milliseconds: int) -> None:
        """Go with a clock that was set back by so many *milliseconds*."""
        self._latest -= milliseconds
        self._full_at -= milliseconds


class PlantedFault:
    """A fault at work, with its counts: how many requests it matched, and how many of these it hit."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.matched = 0
        self.hits = 0
        self._random = Random(fault.seed)
        self._bucket = _Bucket(fault.rate_limit) if fault.rate_limit else None

    def answer(self, now: int, arrivals: Sequence[Arrival]) -> FaultAnswer | None:
        """Return what is done to the next request it matches, at *now* (ms); None lets that one pass."""
        self.matched += 1
        action = self._action()
        # Drawn for every match, so that the same seed gives the same sequence whatever else decides.
        spared = self._random.random() >= self.fault.probability
        if action is None or spared or (self.fault.times is not None and self.hits >= self.fault.times):
            return None
        answer = replace(action.answer, delay_ms=action.delay.drawn(self._random))
        if answer.code is not None:
            answer = replace(answer, rows=self._rows(answer, arrivals))
            if not answer.rows:
                return None
        if self._bucket is not None:
            wait = self._bucket.wait(now)
            if wait is None:
                return None
            answer = replace(answer, status=answer.status or 429, retry_after=wait)
        self.hits += 1
        return answer

    def move(self, milliseconds: int) -> None:
        """Go with a clock that was set back by so many *milliseconds*."""
        if self._bucket is not None:
            self._bucket.move(milliseconds)

    def _rows(self, answer: FaultAnswer, arrivals: Sequence[Arrival]) -> tuple[int, ...]:
        """Return the rows of a batch that it fails: those it names, else those it matches, if they are valid."""
        return tuple(
            it.batch_index
            for it in arrivals
            if it.batch_index is not None
            and it.endpoint == "batch"
            and not isinstance(it, Rejection)
            and (self.fault.match.names(it) if answer.rows is None else it.batch_index in answer.rows)
        )

    def _action(self) -> Action | None:
        sequence = self.fault.sequence
        if not sequence:
            return self.fault.action
        return sequence[self.matched - 1] if self.matched <= len(sequence) else None


class Faults:
    """The faults of one account, by name; thread-safe."""

    def __init__(self) -> None:
        self._planted: dict[str, PlantedFault] = {}
        self._changing = Lock()

    def plant(self, fault: Fault) -> PlantedFault:
        """Put *fault* to work, its counts at zero, in the place of the one with that name."""
        with self._changing:
            planted = self._planted[fault.name] = PlantedFault(fault)
            return planted

    def remove(self, name: str) -> PlantedFault | None:
        """Take the fault *name* away and return it, if there is one."""
        with self._changing:
            return self._planted.pop(name, None)

    def clear(self) -> int:
        """Take all faults away; return how many there were."""
        with self._changing:
            count = len(self._planted)
            self._planted.clear()
            return count

    def move(self, milliseconds: int) -> None:
        """Let rate limits go with a clock that was set back by so many *milliseconds*."""
        with self._changing:
            for planted in self._planted.values():
                planted.move(milliseconds)

    def planted(self) -> list[PlantedFault]:
        """Return the faults at work, the oldest first."""
        with self._changing:
            return list(self._planted.values())

    def answer(
        self, request: Request, arrivals: Sequence[Arrival], token: Callable[[Request], str | None]
    ) -> FaultAnswer | None:
        """Return what happens to *request*, which says *arrivals*: the oldest fault that hits it decides."""
        if not self._planted:
            return None
        with self._changing:
            for planted in self._planted.values():
                if planted.fault.match.fits(request, arrivals, token):
                    answer = planted.answer(request.received_at, arrivals)
                    if answer is not None:
                        return answer
        return None


def apply_fault(arrivals: Sequence[Arrival], fault: FaultAnswer | None) -> Sequence[Arrival]:
    """Return what is left of *arrivals* after *fault*: one rejection, rejected rows, or all as they were."""
    if fault is None:
        return arrivals
    if fault.replaces:
        return [_rejection(arrivals[0], fault, fault.status, None)]
    if fault.rows is None:
        return arrivals
    status = 500 if fault.code == "queue_failed" else 400
    return [_rejection(it, fault, status, it.batch_index) if it.batch_index in fault.rows else it for it in arrivals]


def retry_headers(fault: FaultAnswer) -> dict[str, str]:
    """Return the headers that say when to come back; milliseconds only if whole seconds would not be exact."""
    if fault.retry_after is None:
        return {}
    seconds = {"retry-after": str(math.ceil(fault.retry_after))}
    exact = fault.retry_after == int(fault.retry_after)
    return seconds if exact else {**seconds, "retry-after-ms": str(math.ceil(fault.retry_after * 1000))}


def _rejection(arrival: Arrival, fault: FaultAnswer, status: int | None, batch_index: int | None) -> Rejection:
    whole_batch = arrival.batch_index is not None and batch_index is None
    return Rejection(
        arrival.endpoint,
        batch_index,
        Reason("429-500", "", fault.error or fault.sentence, status),
        event=None if whole_batch else arrival.event,
        distinct_id=None if whole_batch else getattr(arrival, "distinct_id", None),
    )
