"""Cursors of lists: the place of the last row of a page, from which the next page goes on."""

import math
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from ours_emulator.store import CursorError
from ours_emulator.store.sqlite.decode import Row


def cursor_of(row: Row, key: Sequence[sa.Column[Any]]) -> str:
    """Return where in its list *row* is: `1767225600000.0:17` by time and id, `17` by id alone."""
    return ":".join(repr(row[column.name]) for column in key)


def position(cursor: str, parts: int) -> Sequence[float]:
    """Return the *parts* that `cursor_of` made *cursor* of."""
    *times, last_id = cursor.split(":")
    if len(times) != parts - 1 or not last_id.isascii() or not last_id.isdecimal() or len(last_id) > 18:
        raise CursorError(cursor)
    try:
        moments = [float(time) for time in times]
    except ValueError:
        raise CursorError(cursor) from None
    if not all(map(math.isfinite, moments)):
        raise CursorError(cursor)
    return [*moments, int(last_id)]
