"""What `exec` reports when its command has ended."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from ours_emulator.emulator import Emulator, report
from ours_emulator.feed import Feed
from ours_emulator.model import Exchange
from ours_emulator.wording import plural

_MAX_OBJECTIONS = 20


class ForgottenCounts(Feed):
    """A feed that counts what arrived in accounts that were closed or reset since, which the store has no more.

    What is replayed is not counted: a seed comes back with every reset.
    """

    def __init__(self) -> None:
        super().__init__()
        self._stored: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._forgotten: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def publish(self, exchanges: Sequence[Exchange]) -> None:
        """Count *exchanges* before they are handed over."""
        for exchange in exchanges:
            if not exchange.request.replayed:
                self._stored[exchange.request.account].update(_counts(exchange))
        super().publish(exchanges)

    def cleared(self, account: str | None, next_id: int) -> None:
        """Count as forgotten what *account* had, or all accounts if None."""
        for name in [name for name in self._stored if account in (None, name)]:
            self._forgotten[name].update(self._stored.pop(name))
        super().cleared(account, next_id)

    def __str__(self) -> str:
        """Return `in 2 accounts closed or reset meanwhile: 3 requests, 4 events accepted`; "" if nothing was."""
        forgotten = self._forgotten.copy()
        if not forgotten:
            return ""
        total = sum(forgotten.values(), Counter[str]())
        accounts = plural(len(forgotten), "account")
        return f"in {accounts} closed or reset meanwhile: {report.counted(total['requests'], total, total['hints'])}"


def summary(emulator: Emulator, forgotten: ForgottenCounts) -> str:
    """Return the counts of all that arrived, and a line for each rejection, drop and hint, the first 20 of them."""
    requests, events = emulator.requests(), emulator.events(outcome="any")
    objections = report.objections(events)
    counts = "; ".join(part for part in (report.counts(requests, events), str(forgotten)) if part)
    lines = [f"ours-emulator: {counts}", *(f"  {line}" for line in objections[:_MAX_OBJECTIONS])]
    if len(objections) > _MAX_OBJECTIONS:
        lines.append(f"  and {len(objections) - _MAX_OBJECTIONS} more")
    return "\n".join(lines) + "\n"


def _counts(exchange: Exchange) -> Counter[str]:
    hints = sum(len(receipt.hints) for receipt in exchange.receipts)
    return Counter(requests=1, hints=hints) + Counter(receipt.outcome for receipt in exchange.receipts)
