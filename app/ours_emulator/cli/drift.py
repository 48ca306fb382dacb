"""`ours-emulator drift`: has the vendor's OpenAPI document changed?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ours_emulator.cli.numbers import Number
from ours_emulator.cli.options import format_option, revision_option
from ours_emulator.cli.target import NOT_MET
from ours_emulator.errors import file_problem

if TYPE_CHECKING:
    from ours_emulator.fidelity.formats import Format

_URLS = ("http://", "https://")


@click.command()
@click.argument("source", metavar="URL-or-FILE")
@revision_option("What to compare with.")
@click.option("--timeout", default=30.0, show_default=True, type=Number(0.01, 600), help="Seconds for a URL.")
@format_option
def drift(source: str, revision: str, timeout: float, format_: Format) -> None:
    """Compare an OpenAPI document with the one of a revision, and report what differs and which rules that touches.

    The document is JSON, such as the vendor's GET /openapi returns it. Exit code 1 if anything differs.
    """
    from ours_emulator.fidelity.documents import DocumentError
    from ours_emulator.fidelity.drift import drift as changes_of
    from ours_emulator.fidelity.drift_report import DriftReport
    from ours_emulator.fidelity.formats import text_of
    from ours_emulator.fidelity.server import AddressError

    shown = _without_secrets(source)
    try:
        changes = changes_of(_content(source, timeout), revision)
    except (DocumentError, AddressError) as error:
        raise click.ClickException(f"{shown}: {error}") from None
    click.echo(text_of(DriftReport(changes, revision, shown), format_), nl=False)
    sys.exit(NOT_MET if changes else 0)


def _without_secrets(source: str) -> str:
    """Return *source*; of a URL neither its user nor its query, where passwords stand."""
    if not source.startswith(_URLS):
        return source
    scheme, _, rest = source.partition("://")
    host, slash, path = rest.partition("?")[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _content(source: str, timeout: float) -> bytes:
    from ours_emulator.fidelity.documents import MAX_BYTES
    from ours_emulator.fidelity.download import downloaded

    if source.startswith(_URLS):
        return downloaded(source, timeout)
    if "\0" in source:
        raise click.ClickException("the path must not contain a NUL character")
    path = Path(source)
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise click.ClickException(file_problem(path, "read", error)) from None
