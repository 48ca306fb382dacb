"""The schema of a database: recognised, made, migrated, and compared with what this program needs."""

import logging
import sqlite3
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

from ours_emulator.store import StoreError
from ours_emulator.store.sqlite.create_sql import CREATE
from ours_emulator.store.sqlite.migration import OLDEST_VERSION, SCHEMA_VERSION, migrate

APPLICATION_ID = 0x4F555253
_log = logging.getLogger(__name__)
_Part: TypeAlias = tuple[str | int | None, ...]
"""A name as a sentence has it, `column visitors.pk`, then what else there is to compare."""
_TABLES = "SELECT 'table ' || name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
_COLUMNS = """
SELECT 'column ' || t.name || '.' || c.name, upper(c.type), c."notnull", c.pk
FROM sqlite_master AS t, pragma_table_info(t.name) AS c WHERE t.type = 'table'
"""
_INDEXES = """
SELECT 'index ' || i.name, t.name, i."unique", i.partial, c.seqno, c.name
FROM sqlite_master AS t, pragma_index_list(t.name) AS i, pragma_index_info(i.name) AS c WHERE t.type = 'table'
"""


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make sure, in the open transaction, that the file at *path* is a store of this version.

    A new file becomes one, and a store of an older version is migrated. Raises StoreError for anything else.
    """
    version = _version(connection, path)
    if version is None:
        for statement in (
            f"PRAGMA application_id = {APPLICATION_ID}",
            f"PRAGMA user_version = {SCHEMA_VERSION}",
            *CREATE,
        ):
            connection.execute(statement)
        return
    if version < SCHEMA_VERSION:
        _log.warning("store: migrating %s from version %d to %d", path, version, SCHEMA_VERSION)
        _log.warning("store: migrated %s %s", path, migrate(connection, version))
    damage = _damage(connection)
    if damage is not None:
        raise StoreError(f"{path} is damaged: {damage}; restore it from a backup or use a new file")


def _version(connection: sqlite3.Connection, path: Path) -> int | None:
    """Return the version of a store that can be used or migrated; None for a new file."""
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if application == 0 and not connection.execute(_TABLES).fetchall():
        return None
    if application != APPLICATION_ID:
        raise StoreError(f"{path} is a database of another program; use another file")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} has store version {version}, but this program supports at most {SCHEMA_VERSION}; "
            "use a newer ours-emulator"
        )
    if version < OLDEST_VERSION:
        raise StoreError(
            f"{path} has store version {version}, which cannot be migrated to {SCHEMA_VERSION}; use a new file"
        )
    return version


def _damage(connection: sqlite3.Connection) -> str | None:
    """Return in which way the schema is not that of a new store: the tables are looked at before what they have."""
    for needed, present in zip(_new_schema(), _schema(connection), strict=True):
        names = {name for name, *_ in present}
        for name, *_ in sorted(needed - present, key=str):
            return f"{name} is {'not as it was created' if name in names else 'missing'}"
        # Others may add tables and indexes, but a column that is not known might have to be filled.
        tables = {_table_of(column) for column in needed}
        for column in sorted(present - needed, key=str):
            if "." in str(column[0]) and _table_of(column) in tables:
                return f"{column[0]} is unknown"
    return None


def _table_of(column: _Part) -> str:
    return str(column[0]).partition(".")[0]


def _new_schema() -> Sequence[AbstractSet[_Part]]:
    with closing(sqlite3.connect(":memory:")) as new:
        for statement in CREATE:
            new.execute(statement)
        return _schema(new)


def _schema(connection: sqlite3.Connection) -> Sequence[AbstractSet[_Part]]:
    """Return tables, columns and indexes."""
    return [set(connection.execute(query).fetchall()) for query in (_TABLES, _COLUMNS, _INDEXES)]
