"""Faults, planned misbehaviour: which requests they hit, when, and what they do to them (rule 429-500).

All are values: a request that a fault matches leaves a new one, with other counts and another level of its rate limit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

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


@dataclass(frozen=True, slots=True)
class Bucket:
    """The state of a rate limit: the time (ms) when the bucket is full again, and the latest time it was asked at.

    A count of tokens would need a sum of many small numbers, and their rounding errors would add up.
    """

    full_at: float = 0.0
    latest: int = 0

    def take(self, limit: RateLimit, now: int) -> tuple["Bucket", float | None]:
        """Take a token at the time *now* (ms). If there is none, return the seconds until there is one."""
        interval_ms = 1000 / limit.per_second
        burst_ms = (limit.burst - 1) * interval_ms
        # A request may be decided after one that was received later; time must not go back for that.
        now = max(now, self.latest)
        full_at = max(self.full_at, now)
        if full_at - burst_ms > now + _ROUNDING_MS:
            return replace(self, latest=now), (full_at - burst_ms - now) / 1000
        return Bucket(full_at + interval_ms, now), None

    def moved(self, milliseconds: int) -> "Bucket":
        """Return it as it is when the clock was set back by *milliseconds*."""
        return Bucket(self.full_at - milliseconds, self.latest - milliseconds)


@dataclass(frozen=True, slots=True)
class ActiveFault:
    """A fault at work, with its counts: how many requests it matched, and how many of these it hit."""

    fault: Fault
    matched: int = 0
    hits: int = 0
    bucket: Bucket = field(default_factory=Bucket)

    @property
    def used_up(self) -> bool:
        """Whether no further request is hit, whatever it is."""
        times, sequence = self.fault.times, self.fault.sequence
        return (times is not None and self.hits >= times) or bool(sequence and self.matched >= len(sequence))

    def answer(self, now: int, arrivals: Sequence[Arrival]) -> tuple["ActiveFault", FaultAnswer | None]:
        """Return it after a request that matches, at the time *now* (ms), and what happens to that; None: it passes."""
        matched = replace(self, matched=self.matched + 1)
        answer = matched._drawn(arrivals)
        if answer is not None and self.fault.rate_limit is not None:
            bucket, wait = self.bucket.take(self.fault.rate_limit, now)
            matched = replace(matched, bucket=bucket)
            answer = None if wait is None else replace(answer, status=answer.status or 429, retry_after=wait)
        return (matched, None) if answer is None else (replace(matched, hits=self.hits + 1), answer)

    def moved(self, milliseconds: int) -> "ActiveFault":
        """Return it with the schedule of its rate limit shifted, as the clock was set back by *milliseconds*."""
        return replace(self, bucket=self.bucket.moved(milliseconds))

    def _drawn(self, arrivals: Sequence[Arrival]) -> FaultAnswer | None:
        """Return what happens to the latest match, a rate limit aside."""
        action = self._action()
        # Of the seed and the number of the match alone, so that a seed gives the same sequence in several processes.
        random = Random(f"{self.fault.seed} {self.matched}")
        passes = random.random() >= self.fault.probability
        if action is None or passes or (self.fault.times is not None and self.hits >= self.fault.times):
            return None
        answer = replace(action.answer, delay_ms=action.delay.drawn(random))
        if answer.code is None:
            return answer
        rows = self._rows(answer, arrivals)
        return replace(answer, rows=rows) if rows else None

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


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults of one account, the oldest first. Each has a name of its own."""

    active: tuple[ActiveFault, ...] = ()

    def named(self, name: str) -> ActiveFault | None:
        """Return the fault *name*, if there is one."""
        return next((active for active in self.active if active.fault.name == name), None)

    def planned(self, fault: Fault) -> "Faults":
        """Return them with *fault*, its counts at zero. It takes the place of the fault of that name."""
        new = ActiveFault(fault)
        if self.named(fault.name) is None:
            return Faults((*self.active, new))
        return Faults(tuple(new if one.fault.name == fault.name else one for one in self.active))

    def without(self, name: str) -> "Faults":
        """Return them without the fault *name*."""
        return Faults(tuple(active for active in self.active if active.fault.name != name))

    def moved(self, milliseconds: int) -> "Faults":
        """Return them with the schedules of all rate limits shifted, as the clock was set back by *milliseconds*."""
        return Faults(tuple(active.moved(milliseconds) for active in self.active))

    def answer(self, request: Request, contents: Contents) -> tuple["Faults", FaultAnswer | None]:
        """Return them after *request*, with these *contents*, and what happens to it: the oldest that hits decides."""
        answer, after = None, list(self.active)
        for index, active in enumerate(self.active):
            if answer is None and active.fault.match.matches(request, contents):
                after[index], answer = active.answer(request.received_at, contents.arrivals)
        return Faults(tuple(after)), answer


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
