"""The filters of GET /debug/events that look into events, and the order of its lists."""

import asyncio
import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.exceptions import HTTPException

from ours_emulator.debug.events import TOO_LONG, searched
from ours_emulator.debug.scans import Scans
from ours_emulator.records import EventOrder
from ours_emulator.store import EventFilter, Retention, open_store
from ours_emulator.store.event_text import has_text
from searching import TEXTS, post, send_searched
from serving import Account, Server, serving

pytestmark = pytest.mark.each_database


def refusal(account: Account, query: str) -> str:
    response = account.http.get(f"{account.url}/debug/events?{query}")
    assert response.status_code == 400, response.text
    error: str = response.json()["error"]
    return error


def ids(account: Account, **asked: Any) -> list[str]:
    """Return the distinct ids, or else the endpoints, of the events that are listed on all pages of two."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = account.debug("events", limit=2, **asked, **cursor)
        found += [item["distinct_id"] or item["endpoint"] for item in page["items"]]
        if page["next_cursor"] is None:
            assert page["total"] == len(found)
            return found
        cursor = {"cursor": page["next_cursor"]}


def at(number: int) -> int:
    """Return a time of now or the hour before, which does not grow with *number*."""
    return int(time.time() * 1000) - number * 7919 % 3_600_000


def listed_without_text(account: Account, order: str) -> list[int]:
    """Return the ids of all accepted events as the list without a search has them."""
    found: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        page = account.debug("events", order=order, limit=1000, **cursor)
        found += [item["id"] for item in page["items"]]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


@pytest.fixture(scope="module")
def searched_account(server: Server) -> Account:
    """An account with something to find in each part of an event."""
    account = server.account()
    send_searched(account)
    return account


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_a_text_is_found_in_names_ids_and_what_was_sent_in_any_case(
    searched_account: Account, text: str, expected: str
) -> None:
    assert sorted(ids(searched_account, q=text)) == sorted(expected.split())


def test_a_refused_event_is_found_by_a_part_of_an_identifier_that_it_named(account: Account) -> None:
    account.track(email="ann@example.com", distinctId="refused", time=1)
    assert ids(account, q="ANN@", outcome="any") == ids(account, q="example", reason="time-window") == ["refused"]
    assert ids(account, q="email", outcome="any") == []


def test_a_text_is_found_with_the_other_filters_and_without_any_outcome_but_the_one_asked_for(
    searched_account: Account,
) -> None:
    assert len(ids(searched_account, q="u-1")) == 13
    assert ids(searched_account, q="u-1", distinct_id="key", outcome="any") == ["key", "key"]
    assert ids(searched_account, q="refused") == []
    assert ids(searched_account, q="refused", outcome="any") == ["refused"]
    assert ids(searched_account, q="PIXEL", outcome="any") == ["client/devices"]
    assert sorted(ids(searched_account, q="gold", outcome="any")) == ["client/identify"]
    assert ids(searched_account, q="x-9", endpoint="client/devices") == ["client/devices"]
    assert ids(searched_account, q="", **{"property.amount": "99.99"}) == ["number"]
    assert ids(searched_account, q="gift", **{"property.amount": "1"}) == []
    assert ids(searched_account, q="U-1", event="E", test="true") == []


def test_a_text_that_is_too_long_is_refused(searched_account: Account) -> None:
    assert refusal(searched_account, "q=" + "x" * 1001) == "q: must have at most 1000 characters"
    assert ids(searched_account, q="x" * 1000) == ["long"]


def test_half_of_a_surrogate_pair_is_found_like_any_other_character(account: Account) -> None:
    for distinct_id, value in (("half", "x\ud800y"), ("replaced", "x\ufffdy")):
        event = {"token": "t", "event": "E", "distinctId": distinct_id, "userId": "u", "eventProperties": {"a": value}}
        json_type = {"content-type": "application/json"}
        account.http.post(f"{account.url}/track", content=json.dumps(event), headers=json_type).raise_for_status()
    for text, expected in (("x%ED%A0%80y", ["half"]), ("%ED%A0%80lone", []), ("x%EF%BF%BDy", ["replaced"])):
        found = account.http.get(f"{account.url}/debug/events?q={text}").json()["items"]
        assert [event["distinct_id"] for event in found] == expected
    assert account.http.get(f"{account.url}/debug/events?q={'%ED%A0%80' * 1000}").json()["items"] == []


def test_a_text_is_in_the_names_and_values_of_a_content_and_not_in_what_holds_them() -> None:
    assert has_text(["A", None], "{}", "a")
    assert has_text(["\\u00c4"], "{}", "ä")
    assert has_text([], '{"event_properties":{"a":"\\ud800"}}', "\ud800")
    assert has_text([], '{"event_properties":{"a":[1e+300]}}', "1E+3")
    assert has_text([], '{"named":{"email":"ann@example.com"}}', "ann@")
    assert not has_text([], '{"identity_context":null,"time":null}', "null")
    assert not has_text([], '{"identity":{"userId":"u"},"event_properties":{}}', "userid")


def test_a_search_looks_at_all_events_in_slices_while_others_are_answered(tmp_path: Path) -> None:
    with serving(database=tmp_path / "store.db") as server:
        for first in range(0, 6000, 1000):
            rows = ({"event": "E", "userId": "u", "distinctId": f"d{n}"} for n in range(first, first + 1000))
            assert server.default.batch(*rows).status_code == 200
        page = server.default.debug("events", q="D59", limit=5)
        assert (page["total"], len(page["items"])) == (111, 5)
        assert server.default.debug("events", q="d", order="arrival", limit=1)["items"][0]["distinct_id"] == "d5999"


def test_a_search_that_takes_too_long_is_refused_with_what_to_do(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    with serving(database=database) as server:
        for first in range(0, 5000, 1000):
            rows = ({"event": "E", "userId": "u", "distinctId": f"d{n}"} for n in range(first, first + 1000))
            assert server.default.batch(*rows).status_code == 200

    async def search(seconds: float, *, left: bool = False) -> list[int]:
        async def is_abandoned() -> bool:
            return left

        store = open_store(str(database), Retention())
        try:
            read = partial(store.open_reader().ids_with_text, None, EventFilter(), "D49", "time")
            slices = Scans().slices(read, "", is_abandoned, TOO_LONG, seconds)
            return [event_id async for part in slices for event_id in part]
        finally:
            await store.close()

    assert len(asyncio.run(search(20.0))) == 111
    assert asyncio.run(search(20.0, left=True)) == []
    with pytest.raises(HTTPException, match="q: the search takes too long; add event= or visitor_id="):
        asyncio.run(search(0.0))


@pytest.mark.parametrize("order", ["time", "arrival"])
def test_a_later_page_of_a_search_looks_only_at_what_comes_after_the_page_before(tmp_path: Path, order: str) -> None:
    database, rows = tmp_path / "store.db", 5000
    with serving(database=database) as server:
        for first in range(0, rows, 1000):
            numbers = range(first, first + 1000)
            # Some come late: by time they are in another order than by arrival.
            events = [{"event": "E", "userId": "u", "distinctId": f"d{n}", "time": at(n)} for n in numbers]
            assert server.default.batch(*events).status_code == 200
        pages = [server.default.debug("events", q="d", order=order, limit=1000)]
        while (cursor := pages[-1]["next_cursor"]) is not None:
            pages.append(server.default.debug("events", q="d", order=order, limit=1000, cursor=cursor))
        listed = [item["id"] for page in pages for item in page["items"]]
        assert {page["total"] for page in pages} == {rows}
        assert listed == listed_without_text(server.default, order)

    async def slices(cursor: str | None) -> int:
        async def never() -> bool:
            return False

        store = open_store(str(database), Retention())
        count = 0

        async def read(place: str) -> tuple[Sequence[int], str | None]:
            nonlocal count
            count += 1
            return await store.open_reader().ids_with_text(None, EventFilter(), "d", cast(EventOrder, order), place)

        try:
            await searched(Scans(), read, never, 1000, cursor)
            return count
        finally:
            await store.close()

    assert asyncio.run(slices(None)) == 2
    assert {asyncio.run(slices(page["next_cursor"])) for page in pages[:-1]} == {1}


def test_a_cursor_of_another_list_is_refused_by_a_search(searched_account: Account) -> None:
    plain = searched_account.debug("events", limit=1)["next_cursor"]
    of_search = searched_account.debug("events", limit=1, q="u-1")["next_cursor"]
    for query in (f"q=u-1&cursor={plain}", f"cursor={of_search}", "q=u-1&cursor=_5", "q=u-1&cursor=5:5_x"):
        assert refusal(searched_account, query).startswith("cursor: not a cursor of this list")


# Hints


def test_events_are_found_by_the_rule_of_a_hint(account: Account) -> None:
    account.track(userId="u", distinctId="unknown", properties={}, traits={})
    account.track(userId="u", distinctId="empty", userProperties={"city": ""})
    account.track(userId="u", distinctId="both", userProperties={"city": ""}, properties={})
    account.track(userId='","rule":"custom-null', distinctId="none", eventProperties={"rule": "unknown-keys"})
    account.track(distinctId="refused", properties={})
    assert sorted(ids(account, hint="unknown-keys")) == ["both", "unknown"]
    assert sorted(ids(account, hint="unknown-keys", outcome="any")) == ["both", "refused", "unknown"]
    assert sorted(ids(account, hint="property-empty")) == ["both", "empty"]
    assert ids(account, hint="custom-null") == []
    assert sorted(ids(account, hint="any")) == ["both", "empty", "unknown"]
    assert ids(account, hint="unknown-keys", q="BOTH") == ["both"]
    assert ids(account, hint="identifier", outcome="any") == []


def test_a_hint_of_no_rule_is_refused(account: Account) -> None:
    assert refusal(account, "hint=unknown-key") == "hint: unknown-key is not a rule; did you mean unknown-keys?"
    assert refusal(account, "hint=") == "hint:  is not a rule; GET /debug/rules lists them"
    assert refusal(account, "hint=" + "%00" * 200).startswith("hint: \0")


def test_events_are_found_by_the_rule_that_refused_them(account: Account) -> None:
    account.track(distinctId="nobody", event="identifier")
    account.track(userId="u", distinctId="accepted", event="identifier", properties={})
    account.batch({"event": "A", "distinctId": "row"}, {"event": 5})
    account.post("/track", b"not json")
    assert sorted(ids(account, reason="identifier")) == ["nobody", "row"]
    assert sorted(ids(account, reason="identifier", outcome="rejected", order="arrival")) == ["nobody", "row"]
    assert ids(account, reason="identifier", q="ROW") == ["row"]
    assert ids(account, reason="identifier", outcome="accepted") == []
    assert ids(account, reason="unknown-keys") == []
    assert refusal(account, "reason=identifer") == "reason: identifer is not a rule; did you mean identifier?"


def test_the_events_that_met_each_rule_are_counted(account: Account, server: Server) -> None:
    assert account.debug("rules/counts")["items"] == []
    account.track(userId="u", distinctId="two hints", properties={}, traits={})
    account.track(userId="u", distinctId="two rules", userProperties={"city": ""}, properties={})
    account.track(distinctId="refused and hinted", properties={})
    account.track(distinctId="refused")
    account.track(
        userId='"hints":[]', event='"hints":[{"rule":"custom-null"}]', eventProperties={"rule": "custom-null"}
    )
    server.account().track(userId="u", properties={})
    page = account.debug("rules/counts")
    assert page == {
        "items": [
            {"rule": "unknown-keys", "hinted": 3, "refused": 0},
            {"rule": "identifier", "hinted": 0, "refused": 2},
            {"rule": "property-empty", "hinted": 1, "refused": 0},
        ],
        "total": 3,
        "next_cursor": None,
        "evicted": 0,
    }
    for count in page["items"]:
        assert len(ids(account, hint=count["rule"], outcome="any")) == count["hinted"]
        assert len(ids(account, reason=count["rule"])) == count["refused"]


def test_rules_are_counted_in_all_accounts_and_over_all_slices(tmp_path: Path) -> None:
    with serving(database=tmp_path / "store.db") as server:
        for name in ("a", "b", "a"):
            for first in range(0, 5000, 1000):
                rows = (
                    {"event": "E", "userId": "u", "distinctId": f"{name}{n}", "x": 1}
                    for n in range(first, first + 1000)
                )
                assert Account(f"{server.url}/accounts/{name}", server.http).batch(*rows).status_code == 200
        counted = [{"rule": "unknown-keys", "hinted": 10_000, "refused": 0}]
        assert server.default.debug("rules/counts", account="a")["items"] == counted
        (count,) = server.default.debug("rules/counts")["items"]
        assert count["hinted"] == 15_000


# Requests


def test_events_are_found_by_their_request(account: Account) -> None:
    account.track(userId="u", distinctId="before")
    account.batch({"event": "A", "userId": "u", "distinctId": "1"}, {"event": "B"}, {"event": "C", "distinctId": "1"})
    account.track(userId="u", distinctId="after")
    _, request, _ = (item["id"] for item in account.debug("requests")["items"])
    assert ids(account, request_id=request) == ["1"]
    assert sorted(ids(account, request_id=request, outcome="any", order="arrival")) == ["1", "1", "batch"]
    assert ids(account, request_id=request, visitor_id="u") == ["1"]
    assert ids(account, request_id=request, q="u", event="A") == ["1"]
    assert ids(account, request_id=2**63 - 1) == []
    assert refusal(account, "request_id=0") == "request_id: must be at least 1"
    assert refusal(account, "request_id=x") == "request_id: must be an integer"
    assert refusal(account, f"request_id={2**63}") == f"request_id: must be at most {2**63 - 1}"


def test_events_are_found_by_a_request_that_is_no_longer_in_the_journal(tmp_path: Path) -> None:
    with serving(keep_body_bytes=1000, database=tmp_path / "store.db") as server:
        server.default.track(userId="u", distinctId="first", eventProperties={"a": "x" * 600})
        (event,) = server.default.events()
        server.default.track(userId="u", distinctId="second", eventProperties={"a": "x" * 600})
        assert len(server.default.debug("requests")["items"]) == 1
        assert ids(server.default, request_id=event["request_id"]) == ["first"]


# Order


def test_events_are_listed_by_time_or_by_arrival(account: Account) -> None:
    now = account.debug("clock")["now_ms"]
    for name, ago in (("a", 1000), ("b", 3000), ("c", 0), ("d", 2000)):
        account.track(userId="u", distinctId=name, time=now - ago)
    account.track(userId="v", distinctId="e", time=now - 1500)
    assert ids(account) == ids(account, order="time") == ["c", "a", "e", "d", "b"]
    assert ids(account, order="arrival") == ["e", "d", "c", "b", "a"]
    assert ids(account, order="arrival", visitor_id="u") == ["d", "c", "b", "a"]
    assert ids(account, order="arrival", q="u") == ["d", "c", "b", "a"]
    assert ids(account, order="arrival", since=0, outcome="any") == ["e", "d", "c", "b", "a"]
    listed = account.debug("visitors/u/events", order="arrival")["items"]
    assert [item["distinct_id"] for item in listed] == ["d", "c", "b", "a"]
    assert refusal(account, "order=id").startswith("order: ")
    by_time = account.debug("events", limit=1)["next_cursor"]
    by_arrival = account.debug("events", limit=1, order="arrival")["next_cursor"]
    assert "cursor: " in refusal(account, f"cursor={by_time}&order=arrival")
    assert "cursor: " in refusal(account, f"cursor={by_arrival}")


@pytest.mark.parametrize("rows", [30, 20_500])
def test_pages_by_arrival_have_each_event_of_the_account_exactly_once(rows: int) -> None:
    with serving() as server:
        own, other = (Account(f"{server.url}/accounts/{name}", server.http) for name in ("own", "other"))
        for first in range(0, rows, 1000):
            numbers = range(first, min(first + 1000, rows))
            sent = ({"event": "E", "userId": "u", "distinctId": str(number)} for number in numbers)
            assert own.batch(*sent).status_code == 200
            assert other.track(userId="u").status_code == 200
        page = own.debug("events", order="arrival", limit=1000 if rows > 1000 else 7)
        found = [int(item["distinct_id"]) for item in page["items"]]
        while page["next_cursor"] is not None:
            page = own.debug("events", order="arrival", limit=len(page["items"]), cursor=page["next_cursor"])
            found += [int(item["distinct_id"]) for item in page["items"]]
        assert found == list(reversed(range(rows)))


# One visitor


def test_a_visitor_has_everything_that_named_them_with_its_outcome(account: Account) -> None:
    account.configure(allowed_events=["A"])
    device = dict.fromkeys(("device_id", "os", "model", "app_build", "app_version"), "x")
    post(account, "/api/client/devices", {"external_id": "x", **device})
    post(account, "/api/client/devices", {"external_id": "y", **device})
    account.track(event="A", externalId="x", distinctId="1")
    account.track(event="A", externalId="x", distinctId="1")
    post(account, "/api/client/identify", {"external_id": "x", "anonymous_id": "\ud800\0"})
    post(account, "/api/client/alias", {"external_id": "x", "anonymous_id": "\ud800\0"})
    post(account, "/api/client/devices", {"anonymous_id": "\ud800\0", **device})
    account.track(event="Dropped", userId="someone else", eventProperties={"externalId": "x"})
    account.track(event="Dropped", userProperties={"external_id": "x"})
    account.track(event="A", userId="someone else")
    account.track(event="A", externalId="x", time=1)
    visitor_id = account.visitor(external_id="x")["visitor_id"]
    page = account.debug(f"visitors/{visitor_id}/events", order="arrival")
    assert [(item["endpoint"], item["outcome"]) for item in page["items"]] == [
        ("track", "rejected"),
        ("track", "dropped"),
        ("client/devices", "accepted"),
        ("client/alias", "accepted"),
        ("client/identify", "accepted"),
        ("track", "duplicate"),
        ("track", "accepted"),
        ("client/devices", "accepted"),
    ]
    assert page["total"] == 8
    listed, cursor = list[int](), dict[str, str]()
    for number in (3, 3, 2):
        part = account.debug(f"visitors/{visitor_id}/events", limit=3, **cursor)
        assert len(part["items"]) == number
        listed += [item["id"] for item in part["items"]]
        cursor = {"cursor": part["next_cursor"]}
    assert sorted(listed, reverse=True) == [item["id"] for item in page["items"]]


def test_what_was_refused_is_found_by_the_visitor_that_it_named(account: Account) -> None:
    account.identify(userId="u", externalId="x", email="ann@example.com", userProperties={"phone_number": "+1 555"})
    refused: list[dict[str, Any]] = [
        {"userId": "u", "event": 5},
        {"externalId": "x", "event": "By external id", "time": 1},
        {"email": "ann@example.com", "userId": 5, "event": "By email"},
        {"event": "Inside", "userProperties": {"email": "ann@example.com", "city": 5}, "time": 1},
    ]
    others: list[dict[str, Any]] = [
        {"userId": "v", "event": 5},
        {"userId": {"a": "u"}, "event": "Not a text"},
        {"event": "Not an object", "userProperties": "u"},
        {"userId": "u" * 2001, "event": "Too long"},
    ]
    for body in (*refused, *others):
        assert account.post("/track", {"token": "t", **body}).status_code == 400
    assert (
        account.batch(*({"event": event, "userId": "u", "distinctId": "d"} for event in ("Fine", 5))).status_code == 207
    )
    items = account.debug("visitors/u/events", order="arrival")["items"]
    assert [(item["outcome"], item["event"], item["batch_index"]) for item in items[:-1]] == [
        ("rejected", None, 1),
        ("accepted", "Fine", 0),
        *(("rejected", body["event"] if isinstance(body["event"], str) else None, None) for body in reversed(refused)),
    ]
    # What they named is what nobody checked, and so no field of the event.
    assert {str(item["identity"]) for item in items if item["outcome"] == "rejected"} == {"{}"}


def test_what_a_fault_or_the_size_of_the_visitor_refused_is_found_by_its_visitor() -> None:
    with serving(max_visitor_bytes=1500) as server:
        server.default.track(event="Small", userId="u")
        server.default.track(event="Large", userId="u", userProperties={"city": "x" * 1900})
        fault = {"answer": {"status": 503}, "times": 1}
        server.http.put(f"{server.url}/debug/faults/busy", json=fault).raise_for_status()
        server.default.track(event="Busy", userId="u")
        items = server.default.debug("visitors/u/events", order="arrival")["items"]
        assert [(item["event"], item["outcome"]) for item in items] == [
            ("Busy", "rejected"),
            ("Large", "rejected"),
            ("Small", "accepted"),
        ]


def test_a_visitor_has_nothing_of_another_account_that_gave_the_same_identifier(server: Server) -> None:
    own, other = server.account(), server.account()
    for account in (own, other):
        account.configure(allowed_events=["A"])
        account.track(event="A", userId="u")
        account.track(event="Dropped", userId="u")
    page = own.debug("visitors/u/events")
    assert {item["account"] for item in page["items"]} == {own.url.rpartition("/")[2]}
    assert page["total"] == 2
