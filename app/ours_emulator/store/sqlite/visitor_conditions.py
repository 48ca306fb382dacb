"""Conditions on what visitors have."""

import re
from typing import Protocol

import sqlalchemy as sa

from ours_emulator.store.reading.state_columns import base, version
from ours_emulator.store.tables import visitors
from ours_emulator.store.versions import stored_state, text_of

_FOR_NUL = "\ufffe"
"""What stands for NUL in a search: no text has this character, which is not assigned for ever."""
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


class Connection(Protocol):
    """What the driver's connection can do."""

    def execute(self, statement: str, /) -> object:
        """Run *statement*."""
        ...

    def create_function(self, name: str, arguments: int, function: object, /, *, deterministic: bool) -> object:
        """Let SQL call *function* by *name*."""
        ...


def add_functions(connection: Connection) -> None:
    """Let *connection* run what the conditions of this module need."""
    connection.create_function("whole_version", 2, _whole_version, deterministic=True)
    connection.create_function("without_nul", 1, _nul_replaced, deterministic=True)


def contains(text: str) -> sa.ColumnElement[bool]:
    """Match *text* anywhere in a visitor's ids or in one of the values they have."""
    # A patch can be read by SQLite's JSON functions only after it is applied. Few versions are patches.
    whole = sa.case(
        (version.c.base_id.is_(None), _without_nul(version.c.content)),
        else_=sa.func.whole_version(version.c.content, base.c.content),
    )
    text = text.replace("\0", _FOR_NUL)
    values = sa.func.json_tree(whole).table_valued("atom", "fullkey", "type")
    # Its atoms of true and false are 1 and 0.
    atom = sa.case((values.c.type.in_(("true", "false")), values.c.type), else_=sa.cast(values.c.atom, sa.Text))
    value = atom.contains(text, autoescape=True)
    inside = sa.select(sa.literal(1)).select_from(values).where(value, values.c.fullkey.not_like("$.devices%"))
    visitor_id = sa.func.json_extract(_without_nul('"' + visitors.c.visitor_id + '"'), "$")
    return sa.or_(visitor_id.contains(text, autoescape=True), inside.exists())


def _without_nul(json: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    # Some versions of SQLite cut a string of JSON at its first NUL character, as LIKE does in all of them.
    return sa.case((sa.func.instr(json, r"\u0000") > 0, sa.func.without_nul(json)), else_=json)


def _nul_replaced(json: str) -> str:
    return _NUL.sub(lambda escapes: escapes[1] + _FOR_NUL, json)


def _whole_version(content: str, base: str) -> str:
    return _nul_replaced(text_of(stored_state(content, base)))
