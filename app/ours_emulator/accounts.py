"""The accounts: configuration, clock and faults of each. Opened on first use, refused once closed."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Protocol, TypeAlias

from ours_emulator.clock import Clock
from ours_emulator.contract.account import AccountConfig, experiments_note
from ours_emulator.contract.revision import Revision
from ours_emulator.contract.sdk import newer_note
from ours_emulator.decide.faults import Faults
from ours_emulator.store import AccountText, SharedAccounts


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """An account in use: its configuration, and the clock and the faults that tests set."""

    config: AccountConfig
    clock: Clock = field(default_factory=Clock)
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

    def with_clock(self, clock: Clock) -> "OpenAccount":
        """Return it with that *clock*. Rate limits move with a clock that is set back."""
        back = max(self.clock.now() - clock.now(), 0)
        return replace(self, clock=clock, faults=self.faults.moved(back))


@dataclass(frozen=True, slots=True)
class ClosedAccount:
    """An account that was closed, and how many requests came for it after that."""

    late_requests: int = 0


Account: TypeAlias = OpenAccount | ClosedAccount
ReadChanged: TypeAlias = Callable[[int], Awaitable[Iterable[AccountText]]]
"""Returns the accounts with a version greater than a given one."""


class AccountCodec(Protocol):
    """Accounts as text, as which several processes share them."""

    def encode(self, account: Account) -> str:
        """Return *account* as text."""
        ...

    def decode(self, text: str, template: AccountConfig) -> Account:
        """Return the account in *text*; *template* has what nobody chose."""
        ...


@dataclass(frozen=True, slots=True)
class _Shared:
    """How accounts are shared with other processes."""

    codec: AccountCodec
    store: SharedAccounts
    read: ReadChanged


class Accounts:
    """The accounts by name; thread-safe. Each one starts with the configuration *template*.

    Other threads see what a transaction changes at once, though it may yet fail.

    Their clocks are frozen at *now*, in milliseconds since the epoch, if given. Changes belong in a `transaction`.
    Unless they are shared, nothing here leaves the process, or outlives it.
    """

    def __init__(self, template: AccountConfig, now: int | None = None) -> None:
        self._template = template
        self._templates: dict[str, AccountConfig] = {}
        self._clock = Clock(now)
        self._accounts: dict[str, Account] = {}
        self._before: dict[str, Account | None] = {}
        """What was changed in this transaction, as it was before."""
        self._versions: dict[str, int] = {}
        self._latest = 0
        """The greatest of these versions."""
        self._saved = 0
        """The version that other processes know this transaction's changes by; 0 without any."""
        self._lock = Lock()
        self._shared: _Shared | None = None

    @property
    def are_shared(self) -> bool:
        """Whether other processes change the same accounts."""
        return self._shared is not None

    def share(self, codec: AccountCodec, shared: SharedAccounts, read: ReadChanged) -> None:
        """Share the accounts with other processes, in transactions by *shared*, and outside of them by *read*."""
        self._shared = _Shared(codec, shared, read)

    async def refresh(self) -> None:
        """Take over what other processes have changed, if there may be any. Raises StoreError."""
        if self._shared is not None and (texts := await self._shared.read(self._latest)):
            # A tracking plan takes long to read.
            await asyncio.to_thread(self._take, texts)

    def open(self, name: str) -> OpenAccount | None:
        """Return the account *name*, opened on first use; None if it is closed."""
        account = self._accounts.get(name)
        if account is None:
            with self._lock:
                account = self._accounts.setdefault(name, self._new(name))
        return account if isinstance(account, OpenAccount) else None

    def revision(self, name: str | None) -> Revision:
        """Return the revision of the account *name*; the one that accounts start with if it is not open, or None."""
        account = None if name is None else self._accounts.get(name)
        return (account.config if isinstance(account, OpenAccount) else self._template).revision

    def shown(self, name: str) -> OpenAccount | None:
        """Return the account *name* without opening it; None if it is closed."""
        account = self._accounts.get(name) or self._new(name)
        return account if isinstance(account, OpenAccount) else None

    def template(self, name: str) -> AccountConfig:
        """Return the configuration that the account *name* starts with."""
        return self._templates.get(name) or self._templates.setdefault(name, replace(self._template, name=name))

    def config(self, name: str) -> AccountConfig:
        """Return the configuration of the account *name*; the one that it starts with if it is not open."""
        account = self._accounts.get(name)
        return account.config if isinstance(account, OpenAccount) else self.template(name)

    def secrets(self, name: str) -> frozenset[str]:
        """Return the tokens and keys of the account *name*; none if it is not open."""
        account = self._accounts.get(name)
        return account.config.tokens | account.config.keys if isinstance(account, OpenAccount) else frozenset()

    def late(self, name: str) -> int | None:
        """Return how many requests came for the account *name* after it was closed; None if it is not closed."""
        account = self._accounts.get(name)
        return account.late_requests if isinstance(account, ClosedAccount) else None

    def names(self) -> list[str]:
        """Return the names of all accounts used since the start, sorted."""
        return sorted(self._accounts.copy())

    def put(self, name: str, account: Account) -> None:
        """Make *account* the one called *name*."""
        with self._lock:
            self._before.setdefault(name, self._accounts.get(name))
            self._accounts[name] = account

    def configure(self, config: AccountConfig, *, is_configured: bool = True) -> OpenAccount:
        """Give the account `config.name` that configuration. A closed account is open again."""
        before = self.shown(config.name) or self._new(config.name)
        account = replace(before, config=config, is_configured=is_configured)
        self.put(config.name, account)
        return account

    def close(self, name: str) -> None:
        """Forget the account *name*; its requests are refused from now on."""
        self.put(name, ClosedAccount(self.late(name) or 0))

    def refuse(self, name: str) -> None:
        """Count a request to the closed account *name*."""
        self.put(name, ClosedAccount((self.late(name) or 0) + 1))

    def restart(self, name: str | None) -> None:
        """Reset the clock and remove the faults of the account *name*, or of all accounts if None."""
        for each, account in self._accounts.copy().items():
            if name in (None, each) and isinstance(account, OpenAccount) and not self._is_at_start(account):
                self.put(each, replace(account, clock=self._clock, faults=Faults()))

    def _is_at_start(self, account: OpenAccount) -> bool:
        return not account.faults.active and account.clock == self._clock

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Keep what is changed inside, or, if it raises, have everything as it was. One at a time."""
        self._before.clear()
        self._saved = 0
        try:
            yield
        except BaseException:
            self._undo()
            raise
        with self._lock:
            if self._saved:
                for name in self._before:
                    self._versions[name] = self._saved
                self._latest = max(self._latest, self._saved)
            self._before.clear()

    def load(self) -> None:
        """Take over, at the start of a transaction of the store, what other processes changed."""
        if self._shared is not None:
            self._take(self._shared.store.changed_accounts(self._latest))

    def _take(self, texts: Iterable[AccountText]) -> None:
        """Take over accounts as text, but for those of which a newer version is known."""
        latest = 0
        for name, version, text in texts:
            if self._shared is not None and version > self._versions.get(name, 0):
                self._take_one(name, version, self._shared.codec.decode(text, self.template(name)))
            latest = version
        # Not before all of them: several may have the same version.
        self._latest = max(self._latest, latest)

    def _take_one(self, name: str, version: int, account: Account) -> None:
        with self._lock:
            # Another thread may have taken over a newer one meanwhile.
            if version > self._versions.get(name, 0):
                self._versions[name] = version
                # What this transaction made of it stays, until it fails.
                (self._before if name in self._before else self._accounts)[name] = account

    def save(self) -> None:
        """Leave what was changed to other processes, at the end of a transaction of the store."""
        if self._shared is not None and self._before:
            encode = self._shared.codec.encode
            self._saved = self._shared.store.save_accounts(
                {name: encode(self._accounts[name]) for name in self._before}
            )

    def _undo(self) -> None:
        with self._lock:
            for name, account in self._before.items():
                if account is None:
                    del self._accounts[name]
                else:
                    self._accounts[name] = account
            self._before.clear()

    def _new(self, name: str) -> OpenAccount:
        return OpenAccount(self.template(name), self._clock)
