"""The one connection that writes: load what a group of requests mentions, save what became of it."""

import sqlite3
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ours_emulator.decide.deduplication import DistinctId, Original
from ours_emulator.decide.devices import PendingDevices, Waiting
from ours_emulator.decide.identity import Name, Visitor
from ours_emulator.jsontext import json_text
from ours_emulator.model import Exchange, Request
from ours_emulator.records import Cleared
from ours_emulator.store.sqlite import statements as sql
from ours_emulator.store.sqlite.file import StoreError, StoreFile, StoreLostError
from ours_emulator.store.sqlite.rows import (
    distinct_rows,
    original_of,
    receipt_row,
    request_row,
    visitor_of,
    visitor_row,
    waiting_of,
    waiting_row,
)
from ours_emulator.store.tables import digests_of, distinct_digest, encoded, name_digest

_RECENT_REQUESTS = 10_000
_ROWS_PER_SLACK = 400


@dataclass(frozen=True, slots=True)
class AttemptBefore:
    """The attempt before another: its call, and when it came, in milliseconds since the epoch."""

    call_id: int
    received_at: int


@dataclass(frozen=True, slots=True)
class Retention:
    """How much is kept of journal and receipts: rows of each, and bytes of request bodies."""

    rows: int = 100_000
    body_bytes: int = 256 * 1024 * 1024


class StoreBusyError(Exception):
    """The store can't be written at all, whatever it is: somebody else has it, or its file is gone."""


class StoreFailedError(Exception):
    """The store could not be written: the disk is full, or fails."""


class StoreWriter:
    """Load and save for the pipeline. Everything happens inside `transaction`, on one thread."""

    def __init__(self, file: StoreFile, retention: Retention) -> None:
        self._file = file
        self._retention = retention
        self._connection = file.open()
        # The driver's own cursor runs a prepared text five times as fast as SQLAlchemy's execute.
        self._cursor = self._connection.connection.cursor()
        self.next_receipt_id = self.next_request_id = self.next_visitor_pk = self.next_waiting_pk = 1
        self._waiting = 0
        self._counters_known = False
        try:
            with self.transaction():
                pass
        except (sqlite3.Error, StoreBusyError, StoreFailedError) as error:
            self.close()
            raise StoreError(f"{file.path} can't be read: {error}") from None

    @property
    def any_waiting(self) -> bool:
        """Whether any device waits for its visitor."""
        return self._waiting > 0

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Commit what happens inside, or, if it raises, leave the store as it was.

        Raises StoreBusyError if the store can't be written at all, and StoreFailedError if the disk is full or fails.
        """
        try:
            self._file.check()
            self._cursor.execute("BEGIN IMMEDIATE")
        except (sqlite3.OperationalError, StoreLostError) as error:
            raise StoreBusyError(str(error)) from error
        try:
            if not self._counters_known:
                self._read_counters()
            yield
            self._cursor.execute("COMMIT")
        except BaseException as error:
            self._counters_known = False
            # Some errors (disk full, input/output) have ended the transaction already.
            with suppress(sqlite3.Error):
                self._cursor.execute("ROLLBACK")
            if isinstance(error, sqlite3.OperationalError):
                raise StoreFailedError(str(error)) from error
            raise

    def close(self) -> None:
        """Close the connection and the file."""
        self._connection.close()
        self._file.close()

    def account_id(self, name: str) -> int:
        """Return the id of the account *name*, made on first use."""
        known = self._account_ids.get(name)
        if known is None:
            known = max(self._account_ids.values(), default=0) + 1
            self._run(sql.INSERT_ACCOUNTS, known, name, 0, 0)
            self._account_ids[name] = known
        return known

    def visitors(self, names: Iterable[Name], most: int) -> list[Visitor]:
        """Return the visitors that have any of *names*: for each name the *most* oldest ones."""
        digests = json_text([name_digest(name) for name in names])
        rows = self._run(sql.SELECT_VISITORS, most, digests)
        return [visitor_of(row) for row in {row[0]: row for row in rows}.values()]

    def waiting(self, names: Iterable[Name]) -> list[Waiting]:
        """Return the devices that wait for a visitor with any of *names*, the oldest first."""
        rows = self._run(sql.SELECT_WAITING, json_text([name_digest(name) for name in names]))
        return [waiting_of(row) for row in rows]

    def originals(self, ids: Sequence[DistinctId]) -> dict[DistinctId, Original]:
        """Return, for those of *ids* that were used before, the event that used them."""
        if not ids:
            return {}
        digests = {distinct_digest(it.account_id, it.value, test=it.test): it for it in ids}
        rows = self._run(sql.SELECT_ORIGINALS, json_text(list(digests)))
        return {digests[row[0]]: original_of(row) for row in rows}

    def attempt_before(self, account_id: int, request: Request) -> AttemptBefore | None:
        """Return the attempt before *request*, a further one; None if it is not known."""
        since = self.next_request_id - _RECENT_REQUESTS
        rows = self._run(sql.SELECT_CALL, account_id, since, encoded(request.path), request.attempt - 1, request.body)
        return AttemptBefore(*rows[0]) if rows else None

    def save(
        self,
        exchanges: Sequence[Exchange],
        touched: Iterable[Visitor],
        repeats: Mapping[int, int],
        waiting: PendingDevices,
    ) -> None:
        """Write *exchanges*, the *touched* visitors, how often more each receipt in *repeats* was sent, who waits."""
        saved = [(exchange, receipt) for exchange in exchanges for receipt in exchange.receipts]
        self._write(sql.INSERT_REQUESTS, [request_row(exchange) for exchange in exchanges])
        self._write(sql.INSERT_RECEIPTS, [receipt_row(exchange, receipt) for exchange, receipt in saved])
        self._write(sql.INSERT_DISTINCT_IDS, list(distinct_rows(saved)))
        self._write(sql.UPDATE_REPEATS, [(count, receipt_id) for receipt_id, count in repeats.items()])
        self._save_visitors(touched)
        self._save_waiting(waiting)
        self.next_request_id += len(exchanges)
        self.next_receipt_id += len(saved)
        self._requests += len(exchanges)
        self._receipts += len(saved)
        self._body_bytes += sum(len(exchange.request.body) for exchange in exchanges)
        self._evict()

    def reset(self, account: str | None) -> Cleared:
        """Forget everything of *account*, or of all accounts if None, but the accounts themselves."""
        ids = [id_ for name, id_ in self._account_ids.items() if account in (None, name)]
        marks = (self.next_receipt_id, self.next_request_id, self.next_visitor_pk)
        self._write(sql.UPSERT_MARKS, list(zip(("receipt", "request", "visitor"), marks, strict=True)))
        cleared = [self._clear(account_id) for account_id in ids]
        total = Cleared(
            account=account,
            visitors=sum(it.visitors for it in cleared),
            receipts=sum(it.receipts for it in cleared),
            requests=sum(it.requests for it in cleared),
        )
        self._receipts -= total.receipts
        self._requests -= total.requests
        self._waiting = self._run(sql.COUNT_WAITING)[0][0]
        return total

    def forget(self, account: str) -> Cleared:
        """Forget *account* and everything of it."""
        cleared = self.reset(account)
        self._run(sql.DELETE_ACCOUNT, account)
        self._account_ids.pop(account, None)
        return cleared

    def is_empty(self) -> bool:
        """Whether nothing was ever stored."""
        return self.next_request_id == 1

    def _run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._cursor.execute(statement, values).fetchall()
        return rows

    def _write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        if len(rows) == 1:
            self._cursor.execute(statement, rows[0])
        elif rows:
            self._cursor.executemany(statement, rows)

    def _save_visitors(self, touched: Iterable[Visitor]) -> None:
        gone: list[tuple[str, int]] = []
        new: list[tuple[str, int]] = []
        rows: list[tuple[Any, ...]] = []
        for visitor in touched:
            rows.append(visitor_row(visitor))
            if visitor.names_changed:
                names, before = set(visitor.names()), set(visitor.stored_names)
                gone += [(name_digest(name), visitor.pk) for name in before - names]
                new += [(name_digest(name), visitor.pk) for name in names - before]
            self.next_visitor_pk = max(self.next_visitor_pk, visitor.pk + 1)
        self._write(sql.UPSERT_VISITORS, rows)
        self._write(sql.DELETE_IDENTIFIERS, gone)
        self._write(sql.INSERT_IDENTIFIERS, new)

    def _save_waiting(self, room: PendingDevices) -> None:
        if not room.changed and not room.gone:
            return
        self._write(sql.UPSERT_WAITING, [waiting_row(it) for it in room.changed.values()])
        self._write(sql.DELETE_WAITING, [(pk,) for pk in room.gone])
        self._waiting = self._run(sql.COUNT_WAITING)[0][0]
        self.next_waiting_pk = max(self.next_waiting_pk, *(pk + 1 for pk in (*room.changed, *room.gone)))

    def _evict(self) -> None:
        """Drop the oldest rows over the limits and count them for their accounts (evicted).

        Rows go some at a time: one by one they would take as long as everything else that is written.
        """
        most = self._retention.rows
        slack = most // _ROWS_PER_SLACK
        if self._receipts > most + slack:
            rows = self._run(sql.EVICT_RECEIPTS, self._receipts - most)
            self._receipts -= len(rows)
            self._count_evicted(sql.COUNT_EVICTED_RECEIPTS, Counter(row[0] for row in rows))
        if self._requests > most + slack:
            self._evict_requests(self._requests - most)
        while self._body_bytes > self._retention.body_bytes and self._counters_known:
            self._evict_requests(1)

    def _evict_requests(self, count: int) -> None:
        rows = self._run(sql.EVICT_REQUESTS, count)
        self._requests -= len(rows)
        self._body_bytes -= sum(row[1] for row in rows)
        self._count_evicted(sql.COUNT_EVICTED_REQUESTS, Counter(row[0] for row in rows))
        # Fewer than were counted: count again.
        self._counters_known = len(rows) == count

    def _count_evicted(self, statement: str, counts: Mapping[int, int]) -> None:
        self._write(statement, [(count, account_id) for account_id, count in counts.items()])

    def _clear(self, account_id: int) -> Cleared:
        def run(statement: str, *values: object) -> int:
            self._cursor.execute(statement, values)
            return self._cursor.rowcount

        # Counting all that is left would take longer the more others have.
        self._body_bytes -= self._run(sql.SUM_BODIES, account_id)[0][0]
        low, high = digests_of(account_id)
        run(sql.CLEAR_IDENTIFIERS, low, high)
        run(sql.CLEAR_DISTINCT_IDS, low, high)
        run(sql.CLEAR_WAITING, account_id)
        run(sql.CLEAR_EVICTED, account_id)
        return Cleared(
            visitors=run(sql.CLEAR_VISITORS, account_id),
            receipts=run(sql.CLEAR_RECEIPTS, account_id),
            requests=run(sql.CLEAR_REQUESTS, account_id),
        )

    def _read_counters(self) -> None:
        """Take over what the database has. Ids only ever grow."""
        rows = self._run(sql.SELECT_ACCOUNTS)
        self._account_ids = {row[0]: row[1] for row in rows}
        count = self._run(sql.SELECT_COUNTERS)[0]
        self._receipts, self._requests, self._body_bytes = count[0], count[1], count[2] or 0
        marks = dict(self._run(sql.SELECT_MARKS))
        self.next_receipt_id = max(self.next_receipt_id, marks.get("receipt", 1))
        self.next_request_id = max(self.next_request_id, marks.get("request", 1))
        self.next_visitor_pk = max(self.next_visitor_pk, marks.get("visitor", 1))
        # Distinct ids outlive the receipts they name, and must never come to name another one.
        self.next_receipt_id = max(self.next_receipt_id, (count[3] or 0) + 1, (count[4] or 0) + 1)
        self.next_request_id = max(self.next_request_id, (count[5] or 0) + 1)
        self.next_visitor_pk = max(self.next_visitor_pk, (count[6] or 0) + 1)
        self._waiting = count[7]
        self.next_waiting_pk = max(self.next_waiting_pk, (count[8] or 0) + 1)
        self._counters_known = True
