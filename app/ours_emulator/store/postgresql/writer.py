"""The writer of a PostgreSQL database, whose counters are a row that each transaction locks."""

from typing import Any

from ours_emulator.store import Retention
from ours_emulator.store.postgresql.address import Address
from ours_emulator.store.postgresql.writing_connection import WritingConnection
from ours_emulator.store.writing.counters import COUNTED, values_of
from ours_emulator.store.writing.statements import FROM_VISITORS, VISITOR_COLUMNS
from ours_emulator.store.writing.writer import SqlWriter

_SELECT_COUNTERS = f"SELECT {', '.join(COUNTED)} FROM counters FOR UPDATE"
_UPDATE_COUNTERS = f"UPDATE counters SET {', '.join(f'{name} = ?' for name in COUNTED)}"
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

    def __init__(self, address: Address, retention: Retention) -> None:
        self._connection = WritingConnection(address)
        self._session = 0
        self._loaded: tuple[Any, ...] = ()
        super().__init__(self._connection, retention)

    def _opened(self) -> None:
        pass

    def _load_counters(self) -> None:
        self._loaded = self._run(_SELECT_COUNTERS)[0]
        self._counters.take(self._loaded)
        if not self._counters.known or self._session != self._connection.sessions:
            self._accounts.read()
            self._session = self._connection.sessions
            self._counters.known = True

    def _save_counters(self) -> None:
        if not self._counters.known:
            self._count()
        values = values_of(self._counters)
        if values != self._loaded:
            self._run(_UPDATE_COUNTERS, *values)
