"""`ours-emulator exec -- COMMAND …`: any command, run against an emulator of its own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ours_emulator.cli.flags import loaded, setting_flags
from ours_emulator.cli.ports import write_port_file
from ours_emulator.errors import SettingsError, StoreError, why
from ours_emulator.settings import Loaded

if TYPE_CHECKING:
    from ours_emulator.emulator import Emulator

NOT_EXECUTABLE = 126
NOT_FOUND = 127
_DEFAULTS: Mapping[str, object] = {"port": 0, "log_format": "none"}
"""Used in place of environment, file and usual default where no flag is given."""


@click.command("exec", context_settings={"allow_interspersed_args": False})
@setting_flags(**_DEFAULTS)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(command: Sequence[str], config: Path | None, **flags: object) -> None:
    """Run COMMAND against an emulator of its own, on a free port, and return its exit code.

    Standard error names the page that shows what arrives. After COMMAND has ended, it shows what arrived. COMMAND gets
    these variables:

    \b
    OURS_PRIVACY_BASE_URL       base URL of the Ingest API; the vendor's SDKs read it
    OURS_EMULATOR_URL           the emulator; its commands and its pytest plugin read it
    OURS_EMULATOR_CLIENT_URL    base URL of the Client API
    OURS_EMULATOR_TOKEN         a token that is accepted
    OURS_EMULATOR_PUBLIC_KEY    a key of the Client API that is accepted
    OURS_EMULATOR_ADMIN_TOKEN   the token that the debug API requires, if --admin-token is set
    NO_PROXY, no_proxy          with this machine added, if a proxy is configured
    """
    # Imported here because the other commands, and --help, need none of it.
    from ours_emulator.emulator import EmulatorError

    settings = loaded(flags, config, **_DEFAULTS)
    try:
        code = _run(command, settings)
    except (StoreError, SettingsError, EmulatorError, OSError) as error:
        raise click.ClickException(why(error)) from None
    sys.exit(code)


def _run(command: Sequence[str], loaded: Loaded) -> int:
    """Run *command* against an emulator, write what arrived to standard error, and return the exit code.

    As with a shell, the code is 127 if there is no such command, and 126 if it cannot be run.
    """
    from ours_emulator.cli.arrivals import summary
    from ours_emulator.emulator.local import handle_of
    from ours_emulator.handshake import Order
    from ours_emulator.parent_process import Child

    child = Child()
    with child.running(Order(dict(loaded.settings), loaded.origins, arrivals=True)):
        emulator = handle_of(child)
        # Not above the error of a command that cannot be run, which is to be one line.
        if shutil.which(command[0]):
            sys.stderr.write(f"ours-emulator: {emulator.server_url}/ shows what arrives\n")
        write_port_file(loaded.settings, int(child.url.rpartition(":")[2]))
        try:
            code = _exit_code(command, emulator)
        except OSError as error:
            sys.stderr.write(f"ours-emulator: {command[0]} cannot be run: {error.strerror}\n")
            return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
    # An empty line first: the last line of the command's own output may not have ended.
    sys.stderr.write("\n" + summary(child.arrivals, emulator))
    return code


def _exit_code(command: Sequence[str], emulator: Emulator) -> int:
    from ours_emulator.cli.forwarding import exit_code
    from ours_emulator.emulator.handle import without_proxies

    return exit_code(command, {**os.environ, **without_proxies(os.environ), **emulator.env})
