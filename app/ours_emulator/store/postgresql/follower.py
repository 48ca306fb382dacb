"""Follows the commits of all processes, in their order, and tells a listener what was committed.

A commit tells the id that the next event has after it, so that no event is missed: ids are given in the order of the
commits. What is told is read only while somebody wants to hear of it.
"""

import asyncio
import logging
import threading
from collections import deque
from contextlib import suppress
from typing import Any, cast

import psycopg

from ours_emulator.store import CommitListener, StoreError
from ours_emulator.store.postgresql.address import Address
from ours_emulator.store.postgresql.commits import Commit, commit_in
from ours_emulator.store.postgresql.committed_events import CommittedEvents, committed_events

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0
_CLOSE_SECONDS = 5.0
_UNWANTED_SECONDS = 1.0
"""How often what was told is taken while nobody wants to hear of it."""


class Follower:
    """Follows the database at *address* on a thread of its own, from the event with *next_id* on.

    While the database cannot be reached, it is tried again each second; then the listener hears of a gap.
    """

    def __init__(self, address: Address, channel: str, next_id: int, listener: CommitListener) -> None:
        self._address = address
        self._channel = channel
        self._next_id = next_id
        self._listener = listener
        self._commits = deque[Commit]()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._following: asyncio.Task[None] | None = None
        self._changing = threading.Lock()
        self._closed = False
        self._has_failed = False
        self._wanted, self._told = asyncio.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="ours-emulator-follower", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Tell that somebody wants to hear of commits now. From any thread."""
        with self._changing:
            if self._loop is not None and not self._closed:
                self._loop.call_soon_threadsafe(self._wanted.set)

    def close(self) -> None:
        """Stop. From any thread; calling it twice is harmless."""
        with self._changing:
            self._closed = True
            if self._loop is not None and self._following is not None:
                self._loop.call_soon_threadsafe(self._following.cancel)
        # While the server does not answer, its driver waits for that.
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(self._follow())

    async def _follow(self) -> None:
        with self._changing:
            if self._closed:
                return
            self._loop, self._following = asyncio.get_running_loop(), asyncio.current_task()
        try:
            while True:
                await self._follow_connected()
                await asyncio.sleep(_RETRY_SECONDS)
        finally:
            with self._changing:
                self._loop = None

    async def _follow_connected(self) -> None:
        """Follow until the database cannot be reached."""
        try:
            parameters = cast(dict[str, Any], dict(self._address.parameters))
            connection = await psycopg.AsyncConnection.connect(**parameters, autocommit=True)
            async with connection, committed_events(self._address) as events:
                await connection.execute(f"LISTEN {self._channel}".encode())
                if self._has_failed:
                    self._listener.hear_gap()
                    self._has_failed = False
                self._commits.append(Commit(await events.next_id()))
                self._told.set()
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._collect(connection))
                    group.create_task(self._tell(events))
        except* (psycopg.Error, StoreError) as errors:
            self._fail(str(errors.exceptions[0]).partition("\n")[0])
        except* Exception as errors:
            _log.exception("an error while following the commits", exc_info=errors.exceptions[0])
            self._fail("an error")

    def _fail(self, why: str) -> None:
        """Tell of a gap, which waits bridge by reading the store; in the log only of the first in a row."""
        if not self._has_failed:
            _log.warning("cannot follow what other emulators commit, and tries again each second: %s", why)
        self._has_failed = True
        self._listener.hear_gap()

    async def _collect(self, connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
        """Take what is told, at once while somebody wants to hear of it."""
        while True:
            is_wanted = self._listener.is_wanted
            async for notify in connection.notifies(timeout=_UNWANTED_SECONDS if is_wanted else 0):
                if commit := commit_in(notify.payload):
                    self._commits.append(commit)
                    self._told.set()
                if not self._listener.is_wanted:
                    break  # What this drops was received while nobody listened.
            if not self._listener.is_wanted:
                self._wanted.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_UNWANTED_SECONDS):
                        await self._wanted.wait()

    async def _tell(self, events: CommittedEvents) -> None:
        """Tell the listener of the commits, those together that come together."""
        while True:
            await self._told.wait()
            self._told.clear()
            while self._commits:
                await self._tell_of(self._next_commit(), events)

    def _next_commit(self) -> Commit:
        """Return the next commit, together with the ones after it that deleted nothing."""
        commit = self._commits.popleft()
        while self._commits and not commit.cleared and not self._commits[0].cleared:
            commit = self._commits.popleft()
        return commit

    async def _tell_of(self, commit: Commit, events: CommittedEvents) -> None:
        for account, first_id in commit.cleared:
            await self._tell_events(first_id, events)
            self._listener.hear_cleared(account, first_id)
        await self._tell_events(commit.next_id, events)

    async def _tell_events(self, before: int, events: CommittedEvents) -> None:
        """Tell of the events with a smaller id than *before* that were not told of."""
        first, told = self._next_id, 0
        more = first < before
        while more and self._listener.is_wanted:
            some, more = await events.some(self._next_id, before)
            self._listener.hear(some)
            told += len(some)
            self._next_id = some[-1].id + 1 if more else before
        self._next_id = max(self._next_id, before)
        # Some may also be missing because their account was reset, which is told of too.
        if told < before - first and self._listener.is_wanted and await events.last_evicted() >= first:
            self._listener.hear_gap()
