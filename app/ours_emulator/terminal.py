"""Text for a terminal: escaped, and in aligned columns."""

from collections.abc import Iterable, Sequence


def printable(text: str) -> str:
    """Return *text* with all that could move the cursor or begin a new line escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def columns(rows: Iterable[Sequence[object]]) -> list[str]:
    """Return *rows* as lines with aligned columns; None is a dash."""
    shown = [["-" if cell is None else printable(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown]
