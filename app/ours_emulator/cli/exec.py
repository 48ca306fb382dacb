"""Any command, run against an emulator of its own: `ours-emulator exec -- COMMAND …`."""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from ours_emulator.emulator import Emulator, report
from ours_emulator.emulator.handle import without_proxies
from ours_emulator.emulator.local import handle, serving
from ours_emulator.feed import Feed
from ours_emulator.model import Exchange
from ours_emulator.settings import Loaded

NOT_EXECUTABLE = 126
NOT_FOUND = 127
_BY_SIGNAL = 128
_MOST_OBJECTIONS = 20
_HEARING_SECONDS = 0.2
_FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
_FROM_TERMINAL = ("SIGINT", "SIGQUIT")


def run(command: Sequence[str], loaded: Loaded, listens: Callable[[Loaded, int], None]) -> int:
    """Run *command* against an emulator as *loaded* says, tell on standard error what arrived, return its exit code.

    *listens* is told the port before. As with a shell, the code is 127 if there is no such command, 126 if it can't be
    run, and 128 and the signal that killed it.
    """
    tally = Tally()
    with serving(loaded, tally) as url, handle(url, loaded) as emulator:
        listens(loaded, int(url.rpartition(":")[2]))
        try:
            code = _code(command, {**os.environ, **without_proxies(os.environ), **emulator.env})
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            sys.stderr.write(f"ours-emulator: {command[0]} can't be run: {error.strerror}\n")
            return NOT_FOUND if missing else NOT_EXECUTABLE
        sys.stderr.write(_summary(emulator, tally))
    return code


class Tally(Feed):
    """A feed that counts what arrived in accounts that were closed or reset since: the store knows it no more.

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

    def told(self) -> str:
        """Return `in 2 accounts closed or reset meanwhile: 3 requests, 4 events accepted`; "" if nothing was."""
        forgotten = self._forgotten.copy()
        if not forgotten:
            return ""
        total = sum(forgotten.values(), Counter[str]())
        accounts = report.number(len(forgotten), "account")
        return f"in {accounts} closed or reset meanwhile: {report.counted(total['requests'], total, total['hints'])}"


def _counts(exchange: Exchange) -> Counter[str]:
    hints = sum(len(receipt.hints) for receipt in exchange.receipts)
    return Counter(requests=1, hints=hints) + Counter(receipt.outcome for receipt in exchange.receipts)


def _code(command: Sequence[str], environment: Mapping[str, str]) -> int:
    with _forwarding() as forwarding:
        child = subprocess.Popen(command, env=environment)
        forwarding.to(child)
        # Waited for in a thread: a signal that comes right before this one would block is heard when that is over.
        waiting = threading.Thread(target=child.wait)
        waiting.start()
        while waiting.is_alive():
            waiting.join(_HEARING_SECONDS)
    code = child.returncode
    return code if code >= 0 else _BY_SIGNAL - code


class _Forwarding:
    """Passes signals on to a command instead of ending for them."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def to(self, child: subprocess.Popen[bytes]) -> None:
        """Pass signals on to *child*, and those that came while it was started."""
        self._child = child
        for number in self._early:
            child.send_signal(number)

    def forward(self, number: int, _: FrameType | None) -> None:
        """Pass a signal on, unless the terminal has sent it to the command as well."""
        if self._child is None:
            self._early.append(number)
        elif signal.Signals(number).name not in _FROM_TERMINAL or not _in_foreground():
            self._child.send_signal(number)


@contextmanager
def _forwarding() -> Generator[_Forwarding]:
    forwarding = _Forwarding()
    numbers = [getattr(signal, name) for name in _FORWARDED if hasattr(signal, name)]
    before = [(number, signal.signal(number, forwarding.forward)) for number in numbers]
    try:
        yield forwarding
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _in_foreground() -> bool:
    """Whether a terminal sends its signals to this process, and so to the command as well."""
    try:
        return os.tcgetpgrp(sys.__stderr__.fileno()) == os.getpgrp() if sys.__stderr__ else False
    except (OSError, ValueError, AttributeError):
        return False


def _summary(emulator: Emulator, tally: Tally) -> str:
    requests, events = emulator.requests(), emulator.events(outcome="any")
    found = report.objections(events)
    arrived = "; ".join(part for part in (report.counts(requests, events), tally.told()) if part)
    lines = [f"ours-emulator: {arrived}", *(f"  {line}" for line in found[:_MOST_OBJECTIONS])]
    if len(found) > _MOST_OBJECTIONS:
        lines.append(f"  and {len(found) - _MOST_OBJECTIONS} more")
    return "\n".join(lines) + "\n"
