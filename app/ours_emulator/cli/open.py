"""`ours-emulator open FILE`: requests that were exported, shown on a page that is one file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from ours_emulator.errors import SettingsError, StoreError, file_problem, why
from ours_emulator.wording import replay_notes

if TYPE_CHECKING:
    from ours_emulator.emulator import Emulator

_PART_BYTES = 64 * 1024
_MAX_NOTES = 100
"""As many as a report may have at its top."""


@click.command("open")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write the page to. [default: a temporary file]",
)
@click.option("--browser/--no-browser", default=True, help="Open the page in the browser. [default: yes]")
@click.argument("file", type=click.Path(path_type=Path))
def open_(file: Path, output: Path | None, browser: bool) -> None:
    """Show exported requests: replay FILE in an emulator of its own, and write the page as one file.

    FILE is what `export` writes, or what a failing test leaves in .ours-emulator. The page needs no emulator. Standard
    error says which requests are answered with another status than when recorded.
    """
    # Imported here because the other commands, and --help, need none of it.
    import webbrowser

    page = _page_of(file)
    path = _written(page, file, output)
    click.echo(path)
    if browser and not webbrowser.open(path.as_uri()):
        raise click.ClickException(f"no browser can be started; open {path}")


def _page_of(file: Path) -> str:
    """Return the page that shows the requests of *file*."""
    from ours_emulator.emulator import EmulatorError, operations, run_emulator

    try:
        with _opened(file) as opened, run_emulator() as emulator:
            notes = list(replay_notes(emulator.replay(iter(lambda: opened.read(_PART_BYTES), b""), timeout=None)))
            for note in notes:
                click.echo(f"ours-emulator: {note}", err=True)
            return _only_account(emulator).perform(operations.html_report(file.name, notes[:_MAX_NOTES]))
    except EmulatorError as error:
        raise click.ClickException(f"{file}: {error.reason or error}") from None
    except (StoreError, SettingsError, OSError) as error:
        raise click.ClickException(why(error)) from None


def _opened(file: Path) -> IO[bytes]:
    try:
        return file.open("rb")
    except OSError as error:
        raise click.ClickException(file_problem(file, "read", error)) from None


def _only_account(emulator: Emulator) -> Emulator:
    """Return the handle of the account that has something, or of all of them if those are several."""
    from ours_emulator.emulator import operations

    used = [account["account"] for account in emulator.perform(operations.accounts()) if account["state"] == "open"]
    return emulator.open_account(used[0]) if len(used) == 1 else emulator


def _written(page: str, file: Path, output: Path | None) -> Path:
    """Write the *page* to *output*, or to a new file in the folder for temporary ones; return its path."""
    path = output or Path(tempfile.mkdtemp(prefix="ours-emulator-")) / f"{file.stem[:100] or 'report'}.html"
    try:
        path.write_text(page, "utf-8", newline="\n")
    except OSError as error:
        raise click.ClickException(file_problem(path, "write", error)) from None
    return path.resolve()
