"""The port of an emulator that a command runs: the file it is written to."""

from contextlib import suppress

import click

from ours_emulator.errors import file_problem
from ours_emulator.settings import Settings


def write_port_file(settings: Settings, port: int) -> None:
    """Write the port file, if there is to be one. It appears whole: whoever waits for it never reads half of it."""
    path = settings.port_file
    if path is None:
        return
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(f"{port}\n")
        partial.replace(path)
    except OSError as error:
        # Where the folder is none, or closed to us, this fails as well.
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise click.ClickException(file_problem(path, "write", error)) from None
