"""The handle: what a test asks a running emulator, and tells it, through the debug API.

`_sync.py` is generated from `_async.py` by scripts/generate_sync.py, so that the two never differ.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack
from uuid import uuid4

from ours_emulator.emulator import checks, operations, report
from ours_emulator.emulator.errors import EmulatorError, ExpectationError
from ours_emulator.emulator.handle import AsyncFaultState, Handle, planned_later
from ours_emulator.emulator.operations import (
    AccountPlan,
    Condition,
    Duration,
    ExperimentPlan,
    FaultPlan,
    Fields,
    Lines,
    Operation,
    TrackingPlan,
    When,
)
from ours_emulator.emulator.transport import AsyncStream, AsyncTransport, Deadline, async_pause
from ours_emulator.records import (
    Cleared,
    Event,
    EventDetail,
    Imported,
    Json,
    Listing,
    Met,
    Mode,
    Moment,
    RequestDetail,
    RequestRecord,
    Reset,
    RuleCount,
    Summary,
    Visitor,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

T = TypeVar("T")
_HITS_SECONDS = 10.0
_POLL_SECONDS = 0.1
_MIN_ANSWER_SECONDS = 1.0
"""The least time that `wait_ready` gives an answer, so that a slow emulator is not taken for a missing one."""


class AsyncEmulator(Handle):
    """A running emulator at *url*, or one account of it at `…/accounts/NAME`, asked through the debug API.

    Every method raises EmulatorError if the emulator cannot be reached or refuses the operation; those that expect
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
        self._transport = AsyncTransport(http)

    @classmethod
    def beside(cls, handle: Handle) -> Self:
        """Return a handle for the same emulator and account as *handle*, which may be of the other kind."""
        beside = cls(handle.url, token=handle.token, public_key=handle.public_key, admin_token=handle.admin_token)
        beside.opened = handle.opened
        return beside

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Do nothing: no connection stays open after a call. The emulator goes on running."""

    # What arrived

    async def events(
        self, event: str | None = None, *, outcome: str | None = None, **filters: When | bool
    ) -> Listing[Event]:
        """Return events by their time, the oldest first: accepted ones, or those of an *outcome* (`any` for all).

        *filters* are the parameters of `GET /debug/events`: visitor_id, distinct_id, endpoint, test, since, q, hint,
        reason, request_id. With order="arrival" they are in the order of their arrival.
        """
        return await self._all(operations.events(outcome, event, filters))

    def latest_events(
        self, limit: int = 100, event: str | None = None, *, outcome: str | None = None, **filters: When | bool
    ) -> AsyncGenerator[Event]:
        """Yield the latest events by their time, the latest first, at most *limit*; else as `events`."""
        return self._first(limit, operations.events(outcome, event, filters))

    async def event(self, event_id: int) -> EventDetail:
        """Return one event, whatever its outcome, with its changes to its visitor."""
        return await self.perform(operations.event(event_id))

    async def visitors(self, **filters: str) -> Listing[Visitor]:
        """Return visitors, the oldest first. *filters*: external_id, email, user_id, anonymous_id, phone_number, q."""
        return await self._all(operations.visitors(filters))

    def latest_visitors(self, limit: int = 100, **filters: str) -> AsyncGenerator[Visitor]:
        """Yield the newest visitors, the newest first, at most *limit*; else as `visitors`."""
        return self._first(limit, operations.visitors(filters))

    async def visitor(self, **filters: str) -> Visitor:
        """Return the only visitor that matches *filters*. Raises ExpectationError if there are none or several."""
        __tracebackhide__ = True
        matching = await self.visitors(**filters)
        return checks.only_visitor(matching, filters, matching or await self.visitors())

    async def requests(self, **filters: str | int) -> Listing[RequestRecord]:
        """Return the journal, the oldest request first."""
        return await self._all(operations.requests(filters))

    def latest_requests(self, limit: int = 100, **filters: str | int) -> AsyncGenerator[RequestRecord]:
        """Yield the latest requests, the latest first, at most *limit*; else as `requests`."""
        return self._first(limit, operations.requests(filters))

    async def request(self, request_id: int) -> RequestDetail:
        """Return one request with its body, its events and its answer."""
        return await self.perform(operations.request(request_id))

    async def summary(self) -> Summary:
        """Return the counts."""
        return await self.perform(operations.summary())

    async def rule_counts(self) -> list[RuleCount]:
        """Return how many events each rule applied to, the rule with most of them first."""
        return await self.perform(operations.rule_counts())

    async def timeline(self) -> str:
        """Return a line for each request, with outcome, reason and hints: what a failing test prints."""
        return "\n".join(report.timeline(await self.requests(), await self.events(outcome="any")))

    async def tail(
        self,
        event: str | None = None,
        *,
        outcome: str | None = None,
        visitor_id: str | None = None,
        after: int | None = None,
    ) -> AsyncGenerator[Event | Reset]:
        """Yield events as they arrive, whatever their outcome, and a Reset where earlier ones were deleted.

        It begins with the events that arrived after the one with the id *after*, or by default with the next one. It
        ends with the emulator, or when events arrive faster than they are taken: then go on with *after*.
        """
        stream = operations.EventStream()
        async with self._streaming(operations.tail(event, outcome, visitor_id, after)) as answer:
            async for part in answer.parts:
                for item in stream.feed(part):
                    yield item

    # What is expected

    async def wait_for(
        self,
        event: str | None = None,
        *,
        count: int = 1,
        timeout: float = 5.0,
        outcome: str | None = None,
        match: Json | None = None,
        **fields: Unpack[Fields],
    ) -> Event:
        """Wait until *count* events that match have arrived, at most *timeout* seconds; return the last to arrive."""
        __tracebackhide__ = True
        condition = Condition(operations.full_match(event, match, fields), count, "at_least", outcome)
        return (await self.wait(operations.wait(condition, timeout=timeout))).event

    def expect(
        self,
        event: str | None = None,
        *,
        count: int | None = None,
        mode: Mode = "at_least",
        timeout: float = 5.0,
        settle: float = 0.0,
        outcome: str | None = None,
        match: Json | None = None,
        **fields: Unpack[Fields],
    ) -> AsyncExpectation:
        """Return a context manager that waits, at the end of its block, for events that arrived since it began.

        *count* is 1 by default, and is not for the mode `none`.
        *settle* is for how many seconds no further event may match, for the modes `exactly`, `at_most` and `none`.
        """
        condition = Condition(operations.full_match(event, match, fields), count, mode, outcome)
        operations.check_wait(timeout, settle)
        return AsyncExpectation(self, partial(operations.wait, condition, timeout=timeout, settle=settle))

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
        mode: Mode = "at_least" if count is None else "exactly"
        matching = operations.full_match(event, match, fields)
        condition = Condition(matching, operations.at_least_one(count), mode, outcome)
        return (await self.perform(operations.verify(condition))).event

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
        condition = Condition(operations.full_match(event, match, fields), None, "none", outcome)
        await self.perform(operations.verify(condition))

    async def assert_sequence(self, *matches: str | Json, strict: bool = False) -> list[Event]:
        """Check, without waiting, that there are events in this order of their time, and return them.

        *matches* are names or matches, each for one event. *strict*: no other event of the account is between them.
        """
        __tracebackhide__ = True
        met = await self.perform(operations.sequence(matches, strict=strict))
        return list(met.items)

    async def assert_no_hints(self, *, ignore: str | Iterable[str] = ()) -> None:
        """Check that nothing was accepted that was probably not intended, except for the rule or rules in *ignore*."""
        __tracebackhide__ = True
        ignored = checks.rules_in(ignore)
        if ignored:
            rules = await self.perform(operations.rules())
            checks.known_rules(ignored, {rule.id for rule in rules})
        checks.no_hints(await self.events(outcome="any"), ignored)

    # What is set

    @property
    def clock(self) -> AsyncClock:
        """The clock of this account."""
        return AsyncClock(self)

    def fault(self, name: str | None = None, **plan: Unpack[FaultPlan]) -> AsyncFault:
        """Plan a misbehaviour: for the length of a `with` block, or until it is dropped or the account is closed.

        Its *name* is unique in the account. The synchronous one acts at once; the asynchronous one once it is awaited
        or its block, `async with`, begins.
        """
        return planned_later(AsyncFault(self, name or f"fault-{uuid4().hex[:4]}", operations.known_plan(plan)))

    async def experiment(self, key: str, **plan: Unpack[ExperimentPlan]) -> Json:
        """Set the experiment *key* of this account, instead of the one it may have by that key, and return it.

        Only revision 2026-10 assigns visitors to experiments.
        """
        return await self.perform(operations.set_experiment(key, plan))

    async def remove_experiment(self, key: str) -> Json:
        """Remove the experiment *key* and return what it was."""
        return await self.perform(operations.remove_experiment(key))

    async def set_tracking_plan(self, plan: TrackingPlan) -> Json:
        """Set the tracking plan of this account, by itself or by its file in YAML or JSON, and return it.

        Each difference between a message and the plan gets a hint of the rule tracking-plan.
        """
        return await self.perform(operations.set_tracking_plan(plan))

    async def remove_tracking_plan(self) -> Json:
        """Remove the tracking plan of this account and return what it was."""
        return await self.perform(operations.remove_tracking_plan())

    async def reset(self) -> Cleared:
        """Delete the visitors, events and requests of this account; without an account, those of all."""
        return await self.perform(operations.reset(self.account))

    async def export(self, *, redact: bool = False) -> str:
        """Return all requests as JSON Lines, the oldest first; *redact*: without tokens and keys."""
        return await self.perform(operations.export(redact=redact))

    @asynccontextmanager
    async def stream_export(self, *, redact: bool = False, timeout: float | None = None) -> AsyncGenerator[AsyncExport]:
        """Give what `export` returns in parts, for journals that are larger than the memory.

        The emulator may be silent for *timeout* seconds; by default for as long as it likes.
        """
        async with self._streaming(operations.export(redact=redact, seconds=timeout)) as answer:
            yield AsyncExport(answer.parts, int(answer.headers.get("x-emulator-evicted", 0)))

    async def replay(self, lines: Lines, *, timeout: float | None = 600) -> Imported:
        """Send exported requests again, into this account; without an account, each into its own.

        *lines* may be a list of lines, or a file opened for reading. The emulator answers when it has replayed them
        all, or is given up after *timeout* seconds (None: never).
        """
        return await self.perform(operations.replay(lines, timeout))

    async def open_account(self, name: str | None = None, **plan: Unpack[AccountPlan]) -> AsyncEmulator:
        """Return the handle of another account of the same emulator, by default of a new one.

        What the handles of the pytest fixtures open without a name is closed with the account of the fixture.
        """
        account = name or f"account-{uuid4().hex[:12]}"
        if plan:
            await self.perform(operations.open_account(account, plan))
        token, key = operations.first(plan.get("tokens")), operations.first(plan.get("public_keys"))
        url, http = f"{self.server_url}/accounts/{account}", self._transport.client
        opened = AsyncEmulator(url, token=token, public_key=key, admin_token=self.admin_token, http=http)
        if name is None:
            self._remember(account, opened)
        return opened

    async def close_account(self) -> None:
        """Delete this account; requests to it are refused from now on (410)."""
        if self.account is None:
            raise EmulatorError("this handle has no account to close: it is for all accounts")
        await self.perform(operations.close_account(self.account))

    # How the emulator is reached

    async def version(self, *, timeout: float = 30.0) -> str:
        """Return the version of the emulator, which is healthy if it answers, within *timeout* seconds."""
        return await self.perform(operations.health(timeout))

    async def wait_ready(self, timeout: float = 30.0) -> None:
        """Wait until the emulator answers. Raises EmulatorError if it does not within *timeout* seconds.

        Each try has at least a second.
        """
        operations.check_seconds("timeout", timeout)
        deadline = Deadline(timeout)
        while True:
            try:
                await self.version(timeout=max(deadline.left, _MIN_ANSWER_SECONDS))
                return
            except EmulatorError:
                if deadline.left < _POLL_SECONDS:
                    raise
            await async_pause(_POLL_SECONDS)

    async def wait(self, operation: Operation[Met]) -> Met:
        """Perform an operation that waits, and remember in `last_miss` why it failed."""
        __tracebackhide__ = True
        self.last_miss = None
        try:
            return await self.perform(operation)
        except ExpectationError as error:
            self.last_miss = error
            raise

    async def perform(self, operation: Operation[T]) -> T:
        """Send one operation of the debug API and return its result."""
        __tracebackhide__ = True
        with self._reaching():
            answer = await self._transport.exchange(self._request(operation))
        return operation.result(answer.status, answer.body)

    def perform_now(self, operation: Operation[T]) -> T | None:
        """Do what `perform` does without awaiting; None if the `http=` client can only be awaited."""
        __tracebackhide__ = True
        with self._reaching():
            answer = self._transport.exchange_now(self._request(operation))
        return None if answer is None else operation.result(answer.status, answer.body)

    @asynccontextmanager
    async def _streaming(self, operation: Operation[Any]) -> AsyncGenerator[AsyncStream]:
        with self._reaching():
            async with self._transport.stream(self._request(operation)) as answer:
                if answer.status >= 300:
                    raise operation.error(answer.status, await answer.read())
                yield answer

    async def _all(self, operation: Operation[Listing[T]]) -> Listing[T]:
        """Return the items of every page, the oldest first."""
        page = await self.perform(operation)
        items = list(page)
        while page.next_cursor is not None:
            page = await self.perform(operations.after(operation, page.next_cursor))
            items += page
        return Listing(reversed(items), evicted=page.evicted, total=len(items))

    def _first(self, limit: int, operation: Operation[Listing[T]]) -> AsyncGenerator[T]:
        operations.check_integer("limit", limit)
        return self._limited(limit, operation)

    async def _limited(self, limit: int, operation: Operation[Listing[T]]) -> AsyncGenerator[T]:
        """Yield the first *limit* items, page by page."""
        while limit > 0:
            page = await self.perform(operations.limited(operation, limit))
            for item in page:
                yield item
            limit = limit - len(page) if page.next_cursor is not None else 0
            operation = operations.after(operation, page.next_cursor or "")


@dataclass(frozen=True, slots=True)
class AsyncExport:
    """The journal as JSON Lines in *parts*, and how many older requests are not in it because they were *evicted*."""

    parts: AsyncIterator[bytes]
    evicted: int


class AsyncExpectation:
    """What is waited for at the end of a block; then `event` is the last that arrived.

    `events` are all of them, the first to arrive first, but at most 1000.
    """

    def __init__(self, emulator: AsyncEmulator, wait: Callable[..., Operation[Met]]) -> None:
        self._emulator = emulator
        self._wait = wait
        self._newest_before = 0
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
        self._newest_before = (await self._emulator.summary()).newest_event
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        __tracebackhide__ = True
        if kind is None:
            self._met = await self._emulator.wait(self._wait(after=self._newest_before))


class AsyncFault(AsyncFaultState):
    """A planned misbehaviour, with its `name`."""

    def __init__(self, emulator: AsyncEmulator, name: str, plan: FaultPlan) -> None:
        super().__init__(name)
        self._emulator = emulator
        self._plan = plan

    async def begin(self) -> Self:
        """Plan the fault, unless that was done before."""
        if not self._begun:
            self._begun = True
            await self._emulator.perform(operations.plan_fault(self.name, self._plan))
        return self

    async def __aenter__(self) -> Self:
        return await self.begin()

    async def __aexit__(self, *_: object) -> None:
        await self.drop()

    @property
    def hits(self) -> int:
        """How many requests were hit so far; after the block, how many in all.

        Inside the block the emulator is asked without awaiting, which takes about a millisecond. A handle whose `http=`
        client can only be awaited has the count of the last `look()` instead.
        """
        if not self._over:
            with self._ends_if_gone():
                counts = self._emulator.perform_now(operations.fault(self.name, seconds=_HITS_SECONDS))
                self._hits = self._hits if counts is None else counts.hits
        return self._hits

    async def look(self) -> int:
        """Return how many requests were hit so far."""
        if not self._over:
            with self._ends_if_gone():
                self._hits = (await self._emulator.perform(operations.fault(self.name))).hits
        return self._hits

    async def drop(self) -> None:
        """End the fault, unless it is over."""
        if not self._over:
            with self._ends_if_gone():
                self._hits = (await self._emulator.perform(operations.drop_fault(self.name))).hits
                self._over = True


class AsyncClock:
    """The clock of an account: what "now" is for it."""

    def __init__(self, emulator: AsyncEmulator) -> None:
        self._emulator = emulator

    async def now(self) -> datetime:
        """Return its time, in UTC."""
        return (await self._emulator.perform(operations.clock())).now

    async def freeze(self, at: When | None = None) -> Moment:
        """Stop it, *at* a moment or where it is."""
        return await self._change({"freeze": True if at is None else operations.moment(at)})

    async def set(self, to: When) -> Moment:
        """Set it; it goes on from there, or stays if it is stopped."""
        return await self._change({"set": operations.moment(to)})

    async def advance(self, time: timedelta | None = None, **parts: Unpack[Duration]) -> Moment:
        """Advance it by *time*, or by parts of a timedelta: `advance(days=8)`."""
        return await self._change(operations.advance(time, parts))

    async def resume(self) -> Moment:
        """Let it tell the real time again."""
        return await self._change({"resume": True})

    async def _change(self, change: Mapping[str, Any]) -> Moment:
        return await self._emulator.perform(operations.set_clock(change))
