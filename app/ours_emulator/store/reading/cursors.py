"""Cursors of lists: the place of the last row of a page, from which the next page goes on."""

import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from ours_emulator.store import CursorError
from ours_emulator.store.reading.decode import Row

# As `repr` writes a number of milliseconds, of which a client may send any.
_TIME = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?(e[+-][0-9]{1,2})?")
_ID = re.compile(r"[0-9]{1,18}")


def cursor_of(row: Row, key: Sequence[sa.Column[Any]]) -> str:
    """Return where in its list *row* is: `1767225600000.0:17` by time and id, `17` by id alone."""
    return ":".join(repr(row[column.name]) for column in key)


def after_cursor(key: Sequence[sa.Column[Any]], cursor: str | None) -> list[sa.ColumnElement[bool]]:
    """Match what comes after *cursor* in a list that has the largest *key* first; everything for None."""
    return [] if cursor is None else [sa.tuple_(*key) < sa.tuple_(*position(cursor, len(key)))]


def position(cursor: str, parts: int) -> Sequence[float]:
    """Return the *parts* that `cursor_of` made *cursor* of."""
    *times, last_id = cursor.split(":")
    if len(times) != parts - 1 or not _ID.fullmatch(last_id) or not all(map(_TIME.fullmatch, times)):
        raise CursorError(cursor)
    return [*map(float, times), int(last_id)]
