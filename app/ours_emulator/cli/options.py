"""The options of the commands that report how faithful the emulator is."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ours_emulator.model import DEFAULT_REVISION, REVISIONS

F = TypeVar("F", bound=Callable[..., Any])


def format_option(command: F) -> F:
    """Give *command* the option for the format of its report."""
    formats = click.Choice(("table", "markdown", "json"))
    return click.option("--format", "format_", type=formats, default="table", show_default=True)(command)


def revision_option(text: str) -> Callable[[F], F]:
    """Give a command the option for a revision; *text* is its help."""
    names = click.Choice(REVISIONS)
    return click.option("--revision", type=names, default=DEFAULT_REVISION, show_default=True, help=text)
