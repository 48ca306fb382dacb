"""Faults, planned misbehaviour: which requests they hit, when, and what they do to them (rule 429-500).

`Faults` and `ActiveFault` have state: counts, random numbers, the levels of rate limits. The rest are pure functions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from threading import Lock

from pydantic import JsonValue

from ours_emulator.model import Arrival, Contents, Properties, Rejection, Request
from ours_emulator.records import FaultAnswer, Reason

# The sum of many intervals, such as 1000/3 ms, may be a bit too large; without this a client on time would be refused.
_ROUNDING_MS = 1e-6


@dataclass(frozen=True, slots=True)
class Delay:
    """A delay in milliseconds: uniform between *low* and *high*, or log-normal around the median *low*."""

    low: float
    high: float
    sigma: float | None = None
    """The standard deviation of the logarithm; None for a uniform delay."""

    def drawn(self, random: Random) -> float:
        """Return one random delay in milliseconds."""
        if self.sigma is not None:
            return self.low * math.exp(random.gauss(0, self.sigma))
        return self.low if self.low == self.high else random.uniform(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Action:
    """What a fault does to a request; each request gets its own random delay."""

    answer: FaultAnswer
    delay: Delay = Delay(0, 0)


@dataclass(frozen=True, slots=True)
class FaultMatch:
    """Which requests a fault matches; None matches any. A batch matches if one of its rows does."""

    endpoint: str | None = None
    event: str | None = None
    token: str | None = None
    """The token in the body, or the key of the Client API."""
    distinct_id: str | None = None

    def matches(self, request: Request, contents: Contents) -> bool:
        """Whether *request*, with these *contents*, matches."""
        if self.endpoint not in (None, request.endpoint) or self.token not in (None, contents.token):
            return False
        return any(self.matches_arrival(arrival) for arrival in contents.arrivals)

    def matches_arrival(self, arrival: Arrival) -> bool:
        """Whether the event name and the distinct id of *arrival* match."""
        distinct_id = getattr(arrival, "distinct_id", None)
        return self.event in (None, arrival.event) and self.distinct_id in (None, distinct_id)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A token bucket by the account's clock: *burst* requests at once, *per_second* in the long run."""

    per_second: float
    burst: float


@dataclass(frozen=True, slots=True)
class Fault:
    """A planned misbehaviour: a name, what it matches, what it does, and how often."""

    name: str
    match: FaultMatch
    action: Action
    times: int | None = None
    """How many requests it hits at most."""
    sequence: tuple[Action | None, ...] = ()
    """What happens to the first match, the second, and so on. None lets a request pass; after the end, all pass."""
    probability: float = 1.0
    seed: int = 0
    rate_limit: RateLimit | None = None
    definition: Properties = field(default_factory=dict[str, JsonValue])
    """The fault as JSON, as it was planned."""


class _Bucket:
    """The state of a rate limit: the time (ms) when the bucket is full again.

    A count of tokens would need a sum of many small numbers, and their rounding errors would add up.
    """

    def __init__(self, limit: RateLimit) -> None:
        self._interval_ms = 1000 / limit.per_second
        self._burst_ms = (limit.burst - 1) * self._interval_ms
        self._full_at = 0.0
        self._latest = 0

    def wait(self, now: int) -> float | None:
        """Take a token at the time *now* (ms). If there is none, return the seconds until there is one."""
        # A request may be decided after one that was received later; time must not go back for that.
        self._latest = now = max(now, self._latest)
        full_at = max(self._full_at, now)
        if full_at - self._burst_ms > now + _ROUNDING_MS:
            return (full_at - self._burst_ms - now) / 1000
        self._full_at = full_at + self._interval_ms
        return None

    def move(self, milliseconds: int) -> None:
        """Shift the schedule when the clock is set back by *milliseconds*."""
        self._latest -= milliseconds
        self._full_at -= milliseconds


class ActiveFault:
    """A fault at work, with its counts: how many requests it matched, and how many of these it hit."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.matched = 0
        self.hits = 0
        self._random = Random(fault.seed)
        self._bucket = _Bucket(fault.rate_limit) if fault.rate_limit else None

    @property
    def used_up(self) -> bool:
        """Whether no further request is hit, whatever it is."""
        times, sequence = self.fault.times, self.fault.sequence
        return (times is not None and self.hits >= times) or bool(sequence and self.matched >= len(sequence))

    def answer(self, now: int, arrivals: Sequence[Arrival]) -> FaultAnswer | None:
        """Return what happens to a request that matches, at the time *now* (ms); None lets it pass."""
        self.matched += 1
        action = self._action()
        # Drawn for every match, so that a seed gives the same sequence whatever else decides.
        passes = self._random.random() >= self.fault.probability
        if action is None or passes or (self.fault.times is not None and self.hits >= self.fault.times):
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
        """Shift the schedule of its rate limit when the clock is set back by *milliseconds*."""
        if self._bucket is not None:
            self._bucket.move(milliseconds)

    def _rows(self, answer: FaultAnswer, arrivals: Sequence[Arrival]) -> tuple[int, ...]:
        """Return the indexes of the valid rows that fail: those that *answer* lists, else those that match."""
        match = self.fault.match
        return tuple(
            row.batch_index
            for row in arrivals
            if row.batch_index is not None
            and row.endpoint == "batch"
            and not isinstance(row, Rejection)
            and (match.matches_arrival(row) if answer.rows is None else row.batch_index in answer.rows)
        )

    def _action(self) -> Action | None:
        sequence = self.fault.sequence
        if not sequence:
            return self.fault.action
        return sequence[self.matched - 1] if self.matched <= len(sequence) else None


class Faults:
    """The faults of one account, by name; thread-safe."""

    def __init__(self) -> None:
        self._active: dict[str, ActiveFault] = {}
        self._lock = Lock()

    def add(self, fault: Fault) -> ActiveFault:
        """Activate *fault* with its counts at zero. It replaces the fault of that name."""
        with self._lock:
            active = self._active[fault.name] = ActiveFault(fault)
            return active

    def remove(self, name: str) -> ActiveFault | None:
        """Remove the fault *name* and return it, if there is one."""
        with self._lock:
            return self._active.pop(name, None)

    def clear(self) -> int:
        """Remove all faults; return how many there were."""
        with self._lock:
            count = len(self._active)
            self._active.clear()
            return count

    def move(self, milliseconds: int) -> None:
        """Shift the schedules of all rate limits when the clock is set back by *milliseconds*."""
        with self._lock:
            for active in self._active.values():
                active.move(milliseconds)

    def active(self) -> list[ActiveFault]:
        """Return the faults, the oldest first."""
        with self._lock:
            return list(self._active.values())

    def answer(self, request: Request, contents: Contents) -> FaultAnswer | None:
        """Return what happens to *request*, with these *contents*: the oldest fault that hits it decides."""
        if not self._active:
            return None
        with self._lock:
            for active in self._active.values():
                if active.fault.match.matches(request, contents):
                    answer = active.answer(request.received_at, contents.arrivals)
                    if answer is not None:
                        return answer
        return None


def apply_fault(arrivals: Sequence[Arrival], fault: FaultAnswer | None) -> Sequence[Arrival]:
    """Return *arrivals* after *fault*: one rejection, some rows rejected, or all unchanged."""
    if fault is None:
        return arrivals
    if fault.replaces:
        return [_rejection(arrivals[0], fault, fault.status, None)]
    if fault.rows is None:
        return arrivals
    status = 500 if fault.code == "queue_failed" else 400
    return [
        _rejection(arrival, fault, status, arrival.batch_index) if arrival.batch_index in fault.rows else arrival
        for arrival in arrivals
    ]


def retry_headers(fault: FaultAnswer) -> dict[str, str]:
    """Return the headers that say when to retry; in milliseconds too, if whole seconds are not exact."""
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
        identity=() if whole_batch else arrival.identity,
    )
