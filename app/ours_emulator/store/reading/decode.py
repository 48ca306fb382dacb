"""Rows of the reader as records. What is written in the columns, `rows` says."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from ours_emulator.decide.content import event_fields
from ours_emulator.jsontext import stored_json
from ours_emulator.model import VisitorState, received_properties
from ours_emulator.records import (
    Call,
    Event,
    FaultAnswer,
    Hint,
    Identifiers,
    Json,
    Reason,
    RequestRecord,
    Resolution,
    SentAnswer,
    StoredRequest,
    Visitor,
    VisitorVersion,
    from_json,
    utc,
    whole,
)
from ours_emulator.store import StoredVersion
from ours_emulator.store.encoding import decoded
from ours_emulator.store.versions import stored_state, unknown_in

_UNKNOWN = {"data": "data", "devices": "devices", "anonymous_id": "identifiers.anonymous_id"}
"""Where a `VisitorVersion` has what a stored version may never have recorded."""


class Row(Protocol):
    """One row, by the names of its columns."""

    def __getitem__(self, column: str, /) -> Any: ...


def visitor_record(row: Row) -> Visitor:
    """Return the visitor in *row*."""
    state = stored_state(row["version"], row["base"])
    return Visitor(
        visitor_id=decoded(row["visitor_id"]),
        account=row["account"],
        identifiers=_identifiers(row, state),
        properties=_plain_properties(state),
        custom_properties=_custom_properties(state),
        consent=_consent(state),
        data=state.data,
        devices=state.devices,
        event_count=row["event_count"],
        first_seen=utc(row["first_seen"]),
        last_seen=utc(row["last_seen"]),
    )


def version_record(row: Row) -> VisitorVersion:
    """Return the version of a visitor in *row*."""
    state = stored_state(row["version"], row["base"])
    unknown = _unknown(row)
    return VisitorVersion(
        version=row["id"],
        visitor_id=decoded(row["visitor_id"]),
        account=row["account"],
        identifiers=_identifiers(row, state),
        properties=_plain_properties(state),
        custom_properties=_custom_properties(state),
        consent=_consent(state),
        data=None if "data" in unknown else state.data,
        devices=None if "devices" in unknown else state.devices,
        unknown=unknown,
    )


def _identifiers(row: Row, state: VisitorState) -> Identifiers:
    properties = cast(dict[str, Any], state.properties)
    return Identifiers(
        user_id=decoded(row["visitor_id"]),
        external_id=properties.get("external_id"),
        email=properties.get("email"),
        anonymous_id=state.anonymous_id,
    )


def _plain_properties(state: VisitorState) -> dict[str, Any]:
    return {name: value for name, value in state.properties.items() if name not in ("custom_properties", "consent")}


def _custom_properties(state: VisitorState) -> dict[str, Any]:
    return cast(dict[str, Any], state.properties.get("custom_properties", {}))


def _consent(state: VisitorState) -> dict[str, Any] | None:
    return cast(dict[str, Any] | None, state.properties.get("consent"))


def event_record(row: Row) -> Event:
    """Return the event in *row*."""
    explanation = stored_json(row["explanation"])
    resolution, reason = explanation["resolution"], explanation["reason"]
    version: str | None = row["version"]
    received_at = utc(row["received_at"])
    sent = event_fields(row["content"])
    sent["default_properties"] = received_properties(row["outcome"], received_at, sent.get("default_properties", {}))
    return Event(
        id=row["id"],
        account=row["account"],
        endpoint=row["endpoint"],
        outcome=row["outcome"],
        event=text(row["event"]),
        visitor_id=text(row["visitor_id"]),
        distinct_id=text(row["distinct_id"]),
        time=whole(row["time"]),
        received_at=received_at,
        test=row["test"],
        repeats=row["repeats"],
        **sent,
        visitor_properties=None if version is None else stored_state(version, row["base"]).properties,
        resolution=None if resolution is None else from_json(Resolution, resolution).explained(),
        hints=tuple(from_json(Hint, hint) for hint in explanation["hints"]),
        reason=None if reason is None else from_json(Reason, {**reason, "status": reason["status"] or None}),
        request_id=row["request_id"],
        batch_index=row["batch_index"],
    )


def stored_version(row: Row) -> StoredVersion:
    """Return the version of a visitor in *row*."""
    return StoredVersion(row["version_id"], stored_state(row["version"], row["base"]), _unknown(row))


def _unknown(row: Row) -> tuple[str, ...]:
    """Return what was never recorded of the version in *row*, as a `VisitorVersion` calls it."""
    keys = unknown_in(row["version"], row["base"])
    return tuple(name for key, name in _UNKNOWN.items() if key in keys)


def request_record(row: Row) -> RequestRecord:
    """Return the request in *row*, without its body."""
    fault = row["fault"]
    return RequestRecord(
        id=row["id"],
        account=row["account"],
        call_id=row["call_id"],
        attempt=row["attempt"],
        gap_ms=row["gap_ms"],
        endpoint=row["endpoint"],
        method=decoded(row["method"]),
        path=decoded(row["path"]),
        status=row["status"] or None,
        fault=None if fault is None else _fault(json.loads(fault)),
        received_at=utc(row["received_at"]),
        duration_ms=row["duration_us"] / 1000,
        content_type=decoded(row["content_type"]),
        content_encoding=decoded(row["content_encoding"]),
        body_bytes=row["body_bytes"],
        receipts=row["receipt_count"],
    )


def stored_request(row: Row) -> StoredRequest:
    """Return the request in *row*, which has the body too."""
    return StoredRequest(request_record(row), decoded(row["authorization"]), row["oversized"], row["body"])


def sent_answer(row: Row) -> SentAnswer | None:
    """Return the answer to the request in *row*; None if there was none or it is not known."""
    body: bytes | None = row["answer_body"]
    return None if body is None else SentAnswer(json.loads(row["answer_headers"]), body.decode("utf-8"))


def call_record(attempts: Sequence[RequestRecord], accepted: Mapping[int, int]) -> Call:
    """Return the call of *attempts*, the first one first; *accepted* counts accepted events by request."""
    first = attempts[0]
    return Call(
        call_id=first.call_id,
        account=first.account,
        path=first.path,
        accepted=sum(accepted.get(attempt.id, 0) for attempt in attempts),
        attempts=tuple(attempts),
    )


def _fault(answer: Json) -> FaultAnswer:
    return from_json(FaultAnswer, {**answer, "delay_ms": round(answer["delay_ms"], 3)})


def text(value: str | None) -> str | None:
    """Return the text in a column, which may be NULL."""
    return None if value is None else decoded(value)
