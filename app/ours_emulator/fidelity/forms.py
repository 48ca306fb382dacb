"""The forms of a report, and what text needs to be in one of them."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from ours_emulator.terminal import printable

Format: TypeAlias = Literal["table", "markdown", "json"]
_MARKUP = frozenset("\\`*_{}[]<>#|~&!")


def cut(text: str, length: int) -> str:
    """Return *text* in one line, cut if it is longer than *length*."""
    shown = printable(text[: length + 1])
    return shown if len(shown) <= length else f"{shown[:length]}…"


def markdown_row(cells: Sequence[str]) -> str:
    """Return a row of a table of Markdown."""
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    """Return *text* with what Markdown or HTML would take for markup escaped."""
    return "".join(f"\\{char}" if char in _MARKUP else char for char in text)
