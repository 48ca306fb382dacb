"""The schema of a database: recognised, or made."""

from typing import Any

import psycopg

from ours_emulator.store import StoreError
from ours_emulator.store.postgresql.create_sql import CREATE
from ours_emulator.store.writing.counters import COUNTED, Counters, values_of

SCHEMA_VERSION = 1
# One row: whoever writes locks it first, so that ids are given in the order of commits.
_CREATE_COUNTERS = f"CREATE TABLE counters ({', '.join(f'{name} BIGINT NOT NULL' for name in COUNTED)})"
_INSERT_COUNTERS = f"INSERT INTO counters VALUES ({', '.join(map(str, values_of(Counters())))})"
_MARK = "ours_emulator_store"
"""The table with the version, by which a store is recognised."""
_MADE = (
    *CREATE,
    _CREATE_COUNTERS,
    _INSERT_COUNTERS,
    f"CREATE TABLE {_MARK} (version BIGINT NOT NULL)",
    f"INSERT INTO {_MARK} VALUES ({SCHEMA_VERSION})",
)
_TABLES = {_MARK, *(statement.split()[2] for statement in _MADE if statement.split()[1] == "TABLE")}
_PRESENT = b"""
SELECT relname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = current_schema()
"""


def prepare(connection: psycopg.Connection[tuple[Any, ...]], name: str) -> None:
    """Make sure that the database called *name* is a store of this version; one without our tables becomes one.

    *connection* has the advisory lock, so nobody else does so meanwhile. Raises StoreError for anything else.
    """
    with connection.transaction():
        present = {row[0] for row in connection.execute(_PRESENT).fetchall()}
        if _MARK in present:
            _check(connection, name, present)
            return
        if clashing := sorted(_TABLES & present):
            raise StoreError(f"{name} has a table {clashing[0]} of another program; use another database or schema")
        for statement in _MADE:
            connection.execute(statement.encode())


def _check(connection: psycopg.Connection[tuple[Any, ...]], name: str, present: set[str]) -> None:
    """Raise StoreError if the store called *name*, which has the tables *present*, cannot be used."""
    versions = connection.execute(f"SELECT version FROM {_MARK}".encode()).fetchall()
    version = versions[0][0] if versions else 0
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{name} has store version {version}, but this program supports at most {SCHEMA_VERSION}; "
            "use a newer ours-emulator"
        )
    if version < SCHEMA_VERSION:
        raise StoreError(
            f"{name} has store version {version}, which cannot be migrated to {SCHEMA_VERSION}; use a new database"
        )
    if missing := sorted(_TABLES - present):
        raise StoreError(
            f"{name} is damaged: table {missing[0]} is missing; restore it from a backup or use a new database"
        )
