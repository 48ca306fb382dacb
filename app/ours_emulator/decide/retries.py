"""Which requests are attempts of one call: a request that a fault hit is sent again (rule attempts).

`Calls` has state, the attempts that failed lately. The rest are pure functions.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeAlias

from ours_emulator.model import Arrival, Attempt, Exchange, Message, Request
from ours_emulator.records import Hint

_MAX_CALLS = 10_000
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
        return request.started - self.started

    def waited(self, request: Request) -> float:
        """Return how many seconds the client waited, by the real clock or the account's, whichever is more."""
        return max(self.gap(request), (request.received_at - self.received_at) / 1000)


@dataclass(frozen=True, slots=True)
class AttemptBefore:
    """The attempt before another: its call, and when it came, in milliseconds since the epoch."""

    call_id: int
    received_at: int


class Calls:
    """The last ten thousand calls whose latest attempt a fault hit.

    What one group of requests adds counts for the rest of that group at once, and for later groups after `keep`.
    """

    def __init__(self) -> None:
        self._failed: OrderedDict[Key, FailedAttempt] = OrderedDict()
        self._new: dict[Key, FailedAttempt | None] = {}

    def begin(self) -> None:
        """Begin a group; what an earlier group added and did not keep is forgotten."""
        self._new.clear()

    def keep(self) -> None:
        """Keep what the group added, because it was committed."""
        for key, failed in self._new.items():
            self._failed.pop(key, None)
            if failed is not None:
                self._failed[key] = failed
        self._new.clear()
        while len(self._failed) > _MAX_CALLS:
            self._failed.popitem(last=False)

    def forget(self, account: str | None) -> None:
        """Forget the calls of *account*, of all accounts if None."""
        for key in [key for key in self._failed if account in (None, key[0])]:
            del self._failed[key]

    def before(self, request: Request, arrivals: Sequence[Arrival]) -> FailedAttempt | None:
        """Return the failed attempt that *request*, with these *arrivals*, repeats."""
        if not self._failed and not self._new:
            return None
        if request.sdk_counts and request.attempt == 1:
            return None
        key = _key(request, arrivals)
        failed = self._new[key] if key in self._new else self._failed.get(key)
        return None if failed is None or failed.gap(request) > _MAX_GAP_SECONDS else failed

    def add(self, exchange: Exchange, arrivals: Sequence[Arrival]) -> None:
        """Record whether *exchange*, the latest attempt of its call, failed."""
        if exchange.fault is not None and (exchange.fault.hides_answer or exchange.fault.code is not None):
            request = exchange.request
            failed = FailedAttempt(exchange.attempt, request.received_at, request.started, exchange.fault.retry_after)
            self._new[_key(request, arrivals)] = failed
        elif self._failed or self._new:
            self._new[_key(exchange.request, arrivals)] = None


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


def _key(request: Request, arrivals: Sequence[Arrival]) -> Key:
    messages = [arrival for arrival in arrivals if isinstance(arrival, Message)]
    ids = [(message.distinct_id, message.test) for message in messages if message.distinct_id is not None]
    digested = repr(ids).encode() if len(ids) == len(arrivals) else request.body
    return request.account, request.endpoint, blake2b(digested, digest_size=16).hexdigest()
