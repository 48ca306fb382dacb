"""The port of an emulator that a command runs: how a taken one is reported, and the file it is written to."""

from contextlib import suppress

import click

from ours_emulator.settings import Settings


def listening_error(settings: Settings, error: OSError | UnicodeError) -> click.ClickException:
    """Return how it is reported that the address of *settings* cannot be listened on."""
    why = getattr(error, "strerror", None) or error
    return click.ClickException(f"cannot listen on {settings.host}:{settings.port}: {why}")


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
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None
