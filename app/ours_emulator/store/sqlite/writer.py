"""The one connection that writes: load what a group of requests mentions, save what became of it."""

import sqlite3
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate
from operator import itemgetter
from typing import Any

from ours_emulator.decide.decision import Decision
from ours_emulator.decide.deduplication import DistinctId, Original
from ours_emulator.decide.devices import PendingDevice, PendingDevices
from ours_emulator.decide.identity import Name, Visitor
from ours_emulator.decide.retries import AttemptBefore
from ours_emulator.jsontext import json_text
from ours_emulator.model import Exchange, Request, Version
from ours_emulator.records import Cleared
from ours_emulator.store import Retention, StoreBusyError, StoreError, StoreFailedError, StoreLostError
from ours_emulator.store.encoding import digest_range, distinct_digest, encoded, name_digest
from ours_emulator.store.sqlite import receipt_counts, table_sql
from ours_emulator.store.sqlite import statements as sql
from ours_emulator.store.sqlite.file import BUSY_SECONDS, StoreFile
from ours_emulator.store.sqlite.removal import PREFIX, Removal, name_of
from ours_emulator.store.sqlite.rows import (
    counted,
    distinct_rows,
    original_of,
    pending_of,
    pending_row,
    receipt_row,
    request_row,
    version_row,
    visitor_of,
    visitor_row,
)
from ours_emulator.store.sqlite.watch import TruncatedError
from ours_emulator.store.versions import Keyframe

_RECENT_REQUESTS = 10_000
_ROWS_PER_SLACK = 400
_BYTES_PER_SLACK = 16
_CLEARED_AT_ONCE = 1000
"""Rows of each kind that are deleted together; of accounts with more, they are removed in slices."""
_OLDEST = 1000
"""Events whose sizes are looked at together when some of them have to go."""
_MAX_PENDING = 10_000
_MAX_PENDING_BYTES = 64 * 1024 * 1024
_LOG_FRAMES = 1000
"""Pages of the write-ahead log from which it is copied into the database. If nobody reads it, it then begins anew."""
_LOG_BYTES = 16 * 1024 * 1024
"""Size of the write-ahead log from which it is cut."""
_TIDY_MS = 200
"""How long writing may pause for readers that still need the log."""


class SqliteWriter:
    """The `StoreWriter` of a SQLite file."""

    def __init__(self, file: StoreFile, retention: Retention) -> None:
        self._file = file
        self._retention = retention
        self._cursor = file.open().cursor()
        self.next_receipt_id = self.next_request_id = self.next_visitor_pk = self.next_pending_pk = 1
        self._pending = 0
        self._pending_bytes: int = 0
        self._event_bytes: int = 0
        self._present_bytes: int = 0
        """Those of the versions that visitors have now."""
        self._truncate_at_bytes = _LOG_BYTES
        self._removal = Removal()
        self._keyframes: dict[int, Keyframe] = {}
        """Of the visitors in this transaction, by their pk."""
        self._counters_known = False
        try:
            with self.transaction():
                self._event_bytes, self._present_bytes = self._run(sql.SUM_EVENTS)[0]
                self._pending_bytes = self._run(sql.SUM_PENDING)[0][0]
        except StoreError as error:
            self.close()
            raise StoreError(f"{file.path} cannot be read: {error}") from None

    @property
    def any_pending(self) -> bool:
        """Whether any device is pending."""
        return self._pending > 0

    @property
    def waits_for_disk(self) -> bool:
        """Whether a commit waits until the disk has it. A temporary store does not."""
        return self._file.kept

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Commit what happens inside, or, if it raises, leave the store as it was."""
        self._begin()
        before = self._event_bytes, self._present_bytes, self._pending_bytes
        try:
            self._keyframes.clear()
            if not self._counters_known:
                self._read_counters()
            yield
            self._cursor.execute("COMMIT")
            self._file.committed()
        except BaseException as error:
            self._counters_known = False
            self._event_bytes, self._present_bytes, self._pending_bytes = before
            # Some errors (disk full, input/output) have ended the transaction already.
            with suppress(sqlite3.Error):
                self._cursor.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error | StoreLostError):
                raise _as_store_error(error) from error
            raise

    def _begin(self) -> None:
        try:
            self._file.check()
            self._cursor.execute("BEGIN IMMEDIATE")
        except StoreLostError as error:
            if not isinstance(error, TruncatedError):
                # The log that is open still has what was acknowledged, wherever its database is now. What another
                # file at the same path would make of it is damage.
                self._checkpoint("TRUNCATE")
            raise StoreBusyError(str(error)) from error
        except sqlite3.OperationalError as error:
            raise StoreBusyError(str(error)) from error
        except sqlite3.Error as error:
            raise StoreError(str(error)) from error

    def tidy(self) -> bool:
        """Bound the write-ahead log, and go on with the removal of accounts; return whether some of it is left."""
        self._bound_log()
        if not self._removes():
            return False
        try:
            with self._waiting_briefly(), self.transaction():
                self._remove_some()
        except StoreBusyError:
            return False
        except StoreError:
            # On a disk that is nearly full a smaller slice may pass, and others need what this one took of the log.
            self._removal.make_slices_smaller()
            self._checkpoint("TRUNCATE")
            return False
        return bool(self._removal.account_ids)

    def _removes(self) -> bool:
        """Whether accounts are being removed. On a disk that is nearly full that waits."""
        return bool(self._removal.account_ids) and self._file.has_room

    def _remove_some(self) -> None:
        # They may have been read again at the begin of the transaction.
        if not self._removal.account_ids:
            return
        removed = self._removal.delete_slice(self._cursor)
        self._receipts -= removed.receipts
        self._requests -= removed.requests
        self._body_bytes -= removed.body_bytes
        self._event_bytes -= removed.event_bytes
        self._present_bytes -= removed.present_bytes

    def _bound_log(self) -> None:
        """Copy the write-ahead log into the database if it has grown, and cut it if it is long all the same."""
        if self._file.log_frames < _LOG_FRAMES:
            return
        long = self._file.log_bytes >= self._truncate_at_bytes
        with suppress(StoreLostError):
            # A copy from or into a file that was cut would hide it.
            self._file.check()
            self._checkpoint("TRUNCATE" if long else "PASSIVE")
            self._file.committed()
        if long:
            # Readers that still need the log may keep it as it is; then the next try is worth a pause only later.
            self._truncate_at_bytes = max(_LOG_BYTES, self._file.log_bytes + _LOG_BYTES // 4)

    def _checkpoint(self, mode: str) -> None:
        """Copy the log into the database, as much of it as readers allow; TRUNCATE waits a moment for them."""
        with suppress(sqlite3.Error), self._waiting_briefly():
            self._cursor.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()

    @contextmanager
    def _waiting_briefly(self) -> Generator[None]:
        """Wait only a moment for others that use the database: clients wait for the writer."""
        self._cursor.execute(f"PRAGMA busy_timeout = {_TIDY_MS}").fetchall()
        try:
            yield
        finally:
            self._cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}").fetchall()

    def close(self) -> None:
        """Close the connection and the file."""
        self._file.close()

    def account_id(self, name: str) -> int:
        """Return the id of the account *name*, made on first use."""
        known = self._account_ids.get(name)
        if known is None:
            known = max((*self._account_ids.values(), *self._removal.account_ids), default=0) + 1
            self._run(table_sql.INSERT_ACCOUNTS, known, name, 0, 0, 0)
            self._account_ids[name] = known
        return known

    def visitors(self, names: Iterable[Name], limit: int) -> list[Visitor]:
        """Return the visitors that have any of *names*: for each name the *limit* oldest ones."""
        digests = json_text([name_digest(name) for name in names])
        rows = {row[0]: row for row in self._run(sql.SELECT_VISITORS, limit, digests)}
        loaded = [visitor_of(row) for row in rows.values()]
        self._keyframes.update((visitor.pk, keyframe) for visitor, keyframe in loaded)
        return [visitor for visitor, _ in loaded]

    def pending(self, names: Iterable[Name]) -> list[PendingDevice]:
        """Return the devices that are pending for a visitor with any of *names*, the oldest first."""
        rows = self._run(sql.SELECT_PENDING, json_text([name_digest(name) for name in names]))
        return [pending_of(row) for row in rows]

    def originals(self, ids: Sequence[DistinctId]) -> dict[DistinctId, Original]:
        """Return, for those of *ids* that were used before, the event that used them."""
        if not ids:
            return {}
        digests = {distinct_digest(id_.account_id, id_.value, test=id_.test): id_ for id_ in ids}
        rows = self._run(sql.SELECT_ORIGINALS, json_text(list(digests)))
        return {digests[row[0]]: original_of(row) for row in rows}

    def attempt_before(self, account_id: int, request: Request) -> AttemptBefore | None:
        """Return the attempt before *request*, a further one; None if it is not known."""
        since = self.next_request_id - _RECENT_REQUESTS
        rows = self._run(sql.SELECT_CALL, account_id, since, encoded(request.path), request.attempt - 1, request.body)
        return AttemptBefore(*rows[0]) if rows else None

    def save(self, exchanges: Sequence[Exchange], decision: Decision) -> None:
        """Write *exchanges* and what *decision* changed."""
        saved = [(exchange, receipt) for exchange in exchanges for receipt in exchange.receipts]
        self._write(table_sql.INSERT_REQUESTS, [request_row(exchange) for exchange in exchanges])
        receipts = [receipt_row(exchange, receipt) for exchange, receipt in saved]
        self._write(table_sql.INSERT_RECEIPTS, receipts)
        self._event_bytes += sum(len(content) + len(explanation) for *_, content, explanation in receipts)
        receipt_counts.add(self._cursor, map(counted, receipts))
        self._write(table_sql.INSERT_DISTINCT_IDS, list(distinct_rows(saved)))
        self._write(sql.UPDATE_REPEATS, [(count, receipt_id) for receipt_id, count in decision.repeats.items()])
        self._save_versions(decision.versions)
        self._save_visitors(decision.touched.values())
        self._save_pending(decision.pending)
        self.next_request_id += len(exchanges)
        self.next_receipt_id += len(saved)
        self._requests += len(exchanges)
        self._receipts += len(saved)
        self._body_bytes += sum(len(exchange.request.body) for exchange in exchanges)
        self._evict()

    def reset(self, account: str | None) -> Cleared:
        """Delete everything of *account*, or of all accounts if None, but the accounts themselves."""
        names = [name for name in self._account_ids if account in (None, name)]
        self._mark()
        cleared: list[Cleared] = []
        room = _CLEARED_AT_ONCE
        for name in names:
            of_account, rows = self._clear(name, room)
            cleared.append(of_account)
            room -= rows
        total = Cleared(
            account=account,
            visitors=sum(one.visitors for one in cleared),
            receipts=sum(one.receipts for one in cleared),
            requests=sum(one.requests for one in cleared),
        )
        self._recount_pending()
        return total

    def _mark(self) -> None:
        """Note the ids that are next: what had the ones before may be gone at the next start."""
        marks = (self.next_receipt_id, self.next_request_id, self.next_visitor_pk)
        self._write(table_sql.UPSERT_MARKS, list(zip(("receipt", "request", "visitor"), marks, strict=True)))

    def delete_account(self, account: str) -> Cleared:
        """Delete *account* and everything of it."""
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

    def _save_versions(self, versions: Sequence[Version]) -> None:
        rows: list[tuple[Any, ...]] = []
        for version in versions:
            keyframe = self._keyframes.setdefault(version.visitor_pk, Keyframe())
            self._present_bytes -= keyframe.latest
            rows.append(version_row(version, keyframe))
            self._present_bytes += keyframe.latest
        self._write(table_sql.INSERT_VISITOR_VERSIONS, rows)
        self._event_bytes += sum(len(content) for *_, content in rows)

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
        self._write(table_sql.UPSERT_VISITORS, rows)
        self._write(sql.DELETE_IDENTIFIERS, gone)
        self._write(table_sql.INSERT_IDENTIFIERS, new)

    def _save_pending(self, devices: PendingDevices) -> None:
        if not devices.changed and not devices.removed:
            return
        rows = [pending_row(pending) for pending in devices.changed.values()]
        self._write(table_sql.UPSERT_PENDING_DEVICES, rows)
        self._write(sql.DELETE_PENDING, [(pk,) for pk in devices.removed])
        # More than there are, as some were replaced or removed: a sum of all would be read each time.
        self._pending_bytes += sum(len(identity) + len(device) for *_, identity, device in rows)
        self._pending = self._run(sql.COUNT_PENDING)[0][0]
        if self._pending > _MAX_PENDING or self._pending_bytes > _MAX_PENDING_BYTES:
            self._run(sql.EVICT_PENDING, _MAX_PENDING, _MAX_PENDING_BYTES)
            self._recount_pending()
        self.next_pending_pk = max(self.next_pending_pk, *(pk + 1 for pk in (*devices.changed, *devices.removed)))

    def _recount_pending(self) -> None:
        self._pending = self._run(sql.COUNT_PENDING)[0][0]
        self._pending_bytes = self._run(sql.SUM_PENDING)[0][0]

    def _evict(self) -> None:
        """Delete the oldest rows over the limits and count them for their accounts (evicted).

        Several rows at a time: one by one they would take as long as everything else that is written.
        """
        if self._removes():
            # What is being removed still counts, and the rows of others must not have to go for it.
            return
        limit = self._retention.rows
        slack = limit // _ROWS_PER_SLACK
        if self._receipts > limit + slack:
            self._evict_receipts(self._receipts - limit)
        if self._event_bytes - self._present_bytes > self._retention.event_bytes:
            self._evict_event_bytes()
        if self._requests > limit + slack:
            self._evict_requests(self._requests - limit)
        while self._body_bytes > self._retention.body_bytes and self._counters_known:
            self._evict_requests(1)

    def _evict_event_bytes(self) -> None:
        """Delete the oldest events over the limit, and some more. What a visitor is now stays, and is not counted."""
        limit = self._retention.event_bytes
        limit -= limit // _BYTES_PER_SLACK
        while (excess := self._event_bytes - self._present_bytes - limit) > 0:
            sizes = accumulate(row[0] for row in self._run(sql.SELECT_OLDEST_SIZES, _OLDEST))
            count = sum(1 for size in sizes if size < excess) + 1
            if not self._evict_receipts(count):
                return

    def _evict_receipts(self, count: int) -> int:
        """Delete the *count* oldest events, and the versions that only they refer to; return how many there were."""
        rows = self._run(sql.EVICT_RECEIPTS, count)
        self._receipts -= len(rows)
        counts = Counter(row[0] for row in rows)
        last_ids = {row[0]: row[5] for row in sorted(rows, key=itemgetter(5))}
        evicted = [(count, last_ids[account_id], account_id) for account_id, count in counts.items()]
        self._write(sql.COUNT_EVICTED_RECEIPTS, evicted)
        self._mark()
        receipt_counts.subtract(self._cursor, Counter(receipt_counts.count_key(*row[:5]) for row in rows))
        visitors = json_text(list({row[6] for row in rows if row[6] is not None}))
        versions = self._run(sql.EVICT_VERSIONS, visitors)
        self._event_bytes -= sum(row[7] for row in rows) + sum(row[0] for row in versions)
        return len(rows)

    def _evict_requests(self, count: int) -> None:
        rows = self._run(sql.EVICT_REQUESTS, count)
        self._requests -= len(rows)
        self._body_bytes -= sum(row[1] for row in rows)
        counts = Counter(row[0] for row in rows)
        self._write(sql.COUNT_EVICTED_REQUESTS, [(count, account_id) for account_id, count in counts.items()])
        self._mark()
        # Fewer than were counted: count again.
        self._counters_known = len(rows) == count

    def _clear(self, account: str, room: int) -> tuple[Cleared, int]:
        """Delete everything of *account*, or, if that is more than *room* rows of a kind, have it removed in slices.

        Return what it had, and how many rows of a kind were deleted at once.
        """
        account_id = self._account_ids[account]
        visitors, requests, receipts = (
            self._run(statement, account_id)[0][0]
            for statement in (sql.COUNT_VISITORS_OF, sql.COUNT_REQUESTS_OF, sql.COUNT_RECEIPTS_OF)
        )
        # These outlive their receipts.
        distinct_ids = self._run(sql.COUNT_SOME_DISTINCT_IDS, *digest_range(account_id), room + 1)[0][0]
        rows = max(visitors, requests, receipts, distinct_ids)
        self._run(sql.CLEAR_PENDING, account_id)
        self._run(sql.CLEAR_COUNTS, account_id)
        if rows > room:
            self._begin_removal(account)
        else:
            self._delete_rows(account_id)
            self._receipts -= receipts
            self._requests -= requests
        cleared = Cleared(account=account, visitors=visitors, receipts=receipts, requests=requests)
        return cleared, 0 if rows > room else rows

    def _begin_removal(self, account: str) -> None:
        """Give the name *account* to a new, empty account; what had it is removed in slices."""
        account_id = self._account_ids.pop(account)
        self._run(sql.RENAME_ACCOUNT, name_of(account_id), account_id)
        self._removal.account_ids.append(account_id)
        self.account_id(account)

    def _delete_rows(self, account_id: int) -> None:
        # Counting all that is left would take longer the more others have.
        self._body_bytes -= self._run(sql.SUM_BODIES, account_id)[0][0]
        event_bytes, present_bytes = self._run(sql.SUM_EVENTS_OF, account_id)[0]
        self._event_bytes -= event_bytes
        self._present_bytes -= present_bytes
        for statement in (sql.CLEAR_IDENTIFIERS, sql.CLEAR_DISTINCT_IDS):
            self._run(statement, *digest_range(account_id))
        for statement in (
            sql.CLEAR_EVICTED,
            sql.CLEAR_VERSIONS,
            sql.CLEAR_VISITORS,
            sql.CLEAR_RECEIPTS,
            sql.CLEAR_REQUESTS,
        ):
            self._run(statement, account_id)

    def _read_counters(self) -> None:
        """Take over what the database has. Ids only ever grow."""
        rows = self._run(sql.SELECT_ACCOUNTS)
        self._account_ids = {name: id_ for name, id_ in rows if not name.startswith(PREFIX)}
        self._removal.account_ids = [id_ for name, id_ in rows if name.startswith(PREFIX)]
        count = self._run(sql.SELECT_COUNTERS)[0]
        self._receipts, self._requests, self._body_bytes = count[0], count[1], count[2] or 0
        marks = dict(self._run(sql.SELECT_MARKS))
        self.next_receipt_id = max(self.next_receipt_id, marks.get("receipt", 1))
        self.next_request_id = max(self.next_request_id, marks.get("request", 1))
        self.next_visitor_pk = max(self.next_visitor_pk, marks.get("visitor", 1))
        # Distinct ids outlive the receipts they name, and must never come to name another one.
        self.next_receipt_id = max(self.next_receipt_id, count[3] + 1)
        self.next_request_id = max(self.next_request_id, count[4] + 1)
        self.next_visitor_pk = max(self.next_visitor_pk, (count[5] or 0) + 1)
        self._pending = count[6]
        self.next_pending_pk = max(self.next_pending_pk, (count[7] or 0) + 1)
        self._counters_known = True


def _as_store_error(error: sqlite3.Error | StoreLostError) -> StoreError:
    """Return what the caller of a transaction that failed with *error* is told."""
    if isinstance(error, StoreLostError):
        return StoreBusyError(str(error))
    return (StoreFailedError if isinstance(error, sqlite3.OperationalError) else StoreError)(str(error))
