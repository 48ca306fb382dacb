"""`ours-emulator exec -- COMMAND …`: any command, run against an emulator of its own."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from ours_emulator.cli.flags import loaded, setting_flags
from ours_emulator.cli.ports import listening_error, write_port_file
from ours_emulator.settings import Loaded, SettingsError

NOT_EXECUTABLE = 126
NOT_FOUND = 127
_DEFAULTS: Mapping[str, object] = {"port": 0, "log_format": "none"}
"""Used in place of environment, file and usual default where no flag is given."""


@click.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@setting_flags(**_DEFAULTS)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(command: Sequence[str], config: Path | None, **flags: object) -> None:
    """Run COMMAND against an emulator of its own, on a free port, and return its exit code.

    The command finds the emulator by OURS_PRIVACY_BASE_URL, which the vendor's SDKs read, and OURS_EMULATOR_URL. After
    it has ended, standard error shows what arrived.
    """
    from ours_emulator.store import StoreError

    settings = loaded(flags, config, **_DEFAULTS)
    try:
        code = _run(command, settings)
    except (StoreError, SettingsError) as error:
        raise click.ClickException(str(error)) from None
    except (OSError, UnicodeError) as error:
        raise listening_error(settings.settings, error) from None
    sys.exit(code)


def _run(command: Sequence[str], loaded: Loaded) -> int:
    """Run *command* against an emulator, write what arrived to standard error, and return the exit code.

    As with a shell, the code is 127 if there is no such command, and 126 if it cannot be run.
    """
    # Imported here because the other commands, and --help, need none of it.
    from ours_emulator.cli.arrivals import ForgottenCounts, summary
    from ours_emulator.cli.forwarding import exit_code
    from ours_emulator.emulator.handle import without_proxies
    from ours_emulator.emulator.local import handle, serving

    forgotten = ForgottenCounts()
    with serving(loaded, forgotten) as url, handle(url, loaded) as emulator:
        write_port_file(loaded.settings, int(url.rpartition(":")[2]))
        try:
            code = exit_code(command, {**os.environ, **without_proxies(os.environ), **emulator.env})
        except OSError as error:
            sys.stderr.write(f"ours-emulator: {command[0]} cannot be run: {error.strerror}\n")
            return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        sys.stderr.write(summary(emulator, forgotten))
    return code
