"""The handle for tests that are coroutines: the same calls, awaited."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack
from uuid import uuid4

from ours_emulator.emulator import operations, report
from ours_emulator.emulator.handle import Handle, quiet_imports
from ours_emulator.emulator.operations import (
    AccountPlan,
    Call,
    Duration,
    EmulatorError,
    ExpectationError,
    FaultPlan,
    Fields,
    Mode,
    When,
)
from ours_emulator.records import (
    Cleared,
    Event,
    FaultCounts,
    Imported,
    Json,
    Listing,
    Met,
    Moment,
    RequestDetail,
    RequestRecord,
    Summary,
    Visitor,
)

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")


class AsyncEmulator(Handle):
    """A running emulator at *url*, or one account of it at `…/accounts/NAME`, asked through the debug API.

    Every method raises EmulatorError when the emulator can't be reached or refuses the call; those that expect
    something raise ExpectationError, an AssertionError. *http* is a client to use; it is not closed.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        public_key: str | None = None,
        admin_token: str | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        super().__init__(url, token=token, public_key=public_key, admin_token=admin_token)
        self._http = http
        self._own: httpx.AsyncClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. The emulator runs on."""
        if self._own is not None:
            await self._own.aclose()
            self._own = None

    # What arrived

    async def events(
        self, event: str | None = None, *, outcome: str | None = None, **asked: When | bool
    ) -> Listing[Event]:
        """Return events by their time, the oldest first: the accepted ones, or those of an *outcome* (`any` for all).

        *asked* are the parameters of `GET /debug/events`: visitor_id, distinct_id, endpoint, test, since.
        """
        return await self._all(operations.events(outcome, event, asked))

    async def event(self, event_id: int) -> Event:
        """Return one event, whatever its outcome."""
        return await self.ask(operations.event(event_id))

    async def visitors(self, **asked: str) -> Listing[Visitor]:
        """Return visitors, the oldest first. *asked*: external_id, email, user_id, anonymous_id, q."""
        return await self._all(operations.visitors(asked))

    async def visitor(self, **asked: str) -> Visitor:
        """Return the only visitor there is for *asked*. Raises ExpectationError if there are none or several."""
        __tracebackhide__ = True
        found = await self.visitors(**asked)
        return operations.only(found, asked, found or await self.visitors())

    async def requests(self, **asked: str | int) -> Listing[RequestRecord]:
        """Return the journal, the oldest request first."""
        return await self._all(operations.requests(asked))

    async def request(self, request_id: int) -> RequestDetail:
        """Return one request with its body and the events in it."""
        return await self.ask(operations.request(request_id))

    async def summary(self) -> Summary:
        """Return the counts."""
        return await self.ask(operations.summary())

    async def timeline(self) -> str:
        """Return a line for each request, with outcome, reason and hints: what a failing test prints."""
        return "\n".join(report.timeline(await self.requests(), await self.events(outcome="any")))

    # What is expected

    def wait_for(
        self,
        event: str | None = None,
        *,
        count: int = 1,
        timeout: float = 5.0,
        outcome: str | None = None,
        match: Json | None = None,
        **fields: Unpack[Fields],
    ) -> Coroutine[Any, Any, Event]:
        """Wait until *count* events that match have arrived, at most *timeout* seconds; return the last to arrive."""
        asked = operations.asked_for(event, match, fields)
        wish = operations.Wish(asked, count, "at_least", outcome)
        return self._last(operations.wait(wish, timeout=timeout))

    def expect(
        self,
        event: str | None = None,
        *,
        count: int = 1,
        mode: Mode = "at_least",
        timeout: float = 5.0,
        settle: float = 0.0,
        outcome: str | None = None,
        match: Json | None = None,
        **fields: Unpack[Fields],
    ) -> AsyncExpectation:
        """Return a context manager that waits, at the end of its block, for events that arrived since it began.

        *settle* is how many seconds nothing more may come, for the modes `exactly`, `at_most` and `none`.
        """
        asked = operations.asked_for(event, match, fields)
        wish = operations.Wish(asked, count, mode, outcome)
        return AsyncExpectation(self, operations.wait(wish, timeout=timeout, settle=settle))

    async def assert_tracked(
        self,
        event: str | None = None,
        *,
        count: int | None = None,
        outcome: str | None = None,
        match: Json | None = None,
        **fields: Unpack[Fields],
    ) -> Event:
        """Check, without waiting, that an event has arrived (exactly *count* of them); return the last to arrive."""
        __tracebackhide__ = True
        asked = operations.asked_for(event, match, fields)
        mode: Mode = "at_least" if count is None else "exactly"
        wish = operations.Wish(asked, operations.at_least_one(count), mode, outcome)
        return (await self.ask(operations.verify(wish))).event

    async def assert_none(
        self,
        event: str | None = None,
        *,
        outcome: str | None = None,
        match: Json | None = None,
        **fields: Unpack[Fields],
    ) -> None:
        """Check, without waiting, that no such event has arrived."""
        __tracebackhide__ = True
        asked = operations.asked_for(event, match, fields)
        await self.ask(operations.verify(operations.Wish(asked, 0, "none", outcome)))

    async def assert_sequence(self, *matches: str | Json, strict: bool = False) -> list[Event]:
        """Check, without waiting, that there are events in this order of their time, and return them.

        *matches* are names or matches, each for one event. *strict*: no other event of the account is between them.
        """
        __tracebackhide__ = True
        found = await self.ask(operations.sequence([operations.named(match) for match in matches], strict=strict))
        return list(found.items)

    async def assert_no_hints(self, *, ignore: Sequence[str] = ()) -> None:
        """Check that nothing was accepted which was probably not meant, but for the rules in *ignore*."""
        __tracebackhide__ = True
        operations.no_hints(await self.events(outcome="any"), ignore)

    # What is set

    @property
    def clock(self) -> AsyncClock:
        """The clock of this account."""
        return AsyncClock(self)

    @asynccontextmanager
    async def fault(self, name: str | None = None, **plan: Unpack[FaultPlan]) -> AsyncGenerator[AsyncFault]:
        """Plan a misbehaviour for the length of the block. Its *name* tells it from others of the account."""
        fault = AsyncFault(self, name or f"fault-{uuid4().hex[:4]}")
        await self.ask(operations.plan_fault(fault.name, plan))
        try:
            yield fault
        finally:
            await fault.drop()

    async def reset(self) -> Cleared:
        """Forget the visitors, events and requests of this account; of all accounts without one."""
        return await self.ask(operations.reset(self.account))

    async def export(self, *, redact: bool = False) -> str:
        """Return all requests as JSON lines, the oldest first; *redact*: without tokens and keys."""
        return await self.ask(operations.export(redact=redact))

    async def replay(self, lines: str) -> Imported:
        """Send exported requests again, into this account."""
        return await self.ask(operations.replay(lines))

    async def open_account(self, name: str | None = None, **plan: Unpack[AccountPlan]) -> AsyncEmulator:
        """Return the handle of another account of the same emulator, a fresh one without a *name*.

        What the handles of the pytest fixtures open without a name is closed with the account of the fixture.
        """
        account = name or f"account-{uuid4().hex[:12]}"
        if plan:
            await self.ask(operations.open_account(account, plan))
        token, key = operations.first(plan.get("tokens")), operations.first(plan.get("public_keys"))
        url = f"{self.server_url}/accounts/{account}"
        opened = AsyncEmulator(url, token=token, public_key=key, admin_token=self.admin_token, http=self._client())
        if name is None:
            self._remember(account, opened)
        return opened

    async def close_account(self) -> None:
        """Forget this account; requests to it are refused from now on (410)."""
        if self.account is None:
            raise EmulatorError("this handle is for all accounts; there is none to close")
        await self.ask(operations.close_account(self.account))

    # How it is asked

    async def version(self) -> str:
        """Return the version of the emulator, which is well if it answers."""
        return await self.ask(operations.health())

    async def _last(self, call: Call[Met]) -> Event:
        __tracebackhide__ = True
        return (await self.waited(call)).event

    async def waited(self, call: Call[Met]) -> Met:
        """Make a call that waits, and remember why if it waits in vain."""
        __tracebackhide__ = True
        self.last_miss = None
        try:
            return await self.ask(call)
        except ExpectationError as error:
            self.last_miss = error
            raise

    async def _all(self, call: Call[Listing[T]]) -> Listing[T]:
        """Return the items of every page, the oldest first."""
        page = await self.ask(call)
        items = list(page)
        while page.next_cursor is not None:
            page = await self.ask(operations.after(call, page.next_cursor))
            items += page
        return Listing(reversed(items), evicted=page.evicted)

    async def ask(self, call: Call[T]) -> T:
        """Make one call of the debug API."""
        __tracebackhide__ = True
        client = self._client()
        import httpx

        try:
            answer = await client.request(
                call.method,
                self._address(call.path),
                params=call.params,
                content=call.content,
                headers=self._headers(call),
                timeout=call.seconds,
            )
        except httpx.TransportError as error:
            raise self._unreachable(error) from None
        return call.result(answer.status_code, answer.content)

    def _client(self) -> httpx.AsyncClient:
        if self._http is not None:
            return self._http
        if self._own is None:
            with quiet_imports():
                import httpx

            # No connection is kept: the next call may come from another event loop, and nobody need close anything.
            limits = httpx.Limits(max_keepalive_connections=0)
            verify = self.url.startswith("https:")
            self._own = httpx.AsyncClient(trust_env=False, verify=verify, limits=limits)
        return self._own


def twin_of(handle: Handle) -> AsyncEmulator:
    """Return the asynchronous handle of what *handle* is for."""
    twin = AsyncEmulator(handle.url, token=handle.token, public_key=handle.public_key, admin_token=handle.admin_token)
    twin.opened = handle.opened
    return twin


class AsyncExpectation:
    """What is waited for at the end of a block; then `event` is the last that arrived.

    `events` are all of them, the first to arrive first, but at most 1000.
    """

    def __init__(self, emulator: AsyncEmulator, call: Call[Met]) -> None:
        self._emulator = emulator
        self._call = call
        self._since = 0
        self._met = Met()

    @property
    def events(self) -> list[Event]:
        """The events that arrived, at most 1000: the first ones."""
        return list(self._met.items)

    @property
    def event(self) -> Event:
        """The last event that arrived. Raises ValueError if there is none."""
        return self._met.event

    async def __aenter__(self) -> Self:
        self._since = (await self._emulator.summary()).newest_event
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        __tracebackhide__ = True
        if kind is None:
            self._met = await self._emulator.waited(operations.since(self._call, self._since))


class AsyncFault:
    """A planned misbehaviour. `hits` is how many requests it had hit when last looked at, and when it is over."""

    def __init__(self, emulator: AsyncEmulator, name: str) -> None:
        self.name = name
        self.hits = 0
        self._emulator = emulator
        self._over = False

    async def look(self) -> int:
        """Return how many requests were hit by now."""
        await self._look(operations.fault(self.name))
        return self.hits

    async def drop(self) -> None:
        """End it, if it isn't over yet."""
        await self._look(operations.drop_fault(self.name))
        self._over = True

    async def _look(self, call: Call[FaultCounts]) -> None:
        if self._over:
            return
        try:
            self.hits = (await self._emulator.ask(call)).hits
        except EmulatorError as error:
            # A reset, or the end of the account, has ended it.
            if error.status not in operations.GONE:
                raise
            self._over = True


class AsyncClock:
    """The clock of an account: what "now" is for it."""

    def __init__(self, emulator: AsyncEmulator) -> None:
        self._emulator = emulator

    async def now(self) -> datetime:
        """Return what it says, in UTC."""
        return (await self._emulator.ask(operations.clock())).now

    async def freeze(self, at: When | None = None) -> Moment:
        """Stop it, *at* a moment or where it is."""
        return await self._change({"freeze": True if at is None else operations.moment(at)})

    async def set(self, to: When) -> Moment:
        """Set it; it goes on from there, or stays if it is stopped."""
        return await self._change({"set": operations.moment(to)})

    async def advance(self, time: timedelta | None = None, **parts: Unpack[Duration]) -> Moment:
        """Move it on by *time*, or by parts of a timedelta: `advance(days=8)`."""
        return await self._change(operations.step((time or timedelta()) + timedelta(**parts)))

    async def resume(self) -> Moment:
        """Let it tell the real time again."""
        return await self._change({"resume": True})

    async def _change(self, change: Mapping[str, Any]) -> Moment:
        return await self._emulator.ask(operations.move_clock(change))
