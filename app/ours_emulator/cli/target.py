"""Which emulator a command is about, and the options and errors that all commands about one share."""

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from ours_emulator.errors import WRONG_ADMIN_TOKEN
from ours_emulator.locator import places, url_of
from ours_emulator.model import ACCOUNT_NAME, ACCOUNT_NAME_FORM, DEFAULT_ACCOUNT
from ours_emulator.settings import ENV_PREFIX, SettingsError, load
from ours_emulator.wording import listed

if TYPE_CHECKING:
    from ours_emulator.emulator import Emulator, EmulatorError

NOT_MET = 1
"""The exit code of a command that waits or checks in vain, asks for what is not there, or meets a failed emulator."""
INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended."""
_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.GONE)
_ADMIN_TOKEN = ENV_PREFIX + "ADMIN_TOKEN"
_EPILOG = f"For an emulator with an admin token, set {_ADMIN_TOKEN} to it."
F = TypeVar("F", bound=Callable[..., Any])


class NotMetError(click.ClickException):
    """The command is right, but what it asks for is not there, or the emulator failed."""

    exit_code = NOT_MET


class DebugCommand(click.Command):
    """A command that uses the handle: what the handle raises is an error of the command line."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        with emulator_errors():
            return super().invoke(ctx)


def debug_command(
    name: str | None = None, cls: type[DebugCommand] = DebugCommand
) -> Callable[[Callable[..., None]], click.Command]:
    """Make a function a command, with the *name* of the function unless another one is given."""
    return click.command(name, cls=cls, epilog=_EPILOG)


def url_option(command: F) -> F:
    """Give *command* the option that says which emulator is meant."""
    text = f"Address of the emulator. [default: {ENV_PREFIX}URL, or else the one that is running here]"
    return click.option("--url", envvar=ENV_PREFIX + "URL", help=text)(command)


def options(account: str = "Only this account. [default: all of them]") -> Callable[[F], F]:
    """Give a command the options for emulator and account; *account* is the help of the latter."""

    def with_options(command: F) -> F:
        return url_option(click.option("--account", help=account, callback=_account_name)(command))

    return with_options


def _account_name(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    """Return *name* if an account can have it: another one would lead to another path of the server."""
    if name is not None and ACCOUNT_NAME.fullmatch(name) is None:
        raise click.ClickException(f"--account {name}: not a valid account name; use {ACCOUNT_NAME_FORM}")
    return name


json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object per line, as in the debug API.")


@contextmanager
def emulator_errors() -> Generator[None]:
    """Report what the handle raises as an error of the command line."""
    # Imported here because `serve` should not wait for it.
    from ours_emulator.emulator import EmulatorError

    try:
        yield
    except EmulatorError as error:
        raise _as_click_error(error) from None


def _as_click_error(error: "EmulatorError") -> click.ClickException:
    """Return *error* in the emulator's own words, which need no method, path and status."""
    if error.status == HTTPStatus.UNAUTHORIZED:
        return click.ClickException(WRONG_ADMIN_TOKEN)
    message = error.reason or str(error)
    failed = error.status is not None and error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    gone = error.reason is not None and error.status in _GONE
    return NotMetError(message) if failed or gone else click.ClickException(message)


def report_unknown_account(emulator: "Emulator") -> None:
    """Report on standard error if the account of *emulator* does not exist, because a request makes it.

    Raises NotMetError if it is closed: no request makes it again.
    """
    if emulator.account is None:
        return
    states = refuse_closed_account(emulator)
    if emulator.account not in states:
        existing = _open_ones(states)
        known = f"existing accounts: {existing}" if existing else "no account exists"
        click.echo(f"ours-emulator: account {emulator.account} has no requests; {known}", err=True)


def refuse_closed_account(emulator: "Emulator") -> Mapping[str, str]:
    """Raise NotMetError if the account of *emulator* is closed; else return the state of each account."""
    from ours_emulator.emulator import operations

    states = {account["account"]: account["state"] for account in emulator.perform(operations.accounts())}
    if states.get(emulator.account or "") == "closed":
        existing = _open_ones(states)
        known = f"; existing accounts: {existing}" if existing else ""
        raise NotMetError(f"account {emulator.account} is closed; choose another one with --account{known}")
    return states


def _open_ones(states: Mapping[str, str]) -> str:
    return listed([name for name, state in states.items() if state == "open"])


@contextmanager
def unknown_account_reported(emulator: "Emulator") -> Generator[None]:
    """Report with an error that something is not there if that is because the account does not exist."""
    from ours_emulator.emulator import EmulatorError

    try:
        yield
    except EmulatorError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            report_unknown_account(emulator)
        raise


def exit_not_met(message: str) -> NoReturn:
    """Report on standard error what was waited for in vain, and exit."""
    click.echo(f"ours-emulator: {message}", err=True)
    sys.exit(NOT_MET)


def emulator_at(url: str | None, account: str | None = None) -> "Emulator":
    """Return the handle of an emulator, or of an account of it."""
    from ours_emulator.emulator import Emulator

    try:
        emulator = Emulator(_address(url))
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    if account and emulator.account not in (None, account):
        raise click.ClickException(
            f"{url} is for account {emulator.account}, but --account is {account}; give only one"
        )
    return Emulator(f"{emulator.server_url}/accounts/{account}") if account else emulator


def emulator_of_one_account(url: str | None, account: str | None) -> "Emulator":
    """Return the handle of an account of an emulator, by default of the account `default`."""
    emulator = emulator_at(url, account)
    return emulator if emulator.account else emulator_at(emulator.server_url, DEFAULT_ACCOUNT)


def _address(url: str | None) -> str:
    """Return *url*, or else the address of the emulator of this user that is running, or that `serve` would have."""
    if url:
        return url if "://" in url else f"http://{url}"
    running = places()
    if len(running) > 1:
        known = ", ".join(place.url for place in running)
        raise click.ClickException(f"several emulators are running here: {known}; choose one with --url")
    return running[0].url if running else _address_of_settings()


def _address_of_settings() -> str:
    try:
        settings = load().settings
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    port = settings.port
    if settings.port_file is not None:
        with suppress(OSError, ValueError):
            port = int(settings.port_file.read_text())
    return url_of(settings.host, port)
