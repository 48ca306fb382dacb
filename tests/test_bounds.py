"""What clients can grow is bounded in bytes: what is kept, what a list answers, and the log of the database."""

import json
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from databases import queried
from ours_emulator.store import LIST_BYTES
from serving import Account, Server, serving
from test_cli import serving as process
from waiting import NO_TLS

KEY = {"authorization": "Bearer pk_k"}
MIB = 1024 * 1024
LARGE = {"custom_properties": {"text": "x" * 4 * MIB}}
MOST = LIST_BYTES + MIB


def large_account(server: Server) -> Account:
    """Return the account of the large visitor."""
    return Account(f"{server.url}/accounts/large", server.http)


@pytest.fixture(scope="module")
def server() -> Generator[Server]:
    with serving() as running:
        large = large_account(running)
        assert large.identify(userId="large", userProperties=LARGE).status_code == 200
        rows = [{"event": "Row", "userId": "large", "distinctId": f"row-{number}"} for number in range(20)]
        assert large.batch(*rows).status_code == 200
        yield running


def answer(account: Account, path: str, **params: object) -> dict[str, Any]:
    """Return the answer after checking its size."""
    query = {name: str(value) for name, value in params.items()}
    return checked(account.http.get(f"{account.url}/debug/{path}", params=query))


def checked(response: httpx.Response, status: int = 200) -> dict[str, Any]:
    assert response.status_code == status, response.text[:1000]
    # Of an expectation that is not met, each of three lists is bounded: items, candidates and near misses.
    assert len(response.content) < (3 * MOST if status == 406 else MOST)
    body: dict[str, Any] = response.json()
    return body


def pages(account: Account, path: str, **params: object) -> Iterator[list[dict[str, Any]]]:
    """Yield the items of each page."""
    page = answer(account, path, **params)
    yield page["items"]
    while page["next_cursor"] is not None:
        page = answer(account, path, cursor=page["next_cursor"], **params)
        yield page["items"]


def ids(found: Iterator[list[dict[str, Any]]], key: str = "id") -> list[Any]:
    return [item[key] for items in found for item in items]


def test_a_list_of_large_events_ends_early_and_its_pages_have_each_event_once(server: Server) -> None:
    for path in ("events", "visitors/large/events"):
        found = list(pages(large_account(server), path, limit=100))
        assert 4 <= len(found) <= 10
        assert all(found)
        assert len(set(ids(iter(found)))) == len(ids(iter(found))) == 21


def test_an_item_that_is_larger_than_a_list_is_a_list_alone() -> None:
    with serving(max_body_bytes=64 * MIB) as server:
        for number in range(2):
            for part in range(5):
                properties = {"custom_properties": {f"text {part}": "x" * 3 * MIB}}
                # Half-way to the bound of a list twice over, whatever a single visitor may have.
                status = server.default.identify(userId=f"u{number}", userProperties=properties).status_code
                assert status == 200
        response = server.http.get(f"{server.url}/debug/visitors")
        assert len(response.json()["items"]) == 1
        assert response.json()["next_cursor"] is not None


def test_a_list_of_large_visitors_ends_early(server: Server) -> None:
    account = server.account()
    for number in range(10):
        account.identify(userId=f"u{number}", userProperties=LARGE)
    found = list(pages(account, "visitors"))
    assert len(found) > 2
    assert ids(iter(found), "visitor_id") == [f"u{number}" for number in reversed(range(10))]


def test_a_request_shows_as_many_of_its_large_events_as_a_list_has(server: Server) -> None:
    (batch,) = (
        request for request in large_account(server).debug("requests")["items"] if request["endpoint"] == "batch"
    )
    shown = answer(large_account(server), f"requests/{batch['id']}")
    assert [event["batch_index"] for event in shown["events"]] == [0, 1, 2]
    assert shown["receipts"] == 20


def test_calls_and_requests_with_long_paths_end_early(server: Server) -> None:
    account = server.account()
    for number in range(400):
        account.http.post(f"{account.url}/track?{number}-{'x' * 50_000}", json={"token": "t"})
    for path, key in (("requests", "id"), ("calls", "call_id")):
        found = ids(pages(account, path, limit=1000), key)
        assert len(found) == len(set(found)) == 400


def test_a_wait_a_verification_and_a_sequence_show_as_many_large_events_as_a_list_has(server: Server) -> None:
    def post(path: str, body: object, status: int = 200) -> dict[str, Any]:
        return checked(large_account(server).post(f"/debug/{path}", body), status)

    expected = {"match": {"event": "Row"}, "count": 20}
    for path, more in (("verify", {}), ("wait", {"timeout_ms": 0})):
        met = post(path, {**expected, **more})
        assert met["count"] == 20
        assert [event["batch_index"] for event in met["items"]] == [0, 1, 2]
        # Too many: the same items, with the reason.
        unmet = post(path, {**expected, "count": 1, "mode": "exactly", **more}, 406)
        assert (unmet["count"], len(unmet["items"])) == (20, 3)
    steps = [{"event": "Row", "batch_index": number} for number in range(20)]
    met = post("verify/sequence", {"sequence": steps})
    assert (met["count"], len(met["items"]), met["last"]["batch_index"]) == (20, 3, 19)
    unmet = post("verify/sequence", {"sequence": [*steps, {"event": "Other"}]}, 406)
    assert unmet["count"] == 20
    assert "after event" in unmet["error"]
    near = post("verify", {"match": {"event": "Row", "test": True}}, 406)
    assert near["near_misses"]


def test_a_stream_that_resumes_gets_every_large_event(server: Server) -> None:
    sent: list[str] = []
    with server.http.stream(
        "GET", f"{large_account(server).url}/debug/stream", params={"last_event_id": "0"}
    ) as stream:
        for line in stream.iter_lines():
            if line.startswith("data: {") and '"Row"' in line[:500]:
                sent.append(json.loads(line.removeprefix("data: "))["distinct_id"])
                if len(sent) == 20:
                    break
    assert sent == [f"row-{number}" for number in range(20)]


# What is kept


def event_bytes(database: str) -> int:
    """Return how many bytes the events have, with the versions that are not the present one of a visitor."""
    present = "(SELECT version_id FROM visitors)"
    bases = f"(SELECT coalesce(base_id, id) FROM visitor_versions WHERE id IN {present})"
    earlier = f"FROM visitor_versions WHERE id NOT IN {present} AND id NOT IN {bases}"
    sums = ("sum(length(content) + length(explanation)), 0) FROM receipts", f"sum(length(content)), 0) {earlier}")
    return sum(int(queried(database, f"SELECT coalesce({one}")[0][0]) for one in sums)


def test_versions_of_visitors_are_kept_within_their_bound_the_oldest_go_first(database: str) -> None:
    with serving(database=database, keep_event_bytes=4 * MIB) as server:
        for number in range(30):
            # Nothing of it stays, so each version is a new one.
            text = {"custom_properties": {"text": str(number % 10) * MIB, "number": number}}
            assert server.default.track(userId="u", event=f"E{number}", userProperties=text).status_code == 200
            assert event_bytes(database) <= 4 * MIB
        page = answer(server.default, "events")
        assert page["total"] + page["evicted"] == 30
        assert 1 <= page["total"] <= 5
        assert page["items"][0]["event"] == "E29"
        assert (
            page["items"][-1]["visitor_properties"]["custom_properties"]["text"][:1] == str(29 - page["total"] + 1)[1]
        )
        assert server.default.visitor()["custom_properties"]["number"] == 29
        assert server.default.visitor()["event_count"] == 30
    with serving(database=database, keep_event_bytes=2 * MIB) as server:
        # A smaller bound holds from the next event on.
        server.default.track(userId="other")
        assert event_bytes(database) <= 2 * MIB
        assert server.default.visitor(user_id="u")["custom_properties"]["number"] == 29


def test_events_are_kept_within_their_bound_and_what_visitors_are_now_does_not_count(database: str) -> None:
    with serving(database=database, keep_event_bytes=2 * MIB) as server:
        for number in range(5):
            server.default.identify(userId=f"visitor {number}", userProperties=LARGE)
        for number in range(50):
            text = {"text": "x" * 100_000}
            server.default.track(userId="u", event=f"E{number}", eventProperties=text)
            assert event_bytes(database) <= 2 * MIB
        page = server.default.debug("events")
        assert 15 <= page["total"] <= 21
        assert page["total"] + page["evicted"] == 55
        assert page["items"][0]["event"] == "E49"
        assert len(ids(pages(server.default, "visitors"), "visitor_id")) == 6


def test_a_reset_makes_room_again(tmp_path: Path) -> None:
    with serving(database=tmp_path / "store.db", keep_event_bytes=MIB) as server:
        for _ in range(4):
            for _ in range(8):
                server.default.track(userId="u", eventProperties={"text": "x" * 100_000})
            page = server.default.debug("events")
            assert (page["total"], page["evicted"]) == (8, 0)
            server.default.post("/debug/reset", {"account": "default"})


def test_devices_that_wait_for_their_visitor_are_bounded_the_oldest_go_first(database: str) -> None:
    with serving(database=database) as server:
        for number in range(70):
            device = {"device_id": f"d{number}", "os": "x", "model": "m", "app_build": "1", "app_version": "1"}
            body = {"external_id": f"x{number}", **device, "more": "x" * 1_000_000}
            assert server.default.post("/api/client/devices", body, KEY).status_code == 204
        ((size, count),) = queried(database, "SELECT sum(length(device)), count(*) FROM pending_devices")
        assert size <= 64 * MIB
        assert 60 <= count < 70
        for number, devices in ((0, 0), (69, 1)):
            server.default.post("/api/client/identify", {"external_id": f"x{number}"}, KEY)
            visitor = server.default.visitor(external_id=f"x{number}")
            assert len(visitor["devices"]) == devices


# The log


def write_then_read(url: str, name: str, count: int, failed: list[object]) -> None:
    text = {"text": "x" * 60_000}
    with httpx.Client(base_url=url, trust_env=False, verify=NO_TLS, timeout=60) as http:
        for number in range(count):
            body = {
                "token": "t",
                "event": "E",
                "userId": name,
                "distinctId": f"{name}-{number}",
                "eventProperties": text,
            }
            sent = http.post("/track", json=body)
            # A read that takes a while, so that some reader is always there.
            read = http.get("/debug/events", params={"property.none": "1", "limit": 1})
            if (sent.status_code, read.status_code) != (200, 200):
                failed.append((sent.text, read.text[:500]))


def test_the_log_of_the_database_is_bounded_while_readers_are_always_there(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    log, failed, largest = Path(f"{database}-wal"), list[object](), 0
    with process(tmp_path, "--database", str(database), "--log-format", "none", "--keep", "10") as running:
        threads = [
            threading.Thread(target=write_then_read, args=(running.url, f"u{number}", 80, failed))
            for number in range(8)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            threads[0].join(0.05)
            largest = max(largest, log.stat().st_size)
        assert failed == []
        # If it is never cut, it has 175 MiB.
        assert largest < 48 * MIB
        assert httpx.get(running.url + "/debug/summary", trust_env=False, verify=NO_TLS).json()["requests"] == 10
