"""The schema of a database: recognised, or made."""

import logging
from typing import Any

import psycopg

from ours_emulator.store import StoreBusyError, StoreError
from ours_emulator.store.postgresql.create_sql import CREATE
from ours_emulator.store.writing.counters import COUNTED, Counters, values_of

_log = logging.getLogger(__name__)
SCHEMA_VERSION = 2
# One row: whoever writes locks it first, so that ids are given in the order of commits.
_CREATE_COUNTERS = f"CREATE TABLE counters ({', '.join(f'{name} BIGINT NOT NULL' for name in COUNTED)})"
_INSERT_COUNTERS = f"INSERT INTO counters VALUES ({', '.join(map(str, values_of(Counters())))})"
# An account as processes share it, which is JSON, and the settings with which all of them were started.
_CREATE_SHARED = (
    'CREATE TABLE shared_accounts (name TEXT COLLATE "C" PRIMARY KEY, version BIGINT NOT NULL, content TEXT NOT NULL)',
    "CREATE INDEX shared_accounts_by_version ON shared_accounts (version)",
    "CREATE TABLE agreed_settings (name TEXT PRIMARY KEY, digest TEXT NOT NULL)",
)
_MARK = "ours_emulator_store"
"""The table with the version, by which a store is recognised."""
_MADE = (
    *CREATE,
    _CREATE_COUNTERS,
    _INSERT_COUNTERS,
    *_CREATE_SHARED,
    f"CREATE TABLE {_MARK} (version BIGINT NOT NULL)",
    f"INSERT INTO {_MARK} VALUES ({SCHEMA_VERSION})",
)
_TABLES = {_MARK, *(statement.split()[2] for statement in _MADE if statement.split()[1] == "TABLE")}
# A step is frozen: it has the tables as they were in its version, and shares nothing with the program of today.
_STEPS = {
    1: """
CREATE TABLE failed_attempts (
    call_key TEXT COLLATE "C" NOT NULL, account_id BIGINT NOT NULL, call_id BIGINT NOT NULL,
    attempt BIGINT NOT NULL, received_at BIGINT NOT NULL, started FLOAT NOT NULL, retry_after FLOAT,
    PRIMARY KEY (call_key)
);
ALTER TABLE counters
    ADD COLUMN failed_attempts BIGINT NOT NULL DEFAULT 0, ADD COLUMN names_version BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN accounts_version BIGINT NOT NULL DEFAULT 0;
CREATE TABLE shared_accounts (name TEXT COLLATE "C" PRIMARY KEY, version BIGINT NOT NULL, content TEXT NOT NULL);
CREATE INDEX shared_accounts_by_version ON shared_accounts (version);
CREATE TABLE agreed_settings (name TEXT PRIMARY KEY, digest TEXT NOT NULL)
""",
}
_PRESENT = b"""
SELECT relname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = current_schema()
"""


def prepare(connection: psycopg.Connection[tuple[Any, ...]], name: str, *, may_change: bool) -> None:
    """Make sure that the database called *name* is a store of this version; one without our tables becomes one.

    Nobody else does so meanwhile, in whose transaction this is. Unless it *may_change*, others use the store. Raises
    StoreError for anything else.
    """
    present = {row[0] for row in connection.execute(_PRESENT).fetchall()}
    if _MARK in present:
        _migrate(connection, name, may_change=may_change)
        _check(name, {row[0] for row in connection.execute(_PRESENT).fetchall()})
        return
    if clashing := sorted(_TABLES & present):
        raise StoreError(f"{name} has a table {clashing[0]} of another program; use another database or schema")
    for statement in _MADE:
        connection.execute(statement.encode())


def _migrate(connection: psycopg.Connection[tuple[Any, ...]], name: str, *, may_change: bool) -> None:
    """Bring the store called *name* to the present version. Raises StoreError if that is not possible."""
    versions = connection.execute(f"SELECT version FROM {_MARK}".encode()).fetchall()
    version = versions[0][0] if versions else 0
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{name} has store version {version}, but this program supports at most {SCHEMA_VERSION}; "
            "use a newer ours-emulator"
        )
    if version < SCHEMA_VERSION and not may_change:
        raise StoreBusyError(f"{name} is in use by an older emulator; stop that one first")
    for step in range(version, SCHEMA_VERSION):
        if step not in _STEPS:
            raise StoreError(
                f"{name} has store version {version}, which cannot be migrated to {SCHEMA_VERSION}; use a new database"
            )
        for statement in _STEPS[step].split(";\n"):
            connection.execute(statement.encode())
    if version < SCHEMA_VERSION:
        connection.execute(f"UPDATE {_MARK} SET version = {SCHEMA_VERSION}".encode())
        _log.warning("store: migrated %s from version %s to %s", name, version, SCHEMA_VERSION)


def _check(name: str, present: set[str]) -> None:
    """Raise StoreError if the store called *name*, which has the tables *present*, lacks any."""
    if missing := sorted(_TABLES - present):
        raise StoreError(
            f"{name} is damaged: table {missing[0]} is missing; restore it from a backup or use a new database"
        )
