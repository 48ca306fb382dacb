"""The debug API over HTTP: shapes, lists and pages, filters, errors, accounts, reset."""

import base64
import gzip
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast
from urllib.parse import quote

import httpx
import pytest
from pydantic import TypeAdapter

from looping import case
from ours_emulator import __version__
from ours_emulator.contract.revision import revision
from ours_emulator.contract.rules import load_rules
from ours_emulator.contract.tracking_plan import TrackingPlan
from ours_emulator.debug import accounts, experiments, faults, overview
from ours_emulator.model import DEFAULT_REVISION
from ours_emulator.records import (
    Call,
    Cleared,
    Event,
    EventDetail,
    Moment,
    Page,
    RequestDetail,
    RequestRecord,
    Rule,
    RuleCount,
    Summary,
    Visitor,
    iso,
)
from ours_emulator.settings import Settings
from serving import Account, Server, serving
from waiting import until

pytestmark = pytest.mark.each_database

ENVELOPE = {"items", "total", "next_cursor", "evicted"}
VISITOR = {
    "visitor_id",
    "account",
    "identifiers",
    "properties",
    "custom_properties",
    "consent",
    "data",
    "devices",
    "event_count",
    "first_seen",
    "last_seen",
}
EVENT = {
    "id",
    "account",
    "endpoint",
    "outcome",
    "event",
    "visitor_id",
    "distinct_id",
    "time",
    "received_at",
    "test",
    "repeats",
    "event_properties",
    "default_properties",
    "identity",
    "identity_context",
    "visitor_properties",
    "resolution",
    "hints",
    "reason",
    "request_id",
    "batch_index",
}
REQUEST = {
    "id",
    "account",
    "call_id",
    "attempt",
    "gap_ms",
    "fault",
    "endpoint",
    "method",
    "path",
    "status",
    "received_at",
    "duration_ms",
    "content_type",
    "content_encoding",
    "body_bytes",
    "receipts",
}
SUMMARY = {
    *("account", "visitors", "requests", "newest_event", "newest_request"),
    *("outcomes", "events", "evicted_requests", "evicted_events"),
}
LISTS = ["visitors", "events", "requests"]
ODD_IDS = [
    "a/b",
    "a/",
    "/a",
    "a//b",
    "a b",
    " ",
    "+",
    "100%",
    "%41",
    "a?b=c&d#e",
    "Zoë ✓ 😀",
    'quo"te\\back',
    "new\nline",
    "\x00",
    "nul\x00inside",
    "\x1b[31m",
    "\ud800",
    "half \udfff",
    "events",
    "a/events",
    "latest",
    "x" * 400,
]
# In a query a lone surrogate is taken for a broken character; in a path it is itself.
ASKABLE = [text for text in ODD_IDS if text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def escaped(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")


def refusal(response: httpx.Response, status: int) -> str:
    """Return what a refused debug call says was wrong."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    body = response.json()
    assert list(body) == ["error"]
    said: str = body["error"]
    return said


def fetch(account: Account, path: str) -> httpx.Response:
    return account.http.get(f"{account.url}/debug/{path}")


def send(account: Account, path: str, body: object) -> httpx.Response:
    """Post *body* in ASCII, so that it may hold lone surrogates."""
    response = account.post(path, json.dumps(body).encode())
    assert response.status_code == 200, response.text
    return response


def pages(account: Account, path: str, **params: Any) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        page = account.debug(path, **params, **({} if cursor is None else {"cursor": cursor}))
        yield page
        cursor = page["next_cursor"]
        if cursor is None:
            return


def state(account: Account) -> dict[str, Any]:
    """Return everything the lists show."""
    return {
        "summary": account.debug("summary"),
        "visitors": account.debug("visitors"),
        "events": account.debug("events", outcome="any"),
        "requests": account.debug("requests"),
    }


# Shapes


def test_a_visitor_has_exactly_these_fields(account: Account) -> None:
    account.track(
        userId="user123",
        externalId="cust_9",
        email="a@b.co",
        userProperties={"gclid": "g1", "custom_properties": {"plan": "pro"}},
    )
    visitor = account.visitor()
    assert visitor.keys() == VISITOR
    seen = account.events()[0]["received_at"]
    assert visitor == {
        "visitor_id": "user123",
        "account": account.url.rpartition("/")[2],
        "identifiers": {"user_id": "user123", "external_id": "cust_9", "email": "a@b.co", "anonymous_id": None},
        "properties": {"email": "a@b.co", "external_id": "cust_9", "gclid": "g1"},
        "custom_properties": {"plan": "pro"},
        "consent": None,
        "data": {},
        "devices": [],
        "event_count": 1,
        "first_seen": seen,
        "last_seen": seen,
    }
    assert account.debug("visitors/user123") == visitor


def test_an_event_has_exactly_these_fields(account: Account) -> None:
    moment = now_ms()
    account.track(
        event="Purchase",
        userId="user123",
        email="a@b.co",
        distinctId="ord_1",
        time=moment,
        eventProperties={"amount": 99.99},
        properties={"lost": 1},
    )
    (event,) = account.events()
    assert event.keys() == EVENT
    (request,) = account.debug("requests")["items"]
    received = event["received_at"]
    assert event["hints"][0].keys() == {"rule", "path", "message"}
    assert {**event, "id": 0, "hints": [hint["rule"] for hint in event["hints"]]} == {
        "id": 0,
        "account": account.url.rpartition("/")[2],
        "endpoint": "track",
        "outcome": "accepted",
        "event": "Purchase",
        "visitor_id": "user123",
        "distinct_id": "ord_1",
        "time": moment,
        "received_at": received,
        "test": False,
        "repeats": 0,
        "event_properties": {"amount": 99.99},
        "default_properties": {"received_at": received},
        "identity": {"userId": "user123", "email": "a@b.co"},
        "identity_context": None,
        "visitor_properties": {"email": "a@b.co"},
        "resolution": {
            "decided_by": "userId",
            "created": True,
            "steps": [
                {
                    "identifier": "userId",
                    "value": "user123",
                    "result": "not_found",
                    "why": "no visitor has it, and it decides alone, so a new visitor was made",
                },
                {
                    "identifier": "email",
                    "value": "a@b.co",
                    "result": "skipped",
                    "why": "not looked up: userId decided",
                },
            ],
        },
        "hints": ["unknown-keys"],
        "reason": None,
        "request_id": request["id"],
        "batch_index": None,
    }
    detail = account.debug(f"events/{event['id']}")
    assert detail.keys() == EVENT | {"changes", "unknown_changes"}
    assert {key: detail[key] for key in EVENT} == event


def test_an_event_is_found_by_a_name_with_a_lone_surrogate_that_is_percent_encoded(account: Account) -> None:
    body = {"token": "t", "event": "\ud800E", "userId": "u\udbff", "distinctId": "\ud83d"}
    account.post("/track", json.dumps(body).encode())
    account.track(userId="u")
    for query in ("event=%ED%A0%80E", "visitor_id=u%ed%af%bf", "distinct_id=%ED%A0%BD", "event=%ED%A0%80E&limit=5"):
        with case(query):
            found = account.http.get(f"{account.url}/debug/events?{query}").json()["items"]
            assert [event["event"] for event in found] == ["\ud800E"]
    # What is compared as text, or is no WTF-8, finds nothing and fails nothing.
    for query in ("events?event=%ED%A0%80%FF", "events?property.a=%ED%A0%80", "visitors?q=%ED%A0%80"):
        with case(query):
            answer = account.http.get(f"{account.url}/debug/{query}")
            assert (answer.status_code, answer.json()["items"]) == (200, [])
    assert "\ud800" in account.http.get(f"{account.url}/debug/events?%ED%A0%80=1").json()["error"]


def test_times_are_shown_in_iso_8601_with_milliseconds(account: Account) -> None:
    before = now_ms()
    account.track(userId="u")
    after = now_ms()
    text = account.events()[0]["received_at"]
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    assert len(text) == 24
    assert before <= round(moment.timestamp() * 1000) <= after


def test_a_refused_event_has_its_reason_and_the_same_fields(account: Account) -> None:
    account.track(distinctId="d", event="Purchase")
    (event,) = account.events(outcome="rejected")
    assert event.keys() == EVENT
    assert event["reason"].keys() == {"rule", "path", "message", "status", "limit"}
    assert (event["reason"]["rule"], event["reason"]["status"]) == ("identifier", 400)
    assert (event["event"], event["distinct_id"], event["visitor_id"]) == ("Purchase", "d", None)
    assert (event["resolution"], event["visitor_properties"]) == (None, None)


def test_a_request_has_exactly_these_fields(account: Account) -> None:
    account.track(userId="u")
    (request,) = account.debug("requests")["items"]
    assert request.keys() == REQUEST
    name = account.url.rpartition("/")[2]
    assert request["account"] == name
    assert (request["endpoint"], request["method"], request["status"]) == ("track", "POST", 200)
    assert request["path"] == f"/accounts/{name}/track"
    assert (request["attempt"], request["call_id"]) == (1, request["id"])
    assert (request["content_type"], request["content_encoding"]) == ("application/json", "")
    assert request["receipts"] == 1
    assert request["duration_ms"] > 0
    assert request["body_bytes"] == len('{"token":"t","event":"Test","userId":"u"}')


def test_a_single_request_also_has_its_events(account: Account) -> None:
    account.batch({"event": "A", "userId": "u", "distinctId": "1"}, {"event": "B", "distinctId": "2"})
    account.track(userId="u")
    _, listed = account.debug("requests")["items"]
    request = account.debug(f"requests/{listed['id']}")
    assert request.keys() == REQUEST | {"body", "body_base64", "body_missing", "events", "answer"}
    assert {key: request[key] for key in REQUEST} == listed
    assert [(event["batch_index"], event["outcome"]) for event in request["events"]] == [
        (0, "accepted"),
        (1, "rejected"),
    ]
    assert all(event.keys() == EVENT and event["request_id"] == listed["id"] for event in request["events"])
    assert request["receipts"] == 2


@pytest.mark.parametrize("path", LISTS)
def test_a_list_of_an_unused_account_is_an_empty_envelope(account: Account, path: str) -> None:
    assert account.debug(path) == {"items": [], "total": 0, "next_cursor": None, "evicted": 0}


@pytest.mark.parametrize("path", [*LISTS, "visitors/u/events", "rules"])
def test_every_list_has_the_same_envelope(account: Account, path: str) -> None:
    account.track(userId="u")
    answer = account.debug(path)
    assert answer.keys() == ENVELOPE
    assert answer["total"] == len(answer["items"]) >= 1
    assert answer["next_cursor"] is None
    assert answer["evicted"] == 0


def test_the_summary_counts_what_is_stored(account: Account) -> None:
    account.track(event="A", userId="u", distinctId="1")
    account.track(event="A", userId="u", distinctId="1")
    account.track(event="A", userId="v")
    account.track(event="B", email="e@x.co")
    account.track(event="B")
    account.identify(userId="u", userProperties={})
    summary = account.debug("summary")
    assert summary.keys() == SUMMARY
    assert summary == {
        "account": account.url.rpartition("/")[2],
        "visitors": 3,
        "requests": 6,
        "newest_event": account.events(outcome="any", endpoint="identify")[0]["id"],
        "newest_request": account.debug("requests")["items"][0]["id"],
        "outcomes": {"accepted": 4, "duplicate": 1, "dropped": 0, "rejected": 1},
        "events": {"A": 2, "B": 1, "$identify": 1},
        "evicted_requests": 0,
        "evicted_events": 0,
    }


def test_the_newest_ids_are_of_the_account_and_without_a_prefix_of_all(server: Server) -> None:
    quiet, used, other = server.account(), server.account(), server.account()
    used.batch({"event": "A", "userId": "u", "distinctId": "1"}, {"event": "B", "distinctId": "2"})
    before = used.debug("summary")
    other.post("/track", b"no JSON")
    assert used.debug("summary") == before
    after, all_of_them = other.debug("summary"), server.default.debug("summary")
    for name in ("newest_event", "newest_request"):
        assert quiet.debug("summary")[name] == 0
        assert 0 < before[name] < after[name] == all_of_them[name]


def test_names_of_events_come_out_of_the_summary_as_they_went_in(account: Account) -> None:
    names = ["Zoë ✓ 😀", "\ud800", "nul\x00", 'q"\\']
    for name in names:
        send(account, "/track", {"token": "t", "event": name, "userId": "u"})
    assert account.debug("summary")["events"] == dict.fromkeys(names, 1)


# Pages


def test_pages_of_events_give_each_exactly_once_while_new_ones_arrive(account: Account) -> None:
    base = now_ms() - 60_000
    times = [base, base + 5, base, base + 1, base + 5, base + 5, base, base + 0.5, base + 2, base + 5, base + 1]
    for number, moment in enumerate(times):
        account.track(event=f"E{number}", userId="u", time=moment)
    found: list[str] = []
    for number, page in enumerate(pages(account, "events", limit=2)):
        assert len(page["items"]) <= 2
        found += [item["event"] for item in page["items"]]
        account.track(event=f"later {number}", userId="u")
        account.track(event=f"backfilled {number}", userId="u", time=base + 10)
    assert found == [f"E{number}" for number in (9, 5, 4, 1, 8, 10, 3, 7, 6, 2, 0)]


def test_an_event_that_arrives_between_pages_with_an_old_time_is_given_once_too(account: Account) -> None:
    base = now_ms() - 60_000
    for number in range(6):
        account.track(event=f"E{number}", userId="u", time=base + number * 10)
    found: list[str] = []
    for number, page in enumerate(pages(account, "events", limit=2)):
        found += [item["event"] for item in page["items"]]
        if number == 0:
            account.track(event="between", userId="u", time=base + 15)
    assert found == ["E5", "E4", "E3", "E2", "between", "E1", "E0"]


def test_pages_of_visitors_give_each_exactly_once_while_new_ones_arrive(account: Account) -> None:
    for number in range(7):
        account.track(userId=f"u{number}")
    found: list[str] = []
    for number, page in enumerate(pages(account, "visitors", limit=3)):
        found += [item["visitor_id"] for item in page["items"]]
        account.track(userId=f"later{number}")
        account.track(userId="u0")
    assert found == ["u6", "u5", "u4", "u3", "u2", "u1", "u0"]


def test_pages_of_requests_give_each_exactly_once_while_new_ones_arrive(account: Account) -> None:
    for number in range(7):
        account.track(event=f"E{number}", userId="u")
    found: list[str] = []
    for page in pages(account, "requests", limit=3):
        for item in page["items"]:
            found += [event["event"] for event in account.debug(f"requests/{item['id']}")["events"]]
        account.track(event="later", userId="u")
    assert found == ["E6", "E5", "E4", "E3", "E2", "E1", "E0"]


def test_pages_of_one_visitors_events_give_each_exactly_once(account: Account) -> None:
    moment = now_ms()
    for number in range(5):
        account.track(event=f"E{number}", userId="u", time=moment)
        account.track(event="other", userId="v", time=moment)
    found = [item["event"] for page in pages(account, "visitors/u/events", limit=2) for item in page["items"]]
    assert found == ["E4", "E3", "E2", "E1", "E0"]


@pytest.mark.parametrize("path", LISTS)
def test_a_page_that_is_just_full_is_the_last(account: Account, path: str) -> None:
    account.track(userId="a")
    account.track(userId="b")
    page = account.debug(path, limit=2)
    assert (len(page["items"]), page["total"], page["next_cursor"]) == (2, 2, None)
    page = account.debug(path, limit=1)
    assert (len(page["items"]), page["total"]) == (1, 2)
    assert page["next_cursor"] is not None


def test_a_page_has_a_hundred_items_unless_asked_otherwise(account: Account) -> None:
    for start in (0, 60):
        account.batch(*({"event": "E", "userId": f"u{n}", "distinctId": str(n)} for n in range(start, start + 60)))
    for path in ("events", "visitors"):
        page = account.debug(path)
        assert (len(page["items"]), page["total"]) == (100, 120)
        assert len(account.debug(path, limit=1000)["items"]) == 120


# Errors


@pytest.mark.parametrize("cursor", ["nonsense", "", "-1", "1.5", "1:2:3", ":", "nan:1", "inf:1", "1:", "²", "9" * 30])
def test_a_cursor_no_list_gave_out_is_refused(account: Account, cursor: str) -> None:
    for path in LISTS:
        with case(path):
            account.track(userId="u")
            response = account.http.get(f"{account.url}/debug/{path}", params={"cursor": cursor})
            assert "cursor" in refusal(response, 400)


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "many", "", "1.5", "9" * 30])
def test_a_limit_out_of_range_is_refused(account: Account, limit: str) -> None:
    for path in LISTS:
        with case(path):
            response = account.http.get(f"{account.url}/debug/{path}", params={"limit": limit})
            assert "limit" in refusal(response, 400)


@pytest.mark.parametrize(
    ("query", "name", "advice"),
    [
        ("events?evnt=A", "evnt", "did you mean event?"),
        ("events?visitorid=A", "visitorid", "did you mean visitor_id?"),
        ("events?distinctId=A", "distinctId", "did you mean distinct_id?"),
        ("events?external_id=A", "external_id", ""),
        ("events?property=A", "property", ""),
        ("events?property.=A", "property.", ""),
        ("events?properties.plan=A", "properties.plan", ""),
        ("events/latest?outcom=any", "outcom", "did you mean outcome?"),
        ("visitors?userid=A", "userid", "did you mean user_id?"),
        ("visitors?property.plan=A", "property.plan", ""),
        ("requests?event=A", "event", ""),
        ("requests?limits=1", "limits", "did you mean limit?"),
        ("summary?acount=A", "acount", "did you mean account?"),
        ("rules?limit=1", "limit", ""),
        ("health?verbose=1", "verbose", ""),
        ("visitors/u?limt=1", "limt", ""),
        ("visitors/u/events?limt=1", "limt", "did you mean limit?"),
    ],
)
def test_an_unknown_parameter_is_refused_by_name(account: Account, query: str, name: str, advice: str) -> None:
    account.track(userId="u")
    said = refusal(fetch(account, query), 400)
    assert name in said
    assert advice in said


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("events/999999999", "999999999"),
        ("events/0", "0"),
        ("events/-1", "-1"),
        ("events/" + "9" * 18, "9" * 18),
        ("events/" + "9" * 19, "9" * 19),
        ("events/" + "9" * 30, "9" * 30),
        ("requests/999999999", "999999999"),
        ("requests/" + "9" * 30, "9" * 30),
        ("visitors/ghost", "ghost"),
        ("visitors/ghost/events", "ghost"),
        ("nothing", ""),
    ],
)
def test_what_is_not_there_is_answered_404_by_name(account: Account, path: str, name: str) -> None:
    assert name in refusal(fetch(account, path), 404)


def test_without_events_there_is_no_latest_one(account: Account) -> None:
    assert "event" in refusal(fetch(account, "events/latest"), 404)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("events/first", "event_id"),
        ("requests/last", "request_id"),
        ("events?outcome=lost", "outcome"),
        ("events?test=perhaps", "test"),
        ("events?since=yesterday", "since"),
        ("events?since=", "since"),
        ("events?since=-1", "since"),
        ("events?since=" + "9" * 30, "since"),
        ("events?since=2026-13-01", "since"),
    ],
)
def test_a_value_that_is_none_is_refused_by_name(account: Account, query: str, name: str) -> None:
    assert name in refusal(fetch(account, query), 400)


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "x" * 101, "a\n", "a b", "ü"])
def test_a_name_that_is_no_account_is_refused(server: Server, name: str) -> None:
    response = server.http.get(f"{server.url}/debug/events", params={"account": name})
    assert "account" in refusal(response, 400)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_wrong_method_is_answered_405(account: Account, method: str) -> None:
    response = account.http.request(method, f"{account.url}/debug/events", json={})
    assert refusal(response, 405)
    assert "GET" in response.headers["allow"]


@pytest.mark.parametrize("path", ["visitors", "events", "requests", "summary", "rules", "health"])
def test_a_slash_at_the_end_changes_nothing(account: Account, path: str) -> None:
    account.track(userId="u")
    response = account.http.get(f"{account.url}/debug/{path}/", follow_redirects=True)
    assert response.status_code == 200, response.text
    if path != "health":
        assert response.json() == account.debug(path)


# Filters


@pytest.fixture(scope="module")
def shop(server: Server) -> Account:
    """An account with one of everything."""
    account = server.account()
    account.track(
        event="Purchase",
        userId="ann",
        distinctId="p1",
        eventProperties={
            "plan": "pro",
            "amount": 99.99,
            "seats": 3,
            "paid": True,
            "gift": None,
            "empty": "",
            "a": {"b": {"c": "deep"}, "n": 1},
            "tags": ["x", "y"],
            "näme": "Zoë ✓",
            'quo"te\\': "odd key",
            "percent": "100%",
            "digits": "42",
            "whole": 100.0,
        },
    )
    account.post(
        "/track",
        {
            "token": "test_t",
            "event": "Purchase",
            "userId": "bob",
            "distinctId": "p2",
            "eventProperties": {"plan": "free", "seats": "3", "paid": "true", "amount": 99, "a": {"b": {"c": "x"}}},
        },
    )
    account.batch(
        {"event": "View", "userId": "ann", "distinctId": "v1"},
        {"event": "Zoë ✓", "userId": "Zoë/✓", "distinctId": "z\n1"},
        {"event": "Broken", "distinctId": "r1"},
    )
    account.track(event="Purchase", userId="ann", distinctId="p1")
    account.identify(userId="ann", userProperties={"first_name": "Ann"})
    return account


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "p1 p2 v1 z\n1 $identify"),
        ({"event": "Purchase"}, "p1 p2"),
        ({"event": "purchase"}, ""),
        ({"event": "Purchas"}, ""),
        ({"event": "Zoë ✓"}, "z\n1"),
        ({"event": "$identify"}, "$identify"),
        ({"visitor_id": "ann"}, "p1 v1 $identify"),
        ({"visitor_id": "Zoë/✓"}, "z\n1"),
        ({"visitor_id": "nobody"}, ""),
        ({"distinct_id": "p1"}, "p1"),
        ({"distinct_id": "z\n1"}, "z\n1"),
        ({"distinct_id": "p1", "outcome": "duplicate"}, "p1"),
        ({"endpoint": "track"}, "p1 p2"),
        ({"endpoint": "batch"}, "v1 z\n1"),
        ({"endpoint": "identify"}, "$identify"),
        ({"outcome": "accepted"}, "p1 p2 v1 z\n1 $identify"),
        ({"outcome": "rejected"}, "r1"),
        ({"outcome": "duplicate"}, "p1"),
        ({"outcome": "dropped"}, ""),
        ({"outcome": "any"}, "p1 p2 v1 z\n1 r1 p1 $identify"),
        ({"test": "true"}, "p2"),
        ({"test": "false"}, "p1 v1 z\n1 $identify"),
        ({"property.plan": "pro"}, "p1"),
        ({"property.plan": "PRO"}, ""),
        ({"property.amount": "99.99"}, "p1"),
        ({"property.amount": "99"}, "p2"),
        ({"property.seats": "3"}, "p1 p2"),
        ({"property.seats": '"3"'}, "p2"),
        ({"property.paid": "true"}, "p1 p2"),
        ({"property.paid": "false"}, ""),
        ({"property.gift": "null"}, "p1"),
        ({"property.missing": "null"}, ""),
        ({"property.empty": ""}, "p1"),
        ({"property.a.b.c": "deep"}, "p1"),
        ({"property.a.n": "1"}, "p1"),
        ({"property.a": '{"b": {"c": "deep"}, "n": 1}'}, "p1"),
        ({"property.tags": '["x", "y"]'}, "p1"),
        ({"property.näme": "Zoë ✓"}, "p1"),
        ({'property.quo"te\\': "odd key"}, "p1"),
        ({"property.percent": "100%"}, "p1"),
        ({"property.digits": "42"}, "p1"),
        ({"property.whole": "100"}, "p1"),
        ({"property.whole": "100.0"}, "p1"),
        ({"property.plan": "pro", "property.seats": "3"}, "p1"),
        ({"property.plan": "free", "property.seats": "4"}, ""),
        ({"event": "Purchase", "visitor_id": "bob", "test": "true", "endpoint": "track"}, "p2"),
    ],
)
def test_a_filter_of_events_keeps_exactly_what_it_asks_for(shop: Account, asked: dict[str, str], expected: str) -> None:
    page = shop.debug("events", **asked)
    found = [
        "$identify" if item["event"] == "$identify" else item["distinct_id"].replace("\n", "\\n")
        for item in page["items"]
    ]
    assert sorted(found) == sorted(expected.replace("\n", "\\n").split())
    assert page["total"] == len(found)


def test_dropped_events_are_found_by_their_outcome_only() -> None:
    with serving(allowed_events="Listed") as server:
        server.default.track(event="Listed", userId="u")
        server.default.track(event="Unlisted", userId="u")
        assert [item["event"] for item in server.default.events()] == ["Listed"]
        assert [item["event"] for item in server.default.events(outcome="dropped")] == ["Unlisted"]
        assert server.default.debug("summary")["outcomes"]["dropped"] == 1


def test_since_is_the_moment_of_receipt_in_iso_or_milliseconds(account: Account) -> None:
    account.track(event="before", userId="u")
    first = now_ms()
    until(lambda: now_ms() > first)
    account.track(event="after", userId="u", time=first - 60_000)
    after, before = account.events(event="after")[0], account.events(event="before")[0]
    moment = datetime.fromisoformat(after["received_at"])
    elsewhere = moment.astimezone(timezone(timedelta(hours=5, minutes=30)))
    spellings = [
        after["received_at"],
        str(round(moment.timestamp() * 1000)),
        elsewhere.isoformat(),
        moment.replace(tzinfo=None).isoformat(),
    ]
    for since in spellings:
        assert [item["event"] for item in account.events(since=since)] == ["after"], since
    assert len(account.events(since=before["received_at"])) == 2
    assert account.events(since=now_ms() + 60_000) == []
    assert len(account.events(since=moment.date().isoformat())) == 2


@pytest.fixture(scope="module")
def people(server: Server) -> Account:
    """An account with visitors that are hard to look for."""
    account = server.account()
    account.track(userId="ann", externalId="x1", email="ann@x.co", userProperties={"first_name": "Änn 100%"})
    account.track(userId="bob", externalId="x2", email="same@x.co", userProperties={"city": "a_b"})
    account.track(userId="cat", email="same@x.co", userProperties={"custom_properties": {"note": 'ab/c\\d "q" 😀'}})
    account.track(userId="Zoë", userProperties={"city": "acb 100"})
    return account


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "Zoë cat bob ann"),
        ({"user_id": "ann"}, "ann"),
        ({"user_id": "Ann"}, ""),
        ({"user_id": "Zoë"}, "Zoë"),
        ({"user_id": "x1"}, ""),
        ({"external_id": "x1"}, "ann"),
        ({"external_id": "ann"}, ""),
        ({"email": "same@x.co"}, "cat bob"),
        ({"email": "same@x.co", "external_id": "x2"}, "bob"),
        ({"email": "same@x.co", "user_id": "ann"}, ""),
        ({"q": "ann@"}, "ann"),
        ({"q": "Änn"}, "ann"),
        ({"q": "Zoë"}, "Zoë"),
        ({"q": "oë"}, "Zoë"),
        ({"q": "😀"}, "cat"),
        ({"q": "100%"}, "ann"),
        ({"q": "%"}, "ann"),
        ({"q": "_b"}, "bob"),
        ({"q": "a_b"}, "bob"),
        ({"q": "/c"}, "cat"),
        ({"q": "c\\d"}, "cat"),
        ({"q": '"q"'}, "cat"),
        ({"q": "nobody"}, ""),
        ({"q": "u00"}, ""),
        ({"q": "eb"}, ""),
        ({"q": "same", "user_id": "bob"}, "bob"),
    ],
)
def test_a_filter_of_visitors_keeps_exactly_what_it_asks_for(
    people: Account, asked: dict[str, str], expected: str
) -> None:
    page = people.debug("visitors", **asked)
    assert [item["visitor_id"] for item in page["items"]] == expected.split()
    assert page["total"] == len(page["items"])


@pytest.mark.parametrize("revision", ["2026-05", "2026-10"])
def test_visitors_are_found_by_phone_number_however_it_is_written_and_in_any_revision(
    account: Account, revision: str
) -> None:
    account.http.put(f"{account.url}/debug/accounts/{account.url.rpartition('/')[2]}", json={"revision": revision})
    account.track(userId="ann", userProperties={"phone_number": "+1 (555) 123-4567"})
    account.track(userId="bob", userProperties={"phone_number": 15559999999})
    for spelled in ("+1 (555) 123-4567", "001 555 123 4567", "15551234567"):
        assert account.visitor(phone_number=spelled)["visitor_id"] == "ann"
    assert account.visitor(phone_number="1-555-999-9999", user_id="bob")["visitor_id"] == "bob"
    assert account.visitors(phone_number="5551234567") == []
    assert account.visitors(phone_number="15551234567", user_id="bob") == []
    account.track(userId="ann", userProperties={"phone_number": None})
    assert account.visitors(phone_number="15551234567") == []


def test_a_phone_number_without_a_digit_is_refused(account: Account) -> None:
    for nothing in ("", "+", "none"):
        response = account.http.get(f"{account.url}/debug/visitors", params={"phone_number": nothing})
        advice = f"phone_number: {nothing!r} has no digit; use a number such as +15551234567"
        assert refusal(response, 400) == advice


def test_a_visitor_is_no_longer_found_by_what_they_were_called_before(account: Account) -> None:
    account.track(userId="u", externalId="old", email="old@x.co")
    account.track(userId="u", externalId="new", userProperties={"email": None})
    assert account.visitors(external_id="old") == []
    assert account.visitors(email="old@x.co") == []
    assert account.visitor(external_id="new")["visitor_id"] == "u"


# Order


@pytest.mark.rule("event-order")
def test_events_are_listed_by_time_the_latest_first(account: Account) -> None:
    moment = now_ms()
    for name, ago in [("hour", 3_600_000), ("now", 0), ("week", 604_000_000), ("minute", 60_000)]:
        assert account.track(event=name, userId="u", time=moment - ago).status_code == 200
    expected = ["now", "minute", "hour", "week"]
    assert [item["event"] for item in account.events()] == expected
    assert [item["event"] for item in account.debug("visitors/u/events")["items"]] == expected
    assert account.debug("events/latest")["event"] == "now"


@pytest.mark.rule("event-order")
def test_events_of_the_same_time_are_listed_the_last_arrived_first(account: Account) -> None:
    moment = now_ms()
    for name in "ABC":
        account.track(event=name, userId="u", time=moment)
    assert [item["event"] for item in account.events()] == ["C", "B", "A"]


def test_the_latest_event_is_the_latest_by_time_of_those_asked_for(account: Account) -> None:
    moment = now_ms() - 60_000
    account.track(event="A", userId="u", time=moment + 5, eventProperties={"plan": "pro"})
    account.track(event="A", userId="v", time=moment + 9, eventProperties={"plan": "free"})
    account.track(event="B", userId="u", time=moment + 1)
    account.track(event="refused")
    latest = account.debug("events/latest")
    assert latest.keys() == EVENT
    assert latest["visitor_id"] == "v"
    assert account.debug("events/latest", visitor_id="u")["event"] == "A"
    assert account.debug("events/latest", event="B")["visitor_id"] == "u"
    assert account.debug("events/latest", **{"property.plan": "pro"})["visitor_id"] == "u"
    assert account.debug("events/latest", outcome="any")["event"] == "refused"
    assert "event" in refusal(fetch(account, "events/latest?event=C"), 404)


# The journal


def only_request(account: Account) -> dict[str, Any]:
    (listed,) = account.debug("requests")["items"]
    request: dict[str, Any] = account.debug(f"requests/{listed['id']}")
    assert {key: request[key] for key in REQUEST} == listed
    return request


def test_a_body_is_shown_as_the_text_it_was(account: Account) -> None:
    body = '{ "token":"t",\n "event":"Zoë ✓",\t"userId":"u" }'
    account.post("/track", body.encode())
    request = only_request(account)
    assert (request["body"], request["body_base64"]) == (body, None)


def test_a_gzipped_body_is_shown_unpacked(account: Account) -> None:
    body = json.dumps({"token": "t", "event": "E", "userId": "u"})
    response = account.post("/track", gzip.compress(body.encode()), {"content-encoding": "gzip"})
    assert response.status_code == 200
    request = only_request(account)
    assert (request["body"], request["body_base64"]) == (body, None)
    assert request["content_encoding"] == "gzip"


@pytest.mark.parametrize("body", [b"\xff\xfe{}", b'{"event":"\xe9"}', b'"\xed\xa0\x80"'])
def test_a_body_that_is_no_text_is_shown_in_base64(account: Account, body: bytes) -> None:
    assert account.post("/track", body).status_code == 400
    request = only_request(account)
    assert request["body"] is None
    assert base64.b64decode(request["body_base64"]) == body


@pytest.mark.parametrize(
    "body",
    [b"no gzip at all", b"", gzip.compress(b"{}" * 500)[:-9], gzip.compress(b"{}") + b"junk", gzip.compress(b"\xff")],
    ids=["plain", "empty", "cut short", "junk behind", "no text inside"],
)
def test_a_body_that_is_no_gzip_though_it_says_so_is_shown_in_base64(account: Account, body: bytes) -> None:
    assert account.post("/track", body, {"content-encoding": "gzip"}).status_code == 400
    request = only_request(account)
    assert request["body"] is None
    assert base64.b64decode(request["body_base64"]) == body


def test_requests_that_are_refused_are_in_the_journal_too(account: Account) -> None:
    account.http.get(account.url + "/track")
    account.http.post(account.url + "/nowhere", content=b"x")
    account.post("/track", b"{")
    found = [(item["method"], item["status"], item["endpoint"]) for item in account.debug("requests")["items"]]
    assert found == [("POST", 400, "track"), ("POST", 404, "unknown"), ("GET", 405, "track")]


def test_attempts_of_one_call_share_its_call_id(account: Account) -> None:
    body = {"token": "t", "event": "E", "userId": "u", "distinctId": "1"}
    for retry in ("0", "1", "2"):
        account.post("/track", body, {"x-stainless-retry-count": retry})
    account.post("/track", body, {"x-stainless-retry-count": "0"})
    last, third, second, first = account.debug("requests")["items"]
    assert [item["attempt"] for item in (first, second, third, last)] == [1, 2, 3, 1]
    assert first["call_id"] == second["call_id"] == third["call_id"] == first["id"]
    assert last["call_id"] == last["id"]


def test_the_headers_of_an_answer_lead_to_the_request(account: Account) -> None:
    response = account.track(userId="u")
    assert account.debug(f"requests/{response.headers['x-emulator-request-id']}")["status"] == 200


# Accounts


@pytest.fixture(scope="module")
def two() -> Iterator[tuple[Server, Account, Account]]:
    """An emulator with exactly the accounts `one` and `two`, which have a visitor of the same id."""
    with serving() as server:
        accounts = [Account(f"{server.url}/accounts/{name}", server.http) for name in ("one", "two")]
        for account in accounts:
            account.track(event=account.url[-3:], userId="same", email="s@x.co")
        accounts[1].track(event="more", userId="other")
        yield server, accounts[0], accounts[1]


@pytest.mark.rule("accounts")
def test_without_a_prefix_all_accounts_are_covered(two: tuple[Server, Account, Account]) -> None:
    server, _, _ = two
    everything = server.default
    assert sorted(item["event"] for item in everything.events()) == ["more", "one", "two"]
    assert [(item["account"], item["visitor_id"]) for item in everything.visitors()] == [
        ("two", "other"),
        ("two", "same"),
        ("one", "same"),
    ]
    assert everything.debug("requests")["total"] == 3
    assert everything.debug("summary")["account"] is None
    assert everything.debug("summary")["visitors"] == 3
    assert len(everything.visitors(user_id="same")) == len(everything.visitors(email="s@x.co")) == 2
    assert len(everything.events(visitor_id="same")) == 2


@pytest.mark.rule("accounts")
@pytest.mark.parametrize("path", [*LISTS, "summary", "visitors/same", "visitors/same/events", "events/latest"])
def test_a_prefix_and_the_parameter_narrow_alike(two: tuple[Server, Account, Account], path: str) -> None:
    server, one, second = two
    for account in (one, second):
        name = account.url.rpartition("/")[2]
        answer = account.debug(path)
        assert answer == server.default.debug(path, account=name) == account.debug(path, account=name)
        items = answer.get("items", [answer])
        assert {item["account"] for item in items} == {name}


@pytest.mark.parametrize("path", [*LISTS, "summary", "visitors/same", "events/latest"])
def test_an_account_nobody_used_is_empty(two: tuple[Server, Account, Account], path: str) -> None:
    server, _, _ = two
    response = server.http.get(f"{server.url}/debug/{path}?account=unused")
    if path in ("visitors/same", "events/latest"):
        assert refusal(response, 404)
    else:
        assert response.json().get("total", 0) == 0


@pytest.mark.parametrize("path", [*LISTS, "summary", "visitors/same", "visitors/same/events", "events/1"])
def test_a_prefix_and_another_account_are_refused(two: tuple[Server, Account, Account], path: str) -> None:
    assert "account" in refusal(fetch(two[1], f"{path}?account=two"), 400)


@pytest.mark.parametrize("path", ["visitors/same", "visitors/same/events"])
def test_a_visitor_of_several_accounts_is_asked_for_with_the_account(
    two: tuple[Server, Account, Account], path: str
) -> None:
    server, *accounts = two
    names = {account.url.rpartition("/")[2] for account in accounts}
    told = refusal(fetch(server.default, path), 400).removeprefix("several accounts have visitor same: ")
    assert set(told.removesuffix("; name the account").split(", ")) == names


def test_events_and_requests_of_another_account_are_not_there(two: tuple[Server, Account, Account]) -> None:
    _, one, second = two
    for path in (f"events/{second.events()[0]['id']}", f"requests/{second.debug('requests')['items'][0]['id']}"):
        assert refusal(fetch(one, path), 404)
        assert fetch(second, path).status_code == 200


# Odd identifiers


@pytest.mark.parametrize("visitor_id", ODD_IDS, ids=ascii)
def test_a_visitor_is_read_by_any_id_that_was_accepted(account: Account, visitor_id: str) -> None:
    send(account, "/track", {"token": "t", "event": "E", "userId": visitor_id})
    response = fetch(account, f"visitors/{escaped(visitor_id)}")
    assert response.status_code == 200, response.text
    assert response.json().get("visitor_id") == visitor_id
    response = fetch(account, f"visitors/{escaped(visitor_id)}/events")
    assert response.status_code == 200, response.text
    assert [item["visitor_id"] for item in response.json()["items"]] == [visitor_id]


@pytest.mark.parametrize("visitor_id", [*ASKABLE, ".", ".."], ids=ascii)
def test_a_visitor_is_found_by_any_id_that_was_accepted(account: Account, visitor_id: str) -> None:
    send(account, "/track", {"token": "t", "event": "E", "userId": visitor_id, "externalId": visitor_id})
    for query in ("visitors?user_id=", "visitors?external_id=", "visitors?q=", "events?visitor_id="):
        items = fetch(account, query + escaped(visitor_id)).json()["items"]
        assert [item["visitor_id"] for item in items] == [visitor_id], query


@pytest.mark.parametrize("name", [text for text in ASKABLE if len(text) < 250], ids=ascii)
def test_an_event_is_found_by_any_name_and_distinct_id(account: Account, name: str) -> None:
    send(account, "/track", {"token": "t", "event": name, "userId": "u", "distinctId": name})
    for query in ("event=", "distinct_id="):
        (event,) = fetch(account, f"events?{query}{escaped(name)}").json()["items"]
        assert (event["event"], event["distinct_id"]) == (name, name)


# Reset


def filled(account: Account) -> Account:
    account.track(event="A", userId="u", distinctId="1")
    account.track(event="A", userId="u", distinctId="1")
    account.track(event="B", userId="v", email="v@x.co")
    account.track(event="refused")
    return account


def reset(account: Account, body: object) -> httpx.Response:
    return account.post("/debug/reset", body)


def test_a_reset_of_one_account_leaves_the_others(server: Server) -> None:
    mine, other = filled(server.account()), filled(server.account())
    before = state(other)
    name = mine.url.rpartition("/")[2]
    response = reset(server.default, {"account": name})
    assert response.status_code == 200
    assert response.json() == {"account": name, "visitors": 2, "receipts": 4, "requests": 4}
    assert mine.debug("summary")["outcomes"] == {"accepted": 0, "duplicate": 0, "dropped": 0, "rejected": 0}
    assert all(mine.debug(path)["total"] == 0 for path in LISTS)
    assert state(other) == before
    assert reset(server.default, {"account": name}).json() == {
        "account": name,
        "visitors": 0,
        "receipts": 0,
        "requests": 0,
    }


def test_after_a_reset_everything_is_new_again(account: Account) -> None:
    filled(account)
    last = max(item["id"] for item in account.events(outcome="any"))
    assert reset(account, {}).json()["receipts"] == 4
    account.track(event="A", userId="u", distinctId="1")
    account.track(event="B", email="v@x.co")
    assert [item["outcome"] for item in account.events(outcome="any")] == ["accepted", "accepted"]
    assert [item["resolution"]["created"] for item in account.events()] == [True, True]
    assert min(item["id"] for item in account.events()) > last


def test_a_reset_of_all_forgets_every_account() -> None:
    with serving() as server:
        accounts = [filled(server.account()) for _ in range(3)]
        response = reset(server.default, {"all": True})
        assert response.json() == {"account": None, "visitors": 6, "receipts": 12, "requests": 12}
        assert all(account.debug(path)["total"] == 0 for account in accounts for path in LISTS)
        assert server.default.debug("summary")["visitors"] == 0


def test_a_reset_of_an_account_nobody_used_forgets_nothing(server: Server) -> None:
    response = reset(server.default, {"account": "never-used"})
    assert response.json() == {"account": "never-used", "visitors": 0, "receipts": 0, "requests": 0}


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({}, "account"),
        ({"all": False}, "account"),
        ({"account": None}, "account"),
        ({"account": "x", "all": True}, "account"),
        ({"acount": "x"}, "acount"),
        ({"all": True, "force": True}, "force"),
        ({"all": "true"}, "all"),
        ({"all": 1}, "all"),
        ({"account": "no/name"}, "account"),
        ({"account": ""}, "account"),
        ({"account": 5}, "account"),
        ([], ""),
        (b"", ""),
        (b"{", ""),
        (b"\xff", ""),
        (b"null", ""),
    ],
    ids=repr,
)
def test_a_reset_that_does_not_say_what_is_refused(server: Server, body: object, name: str) -> None:
    mine = filled(server.account())
    before = state(mine)
    assert name in refusal(reset(server.default, body), 400)
    assert state(mine) == before


def test_a_reset_under_a_prefix_is_of_that_account_only(server: Server) -> None:
    mine, other = filled(server.account()), filled(server.account())
    before = state(other)
    assert refusal(reset(mine, {"account": other.url.rpartition("/")[2]}), 400)
    assert refusal(reset(mine, {"all": True}), 400)
    assert mine.debug("summary")["requests"] == 4
    assert reset(mine, {}).json()["requests"] == 4
    assert state(other) == before


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_reset_needs_the_media_type_of_json(server: Server, media_type: str) -> None:
    mine = filled(server.account())
    response = mine.http.post(
        mine.url + "/debug/reset", content=b'{"account":null}', headers={"content-type": media_type}
    )
    assert "application/json" in refusal(response, 415)
    assert mine.debug("summary")["requests"] == 4


def test_the_media_type_of_a_reset_may_have_parameters_and_capitals(account: Account) -> None:
    response = account.post("/debug/reset", b"{}", {"content-type": "Application/JSON; charset=utf-8"})
    assert response.status_code == 200, response.text


# Looking changes nothing


PATHS: dict[str, type[object]] = {
    "/debug": overview.Index,
    "/debug/visitors": Page[Visitor],
    "/debug/visitors/{visitor_id}": Visitor,
    "/debug/visitors/{visitor_id}/events": Page[Event],
    "/debug/events": Page[Event],
    "/debug/events/latest": Event,
    "/debug/events/{event_id}": EventDetail,
    "/debug/requests": Page[RequestRecord],
    "/debug/requests/{request_id}": RequestDetail,
    "/debug/calls": Page[Call],
    "/debug/accounts": Page[accounts.AccountState],
    "/debug/accounts/{name}": accounts.AccountState,
    "/debug/clock": Moment,
    "/debug/faults": Page[faults.FaultState],
    "/debug/experiments": Page[experiments.ExperimentState],
    "/debug/tracking-plan": TrackingPlan,
    "/debug/summary": Summary,
    "/debug/rules": Page[Rule],
    "/debug/rules/counts": Page[RuleCount],
    "/debug/settings": dict[str, overview.Setting],
    "/debug/health": overview.Health,
}


OF_ALL = ("rules", "settings", "health", "debug/accounts")
"""What is the same for every account, and takes no parameter."""
POSTS = ("/debug/reset", "/debug/wait", "/debug/verify", "/debug/verify/sequence", "/debug/import")


def everything(account: Account) -> Account:
    """Fill *account* with one of each shape."""
    account.http.put(f"{account.url}/debug/tracking-plan", json={"events": {"Full": {}}, "allow_unplanned": True})
    filled(account)
    send(account, "/track", {"token": "t", "event": "\ud800 \x00", "userId": "Zoë \ud800"})
    account.batch(
        {
            "event": "Full",
            "userId": "f",
            "distinctId": "f",
            "time": now_ms() - 0.5,
            "eventProperties": {"a": {"b": [None, 1.5, "x"]}},
            "defaultProperties": {"is_bot": False, "received_at": "2026-01-01"},
            "identityContext": {"ip": "1.2.3.4", "userAgent": "UA"},
            "userProperties": {"consent": {"ads": True}, "custom_properties": {"n": 1}},
        },
        {"event": "no id"},
        5,
    )
    account.post("/track", b"\xff")
    account.post("/batch", b"[]")
    account.http.get(account.url + "/nowhere")
    return account


def urls(account: Account) -> Iterator[tuple[str, str]]:
    """Yield each path of the debug API as documented, and as it is called in *account*."""
    requests = [item["id"] for item in account.debug("requests")["items"]]
    events = [item["id"] for item in account.debug("events", outcome="any")["items"]]
    name = account.url.rpartition("/")[2]
    given = {"visitor_id": ["f", "u"], "event_id": events, "request_id": requests, "name": [name]}
    for path in PATHS:
        before, brace, rest = path.partition("{")
        parameter, _, after = rest.partition("}")
        for value in given[parameter] if brace else [""]:
            yield path, f"{account.url}{before}{value}{after}"


def test_every_answer_is_as_the_declared_model_says(account: Account) -> None:
    for path, url in urls(everything(account)):
        response = account.http.get(url, params={"outcome": "any"} if path == "/debug/events" else {})
        assert response.status_code == 200, (url, response.text)
        adapter: TypeAdapter[object] = TypeAdapter(PATHS[path])
        # What the model does not have would be missing here.
        assert as_shown(adapter.dump_python(adapter.validate_python(response.json()))) == response.json(), url
    reset_view: TypeAdapter[object] = TypeAdapter(Cleared)
    answer = reset(account, {}).json()
    assert reset_view.dump_python(reset_view.validate_python(answer)) == answer


def as_shown(value: Any) -> Any:
    """Return *value* with moments as ISO 8601 and tuples as lists."""
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, dict):
        return {key: as_shown(inner) for key, inner in cast(dict[str, Any], value).items()}
    return list(map(as_shown, cast(list[Any], value))) if isinstance(value, list | tuple) else value


def test_an_error_is_as_the_declared_schema_says(account: Account) -> None:
    document = account.http.get(f"{account.url}/debug/openapi.json").json()
    schema = document["components"]["schemas"]["ErrorBody"]
    for path in ("events/1?x=1", "events/first", "visitors/ghost", "nothing"):
        body = fetch(account, path).json()
        assert body.keys() == schema["properties"].keys() == set(schema["required"])
        assert isinstance(body["error"], str)


@pytest.mark.parametrize("prefixed", [True, False])
def test_reading_changes_nothing_and_is_not_journaled(server: Server, prefixed: bool) -> None:
    account = everything(server.account())
    name = account.url.rpartition("/")[2]
    before, all_before = state(account), state(server.default)
    for _, url in urls(account):
        target = url if prefixed else f"{url.replace(account.url, server.url)}"
        params = {} if prefixed or any(part in url for part in OF_ALL) else {"account": name}
        server.http.get(target, params=params)
        server.http.head(target)
        server.http.get(target, params={"nonsense": "1"})
    for path in ("", "/", "/favicon.ico", "/debug/nothing", "/debug/openapi.json", "/debug/reset"):
        server.http.get((account.url if prefixed else server.url) + path if path else server.url)
    assert state(account) == before
    assert state(server.default) == all_before


def test_a_reset_is_not_journaled(account: Account) -> None:
    reset(account, {})
    reset(account, {"all": 1})
    assert account.debug("requests")["total"] == 0


# What the emulator says of itself


def test_the_index_says_where_to_look(server: Server) -> None:
    for path in ("/", "/debug", "/accounts/a/debug", "/accounts/a/"):
        response = server.http.get(server.url + path)
        assert response.status_code == 200, path
        index = response.json()
        assert (index["name"], index["version"]) == ("ours-emulator", __version__)
        for call in index["debug"]:
            method, _, found = call.partition(" ")
            if method == "GET":
                with server.http.stream("GET", server.url + found.replace("{event_id}", "1")) as shown:
                    assert shown.status_code in (200, 400, 404, 422), found


def test_the_rules_are_those_of_the_contract(server: Server) -> None:
    for account, rules in ((server.default, load_rules()), (server.account(), revision().rules)):
        assert account.debug("rules") == {
            "items": [{**asdict(rule), "revisions": list(rule.revisions)} for rule in rules],
            "total": len(rules),
            "next_cursor": None,
            "evicted": 0,
        }


def test_the_emulator_tells_that_it_is_well(server: Server) -> None:
    health = server.default.debug("health")
    assert health.keys() == {"status", "version", "revision"}
    assert (health["status"], health["version"], health["revision"]) == ("ok", __version__, DEFAULT_REVISION)


def test_a_stopped_clock_is_shown_and_stamps_what_arrives() -> None:
    with serving(now="2026-05-01T12:00:00.250Z") as server:
        assert server.default.debug("clock")["now"] == "2026-05-01T12:00:00.250Z"
        server.default.track(userId="u")
        (event,) = server.default.events()
        assert event["received_at"] == "2026-05-01T12:00:00.250Z"
        assert event["time"] == 1777636800250


@pytest.mark.parametrize("now", ["0", "9999-12-31T23:59:59.999Z", "253402300799999"])
def test_whatever_moment_the_clock_may_stop_at_can_be_shown(now: str) -> None:
    with serving(now=now) as server:
        assert server.default.debug("health")["status"] == "ok"
        assert server.default.track(userId="u").status_code == 200
        assert server.default.debug("events")["total"] == 1


def test_the_settings_tell_where_each_one_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS_EMULATOR_KEEP", "77")
    with serving(max_row_bytes=5000) as server:
        settings = server.default.debug("settings")
    assert settings.keys() == Settings.model_fields.keys()
    assert all(setting.keys() == {"value", "origin"} for setting in settings.values())
    assert settings["keep"] == {"value": 77, "origin": "environment"}
    assert settings["max_row_bytes"] == {"value": 5000, "origin": "flag"}
    assert settings["max_body_bytes"] == {"value": 5 * 1024 * 1024, "origin": "default"}
    assert settings["database"] == {"value": None, "origin": "default"}


def test_the_settings_show_no_token() -> None:
    tokens = ["secret-live-token-7xyz", "short", "ab", "a"]
    with serving(tokens=tuple(tokens)) as server:
        response = server.http.get(server.url + "/debug/settings")
        assert response.json()["tokens"] == {"value": ["…7xyz", "…t", "…", "…"], "origin": "flag"}
        assert not any(token in response.text for token in tokens[:2])


def test_the_openapi_document_lists_every_path(server: Server) -> None:
    document = server.http.get(server.url + "/debug/openapi.json").json()
    methods = {path: set(operations) for path, operations in document["paths"].items()}
    changing: dict[str, set[str]] = {
        **{path: {"post"} for path in POSTS},
        "/debug/events/{event_id}/visitor": {"get"},
        "/debug/export": {"get"},
        "/debug/report": {"post"},
        "/debug/stream": {"get"},
        "/metrics": {"get"},
        "/debug/accounts/{name}": {"get", "put", "patch", "delete"},
        "/debug/clock": {"get", "put"},
        "/debug/faults": {"get", "delete"},
        "/debug/faults/{name}": {"get", "put", "delete"},
        "/debug/experiments/{experiment_key}": {"get", "put", "delete"},
        "/debug/tracking-plan": {"get", "put", "delete"},
    }
    assert methods == {path: {"get"} for path in PATHS} | changing
    for path, operations in document["paths"].items():
        for operation in operations.values():
            # A 422 is never given: what is not understood is answered 400.
            assert operation["responses"].keys() <= {"200", "400", "404", "406", "415", "503"}, path
            assert "200" in operation["responses"]
            content = operation["responses"]["200"]["content"]
            assert not content.keys() <= {"application/json"} or "$ref" in json.dumps(content), path
            assert operation.get("summary"), path


def test_every_operation_has_an_example_that_is_as_the_declared_model_says(server: Server) -> None:
    document = server.http.get(server.url + "/debug/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            (content,) = operation["responses"]["200"]["content"].values()
            assert "example" in content, (path, method)
            if method == "get" and path in PATHS:
                adapter: TypeAdapter[object] = TypeAdapter(PATHS[path])
                shown = content["example"]
                assert adapter.dump_python(adapter.validate_python(shown), exclude_none=False), path
            if "requestBody" in operation:
                (asked,) = operation["requestBody"]["content"].values()
                (schema, *_) = asked["schema"].get("anyOf", [asked["schema"]])
                name = schema.get("$ref", "").rpartition("/")[2]
                assert "example" in asked or document["components"]["schemas"][name]["examples"], path


def test_an_event_shows_the_visitor_as_it_left_them(account: Account) -> None:
    account.identify(userId="u", userProperties={"first_name": "Ann", "custom_properties": {"plan": "free"}})
    account.identify(userId="u", email="a@b.co", userProperties={"custom_properties": {"plan": "pro"}})
    account.track(userId="u", event="Paid")
    account.identify(userId="u", userProperties={"first_name": None, "consent": {"ads": True}})
    versions = [account.debug(f"events/{event['id']}/visitor") for event in reversed(account.events())]
    assert [version["properties"] for version in versions] == [
        {"first_name": "Ann"},
        {"first_name": "Ann", "email": "a@b.co"},
        {"first_name": "Ann", "email": "a@b.co"},
        {"email": "a@b.co"},
    ]
    assert [version["custom_properties"]["plan"] for version in versions] == ["free", "pro", "pro", "pro"]
    assert [version["consent"] for version in versions] == [None, None, None, {"ads": True}]
    assert [version["identifiers"]["email"] for version in versions] == [None, *["a@b.co"] * 3]
    # An event that changes nothing refers to the version before.
    first, second, third, fourth = (version["version"] for version in versions)
    assert first < second == third < fourth
    assert all(version["unknown"] == [] for version in versions)


def test_an_event_that_was_refused_left_no_visitor(account: Account) -> None:
    account.track(event="nobody")
    (refused,) = account.events(outcome="rejected")
    response = account.http.get(f"{account.url}/debug/events/{refused['id']}/visitor")
    assert (response.status_code, response.json()) == (404, {"error": f"event {refused['id']} has no visitor"})


def test_the_openapi_document_is_the_same_after_it_was_read_under_a_prefix(server: Server) -> None:
    before = server.http.get(server.url + "/debug/openapi.json").json()
    for name in ("a", "b"):
        prefixed = server.http.get(f"{server.url}/accounts/{name}/debug/openapi.json").json()
        assert prefixed["paths"] == before["paths"]
    assert server.http.get(server.url + "/debug/openapi.json").json() == before


@pytest.mark.parametrize("path", ["events", "requests"])
def test_an_id_below_all_ids_is_not_there(account: Account, path: str) -> None:
    response = account.http.get(f"{account.url}/debug/{path}/-99999999999999999999999")
    assert "there is no" in refusal(response, 404)


@pytest.mark.parametrize(
    ("name", "value", "query"),
    [
        ("n", "\ud83d", 'property.n="\\ud83d"'),
        ("n", "\ud83d", "property.n=%ED%A0%BD"),
        ("\ud83d", "v", "property.%ED%A0%BD=v"),
        ("n", "a\0b", "property.n=a%00b"),
        ("a\0b", "v", "property.a%00b=v"),
        ("a\0b", None, "property.a%00b=null"),
        ("a\0b", {"c.d": 1}, 'property.a%00b={"c.d":1}'),
        ("n", {'q"r': "y"}, 'property.n.q"r=y'),
        ("n", {"b\\s": "y"}, "property.n.b\\s=y"),
    ],
)
def test_properties_with_characters_that_no_database_has_are_found(
    account: Account, name: str, value: Any, query: str
) -> None:
    body = {"token": "t", "event": "E", "userId": "u", "eventProperties": {name: value}}
    account.post("/track", json.dumps(body).encode())
    account.track(event="Other", eventProperties={"n": "v"})
    for other in ({"n": "a\0c"}, {"a\0c": "v"}, {"n": "a"}):
        account.track(event="Other", eventProperties=other)
    answer = account.http.get(f"{account.url}/debug/events?{query}").json()
    assert [event["event"] for event in answer["items"]] == ["E"]
    assert account.http.get(f"{account.url}/debug/events?{query}x").json()["items"] == []


@pytest.mark.parametrize("query", ["&".join(f"property.p{at}=x" for at in range(60)), f"property.{'a.' * 400}b=x"])
def test_too_many_properties_at_once_are_refused(account: Account, query: str) -> None:
    assert "at most 50" in refusal(account.http.get(f"{account.url}/debug/events?{query}"), 400)


@pytest.mark.parametrize("number", ["9007199254740993", "123456789012345678", "123456789012345678901234567890", "1e3"])
def test_a_large_number_is_found_as_it_was_sent(account: Account, number: str) -> None:
    account.post("/track", f'{{"token":"t","event":"E","userId":"u","eventProperties":{{"n":{number}}}}}'.encode())
    assert account.debug("events", **{"property.n": number})["total"] == 1
    assert account.debug("events", **{"property.n": "9007199254740992"})["total"] == 0


def test_an_outcome_that_is_none_is_told_with_all_there_are(account: Account) -> None:
    said = refusal(account.http.get(f"{account.url}/debug/events?outcome=bad"), 400)
    assert said == "outcome: must be 'accepted', 'duplicate', 'dropped', 'rejected' or 'any'"


def test_the_index_says_in_a_line_what_each_call_is_for(server: Server) -> None:
    document = server.http.get(server.url + "/debug/openapi.json").json()
    calls = {f"{method.upper()} {path}" for path, operations in document["paths"].items() for method in operations}
    shown = server.http.get(server.url + "/debug").json()["debug"]
    assert set(shown) == calls | {"GET /debug/openapi.json"}
    assert shown["GET /debug/visitors"] == "List visitors, the newest first."
    assert [call for call, purpose in shown.items() if not purpose.endswith((".", ":"))] == []


def test_an_unknown_parameter_is_answered_with_the_ones_there_are(account: Account) -> None:
    def error(path: str) -> str:
        return refusal(account.http.get(f"{account.url}/debug/{path}"), 400)

    assert error("events?zzz=1").startswith("unknown parameter zzz; use ")
    assert "property.NAME" in error("events?zzz=1")
    assert "property.NAME" not in error("visitors?zzz=1")
    assert error("settings?zzz=1") == "unknown parameter zzz; this call takes none"


def test_an_event_property_is_refused_where_it_would_be_ignored(account: Account) -> None:
    response = account.http.get(account.url + "/debug/stream?property.amount=1")
    assert "unknown parameter property.amount" in refusal(response, 400)


def test_true_and_false_of_a_visitor_are_searched_as_json_has_them(account: Account) -> None:
    for name, value in (("yes", True), ("no", False)):
        account.identify(userId=name, userProperties={"is_bot": value})
    for text, expected in (("true", ["yes"]), ("false", ["no"]), ("1", []), ("0", [])):
        with case(text):
            assert [visitor["visitor_id"] for visitor in account.visitors(q=text)] == expected


def test_text_after_a_nul_character_is_searched(account: Account) -> None:
    account.identify(userId="u\0Xx", userProperties={"first_name": "a\0Needle"})
    for text, count in (("needle", 1), ("%00n", 1), ("xX", 1), ("needles", 0), ("%25", 0), ("_", 0)):
        found = account.http.get(f"{account.url}/debug/visitors?q={text}").json()
        assert found["total"] == len(found["items"]) == count, text
