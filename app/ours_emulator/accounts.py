"""The accounts: what each one accepts, its clock and its faults. Made on first use, refused once closed."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock

from ours_emulator.clock import Clock
from ours_emulator.decide.faults import Faults
from ours_emulator.model import Account


@dataclass(slots=True)
class OpenAccount:
    """An account in use: what it accepts, and what a test may do to it."""

    accepts: Account
    clock: Clock
    faults: Faults = field(default_factory=Faults)

    def move_clock(self, change: Callable[[Clock], None]) -> None:
        """Do *change* to the clock; rate limits go with it when it is set back."""
        before = self.clock.now()
        change(self.clock)
        self.faults.move(max(before - self.clock.now(), 0))

    def restart(self) -> None:
        """Take back what was done to clock and faults; what it accepts stays."""
        self.clock.restart()
        self.faults.clear()


class Accounts:
    """The accounts by name; thread-safe. Every one begins as *template* is, its clock frozen at *now* if given.

    None of this outlives the process.
    """

    def __init__(self, template: Account, now: int | None = None) -> None:
        self._template = template
        self._now = now
        self._open: dict[str, OpenAccount] = {}
        self._late: dict[str, int] = {}
        self._changing = Lock()

    def open(self, name: str) -> OpenAccount | None:
        """Return the account *name*, made on first use; None if it is closed."""
        found = self._open.get(name)
        return self._made(name) if found is None else found

    def now(self, name: str) -> int:
        """Return the present moment of the account *name*, in milliseconds since the epoch."""
        return self.clock(name).now()

    def clock(self, name: str) -> Clock:
        """Return the clock of the account *name*; of a closed one, which may be open again soon, a new one."""
        account = self.open(name)
        return Clock(self._now) if account is None else account.clock

    def shown(self, name: str) -> OpenAccount | None:
        """Return the account *name* to look at, None if it is closed; looking makes none."""
        if name in self._late:
            return None
        return self._open.get(name) or OpenAccount(self.template(name), Clock(self._now))

    def template(self, name: str) -> Account:
        """Return what the account *name* accepts before anything is said of it."""
        return replace(self._template, name=name)

    def secrets(self, name: str) -> frozenset[str]:
        """Return the tokens and keys of the account *name*; of one that is not open there are none."""
        found = self._open.get(name)
        return frozenset() if found is None else found.accepts.tokens | found.accepts.keys

    def configure(self, accepts: Account) -> OpenAccount:
        """Let an account accept what *accepts* says. A closed one is open again."""
        with self._changing:
            self._late.pop(accepts.name, None)
            account = self._open.setdefault(accepts.name, OpenAccount(accepts, Clock(self._now)))
            account.accepts = accepts
            return account

    def close(self, name: str) -> None:
        """Forget the account *name* but for its name, which is refused from now on."""
        with self._changing:
            self._open.pop(name, None)
            self._late.setdefault(name, 0)

    def refuse(self, name: str) -> None:
        """Count a request that came after the account *name* was closed."""
        with self._changing:
            self._late[name] = self._late.get(name, 0) + 1

    def restart(self, name: str | None) -> None:
        """Take back what was done to clock and faults of *name*, of all accounts if None."""
        for account in [it for it in self._open.copy().values() if name in (None, it.accepts.name)]:
            account.restart()

    def late(self, name: str) -> int | None:
        """Return how many requests came after the account *name* was closed; None if it is open."""
        return self._late.get(name)

    def names(self) -> list[str]:
        """Return the names of all accounts that were used since the start."""
        return sorted({*self._open.copy(), *self._late.copy()})

    def _made(self, name: str) -> OpenAccount | None:
        with self._changing:
            if name in self._late:
                return None
            return self._open.setdefault(name, OpenAccount(self.template(name), Clock(self._now)))
