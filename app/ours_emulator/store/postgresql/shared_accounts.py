"""The accounts that processes share: a row for each, with the version at which it was changed last."""

from collections.abc import Mapping, Sequence

from ours_emulator.store import AccountText
from ours_emulator.store.postgresql.writing_connection import WritingConnection
from ours_emulator.store.writing.counters import Counters

_SELECT = "SELECT name, version, content FROM shared_accounts WHERE version > ? ORDER BY version"
_UPSERT = """
INSERT INTO shared_accounts (name, version, content) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET version = excluded.version, content = excluded.content
"""


class SharedAccountTable:
    """The `SharedAccounts` of a PostgreSQL database. *counters* are those of the open transaction."""

    def __init__(self, connection: WritingConnection, counters: Counters) -> None:
        self._connection = connection
        self._counters = counters

    def changed_accounts(self, after: int) -> Sequence[AccountText]:
        """Return the accounts with a version greater than *after*."""
        if after == self._counters.accounts_version:
            return ()
        return [AccountText(*row) for row in self._connection.run(_SELECT, after)]

    def save_accounts(self, texts: Mapping[str, str]) -> int:
        """Save accounts by their names, and return the version that they have then."""
        self._counters.accounts_version += 1
        version = self._counters.accounts_version
        self._connection.write(_UPSERT, [(name, version, text) for name, text in texts.items()])
        return version
