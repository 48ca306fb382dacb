"""What is selected for each kind of record, and what makes the record of a row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from ours_emulator.store.reading.decode import Row, event_record, request_record, version_record, visitor_record
from ours_emulator.store.reading.state_columns import STATE_COLUMNS, base, version
from ours_emulator.store.tables import accounts, receipt_counts, receipts, requests, visitors

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Selection(Generic[R]):
    """What is selected of a table and others for a kind of record, and what makes the record of a row.

    A list has the largest `key` first. `evicted` is the column of `accounts` that counts those no longer there.
    """

    table: sa.Table
    key: Sequence[sa.Column[Any]]
    selected: sa.Select[Any]
    record: Callable[[Row], R]
    evicted: str | None = None

    @property
    def latest_first(self) -> Sequence[sa.ColumnElement[Any]]:
        """The order of a list."""
        return [column.desc() for column in self.key]


def _with_state(source: sa.FromClause, *columns: sa.Column[Any]) -> sa.Select[Any]:
    return sa.select(*columns, _account, *STATE_COLUMNS).select_from(source)


_account = accounts.c.name.label("account")
FROM_RECEIPTS = (
    receipts.join(accounts, accounts.c.id == receipts.c.account_id)
    .outerjoin(visitors, visitors.c.pk == receipts.c.visitor_pk)
    .outerjoin(version, version.c.id == receipts.c.version_id)
    .outerjoin(base, base.c.id == version.c.base_id)
)
FROM_VISITORS = (
    visitors.join(accounts, accounts.c.id == visitors.c.account_id)
    .join(version, version.c.id == visitors.c.version_id)
    .outerjoin(base, base.c.id == version.c.base_id)
)
VISITORS = Selection(
    visitors,
    [visitors.c.pk],
    _with_state(FROM_VISITORS, *visitors.columns),
    visitor_record,
)
VERSIONS = Selection(
    receipts,
    [version.c.id],
    _with_state(FROM_RECEIPTS, version.c.id, visitors.c.visitor_id),
    version_record,
)
EVENTS = Selection(
    receipts,
    [receipts.c.time, receipts.c.id],
    _with_state(FROM_RECEIPTS, *receipts.columns, visitors.c.visitor_id),
    event_record,
    "evicted_receipts",
)
EVENTS_BY_ARRIVAL = replace(EVENTS, key=[receipts.c.id])
STATES = sa.select(version.c.id.label("version_id"), *STATE_COLUMNS).select_from(
    version.outerjoin(base, base.c.id == version.c.base_id)
)
"""Versions of visitors, for `stored_version`."""
# Without the bodies and the answers, which may be large.
REQUESTS = Selection(
    requests,
    [requests.c.id],
    sa.select(
        *(column for column in requests.columns if column.name not in ("body", "answer_headers", "answer_body")),
        sa.func.length(requests.c.body).label("body_bytes"),
        _account,
    ).join(accounts, accounts.c.id == requests.c.account_id),
    request_record,
    "evicted_requests",
)
REQUESTS_WITH_BODY = REQUESTS.selected.add_columns(requests.c.body)
REQUESTS_WITH_ANSWER = REQUESTS_WITH_BODY.add_columns(requests.c.answer_headers, requests.c.answer_body)
# A sum of bigints has as many digits as it needs in PostgreSQL, which is another type.
COUNTED = sa.cast(sa.func.sum(receipt_counts.c.count), sa.BigInteger)
"""How many receipts there are, without a look at them."""
