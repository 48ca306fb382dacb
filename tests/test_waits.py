"""Wait and verify over HTTP: woken by the commit, honest about what is missing, and cheap for many at once."""

import asyncio
import json
import random
import socket
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from looping import case
from ours_emulator.app import create_app
from ours_emulator.records import Event, Met, Unmet, from_json, to_json
from ours_emulator.settings import load
from serving import Account, Server, serving
from waiting import Sent, catch_up, sending

pytestmark = pytest.mark.each_database

NOT_UNDERSTOOD: list[tuple[str, dict[str, Any], str]] = [
    ("verify", {"match": {"evnt": "X"}}, "match.evnt: unknown field; did you mean event?"),
    ("wait", {"match": {"event": {"$rgex": "X"}}}, "match.event.$rgex: unknown operator; did you mean"),
    ("wait", {"match": {"event_property.x": 1}}, "match.event_property: unknown field; did you mean"),
    ("wait", {"mtach": {}}, "match: is missing"),
    ("verify", {}, "match: is missing"),
    ("verify", {"match": []}, "match: must be an object of fields"),
    ("verify", {"match": {}, "timeout_ms": 5}, "timeout_ms: "),
    ("verify", {"match": {}, "settle_ms": 5}, "settle_ms: "),
    ("wait", {"match": {}, "timeout_ms": 55_001}, "timeout_ms: "),
    ("wait", {"match": {}, "timeout_ms": 1.5}, "timeout_ms: "),
    ("wait", {"match": {}, "timeout_ms": 50_000, "settle_ms": 5001}, "settle_ms: "),
    ("wait", {"match": {}, "settle_ms": -1}, "settle_ms: "),
    ("wait", {"match": {}, "mode": "some"}, "mode: "),
    ("wait", {"match": {}, "count": 0}, "count: at least 0 is always true"),
    ("wait", {"match": {}, "count": True}, "count: "),
    ("wait", {"match": {}, "count": 1, "mode": "none"}, "count: 1 contradicts mode none; omit it"),
    ("verify", {"match": {}, "outcome": "acepted"}, "outcome"),
    ("verify", {"match": {}, "after": -1}, "after: "),
    ("verify", {"match": {}, "after": 2**63}, "after: "),
    ("verify", {"match": {}, "account": "a/b"}, "account: "),
    ("verify/sequence", {"sequence": []}, "sequence: "),
    ("verify/sequence", {"sequence": [{}, {"evnt": 1}]}, "sequence.1.evnt: unknown field"),
    ("verify/sequence", {"sequence": [{}, 5]}, "sequence.1: must be an object of fields"),
    ("verify/sequence", {"sequence": [{}] * 101}, "sequence: "),
    ("verify/sequence", {"sequence": [{}], "mode": "none"}, "mode: "),
]


def ask(where: Account, path: str, **body: Any) -> httpx.Response:
    return where.post(f"/debug/{path}", body)


def met(response: httpx.Response) -> dict[str, Any]:
    """Return the answer, which must be a 200 of the declared shape."""
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert to_json(from_json(Met, answer)) == answer
    return answer


def unmet(response: httpx.Response) -> dict[str, Any]:
    """Return the answer, which must be a 406 of the declared shape."""
    assert response.status_code == 406, response.text
    answer: dict[str, Any] = response.json()
    assert to_json(from_json(Unmet, answer)) == answer
    return answer


def refused(response: httpx.Response) -> str:
    """Return the sentence of a 400."""
    assert response.status_code == 400, response.text
    (error,) = response.json().values()
    return str(error)


def names(answer: dict[str, Any]) -> list[str]:
    return [item["event"] for item in answer["items"]]


@contextmanager
def begun(where: Account, **body: Any) -> Generator[Sent]:
    """Ask to wait. The block begins when the emulator has begun to."""
    with sending(f"{where.url}/debug/wait", body) as wait:
        yield wait


@pytest.mark.parametrize("path", ["wait", "verify"])
def test_what_is_there_already_is_answered_at_once(account: Account, path: str) -> None:
    account.track(event="Purchase", userId="u", email="a@b.co")
    # Longer than a client of these tests would wait.
    time_limit = {"timeout_ms": 50_000} if path == "wait" else {}
    answer = met(ask(account, path, match={"event": "Purchase", "email": "a@b.co"}, **time_limit))
    assert answer["items"] == account.events()
    assert (answer["count"], answer["evicted"]) == (1, 0)


def test_a_wait_is_woken_by_its_event(account: Account) -> None:
    with begun(account, match={"event": "Purchase"}, timeout_ms=50_000) as wait:
        account.track(event="Other", userId="u")
        catch_up(account.url)
        assert not wait.answered()
        account.track(event="Purchase", userId="u")
        answer = met(wait.answer())
    assert names(answer) == ["Purchase"]
    assert answer["waited_ms"] > 0
    assert answer["items"] == account.events(event="Purchase")


def test_a_wait_ends_when_its_time_is_up(account: Account) -> None:
    account.track(event="Purchase", userId="u")
    with begun(account, match={"event": "Refund"}, timeout_ms=1000) as wait:
        account.track(event="Other", userId="u")
        answer = unmet(wait.answer())
    assert answer["waited_ms"] >= 1000
    assert answer["error"].startswith("no events matched within 1000 ms; expected at least 1; nearest is event ")
    assert answer["found"] == "no events matched within 1000 ms"
    assert (answer["mode"], answer["expected"], answer["count"], answer["items"]) == ("at_least", 1, 0, [])
    assert {near["event"]["event"] for near in answer["near_misses"]} == {"Other", "Purchase"}


def test_a_post_can_be_verified_without_a_pause_every_time(server: Server) -> None:
    """A hundred times over HTTP; test_feed does it more often."""
    shared = server.account()
    for number in range(100):
        account = shared if number % 2 else server.account()
        assert account.track(distinctId=f"d{number}", userId="u").status_code == 200
        assert ask(account, "verify", match={"distinct_id": f"d{number}"}).status_code == 200, number


async def post(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], path: str, body: object
) -> tuple[int, Any]:
    """Post over a raw connection: a whole client for each of hundreds would take longer than what is tested."""
    reader, writer = connection
    text = json.dumps(body)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(text)}"
    writer.write(f"{head}\r\n\r\n{text}".encode())
    answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(answer.partition("content-length: ")[2].partition("\r\n")[0])
    return int(answer.split()[1]), json.loads(await reader.readexactly(length))


def test_hundreds_of_waiters_are_each_woken_by_their_own_event(server: Server) -> None:
    address = urlsplit(server.url)
    shared = server.account()
    # Half of them in one account, each of the others in one of its own.
    paths = [urlsplit((server.account() if number % 2 else shared).url).path for number in range(200)]

    async def scenario() -> list[tuple[int, list[str]]]:
        connections = [await asyncio.open_connection(address.hostname, address.port) for _ in range(200)]

        async def wait(number: int) -> tuple[int, list[str]]:
            call = {"match": {"event": f"Event {number}"}, "timeout_ms": 50_000}
            status, answer = await post(connections[number], f"{paths[number]}/debug/wait", call)
            return status, names(answer)

        waiting = [asyncio.create_task(wait(number)) for number in range(200)]
        # Every wait is sent, as each task writes before it waits; then the emulator gets time to begin with them.
        await asyncio.sleep(0)
        await asyncio.to_thread(catch_up, server.url)
        # Only now: a connection that sends nothing for ten seconds is closed.
        poster = await asyncio.open_connection(address.hostname, address.port)
        for number in reversed(range(200)):
            event = {"token": "t", "event": f"Event {number}", "userId": "u"}
            assert (await post(poster, f"{paths[number]}/track", event))[0] == 200
        answers = await asyncio.gather(*waiting)
        for _, writer in (*connections, poster):
            writer.close()
        return answers

    assert asyncio.run(scenario()) == [(200, [f"Event {number}"]) for number in range(200)]


@pytest.mark.parametrize(
    ("mode", "count", "sent", "ok"),
    [
        ("at_least", 1, 1, True),
        ("at_least", 2, 3, True),
        ("at_least", 2, 1, False),
        ("exactly", 2, 2, True),
        ("exactly", 2, 1, False),
        ("exactly", 2, 3, False),
        ("exactly", 0, 0, True),
        ("exactly", 0, 1, False),
        ("at_most", 2, 0, True),
        ("at_most", 2, 2, True),
        ("at_most", 2, 3, False),
        ("none", None, 0, True),
        ("none", None, 1, False),
        ("none", 0, 0, True),
    ],
)
@pytest.mark.parametrize("call", [("verify", {}), ("wait", {"timeout_ms": 20})], ids=["verify", "wait"])
def test_the_mode_says_how_many_there_should_be(
    account: Account, call: tuple[str, dict[str, Any]], mode: str, count: int | None, sent: int, ok: bool
) -> None:
    for _ in range(sent):
        account.track(event="X", userId="u")
    response = ask(account, call[0], match={"event": "X"}, mode=mode, count=count, **call[1])
    answer = met(response) if ok else unmet(response)
    assert (answer["count"], len(answer["items"])) == (sent, sent)
    if not ok:
        assert (answer["mode"], answer["expected"]) == (mode, count or 0)


@pytest.mark.parametrize(("mode", "count"), [("exactly", 1), ("at_most", 1), ("none", None)])
def test_one_too_many_fails_at_once(account: Account, mode: str, count: int | None) -> None:
    if mode != "none":
        account.track(event="X", userId="u")
    # It would settle for longer than a client of these tests waits.
    with begun(account, match={"event": "X"}, mode=mode, count=count, settle_ms=50_000) as wait:
        account.track(event="X", userId="u")
        answer = unmet(wait.answer())
    assert answer["count"] == (count or 0) + 1
    assert answer["near_misses"] == answer["candidates"] == []


@pytest.mark.parametrize(
    ("mode", "count"), [("at_least", 1), ("exactly", 1), ("at_most", 1), ("at_most", 2), ("none", None)]
)
def test_settling_waits_for_as_long_without_a_further_one(account: Account, mode: str, count: int | None) -> None:
    if mode != "none":
        account.track(event="X", userId="u")
    with begun(account, match={"event": "X"}, mode=mode, count=count, settle_ms=400) as wait:
        account.track(event="Y", userId="u")
        answer = met(wait.answer())
    assert answer["waited_ms"] >= 400


def test_settling_begins_anew_with_a_further_one(account: Account) -> None:
    account.track(event="X", userId="u")
    with begun(account, match={"event": "X"}, settle_ms=1500) as wait:
        posted = time.monotonic()
        account.track(event="X", userId="u")
        answer = met(wait.answer())
    assert answer["count"] == 2
    assert time.monotonic() - posted >= 1.5


def test_a_reset_during_a_wait_forgets_what_matched(account: Account) -> None:
    account.track(event="X", userId="u")
    with begun(account, match={"event": "X"}, count=2, timeout_ms=50_000) as wait:
        assert account.post("/debug/reset", {}).status_code == 200
        account.track(event="X", userId="u")
        catch_up(account.url)
        assert not wait.answered()
        account.track(event="X", userId="u")
        answer = met(wait.answer())
    assert answer["count"] == 2


def test_what_was_refused_dropped_or_repeated_comes_first() -> None:
    with serving(allowed_events=("Purchase", "Refund")) as server:
        account = server.default
        account.track(event="Refund", userId="u", distinctId="o1")
        account.track(event="Purchase", userId="u", distinctId="o1")
        account.track(event="Purchase ", userId="u", distinctId="o2", token="")
        account.track(event="Purchase", distinctId="o2")
        answer = unmet(ask(account, "verify", match={"event": "Purchase"}))
        found = [(it["event"]["outcome"], it["misses"]) for it in answer["candidates"]]
        why = "needs one of userId, externalId and email [identifier]"
        assert found == [
            ("rejected", [{"path": "outcome", "expected": "accepted", "actual": "rejected", "why": why}]),
            (
                "duplicate",
                [
                    {
                        "path": "outcome",
                        "expected": "accepted",
                        "actual": "duplicate",
                        "why": "its distinctId was used before [dedup]",
                    }
                ],
            ),
        ]
        assert answer["error"] == (
            f"no events matched; expected at least 1; event 4 would have matched, but was rejected: {why}"
        )
        account.track(event="View", userId="u")
        answer = unmet(ask(account, "verify", match={"event": "View", "user_id": "u"}))
        (dropped,) = answer["candidates"]
        assert dropped["misses"][0]["why"] == "event: not on the account's list of allowed events; dropped [allow-list]"


def test_what_a_refused_event_does_not_keep_does_not_tell_it_apart(account: Account) -> None:
    account.track(event="Purchase", eventProperties={"amount": 5})
    account.track(event="Refund", eventProperties={"amount": 5})
    match = {"event": "Purchase", "email": "a@b.co", "event_properties.amount": 5}
    answer = unmet(ask(account, "verify", match=match))
    (candidate,) = answer["candidates"]
    assert candidate["event"]["event"] == "Purchase"
    assert [miss["path"] for miss in candidate["misses"]] == ["outcome", "email"]
    assert {miss["why"] for miss in candidate["misses"][1:]} == {"not known, because the event was rejected"}
    assert "may have matched, but was rejected: " in answer["error"]


def test_a_refused_event_is_compared_with_what_its_request_says(account: Account) -> None:
    account.track(event="Purchase", eventProperties={"amount": 5})
    account.batch({"event": "View"}, {"event": "Purchase", "eventProperties": {"amount": 7}})
    account.track(event="Purchase", userId="u", time=1, eventProperties={"amount": 7})
    answer = unmet(ask(account, "verify", match={"event": "Purchase", "event_properties.amount": 7, "user_id": "u"}))
    found = [(it["event"]["batch_index"], [miss["path"] for miss in it["misses"]]) for it in answer["candidates"]]
    assert found == [(None, ["outcome"]), (1, ["outcome", "user_id"])]
    (near,) = answer["near_misses"]
    assert [(miss["path"], miss["actual"]) for miss in near["misses"]] == [
        ("outcome", "rejected"),
        ("event_properties.amount", 5),
        ("user_id", None),
    ]


def test_requests_that_were_refused_before_they_were_read_are_one_line_and_hide_no_near_miss(account: Account) -> None:
    account.track(event="Purchase", userId="u", eventProperties={"amount": 5})
    for _ in range(6):
        account.post("/api/v2/track", {"event": "Purchase"})
    answer = unmet(ask(account, "verify", match={"event": "Purchase", "event_properties.amount": 7}))
    ((event,), last) = [it["event"] for it in answer["near_misses"]], answer["last_unread"]
    assert (answer["candidates"], answer["unread"], event["event"]) == ([], 6, "Purchase")
    assert answer["error"].endswith(f"; nearest is event {event['id']}: event_properties.amount: another value")
    *_, count, the_last = answer["explanation"].splitlines()
    assert count == "6 refused requests whose event is not known"
    assert the_last.startswith(f"  the last one: #{last['id']} unknown rejected: ")
    answer = unmet(ask(account, "verify", match={"event": "Purchase"}, after=event["id"]))
    assert f"; 6 refused requests whose event is not known, the last one is {last['id']}: " in answer["error"]


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ({"properties": {"amount": 7}}, "it was sent in `properties`, which was dropped [unknown-keys]"),
        ({"amount": 7}, "it was sent as `amount`, which was dropped [unknown-keys]"),
        ({"properties": {"price": 7}}, ""),
    ],
)
def test_a_property_that_was_lost_with_an_unknown_key_is_said_to_be(
    account: Account, sent: dict[str, Any], why: str
) -> None:
    account.track(event="Purchase", userId="u", **sent)
    match = {"event": "Purchase", "event_properties": {"amount": 7}}
    answers = [
        unmet(ask(account, "verify", match=match)),
        unmet(ask(account, "verify/sequence", sequence=[match])),
    ]
    for answer in answers:
        ((miss,),) = [it["misses"] for it in answer["near_misses"]]
        assert miss["why"] == "; ".join(filter(None, ("not there", why)))
        assert answer["explanation"].endswith(f"expected 7, got nothing{why and f' ({why})'}")


def test_near_misses_are_the_nearest_first_and_say_what_differs(account: Account) -> None:
    for amount in (99.99, "99.99"):
        account.track(event="purchase", userId="u", eventProperties={"amount": amount})
    account.track(event="Purchase", userId="u", eventProperties={"amount": "99.99"})
    for _ in range(6):
        account.track(event="Far", userId="v")
    match = {"event": "Purchase", "event_properties.amount": 99.99, "user_id": "u"}
    answer = unmet(ask(account, "verify", match=match))
    near = answer["near_misses"]
    assert len(near) == 5
    assert near[0]["misses"] == [
        {"path": "event", "expected": "Purchase", "actual": "purchase", "why": "differs only in upper and lower case"}
    ]
    assert near[1]["misses"] == [
        {"path": "event_properties.amount", "expected": 99.99, "actual": "99.99", "why": "a string, not a number"}
    ]
    assert len(near[2]["misses"]) == 2
    assert answer["candidates"] == []


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"email": "top@b.co"}, ["A"]),
        ({"email": "inner@b.co"}, ["B"]),
        ({"external_id": "cust"}, ["A", "D"]),
        ({"user_id": "u1"}, ["A"]),
        ({"visitor_id": "u1"}, ["A", "D"]),
        ({"anonymous_id": "phone"}, ["C"]),
        ({"anonymous_id": {"$any": True}}, ["C"]),
        ({"event": "A", "endpoint": "track", "test": False, "repeats": 0, "batch_index": None}, ["A"]),
    ],
    ids=json.dumps,
)
def test_identifiers_are_those_of_the_message_or_else_the_visitors(
    account: Account, match: dict[str, Any], expected: list[str]
) -> None:
    account.track(event="A", userId="u1", externalId="cust", email="top@b.co")
    account.track(event="B", userProperties={"email": "inner@b.co"})
    client = [{"anonymous_id": "phone", "name": "C"}]
    account.post("/api/client/events", client, {"authorization": "Bearer pk_x"})
    account.track(event="D", externalId="cust", email="other@b.co")
    match = {"event": {"$ne": "user_created"}, **match}
    if "user_id" in match:
        match["event"] = "A"
    assert names(met(ask(account, "verify", match=match))) == expected


def test_only_accepted_events_are_meant_unless_asked_otherwise(account: Account) -> None:
    account.track(event="X", userId="u", distinctId="1")
    account.track(event="X", userId="u", distinctId="1")
    account.track(event="X")
    for asked, count in (({}, 1), ({"outcome": "any"}, 3), ({"outcome": "duplicate"}, 1), ({"outcome": "rejected"}, 1)):
        assert met(ask(account, "verify", match={"event": "X"}, **asked))["count"] == count, asked
    assert met(ask(account, "verify", match={"outcome": "rejected", "reason.rule": "identifier"}))["count"] == 1
    assert met(ask(account, "verify", match={"outcome": {"$in": ["rejected", "duplicate"]}}))["count"] == 2


def test_what_is_no_event_is_found_by_its_endpoint(account: Account) -> None:
    key = {"authorization": "Bearer pk_x"}
    account.post("/api/client/alias", {"external_id": "c", "anonymous_id": "d"}, key)
    unmet(ask(account, "verify", match={}))
    met(ask(account, "verify", match={"endpoint": "client/alias"}))
    met(ask(account, "wait", match={"endpoint": "client/alias"}, timeout_ms=0))


def test_after_leaves_out_what_arrived_before(account: Account) -> None:
    account.track(event="X", userId="u")
    (last,) = [event["id"] for event in account.events()]
    unmet(ask(account, "verify", match={"event": "X"}, after=last))
    with begun(account, match={"event": "X"}, after=last) as wait:
        account.track(event="X", userId="u")
        assert met(wait.answer())["count"] == 1


def test_a_repeat_that_is_counted_wakes_a_wait_for_it(account: Account) -> None:
    account.track(event="X", userId="u", distinctId="1")
    with begun(account, match={"distinct_id": "1", "repeats": {"$gte": 1}}) as wait:
        account.track(event="X", userId="u", distinctId="1")
        answer = met(wait.answer())
    assert answer["items"][0]["repeats"] == 1


def test_accounts_are_apart_and_all_of_them_together_without_a_prefix(server: Server) -> None:
    one, other = server.account(), server.account()
    one.track(event="Apart", userId="u")
    name = one.url.rpartition("/")[2]
    assert met(ask(one, "verify", match={"event": "Apart"}))["count"] == 1
    unmet(ask(other, "verify", match={"event": "Apart"}))
    assert met(ask(server.default, "verify", match={"event": "Apart"}))["count"] == 1
    assert met(ask(server.default, "verify", match={"event": "Apart"}, account=name))["count"] == 1
    assert "the path is for account" in refused(ask(other, "verify", match={}, account=name))
    with begun(server.default, match={"event": "Apart"}, count=2) as wait:
        other.track(event="Apart", userId="u")
        assert met(wait.answer())["count"] == 2
    with begun(other, match={"event": "Apart"}, count=2, timeout_ms=500) as wait:
        one.track(event="Apart", userId="u")
        unmet(wait.answer())


def test_what_can_be_no_longer_known_is_said(server: Server) -> None:
    with serving(keep=5) as small:
        account = small.default
        for _ in range(8):
            account.track(event="X", userId="u")
        for mode in ("exactly", "at_most"):
            # Longer than a client of these tests would wait.
            answer = unmet(ask(account, "wait", match={"event": "X"}, mode=mode, count=5, timeout_ms=50_000))
            expected = f"5 events matched; expected {mode.replace('_', ' ')} 5"
            assert answer["error"] == f"{expected}; 3 events evicted that may have matched: set a larger --keep"
            assert answer["evicted"] == 3
        assert "3 events evicted" in unmet(ask(account, "verify", match={"event": "Y"}, mode="none"))["error"]
        assert "3 events evicted" in unmet(ask(account, "verify", match={"event": "Y"}))["error"]
        assert met(ask(account, "verify", match={"event": "X"}))["evicted"] == 3
        # What was evicted came before these.
        met(ask(account, "verify", match={"event": "X"}, mode="exactly", count=5, after=3))
        met(ask(account, "verify", match={"event": "Y"}, mode="none", after=7))
    met(ask(server.account(), "verify", match={}, mode="none"))


@pytest.mark.parametrize(("path", "body", "error"), NOT_UNDERSTOOD)
def test_what_is_not_understood_is_refused_by_name(
    account: Account, path: str, body: dict[str, Any], error: str
) -> None:
    assert refused(account.post(f"/debug/{path}", body)).startswith(error)


@pytest.mark.parametrize(
    "value",
    ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, '{"a":' * 100 + "1" + "}" * 100, "[" * 100 + "]" * 100]
    + [
        opening * 100_000 + "1" + closing * 100_000
        for opening, closing in (('{"a":', "}"), ("[", "]"), ('{"$ne":', "}"))
    ],
    ids=lambda value: f"{value[:20]} of {len(value)}",
)
def test_what_is_no_json_or_nested_too_deep_is_refused(account: Account, value: str) -> None:
    for path in ("wait", "verify", "verify/sequence"):
        with case(path):
            account.track(event="X", userId="u")
            match = f'{{"event_properties": {{"a": {value}}}}}'
            body = f'{{"sequence": [{match}]}}' if "sequence" in path else f'{{"match": {match}}}'
            assert refused(account.post(f"/debug/{path}", body.encode()))


def test_names_with_lone_surrogates_are_matched_too(account: Account) -> None:
    body = b'{"token": "t", "userId": "u", "event": "\\ud800 \\u0000"}'
    assert account.post("/track", body).status_code == 200
    met(account.post("/debug/verify", b'{"match": {"event": "\\ud800 \\u0000"}}'))
    unmet(account.post("/debug/verify", b'{"match": {"event": "\\ud801"}}'))


def test_a_wait_needs_the_media_type_of_json(account: Account) -> None:
    for path in ("wait", "verify", "verify/sequence"):
        response = account.post(f"/debug/{path}", b"{}", {"content-type": "text/plain"})
        assert response.status_code == 415


def test_a_sequence_is_found_in_the_order_of_time(account: Account) -> None:
    now = int(time.time() * 1000)
    for event, seconds in (("C", -1), ("A", -9), ("B", -5), ("A", -3)):
        account.track(event=event, userId="u", time=now + seconds * 1000)
    assert names(met(ask(account, "verify/sequence", sequence=[{"event": it} for it in "ABAC"]))) == list("ABAC")
    assert names(met(ask(account, "verify/sequence", sequence=[{"event": it} for it in "AAC"]))) == list("AAC")
    answer = unmet(ask(account, "verify/sequence", sequence=[{"event": it} for it in "CA"]))
    assert (answer["mode"], answer["expected"], answer["count"], names(answer)) == ("sequence", 2, 1, ["C"])
    first = answer["items"][0]["id"]
    assert answer["error"].startswith(f"no event matched sequence.1 ('A') after event #{first} 'C' visitor=u")


def test_a_failed_sequence_names_the_event_that_is_missing(account: Account) -> None:
    steps: list[dict[str, Any]] = [{"event": "A", "email": "a@b.co"}, {"email": "a@b.co"}]
    for sequence, named in ((steps, "sequence.0 ('A')"), (steps[1:], "sequence.0;"), ([{"event": "x" * 200}], "x…')")):
        with case(named):
            answer = unmet(ask(account, "verify/sequence", sequence=sequence))
            assert named in f"{answer['error']};"
            assert named.rstrip(";") in answer["explanation"]


@pytest.mark.parametrize(
    ("sent", "asked", "found"),
    [
        ("ABC", "ABC", True),
        ("XABCX", "ABC", True),
        ("AABC", "ABC", True),
        ("ABABC", "ABC", True),
        ("ABXC", "ABC", False),
        ("AB", "ABC", False),
        ("", "A", False),
    ],
)
def test_a_strict_sequence_has_nothing_else_between(account: Account, sent: str, asked: str, found: bool) -> None:
    for event in sent:
        account.track(event=event, userId="u")
    response = ask(account, "verify/sequence", sequence=[{"event": it} for it in asked], strict=True)
    if found:
        items = met(response)["items"]
        assert "".join(item["event"] for item in items) == asked
        assert items[-1]["id"] - items[0]["id"] == len(asked) - 1
    else:
        answer = unmet(response)
        assert answer["count"] == len(answer["items"]) < len(asked)


def test_a_sequence_tells_what_was_in_the_place_of_the_missing_one(account: Account) -> None:
    for event in "AXB":
        account.track(event=event, userId="u")
    answer = unmet(ask(account, "verify/sequence", sequence=[{"event": "A"}, {"event": "B"}], strict=True))
    (near,) = answer["near_misses"]
    assert (near["event"]["event"], near["misses"][0]["expected"]) == ("X", "B")


def test_a_sequence_of_one_visitor_passes_over_the_others(account: Account) -> None:
    for event, user in (("A", "u"), ("A", "v"), ("B", "v"), ("B", "u")):
        account.track(event=event, userId=user)
    steps = [{"event": event, "user_id": "v"} for event in "AB"]
    assert {item["visitor_id"] for item in met(ask(account, "verify/sequence", sequence=steps))["items"]} == {"v"}


def test_a_shutdown_ends_the_waits_with_a_sentence() -> None:
    with ExitStack() as stack:
        with serving() as server:
            waits = [stack.enter_context(begun(server.default, match={}, timeout_ms=50_000)) for _ in range(5)]
            assert not any(wait.answered() for wait in waits)
        answers = [wait.answer() for wait in waits]
    said = {(answer.status_code, answer.text) for answer in answers}
    assert said == {(503, '{"error":"the emulator shut down during the wait"}')}


def test_a_client_that_leaves_ends_its_wait() -> None:
    body = b'{"match": {}, "timeout_ms": 50000}'
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/debug/wait",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
    }

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(_: object) -> None:
        """Nobody is there to read it."""

    async def scenario() -> None:
        app = create_app(load({"log_format": "none"}))
        try:
            await asyncio.wait_for(app(scope, receive, send), 5)
        finally:
            await app.aclose()

    asyncio.run(scenario())
    assert messages == []


def test_clients_that_leave_harm_nobody(account: Account) -> None:
    address = urlsplit(account.url)
    body = b'{"match": {}, "timeout_ms": 50000}'
    head = f"POST {address.path}/debug/wait HTTP/1.1\r\nHost: x\r\nContent-Type: application/json"
    for number in range(50):
        with socket.create_connection((str(address.hostname), int(address.port or 0))) as client:
            client.sendall(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            # Some leave before their wait has begun, and some after.
            if number % 5 == 0:
                catch_up(account.url)
    assert account.track(event="X", userId="u").status_code == 200
    met(ask(account, "wait", match={"event": "X"}))


def test_asking_changes_nothing_and_is_not_journaled(account: Account) -> None:
    account.track(event="X", userId="u")
    before = [account.debug(path) for path in ("summary", "requests", "events", "visitors")]
    ask(account, "verify", match={})
    ask(account, "wait", match={"event": "Y"}, timeout_ms=1)
    ask(account, "verify/sequence", sequence=[{}])
    assert [account.debug(path) for path in ("summary", "requests", "events", "visitors")] == before


def test_more_than_a_page_is_counted_in_full_though_not_all_is_shown(account: Account) -> None:
    for first in range(0, 1200, 600):
        account.batch(*({"event": "X", "userId": "u", "distinctId": str(first + n)} for n in range(600)))
    answer = met(ask(account, "verify", match={"event": "X"}, mode="exactly", count=1200))
    ids = [item["id"] for item in answer["items"]]
    assert len(ids) == 1000
    assert ids == sorted(ids)
    assert met(ask(account, "verify", match={}))["count"] == 1200
    for path in ("verify", "wait"):
        assert met(ask(account, path, match={"event": "X"}))["last"]["distinct_id"] == "1199"
    steps = [{"event": "X"}, {"distinct_id": "1199"}]
    answer = met(ask(account, "verify/sequence", sequence=steps))
    assert names(answer) == ["X", "X"]
    assert answer["last"] == answer["items"][-1]


def test_the_last_to_arrive_is_told_and_null_without_any(account: Account) -> None:
    assert met(ask(account, "verify", match={}, mode="none"))["last"] is None
    account.track(userId="u")
    with begun(account, match={}, count=2) as wait:
        account.track(event="X", userId="u")
        answer = met(wait.answer())
    assert answer["last"]["event"] == "X"


def test_the_description_has_examples_and_the_406(server: Server) -> None:
    document = server.http.get(f"{server.url}/debug/openapi.json").json()
    for path in ("wait", "verify", "verify/sequence"):
        operation = document["paths"][f"/debug/{path}"]["post"]
        for status in ("200", "400", "406"):
            content = operation["responses"][status]["content"]["application/json"]
            assert {"example", "schema"} <= content.keys(), (path, status)
        schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for example in document["components"]["schemas"][schema]["examples"]:
            response = server.account().post(
                f"/debug/{path}", {**example, "timeout_ms": 1} if path == "wait" else example
            )
            assert response.status_code in (200, 406), response.text
            # FastAPI leaves nulls out of an example.
            item = operation["responses"]["200"]["content"]["application/json"]["example"]["items"][0]
            assert item.keys() == Event.__annotations__.keys()


def test_a_regular_expression_that_backtracks_for_ever_elsewhere_is_answered(account: Account) -> None:
    account.track(event="a" * 50 + "!", userId="u")
    answer = unmet(ask(account, "verify", match={"event": {"$regex": "^(a|aa)+$"}}))
    assert answer["near_misses"][0]["misses"][0]["why"] == "does not match"


def test_a_regular_expression_that_takes_too_long_is_refused(account: Account) -> None:
    account.track(event="long", userId="u", eventProperties={"text": "abcdefghijk" * 50_000})
    match = {"event_properties.text": {"$regex": "[a-q][^u-z]{500}x"}}
    said = refused(ask(account, "verify", match=match))
    assert said.startswith("the regular expression [a-q][^u-z]{500}x takes too long on a text of 550000 bytes")
    said = refused(ask(account, "verify/sequence", sequence=[match]))
    assert "takes too long" in said


def test_costly_regular_expressions_of_many_waits_hold_up_nobody(server: Server) -> None:
    account = server.account()
    costly = {"event_properties.text": {"$regex": "[a-q][^u-z]{500}x"}}

    def wait() -> int:
        return account.post("/debug/wait", {"match": costly, "timeout_ms": 3000}).status_code

    with ThreadPoolExecutor(61) as pool:
        waits = [pool.submit(wait) for _ in range(60)]
        account.track(event="long", userId="u", eventProperties={"text": "abcdefghijk" * 10_000})
        slowest = 0.0
        while not all(waiting.done() for waiting in waits):
            started = time.monotonic()
            server.default.debug("health")
            slowest = max(slowest, time.monotonic() - started)
        assert {waiting.result() for waiting in waits} <= {400, 406}
    assert slowest < 5  # It was as long as all the searches together, with the lock of the interpreter held.


def test_a_cheap_regular_expression_is_answered_before_costly_ones_that_came_first(server: Server) -> None:
    account = server.account()
    letters = random.Random(1)
    for _ in range(3):
        account.track(event="Purchase", userId="u", eventProperties={"text": "".join(letters.choices("ab", k=20_000))})
    costly = {"event_properties.text": {"$regex": "[ab]*a[ab]{900}c"}}
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(ask, account, "verify", match=costly) for _ in range(4)]
        catch_up(server.url)
        for match in ({"event": {"$regex": "^Purch"}}, {"event_properties.text": {"$regex": "ab[ab]a"}}):
            assert met(ask(account, "verify", match=match))["count"] == 3
        assert not any(call.done() for call in calls)
    for call in calls:
        assert unmet(call.result())["near_misses"][0]["misses"][0]["why"] == "does not match"


def test_the_steps_of_a_sequence_share_one_budget(account: Account) -> None:
    letters = random.Random(1)
    sequence = [{"event_properties.text": {"$regex": "[ab]*a[ab]{900}c"}}] * 8
    for _ in sequence:
        text = "".join(letters.choices("ab", k=100_000)) + "a" * 901 + "c"
        account.track(event="E", userId="u", eventProperties={"text": text})
    # Each step takes a part of what a call may take, and has its event.
    said = refused(ask(account, "verify/sequence", sequence=sequence))
    assert "takes too long on all events together (more than 2 s of CPU time plus 5 µs per event); simplify it" in said


def test_an_outcome_that_is_none_is_refused_by_name(account: Account) -> None:
    response = account.post("/debug/verify", {"match": {"outcome": "acepted"}})
    assert (response.status_code, "match.outcome: acepted" in response.json()["error"]) == (400, True)


def test_a_duplicate_is_not_blamed_where_its_original_tells_what_differs(account: Account) -> None:
    for _ in range(2):
        account.track(event="K", userId="u", distinctId="d", userProperties={"city": "Bern"})
    answer = unmet(ask(account, "verify", match={"event": "K", "visitor_properties.citty": "Bern"}))
    assert answer["candidates"] == []
    assert answer["error"].endswith("visitor_properties.citty: not there; did you mean city?")


def test_what_is_there_instead_is_named(account: Account) -> None:
    account.track(event="K", userId="u", eventProperties={"amount": "1", "city": "Bern"})
    answer = unmet(ask(account, "verify", match={"event_properties.xyz": "1"}))
    assert answer["error"].endswith("event_properties.xyz: not there; present: amount, city")
    answer = unmet(ask(account, "verify", match={"event_properties": {"amout": "1"}}))
    assert answer["near_misses"][0]["misses"][0]["why"] == "not there; did you mean amount?"
    said = refused(ask(account, "verify", match={"amount": "1"}))
    assert said == "match.amount: unknown field; did you mean account, or event_properties.amount?"


def test_an_event_that_went_to_the_default_account_is_told(server: Server) -> None:
    account = server.account()
    server.default.track(event="Lost", userId="u")
    answer = unmet(ask(account, "verify", match={"event": "Lost"}))
    assert "account default" in answer["error"]
    assert "account default" in answer["found"]
    for match in ({"event": "Other"}, {"event": "Lost", "email": "a@b"}, {"event": {"$regex": "^Pur"}}):
        assert "account default" not in unmet(ask(account, "verify", match=match))["error"]
    account.track(event="Else", userId="u")
    assert "account default" not in unmet(ask(account, "verify", match={"event": "Lost"}))["error"]


def test_a_sequence_tells_that_the_missing_one_came_too_early(account: Account) -> None:
    for name in ("Purchase", "Cart"):
        account.track(event=name, userId="u")
    answer = unmet(ask(account, "verify/sequence", sequence=[{"event": "Cart"}, {"event": "Purchase"}]))
    (purchase,) = account.events(event="Purchase")
    assert f"; event {purchase['id']} matched before it" in answer["error"]


def test_what_was_accepted_is_not_blamed_where_another_outcome_is_asked_for(account: Account) -> None:
    for _ in range(2):
        account.track(event="E", userId="u", distinctId="d")
    answer = unmet(ask(account, "verify", match={"event": "E"}, outcome="duplicate", count=2))
    assert (answer["candidates"], answer["error"]) == ([], "1 event matched; expected at least 2")


def test_a_missing_value_and_null_are_told_apart_in_words(account: Account) -> None:
    account.track(event="E", userId="u", eventProperties={"plan": None, "flags": [True]})
    match = {"event": "E", "event_properties": {"plan": "pro", "pla": 1, "flags": False}}
    told = account.post("/debug/verify", {"match": match}).json()["explanation"]
    assert told.startswith(
        'expected at least 1 event \'E\' event_properties={"plan": "pro", "pla": 1, "flags": false}\n'
    )
    assert "event_properties.plan: expected 'pro', got null (null, not a string)\n" in told
    assert "event_properties.pla: expected 1, got nothing (did you mean plan?)\n" in told
    assert told.endswith("event_properties.flags: expected false, got [true] (a list, not a boolean)")


def test_what_is_not_known_of_a_refused_event_is_no_value(account: Account) -> None:
    account.track(event="E")
    told = account.post("/debug/verify", {"match": {"event": "E", "email": "a@b.co"}}).json()["explanation"]
    assert told.endswith("email: expected 'a@b.co'; not known, because the event was rejected")
