"""Visitors and their versions as the reader selects them."""

from typing import Any, Protocol

import sqlalchemy as sa

from ours_emulator.store.tables import visitor_versions, visitors
from ours_emulator.store.versions import stored_state, text_of

version = visitor_versions.alias("version")
base = visitor_versions.alias("base")
"""What `version` is a patch of, if it is one."""
STATE_COLUMNS = (version.c.content.label("version"), base.c.content.label("base"))


class ReadingConnection(Protocol):
    """What the driver's connection can do."""

    def execute(self, statement: str, /) -> object:
        """Run *statement*."""
        ...

    def create_function(self, name: str, arguments: int, function: object, /, *, deterministic: bool) -> object:
        """Let SQL call *function* by *name*."""
        ...


def add_functions(connection: ReadingConnection) -> None:
    """Let *connection* run what the conditions of this module need."""
    connection.create_function("whole_version", 2, _whole_version, deterministic=True)


def contains(text: str) -> sa.ColumnElement[bool]:
    """Match *text* anywhere in a visitor's ids or in one of the values they have."""
    # A patch can be read by SQLite's JSON functions only after it is applied. Few versions are patches.
    whole = sa.case(
        (version.c.base_id.is_(None), version.c.content), else_=sa.func.whole_version(version.c.content, base.c.content)
    )
    values = sa.func.json_tree(whole).table_valued("atom", "fullkey")
    value = _has(sa.cast(values.c.atom, sa.Text), text)
    inside = sa.select(sa.literal(1)).select_from(values).where(value, values.c.fullkey.not_like("$.devices%"))
    visitor_id = sa.func.json_extract('"' + visitors.c.visitor_id + '"', "$")
    return sa.or_(_has(visitor_id, text), inside.exists())


def _has(value: sa.ColumnElement[Any], text: str) -> sa.ColumnElement[bool]:
    # LIKE reads a value only up to its first NUL character.
    return sa.func.instr(sa.func.lower(value), sa.func.lower(text)) > 0


def _whole_version(content: str, base: str) -> str:
    return text_of(stored_state(content, base))
