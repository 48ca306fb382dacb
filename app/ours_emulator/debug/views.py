"""What the debug API shows: the JSON shapes, and how rows of the store become them."""

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from pydantic import JsonValue
from typing_extensions import TypedDict

from ours_emulator.clock import iso
from ours_emulator.contract.body import inflate
from ours_emulator.http.redaction import Redactor, without_tokens
from ours_emulator.model import Properties
from ours_emulator.records import Outcome
from ours_emulator.store.sqlite.reader import Page, Row, Summary
from ours_emulator.store.tables import decoded
from ours_emulator.store.versions import stored_state

_MOST_SHOWN = 8 * 1024 * 1024


class IdentifiersView(TypedDict):
    """What a visitor is found by."""

    user_id: str
    external_id: str | None
    email: str | None
    anonymous_id: str | None


class VisitorView(TypedDict):
    """A visitor as the account knows them now."""

    visitor_id: str
    account: str
    identifiers: IdentifiersView
    properties: dict[str, JsonValue]
    custom_properties: dict[str, JsonValue]
    consent: dict[str, JsonValue] | None
    data: dict[str, JsonValue]
    devices: list[JsonValue]
    event_count: int
    first_seen: str
    last_seen: str


class StepView(TypedDict):
    """One identifier tried, or not."""

    identifier: str
    value: str
    result: Literal["matched", "not_found", "skipped"]


class ResolutionView(TypedDict):
    """How the visitor was found."""

    decided_by: str | None
    created: bool
    steps: list[StepView]


class HintView(TypedDict):
    """Something accepted that was probably not meant."""

    rule: str
    path: str
    message: str


class ReasonView(TypedDict):
    """Why it was refused. `status` is null if a fault kept it from being answered."""

    rule: str
    path: str
    message: str
    status: int | None


class EventView(TypedDict):
    """What became of one event, identify call, alias or device. `time` is in milliseconds since the epoch."""

    id: int
    account: str
    endpoint: str
    outcome: Outcome
    event: str | None
    visitor_id: str | None
    distinct_id: str | None
    time: float
    received_at: str
    test: bool
    repeats: int
    event_properties: dict[str, JsonValue]
    default_properties: dict[str, JsonValue]
    identity_context: dict[str, JsonValue] | None
    visitor_properties: dict[str, JsonValue] | None
    resolution: ResolutionView | None
    hints: list[HintView]
    reason: ReasonView | None
    request_id: int
    batch_index: int | None


class FaultAnswerView(TypedDict):
    """What a fault did to a request; None where it left things as they are."""

    name: str
    status: int | None
    retry_after: float | None
    delay_ms: float
    connection: Literal["reset", "hang", "close"] | None
    code: Literal["queue_failed", "invalid_event"] | None
    rows: list[int] | None
    stored: bool


class RequestView(TypedDict):
    """One line of the journal. Attempts of one call share the `call_id`, the id of the first of them.

    `gap_ms` is how long after the attempt before it came. `status` is null if a fault kept it from being answered.
    `duration_ms` runs until it was decided, without the commit; `body_bytes` is the body's size on the wire.
    """

    id: int
    account: str
    call_id: int
    attempt: int
    gap_ms: float | None
    endpoint: str
    method: str
    path: str
    status: int | None
    fault: FaultAnswerView | None
    received_at: str
    duration_ms: float
    content_type: str
    content_encoding: str
    body_bytes: int
    receipts: int


class RequestDetail(RequestView):
    """One line of the journal with its body, and the events in it.

    The body is shown as text, un-gzipped, or in base64 if it is no text.
    """

    body: str | None
    body_base64: str | None
    events: list[EventView]


class CallView(TypedDict):
    """The attempts of one call, the first one first; `accepted` counts the kept events that any of them stored."""

    call_id: int
    account: str
    path: str
    accepted: int
    attempts: list[RequestView]


class CallList(TypedDict):
    """A page of calls."""

    items: list[CallView]
    total: int
    next_cursor: str | None
    evicted: int


class VisitorList(TypedDict):
    """A page of visitors."""

    items: list[VisitorView]
    total: int
    next_cursor: str | None
    evicted: int


class EventList(TypedDict):
    """A page of events."""

    items: list[EventView]
    total: int
    next_cursor: str | None
    evicted: int


class RequestList(TypedDict):
    """A page of the journal."""

    items: list[RequestView]
    total: int
    next_cursor: str | None
    evicted: int


class SummaryView(TypedDict):
    """Counts: how many visitors, requests, events by outcome, and accepted events by name (the 100 most frequent).

    `newest_event` and `newest_request` are the largest ids, of any outcome; 0 if there are none.
    """

    account: str | None
    visitors: int
    requests: int
    newest_event: int
    newest_request: int
    outcomes: dict[str, int]
    events: dict[str, int]
    evicted_requests: int
    evicted_events: int


def visitor_list(page: Page) -> VisitorList:
    """Return a page of visitors as it is shown."""
    items = [visitor(row) for row in page.rows]
    return {"items": items, "total": page.total, "next_cursor": page.next_cursor, "evicted": page.evicted}


def event_list(page: Page) -> EventList:
    """Return a page of events as it is shown."""
    items = [event(row) for row in page.rows]
    return {"items": items, "total": page.total, "next_cursor": page.next_cursor, "evicted": page.evicted}


def request_list(page: Page) -> RequestList:
    """Return a page of the journal as it is shown."""
    items = [request(row) for row in page.rows]
    return {"items": items, "total": page.total, "next_cursor": page.next_cursor, "evicted": page.evicted}


def call_list(page: Page, attempts: Sequence[Row], accepted: Mapping[int, int]) -> CallList:
    """Return a page of calls as they are shown: *attempts* are all of theirs, *accepted* counts events by request."""
    by_call: dict[int, list[Row]] = {}
    for row in attempts:
        by_call.setdefault(row["call_id"], []).append(row)
    items = [_call(by_call[row["call_id"]], accepted) for row in page.rows]
    return {"items": items, "total": page.total, "next_cursor": page.next_cursor, "evicted": page.evicted}


def _call(attempts: Sequence[Row], accepted: Mapping[int, int]) -> CallView:
    first = request(attempts[0])
    return {
        "call_id": first["call_id"],
        "account": first["account"],
        "path": first["path"],
        "accepted": sum(accepted.get(row["id"], 0) for row in attempts),
        "attempts": [request(row) for row in attempts],
    }


def visitor(row: Row) -> VisitorView:
    """Return one visitor as it is shown."""
    state = stored_state(row["version"], row["base"])
    properties = state.properties.copy()
    custom = cast(Properties, properties.pop("custom_properties", {}))
    consent = cast(Properties | None, properties.pop("consent", None))
    visitor_id = decoded(row["visitor_id"])
    return {
        "visitor_id": visitor_id,
        "account": row["account"],
        "identifiers": {
            "user_id": visitor_id,
            "external_id": cast(str | None, properties.get("external_id")),
            "email": cast(str | None, properties.get("email")),
            "anonymous_id": state.anonymous_id,
        },
        "properties": properties,
        "custom_properties": custom,
        "consent": consent,
        "data": state.data,
        "devices": list(state.devices),
        "event_count": row["event_count"],
        "first_seen": iso(row["first_seen"]),
        "last_seen": iso(row["last_seen"]),
    }


def event(row: Row) -> EventView:
    """Return one event as it is shown, with received_at among its default_properties (rule default-properties)."""
    content, explanation = json.loads(row["content"]), json.loads(row["explanation"])
    snapshot = None if row["version"] is None else stored_state(row["version"], row["base"]).properties
    received_at = iso(row["received_at"])
    kept = row["outcome"] in ("accepted", "duplicate")
    received: Properties = {"received_at": received_at} if kept else {}
    return {
        "id": row["id"],
        "account": row["account"],
        "endpoint": row["endpoint"],
        "outcome": row["outcome"],
        "event": _text(row["event"]),
        "visitor_id": _text(row["visitor_id"]),
        "distinct_id": _text(row["distinct_id"]),
        "time": _number(row["time"]),
        "received_at": received_at,
        "test": row["test"],
        "repeats": row["repeats"],
        "event_properties": content.get("event_properties", {}),
        "default_properties": {**received, **content.get("default_properties", {})},
        "identity_context": content.get("identity_context"),
        "visitor_properties": snapshot,
        "resolution": explanation["resolution"],
        "hints": explanation["hints"],
        "reason": _reason(explanation["reason"]),
        "request_id": row["request_id"],
        "batch_index": row["batch_index"],
    }


def identity(row: Row) -> dict[str, str]:
    """Return the identifiers that the message itself gave, by how it spelled them; none are known of a refused one."""
    return cast(dict[str, str], json.loads(row["content"]).get("identity", {}))


def request(row: Row) -> RequestView:
    """Return one line of the journal as it is shown in a list."""
    return {
        "id": row["id"],
        "account": row["account"],
        "call_id": row["call_id"],
        "attempt": row["attempt"],
        "gap_ms": row["gap_ms"],
        "endpoint": row["endpoint"],
        "method": decoded(row["method"]),
        "path": decoded(row["path"]),
        "status": row["status"] or None,
        "fault": _fault(row["fault"]),
        "received_at": iso(row["received_at"]),
        "duration_ms": row["duration_us"] / 1000,
        "content_type": decoded(row["content_type"]),
        "content_encoding": decoded(row["content_encoding"]),
        "body_bytes": row["body_bytes"],
        "receipts": row["receipt_count"],
    }


def request_detail(row: Row, body: bytes, receipts: Sequence[Row], redactor: Redactor | None) -> RequestDetail:
    """Return one line of the journal as it is shown by itself; if it is *redactor*, without secrets in its body."""
    shown = request(row)
    text = _body_text(body, shown["content_encoding"])
    encoded = base64.b64encode(body).decode("ascii") if text is None and redactor is None else None
    if redactor is not None:
        shown["path"] = redactor(shown["path"], shown["account"])
        text = None if text is None else redactor(without_tokens(text), shown["account"])
    return {**shown, "body": text, "body_base64": encoded, "events": [event(receipt) for receipt in receipts]}


def summary(account: str | None, counts: Summary) -> SummaryView:
    """Return the counts as they are shown; every outcome is there."""
    outcomes = {name: counts.outcomes.get(name, 0) for name in ("accepted", "duplicate", "dropped", "rejected")}
    return {
        "account": account,
        "visitors": counts.visitors,
        "requests": counts.requests,
        "newest_event": counts.newest_event,
        "newest_request": counts.newest_request,
        "outcomes": outcomes,
        "events": dict(counts.events),
        "evicted_requests": counts.evicted_requests,
        "evicted_events": counts.evicted_receipts,
    }


def _fault(text: str | None) -> FaultAnswerView | None:
    if text is None:
        return None
    said = json.loads(text)
    return {
        "name": said["name"],
        "status": said["status"],
        "retry_after": said["retry_after"],
        "delay_ms": round(said["delay_ms"], 3),
        "connection": said["connection"],
        "code": said["code"],
        "rows": said["rows"],
        "stored": said["stored"],
    }


def _reason(said: ReasonView | None) -> ReasonView | None:
    return None if said is None else {**said, "status": said["status"] or None}


def _text(value: str | None) -> str | None:
    return None if value is None else decoded(value)


def _number(value: float) -> float:
    return int(value) if value.is_integer() else value


def _body_text(body: bytes, encoding: str) -> str | None:
    try:
        plain: Any = inflate(body, _MOST_SHOWN) if encoding.strip().lower() == "gzip" else body
        return None if plain is None else plain.decode("utf-8")
    except (zlib.error, UnicodeDecodeError):
        return None
