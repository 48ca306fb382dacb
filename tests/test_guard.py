"""The guard: who may talk to the emulator, and what everybody else is told."""

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from looping import case
from ours_emulator.http.guard import authority, is_local
from serving import Server, serving

TOKEN = "correct-horse"
ALLOWED = ("emulator.example.com", "*.preview.example.org")


@dataclass(frozen=True)
class Reply:
    """An answer, its headers by their name in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(server: Server, method: str, path: str, headers: Sequence[tuple[str, str]], body: bytes = b"") -> Reply:
    """Send exactly these headers: a Host of its own, two of them, none."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body or None)
        answer = connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def open_to_some() -> Iterator[Server]:
    """An emulator with configured names."""
    with serving(allowed_hosts=",".join(ALLOWED)) as running:
        yield running


@pytest.fixture(scope="module")
def locked() -> Iterator[Server]:
    """An emulator whose debug API needs a token."""
    with serving(admin_token=TOKEN) as running:
        yield running


# Hosts

HOSTS = [
    # Host header, answer
    ("127.0.0.1:4010", 200),
    ("127.0.0.1", 200),
    ("localhost:4010", 200),
    ("LocalHost", 200),
    ("localhost.", 200),
    ("app.localhost:4010", 200),
    ("[::1]:4010", 200),
    ("[::1]", 200),
    ("[0:0:0:0:0:0:0:1]:4010", 200),
    ("[::ffff:127.0.0.1]:4010", 200),
    ("192.168.7.20:4010", 200),
    ("203.0.113.5", 200),
    ("emulator:4010", 200),
    ("ours_emulator", 200),
    ("host.docker.internal:4010", 200),
    ("api.ours.test", 200),
    ("emulator.team.svc", 200),
    ("emulator.team.svc.cluster.local:4010", 200),
    ("mac.local", 200),
    ("local.example", 403),
    ("2130706433", 200),
    ("localhost:", 200),
    ("localhost:4010 ", 200),
    ("evil.example", 403),
    ("evil.example:4010", 403),
    ("localhost.evil.example", 403),
    ("127.0.0.1.evil.example:4010", 403),
    ("7f000001.rebind.example", 403),
    ("evil-localhost.example", 403),
    ("notinternal.example", 403),
    ("evil.example.", 403),
    ("test.", 200),
    ("evil.example#.test", 403),
    ("evil.example@localhost", 403),
    ("localhost@evil.example", 403),
    ("evil.example/.localhost", 403),
    ("localhost, evil.example", 403),
    ("localhost evil.example", 403),
    ("localhost:4010:4010", 403),
    ("localhost:99999", 403),
    ("localhost:port", 403),
    ("[::1", 403),
    ("::1", 403),
    ("[evil.example]", 403),
    ("[127.0.0.1]", 200),
    ("127.1", 403),
    ("256.0.0.1", 403),
    ("a..localhost", 403),
    (".localhost", 403),
    ("-a.localhost", 403),
    ("", 403),
    (":4010", 403),
    ("x" * 5000 + ".example", 403),
    ("m\u00fcnchen.test", 403),
    ("emulator.example.com", 403),
]


@pytest.mark.rule("host")
@pytest.mark.parametrize(("host", "status"), HOSTS, ids=[ascii(host[:40]) for host, _ in HOSTS])
def test_a_host_that_a_web_site_can_have_is_refused(server: Server, host: str, status: int) -> None:
    # Twice: the second answer comes from memory.
    for _ in range(2):
        assert call(server, "GET", "/debug/health", [("Host", host)]).status == status
        assert call(server, "GET", "/api/v1/openapi", [("Host", host)]).status == status


@pytest.mark.rule("host")
@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"]], ids=len)
def test_there_is_exactly_one_host(server: Server, hosts: list[str]) -> None:
    reply = call(server, "GET", "/debug/health", [("Host", host) for host in hosts])
    assert reply.status in (400, 403)
    assert call(server, "GET", "/debug/health", [("Host", "localhost")]).status == 200


@pytest.mark.rule("host")
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("emulator.example.com", 200),
        ("Emulator.Example.com:443", 200),
        ("pr-7.preview.example.org", 200),
        ("a.b.preview.example.org", 200),
        ("preview.example.org", 403),
        ("evilpreview.example.org", 403),
        ("example.com", 403),
        ("localhost", 200),
    ],
)
def test_names_can_be_configured(open_to_some: Server, host: str, status: int) -> None:
    assert call(open_to_some, "GET", "/debug/health", [("Host", host)]).status == status


@pytest.mark.rule("host", "bodies", "cors")
@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/track", {"success"}),
        ("/api/v1/identify", {"success"}),
        ("/api/v1/batch", {"success", "error"}),
        ("/batch/", {"success", "error"}),
        ("/api/client/events", {"status", "error"}),
        ("/devices", {"status", "error"}),
        ("/accounts/a/api/client/alias", {"status", "error"}),
        ("/debug/reset", {"error"}),
        ("/accounts/a/debug/reset", {"error"}),
        ("/nowhere", {"success"}),
    ],
)
def test_a_refused_host_is_told_in_the_shape_of_what_was_called(server: Server, path: str, keys: set[str]) -> None:
    headers = [("Host", "evil.example"), ("Content-Type", "application/json"), ("Origin", "http://evil.example")]
    reply = call(server, "POST", path, headers, b'{"token":"t","event":"E","userId":"u"}')
    assert (reply.status, reply.json.keys()) == (403, keys)
    assert reply.headers["x-emulator-reason"] == "host"
    assert reply.headers["content-type"] == "application/json"
    assert "access-control-allow-origin" not in reply.headers
    assert "connection" not in reply.headers


@pytest.mark.rule("host")
def test_what_is_refused_is_not_stored() -> None:
    with serving() as server:
        body = b'{"token":"t","event":"E","userId":"u"}'
        headers = [("Host", "evil.example"), ("Content-Type", "application/json")]
        assert call(server, "POST", "/track", headers, body).status == 403
        assert server.default.debug("summary")["requests"] == 0


def test_an_authority_is_host_and_port() -> None:
    assert authority(b"LOCALHOST.:80") == ("localhost", 80)
    assert authority(b"[0::1]") == ("::1", None)
    assert authority(b"a b") is None
    assert not is_local("")


# Origins

HERE = "127.0.0.1:4010"
ORIGINS = [
    # path, Host, Origin (None: not sent), answer
    ("/debug/health", HERE, None, 200),
    ("/debug/health", HERE, f"http://{HERE}", 200),
    ("/debug/health", HERE, f"https://{HERE}", 200),
    ("/debug/health", "localhost", "http://localhost", 200),
    ("/debug/health", "localhost:80", "http://localhost", 200),
    ("/debug/health", "localhost", "https://localhost:443", 200),
    ("/debug/health", "LOCALHOST:4010", "http://localhost:4010", 200),
    ("/debug/health", "[::1]:4010", "http://[::1]:4010", 200),
    ("/debug/health", "[0::1]:4010", "http://[::1]:4010", 200),
    ("/debug/health", "[::1]:4010", "http://[::2]:4010", 403),
    ("/debug/health", HERE, "http://evil.example", 403),
    ("/debug/health", HERE, "https://evil.example", 403),
    ("/debug/health", HERE, f"http://{HERE}.evil.example", 403),
    ("/debug/health", HERE, "http://127.0.0.1", 403),
    ("/debug/health", HERE, "http://127.0.0.1:3000", 403),
    ("/debug/health", HERE, "http://localhost:4010", 403),
    ("/debug/health", HERE, "http://203.0.113.5", 403),
    ("/debug/health", HERE, "http://203.0.113.5:4010", 403),
    ("/debug/health", HERE, "http://[2001:db8::5]:4010", 403),
    ("/debug/health", HERE, "null", 403),
    ("/debug/health", HERE, "", 403),
    ("/debug/health", HERE, "file://", 403),
    ("/debug/health", HERE, "chrome-extension://abcdef", 403),
    ("/debug/health", HERE, f"ftp://{HERE}", 403),
    ("/debug/health", HERE, HERE, 403),
    ("/debug/health", HERE, f"http://{HERE}/", 403),
    ("/debug/health", HERE, f"http://{HERE} http://evil.example", 403),
    ("/debug/health", HERE, f"http://u@{HERE}", 403),
    ("/", HERE, "http://evil.example", 403),
    ("/favicon.ico", HERE, "http://evil.example", 403),
    ("/debug", HERE, "http://evil.example", 403),
    ("/debug/", HERE, "http://evil.example", 403),
    ("/debug/nothing", HERE, "http://evil.example", 403),
    ("/debug/stream", HERE, "http://evil.example", 403),
    ("/debug/export", HERE, "http://evil.example", 403),
    ("/%64ebug/health", HERE, "http://evil.example", 403),
    ("/debug%2Fhealth", HERE, "http://evil.example", 403),
    ("/%64%65%62%75%67%2fhealth", HERE, "http://evil.example", 403),
    ("/accounts/a/debug/health", HERE, "http://evil.example", 403),
    ("/accounts/a/%64ebug/health", HERE, "http://evil.example", 403),
    ("/%61ccounts/a/debug/health", HERE, "http://evil.example", 403),
    ("/accounts%2Fa%2Fdebug%2Fhealth", HERE, "http://evil.example", 403),
    ("/accounts/a/debug/stream", HERE, "http://evil.example", 403),
    ("/accounts/a/", HERE, "http://evil.example", 403),
    ("/api/v1/openapi", HERE, "http://evil.example", 200),
    ("/accounts/a/api/v1/openapi", HERE, "null", 200),
]


@pytest.mark.rule("origin")
@pytest.mark.parametrize(("path", "host", "origin", "status"), ORIGINS)
def test_a_page_of_another_origin_does_not_look_in(
    server: Server, path: str, host: str, origin: str | None, status: int
) -> None:
    headers = [("Host", host)] + ([] if origin is None else [("Origin", origin)])
    reply = call(server, "GET", path, headers)
    assert reply.status == status
    if status == 403:
        assert reply.json.keys() == {"error"}
        assert reply.headers["x-emulator-reason"] == "origin"
        assert "access-control-allow-origin" not in reply.headers


@pytest.mark.rule("origin")
def test_two_origins_are_none(server: Server) -> None:
    headers = [("Host", HERE), ("Origin", f"http://{HERE}"), ("Origin", f"http://{HERE}")]
    assert call(server, "GET", "/debug/health", headers).status == 403


@pytest.mark.rule("origin")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_no_method_gets_around_it(server: Server, method: str) -> None:
    account = server.account()
    account.track(userId="u")
    path = account.url.removeprefix(server.url) + "/debug/reset"
    headers = [("Host", HERE), ("Origin", "http://evil.example"), ("Content-Type", "application/json")]
    assert call(server, method, path, headers, b"" if method == "HEAD" else b"{}").status == 403
    assert len(account.events()) == 1


@pytest.mark.rule("origin")
@pytest.mark.parametrize(
    ("fetch", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, 403),
        ({"Sec-Fetch-Site": "something-new"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, 200),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200),
    ],
)
def test_what_is_stored_is_shown_to_no_page_of_another_origin(
    server: Server, fetch: dict[str, str], status: int
) -> None:
    assert call(server, "GET", "/debug/health", [("Host", HERE), *fetch.items()]).status == status


@pytest.mark.rule("origin")
@pytest.mark.parametrize(
    ("mode", "dest", "status"), [("navigate", "document", 200), ("navigate", "iframe", 403), ("no-cors", "image", 403)]
)
def test_another_site_may_link_to_a_page_of_ours_but_not_embed_it(
    server: Server, mode: str, dest: str, status: int
) -> None:
    fetch = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", dest)]
    for path in ("/", "/docs"):
        assert call(server, "GET", path, [("Host", HERE), *fetch]).status == status


@pytest.mark.rule("origin")
@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://emulator.example.com", 200),
        ("https://pr-7.preview.example.org:8443", 200),
        ("https://example.com", 403),
        ("http://localhost:3000", 403),
    ],
)
def test_a_page_of_a_configured_name_looks_in_through_a_proxy(open_to_some: Server, origin: str, status: int) -> None:
    assert call(open_to_some, "GET", "/debug/health", [("Host", HERE), ("Origin", origin)]).status == status


# Changes


@pytest.mark.rule("debug-json")
@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        (None, 415),
        ("text/plain", 415),
        ("text/plain; application/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data", 415),
        ("application/jsonl", 415),
        ("application/jsonx", 415),
        ("", 415),
    ],
)
def test_a_change_is_sent_as_json(server: Server, kind: str | None, status: int) -> None:
    account = server.account()
    headers = [("Host", HERE)] + ([] if kind is None else [("Content-Type", kind)])
    path = account.url.removeprefix(server.url)
    body = json.dumps({"account": path.removeprefix("/accounts/")}).encode()
    reply = call(server, "POST", f"{path}/debug/reset", headers, body)
    assert reply.status == status
    if status == 415:
        assert reply.json.keys() == {"error"}


@pytest.mark.rule("debug-json")
def test_two_content_types_are_none(server: Server) -> None:
    headers = [("Host", HERE), ("Content-Type", "application/json"), ("Content-Type", "text/plain")]
    assert call(server, "POST", "/debug/reset", headers, b'{"all":true}').status == 415


@pytest.mark.rule("debug-json")
@pytest.mark.parametrize(
    ("kind", "body", "refused"),
    [(None, b"", False), ("application/json", b"{}", False), (None, b"{}", True), ("text/plain", b"", True)],
)
def test_a_delete_needs_no_body(server: Server, kind: str | None, body: bytes, refused: bool) -> None:
    headers = [("Host", HERE)] + ([] if kind is None else [("Content-Type", kind)])
    assert (call(server, "DELETE", "/debug/nothing", headers, body).status == 415) is refused


@pytest.mark.rule("debug-json")
@pytest.mark.parametrize(
    ("kind", "refused"),
    [
        ("application/json", False),
        ("application/jsonl", False),
        ("application/x-ndjson; charset=utf-8", False),
        ("text/plain", True),
    ],
)
def test_an_import_may_be_lines(server: Server, kind: str, refused: bool) -> None:
    # A line that is none, so that nothing happens.
    headers = [("Host", HERE), ("Content-Type", kind)]
    reply = call(server, "POST", f"/accounts/{'i' * 9}/debug/import", headers, b"no line\n")
    assert (reply.status == 415) is refused


@pytest.mark.rule("size")
def test_the_body_of_a_debug_call_has_a_bound(server: Server) -> None:
    headers = [("Host", HERE), ("Content-Type", "application/json")]
    reply = call(server, "POST", "/debug/reset", headers, b'{"account": "' + b"x" * 6_000_000 + b'"}')
    assert (reply.status, "5242880" in reply.json["error"]) == (413, True)
    assert "connection" not in reply.headers


@pytest.mark.rule("malformed")
@pytest.mark.parametrize("levels", [100, 900, 100_000])
def test_a_deep_body_of_a_debug_call_is_refused(server: Server, levels: int) -> None:
    headers = [("Host", HERE), ("Content-Type", "application/json")]
    body = b'{"account": ' + b"[" * levels + b"]" * levels + b"}"
    assert call(server, "POST", "/debug/reset", headers, body).status == 400


# The token

AUTHORIZATIONS = [
    (None, 401),
    ("Bearer wrong", 401),
    (f"bearer  {TOKEN}", 200),
    (f"Basic {TOKEN}", 401),
    (TOKEN, 401),
    (f"Bearer {TOKEN} ", 200),
    (f"Bearer {TOKEN}x", 401),
    (f"Bearer {TOKEN[:-1]}", 401),
    (f"Bearer {TOKEN}", 200),
]


@pytest.mark.rule("admin-token")
@pytest.mark.parametrize(("authorization", "status"), AUTHORIZATIONS)
def test_the_debug_api_can_ask_for_a_token(locked: Server, authorization: str | None, status: int) -> None:
    for path in ("/debug", "/debug/events", "/accounts/a/debug/events", "/debug/settings"):
        with case(path):
            headers = [("Host", HERE)] + ([] if authorization is None else [("Authorization", authorization)])
            reply = call(locked, "GET", path, headers)
            assert reply.status == status
            if status == 401:
                assert reply.json.keys() == {"error"}
                assert reply.headers["www-authenticate"].startswith("Bearer")
            assert TOKEN not in reply.body.decode()


@pytest.mark.rule("admin-token")
@pytest.mark.parametrize("path", ["/debug/health", "/accounts/a/debug/health", "/", "/api/v1/openapi"])
def test_health_the_page_and_the_emulated_paths_need_no_token(locked: Server, path: str) -> None:
    assert call(locked, "GET", path, [("Host", HERE)]).status == 200


@pytest.mark.rule("admin-token")
@pytest.mark.parametrize("path", ["/%64ebug/events", "/debug%2Fevents", "/debug/health/../events", "/debug//health"])
def test_no_spelling_gets_around_the_token(locked: Server, path: str) -> None:
    assert call(locked, "GET", path, [("Host", HERE)]).status == 401


def test_an_encoded_slash_does_not_lead_around_the_admin_token(locked: Server) -> None:
    for path in (
        "/accounts/default%2Fdocs/debug/events",
        "/accounts/default%2fdocs/debug/export",
        "/accounts%2Fdefault/docs/debug/settings",
        "/accounts/default%2Fopenapi.json",
        "/docs%2F..%2Fdebug/events",
        "/debug%2Fevents",
    ):
        reply = call(locked, "GET", path, [("Host", "localhost")])
        assert reply.status in (401, 404), (path, reply)
