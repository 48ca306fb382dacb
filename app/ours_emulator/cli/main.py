"""The command line: its entry point and its commands."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from ours_emulator import __version__
from ours_emulator.cli.commands import debug_commands
from ours_emulator.cli.compare import compare
from ours_emulator.cli.doctor import doctor
from ours_emulator.cli.drift import drift
from ours_emulator.cli.exec import exec_
from ours_emulator.cli.open import open_
from ours_emulator.cli.plan import plan
from ours_emulator.cli.serve import child_process, serve
from ours_emulator.cli.steering import steering_commands
from ours_emulator.cli.target import INTERRUPTED, NOT_MET, NotMetError
from ours_emulator.settings import unknown_variables
from ours_emulator.wording import nearest

_FAILED = 2


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line, or run *args* instead of those of the process.

    An error is one line on standard error, and exit code 2, or 1 for a NotMetError.
    """
    try:
        commands.main(args, standalone_mode=False, prog_name="ours-emulator")
    except click.NoSuchOption as error:
        _report(_unknown_option(error))
        sys.exit(_FAILED)
    except click.ClickException as error:
        _report(" ".join(error.format_message().split()))
        sys.exit(NOT_MET if isinstance(error, NotMetError) else _FAILED)
    except click.Abort:
        sys.exit(INTERRUPTED)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def commands(context: click.Context) -> None:
    """Emulate the Ours Privacy Ingest API and Client API on this machine."""
    for warning in unknown_variables(os.environ):
        _report(warning)
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _unknown_option(error: click.NoSuchOption) -> str:
    """Return what *error* says, with the nearest option. The suggestions of click also compare the dashes."""
    context = error.ctx
    if context is None:
        return error.format_message()
    parameters = context.command.get_params(context)
    options = {name.lstrip("-"): name for one in parameters for name in (*one.opts, *one.secondary_opts)}
    near = nearest(error.option_name.lstrip("-"), options)
    advice = f"did you mean {options[near]}?" if near else f"see {context.command_path} --help"
    return f"unknown option {error.option_name}; {advice}"


def _report(message: str) -> None:
    with suppress(OSError):
        click.echo(f"ours-emulator: {message}", err=True)


for _command in (serve, exec_, open_, doctor, compare, drift, plan, child_process, *debug_commands, *steering_commands):
    commands.add_command(_command)
