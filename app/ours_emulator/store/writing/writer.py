"""What the pipeline asks of the store: load what a group of requests mentions, save what became of it."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ours_emulator.decide.decision import Decision
from ours_emulator.decide.deduplication import DistinctId, Original
from ours_emulator.decide.devices import PendingDevice, PendingDevices
from ours_emulator.decide.identity import KnownVisitor, Name
from ours_emulator.decide.retries import AttemptBefore, FailedAttempt, Key
from ours_emulator.jsontext import json_text
from ours_emulator.model import Exchange, Request, Version
from ours_emulator.records import Cleared
from ours_emulator.store import Retention, StoreBusyError, StoreError
from ours_emulator.store.encoding import distinct_digest, encoded, name_digest
from ours_emulator.store.versions import Keyframe
from ours_emulator.store.writing import receipt_counts, table_sql
from ours_emulator.store.writing import statements as sql
from ours_emulator.store.writing.counters import Counters, values_of
from ours_emulator.store.writing.database import Database
from ours_emulator.store.writing.eviction import Eviction
from ours_emulator.store.writing.recent_visitors import RecentVisitors
from ours_emulator.store.writing.removal import Removal
from ours_emulator.store.writing.rows import (
    body_bytes,
    counted,
    distinct_rows,
    failed_attempt_columns,
    failed_attempt_of,
    note_saved,
    original_of,
    pending_of,
    pending_row,
    receipt_row,
    request_row,
    version_row,
    visitor_of,
    visitor_row,
)
from ours_emulator.store.writing.stored_accounts import StoredAccounts

_RECENT_REQUESTS = 10_000


class SqlWriter(ABC):
    """The `StoreWriter` of a database. What is not the same in all of them is the database's or abstract here."""

    select_visitors = sql.SELECT_VISITORS

    def __init__(self, database: Database, retention: Retention) -> None:
        self._database = database
        self._run, self._write = database.run, database.write
        self._counters = Counters()
        self._removal = Removal(self._counters)
        self._accounts = StoredAccounts(database, self._removal, self._counters)
        self._eviction = Eviction(database, retention, self._counters)
        self._keyframes: dict[int, Keyframe] = {}
        """Of the visitors in this transaction, by their pk."""
        self._recent = RecentVisitors()
        try:
            with self.transaction():
                self._opened()
        except StoreError as error:
            self.close()
            raise StoreError(f"{database.name} cannot be read: {error}") from None

    @abstractmethod
    def _opened(self) -> None:
        """Take over what is read once, in the first transaction."""

    @abstractmethod
    def _load_counters(self) -> None:
        """Take over what the database has, at the start of a transaction, as far as it is not known."""

    @abstractmethod
    def _save_counters(self) -> None:
        """Write the counters at the end of a transaction, unless they can be counted."""

    @property
    def next_receipt_id(self) -> int:
        """The id of the next receipt."""
        return self._counters.next_receipt_id

    @property
    def next_request_id(self) -> int:
        """The id of the next request."""
        return self._counters.next_request_id

    @property
    def next_visitor_pk(self) -> int:
        """The pk of the next visitor."""
        return self._counters.next_visitor_pk

    @property
    def next_pending_pk(self) -> int:
        """The pk of the next pending device."""
        return self._counters.next_pending_pk

    @property
    def any_pending(self) -> bool:
        """Whether any device is pending."""
        return self._counters.pending > 0

    @property
    def any_failed_attempts(self) -> bool:
        """Whether any call failed in its latest attempt."""
        return self._counters.failed_attempts > 0

    @property
    def waits_for_disk(self) -> bool:
        """Whether a commit waits until a disk has it."""
        return self._database.waits_for_disk

    def _begin(self) -> None:
        """Begin a transaction."""
        self._database.begin()

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Commit what happens inside, or, if it raises, leave the store as it was."""
        self._begin()
        before = values_of(self._counters)
        try:
            self._keyframes.clear()
            self._load_counters()
            yield
            self._save_counters()
            self._database.commit()
        except BaseException as error:
            self._counters.restore(before)
            self._recent.clear()
            self._database.roll_back()
            reason = self._database.as_store_error(error)
            if reason is None:
                raise
            raise reason from error

    def tidy(self) -> bool:
        """Go on with the removal of accounts, and return whether some of it is left."""
        self._database.tidy()
        if not self._removes():
            return False
        try:
            with self._database.waiting_briefly(), self.transaction():
                self._removal.delete_slice(self._database)
        except StoreBusyError:
            return False
        except StoreError:
            # On a disk that is nearly full a smaller slice may pass, and others need what this one took.
            self._removal.make_slices_smaller()
            self._database.make_room()
            return False
        return bool(self._removal.account_ids)

    def _removes(self) -> bool:
        """Whether accounts are being removed. On a disk that is nearly full that waits."""
        return bool(self._removal.account_ids) and self._database.has_room

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def account_id(self, name: str) -> int:
        """Return the id of the account *name*, made on first use."""
        known = self._accounts.ids.get(name)
        return self._accounts.add(name) if known is None else known

    def visitors(self, names: Iterable[Name], limit: int) -> list[KnownVisitor]:
        """Return the visitors that have any of *names*: for each name the *limit* oldest ones, two or more."""
        visitors, unknown = self._recent.find(names)
        if unknown:
            digests = json_text([name_digest(name) for name in unknown])
            rows = {row[0]: row for row in self._run(self.select_visitors, max(limit, 2), digests)}
            loaded = [visitor_of(row) for row in rows.values()]
            self._recent.note_loaded(unknown, [visitor for visitor, _ in loaded])
            visitors = {visitor.pk: (visitor, keyframe) for visitor, keyframe in loaded} | visitors
        self._keyframes.update((pk, keyframe) for pk, (_, keyframe) in visitors.items())
        return [visitor for visitor, _ in visitors.values()]

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

    def failed_attempts(self, keys: Iterable[Key]) -> dict[Key, FailedAttempt]:
        """Return, for those of *keys* whose calls failed in their latest attempt, that attempt."""
        texts = {self._key_text(key): key for key in keys}
        rows = self._run(sql.SELECT_FAILED_ATTEMPTS, json_text(list(texts)))
        return {texts[text]: failed_attempt_of(row) for text, *row in rows}

    def save_failed_attempts(self, changed: Mapping[Key, FailedAttempt | None]) -> None:
        """Save the latest attempts of calls that failed; None for those that did not. Very old ones are forgotten."""
        succeeded = [(self._key_text(key),) for key, failed in changed.items() if failed is None]
        self._write(sql.DELETE_FAILED_ATTEMPTS, succeeded)
        failures = [(key, failed) for key, failed in changed.items() if failed is not None]
        rows = [
            (self._key_text(key), self.account_id(key[0]), *failed_attempt_columns(failed)) for key, failed in failures
        ]
        self._write(table_sql.UPSERT_FAILED_ATTEMPTS, rows)
        self._eviction.evict_failed_attempts()

    def _key_text(self, key: Key) -> str:
        name, endpoint, digest = key
        return f"{self.account_id(name)}:{endpoint}:{digest}"

    def save(self, exchanges: Sequence[Exchange], decision: Decision) -> None:
        """Write *exchanges* and what *decision* changed."""
        saved = [(exchange, receipt) for exchange in exchanges for receipt in exchange.receipts]
        requests = [request_row(exchange) for exchange in exchanges]
        self._write(table_sql.INSERT_REQUESTS, requests)
        receipts = [receipt_row(exchange, receipt) for exchange, receipt in saved]
        self._write(table_sql.INSERT_RECEIPTS, receipts)
        self._counters.event_bytes += sum(len(content) + len(explanation) for *_, content, explanation in receipts)
        receipt_counts.add(self._database, map(counted, receipts))
        self._write(table_sql.INSERT_DISTINCT_IDS, list(distinct_rows(saved)))
        self._write(sql.UPDATE_REPEATS, [(count, receipt_id) for receipt_id, count in decision.repeats.items()])
        self._save_versions(decision.versions)
        self._save_visitors(decision.touched.values())
        if decision.pending.changed or decision.pending.removed:
            self._save_pending(decision.pending)
        self._counters.next_request_id += len(exchanges)
        self._counters.next_receipt_id += len(saved)
        self._counters.requests += len(exchanges)
        self._counters.receipts += len(saved)
        self._counters.body_bytes += sum(map(body_bytes, requests))
        # What is being removed still counts, and the rows of others must not have to go for it.
        if not self._removes() and self._eviction.evict():
            self._mark()

    def reset(self, account: str | None) -> Cleared:
        """Delete everything of *account*, or of all accounts if None, but the accounts themselves."""
        self._recent.clear()
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
        self._recent.clear()
        cleared = self._accounts.delete(account)
        self._remove_some()
        return cleared

    def _remove_some(self) -> None:
        """Delete what small accounts had at once; of large ones, as much as a slice takes."""
        self._mark()
        self._eviction.recount_pending()
        self._eviction.recount_failed_attempts()
        if self._removes():
            self._removal.delete_slice(self._database)

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
            self._counters.present_bytes -= keyframe.latest
            rows.append(version_row(version, keyframe))
            self._counters.present_bytes += keyframe.latest
        self._write(table_sql.INSERT_VISITOR_VERSIONS, rows)
        self._counters.event_bytes += sum(len(content) for *_, content in rows)

    def _save_visitors(self, touched: Collection[KnownVisitor]) -> None:
        gone: list[tuple[Name, int]] = []
        new: list[tuple[Name, int]] = []
        rows: list[tuple[Any, ...]] = []
        for visitor in touched:
            rows.append(visitor_row(visitor))
            if visitor.names_changed:
                names, before = set(visitor.names()), set(visitor.stored_names)
                gone += [(name, visitor.pk) for name in before - names]
                new += [(name, visitor.pk) for name in names - before]
            self._counters.next_visitor_pk = max(self.next_visitor_pk, visitor.pk + 1)
        self._write(table_sql.UPSERT_VISITORS, rows)
        self._write(sql.DELETE_IDENTIFIERS, [(name_digest(name), pk) for name, pk in gone])
        self._write(table_sql.INSERT_IDENTIFIERS, [(name_digest(name), pk) for name, pk in new])
        recent = [(visitor, self._keyframes[visitor.pk]) for visitor in touched]
        for visitor, keyframe in recent:
            note_saved(visitor, keyframe)
        self._recent.keep(recent, {name for name, _ in (*gone, *new)})

    def _save_pending(self, devices: PendingDevices) -> None:
        rows = [pending_row(pending) for pending in devices.changed.values()]
        self._write(table_sql.UPSERT_PENDING_DEVICES, rows)
        self._write(sql.DELETE_PENDING, [(pk,) for pk in devices.removed])
        # More than there are, as some were replaced or removed: a sum of all would be read each time.
        self._counters.pending_bytes += sum(len(identity) + len(device) for *_, identity, device in rows)
        self._counters.pending = self._run(sql.COUNT_PENDING)[0][0]
        self._eviction.evict_pending()
        self._counters.next_pending_pk = max(
            self.next_pending_pk, *(pk + 1 for pk in (*devices.changed, *devices.removed))
        )

    def _count(self) -> None:
        """Count what the database has. Ids only ever grow."""
        self._accounts.read()
        counted = [number or 0 for number in self._run(sql.SELECT_COUNTERS)[0]]
        marks = {"receipt": 1, "request": 1, "visitor": 1} | dict(self._run(sql.SELECT_MARKS))
        counters = self._counters
        counters.receipts, counters.requests, counters.body_bytes = counted[:3]
        # Distinct ids outlive the receipts they name, and must never come to name another one.
        last_receipt, last_request, last_visitor = max(counted[3:6]), max(counted[6:8]), counted[8]
        counters.next_receipt_id = max(self.next_receipt_id, marks["receipt"], last_receipt + 1)
        counters.next_request_id = max(self.next_request_id, marks["request"], last_request + 1)
        counters.next_visitor_pk = max(self.next_visitor_pk, marks["visitor"], last_visitor + 1)
        counters.pending = counted[9]
        counters.next_pending_pk = max(self.next_pending_pk, counted[10] + 1)
        counters.failed_attempts = counted[11]
        counters.known = True
