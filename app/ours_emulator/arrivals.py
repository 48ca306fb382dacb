"""What arrived at an emulator, counted when it arrives: the store may forget it before anybody asks."""

from collections import Counter
from collections.abc import Sequence

from ours_emulator.emulator import report
from ours_emulator.event_view import event_of
from ours_emulator.feed import Feed
from ours_emulator.handshake import Arrivals
from ours_emulator.model import Exchange

_MAX_OBJECTIONS = 20


class ArrivalCounts(Feed):
    """A feed that counts what arrives, however soon the store forgets it. What is replayed did not arrive."""

    def __init__(self) -> None:
        super().__init__()
        self._counts = Counter[str]()
        self._outcomes = Counter[str]()
        self._objections: list[str] = []
        self._more = 0

    def publish(self, exchanges: Sequence[Exchange]) -> None:
        """Count *exchanges* before they are handed over."""
        for exchange in exchanges:
            if exchange.request.replayed:
                self._counts["replayed"] += 1
            else:
                self._count(exchange)
        super().publish(exchanges)

    def arrivals(self) -> Arrivals:
        """Return the counts so far."""
        counts = self._counts
        return Arrivals(
            requests=counts["requests"],
            outcomes=dict(self._outcomes),
            hints=counts["hints"],
            objections=tuple(self._objections),
            more=self._more,
            replayed=counts["replayed"],
        )

    def _count(self, exchange: Exchange) -> None:
        self._counts["requests"] += 1
        for receipt in exchange.receipts:
            self._outcomes[receipt.outcome] += 1
            self._counts["hints"] += len(receipt.hints)
            if receipt.hints or receipt.outcome in ("rejected", "dropped"):
                self._object(report.objections([event_of(exchange, receipt)]))

    def _object(self, lines: Sequence[str]) -> None:
        room = _MAX_OBJECTIONS - len(self._objections)
        self._objections += lines[:room]
        self._more += len(lines[room:])
