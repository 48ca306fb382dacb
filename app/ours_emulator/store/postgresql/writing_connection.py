"""The one connection of a process that writes: its statements and transactions, and what their errors mean."""

import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from itertools import count
from typing import Any, cast

import psycopg
from psycopg.errors import LockNotAvailable, ReadOnlySqlTransaction
from psycopg.types.numeric import Int8Dumper

from ours_emulator.store import StoreBusyError, StoreError, StoreFailedError
from ours_emulator.store.postgresql.address import Address
from ours_emulator.store.postgresql.joining import join
from ours_emulator.store.postgresql.sessions import WritingSession

# With off or local, an answered event may be lost with the power of the server.
_SYNCHRONOUS = b"""
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')
"""
# Then the server ends what it can, and the connection lives. A locked table would otherwise keep requests waiting.
_TIME_LIMIT = """
SELECT set_config('statement_timeout', '{0}', false) FROM pg_settings
WHERE name = 'statement_timeout' AND setting::bigint NOT BETWEEN 1 AND {0}
"""
_PATIENCE = 30
# Every statement finds its few rows by an index. A plan that was made while a table was small, and is kept, would read
# all of it: at 20,000 events that took ten times as long as everything else. The few that need such a scan have a cost
# then for which they would be compiled first.
_PLANS = b"SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off"
# A process that was paused, or has lost its network, would keep the others waiting.
_IDLE_LIMIT = b"SET idle_in_transaction_session_timeout = '20s'"
# The server keeps the lock of a client that vanished until it notices; without these, that may take two hours.
_KEEPALIVES = b"""
SELECT set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
       set_config('tcp_keepalives_count', '3', false)
"""
_BEGIN = b"BEGIN ISOLATION LEVEL READ COMMITTED"
_READ_ONLY = b"SHOW transaction_read_only"


class WritingConnection:
    """Opens the database at *address* for writing: the `Database` of a PostgreSQL writer.

    *agreed* are the settings that all processes which use the database have alike. A connection that was lost is opened
    again by the next transaction. A server that does not answer for *patience* seconds counts as lost; it ends a
    statement itself a little earlier if it can. Raises StoreError.
    """

    def __init__(self, address: Address, agreed: Mapping[str, str], patience: float = _PATIENCE) -> None:
        self._address = address
        self._agreed = agreed
        self._patience = patience
        self._pipeline = ExitStack()
        """Open while a transaction is."""
        self._is_brief = False
        self.sessions = 0
        """How many connections there have been."""
        self.channel = ""
        """Where processes that use the same tables tell each other of their commits."""
        try:
            self._connection = self._connect()
        except psycopg.Error as error:
            raise StoreError(f"{self.name} cannot be opened: {sentence(error)}") from None

    @property
    def name(self) -> str:
        """The URL of the database, without a password."""
        return self._address.shown

    @property
    def waits_for_disk(self) -> bool:
        """Whether a commit waits until the disk has it."""
        return True

    @property
    def has_room(self) -> bool:
        """Whether there is room: what the disk of a server has, nobody here can know."""
        return True

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of *statement*."""
        return self._connection.execute(_spelled(statement), values).fetchall()

    def write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run *statement* with each of *rows*."""
        if len(rows) == 1:
            self._connection.execute(_spelled(statement), rows[0])
        elif rows:
            self._connection.cursor().executemany(_spelled(statement), rows)

    def begin(self) -> None:
        """Begin a transaction, on a new connection if there is none. Raises StoreBusyError if that is not possible."""
        try:
            self._begin()
            if self._is_brief:
                self._connection.execute(b"SET LOCAL lock_timeout = '100ms'")
            # Statements that return no rows do not wait for the server, each of which would be a way there and back.
            if psycopg.Pipeline.is_supported():
                self._pipeline.enter_context(self._connection.pipeline())
        except psycopg.Error as error:
            raise StoreBusyError(sentence(error)) from error
        except StoreError as error:
            raise StoreBusyError(str(error)) from None

    def _begin(self) -> None:
        if not self._connection.closed:
            # A connection that was closed while nothing was written is told of at its next use.
            with suppress(psycopg.OperationalError):
                self._connection.execute(_BEGIN)
                return
            if not self._connection.closed:
                self._connection.close()
        self._connection = self._connect()
        self._connection.execute(_BEGIN)

    def commit(self) -> None:
        """Commit the transaction.

        Raises StoreBusyError if that fails: it may be committed even so, so nobody may try its parts again.
        """
        # An error of a statement is told of here, and not as one of the commit.
        self._pipeline.close()
        try:
            done = self._connection.execute(b"COMMIT").statusmessage
        except psycopg.Error as error:
            raise StoreBusyError(f"the commit was not confirmed: {sentence(error)}") from error
        if done != "COMMIT":
            raise StoreFailedError("the transaction was rolled back")

    def roll_back(self) -> None:
        """End the transaction, and leave the database as it was."""
        try:
            with suppress(psycopg.Error):
                self._pipeline.close()
            self._connection.execute(b"ROLLBACK")
        except psycopg.Error:
            # The server rolls back what a connection leaves.
            self._connection.close()

    def as_store_error(self, error: BaseException) -> StoreError | None:
        """Return what the caller of a transaction that failed with *error* is told; None for an error of others."""
        if not isinstance(error, psycopg.Error):
            return None
        if self._connection.closed or isinstance(error, ReadOnlySqlTransaction | LockNotAvailable):
            return StoreBusyError(sentence(error))
        return (StoreFailedError if isinstance(error, psycopg.OperationalError) else StoreError)(sentence(error))

    def tidy(self) -> None:
        """Do nothing: the server tidies up itself."""

    @contextmanager
    def waiting_briefly(self) -> Generator[None]:
        """Wait only a moment for other processes that write."""
        self._is_brief = True
        try:
            yield
        finally:
            self._is_brief = False

    def make_room(self) -> None:
        """Do nothing: the server gives up the room of its log itself."""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _connect(self) -> WritingSession:
        """Return a new connection, which has joined the others that use the same tables."""
        parameters = cast(dict[str, Any], dict(self._address.parameters))
        connection = WritingSession.connect(**parameters, autocommit=True, cursor_factory=psycopg.RawCursor)
        connection.patience = self._patience
        try:
            # Of one width, so that a statement is prepared once, whatever its numbers are.
            connection.adapters.register_dumper(int, Int8Dumper)
            if connection.execute(_READ_ONLY).fetchall() == [("on",)]:
                raise StoreBusyError(f"{self.name} is read-only; use the primary server")
            connection.execute(_SYNCHRONOUS)
            connection.execute(_KEEPALIVES)
            connection.execute(_TIME_LIMIT.format(int(self._patience * 800)).encode())
            connection.execute(_PLANS)
            connection.execute(_IDLE_LIMIT)
            self.channel = join(connection, self.name, self._agreed)
        except BaseException:
            connection.close()
            raise
        self.sessions += 1
        return connection


def sentence(error: psycopg.Error) -> str:
    """Return the first line of what *error* says."""
    return error.diag.message_primary or str(error).partition("\n")[0]


@cache
def _spelled(statement: str) -> bytes:
    """Return *statement* as PostgreSQL has it. An entry of its indexes has room for 2,700 bytes."""
    numbers = count(1)
    numbered = re.sub(r"\?(\d*)", lambda found: f"${found[1] or next(numbers)}", statement)
    keyed = re.sub(r"key\((\S+?)\)", r"md5(\1)", numbered)
    return re.sub(r"elements\((\S+)\)", r"json_array_elements_text(CAST(\1 AS json))", keyed).encode()
