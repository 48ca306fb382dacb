"""What the fixtures of the pytest plugin give: accounts of the emulator."""

import os
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from ours_emulator.emulator import AsyncEmulator, Emulator, EmulatorError, operations
from ours_emulator.emulator.checks import unknown_rule
from ours_emulator.emulator.operations import AccountPlan, When
from ours_emulator.errors import file_text
from ours_emulator.pytest_support.marker import (
    IGNORED,
    INI_IGNORED,
    INI_REVISION,
    OF_ACCOUNT,
    ignored_by_ini,
    ignored_by_marker,
    is_strict,
    options_of,
    settings_of_ini,
    wrong,
)
from ours_emulator.pytest_support.reports import ACCOUNT, CLOSED, WatchedAccount, closing_after_test
from ours_emulator.variables import BASE_URL_VARIABLE

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9]+")


@contextmanager
def account_of_test(
    request: pytest.FixtureRequest, server: Emulator, settings: Mapping[str, Any], patch: pytest.MonkeyPatch
) -> Generator[Emulator]:
    """Give a fresh account to a test, as its markers say."""
    test: pytest.Item = request.node
    options = options_of(test)
    if is_strict(test):
        _check_rules(server, test)
    with _account(server, test.name, request, settings, options) as emulator:
        account = WatchedAccount(emulator)
        if "seed" in options:
            _replay_seed(test, emulator, options["seed"])
            account.newest_before = account.newest_request()
        if "clock" in options:
            _stop_clock(emulator, options["clock"])
        patch.setenv(BASE_URL_VARIABLE, emulator.ingest_url)
        test.stash[ACCOUNT] = account
        yield emulator


@contextmanager
def account_of_session(
    request: pytest.FixtureRequest, server: Emulator, settings: Mapping[str, Any]
) -> Generator[Emulator]:
    """Give an account to the whole session."""
    with _account(server, "session", request, settings, {}) as emulator, pytest.MonkeyPatch.context() as patch:
        patch.setenv(BASE_URL_VARIABLE, emulator.ingest_url)
        request.session.stash[ACCOUNT] = WatchedAccount(emulator)
        yield emulator


def async_handle(request: pytest.FixtureRequest, emulator: Emulator) -> AsyncEmulator:
    """Return the asynchronous handle of the test's account."""
    handle = AsyncEmulator.beside(emulator)
    request.node.stash[ACCOUNT].async_emulator = handle
    return handle


def _check_rules(server: Emulator, test: pytest.Item) -> None:
    """Fail *test* if it ignores a rule that does not exist."""
    for name in sorted(ignored_by_marker(test)):
        if problem := unknown_rule(name, _rules(server)):
            raise wrong(f"{IGNORED}: {problem}")
    for name in sorted(ignored_by_ini(test)):
        if problem := unknown_rule(name, _rules(server)):
            pytest.fail(f"{INI_IGNORED}: {problem}", pytrace=False)


def _stop_clock(emulator: Emulator, at: When) -> None:
    try:
        emulator.clock.freeze(at)
    except EmulatorError as error:
        raise _refused(error, "clock: ") from None


def _refused(error: EmulatorError, place: str = "") -> BaseException:
    """Return how it is reported that the emulator refused an option of the marker, or that it does not answer."""
    if error.reason is None:
        return pytest.fail.Exception(str(error), pytrace=False)
    return wrong(place + error.reason.removeprefix("freeze: "))


@cache
def _rules(server: Emulator) -> frozenset[str]:
    return frozenset(rule.id for rule in server.perform(operations.rules()))


@contextmanager
def _account(
    server: Emulator,
    title: str,
    request: pytest.FixtureRequest,
    settings: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Generator[Emulator]:
    if ended := server.ended():
        pytest.fail(f"the emulator of {server.server_url} has ended: {ended}", pytrace=False)
    plan = _plan(request.node, {**settings_of_ini(request.config), **settings, **options})
    name = f"{_NOT_IN_NAMES.sub('-', title).strip('-')[:60] or 'test'}-{uuid4().hex[:12]}"
    try:
        emulator = server.open_account(name, **plan)
    except EmulatorError as error:
        raise _refused_plan(error, settings, options) from None
    with closing_after_test(request.session) as stack:
        stack.callback(_close, emulator, request.session, os.getpid())
        yield emulator


def _refused_plan(error: EmulatorError, settings: Mapping[str, Any], options: Mapping[str, Any]) -> BaseException:
    """Return *error* with where the value that was refused comes from: marker's *options*, *settings*, or ini file."""
    name = str(error.reason or "").partition(":")[0].partition(".")[0]
    if error.reason is None or name in options:
        return _refused(error)
    origin = INI_REVISION if name == "revision" and name not in settings else "ours_emulator_settings"
    return pytest.fail.Exception(f"{origin}: {error.reason}", pytrace=False)


def _plan(node: pytest.Item, settings: Mapping[str, Any]) -> AccountPlan:
    chosen: Any = {name: value for name, value in settings.items() if name in OF_ACCOUNT}
    file = chosen.get("tracking_plan")
    if isinstance(file, str | Path):
        chosen["tracking_plan"] = _text_of(node, "tracking_plan", file)
    plan: AccountPlan = chosen
    return plan


def _close(emulator: Emulator, session: pytest.Session, process: int) -> None:
    """Close the account of *emulator* and those opened from it, and only then raise what kept one from being closed."""
    # A fork that fails or exits goes through the end of the test as well.
    if os.getpid() != process:
        return
    errors: list[EmulatorError] = []
    for name in (*emulator.opened, emulator.account or ""):
        try:
            emulator.perform(operations.close_account(name))
        except EmulatorError as error:
            errors.append(error)
    session.stash.setdefault(CLOSED, {})[emulator.account or ""] = 0
    if errors:
        raise errors[0]


def _replay_seed(test: pytest.Item, emulator: Emulator, name: str | Path) -> None:
    """Replay the requests of the file *name*."""
    text = _text_of(test, "seed", name)
    try:
        emulator.replay(text)
    except (ValueError, EmulatorError) as error:
        reason = error.reason if isinstance(error, EmulatorError) else None
        raise wrong(f"seed {name}: {reason or error}") from None


def _text_of(test: pytest.Item, option: str, name: str | Path) -> str:
    """Return what is in the file of an *option*: *name* beside the test, or else in the root directory of the run."""
    # The node of a session is that directory.
    beside = test.path if test.path.is_dir() else test.path.parent
    places = list(dict.fromkeys((beside / name, test.config.rootpath / name)))
    try:
        return file_text(_existing(places))
    except (OSError, ValueError) as error:
        raise wrong(f"{option} {name}: {error}") from None


def _existing(places: Sequence[Path]) -> Path:
    """Return the first of *places* where there is a file."""
    for place in places:
        if place.exists():
            return place
    raise FileNotFoundError(f"no such file; looked for {' and '.join(map(str, places))}")
