"""The commands that wait for events, and that plan faults and move clocks."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from ours_emulator.cli import output
from ours_emulator.cli.numbers import AnyNumber, Integer, Number
from ours_emulator.cli.target import (
    DebugCommand,
    debug_command,
    emulator_at,
    emulator_of_one_account,
    exit_not_met,
    json_option,
    options,
    refuse_closed_account,
    report_unknown_account,
)
from ours_emulator.records import MAX_WAIT_SECONDS, FaultCounts, Json, Moment, iso
from ours_emulator.terminal import columns
from ours_emulator.wording import plural

if TYPE_CHECKING:
    from ours_emulator.emulator import Emulator

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LENGTH = re.compile(r"(-?\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_NEGATIVE = re.compile(r"-\d.*")
_ONE_ACCOUNT = "The account. [default: default]"


class ClockCommand(DebugCommand):
    """The command whose value may be a negative duration, which looks like an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments: durations are put where none is an option."""
        negative = [] if "--" in args else [arg for arg in args if _NEGATIVE.fullmatch(arg)]
        rest = [arg for arg in args if arg not in negative]
        return super().parse_args(ctx, [*rest, "--", *negative] if negative else rest)


@debug_command()
@options()
@json_option
@click.argument("event", required=False)
@click.option("--count", default=1, show_default=True, type=Integer(1), help="How many events to wait for.")
@click.option("--timeout", default=5.0, show_default=True, type=Number(0, MAX_WAIT_SECONDS), help="Seconds.")
@click.option("--new", is_flag=True, help="Only events that arrive from now on.")
@click.option("--outcome", help="accepted, duplicate, dropped, rejected or any. [default: accepted]")
@click.option("--user-id")
@click.option("--external-id")
@click.option("--email")
@click.option("--anonymous-id")
@click.option("--visitor-id")
@click.option("--distinct-id")
@click.option("--match", metavar="JSON", help="Anything else, in the match grammar of POST /debug/wait.")
def wait(
    url: str | None,
    account: str | None,
    as_json: bool,
    event: str | None,
    count: int,
    timeout: float,
    new: bool,
    outcome: str | None,
    match: str | None,
    **fields: str | None,
) -> None:
    """Wait until an event named EVENT has arrived, and print it. Exit code 1 if none does in time."""
    from ours_emulator.emulator import ExpectationError, operations

    emulator = emulator_at(url, account)
    refuse_closed_account(emulator)
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        matching = operations.full_match(event, _object(match), given)
    except TypeError as error:
        raise click.UsageError(str(error)) from None
    condition = operations.Condition(matching, count, "at_least", outcome)
    after = emulator.summary().newest_event if new else None
    try:
        met = emulator.wait(operations.wait(condition, timeout=timeout, after=after))
    except ExpectationError as error:
        report_unknown_account(emulator)
        exit_not_met(str(error))
    click.echo(output.tail_line(met.event, as_json))


@debug_command()
@options(_ONE_ACCOUNT)
@json_option
@click.argument("name", required=False)
@click.option("--path", help="Only requests to this path: /track, /batch, /api/client/events, …")
@click.option("--event", help="Only requests with an event of this name.")
@click.option("--token", help="Only requests with this token or key.")
@click.option("--distinct-id", help="Only requests with this distinctId.")
@click.option("--status", type=click.INT, help="Answer with this status.")
@click.option("--retry-after", type=AnyNumber(), help="Seconds that the client is told to wait.")
@click.option("--error", help="The message in the body of the answer.")
@click.option("--delay-ms", type=AnyNumber(), help="Delay of the answer, in milliseconds.")
@click.option(
    "--connection",
    type=click.Choice(["reset", "hang", "close"]),
    help="The connection is reset, never answered (hang), or closed in the middle of the body.",
)
@click.option(
    "--code", type=click.Choice(["queue_failed", "invalid_event"]), help="Rows of a batch fail with this code."
)
@click.option("--row", "rows", type=click.INT, multiple=True, help="Only these rows fail; may be given several times.")
@click.option("--stored", is_flag=True, default=None, help="The request is stored, and only its answer is lost.")
@click.option("--times", type=click.INT, help="How many requests it hits. [default: all]")
@click.option("--probability", type=AnyNumber(), help="Probability of a hit, from 0 to 1. [default: 1]")
@click.option("--seed", type=click.INT, help="Seed of the probability: the same seed gives the same hits.")
@click.option("--drop", is_flag=True, help="End the fault NAME.")
def fault(url: str | None, account: str | None, as_json: bool, name: str | None, drop: bool, **plan: object) -> None:
    """Plan the fault NAME, end it (--drop), or show its counts. Without NAME: list the faults of the account.

    The first that matches a request and hits decides. Rate limits and sequences are for PUT /debug/faults.
    """
    emulator = emulator_of_one_account(url, account)
    given = {option: value for option, value in plan.items() if value not in (None, ())}
    if name is None:
        if given or drop:
            raise click.ClickException("a fault needs a NAME")
        _list_faults(emulator, as_json)
    elif given and drop:
        raise click.ClickException("use --drop or a plan, not both")
    elif given and not given.keys() & {"status", "delay_ms", "connection", "code"}:
        raise click.ClickException("the fault has no effect; add --status, --delay-ms, --connection or --code")
    else:
        # Check first: the change below would make the account.
        report_unknown_account(emulator)
        counts = _changed_fault(emulator, name, given, drop)
        if given and not as_json:
            click.echo(f"fault {name}: planned")
        else:
            _show_fault(counts, as_json)


@debug_command(cls=ClockCommand)
@options(_ONE_ACCOUNT)
@json_option
@click.argument("action", required=False, type=click.Choice(["freeze", "set", "advance", "resume"]))
@click.argument("value", required=False)
def clock(url: str | None, account: str | None, as_json: bool, action: str | None, value: str | None) -> None:
    """Show the clock of the account, or change it.

    \b
    clock freeze [TIME]      stop it, where it is or at TIME
    clock set TIME           set it; it goes on from there, unless it is stopped
    clock advance DURATION   advance it: 500ms, 30s, 5m, 2h, 8d or 1w; -1d sets it back
    clock resume             let it tell the real time again

    TIME is ISO 8601, or milliseconds since the epoch.
    """
    from ours_emulator.emulator import operations

    emulator = emulator_of_one_account(url, account)
    operation = operations.clock() if action is None else operations.set_clock(_clock_change(action, value))
    report_unknown_account(emulator)
    _show_moment(emulator.perform(operation), as_json)


steering_commands: Sequence[click.Command] = (wait, fault, clock)


def _object(text: str | None) -> Json:
    try:
        match: Json | list[object] | str | float | None = json.loads(text) if text else {}
    except ValueError as error:
        raise click.ClickException(f"--match is not JSON: {error}") from None
    if not isinstance(match, Mapping):
        raise click.ClickException('--match must be a JSON object, such as \'{"event_properties": {"plan": "pro"}}\'')
    return match


def _changed_fault(emulator: "Emulator", name: str, plan: Mapping[str, object], drop: bool) -> FaultCounts:
    from ours_emulator.emulator import operations

    if plan:
        return emulator.perform(operations.plan_fault(name, plan))
    return emulator.perform(operations.drop_fault(name) if drop else operations.fault(name))


def _list_faults(emulator: "Emulator", as_json: bool) -> None:
    from ours_emulator.emulator import operations

    report_unknown_account(emulator)
    faults = emulator.perform(operations.faults())
    if as_json:
        for one in faults:
            click.echo(json.dumps(one))
        return
    counted = ("name", "account", "matched", "hits")
    plans = [json.dumps({key: part for key, part in one.items() if key not in counted}) for one in faults]
    rows = [(one["name"], one["matched"], one["hits"], plan) for one, plan in zip(faults, plans, strict=True)]
    for line in columns([("FAULT", "MATCHED", "HITS", "PLAN"), *rows]):
        click.echo(line)


def _show_fault(counts: FaultCounts, as_json: bool) -> None:
    if as_json:
        output.show_one(counts, as_json)
    else:
        click.echo(f"fault {counts.name}: {plural(counts.matched, 'request')} matched, {counts.hits} hit")


def _clock_change(action: str, value: str | None) -> dict[str, object]:
    if value is None and action in ("set", "advance"):
        raise click.ClickException(f"clock {action} needs a value; see ours-emulator clock --help")
    if value is not None and action == "resume":
        raise click.ClickException(f"clock resume takes no value, but got {value}")
    if action == "advance":
        return {"advance_ms": _milliseconds(value or "")}
    return {action: True if value is None else int(value) if value.isdecimal() else value}


def _milliseconds(length: str) -> int:
    parts = _LENGTH.findall(length)
    if not parts or "".join(number + unit for number, unit in parts) != length:
        raise click.ClickException(f"{length} is not a duration; use 500ms, 30s, 5m, 2h, 8d or 1w")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return round(timedelta(seconds=seconds) / timedelta(milliseconds=1))


def _show_moment(moment: Moment, as_json: bool) -> None:
    if as_json:
        output.show_one(moment, as_json)
    else:
        click.echo(f"{iso(moment.now)} ({moment.state}) in account {moment.account}")
