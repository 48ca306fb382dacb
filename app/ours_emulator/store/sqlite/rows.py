"""Values as rows, and rows as values: what is written in the columns of each table."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, cast

from ours_emulator.decide.deduplication import Original
from ours_emulator.decide.devices import Waiting
from ours_emulator.decide.identity import Visitor
from ours_emulator.jsontext import json_text
from ours_emulator.model import Exchange, Identifier, Message, Properties, Receipt, Rejection
from ours_emulator.records import to_json
from ours_emulator.store.tables import decoded, distinct_digest, encoded, name_digest


def visitor_of(row: Sequence[Any]) -> Visitor:
    """Return the visitor in a *row* of `SELECT_VISITORS`, its names as the store has them."""
    pk, account_id, visitor_id, properties, event_count, first_seen, last_seen, anonymous_id, data, devices = row
    known = cast(Properties, json.loads(properties))
    visitor = Visitor(
        pk,
        account_id,
        decoded(visitor_id),
        known,
        properties,
        event_count,
        first_seen,
        last_seen,
        names_changed=False,
        anonymous_id=None if anonymous_id is None else decoded(anonymous_id),
        data={} if data == "{}" else json.loads(data),
        devices=[] if devices == "[]" else json.loads(devices),
    )
    visitor.stored_names = tuple(visitor.names())
    return visitor


def visitor_row(visitor: Visitor) -> tuple[Any, ...]:
    """Return *visitor* as the columns of its table have it."""
    return (
        visitor.pk,
        visitor.account_id,
        encoded(visitor.visitor_id),
        visitor.json,
        visitor.event_count,
        visitor.first_seen,
        visitor.last_seen,
        None if visitor.anonymous_id is None else encoded(visitor.anonymous_id),
        json_text(visitor.data) if visitor.data else "{}",
        json_text(visitor.devices) if visitor.devices else "[]",
    )


def waiting_of(row: Sequence[Any]) -> Waiting:
    """Return the waiting device in a *row* of `SELECT_WAITING`."""
    pk, account_id, identity, device = row
    names = cast(dict[Identifier, str], json.loads(identity))
    return Waiting(pk, tuple((account_id, kind, value) for kind, value in names.items()), json.loads(device))


def waiting_row(waiting: Waiting) -> tuple[Any, ...]:
    """Return *waiting* as the columns of its table have it."""
    digests = {name[1]: name_digest(name) for name in waiting.names}
    return (
        waiting.pk,
        waiting.names[0][0],
        digests.get("external_id"),
        digests.get("anonymous_id"),
        json_text({kind: value for _, kind, value in waiting.names}),
        json_text(waiting.device),
    )


def original_of(row: Sequence[Any]) -> Original:
    """Return the original in a *row* of `SELECT_ORIGINALS`."""
    _, receipt_id, visitor_pk, visitor_id, event, content = row
    return Original(
        receipt_id,
        visitor_pk,
        None if visitor_id is None else decoded(visitor_id),
        None if event is None else decoded(event),
        content,
    )


def request_row(exchange: Exchange) -> tuple[Any, ...]:
    """Return the request of *exchange* as the columns of its table have it."""
    request = exchange.request
    return (
        exchange.id,
        exchange.account_id,
        exchange.attempt.call_id,
        exchange.attempt.number,
        exchange.attempt.gap_ms,
        request.endpoint,
        encoded(request.method),
        encoded(request.path),
        exchange.answer.status,
        request.received_at,
        int((time.perf_counter() - request.started) * 1_000_000),
        encoded(request.content_type),
        encoded(request.content_encoding),
        exchange.receipts[0].id,
        len(exchange.receipts),
        encoded(request.authorization),
        request.oversized,
        None if exchange.fault is None else json_text(asdict(exchange.fault)),
        request.body,
    )


def receipt_row(exchange: Exchange, receipt: Receipt) -> tuple[Any, ...]:
    """Return *receipt*, which is one of *exchange*, as the columns of its table have it."""
    arrival = receipt.arrival
    message = arrival if isinstance(arrival, Message) else None
    received_at = exchange.request.received_at
    return (
        receipt.id,
        exchange.account_id,
        exchange.id,
        arrival.batch_index,
        arrival.endpoint,
        receipt.outcome,
        None if arrival.event is None else encoded(arrival.event),
        receipt.visitor_pk,
        None if receipt.distinct_id is None else encoded(receipt.distinct_id),
        received_at if message is None or message.time is None else message.time,
        received_at,
        message is not None and message.test,
        0,
        receipt.content,
        _explanation(receipt),
        receipt.visitor_properties,
    )


def _explanation(receipt: Receipt) -> str:
    """Return why *receipt* came out as it did, as JSON text."""
    arrival = receipt.arrival
    reason = to_json(arrival.reason) if isinstance(arrival, Rejection) else None
    resolution = None if receipt.resolution is None else to_json(receipt.resolution)
    hints = [to_json(hint) for hint in receipt.hints]
    return json_text({"resolution": resolution, "hints": hints, "reason": reason})


def distinct_rows(receipts: Iterable[tuple[Exchange, Receipt]]) -> Iterator[tuple[str, int]]:
    """Yield the rows of the distinct ids that *receipts* use up: those of accepted events (rule dedup)."""
    for exchange, receipt in receipts:
        if receipt.outcome == "accepted" and isinstance(receipt.arrival, Message) and receipt.distinct_id:
            yield (
                distinct_digest(exchange.account_id, receipt.distinct_id, test=receipt.arrival.test),
                receipt.id,
            )
