"""The requests that are recorded, server by server. `record.py` sends them.

Add a case at the end of its server: the ids of requests are counted (`x-emulator-request-id`), and a case in the middle
changes all answers after it. Leave out what is different in each run: no generated ids, no real time.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from recordings.exchange import Exchange, Headers, Recording, Request

NOW = 1_778_846_400_000
"""The moment at which the clock stands still: 2026-05-15T12:00:00Z."""
DAY = 24 * 60 * 60 * 1000
WEEK = 7 * DAY
HOST = ("host", "127.0.0.1:4010")
JSON = "application/json"
ABSENT = object()
"""A header that is not sent."""
KEY = ("authorization", "Bearer pk_key")
ADMIN = ("authorization", "Bearer let-me-in")

OTHER_TYPES: Mapping[str, Any] = {
    "number": 5,
    "true": True,
    "list": ["x"],
    "object": {"a": 1},
    "null": None,
    "string": "x",
    "empty": "",
}
DEVICE = {
    "device_id": "device-1",
    "token": "push-1",
    "os": "iOS 16.3",
    "model": "iPhone15,2",
    "app_build": "465",
    "app_version": "1.2.4",
}


class Cases:
    """Builds the exchanges with one server."""

    def __init__(self, name: str, **settings: Any) -> None:
        self.recording = Recording(name, {"now": NOW, **settings})
        self.prefix = ""
        """The account that paths are in, as `/accounts/NAME`."""
        self.admin: Headers = ()

    def account(self, name: str) -> None:
        """Let the following requests happen in the account *name*; "" is the default one."""
        self.prefix = f"/accounts/{name}" if name else ""

    def add(
        self,
        name: str,
        method: str,
        target: str,
        body: Any = b"",
        *headers: tuple[str, str],
        content_type: object = JSON,
        host: object = HOST[1],
        content_length: object = None,
    ) -> None:
        """Add a request. *body* is sent as JSON, or as it is if it is bytes."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode("ascii")
        said = [("host", host), ("content-type", content_type if raw or method == "POST" else ABSENT)]
        if content_length is None:
            content_length = str(len(raw)) if raw or method == "POST" else ABSENT
        said.append(("content-length", content_length))
        sent = tuple((key, str(value)) for key, value in said if value is not ABSENT)
        request = Request(method, self.prefix + target, (*sent, *headers), raw)
        assert all(it.name != name for it in self.recording.exchanges), f"two cases are named {name}"
        self.recording.exchanges.append(Exchange(name, request))

    def setup(self, method: str, target: str, body: Any = None) -> None:
        """Prepare the server by a debug call."""
        raw = b"" if body is None else json.dumps(body).encode("ascii")
        head: Headers = (HOST, ("content-type", JSON), ("content-length", str(len(raw)))) if raw else (HOST,)
        request = Request(method, self.prefix + target, (*head, *self.admin), raw)
        self.recording.exchanges.append(Exchange(f"{method} {self.prefix}{target}", request, setup=True))

    def track(self, name: str, /, *headers: tuple[str, str], without: Sequence[str] = (), **fields: Any) -> None:
        """Add an event."""
        whole = {"token": "t", "event": "Purchase", "userId": "u1", **fields}
        body = {key: value for key, value in whole.items() if key not in without}
        self.add(f"track/{name}", "POST", "/api/v1/track", body, *headers)

    def identify(self, name: str, /, *headers: tuple[str, str], without: Sequence[str] = (), **fields: Any) -> None:
        """Add an identify call of the Ingest API."""
        whole: dict[str, Any] = {"token": "t", "userId": "u1", "userProperties": {}, **fields}
        body = {key: value for key, value in whole.items() if key not in without}
        self.add(f"identify/{name}", "POST", "/api/v1/identify", body, *headers)

    def batch(
        self, name: str, events: Any, /, *headers: tuple[str, str], without: Sequence[str] = (), **more: Any
    ) -> None:
        """Add a batch."""
        whole = {"token": "t", "events": events, **more}
        body = {key: value for key, value in whole.items() if key not in without}
        self.add(f"batch/{name}", "POST", "/api/v1/batch", body, *headers)

    def client(self, endpoint: str, name: str, body: Any, *headers: tuple[str, str], **more: Any) -> None:
        """Add a call of the Client API; with a key, unless *headers* are given."""
        self.add(f"client/{endpoint}/{name}", "POST", f"/api/client/{endpoint}", body, *(headers or (KEY,)), **more)


def recordings() -> list[Recording]:
    """Return everything that is recorded, as yet without answers."""
    return [_open(), _configured(), _strict()]


def row(number: int | str, **fields: Any) -> dict[str, Any]:
    """Return a row of a batch."""
    return {"event": "Purchase", "distinctId": f"row-{number}", "userId": "u1", **fields}


def nested(levels: int) -> bytes:
    """Return an event with a property of so many levels, in an object in an object."""
    start = b'{"token":"t","event":"E","userId":"u1","eventProperties":{"deep":'
    return start + b"[" * levels + b"]" * levels + b"}}"


def _open() -> Recording:
    """Any token and key, and all limits as they are by default."""
    cases = Cases("open")
    _paths(cases)
    _methods(cases)
    _hosts(cases)
    _content_types(cases)
    _encodings(cases)
    _malformed(cases)
    _sizes(cases)
    _tokens(cases)
    _schema(cases)
    _identity(cases)
    _times(cases)
    _duplicates(cases)
    _properties(cases)
    _hints(cases)
    _batches(cases)
    _client(cases)
    _faults(cases)
    _attempts(cases)
    _closed(cases)
    _http(cases)
    _unknown_gets(cases)
    return cases.recording


def _paths(cases: Cases) -> None:
    event = {"token": "t", "event": "E", "userId": "u1"}
    for base in ("", "/api/v1"):
        for slash in ("", "/"):
            where = f"{base or 'root'}{slash}"
            cases.add(f"path/track/{where}", "POST", f"{base}/track{slash}", event)
            cases.add(f"path/identify/{where}", "POST", f"{base}/identify{slash}", {**event, "userProperties": {}})
            cases.add(
                f"path/batch/{where}", "POST", f"{base}/batch{slash}", {"token": "t", "events": [row(f"path{where}")]}
            )
            cases.add(f"path/openapi/{where}", "GET", f"{base}/openapi{slash}")
    cases.add("path/openapi/head", "HEAD", "/api/v1/openapi")
    cases.add("path/openapi/query", "GET", "/api/v1/openapi?x=1")
    cases.add("path/openapi/authorization", "GET", "/api/v1/openapi", b"", ("authorization", "Bearer nonsense"))
    for target in ("/devices", "/events", "/api/client/devices", "/api/client/events", "/api/client/events/"):
        body = [{"external_id": "c1", "name": "Seen"}] if "events" in target else {"external_id": "c1", **DEVICE}
        cases.add(f"path{target}", "POST", target, body, KEY)
    cases.add("path/client/alias/slash", "POST", "/api/client/alias/", {"external_id": "c1", "anonymous_id": "a"}, KEY)
    cases.add("path/client/identify/slash", "POST", "/api/client/identify/", {"external_id": "c1"}, KEY)
    for target in (
        "/nowhere",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v1/tracks",
        "/api/v1/Track",
        "/api/v1/track/more",
        "/api/v1//track",
        "//track",
        "/api/v2/track",
        "/api/v1/openapi.json",
        "/alias",
        "/identify/x",
        "/api/client",
        "/api/client/",
        "/api/client/nowhere",
        "/api/client/events/x",
        "/api/client/track",
        "/api/v1/events",
        "/debugger",
        "/%74rack",
        "/api/v1/track%2F",
        "/tr%C3%A4ck",
        "/track%00",
        "/track%FF",
        "/accounts",
        "/accounts/",
        "/accounts/x",
        "/accounts//track",
        "/accounts/-x/track",
        "/accounts/a%2Fb/track",
        "/accounts/a%20b/track",
        f"/accounts/{'x' * 101}/track",
        "/accounts/one/accounts/two/track",
    ):
        cases.add(f"unknown{target}", "POST", target, event)
    cases.add("unknown/put", "PUT", "/nowhere")
    cases.add("unknown/patch", "PATCH", "/nowhere")
    cases.add("unknown/client/put", "PUT", "/api/client/nowhere")
    cases.add("unknown/batch-like", "POST", "/api/v1/batches", event)
    for target in ("/track?x=1", "/api/v1/track?token=t&event=E", "/track?", "/track?x=%FF", "/track#part"):
        cases.add(f"query{target}", "POST", target, event)
    for name in ("shop", "a.b-c_d", "0", "x" * 100, "default", "Debug"):
        cases.add(f"account/track/{name}", "POST", f"/accounts/{name}/track", event)
    cases.add("account/base-path", "POST", "/accounts/shop/api/v1/track", event)
    cases.add("account/openapi", "GET", "/accounts/shop/openapi")
    cases.add("account/client", "POST", "/accounts/shop/api/client/identify", {"external_id": "c1"}, KEY)
    cases.add("account/client/root", "POST", "/accounts/shop/events", [{"external_id": "c1", "name": "Seen"}], KEY)
    cases.add("account/unknown", "POST", "/accounts/shop/nowhere", event)
    cases.add("account/slash", "POST", "/accounts/shop/api/v1/track/", event)
    cases.add("account/percent", "POST", "/accounts/%73hop/track", event)


def _methods(cases: Cases) -> None:
    targets = ("/track", "/api/v1/identify", "/batch", "/openapi", "/api/client/alias", "/events")
    for target in targets:
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
            if (target, method) not in (("/openapi", "GET"), ("/openapi", "HEAD")):
                cases.add(f"method/{method}{target}", method, target)
    for method in ("MERGE", "REPORT", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        cases.add(f"method/{method}/nowhere", method, "/nowhere")
    cases.add("method/POST/openapi", "POST", "/openapi", {})
    cases.add("method/PUT/track/body", "PUT", "/track", {"token": "t", "event": "E", "userId": "u1"})
    cases.add("method/GET/batch/body", "GET", "/batch", {"token": "t", "events": []})
    cases.add("method/PROPFIND", "PROPFIND", "/track")
    for target in ("/track", "/api/v1/batch", "/openapi", "/api/client/events", "/nowhere", "/accounts/a/track", "*"):
        cases.add(
            f"preflight{target}",
            "OPTIONS",
            target,
            b"",
            ("origin", "https://shop.example"),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type,authorization,x-more"),
        )
    event = {"token": "t", "event": "E", "userId": "u1"}
    cases.add("origin/track", "POST", "/track", event, ("origin", "https://shop.example"))
    cases.add("origin/null", "POST", "/track", event, ("origin", "null"))
    cases.add("origin/refused", "POST", "/track", {}, ("origin", "https://shop.example"))


def _unknown_gets(cases: Cases) -> None:
    """Requests that are not kept, and so count no id."""
    cases.account("")
    cases.add("unknown/get", "GET", "/nowhere")
    cases.add("unknown/head", "HEAD", "/nowhere")
    cases.add("unknown/client/get", "GET", "/api/client/nowhere")
    cases.add("unknown/doubled/get", "GET", "/api/v1/api/v1/openapi")
    event = {"token": "t", "event": "E", "userId": "u1"}
    cases.add("unknown/doubled", "POST", "/api/v1/api/v1/track", event)
    cases.add("unknown/client/doubled", "POST", "/api/client/api/client/events", [], KEY)


def _hosts(cases: Cases) -> None:
    event = {"token": "t", "event": "E", "userId": "u1"}
    for host in (
        "localhost",
        "LOCALHOST:4010",
        "localhost.",
        "emulator",
        "api.localhost",
        "x.internal",
        "y.test:1",
        "10.0.0.1",
        "[::1]:4010",
        "[::1]",
        "shop.example",
        "app.oursprivacy.com",
        "localhost.example",
        "localhost:70000",
        "localhost:x",
        "a b",
        "-x",
        "",
        "127.0.0.1.nip.io",
        "x" * 120,
    ):
        cases.add(f"host/{host}", "POST", "/track", event, host=host)
    cases.add("host/absent", "POST", "/track", event, host=ABSENT)
    cases.add("host/twice", "POST", "/track", event, ("host", "localhost"))
    for target in ("/identify", "/batch", "/api/v1/batch/", "/openapi", "/api/client/events", "/devices", "/nowhere"):
        cases.add(f"host/refused{target}", "POST", target, {}, host="evil.example")
    cases.add("host/refused/account", "POST", "/accounts/shop/batch", {}, host="evil.example")
    cases.add("host/refused/get", "GET", "/openapi", host="evil.example")
    cases.add("host/refused/head", "HEAD", "/openapi", host="evil.example")
    cases.add("host/refused/options", "OPTIONS", "/track", host="evil.example")


def _content_types(cases: Cases) -> None:
    bodies: dict[str, Any] = {
        "/track": {"token": "t", "event": "E", "userId": "u1"},
        "/identify": {"token": "t", "userId": "u1", "userProperties": {}},
        "/batch": {"token": "t", "events": [row("type")]},
        "/api/client/identify": {"external_id": "c1"},
    }
    for target, body in bodies.items():
        for content_type in (
            ABSENT,
            "",
            "application/json; charset=utf-8",
            "application/json;charset=latin-1;x=y",
            "APPLICATION/JSON",
            " application/json ",
            "application/vnd.api+json",
            "application/x-www-form-urlencoded",
            "text/plain",
            "application/jsonx",
            "application/json, application/json",
        ):
            named = "absent" if content_type is ABSENT else content_type
            cases.add(f"content-type{target}/{named}", "POST", target, body, KEY, content_type=content_type)
        cases.add(f"content-type{target}/twice", "POST", target, body, KEY, ("content-type", "text/plain"))


def _encodings(cases: Cases) -> None:
    bodies = {
        "/track": b'{"token":"t","event":"E","userId":"u1"}',
        "/identify": b'{"token":"t","userId":"u1","userProperties":{}}',
        "/batch": b'{"token":"t","events":[{"event":"E","distinctId":"gzip","userId":"u1"}]}',
        "/api/client/events": b'[{"external_id":"c1","name":"Seen"}]',
    }
    for target, body in bodies.items():
        packed = _gzip(body)
        sent: dict[str, tuple[str, bytes]] = {
            "gzip": ("gzip", packed),
            "gzip-upper": ("GZIP", packed),
            "gzip-members": ("gzip", _gzip(body[:9]) + _gzip(body[9:])),
            "gzip-cut": ("gzip", packed[:-4]),
            "gzip-trailing": ("gzip", packed + b"more"),
            "gzip-not": ("gzip", body),
            "gzip-empty": ("gzip", b""),
            "gzip-of-nothing": ("gzip", _gzip(b"")),
            "gzip-unsaid": ("identity", packed),
            "gzip-twice": ("gzip, gzip", _gzip(packed)),
            "x-gzip": ("x-gzip", packed),
            "identity": ("identity", body),
            "empty": ("", body),
            "deflate": ("deflate", body),
            "br": ("br", body),
            "zstd": ("zstd", body),
            "nonsense": ("none", body),
        }
        for name, (coding, raw) in sent.items():
            cases.add(f"encoding{target}/{name}", "POST", target, raw, KEY, ("content-encoding", coding))
        bomb = _gzip(b" " * (6 * 1024 * 1024))
        cases.add(f"encoding{target}/bomb", "POST", target, bomb, KEY, ("content-encoding", "gzip"))
        many = _gzip(b" ") * 1001 + packed
        cases.add(f"encoding{target}/members", "POST", target, many, KEY, ("content-encoding", "gzip"))


def _malformed(cases: Cases) -> None:
    start = b'{"token":"t","event":"E","userId":"u1","eventProperties":{"x":'
    bodies: dict[str, bytes] = {
        "empty": b"",
        "space": b" \n",
        "cut": b'{"token":"t"',
        "trailing": b'{"token":"t"}x',
        "two": b"{}{}",
        "comma": b'{"token":"t",}',
        "single-quotes": b"{'token':'t'}",
        "comment": b'{"token":"t"/**/}',
        "bom": b"\xef\xbb\xbf" + start + b"1}}",
        "utf-16": (start + b"1}}").decode("ascii").encode("utf-16"),
        "not-utf-8": start + b'"\xff"}}',
        "latin-1": start + b'"\xe4"}}',
        "encoded-surrogate": start + b'"\xed\xa0\x80"}}',
        "nul": start + b'"\x00"}}',
        "newline": start + b'"a\nb"}}',
        "escaped-nul": start + b'"\\u0000"}}',
        "lone-surrogate": start + b'"\\ud800"}}',
        "lone-surrogate-name": b'{"token":"t","event":"E","userId":"u1","eventProperties":{"\\udfff":1}}',
        "lone-surrogate-event": b'{"token":"t","event":"\\ud800","userId":"u1"}',
        "surrogate-pair": start + b'"\\ud83d\\ude00"}}',
        "nan": start + b"NaN}}",
        "infinity": start + b"Infinity}}",
        "minus-infinity": start + b"-Infinity}}",
        "1e400": start + b"1e400}}",
        "minus-1e400": start + b"-1e400}}",
        "1e308": start + b"1e308}}",
        "1e-400": start + b"1e-400}}",
        "big-integer": start + b"1" * 30 + b"}}",
        "huge-integer": start + b"1" * 400 + b"}}",
        "309-digits": start + b"1" + b"0" * 308 + b"}}",
        "vast-integer": start + b"1" * 5000 + b"}}",
        "leading-zero": start + b"01}}",
        "plus": start + b"+1}}",
        "point": start + b".5}}",
        "hex": start + b"0x10}}",
        "minus-zero": start + b"-0}}",
        "duplicate-keys": b'{"token":"t","event":"E","event":"F","userId":"u1"}',
        "duplicate-token": b'{"token":5,"token":"t","event":"E","userId":"u1"}',
        "deep-198": nested(198),
        "deep-199": nested(199),
        "deep-5000": nested(5000),
        "deep-unclosed": b"[" * 100_000,
        "list": b"[]",
        "list-of-object": b'[{"token":"t"}]',
        "string": b'"x"',
        "number": b"5",
        "null": b"null",
        "true": b"true",
    }
    for name, body in bodies.items():
        cases.add(f"malformed/track/{name}", "POST", "/track", body)
    for name in ("empty", "cut", "bom", "not-utf-8", "nan", "1e400", "list", "string", "null", "deep-unclosed"):
        for target in ("/identify", "/batch"):
            cases.add(f"malformed{target}/{name}", "POST", target, bodies[name])
    for name in ("empty", "cut", "bom", "not-utf-8", "nan", "1e400", "string", "number", "null", "true", "deep-5000"):
        for endpoint in ("identify", "events"):
            cases.client(endpoint, f"malformed/{name}", bodies[name])
            cases.client(endpoint, f"malformed/{name}/no-key", bodies[name], ("x-no", "key"))


def _sizes(cases: Cases) -> None:
    limit = 5 * 1024 * 1024
    event = b'{"token":"t","event":"E","userId":"u1","eventProperties":{"x":"'
    batch = b'{"token":"t","events":[{"event":"E","distinctId":"big","userId":"u1","eventProperties":{"x":"'
    for extra in (0, 1):
        cases.add(f"size/track/{extra}", "POST", "/track", event + b"x" * (limit - len(event) - 3 + extra) + b'"}}')
        space = batch + b'"}}]}'
        cases.add(f"size/batch/{extra}", "POST", "/batch", space + b" " * (limit - len(space) + extra))
    cases.add("size/identify/1", "POST", "/identify", b" " * (limit + 1))
    for extra in (0, 1):
        frame = b'{"event":"E","distinctId":"row","userId":"u1","eventProperties":{"x":""}}'
        long = b"x" * (1024 * 1024 - len(frame) + extra)
        one = frame.replace(b'""', b'"' + long + b'"').replace(b'"row"', b'"ro%d"' % extra)
        cases.add(f"size/row/{extra}", "POST", "/batch", b'{"token":"t","events":[' + one + b"]}")
        start = b'[{"external_id":"c1","name":"'
        items = start + b"x" * (1024 * 1024 - len(start) - 3 + extra) + b'"}]'
        cases.client("events", f"size/{extra}", items)
    for extra in (0, 1):
        face = "\U0001f600".encode()
        frame = b'{"event":"E","distinctId":"face%d","userId":"u1","eventProperties":{"x":"' % extra
        faces = (1024 * 1024 - len(frame) - 3) // len(face) + extra
        one = frame + face * faces + b'"}}'
        cases.add(f"size/row-in-utf-8/{extra}", "POST", "/batch", b'{"token":"t","events":[' + one + b"]}")
    cases.batch("rows/1000", [row(f"many{number}") for number in range(1000)])
    cases.batch("rows/1001", [row(f"more{number}") for number in range(1001)])
    cases.batch("rows/1001-unlike", [5] * 1001)


def _tokens(cases: Cases) -> None:
    values: dict[str, Any] = {
        "null": None,
        "empty": "",
        "space": " ",
        "number": 5,
        "zero": 0,
        "true": True,
        "list": ["t"],
        "object": {"t": "t"},
        "250": "x" * 250,
        "251": "x" * 251,
        "test_": "test_",
        "test_t": "test_t",
        "pk_": "pk_key",
        "sk_": "sk_key",
        "surrogate": "\ud800",
    }
    for name, value in values.items():
        cases.track(f"token/{name}", token=value)
        cases.batch(f"token/{name}", [row(f"token-{name}")], token=value)
    for name in ("null", "empty", "number", "251", "test_t"):
        cases.identify(f"token/{name}", token=values[name])
    for header in ((), (("authorization", "Bearer t"),)):
        named = "authorization" if header else "absent"
        cases.track(f"token/{named}", *header, without=["token"])
        cases.identify(f"token/{named}", *header, without=["token"])
        cases.batch(f"token/{named}", [row(f"token-{named}")], *header, without=["token"])
    cases.track("token/ignored-authorization", ("authorization", "Bearer other"))
    cases.track("token/absent-and-bad-schema", without=["token", "event"], userId=5)
    cases.batch("token/row-same", [row("token-same", token="t")])
    cases.batch("token/row-null", [row("token-row-null", token=None)])
    cases.batch("token/row-other", [row("token-other-1"), row("token-other-2", token="u")])
    cases.batch("token/row-empty", [row("token-row-empty", token="")])
    cases.batch("token/row-number", [row("token-row-number", token=5)])
    cases.batch("token/missing-and-no-events", None, without=["token", "events"])


def _schema(cases: Cases) -> None:
    cases.account("schema")
    cases.add("track/schema/empty-object", "POST", "/track", {})
    cases.add("track/schema/only-token", "POST", "/track", {"token": "t"})
    for field in ("event", "userId", "externalId", "email", "distinctId"):
        for kind, value in OTHER_TYPES.items():
            if kind != "string":
                cases.track(f"schema/{field}/{kind}", **{field: value})
    cases.track("schema/event/absent", without=["event"])
    for field, longest in (("event", 1000), ("userId", 400), ("externalId", 400), ("distinctId", 400), ("email", 1000)):
        cases.track(f"schema/{field}/longest", **{field: "é" * longest})
        cases.track(f"schema/{field}/too-long", **{field: "é" * (longest + 1)})
    for field in ("eventProperties", "userProperties", "defaultProperties", "identityContext"):
        for kind, value in OTHER_TYPES.items():
            cases.track(f"schema/{field}/{kind}", **{field: value})
    for kind, value in OTHER_TYPES.items():
        cases.identify(f"schema/userProperties/{kind}", userProperties=value)
    cases.identify("schema/userProperties/absent", without=["userProperties"])
    for kind, value in OTHER_TYPES.items():
        cases.identify(f"schema/first_name/{kind}", userProperties={"first_name": value})
        cases.identify(f"schema/custom_properties/{kind}", userProperties={"custom_properties": value})
        cases.identify(f"schema/consent/{kind}", userProperties={"consent": value})
        cases.identify(f"schema/any-json/{kind}", userProperties={"is_bot": value, "phone_number": value, "zip": value})
        cases.track(f"schema/any-json/{kind}", eventProperties={"x": value}, defaultProperties={"is_bot": value})
        cases.track(f"schema/screen_width/{kind}", defaultProperties={"screen_width": value})
        cases.track(f"schema/webview/{kind}", defaultProperties={"webview": value})
        cases.track(f"schema/title/{kind}", defaultProperties={"title": value})
        cases.batch(f"schema/row/{kind}", [row(f"good-{kind}"), value])
        cases.batch(f"schema/only-row/{kind}", [value])
        cases.batch(f"schema/events/{kind}", value)
        cases.batch(f"schema/row/distinctId/{kind}", [row(f"good-2-{kind}"), row("x", distinctId=value)])
        cases.batch(f"schema/row/first_name/{kind}", [row(f"name-{kind}", userProperties={"first_name": value})])
    for length in (2000, 2001):
        cases.identify(f"schema/first_name/{length}", userProperties={"first_name": "x" * length})
    for length in (5000, 5001):
        cases.track(f"schema/referrer/{length}", defaultProperties={"referrer": "x" * length})
    cases.identify("schema/utm_source/unbounded", userProperties={"utm_source": "x" * 20_000})
    for name, context in (
        ("both", {"ip": "1.2.3.4", "userAgent": "x"}),
        ("no-ip", {"userAgent": "x"}),
        ("no-agent", {"ip": "1.2.3.4"}),
        ("null-ip", {"ip": None, "userAgent": "x"}),
        ("number-agent", {"ip": "1.2.3.4", "userAgent": 5}),
        ("more", {"ip": "1.2.3.4", "userAgent": "x", "referer": "y"}),
        ("empty-strings", {"ip": "", "userAgent": ""}),
    ):
        cases.track(f"schema/identityContext/{name}", identityContext=context)
    cases.track("schema/first-of-two", event=5, userId=5)
    cases.track("schema/pointer", userProperties={"custom_properties": {"a/b~c": 1}, "first_name": 5})


def _identity(cases: Cases) -> None:
    cases.account("identity")
    cases.track("identity/new-user", userId="A", externalId="XA", email="a@example.com")
    cases.track("identity/new-user-b", userId="B", externalId="XB", email="b@example.com")
    cases.track("identity/known-user", userId="A")
    cases.track("identity/user-with-anothers-external", userId="A", externalId="XB")
    cases.track("identity/user-with-anothers-email", userId="A", email="b@example.com")
    cases.track("identity/external-of-two", without=["userId"], externalId="XB")
    cases.track("identity/external-known", without=["userId"], externalId="XA")
    cases.track("identity/external-new-email-known", without=["userId"], externalId="XN", email="b@example.com")
    cases.track("identity/email-of-several", without=["userId"], email="b@example.com")
    cases.track("identity/email-known", without=["userId"], email="a@example.com")
    cases.track("identity/email-new", without=["userId"], email="new@example.com")
    cases.track("identity/email-case", without=["userId"], email="NEW@example.com")
    cases.track("identity/email-space", without=["userId"], email=" new@example.com ")
    cases.track("identity/property-external", without=["userId"], userProperties={"external_id": "XA"})
    cases.track("identity/property-email", without=["userId"], userProperties={"email": "b@example.com"})
    cases.track("identity/property-empty", without=["userId"], userProperties={"email": "", "external_id": None})
    cases.track("identity/none", without=["userId"])
    cases.track("identity/nulls", userId=None, externalId=None, email=None)
    cases.track("identity/null-and-property", userId=None, userProperties={"email": "b@example.com"})
    cases.track("identity/same-property-other-value", email="c@example.com", userProperties={"email": "d@example.com"})
    cases.track("identity/property-null-clears", email="c@example.com", userProperties={"email": None})
    cases.track("identity/surrogate", userId="\ud800", email="\udfff@example.com")
    cases.track("identity/nul", userId="a\0b")
    cases.identify("identity/none", without=["userId"])
    cases.identify("identity/by-property", without=["userId"], userProperties={"email": "b@example.com"})
    cases.identify("identity/external", without=["userId"], externalId="XA", userProperties={"first_name": "Ann"})
    cases.batch(
        "identity/rows-in-order",
        [
            row("order-1", userId="R", email="r@example.com"),
            {"event": "E", "distinctId": "order-2", "email": "r@example.com"},
            {"event": "E", "distinctId": "order-3"},
            {"event": "E", "distinctId": "order-4", "externalId": "XB"},
        ],
    )


def _times(cases: Cases) -> None:
    cases.account("time")
    times: dict[str, Any] = {
        "now": NOW,
        "future": NOW + 1,
        "far-future": NOW + 30 * DAY,
        "fraction-ahead": NOW + 0.5,
        "oldest": NOW - WEEK,
        "too-old": NOW - WEEK - 1,
        "fraction-too-old": NOW - WEEK - 0.5,
        "fraction": NOW - 0.5,
        "yesterday": NOW - DAY,
        "null": None,
        "zero": 0,
        "negative": -1,
        "seconds": NOW // 1000,
        "old-seconds": (NOW - 30 * DAY) // 1000,
        "text": str(NOW),
        "iso": "2026-05-15T12:00:00Z",
        "true": True,
        "huge": 1e300,
        "big-integer": 10**30,
    }
    for name, time in times.items():
        cases.track(f"time/{name}", time=time)
        cases.batch(f"time/{name}", [row(f"time-{name}", time=time), row(f"time-beside-{name}")])
    cases.identify("time/too-old", time=NOW - WEEK - 1)
    cases.identify("time/oldest", time=NOW - WEEK)
    cases.setup("PUT", "/debug/clock", {"advance_ms": 1000})
    cases.track("time/after-advance", time=NOW + 1000)
    cases.track("time/after-advance-too-old", time=NOW - WEEK)


def _duplicates(cases: Cases) -> None:
    cases.account("dedup")
    for name in ("first", "again", "once-more"):
        cases.track(f"dedup/{name}", distinctId="order-1", eventProperties={"amount": "5"})
    cases.track("dedup/other-content", distinctId="order-1", eventProperties={"amount": "6"})
    cases.track("dedup/other-event", distinctId="order-1", event="Refund")
    cases.track("dedup/other-visitor", distinctId="order-1", userId="u2", eventProperties={"amount": "5"})
    cases.track("dedup/test-mode", distinctId="order-1", token="test_t")
    cases.track("dedup/test-mode-again", distinctId="order-1", token="test_t")
    cases.track("dedup/case", distinctId="Order-1")
    cases.track("dedup/refused", distinctId="order-2", without=["userId"])
    cases.track("dedup/after-refusal", distinctId="order-2")
    cases.batch("dedup/in-one", [row(1), row(2), row(1), row(1, event="Refund"), row("order-1")])
    cases.batch("dedup/all-again", [row(1), row(2)])
    cases.batch("dedup/again-and-bad", [row(1), {"event": "E"}])
    cases.track("dedup/of-a-row", distinctId="row-2")
    cases.identify("dedup/identify", distinctId="i-1")
    cases.identify("dedup/identify-again", distinctId="i-1")


def _properties(cases: Cases) -> None:
    cases.account("properties")
    cases.identify(
        "properties/set",
        userProperties={
            "first_name": "Ann",
            "custom_properties": {"plan": "pro", "seats": 5},
            "consent": {"ads": True},
        },
    )
    cases.identify("properties/null", userProperties={"first_name": None, "consent": None})
    cases.identify("properties/empty", userProperties={"first_name": "", "city": ""})
    cases.identify("properties/custom-null", userProperties={"custom_properties": {"plan": None, "other": None}})
    cases.identify("properties/custom-empty", userProperties={"custom_properties": {"plan": "", "x": ""}})
    cases.identify("properties/custom-properties-null", userProperties={"custom_properties": None})
    cases.identify("properties/consent-empty", userProperties={"consent": {}})
    cases.track("properties/on-track", userProperties={"first_name": "Bea", "custom_properties": {"plan": "free"}})
    cases.track("properties/null-on-track", userProperties=None)


def _hints(cases: Cases) -> None:
    cases.account("hints")
    unknown = (
        *("properties", "traits", "timestamp", "messageId", "name", "type", "apiKey", "user_id", "EventProperties"),
        *("firstName", "first_name", "phone", "plan", "", "a/b~c", "é", "\ud800", "x" * 300, "anonymousId", "context"),
    )
    for name in unknown:
        shown = name.encode("ascii", "backslashreplace").decode("ascii")[:40] or "empty"
        cases.track(f"hints/top/{shown}", **{name: "x"})
    for name in ("firstName", "phone", "mobile", "zipCode", "plan", "company", "custom", "userAgent", "dateOfBirth"):
        cases.identify(f"hints/user/{name}", userProperties={name: "x"})
    cases.track("hints/default", defaultProperties={"screenWidth": 5, "Title": "x", "unknown": {}})
    cases.track("hints/context", identityContext={"ip": "1.2.3.4", "userAgent": "x", "user_agent": "y"})
    many: dict[str, Any] = {f"unknown{number}": number for number in range(30)}
    cases.track("hints/many", **many)
    cases.track("hints/with-refusal", without=["userId"], properties={}, userid="x")
    cases.track("hints/with-schema-refusal", userId=5, properties={})
    cases.track(
        "hints/any-json", eventProperties={"a": 1, "b": None, "c": True, "d": "x"}, userProperties={"zip": 12345}
    )
    cases.batch("hints/envelope", [row("envelope")], extra=1, Events=[])
    cases.batch(
        "hints/rows", [row("hint-1", properties={}), row("hint-2"), row("hint-3", plan="x", userProperties={"p": 1})]
    )
    cases.batch("hints/many-rows", [row(f"hints-{number}", properties={}) for number in range(25)])
    cases.batch("hints/refused", [{"event": "E", "properties": {}}], extra=1)


def _batches(cases: Cases) -> None:
    cases.account("batch")
    cases.batch("one", [row("one")])
    cases.batch("test-mode", [row("one")], token="test_t")
    cases.batch(
        "partial", [row("p1"), {"event": "E", "distinctId": "p2"}, row("p3", time=NOW + 5), row("p4", event="")]
    )
    cases.batch("all-bad", [{"event": "E", "distinctId": "b1"}, {"distinctId": "b2", "userId": "u"}, row("b3", time=0)])
    cases.batch("one-bad", [row("x", time=0)])
    cases.batch("no-events", None, without=["events"])
    cases.batch("empty-events", [])
    cases.batch("missing-distinctId", [{"event": "E", "userId": "u1"}, row("beside")])
    cases.batch("many-bad", [row("first-good"), *({"event": f"E{number}"} for number in range(30))])
    cases.batch("all-many-bad", [{"event": f"E{number}"} for number in range(30)])
    cases.batch("name-with-dots", [row("dots", userProperties={"custom_properties": 5}), row("dots-2", **{"a.b": 1})])


def _client(cases: Cases) -> None:
    cases.account("client")
    keys: dict[str, Headers] = {
        "absent": (("x-no", "key"),),
        "pk": (KEY,),
        "sk": (("authorization", "Bearer sk_key"),),
        "lower-case-scheme": (("authorization", "bearer pk_key"),),
        "upper-case-scheme": (("authorization", "BEARER pk_key"),),
        "no-scheme": (("authorization", "pk_key"),),
        "basic": (("authorization", "Basic pk_key"),),
        "no-key": (("authorization", "Bearer "),),
        "other-prefix": (("authorization", "Bearer tk_key"),),
        "upper-case-key": (("authorization", "Bearer PK_key"),),
        "only-prefix": (("authorization", "Bearer pk_"),),
        "two-spaces": (("authorization", "Bearer  pk_key"),),
        "space-after": (("authorization", "Bearer pk_key  "),),
        "space-inside": (("authorization", "Bearer pk_key x"),),
        "twice": (KEY, KEY),
        "empty": (("authorization", ""),),
    }
    for name, headers in keys.items():
        cases.client("identify", f"key/{name}", {"external_id": "c1"}, *headers)
    cases.client("identify", "key/absent-and-bad-body", {"nope": 1}, ("x-no", "key"))
    cases.client("events", "key/absent-and-no-list", {}, ("x-no", "key"))

    _client_alias(cases)
    _client_identify(cases)
    _client_devices(cases)
    _client_events(cases)


def _client_alias(cases: Cases) -> None:
    cases.account("alias")
    cases.client("identify", "before-alias", {"anonymous_id": "phone"})
    cases.client("identify", "before-alias-too", {"external_id": "known"})
    bodies: dict[str, Any] = {
        "nobody": {"anonymous_id": "stranger", "external_id": "e1"},
        "works": {"anonymous_id": "phone", "external_id": "e1"},
        "again": {"anonymous_id": "phone", "external_id": "e1"},
        "another": {"anonymous_id": "phone", "external_id": "e2"},
        "taken": {"anonymous_id": "phone", "external_id": "known"},
        "extra": {"anonymous_id": "phone", "external_id": "e1", "userId": "x", "email": "y"},
        "empty": {},
        "no-external": {"anonymous_id": "phone"},
        "no-anonymous": {"external_id": "e1"},
        "null-external": {"anonymous_id": "phone", "external_id": None},
        "null-anonymous": {"anonymous_id": None, "external_id": "e1"},
        "number-anonymous": {"anonymous_id": 5, "external_id": 5},
        "number-external": {"anonymous_id": "phone", "external_id": 5},
        "list-external": {"anonymous_id": "phone", "external_id": []},
        "empty-strings": {"anonymous_id": "", "external_id": ""},
        "list": [],
        "list-of-one": [{"anonymous_id": "phone", "external_id": "e1"}],
    }
    for name, body in bodies.items():
        cases.client("alias", name, body)


def _client_identify(cases: Cases) -> None:
    cases.account("client-identify")
    bodies: dict[str, Any] = {
        "external": {"external_id": "c1"},
        "anonymous": {"anonymous_id": "a1"},
        "both": {"anonymous_id": "a2", "external_id": "c2"},
        "both-known": {"anonymous_id": "a1", "external_id": "c1"},
        "external-new-anonymous-known": {"anonymous_id": "a1", "external_id": "c3"},
        "anonymous-new-external-known": {"anonymous_id": "a9", "external_id": "c1"},
        "profile": {
            "external_id": "c1",
            "email": "ann@example.com",
            "phone": "+1 555",
            "timezone": "America/Chicago",
            "locale": "en-US",
            "data": {"plan": "pro", "nothing": None, "deep": {"a": [1]}},
        },
        "clears": {"external_id": "c1", "email": None, "phone": None, "timezone": None, "locale": None, "data": None},
        "empty-values": {"external_id": "c1", "email": "", "phone": "", "locale": ""},
        "timezone-empty": {"external_id": "c1", "timezone": ""},
        "timezone-case": {"external_id": "c1", "timezone": "EUROPE/berlin"},
        "timezone-utc": {"external_id": "c1", "timezone": "UTC"},
        "timezone-unknown": {"external_id": "c1", "timezone": "Mars/Olympus"},
        "timezone-offset": {"external_id": "c1", "timezone": "+02:00"},
        "timezone-number": {"external_id": "c1", "timezone": 5},
        "empty": {},
        "nulls": {"external_id": None, "anonymous_id": None},
        "null-external": {"external_id": None},
        "empty-id": {"external_id": ""},
        "no-id": {"email": "ann@example.com"},
        "no-id-and-extra": {"first_name": "Ann"},
        "extra": {"external_id": "c1", "first_name": "Ann"},
        "extra-and-type": {"external_id": 5, "zzz": 1},
        "properties": {"external_id": "c1", "properties": {}},
        "traits": {"external_id": "c1", "traits": {}},
        "number-external": {"external_id": 5},
        "number-anonymous": {"anonymous_id": 5},
        "both-numbers": {"external_id": 5, "anonymous_id": 5},
        "number-email": {"external_id": "c1", "email": 5},
        "true-phone": {"external_id": "c1", "phone": True},
        "list-locale": {"external_id": "c1", "locale": ["en"]},
        "data-list": {"external_id": "c1", "data": []},
        "data-string": {"external_id": "c1", "data": "x"},
        "list": [],
        "list-of-one": [{"external_id": "c1"}],
        "surrogates": {"external_id": "\ud800", "data": {"\udfff": "\0"}},
    }
    for name, body in bodies.items():
        cases.client("identify", name, body)


def _client_devices(cases: Cases) -> None:
    cases.account("devices")
    cases.client("identify", "before-devices", {"external_id": "c1", "anonymous_id": "a1"})
    without = {name: {key: it for key, it in DEVICE.items() if key != name} for name in DEVICE}
    bodies: dict[str, Any] = {
        "new": {"external_id": "c1", **DEVICE},
        "again": {"external_id": "c1", **DEVICE, "os": "iOS 17"},
        "same-token": {"external_id": "c1", **DEVICE, "device_id": "device-2"},
        "null-token": {"external_id": "c1", **DEVICE, "token": None},
        "extra-kept": {"external_id": "c1", **DEVICE, "carrier": "x", "os_version": "16.3"},
        "anonymous": {"anonymous_id": "a1", **DEVICE},
        "nobody": {"external_id": "nobody", **DEVICE},
        "nobody-again": {"external_id": "nobody", **DEVICE},
        "null-ids": {"external_id": None, "anonymous_id": None, **DEVICE},
        "no-id": DEVICE,
        "empty": {},
        "empty-with-id": {"external_id": "c1"},
        "list": [],
        "number-external": {**DEVICE, "external_id": 5},
        **{f"no-{name}": {"external_id": "c1", **device} for name, device in without.items()},
        **{f"number-{name}": {"external_id": "c1", **DEVICE, name: 5} for name in DEVICE},
        **{f"null-{name}": {"external_id": "c1", **DEVICE, name: None} for name in DEVICE if name != "token"},
        "number-os_version": {"external_id": "c1", **DEVICE, "os_version": 16},
        "null-os_version": {"external_id": "c1", **DEVICE, "os_version": None},
        "first-of-two": {"external_id": "c1", **DEVICE, "model": 5, "os": 5},
    }
    for name, body in bodies.items():
        cases.client("devices", name, body)
    cases.client("identify", "after-pending-device", {"external_id": "nobody"})


def _client_events(cases: Cases) -> None:
    cases.account("client-events")
    one = {"external_id": "c1", "name": "Seen"}
    bodies: dict[str, Any] = {
        "new-visitor": [one],
        "known-visitor": [one],
        "anonymous": [{"anonymous_id": "a1", "name": "Opened", "data": {"build": 465, "x": None}}],
        "several": [one, {"anonymous_id": "a2", "name": "Seen"}, {"anonymous_id": "a2", "name": "Seen"}],
        "user": [{**one, "user": {"email": "ann@example.com", "timezone": "UTC", "data": {"plan": "pro"}}}],
        "user-extra": [{**one, "user": {"external_id": "c2", "first_name": "Ann"}}],
        "user-null": [{**one, "user": None, "data": None}],
        "user-number": [{**one, "user": 5}],
        "user-list": [{**one, "user": []}],
        "user-email-number": [{**one, "user": {"email": 5}}],
        "user-timezone": [{**one, "user": {"timezone": "Mars/Olympus"}}],
        "user-data-list": [{**one, "user": {"data": []}}],
        "no-name": [{"external_id": "c1"}],
        "empty-name": [{"external_id": "c1", "name": ""}],
        "null-name": [{"external_id": "c1", "name": None}],
        "number-name": [{"external_id": "c1", "name": 5}],
        "second-bad": [one, {"external_id": "c1", "name": 5}],
        "event-field": [{"external_id": "c1", "event": "Seen"}],
        "properties-field": [{**one, "properties": {"a": 1}}],
        "many-unknown": [{**one, **{f"unknown{number}": 1 for number in range(30)}}],
        "no-id": [{"name": "Seen"}],
        "null-ids": [{"external_id": None, "anonymous_id": None, "name": "Seen"}],
        "number-id": [{"external_id": 5, "name": "Seen"}],
        "data-list": [{**one, "data": []}],
        "data-string": [{**one, "data": "x"}],
        "item-number": [5],
        "item-null": [one, None],
        "item-list": [[]],
        "empty-list": [],
        "object": one,
        "empty-object": {},
        "external-beats-anonymous": [{"external_id": "c1", "anonymous_id": "a1", "name": "Seen"}],
        "surrogates": [{"external_id": "\ud800", "name": "\udfff", "data": {"\0": "\0"}}],
        "many": [{"external_id": "c1", "name": f"E{number}"} for number in range(200)],
        "created": [{"external_id": "c9", "name": "user_created"}],
    }
    for name, body in bodies.items():
        cases.client("events", name, body)


def _faults(cases: Cases) -> None:
    for status in (400, 401, 403, 404, 408, 413, 415, 422, 429, 500, 502, 503, 599):
        cases.account(f"fault-{status}")
        cases.setup("PUT", "/debug/faults/planned", {"answer": {"status": status}})
        cases.track(f"fault/{status}")
        cases.batch(f"fault/{status}", [row("f")])
        cases.client("events", f"fault/{status}", [{"external_id": "c1", "name": "Seen"}])
    cases.account("fault-429-retry")
    cases.setup("PUT", "/debug/faults/busy", {"answer": {"status": 429, "retry_after": 3600}, "times": 2})
    for number in (1, 2, 3, 4):
        cases.track(f"fault/retry-after/{number}", distinctId="retried")
    for name, seconds in (("zero", 0), ("fraction", 0.25), ("fraction-over-one", 1.001), ("most", 86400)):
        cases.account(f"fault-{name}")
        cases.setup("PUT", "/debug/faults/busy", {"answer": {"status": 503, "retry_after": seconds}})
        cases.identify(f"fault/retry-after/{name}")
        cases.client("identify", f"fault/retry-after/{name}", {"external_id": "c1"})
    cases.account("fault-error")
    cases.setup("PUT", "/debug/faults/told", {"answer": {"status": 500, "error": "the source could not be looked up"}})
    for name, body in (("valid", {"token": "t", "events": [row(1)]}), ("invalid", {})):
        cases.add(f"fault/error/batch/{name}", "POST", "/batch", body)
    cases.client("alias", "fault/error", {"external_id": "c", "anonymous_id": "a"})
    cases.account("fault-stored")
    cases.setup("PUT", "/debug/faults/lost", {"answer": {"status": 500, "stored": True}, "times": 1})
    cases.track("fault/stored", distinctId="kept")
    cases.track("fault/stored-again", distinctId="kept")
    cases.account("fault-reset")
    cases.setup("PUT", "/debug/faults/gone", {"answer": {"connection": "reset"}, "times": 1})
    cases.track("fault/reset", distinctId="lost")
    cases.track("fault/reset-again", distinctId="lost")
    cases.account("fault-delay")
    cases.setup("PUT", "/debug/faults/late", {"answer": {"delay_ms": 0}})
    cases.track("fault/delay-0")
    cases.account("fault-name")
    cases.setup("PUT", "/debug/faults/a.b-c_d", {"answer": {"status": 503}})
    cases.track("fault/name")
    cases.account("fault-rows")
    cases.setup("PUT", "/debug/faults/rows", {"answer": {"code": "queue_failed", "rows": [0, 2]}, "times": 2})
    cases.batch("fault/rows/some", [row("r1"), row("r2"), row("r3"), {"event": "E"}])
    cases.batch("fault/rows/again", [row("r1"), row("r2"), row("r3")])
    cases.batch("fault/rows/past", [row("r1"), row("r2"), row("r3")])
    cases.account("fault-all-rows")
    cases.setup("PUT", "/debug/faults/rows", {"answer": {"code": "queue_failed"}})
    cases.batch("fault/all-rows", [row("r1"), row("r2")])
    cases.batch("fault/all-rows/some-bad", [row("r1"), {"event": "E"}])
    cases.batch("fault/all-rows/all-bad", [{"event": "E"}])
    cases.track("fault/all-rows/track")
    cases.account("fault-invalid-rows")
    fault: dict[str, Any] = {"match": {"event": "Bad"}, "answer": {"code": "invalid_event", "error": "not today"}}
    cases.setup("PUT", "/debug/faults/rows", fault)
    cases.batch("fault/matching-rows", [row("r1"), row("r2", event="Bad")])
    cases.batch("fault/matching-rows/all", [row("r3", event="Bad"), row("r4", event="Bad")])
    cases.batch("fault/matching-rows/none", [row("r5")])
    cases.account("fault-match")
    for name, match in (
        ("path", {"path": "/identify"}),
        ("event", {"event": "Refund"}),
        ("token", {"token": "bad"}),
        ("distinct", {"distinct_id": "d1"}),
        ("key", {"token": "pk_bad"}),
    ):
        cases.setup("PUT", f"/debug/faults/{name}", {"match": match, "answer": {"status": 503}})
    cases.track("fault/match/none")
    cases.track("fault/match/event", event="Refund")
    cases.track("fault/match/token", token="bad")
    cases.track("fault/match/distinct", distinctId="d1")
    cases.identify("fault/match/path")
    cases.batch("fault/match/row", [row("m1"), row("m2", event="Refund")])
    cases.client("identify", "fault/match/key", {"external_id": "c1"}, ("authorization", "Bearer pk_bad"))
    cases.client("identify", "fault/match/other-key", {"external_id": "c1"})
    cases.account("fault-sequence")
    steps = [{"status": 500}, None, {"status": 429, "retry_after": 7200}, {"status": 401}]
    cases.setup("PUT", "/debug/faults/steps", {"sequence": steps})
    for number in range(1, 7):
        cases.track(f"fault/sequence/{number}", distinctId=f"step-{number}")
    cases.account("fault-chance")
    cases.setup("PUT", "/debug/faults/chance", {"answer": {"status": 503}, "probability": 0.5, "seed": 7})
    for number in range(1, 9):
        cases.track(f"fault/probability/{number}", distinctId=f"chance-{number}")
    cases.account("fault-rate")
    cases.setup("PUT", "/debug/faults/rate", {"rate_limit": {"per_second": 0.1, "burst": 2}})
    for number in (1, 2, 3, 4):
        cases.track(f"fault/rate/{number}", distinctId=f"rate-{number}")
    cases.setup("PUT", "/debug/clock", {"advance_ms": 9_500})
    cases.track("fault/rate/half-a-second-early", distinctId="rate-5")
    cases.setup("PUT", "/debug/clock", {"advance_ms": 500})
    cases.track("fault/rate/in-time", distinctId="rate-6")
    cases.batch("fault/rate/batch", [row("rate")])
    cases.client("identify", "fault/rate", {"external_id": "c1"})
    cases.account("fault-two")
    cases.setup("PUT", "/debug/faults/first", {"answer": {"status": 503}, "times": 1})
    cases.setup("PUT", "/debug/faults/second", {"answer": {"status": 429}})
    cases.track("fault/two/first")
    cases.track("fault/two/second")
    cases.setup("DELETE", "/debug/faults")
    cases.track("fault/removed")
    cases.account("fault-unknown")
    cases.setup("PUT", "/debug/faults/all", {"answer": {"status": 503}})
    cases.add("fault/unknown-path", "POST", "/nowhere", {})
    cases.add("fault/wrong-method", "GET", "/track")
    cases.add("fault/malformed", "POST", "/track", b"{")
    cases.add("fault/openapi", "GET", "/openapi")
    cases.add("fault/options", "OPTIONS", "/track")


def _attempts(cases: Cases) -> None:
    cases.account("attempts")
    for count in ("0", "1", "2", "x", "-1", "9999", ""):
        cases.track(f"attempts/{count or 'empty'}", ("x-stainless-retry-count", count), distinctId="attempted")
    cases.track("attempts/twice", ("x-stainless-retry-count", "1"), ("x-stainless-retry-count", "2"))
    cases.setup("PUT", "/debug/faults/busy", {"answer": {"status": 429, "retry_after": 3600}, "times": 1})
    cases.track("attempts/fault", ("x-stainless-retry-count", "0"), distinctId="early")
    cases.track("attempts/early", ("x-stainless-retry-count", "1"), distinctId="early")
    cases.setup("PUT", "/debug/faults/busy", {"answer": {"status": 429, "retry_after": 3600}, "times": 1})
    cases.track("attempts/fault-2", distinctId="late")
    cases.setup("PUT", "/debug/clock", {"advance_ms": 3_600_000})
    cases.track("attempts/in-time", distinctId="late")
    cases.setup("PUT", "/debug/faults/busy", {"answer": {"status": 503, "retry_after": 3600}, "times": 1})
    cases.client("identify", "attempts/fault", {"external_id": "c1"})
    cases.client("identify", "attempts/early", {"external_id": "c1"})


def _closed(cases: Cases) -> None:
    cases.account("")
    cases.add("closed/before", "POST", "/accounts/gone/track", {"token": "t", "event": "E", "userId": "u1"})
    cases.setup("DELETE", "/debug/accounts/gone")
    for target in ("/track", "/identify", "/batch", "/nowhere", "/api/client/events", "/api/client/nowhere"):
        cases.add(f"closed{target}", "POST", f"/accounts/gone{target}", {"token": "t"}, KEY)
    cases.add("closed/get", "GET", "/accounts/gone/track")
    cases.add("closed/openapi", "GET", "/accounts/gone/openapi")
    cases.add("closed/options", "OPTIONS", "/accounts/gone/track")
    cases.setup(
        "PUT", "/debug/accounts/gone", {"tokens": ["live"], "public_keys": ["pk_live"], "allowed_events": ["Paid"]}
    )
    cases.account("gone")
    cases.track("closed/open-again", token="live", event="Paid")
    cases.track("closed/open-again/dropped", token="live")
    cases.track("closed/open-again/other-token")
    cases.client("identify", "closed/open-again", {"external_id": "c1"}, ("authorization", "Bearer pk_live"))
    cases.client("identify", "closed/open-again/other-key", {"external_id": "c1"})
    cases.account("")


def _http(cases: Cases) -> None:
    event = b'{"token":"t","event":"E","userId":"u1"}'
    chunked = (b"%x\r\n" % len(event)) + event + b"\r\n0\r\n\r\n"
    pieces = b"1\r\n{\r\n" + (b"%x;ext=1\r\n" % (len(event) - 1)) + event[1:] + b"\r\n0\r\ntrailer: x\r\n\r\n"
    encoding = ("transfer-encoding", "chunked")
    for name, body in (("one", chunked), ("pieces", pieces), ("nothing", b"0\r\n\r\n")):
        cases.add(f"http/chunked/{name}", "POST", "/track", body, encoding, content_length=ABSENT)
    cases.add("http/no-length", "POST", "/track", b"", content_length=ABSENT)
    cases.add("http/expect", "POST", "/track", event, ("expect", "100-continue"))
    cases.add("http/close", "POST", "/track", event, ("connection", "close"))
    cases.add("http/upgrade", "POST", "/track", event, ("connection", "upgrade, http2-settings"), ("upgrade", "h2c"))
    cases.add("http/absolute", "POST", "http://127.0.0.1:4010/track", event)
    cases.add("http/accept", "POST", "/track", event, ("accept", "text/html"), ("accept-encoding", "gzip, br"))
    cases.add("http/no-target", "POST", "track", event)
    cases.add("http/bad-length", "POST", "/track", event, content_length="x")
    cases.add("http/bad-method", "NONSENSE", "/track")
    cases.add("http/many-fields", "GET", "/openapi", b"", *((f"x-{number}", "y") for number in range(300)))
    cases.add("http/latin-1-header", "POST", "/track", event, ("x-name", "\xe4"))


def _configured() -> Recording:
    """Tokens, keys, hosts and an allow-list; the debug API is locked."""
    cases = Cases(
        "configured",
        tokens=["live-1", "test-like", "live-2"],
        public_keys=["pk_one", "sk_two"],
        allowed_events=["Purchase", " Refund ", "straße"],
        allowed_hosts=["emulator.example.com", "*.preview.example.com"],
        admin_token="let-me-in",
    )
    cases.admin = (ADMIN,)
    for token in (
        *("live-1", "live-2", "test_live-1", "test_live-3", "test_test_live-1", "test-like", "test_test-like", "test_"),
        *("LIVE-1", " live-1", "live-1 ", "pk_one", "sk_two", "pk_other", "unknown", "x" * 250),
    ):
        cases.track(f"token/{token[:20]}", token=token)
        cases.identify(f"token/{token[:20]}", token=token)
        cases.batch(f"token/{token[:20]}", [row(f"{token[:20]}")], token=token)
    missing: dict[str, Any] = {"null": None, "empty": "", "number": 5, "long": "x" * 251}
    for name, value in missing.items():
        cases.track(f"token/{name}", token=value)
        cases.identify(f"token/{name}", token=value)
        cases.batch(f"token/{name}", [row(name)], token=value)
    cases.track("token/absent", without=["token"])
    cases.track("token/unknown-and-bad-schema", token="unknown", userId=5)
    cases.track("token/unknown-and-no-identifier", token="unknown", without=["userId"])
    cases.batch("token/unknown-and-bad-rows", [5], token="unknown")
    cases.batch("token/unknown-and-row-token", [row(1, token="live-2")], token="unknown")
    cases.batch("token/row-of-another-source", [row(1, token="live-2")], token="live-1")
    cases.batch("token/row-of-test-mode", [row(1, token="test_live-1")], token="live-1")
    cases.batch("token/row-of-test-mode-in-test-mode", [row(1, token="test_live-1")], token="test_live-1")
    for key in ("pk_one", "sk_two", "pk_two", "sk_one", "pk_", "live-1", "pk_one ", "pk_ONE"):
        header = ("authorization", f"Bearer {key}")
        cases.client("identify", f"key/{key}", {"external_id": "c1"}, header)
        cases.client("events", f"key/{key}", [{"external_id": "c1", "name": "Anything"}], header)
    one = ("authorization", "Bearer pk_one")
    cases.client("identify", "key/absent", {"external_id": "c1"}, ("x-no", "key"))
    cases.client("identify", "key/unknown-and-bad-body", {}, ("authorization", "Bearer pk_other"))
    cases.client("identify", "key/unknown-and-malformed", b"{", ("authorization", "Bearer pk_other"))
    cases.client("alias", "key/known", {"external_id": "c2", "anonymous_id": "a"}, one)
    cases.client("devices", "key/known", {"external_id": "c1", **DEVICE}, one)
    for event in (
        "Purchase",
        "purchase",
        " PURCHASE ",
        "Refund",
        "refund",
        "STRASSE",
        "Strasse",
        "straße",
        "Other",
        "$identify",
    ):
        cases.track(f"allow-list/{event}", token="live-1", event=event, distinctId=f"allowed-{event}")
    cases.track("allow-list/dropped-again", token="live-1", event="Other", distinctId="allowed-Other")
    cases.track("allow-list/now-listed", token="live-1", event="Purchase", distinctId="allowed-Other")
    cases.track("allow-list/duplicate-not-listed", token="live-1", event="Other", distinctId="allowed-Purchase")
    cases.track("allow-list/refused", token="live-1", event="Other", without=["userId"])
    cases.track("allow-list/hints", token="live-1", event="Other", properties={})
    cases.identify("allow-list", token="live-1")
    cases.batch("allow-list/some", [row("a1"), row("a2", event="Other")], token="live-1")
    cases.batch("allow-list/all-dropped", [row("a3", event="Other"), row("a4", event="Else")], token="live-1")
    cases.batch("allow-list/dropped-and-bad", [row("a5", event="Other"), {"event": "E"}], token="live-1")
    for host in (
        *("emulator.example.com", "EMULATOR.example.com:4010", "emulator.example.com.", "x.emulator.example.com"),
        *(
            "a.preview.example.com",
            "a.b.preview.example.com",
            "preview.example.com",
            "xpreview.example.com",
            "localhost",
        ),
    ):
        body = {"token": "live-1", "event": "Purchase", "userId": "u1"}
        cases.add(f"host/{host}", "POST", "/track", body, host=host)
    cases.add("openapi", "GET", "/openapi")
    cases.account("own")
    cases.setup("PUT", "/debug/accounts/own", {"tokens": ["own"], "public_keys": ["pk_own"], "allowed_events": None})
    cases.track("account/own-token", token="own", event="Anything")
    cases.track("account/template-token", token="live-1")
    cases.client("identify", "account/own-key", {"external_id": "c1"}, ("authorization", "Bearer pk_own"))
    cases.client("identify", "account/template-key", {"external_id": "c1"}, one)
    cases.account("template")
    cases.track("account/unconfigured", token="live-1")
    cases.track("account/unconfigured/other", token="own")
    cases.account("lenient")
    cases.setup("PUT", "/debug/accounts/lenient", {"tokens": [], "require_identifier": False, "strict_openapi": True})
    cases.track("account/any-token", token="whatever")
    cases.track("account/wrong-kind", token="pk_one")
    cases.track("account/anonymous", without=["userId"])
    cases.track("account/strict", eventProperties={"amount": 5})
    return cases.recording


def _strict() -> Recording:
    """The document taken literally, small limits, and visitors that nobody names."""
    cases = Cases("strict", strict_openapi=True, require_identifier=False, max_body_bytes=2000, max_row_bytes=300)
    for kind, value in OTHER_TYPES.items():
        cases.track(f"event-property/{kind}", eventProperties={"x": value})
        cases.track(f"default-is_bot/{kind}", defaultProperties={"is_bot": value})
        cases.batch(f"event-property/{kind}", [row(f"beside-{kind}"), row(kind, eventProperties={"a/b": value})])
        for name in ("is_bot", "phone_number", "zip"):
            cases.identify(f"{name}/{kind}", userProperties={name: value})
        for name in ("custom_properties", "consent"):
            cases.identify(f"{name}/{kind}", userProperties={name: {"x": value}})
    cases.track("event-property/long", eventProperties={"x": "y" * 1500})
    cases.track("anonymous", without=["userId"])
    cases.track("anonymous/nulls", userId=None, externalId=None, email=None)
    cases.identify("anonymous", without=["userId"])
    cases.identify("anonymous/properties", without=["userId"], userProperties={"first_name": "Ann"})
    cases.batch("anonymous", [{"event": "E", "distinctId": "anonymous"}])
    cases.track("anonymous/empty", userId="")
    frames = {
        "/track": b'{"token":"t","event":"E","userId":"u1"}',
        "/identify": b'{"token":"t","userId":"u1","userProperties":{}}',
        "/batch": b'{"token":"t","events":[{"event":"E","distinctId":"size","userId":"u1"}]}',
        "/api/client/identify": b'{"external_id":"c1"}',
    }
    for target, frame in frames.items():
        for size in (1999, 2000, 2001):
            padded = frame + b" " * (size - len(frame))
            cases.add(f"size{target}/{size}", "POST", target, padded, KEY)
            cases.add(f"size{target}/gzip-{size}", "POST", target, _gzip(padded), KEY, ("content-encoding", "gzip"))
        cases.add(f"size{target}/not-json", "POST", target, b"x" * 2001, KEY)
        cases.add(f"size{target}/wrong-type", "POST", target, b"x" * 2001, KEY, content_type="text/plain")
        cases.add(f"size{target}/wrong-coding", "POST", target, b"x" * 2001, KEY, ("content-encoding", "br"))
        cases.add(f"size{target}/wrong-method", "PUT", target, b"x" * 2001, KEY)
        cases.add(f"size{target}/no-key", "POST", target, b"x" * 2001)
    cases.add("size/unknown-path", "POST", "/nowhere", b"x" * 2001)
    cases.add("size/wrong-host", "POST", "/track", b"x" * 2001, host="evil.example")
    for length in (300, 301):
        fitting = row(f"{length}", eventProperties={"x": ""})
        space = length - len(json.dumps(fitting, separators=(",", ":")))
        cases.batch(f"size/row/{length}", [row(f"small-{length}"), {**fitting, "eventProperties": {"x": "y" * space}}])
        wide = "é" * (space // 2) + "y" * (space % 2)
        cases.batch(f"size/wide-row/{length}", [row(f"w{length}"), {**fitting, "eventProperties": {"x": wide}}])
    cases.batch("size/row-and-token", [row("x", token="other", eventProperties={"x": "y" * 300})])
    cases.batch("size/row-unlike", ["y" * 300])
    cases.track("unknown-keys", properties={"a": 1}, userProperties={"plan": 5})
    cases.client("events", "any-json", [{"external_id": "c1", "name": "Seen", "data": {"a": 5}}])
    return cases.recording


def _gzip(raw: bytes) -> bytes:
    return gzip.compress(raw, mtime=0)
