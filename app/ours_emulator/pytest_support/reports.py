"""What the plugin adds to the outcome of a test: problems of strict tests, and what arrived in failed ones."""

from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from ours_emulator.emulator import (
    AsyncEmulator,
    Emulator,
    EmulatorError,
    Event,
    ExpectationError,
    RequestRecord,
    operations,
    report,
)
from ours_emulator.pytest_support import network_guard
from ours_emulator.pytest_support.marker import ignored_rules, is_strict
from ours_emulator.pytest_support.report_files import ReportFiles, report_files
from ours_emulator.variables import BASE_URL_VARIABLE
from ours_emulator.wording import plural

_MAX_OPENED = 5
_SECTION = "ours-emulator"
_KEPT = (
    "a client that was made there may still be in use; make one for each test, or use "
    "client.with_options(base_url=ours_emulator.ingest_url)"
)

_NOTHING = f"nothing arrived: does the app read its base URL from {BASE_URL_VARIABLE} ({{}})?"


@dataclass
class WatchedAccount:
    """An account that a test uses, and what is needed to report on it."""

    emulator: Emulator
    newest_before: int = 0
    """The id of the last request before the test: what a seed brought is not the test's doing."""
    async_emulator: AsyncEmulator | None = None

    def newest_request(self) -> int:
        """Return the id of the last request so far."""
        try:
            return self.emulator.summary().newest_request
        except EmulatorError as error:
            pytest.fail(str(error), pytrace=False)

    def problems(self, newest_before: int, ignored: Collection[str]) -> list[str]:
        """Return what strict tests fail on, in requests after *newest_before*, except for the rules in *ignored*.

        A fault is what the test asked for.
        """
        try:
            requests, events = self._arrived(newest_before)
        except EmulatorError as error:
            pytest.fail(str(error), pytrace=False)
        planned = {request.id for request in requests if request.fault is not None}
        return report.problems((event for event in events if event.request_id not in planned), ignored)

    def report(self, raised: Sequence[BaseException], closed: dict[str, int], *, alone: bool) -> str:
        """Return what arrived, for the report of a test that failed with *raised*, and what *closed* accounts got.

        *alone*: the test has no other account where something may have arrived.
        """
        try:
            requests, events = self._arrived(self.newest_before)
            late = self._late(closed)
        except EmulatorError as error:
            return str(error)
        lines = [f"{self.emulator.url}: {report.counts(requests, events)}", *report.timeline(requests, events)]
        lines += [f"the last wait failed: {miss}" for miss in self._misses() if miss not in raised]
        if alone and not requests and not late:
            lines.append(_NOTHING.format(self.emulator.ingest_url))
        return "\n".join([*lines, *late])

    def save(self, files: ReportFiles, title: str, raised: Sequence[BaseException]) -> list[str]:
        """Write a report on each account of the test, and return the lines that say where they are."""
        failures = list(dict.fromkeys(map(str, (*raised, *self._misses()))))
        opened = [self.emulator, *map(self.emulator.open_account, self.emulator.opened[:_MAX_OPENED])]
        titles = [title, *(f"{title}, account {emulator.account}" for emulator in opened[1:])]
        return [files.save(emulator, name, failures) for emulator, name in zip(opened, titles, strict=True)]

    def _misses(self) -> list[ExpectationError]:
        handles = (self.emulator, self.async_emulator)
        return [handle.last_miss for handle in handles if handle is not None and handle.last_miss is not None]

    def _late(self, closed: dict[str, int]) -> list[str]:
        """Return a line if requests came to accounts that are *closed*, and that no earlier report named; count them.

        Each is named once: tests that fail later have nothing to do with it.
        """
        accounts = self.emulator.perform(operations.accounts()) if closed else []
        counts = {account["account"]: account["late_requests"] for account in accounts if account["account"] in closed}
        count = sum(counts.values()) - sum(closed[name] for name in counts)
        closed.update(counts)
        late = f"{plural(count, 'request')} came too late to the closed account of an earlier test; {_KEPT}"
        return [late] if count else []

    def _arrived(self, newest_before: int) -> tuple[list[RequestRecord], list[Event]]:
        """Return the requests after *newest_before* and their events, also of accounts that were opened from here."""
        emulators = [self.emulator, *map(self.emulator.open_account, self.emulator.opened)]
        requests = [request for emulator in emulators for request in emulator.requests() if request.id > newest_before]
        events = [
            event
            for emulator in emulators
            for event in emulator.events(outcome="any")
            if event.request_id > newest_before
        ]
        return sorted(requests, key=lambda request: request.id), events


ACCOUNT = pytest.StashKey[WatchedAccount]()
"""The account of a test, and of the session."""
CLOSED = pytest.StashKey[dict[str, int]]()
"""The accounts of earlier tests, each with how many late requests were reported; in the stash of the session."""
_CLOSING = pytest.StashKey[list[Callable[[], None]]]()
"""What to close once the current test is torn down; in the stash of the session."""


class Reports:
    """The hooks of the plugin that only matter once an emulator runs.

    From then on nothing in this process reaches the real API: neither a test without the fixture, nor a thread that
    outlives its test.
    """

    name = "ours-emulator-reports"

    def __init__(self, files: ReportFiles | None) -> None:
        self._files = files
        self.blocked: list[str] = []
        """The advice for the current test, if it tried to reach the real API."""
        self._raised: list[BaseException] = []
        """What the current test failed with: its teardown may fail too."""

    def pytest_runtest_logstart(self) -> None:
        """Forget what the test before tried."""
        self.blocked.clear()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Generator[None, object, object]:
        """Explain why a fixture failed that tried to reach the real API."""
        self._raised.clear()
        with self._explaining():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Fail a test that passed, if it tried to reach the real API, or is strict and something was objected to."""
        strict = is_strict(item)
        shared = _account_of_session(item) if strict else None
        # What came to the account of the session before this test is not its doing.
        newest_before = 0 if shared is None else shared.newest_request()
        with self._explaining():
            result = yield
        own = item.stash.get(ACCOUNT, None) if strict else None
        ignored = ignored_rules(item)
        problems = [] if own is None else own.problems(own.newest_before, ignored)
        problems += [] if shared is None else shared.problems(newest_before, ignored)
        if problems:
            # The first line is all that a summary shows.
            problems[0] = f"strict: {plural(len(problems), 'problem')}: {problems[0]}"
        self._fail([*self.blocked, *problems])
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """Fail the teardown of a test that tried to reach the real API in it for the first time.

        If the teardown fails, what arrived is added to its report. Nothing is closed before that.
        """
        blocked_before = len(self.blocked)
        with _closing(item.session):
            try:
                with self._explaining():
                    result = yield
                self._fail(self.blocked[blocked_before:])
            except (Exception, BaseExceptionGroup, pytest.fail.Exception) as error:
                for text in self._texts(item, error):
                    item.add_report_section("teardown", _SECTION, text)
                raise
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add what arrived to the report of a test that failed."""
        report = yield
        if report.failed and report.when != "teardown":
            texts = self._texts(item, None if call.excinfo is None else call.excinfo.value)
            advice = [text for text in self.blocked if text not in report.longreprtext]
            report.sections += [(_SECTION, text) for text in (*texts, *advice)]
        return report

    def _texts(self, item: pytest.Item, raised: BaseException | None) -> list[str]:
        """Return what arrived in each account of a test that failed with *raised*, and where the reports are."""
        self._raised += [] if raised is None else [raised]
        return ["\n".join(self._report(item, account)) for account in _accounts(item)]

    def _report(self, item: pytest.Item, account: WatchedAccount) -> Generator[str]:
        """Yield what arrived. An error is only reported: pytest ends the whole run when a hook raises it."""
        closed = item.session.stash.get(CLOSED, dict[str, int]())
        try:
            yield account.report(self._raised, closed, alone=len(_accounts(item)) == 1)
        except Exception as error:
            yield f"what arrived is not known: {type(error).__name__}: {error}"
        if self._files is None:
            return
        whose = " (account of the session)" if item.stash.get(ACCOUNT, None) is not account else ""
        try:
            yield from account.save(self._files, f"{item.nodeid}{whose}", self._raised)
        except Exception as error:
            yield f"there is no report: {type(error).__name__}: {error}"

    @contextmanager
    def _explaining(self) -> Generator[None]:
        """Say with an error that it may come from an attempt to reach the real API: SDKs raise `Connection error.`"""
        try:
            yield
        except BaseException as error:
            for advice in self.blocked:
                if advice not in str(error) and advice not in getattr(error, "__notes__", ()):
                    error.add_note(advice)
            raise

    def _fail(self, problems: Sequence[str]) -> None:
        if problems:
            pytest.fail("\n".join(problems), pytrace=False)


@contextmanager
def reporting(config: pytest.Config, folder: str) -> Generator[None]:
    """Report on tests from now on, with files in *folder*, and keep them from the real API, until the block ends."""
    reports = Reports(report_files(config, folder))
    config.pluginmanager.register(reports, Reports.name)
    try:
        with pytest.MonkeyPatch.context() as patch:
            network_guard.block(patch, reports.blocked)
            yield
    finally:
        config.pluginmanager.unregister(reports)


@contextmanager
def closing_after_test(session: pytest.Session) -> Generator[ExitStack]:
    """Give a stack that is closed after the block; if a test is being torn down, only when that has been reported."""
    stack = ExitStack()
    try:
        yield stack
    finally:
        closing = session.stash.get(_CLOSING, None)
        if closing is None:
            stack.close()
        else:
            closing.append(stack.close)


@contextmanager
def _closing(session: pytest.Session) -> Generator[None]:
    """Close only after the block what is closed in it."""
    closing = session.stash[_CLOSING] = []
    try:
        yield
    finally:
        del session.stash[_CLOSING]
        with ExitStack() as stack:
            for close in reversed(closing):
                stack.callback(close)


def _accounts(item: pytest.Item) -> list[WatchedAccount]:
    accounts = (item.stash.get(ACCOUNT, None), _account_of_session(item))
    return [account for account in accounts if account is not None]


def _account_of_session(item: pytest.Item) -> WatchedAccount | None:
    names: list[str] = getattr(item, "fixturenames", [])
    return item.session.stash.get(ACCOUNT, None) if "ours_emulator_session" in names else None
