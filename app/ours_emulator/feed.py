"""The feed: what was just committed, handed from the thread that did so to the event loops of those who listen."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TypeAlias

from ours_emulator.event_view import EventView, event_of
from ours_emulator.model import Exchange
from ours_emulator.records import Event

_Key = tuple[str | None, str | None]
_Parcel = tuple["Listener", Sequence[EventView]]
OnCommit: TypeAlias = Callable[[Sequence[Exchange]], None]
Resets: TypeAlias = dict[str | None, int]
"""For each account that was reset (None: all of them) the first id that events have after it."""
_MAX_KEPT_EVENTS = 2000
_MAX_KEPT_CHARACTERS = 4 * 1024 * 1024
"""What is kept for a bounded listener that does not take it. Events are shared by all listeners, but each client that
never reads may hold on to others."""


class FeedClosedError(Exception):
    """There is nothing more to listen to: the emulator shuts down, or nobody waits for the answer any more."""


class _Kept:
    """How much a bounded listener keeps."""

    def __init__(self) -> None:
        self._events = 0
        self._characters = 0

    def exceeded_by(self, events: Sequence[EventView]) -> bool:
        """Count *events*; return whether those counted are too many."""
        self._events += len(events)
        # The text is made once for all listeners, and those who keep events send them as text.
        self._characters += sum(len(event.text) for event in events)
        return self._events > _MAX_KEPT_EVENTS or self._characters > _MAX_KEPT_CHARACTERS


class Listener:
    """The commits that one listener has not taken yet. Belongs to one event loop; get one from `Feed.listen`."""

    def __init__(self, *, bounded: bool) -> None:
        self.loop = asyncio.get_running_loop()
        self._bounded = bounded
        self._pending: deque[Sequence[EventView]] = deque()
        self._kept = _Kept()
        self._overrun = False
        self._woken = asyncio.Event()
        self._closed = False
        self._resets: Resets = {}

    def resets(self) -> Resets:
        """Return, once, the resets since the previous call."""
        resets, self._resets = self._resets, {}
        return resets

    async def next(self, seconds: float | None) -> Sequence[EventView] | None:
        """Return the events of the next commit; None if there was no commit for *seconds*.

        An empty sequence means that an account was reset, or commits were missed: what was read before may be gone.
        Raises FeedClosedError, at once and ever after, when the feed ends.
        """
        if not await self.woken(seconds):
            return None
        events = self._pending.popleft()
        self._sleep_if_empty()
        return events

    async def woken(self, seconds: float | None) -> bool:
        """Wait for a commit or a reset, for *seconds* at most; return whether there was one. Raises as `next` does."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        if self._closed:
            raise FeedClosedError
        return self._woken.is_set()

    def take(self) -> Sequence[EventView] | None:
        """Return the events of all commits since the last call; None if they were more than a bounded listener keeps.

        Then they are gone, and have to be read from the store.
        """
        events = [event for commit in self._pending for event in commit]
        overrun, self._overrun, self._kept = self._overrun, False, _Kept()
        self._pending.clear()
        self._sleep_if_empty()
        return None if overrun else events

    def receive(self, events: Sequence[EventView], resets: Resets) -> None:
        """Keep *events* for `next`; on the listener's loop only."""
        self._resets.update(resets)
        if not self._overrun:
            self._pending.append(events)
            if self._bounded and self._kept.exceeded_by(events):
                self._overrun = True
                self._pending.clear()
        self._woken.set()

    def miss(self) -> None:
        """Note that something may have been missed, as after a reset; on the listener's loop only."""
        self._pending.clear()
        if self._bounded:
            self._overrun = True
        else:
            self._pending.append(())
        self._woken.set()

    def close(self) -> None:
        """End the listening; on the listener's loop only."""
        self._closed = True
        self._woken.set()

    def _sleep_if_empty(self) -> None:
        """Sleep until something comes, if nothing is left and something may come."""
        if not self._pending and not self._closed:
            self._woken.clear()


class Feed:
    """Fan-out of commits. Nothing is polled, and while nobody listens a commit costs one look at a dictionary.

    A listener that was there before a read of the store misses nothing: what that read did not see yet is handed over
    when it is committed.
    """

    def __init__(self) -> None:
        self._on_commit: tuple[OnCommit, ...] = ()
        # Tuples are replaced, never changed, so that the writer reads them without the lock.
        self._listeners: dict[_Key, tuple[Listener, ...]] = {}
        self._changing = threading.Lock()
        self._closed = False
        self._on_listen: Callable[[], None] | None = None

    def follow(self, follow: Callable[["Feed"], Callable[[], None]]) -> None:
        """Hear of the commits of all processes from a database, and not from the writer of this one.

        *follow* begins that, and returns what is to be called when somebody begins to listen.
        """
        self._on_listen = follow(self)

    @property
    def is_late(self) -> bool:
        """Whether an event may be in the store before it is heard of here."""
        return self._on_listen is not None

    @property
    def is_wanted(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    @property
    def listeners(self) -> int:
        """The number of those who listen."""
        return sum(map(len, tuple(self._listeners.values())))

    def call_on_commit(self, call: OnCommit) -> None:
        """Have *call* called with every commit of this process, on the thread that made it and before any listener."""
        self._on_commit += (call,)

    @contextmanager
    def listen(self, account: str | None, event: str | None = None, *, bounded: bool = False) -> Generator[Listener]:
        """Listen to *account* (all of them if None), and only to events of that name if one is given.

        A *bounded* listener keeps only so much; one without bounds must take events promptly.
        """
        listener = Listener(bounded=bounded)
        self._change((account, event), added=(listener,))
        if self._on_listen is not None:
            self._on_listen()
        try:
            yield listener
        finally:
            self._change((account, event), removed=listener)

    def publish(self, exchanges: Sequence[Exchange]) -> None:
        """Hand over the events of *exchanges*, each made once for all listeners. For the writer, after COMMIT."""
        for call in self._on_commit:
            call(exchanges)
        if not self._listeners or self._on_listen is not None:
            return
        wanted: dict[Listener, list[EventView]] = {}
        for exchange in exchanges:
            for receipt in exchange.receipts:
                listeners = self._listening(exchange.request.account, receipt.arrival.event)
                if listeners:
                    _add(wanted, listeners, event_of(exchange, receipt))
        _wake_listeners(wanted, {})

    def cleared(self, account: str | None, next_id: int) -> None:
        """Tell that *account* was reset (all of them if None), and which id is next. For the writer, after COMMIT."""
        if self._on_listen is None:
            self.hear_cleared(account, next_id)

    def hear(self, events: Sequence[Event]) -> None:
        """Hand over *events* that any process has committed. For who follows the commits."""
        wanted: dict[Listener, list[EventView]] = {}
        for event in events:
            _add(wanted, self._listening(event.account, event.event), event)
        _wake_listeners(wanted, {})

    def hear_cleared(self, account: str | None, next_id: int) -> None:
        """Tell that any process has reset *account* (all of them if None), and which id is next."""
        _wake_listeners(dict.fromkeys(self._listening_to(account), ()), {account: next_id})

    def hear_gap(self) -> None:
        """Tell that some commits may not have been heard of: what was read before may be gone."""
        for listener in self._listening_to(None):
            with suppress(RuntimeError):
                listener.loop.call_soon_threadsafe(listener.miss)

    def close(self) -> None:
        """End all listening, now and later. Doing it twice is doing it once; any thread may."""
        with self._changing:
            self._closed = True
            listeners = [listener for group in self._listeners.values() for listener in group]
        for listener in listeners:
            with suppress(RuntimeError):
                listener.loop.call_soon_threadsafe(listener.close)

    def _listening_to(self, account: str | None) -> list[Listener]:
        """Return those who listen to *account*, to all accounts, or, if it is None, to anything."""
        with self._changing:
            return [
                listener
                for (listened_to, _), group in self._listeners.items()
                if account is None or listened_to in (None, account)
                for listener in group
            ]

    def _change(self, key: _Key, *, added: tuple[Listener, ...] = (), removed: Listener | None = None) -> None:
        with self._changing:
            listeners = tuple(other for other in self._listeners.get(key, ()) if other is not removed) + added
            if listeners:
                self._listeners[key] = listeners
            else:
                del self._listeners[key]
            if self._closed:
                for listener in added:
                    listener.close()

    def _listening(self, account: str, event: str | None) -> list[Listener]:
        keys: set[_Key] = {(account, event), (account, None), (None, event), (None, None)}
        return [listener for key in keys for listener in self._listeners.get(key, ())]


def _add(wanted: dict[Listener, list[EventView]], listeners: Sequence[Listener], event: Event) -> None:
    """Add *event* to what each of *listeners* gets, as one view."""
    view = EventView(event)
    for listener in listeners:
        wanted.setdefault(listener, []).append(view)


def _wake_listeners(wanted: Mapping[Listener, Sequence[EventView]], resets: Resets) -> None:
    """Wake every event loop with a listener, each once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Parcel]] = {}
    for listener, events in wanted.items():
        by_loop.setdefault(listener.loop, []).append((listener, events))
    for loop, parcels in by_loop.items():
        # The loop may have been closed meanwhile; then nobody listens there any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_wake_each, parcels, resets)


def _wake_each(parcels: Sequence[_Parcel], resets: Resets) -> None:
    for listener, events in parcels:
        listener.receive(events, resets)
