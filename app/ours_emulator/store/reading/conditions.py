"""Which rows are read: the conditions of accounts and filters."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import sqlalchemy as sa

from ours_emulator.decide.identity import Name
from ours_emulator.model import Identifier
from ours_emulator.store import LARGEST, EventFilter
from ours_emulator.store.encoding import REMOVED, distinct_digest, encoded, name_digest
from ours_emulator.store.reading.comparisons import Condition, among, is_name
from ours_emulator.store.reading.dialect import Dialect
from ours_emulator.store.tables import accounts, distinct_ids, identifiers, receipt_counts, receipts, requests

LAST_RECEIPT = requests.c.first_receipt + requests.c.receipt_count - 1


class Covered(Protocol):
    """The ids of the accounts that are looked at, in a database of this dialect."""

    @property
    def ids(self) -> Sequence[int]:
        """The ids."""
        ...

    @property
    def dialect(self) -> Dialect:
        """The dialect."""
        ...


def account_is(account: str | None) -> Condition:
    """Match the row of *account*, or those of all accounts that are not being removed."""
    return accounts.c.name.not_like(f"{REMOVED}%") if account is None else accounts.c.name == account


def equal(table: sa.Table, **values: object) -> list[Condition]:
    """Match columns of *table* that have these *values*; None matches any."""
    return [table.c[name] == value for name, value in values.items() if value is not None]


def event_conditions(covered: Covered, which: EventFilter, *, by_index: bool = True) -> list[Condition]:
    """Match the events of accounts that *which* asks for, without the index of accounts if another is better."""
    ids, dialect = covered.ids, covered.dialect
    where: list[Condition] = []
    # A visitor and a held distinct id belong to an account already; naming it too would lead away from their index.
    if which.visitor_id is not None:
        where.append(_is_about(covered, which.visitor_id, which.also_named))
    elif which.distinct_id is not None and which.outcome == "accepted":
        where.append(receipts.c.id.in_(_holders(ids, which.distinct_id)))
    else:
        # SQLite does not look for an expression in an index.
        by_index = (by_index or which.event is not None) and (which.ids, which.request_id) == (None, None)
        where.append(among(receipts.c.account_id if by_index else receipts.c.account_id + 0, ids))
    if which.ids is not None:
        where.append(among(receipts.c.id, which.ids))
    if which.request_id is not None:
        where += [receipts.c.request_id == which.request_id, _receipt_ids(which.request_id)]
    if which.event is not None:
        where.append(is_name(receipts.c.event, encoded(which.event)))
    if which.distinct_id is not None:
        where.append(receipts.c.distinct_id == encoded(which.distinct_id))
    where += equal(receipts, endpoint=which.endpoint, outcome=which.outcome, test=which.test)
    if which.named:
        where.append(receipts.c.event.is_not(None))
    if which.since is not None:
        where.append(receipts.c.received_at >= which.since)
    if which.hint is not None:
        where.append(dialect.has_hint(which.hint))
    if which.reason is not None:
        where.append(dialect.has_reason(which.reason))
    return where + [dialect.property_is(path, text) for path, text in which.properties.items()]


def _is_about(covered: Covered, visitor_id: str, also_named: Mapping[str, str]) -> Condition:
    """Match the receipts of a visitor, and those of no visitor that gave an identifier of *also_named*."""
    ids = covered.ids
    of_visitor = receipts.c.visitor_pk.in_(pks_named(ids, "user_id", visitor_id))
    if not also_named:
        return of_visitor
    # These have a place of their own in the index of visitors.
    of_none = sa.and_(receipts.c.visitor_pk.is_(None), among(receipts.c.account_id + 0, ids))
    return sa.or_(of_visitor, sa.and_(of_none, covered.dialect.gave_identifier(also_named)))


def _receipt_ids(request_id: int) -> Condition:
    """Match the ids of the receipts of a request, as far as the journal still has it: no index has their request."""
    of_request = sa.select(requests.c.first_receipt, LAST_RECEIPT).where(requests.c.id == request_id)
    first, last = (of_request.with_only_columns(column).scalar_subquery() for column in of_request.selected_columns)
    return receipts.c.id.between(sa.func.coalesce(first, 0), sa.func.coalesce(last, LARGEST))


def _holders(ids: Sequence[int], distinct_id: str) -> sa.Select[tuple[int]]:
    digests = [distinct_digest(account_id, distinct_id, test=test) for account_id in ids for test in (False, True)]
    return sa.select(distinct_ids.c.receipt_id).where(among(distinct_ids.c.digest, digests))


def pks_named(ids: Sequence[int], kind: Identifier, value: str) -> sa.Select[tuple[int]]:
    """Select the pks of the visitors of accounts that have the identifier *value*."""
    names: list[Name] = [(account_id, kind, value) for account_id in ids]
    digests = [name_digest(name) for name in names]
    return sa.select(identifiers.c.visitor_pk).where(among(identifiers.c.digest, digests))


def is_counted(which: EventFilter) -> bool:
    """Whether *which* asks only for what receipts are counted by."""
    ids = (which.visitor_id, which.distinct_id, which.request_id, which.ids)
    others = (*ids, which.since, which.hint, which.reason)
    return others == (None,) * len(others) and not which.properties


def count_conditions(which: EventFilter) -> list[Condition]:
    """Match the counts of the receipts that *which* asks for."""
    event = None if which.event is None else f'"{encoded(which.event)}"'
    where = equal(receipt_counts, event=event, endpoint=which.endpoint, outcome=which.outcome, test=which.test)
    return [*where, receipt_counts.c.event != "null"] if which.named else where


def attempts_of(call_ids: Sequence[int]) -> Condition:
    """Match the first attempt of each call, and the further ones, which have an index of their own."""
    further = sa.and_(requests.c.attempt > 1, among(requests.c.call_id, call_ids))
    return sa.or_(among(requests.c.id, call_ids), further)
