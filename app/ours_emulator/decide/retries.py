"""Which requests are attempts of one call: what a fault kept from being answered well comes again (rule attempts)."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeAlias

from ours_emulator.model import Arrival, Attempt, Exchange, Message, Request
from ours_emulator.records import Hint

_MOST = 10_000
_MOST_SECONDS = 600
Key: TypeAlias = tuple[str, str, str]
"""What a further attempt has in common with the first: account, endpoint, and distinct ids or else the body."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The latest attempt of a call, which a fault hit, and what its client was told."""

    attempt: Attempt
    received_at: int
    started: float
    retry_after: float | None
    """Seconds the client was asked to wait."""

    def gap(self, request: Request) -> float:
        """Return how many seconds later *request* came; of one that is replayed, when it came first."""
        if request.replayed:
            return max(request.received_at - self.received_at, 0) / 1000
        return request.started - self.started

    def waited(self, request: Request) -> float:
        """Return how many seconds its client has waited, by the world's clock or, if that is more, the account's."""
        return max(self.gap(request), (request.received_at - self.received_at) / 1000)


class Calls:
    """The calls whose latest attempt a fault hit, of the last ten thousand.

    What a group of requests adds counts for the rest of that group at once, and for later ones when it is kept.
    """

    def __init__(self) -> None:
        self._failed: OrderedDict[Key, Failed] = OrderedDict()
        self._new: dict[Key, Failed | None] = {}

    def begin(self) -> None:
        """Begin a group; what an earlier one added and did not keep is forgotten."""
        self._new.clear()

    def keep(self) -> None:
        """Keep what the group added."""
        for key, failed in self._new.items():
            self._failed.pop(key, None)
            if failed is not None:
                self._failed[key] = failed
        self._new.clear()
        while len(self._failed) > _MOST:
            self._failed.popitem(last=False)

    def forget(self, account: str | None) -> None:
        """Forget the calls of *account*, of all accounts if None."""
        for key in [key for key in self._failed if account in (None, key[0])]:
            del self._failed[key]

    def before(self, request: Request, arrivals: Sequence[Arrival]) -> Failed | None:
        """Return the failed attempt that *request*, which says *arrivals*, repeats."""
        if not self._failed and not self._new:
            return None
        if request.sdk_counts and request.attempt == 1:
            return None
        key = _key(request, arrivals)
        found = self._new[key] if key in self._new else self._failed.get(key)
        return None if found is None or found.gap(request) > _MOST_SECONDS else found

    def add(self, exchange: Exchange, arrivals: Sequence[Arrival]) -> None:
        """Take note of how the latest attempt of a call went."""
        if exchange.fault is not None and (exchange.fault.hides_answer or exchange.fault.code is not None):
            request = exchange.request
            failed = Failed(exchange.attempt, request.received_at, request.started, exchange.fault.retry_after)
            self._new[_key(request, arrivals)] = failed
        elif self._failed or self._new:
            self._new[_key(exchange.request, arrivals)] = None


def early_retry_hint(before: Failed, request: Request) -> Iterable[Hint]:
    """Yield a hint if *request* came back sooner than the attempt *before* it was told to (rule attempts)."""
    waited = before.waited(request)
    if before.retry_after is not None and waited < before.retry_after:
        said = f"came back after {waited:.3f} s; Retry-After asked for {before.retry_after:g} s"
        yield Hint("attempts", "", said)


def _key(request: Request, arrivals: Sequence[Arrival]) -> Key:
    ids = [(it.distinct_id, it.test) for it in arrivals if isinstance(it, Message) and it.distinct_id is not None]
    said = repr(ids).encode() if len(ids) == len(arrivals) else request.body
    return request.account, request.endpoint, blake2b(said, digest_size=16).hexdigest()
