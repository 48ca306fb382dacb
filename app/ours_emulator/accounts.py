"""The accounts: configuration, clock and faults of each. Opened on first use, refused once closed."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock

from ours_emulator.clock import Clock
from ours_emulator.contract.account import AccountConfig, experiments_note
from ours_emulator.contract.revision import Revision
from ours_emulator.contract.sdk import newer_note
from ours_emulator.decide.faults import Faults


@dataclass(slots=True)
class OpenAccount:
    """An account in use: its configuration, and the clock and the faults that tests set."""

    config: AccountConfig
    clock: Clock
    faults: Faults = field(default_factory=Faults)
    is_configured: bool = False
    """Somebody chose the configuration for this account, even if it is the one that accounts start with."""
    newer_sdk: str = ""
    """The version of the first SDK that sent here and is made for a newer revision."""

    @property
    def notes(self) -> list[str]:
        """What is no mistake, but good to know of what sends here."""
        notes = (newer_note(self.newer_sdk, self.config.revision), experiments_note(self.config))
        return [note for note in notes if note]

    def move_clock(self, change: Callable[[Clock], None]) -> None:
        """Apply *change* to the clock. Rate limits move with it when it is set back."""
        before = self.clock.now()
        change(self.clock)
        self.faults.move(max(before - self.clock.now(), 0))

    def restart(self) -> None:
        """Reset the clock and remove all faults; the configuration stays."""
        self.clock.restart()
        self.faults.clear()


class Accounts:
    """The accounts by name; thread-safe. Each one starts with the configuration *template*.

    Their clocks are frozen at *now*, in milliseconds since the epoch, if given. Nothing here outlives the process.
    """

    def __init__(self, template: AccountConfig, now: int | None = None) -> None:
        self._template = template
        self._now = now
        self._open: dict[str, OpenAccount] = {}
        self._late: dict[str, int] = {}
        self._lock = Lock()

    def open(self, name: str) -> OpenAccount | None:
        """Return the account *name*, opened on first use; None if it is closed."""
        account = self._open.get(name)
        return self._opened(name) if account is None else account

    def now(self, name: str) -> int:
        """Return the time of the account *name*, in milliseconds since the epoch."""
        return self.clock(name).now()

    def clock(self, name: str) -> Clock:
        """Return the clock of the account *name*; a new one if it is closed, since it may be opened again."""
        account = self.open(name)
        return Clock(self._now) if account is None else account.clock

    def revision(self, name: str | None) -> Revision:
        """Return the revision of the account *name*; the one that accounts start with if it is not open, or None."""
        account = None if name is None else self._open.get(name)
        return (self._template if account is None else account.config).revision

    def shown(self, name: str) -> OpenAccount | None:
        """Return the account *name* without opening it; None if it is closed."""
        if name in self._late:
            return None
        return self._open.get(name) or OpenAccount(self.template(name), Clock(self._now))

    def template(self, name: str) -> AccountConfig:
        """Return the configuration that the account *name* starts with."""
        return replace(self._template, name=name)

    def config(self, name: str) -> AccountConfig:
        """Return the configuration of the account *name*; the one that it starts with if it is not open."""
        account = self._open.get(name)
        return self.template(name) if account is None else account.config

    def secrets(self, name: str) -> frozenset[str]:
        """Return the tokens and keys of the account *name*; none if it is not open."""
        account = self._open.get(name)
        return frozenset() if account is None else account.config.tokens | account.config.keys

    def configure(self, config: AccountConfig, *, is_configured: bool = True) -> OpenAccount:
        """Give the account `config.name` that configuration. A closed account is open again."""
        with self._lock:
            self._late.pop(config.name, None)
            account = self._open.setdefault(config.name, OpenAccount(config, Clock(self._now)))
            account.config, account.is_configured = config, is_configured
            return account

    def close(self, name: str) -> None:
        """Forget the account *name*; its requests are refused from now on."""
        with self._lock:
            self._open.pop(name, None)
            self._late.setdefault(name, 0)

    def refuse(self, name: str) -> None:
        """Count a request to the closed account *name*."""
        with self._lock:
            self._late[name] = self._late.get(name, 0) + 1

    def restart(self, name: str | None) -> None:
        """Reset the clock and remove the faults of the account *name*, or of all accounts if None."""
        for account in self._open.copy().values():
            if name in (None, account.config.name):
                account.restart()

    def late(self, name: str) -> int | None:
        """Return how many requests came for the account *name* after it was closed; None if it is not closed."""
        return self._late.get(name)

    def names(self) -> list[str]:
        """Return the names of all accounts used since the start, sorted."""
        return sorted({*self._open.copy(), *self._late.copy()})

    def _opened(self, name: str) -> OpenAccount | None:
        with self._lock:
            if name in self._late:
                return None
            return self._open.setdefault(name, OpenAccount(self.template(name), Clock(self._now)))
