"""The pytest plugin: an emulator that starts when a test first asks for it, and a fresh account of it for each test.

Every pytest run where the package is installed imports this module, so it imports nothing but pytest.

PYTEST_DONT_REWRITE: nothing is asserted here, and pytest before 9.2 warns if the plugin is imported before it is named.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ours_emulator.emulator import AsyncEmulator, Emulator

_NAME = "ours_emulator"
_REPORTS = ".ours-emulator"
"""The folder for reports, in the root directory of the run."""
_IS_FIRST = pytest.StashKey[bool]()
"""Whether the next test of the session is the first one, and something is to be imported before it."""
_USED = pytest.StashKey[bool]()
"""Whether a test used the fixture, which it may ask for late."""
_MARKER = (
    "ours_emulator(strict, strict_ignore, clock, seed, allowed_events, tokens, public_keys, require_identifier, "
    "strict_openapi, revision, experiments, tracking_plan): options of the test's account of the emulator; strict=True "
    "fails the test on refusals and hints, except for those of the rules in strict_ignore=, clock= stops its clock at "
    "a moment, seed= names a file of exported requests to begin with, tracking_plan= is a plan, or its file."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option and the settings of the ini file."""
    group = parser.getgroup("ours-emulator")
    group.addoption(
        "--ours-emulator-url",
        metavar="URL",
        help="Use the emulator that runs at URL instead of starting one. Also: OURS_EMULATOR_URL.",
    )
    group.addoption(
        "--ours-emulator-command",
        metavar="COMMAND",
        help="Start the emulator with this command, such as 'uvx ours-emulator'. Also: OURS_EMULATOR_COMMAND.",
    )
    parser.addini(
        "ours_emulator_command", "Start the emulator with this command, such as 'uvx ours-emulator'.", type="args"
    )
    parser.addini("ours_emulator_url", "Use the emulator that runs at this URL instead of starting one.", default="")
    parser.addini(
        "ours_emulator_strict",
        "Fail tests in which the emulator refuses something or gives a hint.",
        type="bool",
        default=False,
    )
    parser.addini("ours_emulator_revision", "Revision of the Ingest API for all tests, such as 2026-10.", default="")
    parser.addini(
        "ours_emulator_report",
        f"Write a report on each failed test to {_REPORTS}, in the root directory.",
        type="bool",
        default=True,
    )
    parser.addini("ours_emulator_strict_ignore", "Rules that strict tests do not fail on.", type="args")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and refuse a setting of the ini file that is not valid."""
    config.addinivalue_line("markers", _MARKER)
    for name in ("ours_emulator_strict", "ours_emulator_report"):
        try:
            config.getini(name)
        except (pytest.UsageError, ValueError, TypeError) as error:  # Which one depends on the version of pytest.
            raise pytest.UsageError(f"{name} in the ini file must be true or false: {error}") from None


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remove the reports of earlier runs. Workers of xdist leave that to their controller."""
    config = session.config
    folder = config.rootpath / _REPORTS
    is_first = not hasattr(config, "workerinput") and not config.option.collectonly
    if is_first and config.getini("ours_emulator_report") and folder.is_dir():
        from ours_emulator.pytest_support.report_files import remove_old_reports

        remove_old_reports(folder)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note whether a test asks for the fixtures. With pyfakefs, one may do so too late, by `getfixturevalue`."""
    session.stash[_IS_FIRST] = any(map(_uses, getattr(session, "items", ()))) or "pyfakefs" in sys.modules


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Before the first test, import what the fixtures need: a later one may have frozen clocks or faked the disk.

    If the first test itself uses the emulator, the process of that begins meanwhile. Not for a later one: tests may
    wait for all their child processes.
    """
    stash = item.session.stash
    if not stash.get(_IS_FIRST, False):
        return (yield)
    stash[_IS_FIRST] = False
    with ExitStack() as stack:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # What fails here does so again in the fixture, and there it is reported.
            if _uses(item):
                with suppress(Exception):
                    child = import_module("ours_emulator.pytest_support.child")
                    stack.enter_context(child.prepared_child(item.config))
            with suppress(Exception):
                import_module("ours_emulator.pytest_support.accounts")
        return (yield)


def _uses(item: pytest.Item) -> bool:
    """Whether a test asks for one of the fixtures by name."""
    return any(name.startswith(_NAME) for name in getattr(item, "fixturenames", ()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that has the marker and passed without the emulator: its marker had no effect.

    A marker of its class or module may be meant for other tests.
    """
    result = yield
    uses = item.stash.get(_USED, False) or _uses(item)
    if not uses and any(marker.name == _NAME for marker in item.own_markers):
        advice = f"the test does not use the fixture {_NAME}; request it, or remove the marker"
        pytest.fail(f"marker {_NAME}: {advice}", pytrace=False)
    return result


@pytest.fixture(scope="session")
def ours_emulator_settings() -> Mapping[str, Any]:
    """Override this to start the emulator with other settings of `ours-emulator serve`, like `{"tokens": ["t"]}`."""
    return {}


@pytest.fixture(scope="session")
def ours_emulator_server(
    request: pytest.FixtureRequest, ours_emulator_settings: Mapping[str, Any]
) -> Iterator[Emulator]:
    """The emulator itself, for all tests: a new one, or the one that --ours-emulator-url names."""
    from ours_emulator.pytest_support.reports import closing_after_test, reporting
    from ours_emulator.pytest_support.server import server_of_run

    with reporting(request.config, _REPORTS), closing_after_test(request.session) as stack:
        yield stack.enter_context(server_of_run(request.config, ours_emulator_settings))


@pytest.fixture
def ours_emulator(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    ours_emulator_server: Emulator,
    ours_emulator_settings: Mapping[str, Any],
) -> Iterator[Emulator]:
    """A fresh account of the emulator, which OURS_PRIVACY_BASE_URL points to while the test runs."""
    from ours_emulator.pytest_support.accounts import account_of_test

    request.node.stash[_USED] = True
    with account_of_test(request, ours_emulator_server, ours_emulator_settings, monkeypatch) as emulator:
        yield emulator


@pytest.fixture
def ours_emulator_async(request: pytest.FixtureRequest, ours_emulator: Emulator) -> AsyncEmulator:
    """The same account as `ours_emulator`, for tests that are coroutines."""
    from ours_emulator.pytest_support.accounts import async_handle

    return async_handle(request, ours_emulator)


@pytest.fixture(scope="session")
def ours_emulator_session(
    request: pytest.FixtureRequest, ours_emulator_server: Emulator, ours_emulator_settings: Mapping[str, Any]
) -> Iterator[Emulator]:
    """An account that lives as long as the session, for apps that are started once."""
    from ours_emulator.pytest_support.accounts import account_of_session

    with account_of_session(request, ours_emulator_server, ours_emulator_settings) as emulator:
        yield emulator
