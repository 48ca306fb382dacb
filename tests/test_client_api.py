"""The Client API over HTTP: who may call it, what it reads, and what it answers."""

import asyncio
import gzip
import json
from typing import Any

import httpx
import pytest

from looping import case
from ours_emulator.app import create_app
from ours_emulator.settings import load
from serving import JSON, Account, serving

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
