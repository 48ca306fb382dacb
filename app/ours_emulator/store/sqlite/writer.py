"""What the pipeline asks of the store: load what a group of requests mentions, save what became of it."""

import sqlite3
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any

from ours_emulator.decide.decision import Decision
from ours_emulator.decide.deduplication import DistinctId, Original
from ours_emulator.decide.devices import PendingDevice, PendingDevices
from ours_emulator.decide.identity import KnownVisitor, Name
from ours_emulator.decide.retries import AttemptBefore
from ours_emulator.jsontext import json_text
from ours_emulator.model import Exchange, Request, Version
from ours_emulator.records import Cleared
from ours_emulator.store import Retention, StoreBusyError, StoreError, StoreLostError
from ours_emulator.store.encoding import distinct_digest, encoded, name_digest
from ours_emulator.store.sqlite import receipt_counts, table_sql
from ours_emulator.store.sqlite import statements as sql
from ours_emulator.store.sqlite.eviction import Eviction
from ours_emulator.store.sqlite.file import StoreFile
from ours_emulator.store.sqlite.removal import Removal
from ours_emulator.store.sqlite.rows import (
    body_bytes,
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
from ours_emulator.store.sqlite.stored_accounts import StoredAccounts
from ours_emulator.store.sqlite.totals import Totals, values_of
from ours_emulator.store.sqlite.writing_connection import WritingConnection, as_store_error
from ours_emulator.store.versions import Keyframe

_RECENT_REQUESTS = 10_000


class SqliteWriter:
    """The `StoreWriter` of a SQLite file."""

    def __init__(self, file: StoreFile, retention: Retention) -> None:
        self._file = file
        self._connection = WritingConnection(file)
        self._run, self._write = self._connection.run, self._connection.write
        self._totals = Totals()
        self._removal = Removal(self._totals)
        self._accounts = StoredAccounts(self._connection, self._removal)
        self._eviction = Eviction(self._connection, retention, self._totals)
        self.next_receipt_id = self.next_request_id = self.next_visitor_pk = self.next_pending_pk = 1
        self._keyframes: dict[int, Keyframe] = {}
        """Of the visitors in this transaction, by their pk."""
        try:
            with self.transaction():
                self._totals.event_bytes, self._totals.present_bytes = self._run(sql.SUM_EVENTS)[0]
                self._totals.pending_bytes = self._run(sql.SUM_PENDING)[0][0]
        except StoreError as error:
            self.close()
            raise StoreError(f"{file.path} cannot be read: {error}") from None

    @property
    def any_pending(self) -> bool:
        """Whether any device is pending."""
        return self._totals.pending > 0

    @property
    def waits_for_disk(self) -> bool:
        """Whether a commit waits until the disk has it. A temporary store does not."""
        return self._file.kept

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Commit what happens inside, or, if it raises, leave the store as it was."""
        self._connection.begin()
        before = values_of(self._totals)
        try:
            self._keyframes.clear()
            if not self._totals.known:
                self._read_counters()
            yield
            self._connection.commit()
        except BaseException as error:
            self._totals.restore(before)
            self._connection.roll_back()
            if isinstance(error, sqlite3.Error | StoreLostError):
                raise as_store_error(error) from error
            raise

    def tidy(self) -> bool:
        """Bound the write-ahead log, and go on with the removal of accounts; return whether some of it is left."""
        self._connection.log.bound()
        if not self._removes():
            return False
        try:
            with self._connection.log.waiting_briefly(), self.transaction():
                self._removal.delete_slice(self._connection.cursor)
        except StoreBusyError:
            return False
        except StoreError:
            # On a disk that is nearly full a smaller slice may pass, and others need what this one took of the log.
            self._removal.make_slices_smaller()
            self._connection.log.cut()
            return False
        return bool(self._removal.account_ids)

    def _removes(self) -> bool:
        """Whether accounts are being removed. On a disk that is nearly full that waits."""
        return bool(self._removal.account_ids) and self._file.has_room

    def close(self) -> None:
        """Close the connection and the file."""
        self._file.close()

    def account_id(self, name: str) -> int:
        """Return the id of the account *name*, made on first use."""
        known = self._accounts.ids.get(name)
        return self._accounts.add(name) if known is None else known

    def visitors(self, names: Iterable[Name], limit: int) -> list[KnownVisitor]:
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
        requests = [request_row(exchange) for exchange in exchanges]
        self._write(table_sql.INSERT_REQUESTS, requests)
        receipts = [receipt_row(exchange, receipt) for exchange, receipt in saved]
        self._write(table_sql.INSERT_RECEIPTS, receipts)
        self._totals.event_bytes += sum(len(content) + len(explanation) for *_, content, explanation in receipts)
        receipt_counts.add(self._connection.cursor, map(counted, receipts))
        self._write(table_sql.INSERT_DISTINCT_IDS, list(distinct_rows(saved)))
        self._write(sql.UPDATE_REPEATS, [(count, receipt_id) for receipt_id, count in decision.repeats.items()])
        self._save_versions(decision.versions)
        self._save_visitors(decision.touched.values())
        if decision.pending.changed or decision.pending.removed:
            self._save_pending(decision.pending)
        self.next_request_id += len(exchanges)
        self.next_receipt_id += len(saved)
        self._totals.requests += len(exchanges)
        self._totals.receipts += len(saved)
        self._totals.body_bytes += sum(map(body_bytes, requests))
        # What is being removed still counts, and the rows of others must not have to go for it.
        if not self._removes() and self._eviction.evict():
            self._mark()

    def reset(self, account: str | None) -> Cleared:
        """Delete everything of *account*, or of all accounts if None, but the accounts themselves."""
        cleared = [self._accounts.clear(name) for name in list(self._accounts.ids) if account in (None, name)]
        self._remove_some()
        return Cleared(
            account=account,
            visitors=sum(one.visitors for one in cleared),
            receipts=sum(one.receipts for one in cleared),
            requests=sum(one.requests for one in cleared),
        )

    def delete_account(self, account: str) -> Cleared:
        """Delete *account* and everything of it."""
        if account not in self._accounts.ids:
            return Cleared(account=account, visitors=0, receipts=0, requests=0)
        cleared = self._accounts.delete(account)
        self._remove_some()
        return cleared

    def _remove_some(self) -> None:
        """Delete what small accounts had at once; of large ones, as much as a slice takes."""
        self._mark()
        self._eviction.recount_pending()
        if self._removes():
            self._removal.delete_slice(self._connection.cursor)

    def _mark(self) -> None:
        """Note the ids that are next: what had the ones before may be gone at the next start."""
        marks = (self.next_receipt_id, self.next_request_id, self.next_visitor_pk)
        self._write(table_sql.UPSERT_MARKS, list(zip(("receipt", "request", "visitor"), marks, strict=True)))

    def is_empty(self) -> bool:
        """Whether nothing was ever stored."""
        return self.next_request_id == 1

    def _save_versions(self, versions: Sequence[Version]) -> None:
        rows: list[tuple[Any, ...]] = []
        for version in versions:
            keyframe = self._keyframes.setdefault(version.visitor_pk, Keyframe())
            self._totals.present_bytes -= keyframe.latest
            rows.append(version_row(version, keyframe))
            self._totals.present_bytes += keyframe.latest
        self._write(table_sql.INSERT_VISITOR_VERSIONS, rows)
        self._totals.event_bytes += sum(len(content) for *_, content in rows)

    def _save_visitors(self, touched: Iterable[KnownVisitor]) -> None:
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
        rows = [pending_row(pending) for pending in devices.changed.values()]
        self._write(table_sql.UPSERT_PENDING_DEVICES, rows)
        self._write(sql.DELETE_PENDING, [(pk,) for pk in devices.removed])
        # More than there are, as some were replaced or removed: a sum of all would be read each time.
        self._totals.pending_bytes += sum(len(identity) + len(device) for *_, identity, device in rows)
        self._totals.pending = self._run(sql.COUNT_PENDING)[0][0]
        self._eviction.evict_pending()
        self.next_pending_pk = max(self.next_pending_pk, *(pk + 1 for pk in (*devices.changed, *devices.removed)))

    def _read_counters(self) -> None:
        """Take over what the database has. Ids only ever grow."""
        self._accounts.read()
        count = self._run(sql.SELECT_COUNTERS)[0]
        self._totals.receipts, self._totals.requests, self._totals.body_bytes = count[0], count[1], count[2] or 0
        marks = dict(self._run(sql.SELECT_MARKS))
        self.next_receipt_id = max(self.next_receipt_id, marks.get("receipt", 1))
        self.next_request_id = max(self.next_request_id, marks.get("request", 1))
        self.next_visitor_pk = max(self.next_visitor_pk, marks.get("visitor", 1))
        # Distinct ids outlive the receipts they name, and must never come to name another one.
        self.next_receipt_id = max(self.next_receipt_id, count[3] + 1)
        self.next_request_id = max(self.next_request_id, count[4] + 1)
        self.next_visitor_pk = max(self.next_visitor_pk, (count[5] or 0) + 1)
        self._totals.pending = count[6]
        self.next_pending_pk = max(self.next_pending_pk, (count[7] or 0) + 1)
        self._totals.known = True
