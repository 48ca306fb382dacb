"""The emulator of a run of pytest: a new one, or the one at the URL that the run is given."""

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from typing import Any, cast

import pytest

from ours_emulator.emulator import Emulator, EmulatorError, operations
from ours_emulator.emulator.local import running_in
from ours_emulator.errors import WRONG_ADMIN_TOKEN, SettingsError, StoreError, why
from ours_emulator.pytest_support.child import child_of_run, configured_command, configured_url
from ours_emulator.pytest_support.marker import OF_ACCOUNT, problem_of
from ours_emulator.variables import COMMAND_VARIABLE
from ours_emulator.wording import did_you_mean

_SETTINGS = "ours_emulator_settings"
_FORM = "a dict of settings, such as {'tokens': ['live_123']}"


@contextmanager
def server_of_run(config: pytest.Config, settings: Mapping[str, Any]) -> Generator[Emulator]:
    """Give the emulator of the run until the block ends. Fails with one line if there is none."""
    _check(settings)
    url, url_origin = configured_url(config)
    command, command_origin = configured_command(config)
    with ExitStack() as stack:
        try:
            if url:
                emulator = _attached(url, settings)
            else:
                emulator = stack.enter_context(running_in(child_of_run(config, command), _of_start(settings)))
        except (SettingsError, StoreError, OSError) as error:
            raise _failed(f"{_SETTINGS}: {why(error)}") from None
        except (EmulatorError, ValueError) as error:
            raise _failed(f"{error}{url_origin or command_origin}") from None
        yield emulator


def _of_start(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the *settings* that the emulator is started with: what is no file, but should be, goes to each account."""
    return {name: value for name, value in settings.items() if not isinstance(value, Mapping)}


def _attached(url: str, settings: Mapping[str, Any]) -> Emulator:
    """Return the handle of the emulator that runs at *url*. Fails if *settings* has what only its start can set."""
    for name in settings.keys() - OF_ACCOUNT:
        advice = did_you_mean(name, OF_ACCOUNT)
        raise _failed(f"{_SETTINGS}: {name} cannot be set for an emulator that is running already{advice}")
    emulator = Emulator(Emulator(url).server_url)
    emulator.version()
    _check_admin_token(emulator)
    return emulator


def _check_admin_token(emulator: Emulator) -> None:
    """Fail if the emulator does not take the admin token: its health is for everyone, the rest is not."""
    try:
        emulator.perform(operations.rules())
    except EmulatorError as error:
        raise _failed(WRONG_ADMIN_TOKEN) if error.status == HTTPStatus.UNAUTHORIZED else error from None


def _check(returned: object) -> None:
    """Fail if what the fixture *returned* has another form than settings."""
    settings = cast(Mapping[object, object], returned) if isinstance(returned, Mapping) else None
    if settings is None or not all(isinstance(name, str) for name in settings):
        raise _failed(f"{_SETTINGS} must return {_FORM}, not {returned!r}")
    for name, value in cast(Mapping[str, object], settings).items():
        if problem := problem_of(name, value) if name in OF_ACCOUNT else "":
            raise _failed(f"{_SETTINGS}: {problem}")
    if "command" in settings:
        raise _failed(f"{_SETTINGS}: command is not a setting; use --ours-emulator-command, or {COMMAND_VARIABLE}")


def _failed(problem: str) -> BaseException:
    return pytest.fail.Exception(problem, pytrace=False)
