"""How large a visitor may become (rule visitor-size): the running sum on plain values, and refusals over HTTP."""

import json
import random
from collections.abc import Generator
from typing import Any

import pytest

from ours_emulator.decide.identity import KnownVisitor
from ours_emulator.decide.properties import changes
from ours_emulator.decide.sizes import grow, growth_of, size_of
from ours_emulator.decide.versions import patched
from ours_emulator.jsontext import json_text
from ours_emulator.model import Change, Properties, VisitorState
from serving import Account, Server, serving

KEY = {"authorization": "Bearer pk_test"}
MOST = 1000
LARGE = "x" * 600
PHONE = {"device_id": "d1", "os": "iOS", "model": "iPhone", "app_build": "1", "app_version": "1.0"}
UNREADABLE = {"status": "error", "error": "An error occurred with this request."}


@pytest.fixture(scope="module")
def small() -> Generator[Server]:
    with serving(max_visitor_bytes=MOST) as server:
        yield server


@pytest.fixture
def account(small: Server) -> Account:
    return small.account()


def rule(response: Any) -> str:
    return str(response.headers.get("x-emulator-reason", ""))


# The running sum


@pytest.mark.rule("visitor-size")
def test_the_sum_of_all_changes_is_the_size_of_what_they_make() -> None:
    draw = random.Random(1)
    values: list[Any] = [None, "", "ä\ud800\n", 5, 1.5, True, [1, {"a": None}], {}, {"b": "x" * 50}]
    visitor = KnownVisitor(1, 1, "u")
    for step in range(500):
        sent: Properties = {draw.choice("abc"): draw.choice(values) for _ in range(draw.randrange(3))}
        sent["custom_properties"] = {draw.choice("de"): draw.choice(values)}
        data: Properties = {draw.choice("fg"): draw.choice([value for value in values if value is not None])}
        devices: tuple[Properties, ...] | None = ({"id": "x" * draw.randrange(9)},) if step % 3 else None
        change = Change(changes(visitor.properties, sent), data, devices)
        assert grow(visitor, change, 1_000_000)
        visitor.change(change)
        assert visitor.size == size_of(visitor.state), step


@pytest.mark.rule("visitor-size")
def test_the_size_is_that_of_the_json_but_for_a_few_bytes() -> None:
    state = VisitorState({"email": "a@b.co", "custom_properties": {"a": [1, 2]}}, {"b": "ü"}, ({"device_id": "d"},))
    text = json_text([state.properties, state.data, list(state.devices)])
    assert abs(size_of(state) - len(text)) <= 10
    assert size_of(VisitorState({"a": "x" * 10_000})) - size_of(VisitorState({"a": ""})) == 10_000


@pytest.mark.rule("visitor-size")
def test_a_size_that_is_only_an_upper_bound_is_measured_before_it_refuses() -> None:
    state = VisitorState({"a": "x" * 100})
    visitor = KnownVisitor(1, 1, "u", state, size=5000)
    assert grow(visitor, Change({"b": "y"}), 1000)
    assert (visitor.size, visitor.measured) == (size_of(patched(state, Change({"b": "y"}))), True)


@pytest.mark.rule("visitor-size")
def test_what_makes_a_visitor_smaller_fits_however_large_they_are() -> None:
    visitor = KnownVisitor(1, 1, "u", VisitorState({"a": "x" * 100, "b": "y" * 100}), size=5000)
    assert not grow(visitor, Change({"c": 1}), 50)
    assert grow(visitor, Change({"a": None}), 50)
    assert growth_of(visitor.state, Change({"a": None})) < 0


# Refusals


@pytest.mark.rule("visitor-size")
@pytest.mark.parametrize("path", ["/track", "/identify"])
def test_a_message_that_makes_its_visitor_too_large_is_400_and_changes_nothing(account: Account, path: str) -> None:
    def sent(**properties: Any) -> Any:
        return account.post(
            path, {"token": "t", "event": "E", "userId": "u", "distinctId": "d", "userProperties": properties}
        )

    account.identify(userId="u", userProperties={"first_name": LARGE})
    before = account.visitor()
    for more in ({"last_name": LARGE}, {"custom_properties": {"a": LARGE}}, {"consent": {"ads": LARGE}}):
        response = sent(**more)
        assert (response.status_code, response.json(), rule(response)) == (400, {"success": False}, "visitor-size")
    assert account.visitor() == before
    refused = account.events(outcome="rejected")[0]
    assert refused["reason"] == {
        "rule": "visitor-size",
        "path": "",
        "message": f"the visitor would become larger than {MOST} bytes",
        "status": 400,
        "limit": MOST,
    }
    # A refused event does not use up its distinct id, and what fits is accepted.
    assert sent(first_name="Ann", custom_properties={"a": LARGE}).status_code == 200
    assert account.visitor()["custom_properties"] == {"a": LARGE}
    assert account.events(outcome="duplicate") == []


@pytest.mark.rule("visitor-size")
def test_a_visitor_that_would_be_too_large_at_once_is_not_created(account: Account) -> None:
    too_large = {"first_name": LARGE, "last_name": LARGE}
    assert account.identify(externalId="x", userProperties=too_large).status_code == 400
    assert account.visitors() == []
    answer = account.batch(
        {"event": "E", "distinctId": "1", "externalId": "x", "userProperties": too_large},
        {"event": "E", "distinctId": "2", "externalId": "x"},
    )
    assert answer.status_code == 207
    assert account.debug("events/latest")["resolution"]["created"] is True
    assert account.visitor(external_id="x")["properties"] == {"external_id": "x"}


@pytest.mark.rule("visitor-size", "batch-answers")
def test_the_row_of_a_batch_that_is_too_much_is_an_invalid_event(account: Account) -> None:
    rows = [
        {"event": "E", "distinctId": str(number), "userId": "u", "userProperties": {name: LARGE}}
        for number, name in enumerate(("first_name", "last_name", "first_name"))
    ]
    response = account.batch(*rows)
    answer = response.json()
    assert (response.status_code, answer["accepted"], answer["failed"]) == (207, 2, 1)
    message = f"the visitor would become larger than {MOST} bytes"
    assert answer["results"][1] == {"index": 1, "success": False, "code": "invalid_event", "message": message}
    (refused,) = account.events(outcome="rejected")
    assert (refused["reason"]["rule"], refused["batch_index"]) == ("visitor-size", 1)
    alone = account.batch(rows[1])
    assert (alone.status_code, alone.json()) == (400, {"success": False, "error": f"events.0: {message}"})


@pytest.mark.rule("visitor-size")
@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("identify", {"external_id": "X", "data": {"more": LARGE}}),
        ("identify", {"external_id": "X", "locale": LARGE}),
        ("alias", {"external_id": "X" * 600, "anonymous_id": "A"}),
        ("devices", {"external_id": "X", **PHONE, "token": LARGE}),
        ("events", [{"external_id": "X", "name": "E", "user": {"data": {"more": LARGE}}}]),
    ],
)
def test_the_client_api_answers_400_when_a_visitor_would_become_too_large(
    account: Account, endpoint: str, body: Any
) -> None:
    for ids in ({"external_id": "X"}, {"anonymous_id": "A"}):
        account.post("/api/client/identify", {**ids, "data": {"a": LARGE}}, KEY)
    before = account.visitors()
    response = account.post(f"/api/client/{endpoint}", body, KEY)
    assert (response.status_code, response.json(), rule(response)) == (400, UNREADABLE, "visitor-size")
    assert account.visitors() == before


@pytest.mark.rule("visitor-size", "client-whole")
def test_one_event_that_makes_its_visitor_too_large_refuses_all_of_its_request(account: Account) -> None:
    items: Any = [
        {"external_id": "X", "name": "first", "user": {"locale": "de"}},
        {"external_id": "X", "name": "second", "user": {"data": {"a": LARGE}}},
        {"external_id": "X", "name": "third", "user": {"data": {"b": LARGE}}},
        {"external_id": "Y", "name": "fourth"},
    ]
    response = account.post("/api/client/events", items, KEY)
    assert (response.status_code, response.json()) == (400, UNREADABLE)
    assert (account.visitors(), account.events()) == ([], [])
    (refused,) = account.events(outcome="any")
    assert (refused["outcome"], refused["event"], refused["reason"]["rule"]) == ("rejected", "third", "visitor-size")
    assert account.debug("requests")["total"] == 1
    assert account.post("/api/client/events", items[:2], KEY).status_code == 204
    assert [event["event"] for event in account.events()] == ["second", "first", "user_created"]


@pytest.mark.rule("visitor-size", "client-devices-wait")
def test_a_pending_device_that_does_not_fit_is_dropped_with_a_hint(account: Account) -> None:
    account.post("/api/client/devices", {"external_id": "X", **PHONE, "token": LARGE}, KEY)
    response = account.post("/api/client/identify", {"external_id": "X", "data": {"a": LARGE}}, KEY)
    assert (response.status_code, response.headers["x-emulator-hints"]) == (204, "visitor-size")
    assert account.visitor()["devices"] == []


@pytest.mark.rule("visitor-size")
def test_the_limit_holds_for_a_visitor_that_was_loaded_and_grew_by_small_steps(account: Account) -> None:
    statuses = [
        account.identify(userId="u", userProperties={"custom_properties": {f"key-{number:03}": "x" * 20}}).status_code
        for number in range(40)
    ]
    accepted = statuses.count(200)
    assert statuses == [200] * accepted + [400] * (40 - accepted)
    kept = account.visitor()["custom_properties"]
    assert MOST - 50 < len(json.dumps(kept, separators=(",", ":"))) <= MOST
    assert account.identify(userId="u", userProperties={"custom_properties": {"key-000": "y" * 20}}).status_code == 200
    assert account.track(userId="u", event="still accepted").status_code == 200


@pytest.mark.rule("visitor-size")
def test_by_default_the_limit_is_16_mib(server: Server) -> None:
    account = server.account()
    megabytes = "x" * (4 * 1024 * 1024)
    statuses = [
        account.identify(userId="u", userProperties={name: megabytes, "custom_properties": {}}).status_code
        for name in ("phone_number", "fbc", "fbp", "gclid")
    ]
    assert statuses == [200, 200, 200, 400]
    assert server.default.debug("settings")["max_visitor_bytes"]["value"] == 16 * 1024 * 1024
