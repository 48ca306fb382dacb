"""What arrived at an emulator, counted when it arrives: the store may forget it before anybody asks."""

from collections import Counter
from collections.abc import Sequence

from ours_emulator.emulator import report
from ours_emulator.event_view import event_of
from ours_emulator.handshake import Arrivals
from ours_emulator.model import Exchange

_MAX_PROBLEMS = 20


class ArrivalCounts:
    """Counts what arrives, however soon the store forgets it. Replayed requests are counted apart."""

    def __init__(self) -> None:
        self._counts = Counter[str]()
        self._outcomes = Counter[str]()
        self._problems: list[str] = []
        self._more = 0

    def add(self, exchanges: Sequence[Exchange]) -> None:
        """Count *exchanges*."""
        for exchange in exchanges:
            if exchange.request.replayed:
                self._counts["replayed"] += 1
            else:
                self._add_arrival(exchange)

    def arrivals(self) -> Arrivals:
        """Return the counts so far."""
        counts = self._counts
        return Arrivals(
            requests=counts["requests"],
            outcomes=dict(self._outcomes),
            hints=counts["hints"],
            problems=tuple(self._problems),
            more=self._more,
            replayed=counts["replayed"],
        )

    def _add_arrival(self, exchange: Exchange) -> None:
        self._counts["requests"] += 1
        for receipt in exchange.receipts:
            self._outcomes[receipt.outcome] += 1
            self._counts["hints"] += len(receipt.hints)
            if receipt.hints or receipt.outcome in ("rejected", "dropped"):
                self._add_problems(report.problems([event_of(exchange, receipt)]))

    def _add_problems(self, lines: Sequence[str]) -> None:
        room = _MAX_PROBLEMS - len(self._problems)
        self._problems += lines[:room]
        self._more += len(lines[room:])
