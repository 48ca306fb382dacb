"""The writer of a PostgreSQL database, whose counters are a row that each transaction locks."""

from collections.abc import Mapping
from typing import Any

from ours_emulator.records import Cleared
from ours_emulator.store import Retention
from ours_emulator.store.postgresql.address import Address
from ours_emulator.store.postgresql.commits import Commit
from ours_emulator.store.postgresql.shared_accounts import SharedAccountTable
from ours_emulator.store.postgresql.writing_connection import WritingConnection
from ours_emulator.store.writing.counters import COUNTED, values_of
from ours_emulator.store.writing.statements import FROM_VISITORS, VISITOR_COLUMNS
from ours_emulator.store.writing.writer import SqlWriter

_SELECT_COUNTERS = f"SELECT {', '.join(COUNTED)} FROM counters FOR UPDATE"
# Told by the same statement: one more way to the server and back would take as long as a tenth of the transaction.
_UPDATE_COUNTERS = f"UPDATE counters SET {', '.join(f'{name} = ?' for name in COUNTED)} RETURNING pg_notify(?, ?)"
# The subquery of the other statement would be run for each visitor that has the name.
_SELECT_VISITORS = f"""
{VISITOR_COLUMNS}
FROM elements(?2) AS wanted
CROSS JOIN LATERAL (
    SELECT visitor_pk FROM identifiers WHERE digest = wanted.value ORDER BY visitor_pk LIMIT ?1
) AS named
{FROM_VISITORS}
"""


class PostgresqlWriter(SqlWriter):
    """The `StoreWriter` of a PostgreSQL database."""

    select_visitors = _SELECT_VISITORS

    def __init__(self, address: Address, retention: Retention, agreed: Mapping[str, str]) -> None:
        self._connection = WritingConnection(address, agreed)
        self._session = 0
        self._names_version = 0
        self._loaded: tuple[Any, ...] = ()
        self._saved: tuple[Any, ...] = ()
        self._cleared: list[tuple[str | None, int]] = []
        self._reserved = False
        self._failure: Exception | None = None
        """What kept the counters from being reserved."""
        super().__init__(self._connection, retention)
        self.accounts = SharedAccountTable(self._connection, self._counters)
        """Where processes leave accounts that they changed."""

    def _opened(self) -> None:
        pass

    def reserve(self) -> None:
        """Wait until no other process writes, and let none until the next transaction has ended."""
        try:
            self._begin_locked()
            self._reserved = True
        except Exception as error:
            # The next transaction fails with it: to wait once more would take as long.
            self._failure = error

    def release(self) -> None:
        """Let others write, if no transaction came after `reserve`."""
        self._failure = None
        if self._reserved:
            self._reserved = False
            self._connection.roll_back()

    def _begin(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self._reserved:
            self._reserved = False
        else:
            self._begin_locked()

    def _begin_locked(self) -> None:
        """Begin a transaction, and lock the counters."""
        self._connection.begin()
        try:
            self._loaded = self._run(_SELECT_COUNTERS)[0]
        except Exception as error:
            self._connection.roll_back()
            raise self._connection.as_store_error(error) or error from error

    def _load_counters(self) -> None:
        self._cleared.clear()
        self._counters.take(self._loaded)
        if self._loaded != self._saved:
            # Another process has written.
            self._recent.clear()
        read = self._session, self._names_version
        if not self._counters.known or read != (self._connection.sessions, self._counters.names_version):
            self._accounts.read()
            self._session, self._counters.known = self._connection.sessions, True
        self._names_version = self._counters.names_version

    def _save_counters(self) -> None:
        if not self._counters.known:
            self._count()
        self._saved = values = values_of(self._counters)
        # The reset of an account that has nothing changes no counter, but streams tell of it.
        if values != self._loaded or self._cleared:
            told = Commit(self.next_receipt_id, self._cleared)
            self._write(_UPDATE_COUNTERS, [(*values, self._connection.channel, told.text())])
            self._names_version = self._counters.names_version

    @property
    def channel(self) -> str:
        """Where processes that use the same tables tell each other of their commits."""
        return self._connection.channel

    def reset(self, account: str | None) -> Cleared:
        """Delete everything of *account*, or of all accounts if None, but the accounts themselves."""
        self._cleared.append((account, self.next_receipt_id))
        return super().reset(account)

    def delete_account(self, account: str) -> Cleared:
        """Delete *account* and everything of it."""
        self._cleared.append((account, self.next_receipt_id))
        return super().delete_account(account)
