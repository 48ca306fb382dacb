"""What calls of the Client API do to visitors, and that both APIs share them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import pytest

from serving import Account, Server, serving
from test_client_api import BOTH, KEY, MORE, PHONE, hinted, said, send

pytestmark = pytest.mark.each_database


# identify


def not_found(identifier: str, value: str) -> dict[str, str]:
    return {"identifier": identifier, "value": value, "result": "not_found"}


@pytest.mark.rule("client-identify", "client-look-up")
def test_identify_makes_a_visitor_with_the_ids_given(account: Account) -> None:
    for body in ({"external_id": "X1"}, {"anonymous_id": "A2"}, {"anonymous_id": "A3", "external_id": "X3"}):
        assert hinted(said(account, "identify", body)) == ""
    ids = [visitor["identifiers"] for visitor in reversed(account.visitors())]
    assert [(it["external_id"], it["anonymous_id"]) for it in ids] == [("X1", None), (None, "A2"), ("X3", "A3")]
    assert account.events() == []
    latest = account.events(endpoint="client/identify")[0]
    assert (latest["event"], latest["distinct_id"], latest["outcome"]) == (None, None, "accepted")
    assert latest["resolution"] == {
        "decided_by": "external_id",
        "created": True,
        "steps": [
            {**not_found("external_id", "X3"), "why": "no visitor has it, so anonymous_id was looked up"},
            {**not_found("anonymous_id", "A3"), "why": "no visitor has it, so a new visitor was made"},
        ],
    }


@pytest.mark.rule("client-look-up")
def test_an_external_match_beats_an_anonymous_one(account: Account) -> None:
    said(account, "identify", {"anonymous_id": "A"})
    said(account, "identify", {"external_id": "X"})
    response = said(account, "identify", BOTH | {"locale": "de"})
    assert hinted(response) == "client-identify /anonymous_id"
    assert account.visitor(external_id="X")["properties"]["locale"] == "de"
    assert account.visitor(external_id="X")["identifiers"]["anonymous_id"] is None
    assert account.visitor(anonymous_id="A")["properties"] == {}
    assert account.events(endpoint="client/identify")[0]["resolution"]["steps"] == [
        {"identifier": "external_id", "value": "X", "result": "matched", "why": "a visitor has it"},
        {"identifier": "anonymous_id", "value": "A", "result": "skipped", "why": "not looked up: external_id decided"},
    ]


@pytest.mark.rule("client-look-up", "client-identify")
def test_an_anonymous_match_is_taken_if_nobody_has_the_external_id_which_is_not_written(account: Account) -> None:
    said(account, "identify", {"anonymous_id": "A"})
    response = said(account, "identify", BOTH | {"locale": "de"})
    # The alias may be on the way: SDKs send both at once.
    assert hinted(response) == ""
    visitor = account.visitor()
    assert visitor["identifiers"] | {"user_id": ""} == {
        "user_id": "",
        "external_id": None,
        "email": None,
        "anonymous_id": "A",
    }
    assert visitor["properties"] == {"locale": "de"}
    assert account.events(endpoint="client/identify")[0]["resolution"]["decided_by"] == "anonymous_id"


@pytest.mark.rule("client-identify")
def test_an_anonymous_id_that_is_nobodys_is_written_on_the_visitor_found(account: Account) -> None:
    said(account, "identify", {"external_id": "X"})
    for anonymous in ("A1", "A1", "A2"):
        assert hinted(said(account, "identify", {"external_id": "X", "anonymous_id": anonymous})) == ""
        assert account.visitor(anonymous_id=anonymous)["identifiers"]["external_id"] == "X"
    assert account.visitors(anonymous_id="A1") == []
    said(account, "identify", {"external_id": "X", "anonymous_id": None})
    assert account.visitor()["identifiers"]["anonymous_id"] == "A2"


@pytest.mark.rule("client-identify")
def test_an_external_id_that_no_call_can_write_any_more_gives_a_hint(account: Account) -> None:
    said(account, "identify", {"anonymous_id": "A", "external_id": "X2"})
    response = said(account, "identify", BOTH)
    assert hinted(response) == "client-identify /external_id"
    assert hinted(said(account, "alias", BOTH)) == "client-alias"
    assert account.visitor()["identifiers"]["external_id"] == "X2"


@pytest.mark.rule("client-look-up")
def test_null_names_nobody_with_a_hint_and_an_empty_id_is_an_id(account: Account) -> None:
    for _ in range(2):
        for nobody in ({"anonymous_id": None, "external_id": None}, {"external_id": None, "email": "a@b.co"}):
            assert hinted(said(account, "identify", nobody)) == "client-look-up"
        assert hinted(said(account, "identify", {"anonymous_id": "", "external_id": None})) == ""
    assert len(account.visitors()) == 5
    assert account.visitor(anonymous_id="")


@pytest.mark.rule("client-look-up")
def test_events_whose_ids_are_null_make_a_visitor_each_with_a_hint(account: Account) -> None:
    nobody: Any = {"external_id": None, "name": "N"}
    response = said(account, "events", [nobody, {"anonymous_id": "A", "name": "N"}, nobody])
    assert hinted(response) == "client-look-up /0; client-look-up /2"
    assert len(account.visitors()) == 3


@pytest.mark.rule("client-profile")
@pytest.mark.parametrize(
    ("field", "stored"),
    [("email", "email"), ("phone", "phone_number"), ("timezone", "timezone"), ("locale", "locale")],
)
@pytest.mark.parametrize("way", ["identify", "user"])
def test_a_field_absent_stays_null_clears_and_a_value_sets(account: Account, way: str, field: str, stored: str) -> None:
    def send_user(**user: Any) -> Any:
        if way == "identify":
            said(account, "identify", {"external_id": "X", **user})
        else:
            said(account, "events", [{"external_id": "X", "name": "E", "user": user}])
        return account.visitor()["properties"]

    mine = {"external_id": "X"}
    other = "locale" if field != "locale" else "email"
    assert send_user(**{field: "UTC"}) == {**mine, stored: "UTC"}
    assert send_user(**{other: "GMT"}) == {**mine, stored: "UTC", other: "GMT"}
    assert send_user(**{field: "GMT"}) == {**mine, stored: "GMT", other: "GMT"}
    assert send_user(**{field: None}) == {**mine, other: "GMT"}
    if field != "timezone":
        assert send_user(**{field: ""}) == {**mine, stored: "", other: "GMT"}


@pytest.mark.rule("client-data")
@pytest.mark.parametrize("way", ["identify", "user"])
def test_data_is_merged_one_level_deep_and_keeps_its_nulls(account: Account, way: str) -> None:
    def send_data(data: Any) -> Any:
        if way == "identify":
            said(account, "identify", {"external_id": "X", "data": data})
        else:
            said(account, "events", [{"external_id": "X", "name": "E", "user": {"data": data}}])
        return account.visitor()["data"]

    assert send_data({"a": 1, "b": {"c": 2, "d": 3}, "e": ""}) == {"a": 1, "b": {"c": 2, "d": 3}, "e": ""}
    assert send_data({"a": None, "b": {"c": 4}}) == {"a": None, "b": {"c": 4}, "e": ""}
    assert send_data({}) == send_data(None) == {"a": None, "b": {"c": 4}, "e": ""}
    visitor = account.visitor()
    assert (visitor["properties"], visitor["custom_properties"]) == ({"external_id": "X"}, {})


# alias


@pytest.mark.rule("client-alias")
def test_anonymous_events_then_alias_then_events_by_external_id_are_one_visitor(account: Account) -> None:
    said(account, "events", [{"anonymous_id": "A", "name": "1"}, {"anonymous_id": "A", "name": "2"}])
    assert hinted(said(account, "alias", BOTH)) == ""
    said(account, "events", [{"external_id": "X", "name": "3"}])
    said(account, "events", [{"anonymous_id": "A", "name": "4"}])
    visitor = account.visitor()
    assert (visitor["identifiers"]["external_id"], visitor["identifiers"]["anonymous_id"]) == ("X", "A")
    assert [event["event"] for event in account.events()] == ["4", "3", "2", "1", "user_created"]
    assert {event["visitor_id"] for event in account.events()} == {visitor["visitor_id"]}


@pytest.mark.rule("client-alias")
@pytest.mark.parametrize(
    ("before", "why"),
    [
        ([{"anonymous_id": "A"}, {"external_id": "X"}], "another visitor has this external_id; nothing was changed"),
        (
            [{"anonymous_id": "A", "external_id": "X2"}, {"external_id": "X"}],
            "another visitor has this external_id; nothing was changed",
        ),
        (
            [{"anonymous_id": "A", "external_id": "X2"}],
            "the visitor with this anonymous_id has another external_id; nothing was changed",
        ),
    ],
)
def test_an_alias_that_can_never_have_an_effect_is_204_with_a_hint_and_changes_nothing(
    account: Account, before: Sequence[Any], why: str
) -> None:
    for ids in before:
        said(account, "identify", ids)
    visitors = account.visitors()
    assert hinted(said(account, "alias", BOTH)) == "client-alias"
    assert account.visitors() == visitors
    (receipt,) = account.events(endpoint="client/alias")
    assert receipt["hints"] == [{"rule": "client-alias", "path": "", "message": why}]


@pytest.mark.rule("client-alias")
@pytest.mark.parametrize("before", [[], [BOTH], [{"external_id": "X"}]])
def test_an_alias_that_comes_before_or_after_its_identify_gives_no_hint_and_changes_nothing(
    account: Account, before: Sequence[Any]
) -> None:
    for ids in before:
        said(account, "identify", ids)
    visitors = account.visitors()
    assert hinted(said(account, "alias", BOTH)) == ""
    assert account.visitors() == visitors


@pytest.mark.rule("client-alias", "never-merged")
def test_a_second_alias_or_one_to_an_id_somebody_has_leaves_two_visitors_two(account: Account) -> None:
    said(account, "events", [{"anonymous_id": "A", "name": "1"}, {"anonymous_id": "B", "name": "2"}])
    said(account, "alias", BOTH)
    before = account.visitors()
    said(account, "alias", BOTH)
    said(account, "alias", {"anonymous_id": "A", "external_id": "X2"})
    said(account, "alias", {"anonymous_id": "B", "external_id": "X"})
    assert account.visitors() == before
    assert len(before) == 2


FIRST_IDENTIFICATION: dict[str, dict[str, str]] = {
    "alias": BOTH,
    "identify": BOTH | {"email": "a@b.co"},
    "devices": BOTH | PHONE,
}


@pytest.mark.rule("client-alias", "client-identify", "client-devices-wait")
@pytest.mark.parametrize("known", [None, "anonymous_id", "external_id"])
@pytest.mark.parametrize("order", list(permutations(FIRST_IDENTIFICATION)))
def test_the_calls_of_a_first_identification_end_in_one_visitor_in_every_order(
    account: Account, order: Sequence[str], known: str | None
) -> None:
    if known is not None:
        said(account, "events", [{known: BOTH[known], "name": "earlier"}])
    for name in order:
        response = said(account, name, FIRST_IDENTIFICATION[name])
        assert hinted(response) in ("", *["client-devices-wait"] * (name == "devices"))
    assert_identified(account)


@pytest.mark.rule("client-alias", "client-identify", "client-devices-wait")
@pytest.mark.parametrize("known", [None, "anonymous_id", "external_id"])
def test_the_calls_of_a_first_identification_end_in_one_visitor_when_sent_at_once(
    server: Server, known: str | None
) -> None:
    with ThreadPoolExecutor(12) as pool:
        for _ in range(10):
            account = server.account()
            if known is not None:
                said(account, "events", [{known: BOTH[known], "name": "earlier"}])
            calls = [pool.submit(said, account, *call) for call in FIRST_IDENTIFICATION.items()]
            assert [call.result().status_code for call in calls] == [204] * 3
            assert_identified(account)


def assert_identified(account: Account) -> None:
    visitor = account.visitor()
    ids = visitor["identifiers"]
    assert (ids["external_id"], ids["anonymous_id"], ids["email"]) == ("X", "A", "a@b.co")
    assert visitor["devices"] == [PHONE]


@pytest.mark.rule("client-alias", "never-merged")
@pytest.mark.parametrize("order", list(permutations(FIRST_IDENTIFICATION)))
def test_if_both_ids_have_a_visitor_already_they_stay_two_in_every_order(
    account: Account, order: Sequence[str]
) -> None:
    said(account, "events", [{"anonymous_id": "A", "name": "1"}, {"external_id": "X", "name": "2"}])
    for name in order:
        said(account, name, FIRST_IDENTIFICATION[name])
    known = account.visitor(external_id="X")
    assert (known["identifiers"]["anonymous_id"], known["identifiers"]["email"]) == (None, "a@b.co")
    assert known["devices"] == [PHONE]
    assert account.visitor(anonymous_id="A")["devices"] == []
    assert len(account.visitors()) == 2


# devices


@pytest.mark.rule("client-devices")
def test_a_device_is_added_or_updated_key_by_key(account: Account) -> None:
    said(account, "identify", {"external_id": "X"})

    def register(**fields: Any) -> Any:
        assert hinted(said(account, "devices", {"external_id": "X", **PHONE, **fields})) == ""
        return account.visitor()["devices"]

    one = {**PHONE, "token": "t1", "os_version": "17", "app_build": "2"}
    two = {**PHONE, "device_id": "d2", "token": "t2"}
    assert register(token="t1", os_version="17") == [one | {"app_build": "1"}]
    assert register(app_build="2") == [one]
    assert register(device_id="d2", token="t2") == [one, two]
    assert register(device_id="d3", token="t2") == [one, two | {"device_id": "d3"}]
    assert register(device_id="d3", token=None) == [one, two | {"device_id": "d3", "token": None}]
    assert len(register(device_id="d4", token=None)) == 3
    assert register(device_id="d4", color="red")[2]["color"] == "red"
    assert [device["device_id"] for device in account.visitor()["devices"]] == ["d1", "d3", "d4"]
    assert account.visitor()["event_count"] == 0
    assert account.events() == []


APPEARANCES: list[tuple[str, Any]] = [
    ("/api/client/identify", {"external_id": "X"}),
    ("/api/client/identify", {"anonymous_id": "A"}),
    ("/api/client/events", [{"external_id": "X", "name": "E"}]),
    ("/api/client/events", [{"anonymous_id": "A", "name": "E"}]),
    ("/track", {"token": "t", "event": "E", "externalId": "X"}),
    ("/track", {"token": "t", "event": "E", "userId": "u", "externalId": "X"}),
    ("/track", {"token": "t", "event": "E", "userId": "u", "userProperties": {"external_id": "X"}}),
    ("/identify", {"token": "t", "userProperties": {"external_id": "X"}}),
    ("/batch", {"token": "t", "events": [{"event": "E", "distinctId": "d", "externalId": "X"}]}),
]


@pytest.mark.rule("client-devices-wait")
@pytest.mark.parametrize(("path", "body"), APPEARANCES)
def test_a_device_waits_until_its_visitor_appears_by_whichever_api(account: Account, path: str, body: Any) -> None:
    assert hinted(said(account, "devices", BOTH | PHONE)) == "client-devices-wait"
    said(account, "devices", BOTH | PHONE | {"app_build": "2"})
    said(account, "devices", BOTH | PHONE | {"device_id": "d2"})
    said(account, "devices", {"external_id": "other", **PHONE})
    assert account.visitors() == []
    account.post(path, body, KEY)
    assert account.visitor()["devices"] == [PHONE | {"app_build": "2"}, PHONE | {"device_id": "d2"}]
    account.post("/track", {"token": "t", "event": "E", "userId": "v", "externalId": "X"})
    assert account.visitor(user_id="v")["devices"] == []


@pytest.mark.rule("client-devices-wait")
def test_a_device_waits_for_a_visitor_that_gets_its_id_later(account: Account) -> None:
    said(account, "identify", {"anonymous_id": "A"})
    account.track(userId="u")
    said(account, "devices", {"external_id": "X", **PHONE})
    said(account, "devices", {"external_id": "Y", **PHONE})
    said(account, "devices", {"anonymous_id": "B", **PHONE, "device_id": "d2"})
    assert [visitor["devices"] for visitor in account.visitors()] == [[], []]
    said(account, "alias", BOTH)
    said(account, "identify", {"external_id": "X", "anonymous_id": "B"})
    account.track(userId="u", externalId="Y")
    assert account.visitor(external_id="X")["devices"] == [PHONE, PHONE | {"device_id": "d2"}]
    assert account.visitor(external_id="Y")["devices"] == [PHONE]


@pytest.mark.rule("client-devices-wait")
def test_a_device_of_two_nulls_is_dropped_with_a_hint(account: Account) -> None:
    body = {"external_id": None, "anonymous_id": None, **PHONE}
    assert hinted(said(account, "devices", body)) == "client-devices-wait"
    said(account, "identify", {"external_id": None})
    assert account.visitor()["devices"] == []


@pytest.mark.rule("client-devices-wait", "accounts")
def test_a_device_waits_in_its_account_and_a_reset_sends_it_away(server: Server, account: Account) -> None:
    other = server.account()
    said(account, "devices", {"external_id": "X", **PHONE})
    said(other, "identify", {"external_id": "X"})
    assert other.visitor()["devices"] == []
    name = account.url.rpartition("/")[2]
    server.default.post("/debug/reset", {"account": name})
    said(account, "identify", {"external_id": "X"})
    assert account.visitor()["devices"] == []


@pytest.mark.rule("client-devices-wait")
def test_waiting_devices_data_and_ids_outlive_a_restart(tmp_path: Any) -> None:
    settings = {"database": str(tmp_path / "store.db")}
    with serving(**settings) as server:
        said(server.default, "devices", {"external_id": "X", **PHONE})
        said(server.default, "identify", {"anonymous_id": "A", "data": {"a": None}})
        said(server.default, "devices", {"anonymous_id": "A", **PHONE, "device_id": "d2"})
    with serving(**settings) as server:
        said(server.default, "devices", {"external_id": "Y", **PHONE, "device_id": "d3"})
        said(server.default, "alias", BOTH)
        visitor = server.default.visitor(anonymous_id="A")
        assert visitor["data"] == {"a": None}
        assert [device["device_id"] for device in visitor["devices"]] == ["d2", "d1"]
        said(server.default, "identify", {"external_id": "Y"})
        assert [device["device_id"] for device in server.default.visitor(external_id="Y")["devices"]] == ["d3"]


# events


@pytest.mark.rule("client-events")
def test_events_make_their_visitors_and_say_so_first(account: Account) -> None:
    said(account, "events", [{"anonymous_id": "A", "name": "1"}, {"anonymous_id": "A", "name": "2"}])
    said(account, "events", [BOTH | {"name": "3"}])
    said(account, "events", [{"external_id": "X", "anonymous_id": "B", "name": "4"}])
    events = account.events()
    assert [event["event"] for event in reversed(events)] == ["user_created", "1", "2", "3", "user_created", "4"]
    assert len({event["distinct_id"] for event in events}) == 6
    assert [event["resolution"]["created"] for event in reversed(events)] == [True, True, False, False, True, True]
    younger, older = account.visitors()
    assert (older["identifiers"]["external_id"], older["identifiers"]["anonymous_id"]) == (None, "A")
    assert (younger["identifiers"]["external_id"], younger["identifiers"]["anonymous_id"]) == ("X", "B")
    assert (older["event_count"], younger["event_count"]) == (4, 2)


@pytest.mark.rule("client-events")
def test_the_same_events_again_are_other_events(account: Account) -> None:
    for _ in range(2):
        said(account, "events", [{"external_id": "X", "name": "E"}] * 2)
    assert len(account.events(event="E")) == 4
    assert account.debug("summary")["outcomes"]["duplicate"] == 0


@pytest.mark.rule("client-events", "allow-list")
def test_the_allow_list_is_for_the_ingest_api() -> None:
    with serving(allowed_events="Purchase") as server:
        said(server.default, "events", [{"external_id": "X", "name": "Other"}])
        assert len(server.default.events()) == 2


@pytest.mark.rule("client-event-user")
def test_the_user_of_an_item_is_an_identify_of_its_visitor(account: Account) -> None:
    user = {"email": "a@b.co", "phone": "1", "data": {"a": 1}, "external_id": "no", "anonymous_id": "no", "plan": "pro"}
    response = said(account, "events", [{"external_id": "X", "name": "E", "user": user}])
    assert hinted(response) == (
        "client-extra-keys /0/user/external_id; client-extra-keys /0/user/anonymous_id; client-extra-keys /0/user/plan"
    )
    visitor = account.visitor()
    assert visitor["properties"] == {"external_id": "X", "email": "a@b.co", "phone_number": "1"}
    assert (visitor["data"], visitor["identifiers"]["anonymous_id"]) == ({"a": 1}, None)
    said(account, "events", [{"external_id": "X", "anonymous_id": "A", "name": "E"}])
    assert account.visitors(anonymous_id="A") == []
    said(account, "events", [{"external_id": "X", "anonymous_id": "A", "name": "E", "user": {}}])
    assert account.visitor(anonymous_id="A")["visitor_id"] == visitor["visitor_id"]
    snapshots = [event["visitor_properties"] for event in account.events(event="E")]
    assert snapshots == [visitor["properties"]] * 3


@pytest.mark.rule("client-event-name")
def test_an_event_without_a_name_is_kept_with_a_hint(account: Account) -> None:
    response = said(account, "events", [{"external_id": "X", "name": "E"}, {"external_id": "X"}])
    assert hinted(response) == "client-event-name /1/name"
    assert [event["event"] for event in account.events()] == ["", "E", "user_created"]


@pytest.mark.rule("client-extra-keys")
def test_keys_nobody_knows_are_dropped_with_advice(account: Account) -> None:
    item = {"external_id": "X", "name": "E", "properties": {"a": 1}, "timestamp": 5}
    response = said(account, "events", [{"external_id": "X", "name": "E"}, item])
    assert hinted(response) == "client-extra-keys /1/properties; client-extra-keys /1/timestamp"
    assert [hint["message"] for hint in account.debug("events/latest")["hints"]] == [
        "dropped; did you mean data?",
        "dropped",
    ]
    assert hinted(said(account, "alias", BOTH | {"email": "a@b.co"})).startswith("client-extra-keys /email")
    refused = send(account, "identify", BOTH | {"properties": {}})
    assert (refused.json()["error"], hinted(refused)) == (MORE, "client-extra-keys /properties")
    long = said(
        account, "events", [{"external_id": "X", "name": "E", "x" * 100_000: 1} | {f"k{n}": 1 for n in range(99)}]
    )
    assert len(hinted(long)) < 3000


# Both APIs


@pytest.mark.rule("client-profile", "shared-visitors")
def test_both_apis_find_each_others_visitors(account: Account) -> None:
    said(account, "identify", {"external_id": "X", "email": "x@x.co", "phone": "+1", "data": {"a": 1}})
    account.track(email="x@x.co", event="by email")
    account.track(externalId="X", event="by external id", userProperties={"first_name": "Ann", "phone_number": "+2"})
    visitor = account.visitor()
    assert visitor["properties"] == {"external_id": "X", "email": "x@x.co", "phone_number": "+2", "first_name": "Ann"}
    assert visitor["data"] == {"a": 1}
    account.track(userId="u", externalId="Y", email="y@y.co", userProperties={"custom_properties": {"plan": "pro"}})
    said(account, "events", [{"external_id": "Y", "anonymous_id": "B", "name": "from the app", "user": {"phone": "3"}}])
    said(account, "identify", {"anonymous_id": "B", "email": None})
    found = account.visitor(user_id="u")
    assert found["properties"] == {"external_id": "Y", "phone_number": "3"}
    assert found["custom_properties"] == {"plan": "pro"}
    assert found["identifiers"]["anonymous_id"] == "B"
    assert len(account.visitors()) == 2
    assert account.visitors(email="y@y.co") == []
    assert [(event["event"], event["endpoint"]) for event in account.events(visitor_id="u")] == [
        ("from the app", "client/events"),
        ("Test", "track"),
    ]


@pytest.mark.rule("client-look-up", "identity-order", "user-id")
def test_an_anonymous_id_is_not_the_user_id_of_the_ingest_api(account: Account) -> None:
    account.track(userId="A")
    said(account, "identify", {"anonymous_id": "A"})
    assert len(account.visitors()) == 2
    account.track(userId="B")
    said(account, "events", [{"anonymous_id": "B", "name": "E"}])
    assert len(account.visitors()) == 4


TABLE: list[tuple[dict[str, Any], str | None]] = [
    ({"userId": "A"}, "A"),
    ({"userId": "A", "externalId": "XC", "email": "c@x.co"}, "A"),
    ({"userId": "anonymous C"}, None),
    ({"userId": "new", "email": "c@x.co"}, None),
    ({"externalId": "XC"}, "C"),
    ({"externalId": "XC", "email": "a@x.co"}, "C"),
    ({"externalId": "XA", "email": "c@x.co"}, "A"),
    ({"externalId": "new", "email": "c@x.co"}, None),
    ({"email": "c@x.co"}, "C"),
    ({"email": "a@x.co"}, "A"),
    ({"email": "new@x.co"}, None),
    ({"userProperties": {"external_id": "XC"}}, "C"),
    ({"userProperties": {"email": "c@x.co"}}, "C"),
]


@pytest.mark.rule("identity-order", "user-id")
@pytest.mark.parametrize(("sent", "found"), TABLE)
def test_the_identity_table_holds_beside_visitors_of_the_client_api(
    account: Account, sent: dict[str, Any], found: str | None
) -> None:
    account.track(userId="A", externalId="XA", email="a@x.co")
    said(account, "identify", {"external_id": "XC", "anonymous_id": "anonymous C", "email": "c@x.co"})
    made = account.visitor(external_id="XC")["visitor_id"]
    account.track(**sent)
    expected = {"A": "A", "C": made, None: None}[found]
    newest = account.debug("events/latest")
    assert newest["resolution"]["created"] == (found is None)
    assert newest["visitor_id"] == (expected or newest["visitor_id"])
    assert len(account.visitors()) == 2 + (found is None)


def test_what_is_no_event_is_listed_only_when_asked_for(account: Account) -> None:
    said(account, "identify", BOTH)
    said(account, "alias", BOTH)
    said(account, "devices", BOTH | PHONE)
    assert account.events() == []
    assert [event["endpoint"] for event in account.events(outcome="accepted")] == [
        "client/devices",
        "client/alias",
        "client/identify",
    ]
    for name in ("identify", "alias", "devices"):
        (receipt,) = account.events(endpoint=f"client/{name}")
        assert (receipt["event"], receipt["visitor_id"]) == (None, account.visitor()["visitor_id"])
    assert account.debug(f"visitors/{account.visitor()['visitor_id']}/events")["total"] == 3
    assert account.http.get(f"{account.url}/debug/events/latest").status_code == 404
    assert account.debug("events/latest", outcome="any")["endpoint"] == "client/devices"
    assert account.debug("summary")["events"] == {}
    said(account, "events", [{"external_id": "X", "name": "E"}])
    assert [event["event"] for event in account.events()] == ["E"]


def test_visitors_are_found_by_what_the_client_api_knows_of_them(account: Account) -> None:
    said(account, "identify", {"anonymous_id": "device-ünique", "data": {"plan": "gold"}})
    said(account, "identify", {"anonymous_id": "other"})
    for text in ("ünique", "gold"):
        assert account.visitor(q=text)["identifiers"]["anonymous_id"] == "device-ünique"
    assert account.visitors(external_id="other") == []


def test_many_clients_at_once_make_each_visitor_once(account: Account) -> None:
    def work(number: int) -> None:
        ids = {"anonymous_id": f"a{number % 10}", "external_id": f"x{number % 10}"}
        said(account, "identify", ids)
        said(account, "events", [ids | {"name": "E"}] * 3)
        said(account, "devices", ids | PHONE | {"device_id": f"d{number}"})

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(80)))
    visitors = account.visitors()
    assert len(visitors) == 10
    assert {visitor["event_count"] for visitor in visitors} == {24}
    assert {len(visitor["devices"]) for visitor in visitors} == {8}
