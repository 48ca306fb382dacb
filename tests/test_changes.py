"""Changes of an event to its visitor: each value before and after, and why a value that was sent changed nothing."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving import Account, Server, serving
from test_versions import DEVICE, OBJECTS, SENT

pytestmark = pytest.mark.each_database

KEY = {"authorization": "Bearer pk_k"}
PHONE = dict.fromkeys(("device_id", "os", "model", "app_build", "app_version"), "x")


def client(account: Account, path: str, body: Any) -> None:
    """Send *body* to the Client API."""
    response = account.post(f"/api/client/{path}", body, KEY)
    assert response.status_code == 204, response.text


def last(account: Account) -> dict[str, Any]:
    """Return the last event of any kind to arrive, with what it changed."""
    event: dict[str, Any] = account.debug(f"events/{account.debug('summary')['newest_event']}")
    return event


def changes(account: Account) -> dict[str, tuple[Any, ...]]:
    """Return what the last event changed: action, before, after and why, by path."""
    listed = last(account)["changes"]
    assert all(list(change) == ["path", "action", "before", "after", "why"] for change in listed)
    found = {change.pop("path"): tuple(change.values()) for change in listed}
    assert len(found) == len(listed)
    return found


def test_the_event_that_creates_a_visitor_adds_what_it_sent(account: Account) -> None:
    account.track(
        userId="u",
        email="a@b.co",
        userProperties={"city": "Berlin", "custom_properties": {"plan": "pro"}, "consent": {"ads": True}},
    )
    assert changes(account) == {
        "identifiers.user_id": ("added", None, "u", None),
        "identifiers.email": ("added", None, "a@b.co", None),
        "properties.city": ("added", None, "Berlin", None),
        "custom_properties.plan": ("added", None, "pro", None),
        "consent": ("added", None, {"ads": True}, None),
    }
    account.track(externalId="x")
    added = changes(account)
    visitor_id = account.visitor(external_id="x")["visitor_id"]
    assert added["identifiers.user_id"] == ("added", None, visitor_id, "generated for the new visitor")


def test_a_later_event_changes_removes_and_adds_and_the_rest_is_ignored_or_unchanged(account: Account) -> None:
    first = {"city": "Berlin", "state": "BE", "custom_properties": {"plan": "free", "seats": 1}, "consent": {"a": 1}}
    account.identify(userId="u", userProperties=first)
    account.track(
        userId="u",
        userProperties={
            "city": "Bonn",
            "state": None,
            "zip": "",
            "gender": None,
            "custom_properties": {"plan": "pro", "seats": 1, "old": None, "text": "", "new": [1]},
            "consent": {"b": 2},
        },
    )
    assert changes(account) == {
        "properties.city": ("changed", "Berlin", "Bonn", None),
        "properties.state": ("removed", "BE", None, None),
        "custom_properties.plan": ("changed", "free", "pro", None),
        "custom_properties.new": ("added", None, [1], None),
        "consent": ("changed", {"a": 1}, {"b": 2}, None),
        "identifiers.user_id": ("unchanged", "u", "u", None),
        "properties.zip": ("ignored", None, None, "empty text is ignored"),
        "properties.gender": ("ignored", None, None, "is not set, so there is nothing to clear"),
        "custom_properties.seats": ("unchanged", 1, 1, None),
        "custom_properties.old": ("ignored", None, None, "null is ignored inside custom_properties"),
        "custom_properties.text": ("ignored", None, None, "empty text is ignored inside custom_properties"),
    }
    account.identify(userId="u", userProperties={"custom_properties": None, "consent": None})
    found = changes(account)
    assert found["consent"] == ("removed", {"b": 2}, None, None)
    assert found["custom_properties"] == ("ignored", None, None, "null is ignored here; nothing is cleared")


@pytest.mark.rule("claims-stored")
def test_an_identifier_that_a_property_overrules_says_so(account: Account) -> None:
    account.track(userId="u", email="a@b.co", userProperties={"email": "c@d.co"})
    why = "userProperties.email has another value, which is stored"
    assert changes(account)["identifiers.email"] == ("added", None, "c@d.co", why)
    account.track(userId="u", email="a@b.co", userProperties={"email": None})
    why = "userProperties.email is null, which clears it"
    assert changes(account)["identifiers.email"] == ("removed", "c@d.co", None, why)


@pytest.mark.rule("client-identify", "client-alias")
def test_an_id_of_the_client_api_that_is_not_written_says_why(account: Account) -> None:
    client(account, "identify", {"anonymous_id": "phone", "email": "a@b.co"})
    assert changes(account)["identifiers.anonymous_id"] == ("added", None, "phone", None)
    client(account, "identify", {"anonymous_id": "phone", "external_id": "x"})
    only = "only an alias gives a visitor that exists an external_id"
    assert changes(account)["identifiers.external_id"] == ("ignored", None, None, only)
    client(account, "alias", {"anonymous_id": "phone", "external_id": "x"})
    assert changes(account) == {
        "identifiers.external_id": ("added", None, "x", None),
        "identifiers.anonymous_id": ("unchanged", "phone", "phone", None),
    }
    client(account, "alias", {"anonymous_id": "phone", "external_id": "y"})
    why = "the visitor has another external_id, which is never replaced"
    assert changes(account)["identifiers.external_id"] == ("ignored", "x", "x", why)
    account.track(externalId="y")
    client(account, "alias", {"anonymous_id": "phone", "external_id": "y"})
    why = "an alias gives a visitor only an external_id"
    assert changes(account)["identifiers.anonymous_id"] == ("ignored", None, None, why)
    client(account, "identify", {"anonymous_id": "phone", "external_id": "y"})
    why = "another visitor has it, and visitors are never merged"
    assert changes(account)["identifiers.anonymous_id"] == ("ignored", None, None, why)
    client(account, "events", [{"anonymous_id": "tablet", "external_id": "y", "name": "E"}])
    why = "an event without `user` gives a visitor that exists no ids"
    assert changes(account)["identifiers.anonymous_id"] == ("ignored", None, None, why)


def test_the_second_of_two_events_that_create_a_visitor_names_the_first(account: Account) -> None:
    user = {"email": "a@b.co", "locale": "", "data": {"n": None}}
    client(account, "events", [{"anonymous_id": "phone", "name": "Opened", "user": user}])
    second = last(account)
    first = account.debug(f"events/{second['id'] - 1}")
    assert (first["event"], second["event"]) == ("user_created", "Opened")
    created = {change["path"]: (change["action"], change["before"], change["after"]) for change in first["changes"]}
    assert created == {
        "identifiers.user_id": ("added", None, first["visitor_id"]),
        "identifiers.email": ("added", None, "a@b.co"),
        "identifiers.anonymous_id": ("added", None, "phone"),
        "properties.locale": ("added", None, ""),
        "data.n": ("added", None, None),
    }
    assert {change["action"] for change in second["changes"]} == {"unchanged"}
    assert {change["why"] for change in second["changes"]} == {
        f"was set by event {first['id']}, which created the visitor"
    }


@pytest.mark.rule("client-data")
def test_null_in_data_is_a_value_that_is_added_changed_and_unchanged(account: Account) -> None:
    client(account, "identify", {"external_id": "x", "data": {"a": 1}})
    client(account, "identify", {"external_id": "x", "data": {"a": None, "b": None}})
    found = changes(account)
    assert (found["data.a"], found["data.b"]) == (("changed", 1, None, None), ("added", None, None, None))
    client(account, "identify", {"external_id": "x", "data": {"a": None}})
    assert changes(account)["data.a"] == ("unchanged", None, None, None)


@pytest.mark.rule("client-devices", "client-devices-wait")
def test_a_device_is_changed_in_its_place_also_if_its_id_changes(account: Account) -> None:
    client(account, "devices", {"external_id": "x", **PHONE, "device_id": "kept", "token": "k"})
    assert (last(account)["changes"], last(account)["visitor_id"]) == ([], None)
    account.track(externalId="x")
    action, before, after, why = changes(account)["devices.kept"]
    assert (action, before, after["token"]) == ("added", None, "k")
    assert why == "was kept until a visitor with one of its ids appeared"
    client(account, "devices", {"external_id": "x", **PHONE, "device_id": "new", "token": "k"})
    action, before, after, why = changes(account)["devices.new"]
    assert (action, before["device_id"], after["device_id"], why) == ("changed", "kept", "new", None)
    client(
        account,
        "devices",
        {"external_id": "x", "anonymous_id": "y", "device_id": "new", **PHONE | {"device_id": "new"}},
    )
    found = changes(account)
    assert found["devices.new"] == ("unchanged", after, after, None)
    assert found["identifiers.anonymous_id"] == ("ignored", None, None, "a device gives a visitor no ids")


def test_what_was_not_accepted_changed_nothing(account: Account) -> None:
    account.configure(allowed_events=["Listed"])
    body = {"userId": "u", "userProperties": {"city": "Bonn"}, "distinctId": "d"}
    account.track(event="Listed", **body)
    for outcome, sent in (
        ("duplicate", {"event": "Listed", **body}),
        ("dropped", {"event": "Other", **body}),
        ("rejected", {"event": "Listed", "userProperties": {"city": "Bonn"}}),
    ):
        account.track(**sent)
        event = last(account)
        assert (event["outcome"], event["changes"], event["unknown_changes"]) == (outcome, [], [])


def test_the_change_is_right_when_the_visitors_event_before_it_is_1000_rows_back(account: Account) -> None:
    account.identify(userId="u", userProperties={"city": "Berlin", "custom_properties": {"text": "x" * 5000, "n": 1}})
    account.batch(*({"event": "E", "userId": "other", "distinctId": str(number)} for number in range(1000)))
    account.identify(userId="u", userProperties={"city": "Bonn", "custom_properties": {"n": True}})
    assert changes(account) == {
        "properties.city": ("changed", "Berlin", "Bonn", None),
        "custom_properties.n": ("changed", 1, True, None),
        "identifiers.user_id": ("unchanged", "u", "u", None),
    }


def test_the_change_is_right_after_everything_before_it_was_evicted() -> None:
    with serving(keep=2) as server:
        account = server.default
        for city in ("A", "B", "C", "D", "E"):
            account.identify(userId="u", userProperties={"city": city})
        (oldest, _) = sorted(account.events(), key=lambda event: event["id"])
        (change, *_) = account.debug(f"events/{oldest['id']}")["changes"]
        assert (change["before"], change["after"]) == ("C", "D")


def test_each_row_of_a_batch_has_its_own_changes(account: Account) -> None:
    rows = [
        {"event": "E", "userId": "u", "distinctId": str(number), "userProperties": {"city": city}}
        for number, city in enumerate(("A", "B", "B"))
    ]
    account.batch(*rows)
    found = [
        [
            (change["action"], change["before"], change["after"])
            for change in account.debug(f"events/{event['id']}")["changes"]
            if change["path"] == "properties.city"
        ]
        for event in sorted(account.events(), key=lambda event: event["id"])
    ]
    assert found == [[("added", None, "A")], [("changed", "A", "B")], [("unchanged", "B", "B")]]


@pytest.mark.parametrize("name", ["a.b", "", "\0", "\ud800", "<img src=x onerror=alert(1)>", "x" * 100_000])
def test_names_and_values_are_data_whatever_is_in_them(account: Account, name: str) -> None:
    account.post(
        "/identify", ascii_json({"token": "t", "userId": "u", "userProperties": {"custom_properties": {name: [name]}}})
    )
    path = f"custom_properties.{name}"
    assert changes(account)[path] == ("added", None, [name], None)


def ascii_json(body: Mapping[str, Any]) -> bytes:
    """Return *body* as JSON in ASCII, which may have lone surrogates."""
    return json.dumps(body).encode("ascii")


def applied(state: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    """Return *state*, values by their paths, after what *event* changed."""
    after = dict(state)
    for change in event["changes"]:
        assert (change["action"] == "ignored") <= (change["why"] is not None)
        if change["action"] == "removed":
            del after[change["path"]]
        elif change["action"] in ("added", "changed"):
            after[change["path"]] = change["after"]
    return after


def shown(version: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a visitor by their paths."""
    values = {f"identifiers.{name}": value for name, value in version["identifiers"].items() if value is not None}
    for name, value in version["properties"].items():
        values |= {} if name in ("email", "external_id") else {f"properties.{name}": value}
    for part in ("custom_properties", "data"):
        values |= {f"{part}.{name}": value for name, value in version[part].items()}
    if version["consent"] is not None:
        values["consent"] = version["consent"]
    return values | {f"devices.{device['device_id']}": device for device in version["devices"]}


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(SENT, min_size=1, max_size=4), data=OBJECTS, device=DEVICE)
def test_changes_of_all_events_together_make_the_visitor_and_every_value_sent_is_among_them(
    server: Server, sent: list[dict[str, Any]], data: dict[str, Any], device: dict[str, Any]
) -> None:
    account, state = server.account(), dict[str, Any]()
    for properties in sent:
        given = {name: value for name, value in properties.items() if name in ("email", "first_name")}
        given = {name: value if value is None else str(value) for name, value in given.items()}
        custom = properties.get("custom_properties", {})
        body = {"token": "t", "externalId": "x", "userProperties": {**given, "custom_properties": custom}}
        assert account.post("/identify", ascii_json(body)).status_code == 200
        event = last(account)
        state = applied(state, event)
        paths = {change["path"] for change in event["changes"]}
        assert paths >= {f"custom_properties.{name}" for name in custom}
        assert state == shown(account.debug(f"events/{event['id']}/visitor"))
    client(account, "identify", ascii_json({"external_id": "x", "data": data}))
    client(account, "devices", ascii_json({"external_id": "x", **PHONE, **device}))
    for event_id in (last(account)["id"] - 1, last(account)["id"]):
        state = applied(state, account.debug(f"events/{event_id}"))
        assert state == shown(account.debug(f"events/{event_id}/visitor"))


def test_what_an_old_file_never_recorded_is_an_unknown_change(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    packed = Path(__file__).with_name("data") / "store-v2.db.gz"
    database.write_bytes(gzip.decompress(packed.read_bytes()))
    with serving(database=str(database)) as server:
        listed = server.default.events(outcome="accepted", limit=1000)
        details = [server.default.debug(f"events/{event['id']}") for event in listed]
    unknown = {tuple(detail["unknown_changes"]) for detail in details}
    parts = ("identifiers", "properties", "custom_properties", "consent", "data", "devices")
    assert unknown == {(), ("data", "devices", "identifiers.anonymous_id"), parts}
    for detail in details:
        touched = {change["path"] for change in detail["changes"]}
        for name in detail["unknown_changes"]:
            assert not any(path == name or path.startswith(f"{name}.") for path in touched)
