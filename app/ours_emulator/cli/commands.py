"""The commands that look into a running emulator, or change what it has: over the debug API, through the handle."""

import json
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from ours_emulator.locator import places, url_of
from ours_emulator.model import ACCOUNT_NAME, DEFAULT_ACCOUNT
from ours_emulator.records import Event, Visitor, iso, to_json
from ours_emulator.settings import ENV_PREFIX, SettingsError, load
from ours_emulator.terminal import columns
from ours_emulator.wording import plural, with_rule

if TYPE_CHECKING:
    from ours_emulator.emulator import Emulator

_NOT_READY = 1
_PART_BYTES = 64 * 1024
_RETRY_SECONDS = 1.0
_POLL_SECONDS = 0.1
_ADMIN_TOKEN = ENV_PREFIX + "ADMIN_TOKEN"
_EPILOG = f"For an emulator with an admin token, set {_ADMIN_TOKEN} to it."
F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R", Event, Visitor)


class DebugCommand(click.Command):
    """A command that uses the handle: what the handle raises is an error of the command line."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        with _emulator_errors():
            return super().invoke(ctx)


def _command(name: str | None = None) -> Callable[[Callable[..., None]], click.Command]:
    return click.command(name, cls=DebugCommand, epilog=_EPILOG)


def _url_option(command: F) -> F:
    """Give *command* the option that says which emulator is meant."""
    text = f"Address of the emulator. [default: {ENV_PREFIX}URL, or else the one that is running here]"
    return click.option("--url", envvar=ENV_PREFIX + "URL", help=text)(command)


def _options(account: str = "Only this account. [default: all of them]") -> Callable[[F], F]:
    """Give a command the options for emulator and account; *account* is the help of the latter."""

    def with_options(command: F) -> F:
        return _url_option(click.option("--account", help=account, callback=_account_name)(command))

    return with_options


def _account_name(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    """Return *name* if an account can have it: another one would lead to another path of the server."""
    if name is not None and ACCOUNT_NAME.fullmatch(name) is None:
        characters = "letters, digits, dot, dash, underscore"
        raise click.ClickException(f"--account {name}: not a valid account name; use {characters}")
    return name


_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object per line, as in the debug API.")
_limit_option = click.option("--limit", default=100, show_default=True, type=click.IntRange(1))


@_command()
@_options()
@_json_option
@click.option("--user-id")
@click.option("--external-id")
@click.option("--email")
@click.option("--anonymous-id")
@click.option("--q", help="Text anywhere in a visitor's id or properties.")
@_limit_option
def visitors(url: str | None, account: str | None, as_json: bool, limit: int, **filters: str | None) -> None:
    """List visitors, the newest first."""
    items = _emulator(url, account).latest_visitors(limit, **_given(filters))
    heads = ("ACCOUNT", "VISITOR", "EXTERNAL ID", "EMAIL", "ANONYMOUS ID", "EVENTS", "LAST SEEN")
    _show(items, as_json, account, heads, _visitor_row)


@_command()
@_options()
@_json_option
@click.option("--event", help="Name of the event.")
@click.option("--visitor-id")
@click.option("--distinct-id")
@click.option("--endpoint", help="track, identify, batch, client/events, …")
@click.option("--outcome", help="accepted, duplicate, dropped, rejected or any. [default: accepted]")
@click.option("--test", type=click.Choice(["true", "false"]))
@click.option("--since", help="Received at this moment or later: ISO 8601, or milliseconds since the epoch.")
@click.option("--property", "properties", multiple=True, metavar="NAME=VALUE", help="May be given several times.")
@_limit_option
def events(
    url: str | None, account: str | None, as_json: bool, limit: int, properties: Sequence[str], **filters: str | None
) -> None:
    """List events, the latest by time first."""
    given = {**_given(filters), **dict(map(_property_filter, properties))}
    items = _emulator(url, account).latest_events(limit, **given)
    heads = ("ACCOUNT", "ID", "TIME", "OUTCOME", "ENDPOINT", "EVENT", "VISITOR", "WHY")
    _show(items, as_json, account, heads, _event_row)


@_command()
@_options()
@_json_option
@click.option("--event", help="Only events of this name.")
@click.option("--outcome", help="accepted, duplicate, dropped or rejected. [default: any]")
def tail(url: str | None, account: str | None, as_json: bool, event: str | None, outcome: str | None) -> None:
    """Show events as they arrive, until interrupted. Reconnects when the emulator comes back."""
    from ours_emulator.emulator import EmulatorError

    emulator = _emulator(url, account)
    emulator.version()
    last: int | None = None
    reported = False
    while True:
        try:
            for item in emulator.tail(event, outcome=outcome, after=last):
                last, reported = (last if item is None else item.id), False
                click.echo(_tail_line(item, as_json))
        except EmulatorError as error:
            if error.status is not None:
                raise
            if not reported:
                click.echo(f"ours-emulator: {error}; trying again", err=True)
            reported = True
        time.sleep(_RETRY_SECONDS)


@_command()
@_options("Delete what this account has. [default: default]")
@click.option("--all", "all_", is_flag=True, help="Delete what all accounts have.")
def reset(url: str | None, account: str | None, all_: bool) -> None:
    """Delete visitors, events and requests: of the account `default`, of --account, or of --all."""
    if all_ and account:
        raise click.ClickException("use --account or --all, not both")
    emulator = _emulator(url, account)
    name = emulator.account or DEFAULT_ACCOUNT
    target = _emulator(emulator.server_url, None if all_ else name)
    cleared = target.reset()
    counts = (plural(cleared.visitors, "visitor"), plural(cleared.receipts, "event"))
    where = f"{'all accounts' if all_ else f'account {name}'} at {emulator.server_url}"
    click.echo(f"deleted {', '.join(counts)}, {plural(cleared.requests, 'request')} of {where}")


@_command()
@_options()
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="File to write. [default: standard output]"
)
@click.option("--redact", is_flag=True, help="Without tokens and keys.")
def export(url: str | None, account: str | None, output: Path | None, redact: bool) -> None:
    """Write the journal as JSON Lines, one request each, the oldest first."""
    with _emulator(url, account).stream_export(redact=redact) as exported, _writing(output) as file:
        for part in exported.parts:
            file.write(part)
    if exported.evicted:
        older = plural(exported.evicted, "older request")
        click.echo(f"ours-emulator: {older} not exported: evicted earlier; set a larger --keep", err=True)


@_command("import")
@_options("Replay everything into this account. [default: each request into its own]")
@click.argument("file", type=click.File("rb"))
def import_(url: str | None, account: str | None, file: IO[bytes]) -> None:
    """Replay the requests of FILE (- is standard input) in order, each at the moment it was received."""
    imported = _emulator(url, account).replay(iter(lambda: file.read(_PART_BYTES), b""), timeout=None)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(imported.outcomes.items()))
    click.echo(f"imported {plural(imported.imported, 'request')}" + (f": {counts}" if counts else ""))
    for line in imported.differing:
        click.echo(
            f"line {line.line}: answered {line.now or 'nothing'}, but {line.recorded or 'nothing'} when it was recorded"
        )


@click.command("wait-ready")
@_url_option
@click.option("--timeout", default=30.0, show_default=True, help="Seconds.")
def wait_ready(url: str | None, timeout: float) -> None:
    """Wait until the emulator answers. Exit code 1 if it does not in time."""
    deadline = time.monotonic() + timeout
    while True:
        left = max(deadline - time.monotonic(), _POLL_SECONDS)
        try:
            with _emulator_errors():
                # Looked up each time: it may not have announced its address yet.
                emulator = _emulator(url)
                emulator.wait_ready(min(left, _RETRY_SECONDS))
        except click.ClickException as error:
            if time.monotonic() + _POLL_SECONDS > deadline:
                _exit_not_ready(error)
            time.sleep(_POLL_SECONDS)
        else:
            click.echo(f"{emulator.url} is ready")
            return


@click.command()
@_url_option
@click.option("--timeout", default=3.0, show_default=True, help="Seconds.")
def healthcheck(url: str | None, timeout: float) -> None:
    """Check once whether the emulator is healthy. Exit code 1 if it is not."""
    try:
        with _emulator_errors():
            _emulator(url).version(timeout=timeout)
    except click.ClickException as error:
        _exit_not_ready(error)


debug_commands: Sequence[click.Command] = (visitors, events, tail, reset, export, import_, wait_ready, healthcheck)


@contextmanager
def _emulator_errors() -> Generator[None]:
    # Imported here because `serve` should not wait for it.
    from ours_emulator.emulator import EmulatorError

    try:
        yield
    except EmulatorError as error:
        advice = f"; set {_ADMIN_TOKEN} to the token" if error.status == HTTPStatus.UNAUTHORIZED else ""
        raise click.ClickException(f"{error}{advice}") from None


def _exit_not_ready(error: click.ClickException) -> NoReturn:
    click.echo(f"ours-emulator: {error.format_message()}", err=True)
    sys.exit(_NOT_READY)


def _emulator(url: str | None, account: str | None = None) -> "Emulator":
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


def _given(filters: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in filters.items() if value is not None}


def _property_filter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.ClickException(f"--property {text}: not a property; use NAME=VALUE")
    return f"property.{name}", value


def _show(
    items: Iterable[R], as_json: bool, account: str | None, heads: Sequence[str], row: Callable[[R], Sequence[object]]
) -> None:
    """Print *items* as JSON, or as a table. Its first column is the account, left out if *account* names it."""
    if as_json:
        for item in items:
            click.echo(json.dumps(to_json(item)))
        return
    left_out: int = 1 if account else 0
    for line in columns([heads[left_out:], *(row(item)[left_out:] for item in items)]):
        click.echo(line)


def _visitor_row(visitor: Visitor) -> Sequence[object]:
    ids = visitor.identifiers
    known = (ids.external_id, ids.email, ids.anonymous_id)
    return (visitor.account, visitor.visitor_id, *known, visitor.event_count, iso(visitor.last_seen))


def _event_row(event: Event) -> Sequence[object]:
    why = [] if event.reason is None else [with_rule(event.reason)]
    why += [f"hint: {with_rule(hint)}" for hint in event.hints]
    what = (event.outcome, event.endpoint, event.event, event.visitor_id)
    return (event.account, event.id, iso(event.received_at), *what, "; ".join(why))


def _tail_line(event: Event | None, as_json: bool) -> str:
    if event is None:
        return json.dumps({"reset": True}) if as_json else "--- reset ---"
    return json.dumps(to_json(event)) if as_json else columns([_event_row(event)])[0]


@contextmanager
def _writing(path: Path | None) -> Generator[IO[bytes]]:
    """Give a file to write to, or standard output. A file appears whole or not at all."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)
