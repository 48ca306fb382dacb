"""Values as rows, and rows as values: what is written in the columns of each table."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any, cast

from ours_emulator.decide.deduplication import Original
from ours_emulator.decide.devices import PendingDevice
from ours_emulator.decide.identity import KnownVisitor
from ours_emulator.decide.retries import FailedAttempt
from ours_emulator.decide.versions import patched
from ours_emulator.jsontext import json_text, quoted
from ours_emulator.model import UNCHANGED, Answer, Attempt, Exchange, Identifier, Message, Receipt, Rejection, Version
from ours_emulator.records import Resolution, to_json
from ours_emulator.store.encoding import decoded, distinct_digest, encoded, name_digest
from ours_emulator.store.versions import Keyframe, base_state, change_in, state_in
from ours_emulator.store.writing.receipt_counts import CountKey, count_key


def visitor_of(row: Sequence[Any]) -> tuple[KnownVisitor, Keyframe]:
    """Return the visitor in a *row* of `SELECT_VISITORS`, with the names the store has, and their keyframe."""
    pk, account_id, visitor_id, event_count, first_seen, last_seen, version_id, *stored = row
    keyframe = _keyframe(version_id, *stored)
    state = patched(keyframe.state, keyframe.patch)
    version = Version(version_id, pk, state, UNCHANGED)
    visitor = KnownVisitor(
        pk,
        account_id,
        decoded(visitor_id),
        state,
        version,
        event_count,
        first_seen,
        last_seen,
        names_changed=False,
        size=keyframe.size + keyframe.patched,
    )
    visitor.stored_names = tuple(visitor.names())
    return visitor, keyframe


def note_saved(visitor: KnownVisitor, keyframe: Keyframe) -> None:
    """Make *visitor*, who was just saved, what `visitor_of` would return."""
    # The versions that were made one by one are a chain, which would grow with each group.
    if visitor.version is not None:
        visitor.version = Version(visitor.version.id, visitor.pk, visitor.state, UNCHANGED)
    if visitor.names_changed:
        visitor.names_changed = False
        visitor.stored_names = tuple(visitor.names())
    visitor.size, visitor.measured = keyframe.size + keyframe.patched, False


def _keyframe(version_id: int, base_id: int | None, patched_bytes: int, content: str, base: str | None) -> Keyframe:
    if base_id is None or base is None:
        return Keyframe(version_id, state_in(content), len(content), latest=len(content))
    latest = len(base) + len(content)
    return Keyframe(base_id, base_state(base), len(base), change_in(content), patched_bytes, latest)


def visitor_row(visitor: KnownVisitor) -> tuple[Any, ...]:
    """Return *visitor* as the columns of its table have it."""
    return (
        visitor.pk,
        visitor.account_id,
        encoded(visitor.visitor_id),
        visitor.version and visitor.version.id,
        visitor.event_count,
        visitor.first_seen,
        visitor.last_seen,
    )


def version_row(version: Version, keyframe: Keyframe) -> tuple[Any, ...]:
    """Return *version*, the next one after *keyframe*, as the columns of its table have it."""
    return version.id, version.visitor_pk, *keyframe.add(version)


def pending_of(row: Sequence[Any]) -> PendingDevice:
    """Return the pending device in a *row* of `SELECT_PENDING`."""
    pk, account_id, identity, device = row
    names = cast(dict[Identifier, str], json.loads(identity))
    return PendingDevice(pk, tuple((account_id, kind, value) for kind, value in names.items()), json.loads(device))


def pending_row(pending: PendingDevice) -> tuple[Any, ...]:
    """Return *pending* as the columns of its table have it."""
    digests = {name[1]: name_digest(name) for name in pending.names}
    return (
        pending.pk,
        pending.names[0][0],
        digests.get("external_id"),
        digests.get("anonymous_id"),
        json_text({kind: value for _, kind, value in pending.names}),
        json_text(pending.device),
    )


def failed_attempt_of(row: Sequence[Any]) -> FailedAttempt:
    """Return the attempt in a *row* of `SELECT_FAILED_ATTEMPTS`, which another process may have made."""
    call_id, number, received_at, started, retry_after = row
    return FailedAttempt(Attempt(call_id, number), received_at, started - _counter_start(), retry_after)


def failed_attempt_columns(failed: FailedAttempt) -> tuple[Any, ...]:
    """Return *failed* as the columns of its table have it."""
    attempt = failed.attempt
    return attempt.call_id, attempt.number, failed.received_at, failed.started + _counter_start(), failed.retry_after


def _counter_start() -> float:
    """Return when `time.perf_counter()`, which each process has its own of, was 0: in seconds since the epoch."""
    return time.time() - time.perf_counter()


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
        exchange.answer.status or 0,  # No answer: the column takes no NULL.
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
        *_answer_columns(exchange.answer),
    )


def body_bytes(row: Sequence[Any]) -> int:
    """Return how many bytes a `request_row` is counted as: those of the bodies of request and answer."""
    *_, body, _, answer_body = row
    return len(body) + len(answer_body or b"")


def _answer_columns(answer: Answer) -> tuple[str | None, bytes | None]:
    """Return the headers and the body of *answer*; None for both if a fault kept it from being sent."""
    if answer.status is None:
        return None, None
    return _headers(answer.media_type, tuple(answer.headers.items())), answer.body


# Almost all answers have the same.
@lru_cache(maxsize=64)
def _headers(media_type: str | None, others: tuple[tuple[str, str], ...]) -> str:
    content_type = {} if media_type is None else {"content-type": media_type}
    return json_text({**content_type, **{name.lower(): value for name, value in others}})


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
        receipt.version and receipt.version.id,
        receipt.content,
        _explanation(receipt),
    )


def counted(row: Sequence[Any]) -> tuple[CountKey, int]:
    """Return as what a `receipt_row` is counted, and its id."""
    id_, account_id, _, _, endpoint, outcome, event, _, _, _, _, test, *_ = row
    return count_key(account_id, outcome, endpoint, event, test), id_


def _explanation(receipt: Receipt) -> str:
    """Return why *receipt* came out as it did, as JSON text."""
    arrival = receipt.arrival
    resolution = "null" if receipt.resolution is None else _resolution_text(receipt.resolution)
    hints = [{"rule": hint.rule, "path": hint.path, "message": hint.message} for hint in receipt.hints]
    reason = json_text(to_json(arrival.reason)) if isinstance(arrival, Rejection) else "null"
    return f'{{"resolution":{resolution},"hints":{json_text(hints) if hints else "[]"},"reason":{reason}}}'


# One is written with each event. To make it from dictionaries takes a fiftieth of a batch more.
def _resolution_text(resolution: Resolution) -> str:
    decided_by = "null" if resolution.decided_by is None else quoted(resolution.decided_by)
    steps = [
        f'{{"identifier":{quoted(step.identifier)},"value":{quoted(step.value)},"result":{quoted(step.result)}}}'
        for step in resolution.steps
    ]
    created = "true" if resolution.created else "false"
    return f'{{"decided_by":{decided_by},"created":{created},"steps":[{",".join(steps)}]}}'


def distinct_rows(receipts: Iterable[tuple[Exchange, Receipt]]) -> Iterator[tuple[str, int]]:
    """Yield the rows of the distinct ids that *receipts* use up: those of accepted events (rule dedup)."""
    for exchange, receipt in receipts:
        if receipt.outcome == "accepted" and isinstance(receipt.arrival, Message) and receipt.distinct_id:
            yield (
                distinct_digest(exchange.account_id, receipt.distinct_id, test=receipt.arrival.test),
                receipt.id,
            )
