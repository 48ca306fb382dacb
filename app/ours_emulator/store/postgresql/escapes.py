"""JSON whose characters PostgreSQL takes, whatever they are: jsonb refuses NUL and lone surrogates.

Each escape of a character, the one of ESC too, becomes ESC and the digits: what is equal stays so, and nothing else
becomes equal.
"""

import json
import re
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from ours_emulator.jsontext import json_text

_ESCAPE = r"(?<!\\)((?:\\\\)*)\\u"
_REPLACEMENT = [sa.literal_column(f"'{text}'", sa.Text()) for text in (_ESCAPE, r"\1\\u001b", "g")]


def as_jsonb(column: sa.ColumnElement[str]) -> sa.ColumnElement[Any]:
    """Return the JSON in *column*, which is ASCII, as jsonb."""
    # Literally, so that an expression is the same in SELECT and GROUP BY. Few texts have an escape.
    replaced = sa.func.regexp_replace(column, *_REPLACEMENT)
    return sa.cast(sa.case((sa.func.strpos(column, r"\u") > 0, replaced), else_=column), JSONB)


def jsonb_of(text: str) -> sa.ColumnElement[Any]:
    """Return *text*, which is JSON in ASCII, as jsonb that is equal to the same in a column."""
    return sa.cast(sa.literal(_taken(text)), JSONB)


def key_of(name: str) -> str:
    """Return *name* as a key of such jsonb."""
    key: str = json.loads(_taken(json_text(name)))
    return key


def _taken(text: str) -> str:
    return re.sub(_ESCAPE, lambda found: found[1] + r"\u001b", text)
