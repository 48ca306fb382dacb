"""`ours-emulator plan`: a first tracking plan from what arrived, and exported requests checked against a plan."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import click

from ours_emulator.cli.target import debug_command, emulator_at, exit_not_met, options
from ours_emulator.errors import SettingsError, file_problem
from ours_emulator.wording import cut, plural

if TYPE_CHECKING:
    from ours_emulator.contract.tracking_plan import TrackingPlan
    from ours_emulator.model import AnyMessage, Properties

_PART_BYTES = 64 * 1024
_file_argument = click.Path(path_type=Path)
_export_argument = click.Path(path_type=Path, allow_dash=True)


@click.group()
def plan() -> None:
    """Make a tracking plan from what arrived, or check exported requests against one."""


@debug_command()
@options()
@click.option("--format", "format_", type=click.Choice(("yaml", "json")), default="yaml", show_default=True)
@click.argument("file", type=_export_argument, required=False)
def infer(url: str | None, account: str | None, format_: str, file: Path | None) -> None:
    """Print a first tracking plan: what the events that arrived have in common.

    With FILE (- is standard input), of the requests in it, which `export` wrote. Read it before you use it: it knows
    only what was sent.
    """
    from ours_emulator.contract.plan_inference import inferred_plan
    from ours_emulator.model import Message

    left_out: set[str] = set()
    with _requests(url, account, file) as lines:
        messages = (message for _, message in _messages(lines, None, account) if isinstance(message, Message))
        inferred = inferred_plan(messages, left_out)
    if not inferred["events"] and "visitor" not in inferred:
        exit_not_met("no accepted events to make a plan from; send some first")
    if left_out:
        names = plural(len(left_out), "name")
        click.echo(f"ours-emulator: {names} with a lone surrogate left out: a plan cannot have it", err=True)
    click.echo(_yaml(inferred) if format_ == "yaml" else json.dumps(inferred, indent=2))


@click.command()
@click.option("--tracking-plan", "plan_file", type=_file_argument, required=True, help="The plan, in YAML or JSON.")
@click.argument("file", type=_export_argument)
def check(file: Path, plan_file: Path) -> None:
    """Check the requests in FILE (- is standard input), which `export` wrote, against a tracking plan.

    Exit code 1 if one differs from it.
    """
    from ours_emulator.contract.plan_checks import RULE
    from ours_emulator.contract.tracking_plan import read_file

    try:
        tracking_plan = read_file(plan_file)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    checked = differing = 0
    with _opened(file) as lines:
        for number, message in _messages(lines, tracking_plan, None):
            hints = [hint for hint in message.hints if hint.rule == RULE]
            for hint in hints:
                click.echo(f"line {number}: {cut(message.event or message.endpoint)}: {hint.sentence}")
            checked, differing = checked + 1, differing + bool(hints)
    if not checked:
        raise click.ClickException(f"{file} has no messages to check; export some first")
    if differing:
        verb = "differs" if differing == 1 else "differ"
        exit_not_met(f"{differing} of {plural(checked, 'message')} {verb} from {plan_file}")
    click.echo(f"{plural(checked, 'message')} checked; none differs from {plan_file}")


plan.add_command(infer)
plan.add_command(check)


@contextmanager
def _requests(url: str | None, account: str | None, file: Path | None) -> Generator[IO[bytes]]:
    """Give the requests in *file*, or else those that the emulator has, as exported."""
    if file is not None:
        with _opened(file) as opened:
            yield opened
        return
    with tempfile.TemporaryFile() as copy, emulator_at(url, account).stream_export() as exported:
        for part in exported.parts:
            copy.write(part)
        copy.seek(0)
        yield copy


def _opened(file: Path) -> IO[bytes]:
    try:
        return click.open_file(str(file), "rb")
    except OSError as error:
        raise click.ClickException(file_problem(file, "read", error)) from None


def _messages(
    lines: IO[bytes], tracking_plan: TrackingPlan | None, account: str | None
) -> Iterator[tuple[int, AnyMessage]]:
    """Yield what the requests in *lines* have that is accepted, with the number of the line, under their settings.

    Nothing is stored: whether it fits a plan does not depend on what came before.
    """
    from ours_emulator.app import message_readers
    from ours_emulator.debug.journal_format import LineError, SettingsLine, read_all
    from ours_emulator.model import Rejection

    accounts, contracts = message_readers()
    try:
        for number, line in read_all(lines):
            config = accounts.config(line.account)
            if isinstance(line, SettingsLine):
                accounts.configure(line.settings.config(config))
            elif account in (None, line.account):
                request = line.request(config.revision)
                contents = contracts[request.endpoint].read(request, replace(config, tracking_plan=tracking_plan))
                yield from ((number, one) for one in contents.arrivals if not isinstance(one, Rejection))
    except LineError as error:
        raise click.ClickException(str(error)) from None


def _yaml(inferred: Properties) -> str:
    try:
        import yaml
    except ImportError:
        from ours_emulator.contract.plan_schemas import INSTALL

        raise click.ClickException(f"YAML needs PyYAML; run: {INSTALL}, or use --format json") from None
    from ours_emulator.contract.tracking_plan import parsed

    dump = partial(cast(Any, yaml).safe_dump, inferred, sort_keys=False, width=120)
    text: str = dump(allow_unicode=True)
    # PyYAML writes some characters as they are that it reads as the end of a line.
    return (text if parsed(text) == inferred else dump(allow_unicode=False)).rstrip("\n")
