"""The store behind its protocol: the pipeline writes, the debug API reads; a URL chooses the database behind it.

No exception of a driver leaves this package.
"""

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from ours_emulator.decide.content import identifiers_in
from ours_emulator.decide.decision import Decision
from ours_emulator.decide.deduplication import DistinctId, Original
from ours_emulator.decide.devices import PendingDevice
from ours_emulator.decide.identity import KnownVisitor, Name
from ours_emulator.decide.retries import AttemptBefore, FailedAttempt, Key
from ours_emulator.errors import StoreError as StoreError
from ours_emulator.model import Exchange, Identifier, Properties, Request, VisitorState
from ours_emulator.records import (
    Call,
    Cleared,
    Event,
    EventOrder,
    Page,
    RequestRecord,
    RuleCount,
    StoredRequest,
    Summary,
    Visitor,
    VisitorVersion,
)
from ours_emulator.store.event_text import texts_not_shown_in

T = TypeVar("T")
LARGEST = 2**63 - 1
"""The largest integer that the store can hold, and so the largest id."""
ANY_RULE = "any"
"""What an `EventFilter` has instead of a rule if any rule will do."""
LIST_BYTES = 16 * 1024 * 1024
"""About how large the items of one list may be together. One that is larger is a list alone."""


class StoreLostError(StoreError):
    """A file of an open store was removed, replaced or truncated by another program."""


class StoreBusyError(StoreError):
    """The store cannot be written at all, or nobody knows whether it was: the group must not be tried again."""


class StoreFailedError(StoreError):
    """The store could not be read or written: the disk is full, or fails."""


class CursorError(ValueError):
    """A cursor that no list of ours gave out."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept: rows of journal and receipts, bytes of the bodies of requests and answers, bytes of receipts.

    Those of receipts include the versions of visitors that they left, but for what each visitor is now.
    """

    rows: int = 100_000
    body_bytes: int = 256 * 1024 * 1024
    event_bytes: int = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events are asked for; None asks for any. Times are milliseconds since the epoch."""

    event: str | None = None
    visitor_id: str | None = None
    distinct_id: str | None = None
    endpoint: str | None = None
    outcome: str | None = "accepted"
    named: bool = False
    """Only what has the name of an event: not the Client API's aliases, visitors and devices."""
    test: bool | None = None
    since: int | None = None
    properties: Mapping[str, str] = field(default_factory=dict[str, str])
    hint: str | None = None
    """Only those with a hint of this rule; of any if it is `ANY_RULE`."""
    reason: str | None = None
    """Only those that this rule refused."""
    request_id: int | None = None
    ids: Sequence[int] | None = None
    also_named: Mapping[str, str] = field(default_factory=dict[str, str])
    """Beside those of the visitor also those of no visitor that gave one of these identifiers, in wire spelling."""


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """Which requests of the journal are asked for; None asks for any."""

    call_id: int | None = None
    status: int | None = None
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class VisitorFilter:
    """Which visitors are asked for; None asks for any. *text* is looked for anywhere in what is known of them."""

    identifiers: Mapping[Identifier, str] = field(default_factory=dict[Identifier, str])
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """Some items in order: as many as were asked for, or fewer if they are large, and whether there are `more`.

    They are events, or excerpts of events. Others may be missing: how many were `evicted`, the last of them
    with the id `last_evicted` (0 if none was).
    """

    items: Sequence[T]
    more: bool
    evicted: int
    last_evicted: int


class AccountText(NamedTuple):
    """An account as the processes share it that use one database: its name, its version, and what it is, as text."""

    name: str
    version: int
    text: str


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """A visitor as the event *id* left them. `unknown` names what of a `VisitorVersion` was never recorded."""

    id: int
    state: VisitorState
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event with the content of its message, and its visitor right before and right after it.

    `after` is None if it left no visitor; `before` if there was none yet, or none is known.
    """

    event: Event
    content: Properties
    before: StoredVersion | None = None
    after: StoredVersion | None = None

    @property
    def named(self) -> dict[str, str]:
        """The identifiers that it gave, or named if it was refused, in wire spelling."""
        return identifiers_in(self.content)

    @property
    def texts_not_shown(self) -> list[str]:
        """What a search for a text looks through, each once, beside the strings in `event` and `named`."""
        return list(dict.fromkeys(texts_not_shown_in(self.content)))


Excerpt: TypeAlias = tuple[int, Properties]
"""The id of an event, and some of its fields as its JSON has them."""


class StoreWriter(Protocol):
    """Load and save for the pipeline. Everything happens inside `transaction`, on one thread at a time."""

    @property
    def next_receipt_id(self) -> int:
        """The id of the next receipt. None of these ids is ever used twice."""
        ...

    @property
    def next_request_id(self) -> int:
        """The id of the next request."""
        ...

    @property
    def next_visitor_pk(self) -> int:
        """The pk of the next visitor."""
        ...

    @property
    def next_pending_pk(self) -> int:
        """The pk of the next pending device."""
        ...

    @property
    def any_pending(self) -> bool:
        """Whether any device is pending."""
        ...

    @property
    def any_failed_attempts(self) -> bool:
        """Whether any call failed in its latest attempt."""
        ...

    @property
    def waits_for_disk(self) -> bool:
        """Whether a commit waits until a disk has it."""
        ...

    def reserve(self) -> None:
        """Wait until no other process writes, and let none until the next transaction has ended. Raises nothing."""
        ...

    def release(self) -> None:
        """Let others write, if no transaction came after `reserve`. Raises nothing."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Commit what happens inside, or, if it raises, leave the store as it was.

        Raises StoreBusyError if the store cannot be written at all, StoreFailedError if the disk is full or fails, and
        StoreError for what should not happen.
        """
        ...

    def account_id(self, name: str) -> int:
        """Return the id of the account *name*, made on first use."""
        ...

    def visitors(self, names: Iterable[Name], limit: int) -> list[KnownVisitor]:
        """Return the visitors that have any of *names*: for each name the *limit* oldest ones, two or more."""
        ...

    def pending(self, names: Iterable[Name]) -> list[PendingDevice]:
        """Return the devices that are pending for a visitor with any of *names*, the oldest first."""
        ...

    def originals(self, ids: Sequence[DistinctId]) -> dict[DistinctId, Original]:
        """Return, for those of *ids* that were used before, the event that used them."""
        ...

    def attempt_before(self, account_id: int, request: Request) -> AttemptBefore | None:
        """Return the attempt before *request*, a further one; None if it is not known."""
        ...

    def failed_attempts(self, keys: Iterable[Key]) -> dict[Key, FailedAttempt]:
        """Return, for those of *keys* whose calls failed in their latest attempt, that attempt."""
        ...

    def save_failed_attempts(self, changed: Mapping[Key, FailedAttempt | None]) -> None:
        """Save the latest attempts of calls that failed; None for those that did not. Very old ones are forgotten."""
        ...

    def save(self, exchanges: Sequence[Exchange], decision: Decision) -> None:
        """Write *exchanges* and what *decision* changed. What it was decided on was loaded in the same transaction."""
        ...

    def reset(self, account: str | None) -> Cleared:
        """Delete everything of *account*, or of all accounts if None, but the accounts themselves."""
        ...

    def delete_account(self, account: str) -> Cleared:
        """Delete *account* and everything of it."""
        ...

    def is_empty(self) -> bool:
        """Whether nothing was ever stored."""
        ...

    def tidy(self) -> bool:
        """Do some of what can wait until clients are answered, and return whether there is more.

        Outside `transaction`; raises nothing.
        """
        ...

    def close(self) -> None:
        """Close the store for writing."""
        ...


class SharedAccounts(Protocol):
    """Where processes that share a database leave accounts that they changed. Belongs to the open transaction."""

    def changed_accounts(self, after: int) -> Sequence[AccountText]:
        """Return the accounts with a version greater than *after*."""
        ...

    def save_accounts(self, texts: Mapping[str, str]) -> int:
        """Save accounts by their names, and return the version that they have then."""
        ...


class CommitListener(Protocol):
    """Hears of what all processes commit that share a database, in the order of the commits, from any thread."""

    @property
    def is_wanted(self) -> bool:
        """Whether anybody wants to hear of it now."""
        ...

    def hear(self, events: Sequence[Event]) -> None:
        """*events* were committed."""
        ...

    def hear_cleared(self, account: str | None, next_id: int) -> None:
        """Everything of *account*, or of all accounts if None, was deleted; the next event has *next_id*."""
        ...

    def hear_gap(self) -> None:
        """Something may not have been heard of."""
        ...


class SharedDatabase(Protocol):
    """What processes that share a database tell each other through it."""

    @property
    def accounts(self) -> SharedAccounts:
        """Where they leave accounts that they changed."""
        ...

    def follow(self, listener: CommitListener) -> Callable[[], None]:
        """Tell *listener* of each commit, and return what is to be called once somebody wants to hear of them."""
        ...

    def close(self) -> None:
        """Tell of nothing any more. Calling it twice is harmless."""
        ...


class StoreReader(Protocol):
    """Read access for the debug API. *account* is always a name, or None for all accounts.

    A list ends early, with `next_cursor` or `more`, at LIST_BYTES. Everything raises StoreFailedError if the store
    cannot be read, and StoreLostError if a file of it was removed, replaced or truncated. A cursor that no list gave
    out is a CursorError.
    """

    async def close(self) -> None:
        """Close the store for reading."""
        ...

    async def ping(self) -> None:
        """Read something; raises what keeps the store from being read."""
        ...

    async def size(self) -> int:
        """Return how many bytes the store takes."""
        ...

    async def accounts_after(self, version: int) -> Sequence[AccountText]:
        """Return the accounts that processes share which have a greater version."""
        ...

    async def account_names(self) -> list[str]:
        """Return the names of the accounts in the store."""
        ...

    async def visitors(
        self, account: str | None, which: VisitorFilter, limit: int, cursor: str | None
    ) -> Page[Visitor]:
        """Return visitors, the newest first."""
        ...

    async def visitor_version(self, account: str | None, event_id: int) -> VisitorVersion | None:
        """Return the visitor right after the event *event_id*; None if it is not there or left none."""
        ...

    async def events(
        self, account: str | None, which: EventFilter, limit: int, cursor: str | None, order: EventOrder = "time"
    ) -> Page[Event]:
        """Return events, the latest by `time` first (rule event-order), or the last to arrive first."""
        ...

    async def latest_event(self, account: str | None, which: EventFilter) -> Event | None:
        """Return the last event by `time` (rule event-order); None if there is none."""
        ...

    async def event(self, account: str | None, event_id: int) -> StoredEvent | None:
        """Return one event, whatever its outcome, with what it made of its visitor."""
        ...

    async def newest_event(self) -> int:
        """Return the id of the event that arrived last, in any account; 0 if there is none."""
        ...

    async def arrivals(self, account: str | None, which: EventFilter, after: int, limit: int) -> Slice[Event]:
        """Return the events with an id greater than *after*, the first to arrive first."""
        ...

    async def excerpts(
        self, account: str | None, which: EventFilter, fields: AbstractSet[str], after: int, limit: int
    ) -> Slice[Excerpt]:
        """Return only *fields* of the events that `arrivals` would return."""
        ...

    async def ids_with_text(
        self, account: str | None, which: EventFilter, text: str, order: EventOrder, cursor: str
    ) -> tuple[Sequence[int], str | None]:
        """Search some events, the next ones after *cursor* in the list that `events` returns, for *text* in any case.

        Return the ids of those *which* have it, and the cursor up to which was searched; None if that is all there is.
        "" is the cursor of the start.
        """
        ...

    async def events_of(self, account: str | None, ids: Sequence[int]) -> Sequence[Event]:
        """Return the events with *ids* that are still there, the first to arrive first, as many as a list has."""
        ...

    async def latest_arrivals(self, account: str | None, which: EventFilter, after: int, limit: int) -> Slice[Event]:
        """Return, of the last *limit* events with an id greater than *after*, those asked for, the last first."""
        ...

    async def timeline(
        self, account: str | None, which: EventFilter, after: int, since: tuple[float, int] | None, limit: int
    ) -> Slice[Event]:
        """Return the events with an id greater than *after*, by time and id, from beyond *since* on."""
        ...

    async def requests(
        self, account: str | None, which: RequestFilter, limit: int, cursor: str | None
    ) -> Page[RequestRecord]:
        """Return the journal, the latest request first."""
        ...

    async def request(self, account: str | None, request_id: int) -> tuple[StoredRequest, Sequence[Event]] | None:
        """Return one request with body and answer, and its events in the order of its rows, as many as a list has."""
        ...

    async def stored_requests(self, account: str | None, after: int) -> Sequence[StoredRequest]:
        """Return some requests with their bodies, a few megabytes at most, the oldest first: those with an id greater
        than *after*. None at all when there are no more."""
        ...

    async def evicted_requests(self, account: str | None) -> int:
        """Return how many requests are no longer there."""
        ...

    async def calls(self, account: str | None, limit: int, cursor: str | None) -> Page[Call]:
        """Return calls with all their attempts, the latest call first; of one with very many, the first attempts."""
        ...

    async def summary(self, account: str | None) -> Summary:
        """Return counts of everything."""
        ...

    async def rule_counts(self, account: str | None, after: int) -> tuple[Sequence[RuleCount], int | None]:
        """Return how often rules applied to some events, those with the next ids after *after*.

        Also return the id up to which was counted; None if that is all there is.
        """
        ...


class Store:
    """An open store. What reads it is opened when it is first asked for: what that imports takes a while."""

    def __init__(
        self, writer: StoreWriter, make_reader: Callable[[], StoreReader], shared: SharedDatabase | None = None
    ) -> None:
        self.writer = writer
        self.shared = shared
        """What is shared with other processes; None if no other process uses the store."""
        self._make_reader = make_reader
        self._reader: StoreReader | None = None
        self._opening = threading.Lock()

    def open_reader(self) -> StoreReader:
        """Open what reads, unless that was done before. Any thread may."""
        with self._opening:
            if self._reader is None:
                self._reader = self._make_reader()
            return self._reader

    async def opened_reader(self) -> StoreReader:
        """Return what reads, opened in a thread if it was not yet."""
        return await asyncio.to_thread(self.open_reader) if self._reader is None else self._reader

    async def ping(self) -> None:
        """Read something; raises what keeps the store from being read."""
        reader = await self.opened_reader()
        await reader.ping()

    async def accounts_after(self, version: int) -> Sequence[AccountText]:
        """Return the accounts that processes share which have a greater version."""
        reader = await self.opened_reader()
        return await reader.accounts_after(version)

    async def close_reader(self) -> None:
        """Close the reader, if it was opened, and follow no commits of others any more."""
        if self.shared is not None:
            await asyncio.to_thread(self.shared.close)
        if self._reader is not None:
            await self._reader.close()

    async def close(self) -> None:
        """Close what was not closed yet."""
        await self.close_reader()
        self.writer.close()


def open_store(url: str | None, retention: Retention, agreed: Callable[[], Mapping[str, str]] = dict) -> Store:
    """Return the store at *url*, made if it is new: a path, `sqlite:///path` or `postgresql://…`; None is temporary.

    *agreed* returns the settings, by their names, that all processes which share a database have to have alike.
    Raises StoreError if it cannot be opened, which never has a password of *url* in its message.
    """
    # Imported here: whoever only speaks of a store needs no driver.
    if url is not None and url.lower().startswith(("postgresql://", "postgres://")):
        from ours_emulator.store.postgresql import open_postgresql

        return open_postgresql(url, retention, agreed())
    from ours_emulator.store.sqlite import open_sqlite

    return open_sqlite(None if url is None else _path(url), retention)


def _path(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    if scheme.lower() != "sqlite" or len(rest) < 2 or rest[0] != "/":
        # What stands before :// may hold a password too, if it is no scheme.
        shown = f"{scheme}://…" if scheme.isascii() and scheme.isalnum() else "the URL"
        raise StoreError(
            f"{shown} is not a database this program can open; use a path, sqlite:///path or postgresql://user@host/name"
        )
    return rest[1:]
