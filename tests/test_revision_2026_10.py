"""Revision 2026-10 beside 2026-05 in one live emulator: what it serves, stores, refuses and finds otherwise."""

import gzip
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ours_emulator.contract.compile import Schema, request_schemas
from ours_emulator.contract.revision import revision
from ours_emulator.decide.phone import phone_name
from ours_emulator.model import REVISIONS
from serving import Account, Server, serving

NEW = "2026-10"
ROOT = Path(__file__).parent.parent
DIFFERENCES: Mapping[str, Any] = json.loads((ROOT / "scripts" / "revision_2026_10.json").read_text("utf-8"))
SPACE = "\ufeff \u00a0"
ENDPOINTS = ("track", "identify", "batch")
PARTS = ("userProperties", "defaultProperties")
STEPS = {"identifier", "value", "result", "why"}


@pytest.fixture
def new(server: Server) -> Account:
    """A fresh account of revision 2026-10."""
    account = server.account()
    account.configure(revision=NEW)
    return account


@pytest.fixture(scope="module")
def roomy() -> Iterator[Account]:
    """The default account of an emulator of revision 2026-10, whose rows may be larger than an open object."""
    with serving(revision=NEW, max_row_bytes=2**24, max_body_bytes=2**25) as server:
        yield server.default


def send(account: Account, endpoint: str, **fields: Any) -> tuple[int, str | None]:
    """Send one message to *endpoint*; return the status, of a row its own, and the reason."""
    if endpoint == "batch":
        row = {"event": "E", "distinctId": f"d{account.debug('summary')['requests']}", **fields}
        answer = account.batch({"event": "E", "distinctId": f"other-{row['distinctId']}", "userId": "other"}, row)
        status = 200 if answer.json()["results"][1]["success"] else 400
        assert answer.status_code == (200 if status == 200 else 207)
        assert answer.json()["results"][0] == {"index": 0, "success": True}
        return status, (answer.headers.get("x-emulator-reason") or "").replace("/events/1", "").strip() or None
    if endpoint == "identify":
        fields = {"userProperties": {}, **fields}
    answer = account.track(**fields) if endpoint == "track" else account.identify(**fields)
    return answer.status_code, answer.headers.get("x-emulator-reason")


def last(account: Account) -> dict[str, Any]:
    """Return the event that arrived last."""
    event: dict[str, Any] = account.debug(f"events/{max(event['id'] for event in account.events(outcome='any'))}")
    return event


def hints(account: Account) -> list[tuple[str, str]]:
    """Return the rule and the place of each hint at the event that arrived last."""
    return [(hint["rule"], hint["path"]) for hint in last(account)["hints"]]


# The document


def all_schemas(name: str) -> Iterator[tuple[str, Mapping[str, Schema]]]:
    """Yield each object with fixed names of each body that both revisions have, by the endpoint and its own name."""
    for endpoint, schema in request_schemas(revision(name).document).items():
        if endpoint not in ENDPOINTS:
            continue
        events = schema.properties.get("events")
        body = (events.items if events and events.items else schema).properties
        yield f"{endpoint} ", body
        for part in (*PARTS, "identityContext"):
            yield f"{endpoint} {part}", body[part].properties


@pytest.mark.rule("new-names", "new-lengths", "schema", "any-json")
def test_the_derived_document_has_the_differences_and_no_other() -> None:
    old, new = dict(all_schemas("2026-05")), dict(all_schemas(NEW))
    assert old.keys() == new.keys()
    for place, properties in new.items():
        part = place.partition(" ")[2]
        added: Mapping[str, Any] = DIFFERENCES["added"].get(part, {})
        assert properties.keys() - old[place].keys() == added.keys()
        assert old[place].keys() <= properties.keys()
        for name in added:
            limit = None if name == "ylpcid" or (name, part) == ("oppref", "userProperties") else 2000
            assert (properties[name].max_length, properties[name].trim) == (limit, limit is not None)
        for name, schema in old[place].items():
            found = properties[name]
            same = (found.type, found.nullable, found.min_length, found.max_length)
            if name in DIFFERENCES["any_json"].get(part, ()):
                assert found.type == "any"
            else:
                assert same == (schema.type, schema.nullable, schema.min_length, schema.max_length)


def test_the_document_is_what_the_script_derives() -> None:
    command = [sys.executable, "scripts/derive_revision.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr


@pytest.mark.rule("openapi")
def test_the_document_that_is_served_says_that_it_is_derived(new: Account, server: Server) -> None:
    for path in ("/openapi", "/api/v1/openapi"):
        served = new.http.get(new.url + path)
        assert served.content == revision(NEW).document
        assert "derived" in served.json()["info"]["title"]
        assert "not published" in served.json()["info"]["description"]
        assert server.http.get(server.url + path).content == revision("2026-05").document
    whole = new.http.get(f"{new.url}/openapi.json").json()
    served_body = whole["paths"]["/track"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "ylpcid" in served_body["properties"]["userProperties"]["properties"]


@pytest.mark.rule("new-names", "new-lengths")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_the_new_names_are_stored_and_their_lengths_are_bounded(new: Account, endpoint: str) -> None:
    names = DIFFERENCES["added"]["userProperties"]
    values = {name: f" {name} " for name in names}
    assert send(new, endpoint, userId="u", userProperties=values, defaultProperties=values) == (200, None)
    kept = {name: f" {name} " if name in ("oppref", "ylpcid") else name for name in names}
    assert new.visitor(user_id="u")["properties"] == kept
    assert last(new)["default_properties"].items() >= {**kept, "oppref": "oppref"}.items()
    assert hints(new) == []
    for part, name, longest in (
        ("userProperties", "graid", 2000),
        ("userProperties", "ylpcid", None),
        ("userProperties", "oppref", None),
        ("defaultProperties", "oppref", 2000),
        ("defaultProperties", "ylpcid", None),
    ):
        length = (longest or 5000) + 1
        assert send(new, endpoint, userId="u", **{part: {name: " " + "x" * (length - 1)}}) == (200, None)
        expected = (200, None) if longest is None else (400, f"schema /{part}/{name}")
        assert send(new, endpoint, userId="u", **{part: {name: "x" * length}}) == expected


@pytest.mark.rule("any-json")
def test_any_json_stays_any_json_when_the_document_is_taken_literally(new: Account) -> None:
    new.configure(revision=NEW, strict_openapi=True)
    free = {"zip": 5, "is_bot": [True], "phone_number": {"a": 1}, "consent": {"a": 1}, "custom_properties": {"b": [2]}}
    assert send(new, "track", userId="u", userProperties=free, eventProperties={"a": 5}) == (200, None)
    assert send(new, "track", userId="u", userProperties={"first_name": []}) == (
        400,
        "schema /userProperties/first_name",
    )


# Bodies


@pytest.mark.rule("trimming")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_white_space_around_what_is_trimmed_is_removed(new: Account, endpoint: str) -> None:
    around = f"{SPACE}x y{SPACE}"
    for part in PARTS:
        names = [name for name in DIFFERENCES["trimmed"][part] if name != "email"]
        kept = {"title": around} if part == "userProperties" else {"received_at": around}
        values = {**dict.fromkeys(names, around), "company_name": around, "sid": around, **kept}
        assert send(new, endpoint, userId="u", **{part: values})[0] == 200
        found = new.visitor(user_id="u")["properties"] if part == "userProperties" else last(new)["default_properties"]
        assert {name: found[name] for name in names} == dict.fromkeys(names, "x y")
        assert found["sid"] == (around if part == "userProperties" else "x y")
    assert last(new)["default_properties"]["received_at"] == around


@pytest.mark.rule("trimming", "exact-match")
def test_identifiers_event_token_and_distinct_id_are_trimmed(new: Account) -> None:
    new.configure(revision=NEW, tokens=["live"])
    sent = {name: f"{SPACE}{name}{SPACE}" for name in ("userId", "externalId", "email", "distinctId", "event")}
    assert new.track(token=" live\n", **sent).status_code == 200
    assert new.batch({**sent, "token": " live"}, token="live ").json()["accepted"] == 1
    (event,) = new.events()
    assert event["repeats"] == 1
    assert (event["event"], event["distinct_id"]) == ("event", "distinctId")
    assert event["identity"] == {name: name for name in ("userId", "externalId", "email")}
    assert new.visitor(email="email")["visitor_id"] == "userId"
    assert new.visitors(email="EMAIL") == []


@pytest.mark.rule("trimming")
def test_what_is_blank_is_refused_as_if_it_were_empty_and_a_blank_property_is_ignored(new: Account) -> None:
    assert new.track(userId="u", token=" ").status_code == 401
    assert new.batch({}, token=" ").json()["error"] == "token: missing `token`"
    for name in ("event", "userId", "externalId", "email", "distinctId"):
        for endpoint in ENDPOINTS:
            if endpoint != "identify" or name not in ("event", "distinctId"):
                assert send(new, endpoint, **{"userId": "u", name: SPACE}) == (400, f"schema /{name}")
    new.identify(userId="u", userProperties={"city": "Bonn", "sid": "s"})
    new.identify(userId="u", userProperties={"city": SPACE, "sid": SPACE})
    assert new.visitor(user_id="u")["properties"] == {"city": "Bonn", "sid": SPACE}


def test_what_is_not_trimmed_is_stored_as_sent(new: Account) -> None:
    around = " x "
    context = {"ip": around, "userAgent": around}
    custom = {around: around, "deep": {around: around}}
    inside = {"custom_properties": custom, "consent": custom, "phone_number": around, "zip": around, "is_bot": around}
    new.track(userId="u", eventProperties=custom, userProperties=inside, identityContext=context)
    assert last(new)["event_properties"] == custom
    assert last(new)["identity_context"] == context
    assert last(new)["visitor_properties"] == inside


@pytest.mark.rule("to-text", "to-text-form")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_numbers_and_booleans_become_text_where_the_document_says_so(new: Account, endpoint: str) -> None:
    names = DIFFERENCES["to_text"]["userProperties"]
    numbers: list[tuple[Any, str]] = [
        (5, "5"),
        (1.5, "1.5"),
        (1e21, "1e+21"),
        (True, "true"),
        (12345678901234567890, "12345678901234567000"),
    ]
    for value, text in numbers:
        assert send(new, endpoint, userId=text, externalId=value, userProperties=dict.fromkeys(names, value))[0] == 200
        assert new.visitor(user_id=text)["properties"] == dict.fromkeys(names, text)
        assert last(new)["identity"]["externalId"] == text
    containers: list[Any] = [[], {}]
    for value in containers:
        for name in names:
            expected = (400, f"schema /userProperties/{name}")
            assert send(new, endpoint, userId="u", userProperties={name: value}) == expected
        assert send(new, endpoint, userId="u", externalId=value) == (400, "schema /externalId")
    assert send(new, endpoint, userId="5", externalId=None, userProperties=dict.fromkeys(names))[0] == 200
    assert new.visitor(user_id="5")["properties"] == {}


@pytest.mark.rule("to-text")
def test_what_does_not_become_text_is_refused_as_before(new: Account) -> None:
    assert send(new, "track", userId="u", distinctId=5) == (200, None)
    assert last(new)["distinct_id"] == "5"
    assert send(new, "batch", userId="u", distinctId=5) == (400, "schema /distinctId")
    for name in ("token", "event", "userId", "email"):
        assert send(new, "track", **{"userId": "u", name: 5}) == (400, f"schema /{name}")
    for part, name in (("userProperties", "company_name"), ("userProperties", "gclid"), ("defaultProperties", "sid")):
        assert send(new, "track", userId="u", **{part: {name: 5}}) == (400, f"schema /{part}/{name}")


@pytest.mark.rule("open-object-tidy", "open-object-digits")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_open_objects_are_stored_tidy(new: Account, endpoint: str) -> None:
    text = '{"":1,"big":12345678901234567890,"exp":1E400000,"list":[12345678901234567890],"in":{"":2,"big":1e300}}'
    value = json.loads(text.replace("1E400000", "1e300"))
    value |= {"entries": [*range(251)], "safe": 2**53 - 1, "unsafe": -(2**53)}
    kept = {**value, "big": "12345678901234567890", "exp": "1e+300", "in": {"big": 1e300}}
    kept |= {"entries": [*range(250)], "unsafe": str(-(2**53))}
    del kept[""]
    properties = {"custom_properties": value, "consent": value}
    fields = {} if endpoint == "identify" else {"eventProperties": value}
    assert send(new, endpoint, userId="u", userProperties=properties, **fields)[0] == 200
    snapshot = last(new)["visitor_properties"]
    for found in (
        snapshot["custom_properties"],
        snapshot["consent"],
        *([last(new)["event_properties"]] if fields else []),
    ):
        assert found == kept


@pytest.mark.rule("open-object-limits", "open-object-count")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("place", ["eventProperties", "userProperties/custom_properties", "userProperties/consent"])
def test_a_limit_refuses_the_message_and_of_a_batch_only_the_row(roomy: Account, endpoint: str, place: str) -> None:
    if endpoint == "identify" and place == "eventProperties":
        return
    longest = "x" * (2**20 - 1 - len('{"a":""}'))
    deepest = {"1": {"2": {"3": {"4": 5}}}}
    outer, _, inner = place.partition("/")
    for fitting, too_much, where in (
        ({str(key): key for key in range(200)}, {str(key): key for key in range(201)}, ""),
        ({"0": deepest}, {"0": {"0": deepest}}, "/0/0/1/2/3"),
        ({"a": longest}, {"a": longest + "x"}, ""),
    ):
        for value, expected in ((fitting, (200, None)), (too_much, (400, f"open-object-limits /{place}{where}"))):
            fields = {outer: {inner: value} if inner else value}
            assert send(roomy, endpoint, userId="u", **fields) == expected


def test_a_row_that_breaks_a_limit_is_an_invalid_event_and_says_which(new: Account) -> None:
    row = {"event": "E", "distinctId": "d", "userId": "u", "eventProperties": {str(key): 1 for key in range(201)}}
    answer = new.batch(row, {**row, "eventProperties": {}})
    assert answer.status_code == 207
    assert answer.json()["results"][0] == {
        "index": 0,
        "success": False,
        "code": "invalid_event",
        "message": "eventProperties: must not have more than 200 keys, got 201",
    }


# Identity

PHONE = {"phone_number": "+1 (555) 123-4567"}
SAME_PHONE = {"phone_number": "001 555 123 4567"}
IDENTITY = [
    # what is sent, who is found (None: somebody new), the results of the steps
    (
        {"userId": "A", "externalId": "XB", "email": "b@x.co", "userProperties": PHONE},
        "A",
        "matched skipped skipped skipped",
    ),
    (
        {"userId": "N", "externalId": "XA", "email": "b@x.co", "userProperties": PHONE},
        "N",
        "not_found skipped skipped skipped",
    ),
    ({"externalId": "XA", "email": "b@x.co", "userProperties": PHONE}, "A", "matched skipped skipped"),
    ({"externalId": "no", "email": "b@x.co", "userProperties": PHONE}, "B", "not_found matched skipped"),
    ({"externalId": "no", "email": "no@x.co", "userProperties": SAME_PHONE}, "C", "not_found not_found matched"),
    ({"externalId": "no", "email": "no@x.co"}, None, "not_found not_found"),
    ({"externalId": "no", "userProperties": {"email": "b@x.co"}}, None, "not_found"),
    ({"email": "no@x.co", "userProperties": SAME_PHONE}, "C", "not_found matched"),
    ({"userProperties": SAME_PHONE}, "C", "matched"),
    ({"userProperties": {"phone_number": 15551234567}}, "C", "matched"),
    ({"userProperties": {"phone_number": "5551234567"}}, None, "not_found"),
    ({"userProperties": {"external_id": "no", "email": "b@x.co", **PHONE}}, "B", "not_found matched skipped"),
    ({"userProperties": {"external_id": "no", "email": "no@x.co", **PHONE}}, "C", "not_found not_found matched"),
    ({"userProperties": {"external_id": " XA ", "email": "b@x.co"}}, "A", "matched skipped"),
]


@pytest.mark.rule("identity-order", "identity-fallback", "user-id", "phone-match")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize(("sent", "found", "results"), IDENTITY)
def test_an_identifier_that_matches_nobody_leaves_it_to_the_next(
    new: Account, endpoint: str, sent: dict[str, Any], found: str | None, results: str
) -> None:
    new.track(userId="A", externalId="XA", email="a@x.co")
    new.track(userId="B", externalId="XB", email="b@x.co")
    new.track(userId="C", userProperties={"phone_number": "1-555-123.4567"})
    assert send(new, endpoint, **sent) == (200, None)
    event = last(new)
    resolution = event["resolution"]
    assert [step["result"] for step in resolution["steps"]] == results.split()
    assert resolution["created"] == (found is None or found == "N")
    assert event["visitor_id"] == found if found else event["visitor_id"] not in ("A", "B", "C")


def test_the_resolution_says_why_each_step_went_on(new: Account) -> None:
    new.track(email="a@x.co")
    new.track(externalId="x", email="a@x.co", userProperties=PHONE)
    assert last(new)["resolution"] == {
        "decided_by": "email",
        "created": False,
        "steps": [
            {
                "identifier": "externalId",
                "value": "x",
                "result": "not_found",
                "why": "no visitor has it, so email was looked up",
            },
            {"identifier": "email", "value": "a@x.co", "result": "matched", "why": "a visitor has it"},
            {
                "identifier": "userProperties.phone_number",
                "value": "15551234567",
                "result": "skipped",
                "why": "not looked up: email decided",
            },
        ],
    }


@pytest.mark.rule("unmatched-stored", "phone-match")
def test_identifiers_that_matched_nobody_are_written_on_the_visitor_that_a_weaker_one_found(new: Account) -> None:
    new.track(userId="C", userProperties=PHONE)
    new.track(externalId="x", email="a@x.co", userProperties=SAME_PHONE)
    assert new.visitor()["properties"] == {"external_id": "x", "email": "a@x.co", **SAME_PHONE}
    assert hints(new) == []
    for sent in ({"externalId": "x"}, {"email": "a@x.co"}):
        new.track(**sent)
        assert last(new)["visitor_id"] == "C"


def test_a_row_finds_the_visitor_that_an_earlier_row_gave_a_phone_number(new: Account) -> None:
    rows = [
        {"event": "E", "distinctId": "1", "userId": "u"},
        {"event": "E", "distinctId": "2", "userId": "u", "userProperties": PHONE},
        {"event": "E", "distinctId": "3", "userProperties": SAME_PHONE},
        {"event": "E", "distinctId": "4", "userId": "u", "userProperties": {"phone_number": None}},
        {"event": "E", "distinctId": "5", "userProperties": SAME_PHONE},
    ]
    assert new.batch(*rows).status_code == 200
    found = {event["distinct_id"]: event["visitor_id"] for event in new.events()}
    assert found["3"] == "u"
    assert found["5"] != "u"


@pytest.mark.rule("identifier")
def test_a_phone_number_is_an_identifier_and_without_any_a_message_is_refused(new: Account, server: Server) -> None:
    for endpoint in ENDPOINTS:
        assert send(new, endpoint, userProperties=PHONE) == (200, None)
        phones: list[Any] = [None, "", "none", "+", True, {}, ["1"]]
        for phone in phones:
            assert send(new, endpoint, userProperties={"phone_number": phone}) == (400, "identifier")
    assert last(new)["reason"]["message"] == ("needs one of userId, externalId, email and userProperties.phone_number")
    old = server.account()
    assert send(old, "track", userProperties=PHONE) == (400, "identifier")
    assert last(old)["reason"]["message"] == "needs one of userId, externalId and email"


def test_the_debug_api_shows_what_a_phone_number_did(new: Account) -> None:
    new.configure(revision=NEW, allowed_events=["E"])
    new.track(event="E", userId="u", userProperties=PHONE)
    new.track(event="E", userProperties=SAME_PHONE)
    found = last(new)
    assert found["identity"] == {"userProperties.phone_number": "15551234567"}
    assert [(change["path"], change["after"]) for change in found["changes"]] == [
        ("properties.phone_number", SAME_PHONE["phone_number"])
    ]
    new.track(event="dropped", userProperties=PHONE)
    assert len(new.debug("visitors/u/events")["items"]) == 3


@pytest.mark.rule("phone-form", "phone-match")
@pytest.mark.parametrize(
    ("phone", "name"),
    [
        ("+1 (555) 123-4567", "15551234567"),
        ("001.555.123/4567", "15551234567"),
        (15551234567, "15551234567"),
        (15551234567.0, "15551234567"),
        ("(+49) 30 / 12", "493012"),
        ("5551234567", "5551234567"),
        ("0301234", "0301234"),
        ("000-000-0000", "00000000"),
        ("00", "00"),
        ("+0", "0"),
        ("++1555", "++1555"),
        ("0000 1555", "001555"),
        (1.5, "15"),
        (10**21, "1e+21"),
        ("555\t1", "555\t1"),
        ("+1 555 ext. 3", "+1 555 ext. 3"),
        ("1+2", "1+2"),
        ("٠١", "٠١"),
        ("1\ud800", "1\ud800"),
        ("no number", None),
        ("+ ()", None),
        ("", None),
        (None, None),
        (True, None),
        ([1], None),
        ({"a": 1}, None),
    ],
)
def test_a_phone_number_is_compared_without_formatting(phone: Any, name: str | None) -> None:
    assert phone_name(phone) == name


def test_the_cost_of_a_phone_number_grows_with_its_length_only() -> None:
    # It has no maximum; a pattern that tried each way to split the zeros would take hours.
    for phone in ("0" * 1_000_000 + "x", "00" * 500_000, "+00" * 300_000 + "x", "0 " * 500_000 + "x"):
        assert phone_name(phone)


def test_a_phone_number_with_other_characters_is_found_as_it_is(new: Account) -> None:
    for phone in ("1\ud800", "+1 555 ext. 3"):
        body = json.dumps({"token": "t", "event": "E", "userProperties": {"phone_number": phone}}).encode()
        assert new.post("/track", body).status_code == 200
        made = last(new)["visitor_id"]
        assert new.post("/track", body).status_code == 200
        assert last(new)["visitor_id"] == made


def test_an_account_that_changes_its_revision_finds_the_phone_numbers_from_before(server: Server) -> None:
    account = server.account()
    account.track(userId="u", userProperties=PHONE)
    account.configure(revision=NEW)
    account.track(userProperties=SAME_PHONE)
    assert last(account)["visitor_id"] == "u"
    account.http.post(
        f"{account.url}/api/client/identify",
        headers={"authorization": "Bearer pk_1"},
        json={
            "external_id": "client",
            "phone": "+49 30 1",
        },
    ).raise_for_status()
    account.track(userProperties={"phone_number": "0049 301"})
    assert account.visitor(external_id="client")["visitor_id"] == last(account)["visitor_id"]


def write_phone(connection: sqlite3.Connection, visitor_pk: int, phone: Any) -> None:
    """Write *phone* into the version that the visitor has."""
    version_id, content = connection.execute(
        "SELECT version.id, content FROM visitors JOIN visitor_versions AS version ON version.id = version_id "
        "WHERE pk = ?",
        (visitor_pk,),
    ).fetchone()
    state = json.loads(content)
    state["properties"]["phone_number"] = phone
    connection.execute("UPDATE visitor_versions SET content = ? WHERE id = ?", (json.dumps(state), version_id))


def patch_phone(connection: sqlite3.Connection, visitor_pk: int, phone: Any) -> None:
    """Give the visitor a version that is a patch of the one they have, with *phone*."""
    patch = json.dumps({"properties": {"phone_number": phone}})
    connection.execute(
        "INSERT INTO visitor_versions SELECT -1000 - pk, pk, version_id, 0, ? FROM visitors WHERE pk = ?",
        (patch, visitor_pk),
    )
    connection.execute("UPDATE visitors SET version_id = -1000 - pk WHERE pk = ?", (visitor_pk,))


def test_a_store_of_before_finds_phone_numbers_once_it_is_migrated(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    database.write_bytes(gzip.decompress((Path(__file__).parent / "data" / "store-v4.db.gz").read_bytes()))
    written: list[Any] = ["0049 (1)", 491, "492", "x\ud8001", "1"]
    with closing(sqlite3.connect(database)) as connection, connection:
        rows: list[tuple[int, str, str]] = connection.execute(
            "SELECT pk, visitor_id, name FROM visitors JOIN accounts ON id = account_id ORDER BY pk LIMIT 5"
        ).fetchall()
        for (pk, _, _), phone in zip(rows, written, strict=True):
            write_phone(connection, pk, phone)
        patch_phone(connection, rows[2][0], "+49-3")
        patch_phone(connection, rows[4][0], None)
    with serving(database=str(database), revision=NEW) as server:
        for row, phone in ((0, "491"), (2, "493"), (3, "x\ud8001"), (2, "492"), (4, "1")):
            _, visitor_id, name = rows[row]
            account = Account(f"{server.url}/accounts/{name}", server.http)
            account.configure(revision=NEW)
            body = json.dumps({"token": "t", "event": "E", "userProperties": {"phone_number": phone}}).encode()
            assert account.post("/track", body).status_code == 200
            found = last(account)["visitor_id"] == json.loads(f'"{visitor_id}"')
            assert found == (phone not in ("492", "1"))


# Hints of 2026-05


@pytest.mark.rule("revision")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_email_that_2026_10_would_decide_by_has_a_hint(server: Server, endpoint: str) -> None:
    account = server.account()
    account.track(userId="A", externalId="XA", email="a@x.co")
    account.track(userId="B", externalId="XB", email="b@x.co")
    for sent, expected in (
        ({"externalId": "XA", "email": "b@x.co"}, []),
        ({"externalId": "n1", "email": "no@x.co"}, []),
        ({"userId": "n2", "email": "b@x.co"}, []),
        ({"externalId": "n3", "email": "b@x.co"}, [("revision", "/email")]),
        ({"externalId": "n3", "email": "b@x.co"}, []),
        (
            {"userProperties": {"external_id": "n4", "email": "b@x.co"}},
            [("revision", "/userProperties/email")],
        ),
    ):
        send(account, endpoint, **sent)
        assert hints(account) == expected
    assert "revision 2026-10" in account.events(hint="revision")[0]["hints"][0]["message"]


@pytest.mark.rule("revision")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_an_identifier_with_white_space_around_it_has_a_hint(server: Server, endpoint: str) -> None:
    account = server.account()
    for name in ("userId", "externalId", "email"):
        for value in (" x", "x\ufeff", " "):
            send(account, endpoint, **{name: value})
            assert hints(account) == [("revision", f"/{name}")]
        send(account, endpoint, **{name: "x\x85 x\x1c"})
        assert hints(account) == []
    send(account, endpoint, userProperties={"external_id": "x ", "city": " x "})
    assert hints(account) == [("revision", "/userProperties/external_id")]
    if endpoint != "identify":
        send(account, endpoint, userId="u", event=" E ", distinctId=" d ")
        assert hints(account) == []


@pytest.mark.rule("revision", "unknown-keys")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_dropped_name_that_2026_10_knows_has_a_hint_that_says_so(server: Server, endpoint: str) -> None:
    account = server.account()
    for part in PARTS:
        names = DIFFERENCES["added"][part]
        send(account, endpoint, userId="u", **{part: {**dict.fromkeys(names, "x"), "unheard": 1}})
        assert sorted(hints(account)) == sorted(
            [*(("revision", f"/{part}/{name}") for name in names), ("unknown-keys", f"/{part}/unheard")]
        )
    send(account, endpoint, userId="u", graid="x")
    assert [rule for rule, _ in hints(account)] == ["unknown-keys"]
    assert account.events(hint="revision")[0]["hints"][0]["message"] == "dropped; revision 2026-10 knows it"


@pytest.mark.rule("revision")
def test_2026_10_has_no_hints_about_itself_and_2026_05_no_other_ones(new: Account, server: Server) -> None:
    new.track(userId="A", email="a@x.co")
    new.track(externalId=" n ", email="a@x.co", userProperties={"ylpcid": "x"})
    assert hints(new) == []
    old = server.account()
    old.track(userId="A", email="a@x.co", userProperties={**PHONE, "first_name": " x ", "custom_properties": {"": 1}})
    assert hints(old) == []
    old.track(externalId="x", userProperties=SAME_PHONE)
    assert hints(old) == []


# The rules, and where a revision is chosen


def test_the_rules_of_an_account_are_those_of_its_revision(new: Account, server: Server) -> None:
    every = server.default.debug("rules")["items"]
    for account, name in ((new, NEW), (server.account(), "2026-05")):
        items = account.debug("rules")["items"]
        assert items == [rule for rule in every if name in rule["revisions"]]
        assert len({rule["id"] for rule in items}) == len(items)
        assert server.default.debug("rules", account=account.url.rpartition("/")[2])["items"] == items
    assert {tuple(rule["revisions"]) for rule in every} == {("2026-05",), (NEW,), REVISIONS}


def test_an_account_has_the_revision_it_was_given_and_keeps_the_other_settings(server: Server) -> None:
    account = server.account()
    name = account.url.rpartition("/")[2]
    assert account.debug(f"accounts/{name}")["revision"] == "2026-05" if account.track(userId="u") else False
    account.configure(revision=NEW)
    assert account.debug(f"accounts/{name}")["revision"] == NEW
    assert account.debug("health")["revision"] == NEW
    account.configure(tokens=["t"])
    assert account.debug(f"accounts/{name}")["revision"] == "2026-05"
    refused = account.http.put(f"{account.url}/debug/accounts/{name}", json={"revision": "2026-09"})
    assert refused.status_code == 400
    assert "revision" in refused.json()["error"]


def test_the_setting_is_the_revision_of_every_account(roomy: Account) -> None:
    assert roomy.debug("settings")["revision"] == {"value": NEW, "origin": "flag"}
    fresh = Account(f"{roomy.url}/accounts/fresh", roomy.http)
    assert fresh.debug("health")["revision"] == NEW
    assert fresh.track(externalId=5).status_code == 200
    fresh.configure(revision="2026-05")
    assert fresh.track(externalId=5).status_code == 400


# The note about a newer SDK

SDK = {"x-stainless-lang": "python", "x-stainless-package-version": "2.1.0"}
NOTE = (
    "the vendor's Python SDK 2.1.0 is made for revision 2026-10; this account has 2026-05 "
    "(--revision 2026-10 changes that)"
)
EVENT = {"token": "t", "event": "E", "userId": "u"}


@pytest.mark.parametrize("extra", [{}, {"expect": "100-continue"}])
def test_a_newer_sdk_is_noted_once_for_each_account_and_gives_no_hint(
    extra: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(log_format="human") as server:
        for name in ("one", "two", "one"):
            account = Account(f"{server.url}/accounts/{name}", server.http)
            answer = account.post("/track", EVENT, {**SDK, **extra})
            assert "x-emulator-hints" not in answer.headers
        assert hints(Account(f"{server.url}/accounts/one", server.http)) == []
        assert {one["account"]: one["notes"] for one in server.default.debug("accounts")["items"]} == {
            "one": [NOTE],
            "two": [NOTE],
        }
        account.configure(revision=NEW)
        assert account.debug("accounts/one")["notes"] == []
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("NOTE")] == [
        f"NOTE account {name}: {NOTE}" for name in ("one", "two")
    ]
    assert len(lines) == 5


def test_a_note_for_programs_is_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(log_format="json") as server:
        server.default.post("/track", EVENT, SDK)
    (line,) = (json.loads(line) for line in capsys.readouterr().out.splitlines() if "Python SDK" in line)
    assert (line["level"], line["message"], line["account"]) == ("info", NOTE, "default")


@pytest.mark.parametrize(
    ("headers", "noted"),
    [
        (SDK, True),
        ({**SDK, "x-stainless-package-version": "1.30.0"}, True),
        ({**SDK, "x-stainless-package-version": "1.30.0-alpha.1"}, True),
        ({**SDK, "x-stainless-package-version": "1.29.9"}, False),
        ({**SDK, "x-stainless-package-version": "9" * 5000 + ".1"}, False),
        ({**SDK, "x-stainless-package-version": "none"}, False),
        ({"x-stainless-lang": "python"}, False),
        ({**SDK, "x-stainless-lang": "js"}, False),
        ({}, False),
    ],
)
def test_only_a_python_sdk_from_1_30_on_is_noted(
    headers: dict[str, str], noted: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(log_format="human") as server:
        new = Account(f"{server.url}/accounts/new", server.http)
        new.configure(revision=NEW)
        for account in (new, server.default):
            account.post("/track", EVENT, headers)
    assert ["NOTE" in line for line in capsys.readouterr().out.splitlines()] == [
        False,
        False,
        *([True] if noted else []),
    ]
