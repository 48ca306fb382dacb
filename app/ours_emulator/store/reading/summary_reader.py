"""Reads of the counts of everything."""

import json
from collections.abc import Sequence
from typing import get_args

import sqlalchemy as sa

from ours_emulator.records import Outcome, RuleCount, Summary
from ours_emulator.store import EventFilter
from ours_emulator.store.reading.comparisons import Condition
from ours_emulator.store.reading.conditions import LAST_RECEIPT, count_conditions
from ours_emulator.store.reading.dialect import Dialect
from ours_emulator.store.reading.selections import COUNTED, EVENTS, REQUESTS
from ours_emulator.store.reading.snapshot import Snapshot, SnapshotReader
from ours_emulator.store.tables import receipt_counts, receipts, requests, visitors

_OUTCOMES: Sequence[Outcome] = get_args(Outcome)
_COUNTED_IDS = 4000
"""Events whose rules are counted before others may use the connection: 18 ms, if each has two hints."""


class SummaryReader(SnapshotReader):
    """Reads summaries, and counts rules."""

    async def summary(self, account: str | None) -> Summary:
        """Return counts of everything."""
        async with self.snapshot(account) as stored:
            outcomes = sa.select(receipt_counts.c.outcome, COUNTED).group_by(receipt_counts.c.outcome)
            accepted = sa.select(receipt_counts.c.event, COUNTED).where(*count_conditions(EventFilter(named=True)))
            by_event = accepted.group_by(receipt_counts.c.event).order_by(COUNTED.desc()).limit(100)
            owned = stored.owns(receipt_counts)
            newest_event, newest_request = await _newest(stored)
            counts = dict(await stored.pairs(outcomes.where(owned)))
            return Summary(
                account=account,
                newest_event=newest_event,
                newest_request=newest_request,
                visitors=await stored.count(visitors, [stored.owns(visitors)]),
                requests=await stored.count(requests, [stored.owns(requests)]),
                outcomes={outcome: counts.get(outcome, 0) for outcome in _OUTCOMES},
                events={json.loads(name): count for name, count in await stored.pairs(by_event.where(owned))},
                evicted_requests=stored.evicted(REQUESTS),
                evicted_events=stored.evicted(EVENTS),
            )

    async def rule_counts(self, account: str | None, after: int) -> tuple[Sequence[RuleCount], int | None]:
        """Return how often rules applied to some events, those with the next ids after *after*.

        Also return the id up to which was counted; None if that is all there is.
        """
        async with self.snapshot(account) as stored:
            counted = await stored.next_events(after, _COUNTED_IDS)
            if counted is None:
                return [], None
            events = receipts.c.id.between(*counted), stored.owns(receipts, by_index=False)
            hinted = dict(await stored.pairs(_hinted(stored.dialect, *events)))
            refused = dict(await stored.pairs(_refused(stored.dialect, *events)))
            rules = hinted | refused
            return [
                RuleCount(rule=id_, hinted=hinted.get(id_, 0), refused=refused.get(id_, 0)) for id_ in rules
            ], counted[1]


def _hinted(dialect: Dialect, *events: Condition) -> sa.Executable:
    # An event may have several hints of one rule.
    count = sa.func.count(receipts.c.id.distinct())
    hints = receipts.join(dialect.hint_rows, sa.true())
    hinted = sa.select(dialect.rule_of_hint, count).select_from(hints).where(*events, dialect.has_hints)
    return hinted.group_by(dialect.rule_of_hint)


def _refused(dialect: Dialect, *events: Condition) -> sa.Executable:
    refused = sa.select(dialect.rule_of_reason, sa.func.count()).where(*events, receipts.c.outcome == "rejected")
    return refused.group_by(dialect.rule_of_reason)


async def _newest(stored: Snapshot) -> tuple[int, int]:
    """Return the largest ids of an event and of a request. Each table knows of what was evicted from the other."""
    last_receipt = sa.select(sa.func.max(receipt_counts.c.last_id)).where(stored.owns(receipt_counts))
    statements = (
        sa.select(LAST_RECEIPT, requests.c.id).where(stored.owns(requests)).order_by(requests.c.id.desc()).limit(1),
        sa.select(receipts.c.id, receipts.c.request_id).where(receipts.c.id == last_receipt.scalar_subquery()),
    )
    known = [row for statement in statements for row in await stored.pairs(statement)]
    last_event = max((row[0] for row in known), default=0)
    return max(last_event, stored.last_evicted), max((row[1] for row in known), default=0)
