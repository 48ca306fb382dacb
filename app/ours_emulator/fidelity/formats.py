"""The formats of a report, and what text needs to be in one of them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from ours_emulator.terminal import printable
from ours_emulator.wording import and_more

Format: TypeAlias = Literal["table", "markdown", "json"]
_MARKUP = frozenset("\\`*_{}[]<>#|~&!")


class Report(Protocol):
    """A report in each of the formats."""

    def table(self) -> Iterator[str]:
        """Yield the lines for a terminal."""
        ...

    def markdown(self) -> Iterator[str]:
        """Yield the lines of Markdown."""
        ...

    def fields(self) -> Mapping[str, Any]:
        """Return what a program reads as JSON."""
        ...


def text_of(report: Report, format_: Format) -> str:
    """Return *report* in one of the formats, with the end of its last line."""
    if format_ == "json":
        return json.dumps(report.fields(), indent=2) + "\n"
    return "\n".join(report.markdown() if format_ == "markdown" else report.table()) + "\n"


def cut(text: str, length: int) -> str:
    """Return *text* in one line, cut if it is longer than *length*."""
    shown = printable(text[: length + 1])
    return shown if len(shown) <= length else f"{shown[:length]}…"


def more_as_json(count: int) -> list[str]:
    """Return the line that says that *count* more are in the report as JSON; none if that is none."""
    more = and_more(count)
    return [f"{more}: --format json"] if more else []


def markdown_row(cells: Sequence[str]) -> str:
    """Return a row of a table of Markdown."""
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    """Return *text* with what Markdown or HTML would take for markup escaped."""
    return "".join(f"\\{char}" if char in _MARKUP else char for char in text)
