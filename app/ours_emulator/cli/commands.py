"""The commands that look into a running emulator, or move its journal: over the debug API, through the handle."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

import click

from ours_emulator.cli import output
from ours_emulator.cli.numbers import Integer, Number
from ours_emulator.cli.target import (
    debug_command,
    emulator_at,
    emulator_errors,
    emulator_of_one_account,
    exit_not_met,
    json_option,
    options,
    report_unknown_account,
    unknown_account_reported,
    url_option,
)
from ours_emulator.records import Event
from ours_emulator.wording import plural, replay_notes

if TYPE_CHECKING:
    from ours_emulator.emulator import Emulator
    from ours_emulator.emulator.operations import Operation
    from ours_emulator.records import Listing

T = TypeVar("T")
_PART_BYTES = 64 * 1024
_RETRY_SECONDS = 1.0
_POLL_SECONDS = 0.1
_OTHER_OUTCOMES = ("rejected", "duplicate", "dropped")
_limit_option = click.option("--limit", default=100, show_default=True, type=Integer(1))


def _id(_context: click.Context, argument: click.Parameter, text: str | None) -> int | None:
    """Return the id of an event or a request, which may have the # that the log puts before it."""
    if text is None:
        return None
    digits = text.removeprefix("#")
    if not (digits.isascii() and digits.isdigit()):
        kind = "an event" if argument.name == "event_id" else "a request"
        raise click.ClickException(f"{text} is not the id of {kind}; use its number, such as 17")
    return int(digits)


@debug_command()
@options()
@json_option
@click.option("--user-id")
@click.option("--external-id")
@click.option("--email")
@click.option("--anonymous-id")
@click.option("--phone-number", help="Compared without space, punctuation and a leading + or 00.")
@click.option("--q", help="Text anywhere in a visitor's id or properties.")
@_limit_option
def visitors(url: str | None, account: str | None, as_json: bool, limit: int, **filters: str | None) -> None:
    """List visitors, the newest first."""
    from ours_emulator.emulator import operations

    emulator, given = emulator_at(url, account), _given(filters)
    items = emulator.latest_visitors(limit, **given)
    shown = output.show(items, as_json, account, output.VISITOR_HEADS, output.visitor_row)
    _report_rest(emulator, operations.visitors(given), shown, limit, as_json)


@debug_command()
@options()
@json_option
@click.option("--event", help="Name of the event.")
@click.option("--visitor-id")
@click.option("--distinct-id")
@click.option("--endpoint", help="track, identify, batch, client/events, …")
@click.option("--outcome", help="accepted, duplicate, dropped, rejected or any. [default: accepted]")
@click.option("--test", type=click.Choice(["true", "false"]))
@click.option("--since", help="Received at this time or later: ISO 8601, or milliseconds since the epoch.")
@click.option("--property", "properties", multiple=True, metavar="NAME=VALUE", help="May be given several times.")
@click.option("--q", help="Text anywhere in an event, in any case.")
@click.option("--hint", help="Only events with a hint of this rule.")
@click.option("--reason", help="Only events that this rule refused.")
@click.option("--request-id", help="Only the events of this request.")
@click.option("--order", type=click.Choice(["time", "arrival"]), help="[default: time]")
@_limit_option
def events(
    url: str | None, account: str | None, as_json: bool, limit: int, properties: Sequence[str], **filters: str | None
) -> None:
    """List events, the latest by time first, or with --order arrival the last to arrive first."""
    from ours_emulator.emulator import operations

    given = {**_given(filters), **dict(map(_property_filter, properties))}
    outcome = given.pop("outcome", None)
    emulator = emulator_at(url, account)
    items = emulator.latest_events(limit, outcome=outcome, **given)
    shown = output.show(items, as_json, account, output.EVENT_HEADS, output.event_row)
    _report_rest(emulator, operations.events(outcome, None, given), shown, limit, as_json)
    if outcome is None and "reason" not in given and not as_json:
        _report_other_outcomes(emulator, given)


@debug_command()
@options()
@json_option
@click.argument("event_id", metavar="ID", callback=_id)
def show(url: str | None, account: str | None, as_json: bool, event_id: int) -> None:
    """Show one event with everything that is known about it. ID is its number, as in the log: 17 or '#17'."""
    emulator = emulator_at(url, account)
    with unknown_account_reported(emulator):
        output.show_event(emulator.event(event_id), as_json)


@debug_command()
@options()
@json_option
@click.argument("visitor_id", metavar="ID")
def visitor(url: str | None, account: str | None, as_json: bool, visitor_id: str) -> None:
    """Show one visitor with all properties."""
    from ours_emulator.emulator import operations

    emulator = emulator_at(url, account)
    with unknown_account_reported(emulator):
        output.show_one(emulator.perform(operations.visitor(visitor_id)), as_json)


@debug_command()
@options()
@json_option
@click.option("--status", help="Only requests that were answered with this status.")
@click.option("--endpoint", help="track, identify, batch, client/events, …")
@click.option("--call-id", help="Only the attempts of this call.")
@_limit_option
@click.argument("request_id", metavar="[ID]", required=False, callback=_id)
def requests(
    url: str | None, account: str | None, as_json: bool, limit: int, request_id: int | None, **filters: str | None
) -> None:
    """List the requests in the journal, the latest first; or show the request ID with its body and its events."""
    from ours_emulator.emulator import operations

    emulator, given = emulator_at(url, account), _given(filters)
    if request_id is not None:
        if given:
            raise click.ClickException("use an ID or filters, not both")
        with unknown_account_reported(emulator):
            output.show_request(emulator.request(request_id), as_json)
        return
    items = emulator.latest_requests(limit, **given)
    shown = output.show(items, as_json, account, output.REQUEST_HEADS, output.request_row)
    _report_rest(emulator, operations.requests(given), shown, limit, as_json)


@debug_command()
@options("The rules that this account has by its revision. [default: those of all revisions]")
@json_option
def rules(url: str | None, account: str | None, as_json: bool) -> None:
    """List the rules that requests are answered by, and what each is based on."""
    from ours_emulator.emulator import operations

    emulator = emulator_at(url, account)
    report_unknown_account(emulator)
    items = emulator.perform(operations.rules())
    output.show(items, as_json, None, output.RULE_HEADS, output.rule_row)


@debug_command()
@options()
@json_option
@click.option("--event", help="Only events of this name.")
@click.option("--visitor-id", help="Only events of this visitor.")
@click.option("--outcome", help="accepted, duplicate, dropped or rejected. [default: any]")
def tail(
    url: str | None,
    account: str | None,
    as_json: bool,
    event: str | None,
    visitor_id: str | None,
    outcome: str | None,
) -> None:
    """Show events as they arrive, until interrupted. Reconnects when the emulator comes back."""
    from ours_emulator.emulator import EmulatorError

    emulator = emulator_at(url, account)
    report_unknown_account(emulator)
    emulator.version()
    last: int | None = None
    reported = False
    while True:
        try:
            for item in emulator.tail(event, outcome=outcome, visitor_id=visitor_id, after=last):
                last, reported = (item.id if isinstance(item, Event) else last), False
                click.echo(output.tail_line(item, as_json))
        except EmulatorError as error:
            if error.status is not None:
                raise
            if not reported:
                click.echo(f"ours-emulator: {error}; trying again", err=True)
            reported = True
        time.sleep(_RETRY_SECONDS)


@debug_command()
@options("Delete what this account has. [default: default]")
@click.option("--all", "all_", is_flag=True, help="Delete what all accounts have.")
def reset(url: str | None, account: str | None, all_: bool) -> None:
    """Delete visitors, events and requests: of the account `default`, of --account, or of --all."""
    if all_ and account:
        raise click.ClickException("use --account or --all, not both")
    emulator = emulator_of_one_account(url, account)
    if not all_:
        report_unknown_account(emulator)
    cleared = (emulator_at(emulator.server_url) if all_ else emulator).reset()
    counts = (plural(cleared.visitors, "visitor"), plural(cleared.receipts, "event"))
    where = f"{'all accounts' if all_ else f'account {emulator.account}'} at {emulator.server_url}"
    click.echo(f"deleted {', '.join(counts)}, {plural(cleared.requests, 'request')} of {where}")


@debug_command()
@options()
@click.option(
    "--output",
    "-o",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write. [default: standard output]",
)
@click.option("--redact", is_flag=True, help="Without tokens and keys.")
def export(url: str | None, account: str | None, path: Path | None, redact: bool) -> None:
    """Write the journal as JSON Lines, one request each, the oldest first, after the settings of the accounts."""
    emulator = emulator_at(url, account)
    with emulator.stream_export(redact=redact) as exported, output.writing(path) as file:
        if not sum(file.write(part) for part in exported.parts):
            report_unknown_account(emulator)
    if exported.evicted:
        older = plural(exported.evicted, "older request")
        click.echo(f"ours-emulator: {older} not exported: evicted earlier; set a larger --keep", err=True)


@debug_command("import")
@options("Replay everything into this account. [default: each request into its own]")
@click.argument("file", type=click.File("rb"))
def import_(url: str | None, account: str | None, file: IO[bytes]) -> None:
    """Replay the requests of FILE (- is standard input) in order, each at the time it was received.

    An account that has the default settings gets those in FILE.
    """
    imported = emulator_at(url, account).replay(iter(lambda: file.read(_PART_BYTES), b""), timeout=None)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(imported.outcomes.items()))
    click.echo(f"imported {plural(imported.imported, 'request')}" + (f": {counts}" if counts else ""))
    for note in replay_notes(imported):
        click.echo(note)


@click.command("wait-ready")
@url_option
@click.option("--timeout", default=30.0, show_default=True, type=Number(0), help="Seconds.")
def wait_ready(url: str | None, timeout: float) -> None:
    """Wait until the emulator answers. Exit code 1 if it does not in time."""
    deadline = time.monotonic() + timeout
    while True:
        left = max(deadline - time.monotonic(), _POLL_SECONDS)
        try:
            with emulator_errors():
                # Looked up each time: it may not have announced its address yet.
                emulator = emulator_at(url)
                emulator.wait_ready(min(left, _RETRY_SECONDS))
        except click.ClickException as error:
            if time.monotonic() + _POLL_SECONDS > deadline:
                exit_not_met(error.format_message())
            time.sleep(_POLL_SECONDS)
        else:
            click.echo(f"{emulator.url} is ready")
            return


@click.command()
@url_option
@click.option("--timeout", default=3.0, show_default=True, type=Number(0), help="Seconds.")
def healthcheck(url: str | None, timeout: float) -> None:
    """Check once whether the emulator is healthy. Exit code 1 if it is not."""
    try:
        with emulator_errors():
            emulator_at(url).version(timeout=timeout)
    except click.ClickException as error:
        exit_not_met(error.format_message())


debug_commands: Sequence[click.Command] = (
    visitors,
    visitor,
    events,
    show,
    requests,
    rules,
    tail,
    reset,
    export,
    import_,
    wait_ready,
    healthcheck,
)


def _report_rest(
    emulator: "Emulator", operation: "Operation[Listing[T]]", shown: int, limit: int, as_json: bool
) -> None:
    """Report that there is no such account, or beside a table how many more items *operation* has than the *limit*."""
    if shown == 0:
        report_unknown_account(emulator)
    elif shown == limit and not as_json:
        more = _total(emulator, operation) - shown
        if more > 0:
            click.echo(f"not shown: {more} more: --limit {shown + more}", err=True)


def _report_other_outcomes(emulator: "Emulator", filters: Mapping[str, str]) -> None:
    """Report how many events that match *filters* are not listed because they were not accepted."""
    from ours_emulator.emulator import operations

    totals = {outcome: _total(emulator, operations.events(outcome, None, filters)) for outcome in _OTHER_OUTCOMES}
    counts = [f"{total} {outcome}" for outcome, total in totals.items() if total]
    if counts:
        click.echo(f"not shown: {', '.join(counts)}: --outcome any", err=True)


def _total(emulator: "Emulator", operation: "Operation[Listing[T]]") -> int:
    from ours_emulator.emulator import operations

    return emulator.perform(operations.limited(operation, 1)).total


def _given(filters: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in filters.items() if value is not None}


def _property_filter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.ClickException(f"--property {text}: not a property; use NAME=VALUE")
    return f"property.{name}", value
