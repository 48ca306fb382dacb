"""What the debug API answers, one example for each operation: for its OpenAPI document."""

from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from ours_emulator import __version__
from ours_emulator.contract.revision import DEFAULT_REVISION

EVENT: Mapping[str, JsonValue] = {
    "id": 17,
    "account": "default",
    "endpoint": "track",
    "outcome": "accepted",
    "event": "Purchase",
    "visitor_id": "user123",
    "distinct_id": "ord_1",
    "time": 1795168800000,
    "received_at": "2026-11-20T10:00:05.000Z",
    "test": False,
    "repeats": 0,
    "event_properties": {"amount": 99.99},
    "default_properties": {"received_at": "2026-11-20T10:00:05.000Z"},
    "identity_context": None,
    "identity": {"userId": "user123", "email": "ann@example.com"},
    "visitor_properties": {"email": "ann@example.com"},
    "resolution": {
        "decided_by": "userId",
        "created": False,
        "steps": [
            {"identifier": "userId", "value": "user123", "result": "matched"},
            {"identifier": "email", "value": "ann@example.com", "result": "skipped"},
        ],
    },
    "hints": [{"rule": "unknown-keys", "path": "/properties", "message": "dropped; did you mean eventProperties?"}],
    "reason": None,
    "request_id": 9,
    "batch_index": None,
}
_VISITOR: Mapping[str, JsonValue] = {
    "visitor_id": "user123",
    "account": "default",
    "identifiers": {"user_id": "user123", "external_id": "cust_9", "email": "ann@example.com", "anonymous_id": None},
    "properties": {"email": "ann@example.com", "external_id": "cust_9", "gclid": "g1"},
    "custom_properties": {"plan": "pro"},
    "consent": None,
    "data": {},
    "devices": [],
    "event_count": 2,
    "first_seen": "2026-11-20T10:00:00.000Z",
    "last_seen": "2026-11-20T10:00:05.000Z",
}
_VISITOR_VERSION: Mapping[str, JsonValue] = {
    "version": 12,
    **{key: _VISITOR[key] for key in _VISITOR if key not in ("event_count", "first_seen", "last_seen")},
    "unknown": [],
}
_REQUEST: Mapping[str, JsonValue] = {
    "id": 9,
    "account": "default",
    "call_id": 8,
    "attempt": 2,
    "gap_ms": 512.5,
    "endpoint": "track",
    "method": "POST",
    "path": "/api/v1/track",
    "status": 200,
    "fault": None,
    "received_at": "2026-11-20T10:00:05.000Z",
    "duration_ms": 0.31,
    "content_type": "application/json",
    "content_encoding": "",
    "body_bytes": 96,
    "receipts": 1,
}
_FAULT_ANSWER: Mapping[str, JsonValue] = {
    "name": "busy",
    "status": 429,
    "retry_after": 0.5,
    "error": None,
    "delay_ms": 0.0,
    "connection": None,
    "code": None,
    "rows": None,
    "stored": False,
}
_CLOCK: Mapping[str, JsonValue] = {
    "account": "default",
    "now": "2026-01-01T00:00:00.000Z",
    "now_ms": 1767225600000,
    "state": "frozen",
}
_ACCOUNT: Mapping[str, JsonValue] = {
    "account": "test-7",
    "state": "open",
    "late_requests": 0,
    "tokens": ["…oken"],
    "public_keys": [],
    "allowed_events": ["purchase"],
    "require_identifier": True,
    "strict_openapi": False,
    "clock": {**_CLOCK, "account": "test-7"},
    "faults": 1,
}
_FAULT: Mapping[str, JsonValue] = {
    "name": "busy",
    "account": "default",
    "matched": 3,
    "hits": 2,
    "match": {"path": "/track"},
    "answer": {"status": 429, "retry_after": 1.0, "stored": False},
    "times": 2,
    "probability": 1.0,
    "seed": 0,
}
_CLEARED: Mapping[str, JsonValue] = {"account": "default", "visitors": 1, "receipts": 2, "requests": 2}
_FOUND: Mapping[str, JsonValue] = {"items": [dict(EVENT)], "last": dict(EVENT), "count": 1, "evicted": 0}


def _listed(*items: Mapping[str, JsonValue]) -> JsonValue:
    return {"items": [dict(item) for item in items], "total": len(items), "next_cursor": None, "evicted": 0}


UNMET: Mapping[str, JsonValue] = {
    "error": "no events matched within 5000 ms; expected at least 1; nearest is event 17: "
    "event_properties.amount: a number, not a string",
    "found": "no events matched within 5000 ms",
    "explanation": "expected at least 1 event event_properties.amount='99.99'\nno events matched within 5000 ms\n"
    "the nearest ones:\n  #17 'Purchase' visitor=user123 accepted\n"
    "    event_properties.amount: expected '99.99', got 99.99 (a number, not a string)",
    "mode": "at_least",
    "expected": 1,
    "count": 0,
    "items": [],
    "candidates": [],
    "near_misses": [
        {
            "event": dict(EVENT),
            "misses": [
                {
                    "path": "event_properties.amount",
                    "expected": "99.99",
                    "actual": 99.99,
                    "why": "a number, not a string",
                }
            ],
        }
    ],
    "evicted": 0,
    "waited_ms": 5000,
}


ANSWERS: Mapping[str, Mapping[str, JsonValue]] = {
    "/debug": {"get": {"name": "ours-emulator", "version": __version__, "debug": ["/debug/visitors"]}},
    "/debug/visitors": {"get": _listed(_VISITOR)},
    "/debug/visitors/{visitor_id}": {"get": dict(_VISITOR)},
    "/debug/visitors/{visitor_id}/events": {"get": _listed(EVENT)},
    "/debug/events": {"get": _listed(EVENT)},
    "/debug/events/latest": {"get": dict(EVENT)},
    "/debug/events/{event_id}": {"get": dict(EVENT)},
    "/debug/events/{event_id}/visitor": {"get": dict(_VISITOR_VERSION)},
    "/debug/requests": {"get": _listed(_REQUEST)},
    "/debug/requests/{request_id}": {
        "get": {
            **_REQUEST,
            "body": '{"token":"t","event":"Purchase","userId":"user123"}',
            "body_base64": None,
            "events": [dict(EVENT)],
        }
    },
    "/debug/calls": {
        "get": _listed(
            {
                "call_id": 8,
                "account": "default",
                "path": "/api/v1/track",
                "accepted": 1,
                "attempts": [
                    {
                        **_REQUEST,
                        "id": 8,
                        "attempt": 1,
                        "gap_ms": None,
                        "status": 429,
                        "fault": dict(_FAULT_ANSWER),
                    },
                    dict(_REQUEST),
                ],
            }
        )
    },
    "/debug/summary": {
        "get": {
            "account": None,
            "visitors": 1,
            "requests": 2,
            "newest_event": 18,
            "newest_request": 10,
            "outcomes": {"accepted": 1, "duplicate": 0, "dropped": 0, "rejected": 1},
            "events": {"Purchase": 1},
            "evicted_requests": 0,
            "evicted_events": 0,
        }
    },
    "/debug/rules": {
        "get": _listed(
            {
                "id": "body-token",
                "text": "The token is the body field `token`; an Authorization header is ignored.",
                "basis": "documented",
                "source": "OpenAPI document",
            }
        )
    },
    "/debug/settings": {"get": {"port": {"value": 4010, "origin": "default"}}},
    "/debug/health": {"get": {"status": "ok", "version": __version__, "revision": DEFAULT_REVISION}},
    "/debug/reset": {"post": dict(_CLEARED)},
    "/debug/wait": {"post": {**_FOUND, "waited_ms": 3}},
    "/debug/verify": {"post": {**_FOUND, "waited_ms": 0}},
    "/debug/verify/sequence": {"post": {**_FOUND, "waited_ms": 0}},
    "/debug/accounts": {"get": _listed(_ACCOUNT)},
    "/debug/accounts/{name}": {
        "get": dict(_ACCOUNT),
        "put": dict(_ACCOUNT),
        "delete": {**_CLEARED, "account": "test-7"},
    },
    "/debug/clock": {"get": dict(_CLOCK), "put": dict(_CLOCK)},
    "/debug/faults": {"get": _listed(_FAULT), "delete": {"removed": 1}},
    "/debug/faults/{name}": {"get": dict(_FAULT), "put": {**_FAULT, "matched": 0, "hits": 0}, "delete": dict(_FAULT)},
    "/debug/import": {
        "post": {
            "imported": 2,
            "outcomes": {"accepted": 2},
            "differing": [{"line": 2, "recorded": 400, "now": 200}],
        }
    },
}
"""By path and method. What streams has its example where it is declared."""


def add_to(document: dict[str, Any]) -> None:
    """Put each example where the *document*, an OpenAPI one, describes the answer. FastAPI would leave nulls out."""
    for path, answers in ANSWERS.items():
        for method, answer in answers.items():
            document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["example"] = answer
