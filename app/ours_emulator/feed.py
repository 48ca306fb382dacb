"""The feed: what was just committed, handed to whoever listens, from the writer's thread to their event loops."""

import asyncio
import threading
from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress

from ours_emulator.model import Exchange
from ours_emulator.store.sqlite.reader import Row
from ours_emulator.store.sqlite.rows import event_row

_Key = tuple[str | None, str | None]
_SOMETHING: list[Row] = [{}]
_Parcel = tuple["Listener", Sequence[Row]]


class FeedClosedError(Exception):
    """There is nothing more to listen to: the emulator shuts down, or nobody waits for the answer any more."""


class Listener:
    """What one listener has not heard yet. It belongs to one event loop; get one from `Feed.listen`."""

    def __init__(self, *, rows: bool) -> None:
        self.loop = asyncio.get_running_loop()
        self.wants_rows = rows
        self._unheard: deque[Sequence[Row]] = deque()
        self._woken = asyncio.Event()
        self._closed = False
        self._reset_at: int | None = None

    def reset_at(self) -> int | None:
        """Return, once, the first id that events have after a reset that was heard since it was asked last."""
        reset_at, self._reset_at = self._reset_at, None
        return reset_at

    async def next(self, seconds: float | None) -> Sequence[Row] | None:
        """Return the rows committed next, as the reader has them; None if none were for so many *seconds*.

        No rows at all mean that an account listened to was reset: what was read before may be gone.
        Raises FeedClosedError, at once and ever after, when there is nothing more to listen to.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        if self._closed:
            raise FeedClosedError
        if not self._unheard:
            return None
        rows = self._unheard.popleft()
        if not self._unheard:
            self._woken.clear()
        return rows

    def hear(self, rows: Sequence[Row], reset_at: int | None = None) -> None:
        """Keep *rows* for `next`; on the listener's loop only."""
        self._reset_at = reset_at if reset_at is not None else self._reset_at
        alike = not self.wants_rows and self._unheard and bool(self._unheard[-1]) == bool(rows)
        if not alike:
            self._unheard.append(rows)
        self._woken.set()

    def close(self) -> None:
        """End the listening; on the listener's loop only."""
        self._closed = True
        self._woken.set()


class Feed:
    """Fan-out of commits. Nothing is polled, and while nobody listens a commit costs one look at a dictionary.

    A listener that was there before a read of the store misses nothing: what that read did not see yet is handed over
    when it is committed.
    """

    def __init__(self) -> None:
        # Tuples are replaced, never changed, so that the writer reads them without the lock.
        self._listeners: dict[_Key, tuple[Listener, ...]] = {}
        self._changing = threading.Lock()
        self._closed = False

    @contextmanager
    def listen(self, account: str | None, event: str | None = None, *, rows: bool = True) -> Generator[Listener]:
        """Listen to *account* (all of them if None), and only to events of that name if one is given.

        Without *rows* the listener hears that there are some, as one empty row, and keeps no more than that.
        """
        listener = Listener(rows=rows)
        self._change((account, event), added=(listener,))
        try:
            yield listener
        finally:
            self._change((account, event), removed=listener)

    def publish(self, exchanges: Sequence[Exchange]) -> None:
        """Hand over what *exchanges* became, each row made once for all who want it. For the writer, after COMMIT."""
        if not self._listeners:
            return
        wanted: dict[Listener, list[Row]] = {}
        for exchange in exchanges:
            for receipt in exchange.receipts:
                listeners = self._listening(exchange.request.account, receipt.arrival.event)
                if listeners:
                    row = event_row(exchange, receipt) if any(it.wants_rows for it in listeners) else {}
                    for listener in listeners:
                        if listener.wants_rows:
                            wanted.setdefault(listener, []).append(row)
                        else:
                            wanted[listener] = _SOMETHING
        _hand_over(wanted)

    def cleared(self, account: str | None, next_id: int) -> None:
        """Tell that *account* was reset (all of them if None), and which id is next. For the writer, after COMMIT."""
        with self._changing:
            listeners = [
                listener
                for (listened_to, _), those in self._listeners.items()
                if account is None or listened_to in (None, account)
                for listener in those
            ]
        _hand_over(dict.fromkeys(listeners, ()), next_id)

    def close(self) -> None:
        """End all listening, now and later. Doing it twice is doing it once; any thread may."""
        with self._changing:
            self._closed = True
            listeners = [listener for those in self._listeners.values() for listener in those]
        for listener in listeners:
            with suppress(RuntimeError):
                listener.loop.call_soon_threadsafe(listener.close)

    def _change(self, key: _Key, *, added: tuple[Listener, ...] = (), removed: Listener | None = None) -> None:
        with self._changing:
            left = tuple(it for it in self._listeners.get(key, ()) if it is not removed) + added
            if left:
                self._listeners[key] = left
            else:
                del self._listeners[key]
            if self._closed:
                for listener in added:
                    listener.close()

    def _listening(self, account: str, event: str | None) -> Iterable[Listener]:
        keys: set[_Key] = {(account, event), (account, None), (None, event), (None, None)}
        return [listener for key in keys for listener in self._listeners.get(key, ())]


def _hand_over(wanted: Mapping[Listener, Sequence[Row]], reset_at: int | None = None) -> None:
    """Wake every event loop that somebody listens on, each once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Parcel]] = {}
    for listener, rows in wanted.items():
        by_loop.setdefault(listener.loop, []).append((listener, rows))
    for loop, parcels in by_loop.items():
        # A loop that was closed meanwhile has nobody listening.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_hear, parcels, reset_at)


def _hear(parcels: Sequence[_Parcel], reset_at: int | None) -> None:
    for listener, rows in parcels:
        listener.hear(rows, reset_at)
