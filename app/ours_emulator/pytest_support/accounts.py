"""What the fixtures of the pytest plugin do: accounts, strictness, and the report of a failed test."""

import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ours_emulator.emulator import (
    AsyncEmulator,
    Emulator,
    EmulatorError,
    Event,
    RequestRecord,
    operations,
    report,
    run_emulator,
)
from ours_emulator.emulator._async import twin_of
from ours_emulator.emulator.handle import BASE_URL_VARIABLE
from ours_emulator.emulator.logs import debug_calls_unheard
from ours_emulator.emulator.operations import AccountPlan
from ours_emulator.pytest_support import network_guard

MARKER = "ours_emulator"
_PLANNED = frozenset(AccountPlan.__optional_keys__)
_KNOWN = _PLANNED | {"strict", "clock", "seed"}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9]+")


@dataclass
class Watch:
    """An account whose tests may fail, and what is needed to tell why."""

    emulator: Emulator
    begun: int = 0
    """The id of the last request before the test: what was there from the beginning is not the test's doing."""
    twin: AsyncEmulator | None = None

    def newest(self) -> int:
        """Return the id of the last request until now."""
        try:
            return self.emulator.summary().newest_request
        except EmulatorError as error:
            pytest.fail(str(error), pytrace=False)

    def arrived(self, begun: int) -> tuple[list[RequestRecord], list[Event]]:
        """Return the requests after the one with the id *begun*, and the events in them, also of what was opened."""
        handles = [self.emulator, *map(self.emulator.open_account, self.emulator.opened)]
        requests = [request for it in handles for request in it.requests() if request.id > begun]
        events = [event for it in handles for event in it.events(outcome="any") if event.request_id > begun]
        return sorted(requests, key=lambda it: it.id), events

    def objections(self, begun: int) -> list[str]:
        """Return what strict tests fail on of what came after the request *begun*; a fault is what the test wanted."""
        requests, events = self.arrived(begun)
        planned = {request.id for request in requests if request.fault is not None}
        return report.objections(event for event in events if event.request_id not in planned)

    def told(self, raised: BaseException | None) -> str:
        """Return what arrived, for the report of a test that failed with *raised*."""
        try:
            requests, events = self.arrived(self.begun)
        except EmulatorError as error:
            return str(error)
        lines = [f"{self.emulator.url}: {report.counts(requests, events)}", *report.timeline(requests, events)]
        misses = [it.last_miss for it in (self.emulator, self.twin) if it is not None]
        lines += [f"the last wait was in vain: {miss}" for miss in misses if miss is not None and miss is not raised]
        return "\n".join(lines)


_WATCH = pytest.StashKey[Watch]()


class Reports:
    """The hooks of the plugin that only matter once an emulator runs.

    From then on nobody in this process reaches the real API: not a test without the fixture, nor a thread that outlives
    its test.
    """

    name = "ours-emulator-reports"

    def __init__(self) -> None:
        self.blocked: list[str] = []
        """The advice for the test that runs, if it tried to reach the real API."""

    def pytest_runtest_logstart(self) -> None:
        """Begin with a test that has tried nothing."""
        self.blocked.clear()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Fail a test that passed, if it is strict and something was refused or hinted at."""
        strict = _strict(item)
        shared = _watch_of_session(item) if strict else None
        # What came to the account of the session before this test is not its doing.
        begun = 0 if shared is None else shared.newest()
        result = yield
        own = item.stash.get(_WATCH, None) if strict else None
        objections = [] if own is None else own.objections(own.begun)
        objections += [] if shared is None else shared.objections(begun)
        if own is not None or shared is not None:
            objections = [*self.blocked, *objections]
        if objections:
            pytest.fail("the emulator objects (strict):\n" + "\n".join(objections), pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Add what arrived to the report of a test that failed."""
        made = yield
        if made.failed and made.when != "teardown":
            raised = None if call.excinfo is None else call.excinfo.value
            told = [watch.told(raised) for watch in _watches(item)]
            made.sections += [("ours-emulator", text) for text in (*told, *self.blocked)]
        return made


def _watches(item: pytest.Item) -> list[Watch]:
    return [watch for watch in (item.stash.get(_WATCH, None), _watch_of_session(item)) if watch is not None]


def _watch_of_session(item: pytest.Item) -> Watch | None:
    names: list[str] = getattr(item, "fixturenames", [])
    return item.session.stash.get(_WATCH, None) if "ours_emulator_session" in names else None


@contextmanager
def guarded(config: pytest.Config) -> Generator[None]:
    """Report on tests from now on, and keep them from production until the end."""
    reports = Reports()
    config.pluginmanager.register(reports, Reports.name)
    try:
        with pytest.MonkeyPatch.context() as patch:
            network_guard.block(patch, reports.blocked)
            yield
    finally:
        config.pluginmanager.unregister(reports)


@contextmanager
def started(settings: Mapping[str, Any]) -> Generator[Emulator]:
    """Run an emulator with *settings* in a thread and give its handle."""
    with run_emulator(**settings) as emulator, debug_calls_unheard(emulator.server_url):
        yield emulator


@contextmanager
def attached(url: str, settings: Mapping[str, Any]) -> Generator[Emulator]:
    """Give the handle of the emulator that runs at *url*."""
    for name in settings.keys() - _PLANNED:
        pytest.fail(f"ours_emulator_settings: {name} can't be set for an emulator that runs already", pytrace=False)
    with Emulator(Emulator(url).server_url) as emulator, debug_calls_unheard(emulator.server_url):
        emulator.version()
        yield emulator


@contextmanager
def account_of_test(
    request: pytest.FixtureRequest, server: Emulator, settings: Mapping[str, Any], patch: pytest.MonkeyPatch
) -> Generator[Emulator]:
    """Give a fresh account to a test, as its markers say."""
    node: pytest.Item = request.node
    wanted = _wanted(node)
    with _account(server, node.name, settings, wanted) as emulator:
        watch = Watch(emulator)
        if "seed" in wanted:
            _sow(node, emulator, wanted["seed"])
            watch.begun = watch.newest()
        if "clock" in wanted:
            emulator.clock.freeze(wanted["clock"])
        patch.setenv(BASE_URL_VARIABLE, emulator.ingest_url)
        node.stash[_WATCH] = watch
        yield emulator


@contextmanager
def account_of_session(
    request: pytest.FixtureRequest, server: Emulator, settings: Mapping[str, Any]
) -> Generator[Emulator]:
    """Give an account to the whole session."""
    with _account(server, "session", settings, {}) as emulator, pytest.MonkeyPatch.context() as patch:
        watch = Watch(emulator)
        patch.setenv(BASE_URL_VARIABLE, emulator.ingest_url)
        request.session.stash[_WATCH] = watch
        yield emulator


def twin(request: pytest.FixtureRequest, emulator: Emulator) -> AsyncEmulator:
    """Return the asynchronous handle of the same account."""
    made = twin_of(emulator)
    request.node.stash[_WATCH].twin = made
    return made


@contextmanager
def _account(
    server: Emulator, title: str, settings: Mapping[str, Any], wanted: Mapping[str, Any]
) -> Generator[Emulator]:
    name = f"{_NOT_IN_NAMES.sub('-', title).strip('-')[:60] or 'test'}-{uuid4().hex[:12]}"
    emulator = server.open_account(name, **_plan(settings, wanted))
    try:
        yield emulator
    finally:
        _close(emulator, [*emulator.opened, name])


def _close(emulator: Emulator, names: Sequence[str]) -> None:
    """Close all accounts of these *names*, and then tell what kept one from being closed."""
    errors: list[EmulatorError] = []
    for name in names:
        try:
            emulator.ask(operations.close_account(name))
        except EmulatorError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _plan(settings: Mapping[str, Any], wanted: Mapping[str, Any]) -> AccountPlan:
    """Return what the account accepts: as the settings say, and the markers more so."""
    planned: Any = {name: value for name, value in {**settings, **wanted}.items() if name in _PLANNED}
    plan: AccountPlan = planned
    return plan


def _strict(node: pytest.Item) -> bool:
    return bool(_wanted(node).get("strict", node.config.getini("ours_emulator_strict")))


def _wanted(node: pytest.Item) -> dict[str, Any]:
    """Return what the markers of a test say; the closest one wins."""
    wanted: dict[str, Any] = {}
    for marker in node.iter_markers(MARKER):
        unknown = sorted(marker.kwargs.keys() - _KNOWN)
        if marker.args or unknown:
            what = unknown[0] if unknown else repr(marker.args[0])
            pytest.fail(f"@pytest.mark.{MARKER}: {what} is none of {', '.join(sorted(_KNOWN))}", pytrace=False)
        wanted = {**marker.kwargs, **wanted}
    return wanted


def _sow(node: pytest.Item, emulator: Emulator, name: str | Path) -> None:
    """Replay the requests in the file that *name* means: beside the test, or else from the root of the run."""
    beside = node.path.parent / name
    file = beside if beside.exists() else node.config.rootpath / name
    try:
        emulator.replay(file.read_text("utf-8"))
    except (OSError, ValueError, EmulatorError) as error:
        raise pytest.fail.Exception(f"@pytest.mark.{MARKER}: seed {name}: {error}", pytrace=False) from None
