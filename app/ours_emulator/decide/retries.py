"""Which requests are attempts of one call: a request that a fault hit is sent again (rule attempts).

`Calls` has the state of one group of requests. The rest are pure functions.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeAlias

from ours_emulator.model import Arrival, Attempt, Exchange, Message, Request
from ours_emulator.records import Hint

# Longer than any SDK waits between two attempts; what comes later with the same content is a new call.
_MAX_GAP_SECONDS = 600
Key: TypeAlias = tuple[str, str, str]
"""What all attempts of a call have in common: account, endpoint, and a digest of the distinct ids or the body."""


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """The latest attempt of a call, which a fault hit."""

    attempt: Attempt
    received_at: int
    started: float
    retry_after: float | None
    """Seconds that the client was told to wait."""

    def gap(self, request: Request) -> float:
        """Return how many seconds after this attempt *request* came; if it is replayed, came originally."""
        if request.replayed:
            return max(request.received_at - self.received_at, 0) / 1000
        # Another process may have told of it by another clock.
        return max(request.started - self.started, 0.0)

    def waited(self, request: Request) -> float:
        """Return how many seconds the client waited, by the real clock or the account's, whichever is more."""
        return max(self.gap(request), (request.received_at - self.received_at) / 1000)


@dataclass(frozen=True, slots=True)
class AttemptBefore:
    """The attempt before another: its call, and when it came, in milliseconds since the epoch."""

    call_id: int
    received_at: int


class Calls:
    """The calls of a group of requests whose latest attempt a fault hit: those *stored*, and those of the group."""

    def __init__(self, stored: Mapping[Key, FailedAttempt]) -> None:
        self._stored = stored
        self.changed: dict[Key, FailedAttempt | None] = {}
        """What the group made of them; None for those whose latest attempt did not fail."""

    def before(self, request: Request, arrivals: Sequence[Arrival]) -> FailedAttempt | None:
        """Return the failed attempt that *request*, with these *arrivals*, repeats."""
        if not self._stored and not self.changed:
            return None
        if request.sdk_counts and request.attempt == 1:
            return None
        key = call_key(request, arrivals)
        failed = self.changed[key] if key in self.changed else self._stored.get(key)
        return None if failed is None or failed.gap(request) > _MAX_GAP_SECONDS else failed

    def add(self, exchange: Exchange, arrivals: Sequence[Arrival]) -> None:
        """Record whether *exchange*, the latest attempt of its call, failed."""
        if exchange.fault is not None and (exchange.fault.hides_answer or exchange.fault.code is not None):
            request = exchange.request
            failed = FailedAttempt(exchange.attempt, request.received_at, request.started, exchange.fault.retry_after)
            self.changed[call_key(request, arrivals)] = failed
        elif self._stored or self.changed:
            key = call_key(exchange.request, arrivals)
            if key in self._stored or key in self.changed:
                self.changed[key] = None


def attempt_of(
    id_: int,
    request: Request,
    failed: FailedAttempt | None,
    group: Sequence[Exchange],
    stored: Callable[[], AttemptBefore | None],
) -> Attempt:
    """Return which attempt of which call *request* is: by the header of its SDK, or because *failed* came before it.

    *id_* is the id of its exchange. The attempt before it is in its *group*, or *stored*.
    """
    if failed is not None:
        number = max(request.attempt, failed.attempt.number + 1)
        return Attempt(failed.attempt.call_id, number, failed.gap(request) * 1000)
    before = None if request.attempt == 1 else _before_in(group, request) or stored()
    if before is None:
        return Attempt(id_, request.attempt)
    # The clock may have been set back in between.
    return Attempt(before.call_id, request.attempt, max(request.received_at - before.received_at, 0))


def _before_in(group: Sequence[Exchange], request: Request) -> AttemptBefore | None:
    """Return the latest one of *group* that has the number and the content of the attempt before *request*."""
    sent = (request.attempt - 1, request.account, request.path, request.body)
    for other in reversed(group):
        before = other.request
        if (other.attempt.number, before.account, before.path, before.body) == sent:
            return AttemptBefore(other.attempt.call_id, before.received_at)
    return None


def early_retry_hint(before: FailedAttempt, request: Request) -> Iterable[Hint]:
    """Yield a hint if *request* came sooner than the answer to the attempt *before* it allowed (rule attempts)."""
    waited = before.waited(request)
    if before.retry_after is not None and waited < before.retry_after:
        message = f"retried after {waited:.3f} s, but Retry-After was {before.retry_after:g} s"
        yield Hint("attempts", "", message)


def call_key(request: Request, arrivals: Sequence[Arrival]) -> Key:
    """Return what all attempts of the call have in common that *request*, with these *arrivals*, belongs to."""
    messages = [arrival for arrival in arrivals if isinstance(arrival, Message)]
    ids = [(message.distinct_id, message.test) for message in messages if message.distinct_id is not None]
    digested = repr(ids).encode() if len(ids) == len(arrivals) else request.body
    return request.account, request.endpoint, blake2b(digested, digest_size=16).hexdigest()
