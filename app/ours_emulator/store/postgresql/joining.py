"""How a process joins those that use the same tables: the tables are made, and all have the same settings.

Each holds a shared advisory lock for as long as its connection lives, by which the others know that it is there.
"""

import time
from collections.abc import Mapping

from psycopg.errors import LockNotAvailable, QueryCanceled

from ours_emulator.store import StoreBusyError
from ours_emulator.store.postgresql.schema import prepare
from ours_emulator.store.postgresql.sessions import WritingSession

LOCK = 0x4F555253
"""The first number of the lock of those that have joined; the second one is of the schema."""
_LOCK_OF_JOINING = LOCK + 1
"""That of the lock of the one that is joining."""
_SCHEMA = b"SELECT hashtext(current_schema())"
_WAIT = b"SET LOCAL lock_timeout = '3s'"
_PRESENT = f"""
SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE datname = current_database() AND locktype = 'advisory' AND granted AND pid <> pg_backend_pid()
    AND classid = {LOCK} AND objid = (hashtext(current_schema())::bigint & 4294967295)::oid
""".encode()
_SELECT_AGREED = b"SELECT name, digest FROM agreed_settings"
_PATIENCE = 3.0
"""Seconds for which others may still seem to be there that have just ended."""
_PAUSE = 0.1


class _DiffersError(Exception):
    """Others are there, and these settings of theirs are others."""


def join(connection: WritingSession, name: str, agreed: Mapping[str, str]) -> str:
    """Join those that use the database called *name*; return the channel on which they tell of their commits.

    *agreed* are the settings that all have alike. Raises StoreError.
    """
    schema = connection.execute(_SCHEMA).fetchall()[0][0]
    if schema is None:
        raise StoreBusyError(f"{name} has no schema for tables; create the one in its search_path")
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with connection.transaction():
                _join(connection, name, schema, agreed)
            return f"ours_emulator_{schema & 0xFFFFFFFF:08x}"
        except _DiffersError as differs:
            if time.monotonic() > deadline:
                raise StoreBusyError(
                    f"{name} is in use by an emulator with other settings ({differs}); start all with the same"
                ) from None
        time.sleep(_PAUSE)


def _join(connection: WritingSession, name: str, schema: int, agreed: Mapping[str, str]) -> None:
    connection.execute(_WAIT)
    _lock(
        connection,
        f"pg_advisory_xact_lock({_LOCK_OF_JOINING}, {schema})",
        f"{name} is being set up by another emulator; start again in a moment",
    )
    is_alone = connection.execute(_PRESENT).fetchall() == [(0,)]
    prepare(connection, name, may_change=is_alone)
    if is_alone:
        connection.execute(b"DELETE FROM agreed_settings")
        with connection.cursor() as cursor:
            cursor.executemany(b"INSERT INTO agreed_settings (name, digest) VALUES ($1, $2)", list(agreed.items()))
    else:
        _compare(dict(connection.execute(_SELECT_AGREED).fetchall()), agreed)
    _lock(
        connection,
        f"pg_advisory_lock_shared({LOCK}, {schema})",
        f"{name} is in use by an older emulator; stop that one first",
    )


def _lock(connection: WritingSession, call: str, otherwise: str) -> None:
    """Take a lock by the *call*. Raises StoreBusyError with the message *otherwise* if others keep it."""
    try:
        connection.execute(f"SELECT {call}".encode())
    except (LockNotAvailable, QueryCanceled):
        raise StoreBusyError(otherwise) from None


def _compare(theirs: Mapping[str, str], agreed: Mapping[str, str]) -> None:
    differing = sorted(name for name in {*theirs, *agreed} if theirs.get(name) != agreed.get(name))
    if differing:
        raise _DiffersError(", ".join(differing))
