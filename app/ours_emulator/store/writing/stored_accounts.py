"""The accounts in the store: their ids, and what a reset or a close does to them."""

from ours_emulator.records import Cleared
from ours_emulator.store.encoding import REMOVED, removed_name
from ours_emulator.store.writing import statements as sql
from ours_emulator.store.writing import table_sql
from ours_emulator.store.writing.counters import Counters
from ours_emulator.store.writing.database import Database
from ours_emulator.store.writing.removal import Removal


class StoredAccounts:
    """The accounts by their names. What has to be deleted of one is left to the *removal*."""

    def __init__(self, database: Database, removal: Removal, counters: Counters) -> None:
        self._database = database
        self._removal = removal
        self._counters = counters
        self.ids: dict[str, int] = {}
        self._last_id = 0

    def read(self) -> None:
        """Take over what the database has."""
        rows = self._database.run(sql.SELECT_ACCOUNTS)
        self.ids = {name: id_ for name, id_ in rows if not name.startswith(REMOVED)}
        self._removal.account_ids = [id_ for name, id_ in rows if name.startswith(REMOVED)]
        self._last_id = max((id_ for _, id_ in rows), default=0)

    def add(self, name: str) -> int:
        """Return the id of the new account *name*."""
        self._last_id += 1
        self._database.write(table_sql.INSERT_ACCOUNTS, [(self._last_id, name, 0, 0, 0)])
        self.ids[name] = self._last_id
        self._counters.names_version += 1
        return self._last_id

    def clear(self, name: str) -> Cleared:
        """Give the *name* to a new, empty account; return what had it before."""
        cleared = self.delete(name)
        self.add(name)
        return cleared

    def delete(self, name: str) -> Cleared:
        """Give up the account *name*, whose rows are then removed in slices; return what it had."""
        id_ = self.ids.pop(name)
        counts = (sql.COUNT_VISITORS_OF, sql.COUNT_RECEIPTS_OF, sql.COUNT_REQUESTS_OF)
        visitors, receipts, requests = (self._database.run(count, id_)[0][0] for count in counts)
        for clear in (sql.CLEAR_PENDING, sql.CLEAR_COUNTS, sql.CLEAR_FAILED_ATTEMPTS):
            self._database.write(clear, [(id_,)])
        self._database.write(sql.RENAME_ACCOUNT, [(removed_name(id_), id_)])
        self._removal.account_ids.append(id_)
        self._counters.names_version += 1
        return Cleared(account=name, visitors=visitors, receipts=receipts, requests=requests)
