"""The handle that tests hold."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
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


class Emulator(Handle):
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
        http: httpx.Client | None = None,
    ) -> None:
        super().__init__(url, token=token, public_key=public_key, admin_token=admin_token)
        self._http = http
        self._own: httpx.Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The emulator runs on."""
        if self._own is not None:
            self._own.close()
            self._own = None

    # What arrived

    def events(self, event: str | None = None, *, outcome: str | None = None, **asked: When | bool) -> Listing[Event]:
        """Return events by their time, the oldest first: the accepted ones, or those of an *outcome* (`any` for all).

        *asked* are the parameters of `GET /debug/events`: visitor_id, distinct_id, endpoint, test, since.
        """
        return self._all(operations.events(outcome, event, asked))

    def event(self, event_id: int) -> Event:
        """Return one event, whatever its outcome."""
        return self.ask(operations.event(event_id))

    def visitors(self, **asked: str) -> Listing[Visitor]:
        """Return visitors, the oldest first. *asked*: external_id, email, user_id, anonymous_id, q."""
        return self._all(operations.visitors(asked))

    def visitor(self, **asked: str) -> Visitor:
        """Return the only visitor there is for *asked*. Raises ExpectationError if there are none or several."""
        __tracebackhide__ = True
        found = self.visitors(**asked)
        return operations.only(found, asked, found or self.visitors())

    def requests(self, **asked: str | int) -> Listing[RequestRecord]:
        """Return the journal, the oldest request first."""
        return self._all(operations.requests(asked))

    def request(self, request_id: int) -> RequestDetail:
        """Return one request with its body and the events in it."""
        return self.ask(operations.request(request_id))

    def summary(self) -> Summary:
        """Return the counts."""
        return self.ask(operations.summary())

    def timeline(self) -> str:
        """Return a line for each request, with outcome, reason and hints: what a failing test prints."""
        return "\n".join(report.timeline(self.requests(), self.events(outcome="any")))

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
    ) -> Event:
        """Wait until *count* events that match have arrived, at most *timeout* seconds; return the last to arrive."""
        __tracebackhide__ = True
        asked = operations.asked_for(event, match, fields)
        wish = operations.Wish(asked, count, "at_least", outcome)
        return self.waited(operations.wait(wish, timeout=timeout)).event

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
    ) -> Expectation:
        """Return a context manager that waits, at the end of its block, for events that arrived since it began.

        *settle* is how many seconds nothing more may come, for the modes `exactly`, `at_most` and `none`.
        """
        asked = operations.asked_for(event, match, fields)
        wish = operations.Wish(asked, count, mode, outcome)
        return Expectation(self, operations.wait(wish, timeout=timeout, settle=settle))

    def assert_tracked(
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
        return self.ask(operations.verify(wish)).event

    def assert_none(
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
        self.ask(operations.verify(operations.Wish(asked, 0, "none", outcome)))

    def assert_sequence(self, *matches: str | Json, strict: bool = False) -> list[Event]:
        """Check, without waiting, that there are events in this order of their time, and return them.

        *matches* are names or matches, each for one event. *strict*: no other event of the account is between them.
        """
        __tracebackhide__ = True
        return list(self.ask(operations.sequence([operations.named(match) for match in matches], strict=strict)).items)

    def assert_no_hints(self, *, ignore: Sequence[str] = ()) -> None:
        """Check that nothing was accepted which was probably not meant, but for the rules in *ignore*."""
        __tracebackhide__ = True
        operations.no_hints(self.events(outcome="any"), ignore)

    # What is set

    @property
    def clock(self) -> Clock:
        """The clock of this account."""
        return Clock(self)

    @contextmanager
    def fault(self, name: str | None = None, **plan: Unpack[FaultPlan]) -> Generator[Fault]:
        """Plan a misbehaviour for the length of the block. Its *name* tells it from others of the account."""
        fault = Fault(self, name or f"fault-{uuid4().hex[:4]}")
        self.ask(operations.plan_fault(fault.name, plan))
        try:
            yield fault
        finally:
            fault.drop()

    def reset(self) -> Cleared:
        """Forget the visitors, events and requests of this account; of all accounts without one."""
        return self.ask(operations.reset(self.account))

    def export(self, *, redact: bool = False) -> str:
        """Return all requests as JSON lines, the oldest first; *redact*: without tokens and keys."""
        return self.ask(operations.export(redact=redact))

    def replay(self, lines: str) -> Imported:
        """Send exported requests again, into this account."""
        return self.ask(operations.replay(lines))

    def open_account(self, name: str | None = None, **plan: Unpack[AccountPlan]) -> Emulator:
        """Return the handle of another account of the same emulator, a fresh one without a *name*.

        What the handles of the pytest fixtures open without a name is closed with the account of the fixture.
        """
        account = name or f"account-{uuid4().hex[:12]}"
        if plan:
            self.ask(operations.open_account(account, plan))
        token, key = operations.first(plan.get("tokens")), operations.first(plan.get("public_keys"))
        url = f"{self.server_url}/accounts/{account}"
        opened = Emulator(url, token=token, public_key=key, admin_token=self.admin_token, http=self._client())
        if name is None:
            self._remember(account, opened)
        return opened

    def close_account(self) -> None:
        """Forget this account; requests to it are refused from now on (410)."""
        if self.account is None:
            raise EmulatorError("this handle is for all accounts; there is none to close")
        self.ask(operations.close_account(self.account))

    # How it is asked

    def version(self) -> str:
        """Return the version of the emulator, which is well if it answers."""
        return self.ask(operations.health())

    def waited(self, call: Call[Met]) -> Met:
        """Make a call that waits, and remember why if it waits in vain."""
        __tracebackhide__ = True
        self.last_miss = None
        try:
            return self.ask(call)
        except ExpectationError as error:
            self.last_miss = error
            raise

    def _all(self, call: Call[Listing[T]]) -> Listing[T]:
        """Return the items of every page, the oldest first."""
        page = self.ask(call)
        items = list(page)
        while page.next_cursor is not None:
            page = self.ask(operations.after(call, page.next_cursor))
            items += page
        return Listing(reversed(items), evicted=page.evicted)

    def ask(self, call: Call[T]) -> T:
        """Make one call of the debug API."""
        __tracebackhide__ = True
        client = self._client()
        import httpx

        try:
            answer = client.request(
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

    def _client(self) -> httpx.Client:
        if self._http is not None:
            return self._http
        if self._own is None:
            with quiet_imports():
                import httpx

            # A proxy of the environment is for other hosts; loading certificates would take longer than a test.
            self._own = httpx.Client(trust_env=False, verify=self.url.startswith("https:"))
        return self._own


class Expectation:
    """What is waited for at the end of a block; then `event` is the last that arrived.

    `events` are all of them, the first to arrive first, but at most 1000.
    """

    def __init__(self, emulator: Emulator, call: Call[Met]) -> None:
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

    def __enter__(self) -> Self:
        self._since = self._emulator.summary().newest_event
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        __tracebackhide__ = True
        if kind is None:
            self._met = self._emulator.waited(operations.since(self._call, self._since))


class Fault:
    """A planned misbehaviour. `hits` is how many requests it has hit, also when it is over."""

    def __init__(self, emulator: Emulator, name: str) -> None:
        self.name = name
        self._emulator = emulator
        self._hits = 0
        self._over = False

    @property
    def hits(self) -> int:
        """How many requests were hit."""
        self._look(operations.fault(self.name))
        return self._hits

    def drop(self) -> None:
        """End it, if it isn't over yet."""
        self._look(operations.drop_fault(self.name))
        self._over = True

    def _look(self, call: Call[FaultCounts]) -> None:
        if self._over:
            return
        try:
            self._hits = self._emulator.ask(call).hits
        except EmulatorError as error:
            # A reset, or the end of the account, has ended it.
            if error.status not in operations.GONE:
                raise
            self._over = True


class Clock:
    """The clock of an account: what "now" is for it."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def now(self) -> datetime:
        """Return what it says, in UTC."""
        return self._emulator.ask(operations.clock()).now

    def freeze(self, at: When | None = None) -> Moment:
        """Stop it, *at* a moment or where it is."""
        return self._change({"freeze": True if at is None else operations.moment(at)})

    def set(self, to: When) -> Moment:
        """Set it; it goes on from there, or stays if it is stopped."""
        return self._change({"set": operations.moment(to)})

    def advance(self, time: timedelta | None = None, **parts: Unpack[Duration]) -> Moment:
        """Move it on by *time*, or by parts of a timedelta: `advance(days=8)`."""
        return self._change(operations.step((time or timedelta()) + timedelta(**parts)))

    def resume(self) -> Moment:
        """Let it tell the real time again."""
        return self._change({"resume": True})

    def _change(self, change: Mapping[str, Any]) -> Moment:
        return self._emulator.ask(operations.move_clock(change))
