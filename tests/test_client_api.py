"""The Client API over HTTP: what is answered, and what is stored afterwards."""

import asyncio
import gzip
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import httpx
import pytest

from looping import case
from ours_emulator.app import create_app
from ours_emulator.settings import load
from serving import JSON, Account, Server, serving

pytestmark = pytest.mark.each_database

KEY = {"authorization": "Bearer pk_dbf68c87-e579-4dac-b083-77fed0294e67"}
PATHS = ("/api/client/alias", "/api/client/identify", "/api/client/devices", "/api/client/events")
BAD_KEY = {"status": "error", "error": "Authorization error.", "code": 1000}
UNREADABLE = {"status": "error", "error": "An error occurred with this request."}
IDENTIFIER = "Must have required property 'anonymous_id'"
MORE = "Must NOT have additional properties"
IANA = "The timezone value must be in the IANA format."
BOTH = {"anonymous_id": "A", "external_id": "X"}
ROOTS = (b"5", b"-1.5", b'"x"', b'""', b"null", b"true", b"false", b"\xef\xbb\xbfnull")
"""JSON that is neither an object nor an array."""
PHONE = {"device_id": "d1", "os": "iOS", "model": "iPhone", "app_build": "1", "app_version": "1.0"}


def send(account: Account, name: str, body: Any, headers: Any = KEY) -> httpx.Response:
    """Post *body* to an endpoint of the Client API."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return account.post(f"/api/client/{name}", content, headers)


def said(account: Account, name: str, body: Any) -> httpx.Response:
    """Post *body* where it is accepted."""
    response = send(account, name, body)
    assert (response.status_code, response.content) == (204, b""), response.text
    return response


def hinted(response: httpx.Response) -> str:
    """The rules and places of the hints of *response*."""
    return str(response.headers.get("x-emulator-hints", ""))


def a(place: str, kind: str) -> str:
    return f"The value of `{place}` must be a {kind}."


def body_of(path: str) -> Any:
    """A body that *path* accepts."""
    last = path.rpartition("/")[2]
    return {"alias": BOTH, "identify": BOTH, "devices": BOTH | PHONE, "events": [BOTH | {"name": "E"}]}[last]


# The page of the vendor, word for word


@pytest.mark.rule("client-paths", "client-success")
def test_the_examples_of_the_vendors_page_do_what_they_say(account: Account) -> None:
    bearer = {"Authorization": "Bearer pk_token_here"}
    said(account, "events", [{"anonymous_id": "ANONYMOUS_ID", "name": "before"}])
    alias: Any = {"anonymous_id": "ANONYMOUS_ID", "external_id": "EXTERNAL_ID"}
    identify: Any = {
        "external_id": "EXTERNAL_ID",
        "email": "test@test.com",
        "timezone": "America/Chicago",
        "locale": "en",
        "data": {"first_name": "John", "last_name": "Smith", "has_completed_onboarding": True},
    }
    device: Any = {
        "external_id": "EXTERNAL_ID",
        "device_id": "5e356e66-03aa-4926-a322-d7f5c89049c1",
        "token": "45d2e0c7bbb649679723a96d92d0fa305e356e6603aa4926a322d7f5c89",
        "os": "iOS 16.3",
        "model": "iPhone15,2",
        "app_build": "465",
        "app_version": "1.2.4",
    }
    events: Any = [
        {
            "external_id": "EXTERNAL_ID",
            "name": "Product Purchased",
            "data": {"product_id": 12345, "price": 49.99, "quantity": 4},
        }
    ]
    for path, body in zip(PATHS, (alias, identify, device, events), strict=True):
        response = account.post(path, body, bearer)
        assert (response.status_code, response.content) == (204, b"")
        assert "content-type" not in response.headers
    visitor = account.visitor()
    assert visitor["identifiers"] == {
        "user_id": visitor["visitor_id"],
        "external_id": "EXTERNAL_ID",
        "email": "test@test.com",
        "anonymous_id": "ANONYMOUS_ID",
    }
    assert visitor["properties"] == {
        "external_id": "EXTERNAL_ID",
        "email": "test@test.com",
        "timezone": "America/Chicago",
        "locale": "en",
    }
    assert visitor["data"] == identify["data"]
    assert visitor["devices"] == [{name: value for name, value in device.items() if name != "external_id"}]
    assert visitor["event_count"] == 3
    bought = account.debug("events/latest")
    assert (bought["event"], bought["endpoint"]) == ("Product Purchased", "client/events")
    assert bought["event_properties"] == {"product_id": 12345, "price": 49.99, "quantity": 4}
    assert bought["visitor_id"] == visitor["visitor_id"]


@pytest.mark.rule("client-paths")
@pytest.mark.parametrize("path", [*PATHS, "/devices", "/events"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_path_is_served_and_two_under_their_short_heads(account: Account, path: str, slash: str) -> None:
    assert account.post(path + slash, body_of(path), KEY).status_code == 204
    (request,) = account.debug("requests")["items"]
    assert request["endpoint"] == "client/" + path.rpartition("/")[2]


# Keys


@pytest.mark.rule("client-key")
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "pk_key",
        "Bearer",
        "Bearer key",
        "Bearer pk_",
        "Bearer pk_a b",
        "bearer pk_key",
        "Bearer  pk_key",
        "Basic pk_key",
        "Bearer PK_key",
        "Bearer pk_key x",
        "Bearer xpk_key",
    ],
)
def test_without_a_bearer_that_is_a_key_everything_is_401(account: Account, authorization: str | None) -> None:
    for path in PATHS:
        with case(path):
            headers = {} if authorization is None else {"authorization": authorization}
            response = account.post(path, body_of(path), headers)
            assert (response.status_code, response.json()) == (401, BAD_KEY)
            assert response.headers["x-emulator-reason"] == "client-key"
            assert account.visitors() == []


@pytest.mark.rule("client-open-keys")
def test_with_keys_configured_only_those_are_accepted() -> None:
    with serving(public_keys="pk_one, sk_two") as server:
        account = server.default
        statuses = {
            key: send(account, "events", body_of("events"), {"authorization": f"Bearer {key}"}).status_code
            for key in ("pk_one", "sk_two", "pk_two", "pk_one2", "PK_one", "pk_on")
        }
        assert statuses == {"pk_one": 204, "sk_two": 204, "pk_two": 401, "pk_one2": 401, "PK_one": 401, "pk_on": 401}
        assert account.debug("settings")["public_keys"]["value"] == ["…ne", "…wo"]
        refused = account.events(outcome="rejected")
        assert not any("pk_two" in json.dumps(event) for event in refused)


@pytest.mark.rule("client-open-keys")
@pytest.mark.parametrize("key", ["pk_key", "sk_key", "pk_✓".encode().decode("latin-1")])
def test_without_keys_any_key_is_accepted(account: Account, key: str) -> None:
    bearer = {"authorization": f"Bearer {key}".encode("latin-1")}
    assert send(account, "identify", BOTH, bearer).status_code == 204


@pytest.mark.rule("client-key")
@pytest.mark.parametrize("spaces", ["", " ", "  ", "\t", " \t "])
def test_spaces_after_the_key_are_no_part_of_it(spaces: str) -> None:
    response = asyncio.run(posted_in_process(f"Bearer pk_one{spaces}"))
    assert response.status_code == 204


async def posted_in_process(authorization: str) -> httpx.Response:
    """Post to an emulator that gets the header as it is; a client over the network removes the spaces."""
    app = create_app(load({"log_format": "none", "public_keys": "pk_one"}, environment=False))
    transport = httpx.ASGITransport(app)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post(PATHS[1], json=BOTH, headers={"authorization": authorization})
    finally:
        await app.aclose()


# Bodies


@pytest.mark.rule("client-unreadable", "nesting")
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON, b""),
        (JSON, b"{"),
        (JSON, b"not json"),
        *((JSON, root) for root in ROOTS),
        (JSON, b'{"a":"\xff"}'),
        (JSON, b'{"external_id":"X","data":{"a":NaN}}'),
        (JSON, b'{"external_id":"X","data":{"a":-Infinity}}'),
        (JSON, b'{"external_id":"X","data":{"a":1e400}}'),
        (JSON, b"[" * 100_000),
        (JSON, b'{"a":' * 100_000),
        (JSON, b'[{"external_id":"X","data":' + b"[" * 5_000 + b"]" * 5_000 + b"}]"),
        (JSON, b'{"external_id":"' + b"x" * 1024 * 1024 + b'"}'),
        ({**JSON, "content-encoding": "gzip"}, b"not gzip"),
        ({**JSON, "content-encoding": "gzip"}, gzip.compress(b"{}" * 9, mtime=0)[:-6]),
        ({**JSON, "content-encoding": "gzip"}, gzip.compress(b'{"external_id":"' + b"x" * 1024 * 1024 + b'"}')),
        ({**JSON, "content-encoding": "br"}, b"{}"),
    ],
)
def test_an_unreadable_body_is_400_before_the_key_is_looked_at(
    account: Account, headers: dict[str, str], body: bytes
) -> None:
    for bearer in (KEY, {}):
        for path in PATHS:
            response = account.http.post(account.url + path, content=body, headers={**headers, **bearer})
            assert (response.status_code, response.json()) == (400, UNREADABLE)
            assert response.headers["content-type"] == "application/json"
            assert response.headers["x-emulator-reason"] == "client-unreadable"
    assert account.visitors() == []
    assert send(account, "identify", BOTH).status_code == 204


@pytest.mark.rule("client-unreadable")
def test_a_body_of_just_the_limit_is_read_and_a_smaller_limit_holds_too(account: Account) -> None:
    around = len('{"external_id":"X","locale":""}')
    text = '{"external_id":"X","locale":"%s"}'
    most = 1024 * 1024 - around
    assert send(account, "identify", (text % ("x" * most)).encode()).status_code == 204
    assert send(account, "identify", (text % ("x" * (most + 1))).encode()).status_code == 400
    with serving(max_body_bytes=1000) as server:
        assert send(server.default, "identify", (text % ("x" * 900)).encode()).status_code == 204
        assert send(server.default, "identify", (text % ("x" * 1000)).encode()).status_code == 400


JSON_TYPES = (
    "application/json",
    "application/json; charset=utf-8",
    "APPLICATION/JSON;a=b",
    "application/vnd.api+json",
    "application/ld+json; charset=utf-8",
)
OTHER_TYPES = (
    "",
    "text/plain;charset=UTF-8",
    "application/csp-report",
    "application/x-www-form-urlencoded",
    "application/jsonx",
    "application/json, application/json",
    "json",
    "+json",
)


@pytest.mark.rule("client-content-type")
@pytest.mark.parametrize("path", PATHS)
def test_a_body_is_read_whatever_its_content_type_with_a_hint_unless_that_is_json(account: Account, path: str) -> None:
    bodies = [body_of(path), BOTH | {"data": 5} if path == PATHS[1] else [BOTH | {"data": 5}]]
    for kinds, expected in ((JSON_TYPES, 0), (OTHER_TYPES, 1)):
        for kind in kinds:
            with case(kind):
                headers = {**KEY, "content-type": kind}
                answers = [
                    account.http.post(account.url + path, content=json.dumps(body).encode(), headers=headers)
                    for body in bodies
                ]
                assert [answer.status_code for answer in answers] == [204, 422]
                for answer in answers:
                    assert hinted(answer).count("client-content-type") == expected


@pytest.mark.rule("client-content-type")
def test_the_hint_about_the_content_type_is_given_once_for_many_events(account: Account) -> None:
    content = json.dumps([{"external_id": "X", "name": str(number)} for number in range(3)]).encode()
    response = account.http.post(account.url + PATHS[3], content=content, headers=KEY)
    assert (response.status_code, hinted(response)) == (204, "client-content-type /0")


@pytest.mark.rule("client-unreadable", "encoding", "byte-order-mark")
def test_a_gzip_body_and_a_byte_order_mark_are_read(account: Account) -> None:
    plain = json.dumps(BOTH).encode()
    marked = b"\xef\xbb\xbf" + plain
    for coding, body in (("gzip", plain), ("x-gzip", plain), ("identity", marked), ("gzip", marked)):
        sent = body if coding == "identity" else gzip.compress(body)
        assert send(account, "identify", sent, {**KEY, "content-encoding": coding}).status_code == 204
    assert account.visitor(anonymous_id="A")


@pytest.mark.rule("429-500")
def test_strange_values_are_stored_or_refused_but_never_break_the_server(account: Account) -> None:
    strange: list[Any] = ["\x00", "\ud800", "a\udfff\x00b", "\U0001f600", 2**64, -(2**70), 1e308, "x" * 100_000, [], {}]
    for value in strange:
        data = {"value": value, str(value)[:9]: value}
        for name, body in (
            ("identify", {"external_id": "X", "data": data}),
            ("events", [{"external_id": "X", "data": data, "user": {"data": data}}]),
            ("devices", {"external_id": "X", **PHONE, **data}),
        ):
            assert send(account, name, json.dumps(body).encode()).status_code == 204
        assert account.visitor(external_id="X")["data"]["value"] == value
        assert account.visitor(external_id="X")["devices"][0]["value"] == value
        assert account.debug("events/latest")["event_properties"] == data
    texts = ("\x00", "\ud800", "\u2028", "'; DROP TABLE visitors; --", "../..", "%00", "<script>", "")
    for text in texts:
        both = {"anonymous_id": f"a{text}", "external_id": text}
        calls: list[tuple[str, Any]] = [
            ("devices", both | PHONE | {"device_id": text, "token": text}),
            ("identify", both | dict.fromkeys(("email", "phone", "locale"), text)),
            ("alias", both),
            ("events", [both | {"name": text}]),
        ]
        for name, body in calls:
            assert send(account, name, json.dumps(body).encode()).status_code == 204
        assert account.events()[0]["event"] == text
    tokens = {
        visitor["identifiers"]["external_id"]: visitor["devices"][0].get("token") for visitor in account.visitors()
    }
    assert tokens == {"X": None} | {text: text for text in texts}


# The first message


def first_fields(count: int) -> dict[str, str]:
    """A device with only the first *count* of the fields it needs."""
    return BOTH | dict(list(PHONE.items())[:count])


NO_OBJECTS: list[Any] = [[], [BOTH], [[]], [5]]
NO_ARRAYS: list[Any] = [{}, BOTH]
NO_ITEMS: list[Any] = [5, "x", None, [], True]
NO_DATA: list[Any] = ["x", 5, [], True]
MESSAGES: list[tuple[str, Any, str]] = [
    # a wrong root
    *((name, root, a("", "object")) for name in ("alias", "identify", "devices") for root in NO_OBJECTS),
    *(("events", root, a("", "array")) for root in NO_ARRAYS),
    # alias
    ("alias", {}, "Must have required property 'external_id'"),
    ("alias", {"anonymous_id": "A"}, "Must have required property 'external_id'"),
    ("alias", {"external_id": "X"}, IDENTIFIER),
    ("alias", {"anonymous_id": 5, "external_id": 5}, a("anonymous_id", "string")),
    ("alias", {"anonymous_id": None, "external_id": None}, a("anonymous_id", "string")),
    ("alias", {"anonymous_id": "A", "external_id": None}, a("external_id", "string")),
    ("alias", {"external_id": 5}, IDENTIFIER),
    # identify
    ("identify", {}, IDENTIFIER),
    ("identify", {"email": 5, "plan": "pro"}, IDENTIFIER),
    ("identify", {"external_id": "X", "plan": "pro"}, MORE),
    ("identify", {"external_id": 5, "plan": "pro"}, MORE),
    ("identify", {"external_id": "X", "user_id": "X", "timezone": "Mars"}, MORE),
    *(("identify", BOTH | {name: 5}, a(name, "string")) for name in ("anonymous_id", "external_id", "email")),
    *(("identify", BOTH | {name: {}}, a(name, "string")) for name in ("phone", "timezone", "locale")),
    *(("identify", BOTH | {"data": wrong}, a("data", "object")) for wrong in NO_DATA),
    ("identify", {"anonymous_id": 1, "external_id": 2, "email": 3}, a("anonymous_id", "string")),
    ("identify", BOTH | {"data": 7, "locale": 6, "timezone": 5, "phone": 4, "email": 3}, a("email", "string")),
    ("identify", BOTH | {"data": 7, "locale": 6, "timezone": 5, "phone": 4}, a("phone", "string")),
    ("identify", BOTH | {"data": 7, "locale": 6, "timezone": 5}, a("timezone", "string")),
    ("identify", BOTH | {"data": 7, "locale": 6, "timezone": "Mars"}, a("locale", "string")),
    ("identify", BOTH | {"data": 7, "timezone": "Mars"}, a("data", "object")),
    *(("identify", BOTH | {"timezone": wrong}, IANA) for wrong in ("Mars", "", "UTC+1", "+01:00", "Europe/", "PST9")),
    # devices
    ("devices", PHONE, IDENTIFIER),
    ("devices", {}, IDENTIFIER),
    ("devices", BOTH | {"os": 5, "model": 5}, "Must have required property 'device_id'"),
    *(
        ("devices", first_fields(count), f"Must have required property '{missing}'")
        for count, missing in enumerate(PHONE)
    ),
    *(("devices", BOTH | PHONE | {name: None}, a(name, "string")) for name in (*PHONE, "os_version")),
    *(("devices", BOTH | PHONE | {name: 5}, a(name, "string")) for name in (*PHONE, "os_version", "token", *BOTH)),
    ("devices", BOTH | PHONE | {"device_id": 5, "token": 5, "os": 5}, a("device_id", "string")),
    ("devices", BOTH | PHONE | {"os": 5, "token": 5}, a("token", "string")),
    ("devices", BOTH | PHONE | {"app_version": 5, "model": 5, "app_build": 5}, a("model", "string")),
    # events
    ("events", [], "Must NOT have fewer than 1 items"),
    *(("events", [wrong], a("0", "object")) for wrong in NO_ITEMS),
    ("events", [{}], IDENTIFIER),
    ("events", [{"name": 5}], IDENTIFIER),
    ("events", [BOTH | {"name": 5}], a("0/name", "string")),
    ("events", [BOTH | {"name": None}], a("0/name", "string")),
    ("events", [BOTH | {"data": [], "user": []}], a("0/data", "object")),
    ("events", [BOTH | {"user": "x"}], a("0/user", "object")),
    ("events", [{"anonymous_id": 5, "name": 5}], a("0/name", "string")),
    ("events", [{"anonymous_id": 5, "external_id": 5}], a("0/anonymous_id", "string")),
    ("events", [{"external_id": 5, "data": 5}], a("0/external_id", "string")),
    ("events", [BOTH | {"user": {"email": 5}}], a("0/user/email", "string")),
    ("events", [BOTH | {"user": {"data": 5}}], a("0/user/data", "object")),
    ("events", [BOTH | {"user": {"timezone": "Mars"}}], IANA),
    ("events", [BOTH, BOTH | {"name": 5}, {}], a("1/name", "string")),
    ("events", [BOTH, BOTH | {"user": {"timezone": "Mars"}}, {}], IANA),
]


@pytest.mark.rule("client-validation", "client-timezone")
@pytest.mark.parametrize(("name", "body", "message"), MESSAGES)
def test_what_breaks_its_shape_is_422_with_the_first_message(
    account: Account, name: str, body: Any, message: str
) -> None:
    response = send(account, name, body)
    assert (response.status_code, response.json()) == (422, {"status": "error", "error": message})
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-emulator-outcome"] == "rejected"
    (refused,) = account.events(outcome="any")
    assert refused["reason"]["message"] == message
    assert refused["reason"]["rule"] == "client-validation"
    assert (account.visitors(), account.events()) == ([], [])


@pytest.mark.rule("client-key", "client-unreadable", "client-validation")
@pytest.mark.parametrize("path", PATHS)
def test_the_body_is_read_before_the_key_is_checked_and_that_before_the_shape(account: Account, path: str) -> None:
    wrong: Any = {} if path == "/api/client/events" else []
    for key in ({}, KEY):
        assert account.post(path, b"{", key).status_code == 400
        assert account.post(path, 5, key).status_code == 400
    assert account.post(path, wrong, {}).status_code == 401
    assert account.post(path, wrong, KEY).status_code == 422


@pytest.mark.rule("client-timezone")
@pytest.mark.parametrize("zone", ["America/Chicago", "america/chicago", "EUROPE/ZURICH", "UTC", "Asia/Calcutta", "GMT"])
def test_a_time_zone_is_known_in_any_case_and_kept_as_sent(account: Account, zone: str) -> None:
    said(account, "identify", {"external_id": "X", "timezone": zone})
    assert account.visitor()["properties"]["timezone"] == zone


@pytest.mark.rule("client-whole")
def test_one_bad_item_of_500_refuses_all_and_the_journal_says_which_and_why(account: Account) -> None:
    items: list[Any] = [{"external_id": f"x{number % 7}", "name": "E"} for number in range(500)]
    items[321] = {"external_id": "x", "name": 5}
    response = send(account, "events", items)
    assert (response.status_code, response.json()["error"]) == (422, a("321/name", "string"))
    assert response.headers["x-emulator-reason"] == "client-validation /321/name"
    assert account.debug("summary")["outcomes"] == {"accepted": 0, "duplicate": 0, "dropped": 0, "rejected": 1}
    assert account.visitors() == []
    (request,) = account.debug("requests")["items"]
    (refused,) = account.debug(f"requests/{request['id']}")["events"]
    assert refused["reason"] == {
        "rule": "client-validation",
        "path": "/321/name",
        "message": a("321/name", "string"),
        "status": 422,
        "limit": None,
    }
    items[321] = {"external_id": "x"}
    said(account, "events", items)
    assert len(account.visitors()) == 8
    assert account.debug("summary")["events"] == {"E": 499, "user_created": 8, "": 1}


# Paths, methods, browsers


@pytest.mark.rule("methods")
@pytest.mark.parametrize("path", [*PATHS, "/devices", "/events"])
def test_a_wrong_method_is_405_with_allow_in_the_apis_shape(account: Account, path: str) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE", "HEAD"):
        with case(method):
            response = account.http.request(method, account.url + path)
            assert response.status_code == 405
            assert response.headers["allow"] == "POST, OPTIONS"
            if method != "HEAD":
                assert response.json().keys() == {"status", "error"}


@pytest.mark.rule("methods")
@pytest.mark.parametrize("path", ["/api/client", "/api/client/", "/api/client/nowhere", "/api/client/alias/x"])
def test_an_unknown_path_of_the_client_api_is_404_in_its_shape(account: Account, path: str) -> None:
    response = account.post(path, BOTH, KEY)
    assert (response.status_code, response.json()["status"]) == (404, "error")
    assert account.events(outcome="any")[0]["endpoint"] == "client/unknown"
    assert account.post("/api/clients", BOTH, KEY).json() == {"success": False}
    assert account.post("/alias", BOTH, KEY).json() == {"success": False}


@pytest.mark.rule("cors")
@pytest.mark.parametrize("path", [*PATHS, "/devices", "/events"])
def test_a_browser_may_post_with_a_key_from_any_origin(account: Account, path: str) -> None:
    origin = {"origin": "https://app.example"}
    asks = {
        **origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    preflight = account.http.options(account.url + path, headers=asks)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    # A browser does not count the Authorization header among "*": it must be named.
    allowed = [name.strip().lower() for name in preflight.headers["access-control-allow-headers"].split(",")]
    assert {"*", "authorization"} <= set(allowed)
    for headers, status in ((KEY, 204), ({}, 401)):
        answer = account.post(path, body_of(path), {**headers, **origin})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == "*"


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


@pytest.mark.rule("client-success")
def test_a_204_has_no_body_no_content_type_and_no_content_length(account: Account) -> None:
    headers = {"authorization": "Bearer pk_test"}
    for response in (
        account.post("/api/client/identify", {"external_id": "x"}, headers),
        account.http.options(account.url + "/api/client/identify"),
        account.http.options(account.url + "/track"),
    ):
        assert (response.status_code, response.content) == (204, b"")
        assert not response.headers.keys() & {"content-type", "content-length", "transfer-encoding"}
    assert account.track(userId="u").status_code == 200
