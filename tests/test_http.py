"""HTTP as people and platforms use it: probes, HEAD, absolute request targets."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from ours_emulator.http.head import answer_head
from serving import Account, Server, serving
from waiting import PATIENCE

PROBES = ("/livez", "/readyz", "/healthz", "/health")


def raw(server: Server, request: str) -> bytes:
    """Send *request* as it is written, and return all that is answered."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=PATIENCE) as connection:
        connection.sendall(request.encode())
        answer = b""
        while part := connection.recv(65536):
            answer += part
        return answer


@pytest.mark.parametrize("path", PROBES)
def test_a_probe_is_answered_and_never_journaled(server: Server, path: str) -> None:
    account = server.account()
    for method in ("GET", "HEAD"):
        answer = account.http.request(method, account.url + path)
        assert (answer.status_code, answer.text) == (200, "" if method == "HEAD" else '{"status":"ok"}')
    assert account.http.post(account.url + path).status_code == 405
    assert (account.debug("requests")["items"], account.events(outcome="any")) == ([], [])


def test_a_probe_needs_no_admin_token() -> None:
    with serving(admin_token="admin-secret") as server:
        assert [httpx.get(server.url + path, trust_env=False).status_code for path in PROBES] == [200] * 4


@pytest.fixture
def lost(tmp_path: Path) -> Iterator[Server]:
    """An emulator whose database is gone."""
    file = tmp_path / "kept.db"
    with serving(database=str(file)) as server:
        server.default.track(userId="u")
        for path in tmp_path.iterdir():
            path.unlink()
        yield server


def test_a_probe_tells_that_the_store_is_gone(lost: Server) -> None:
    answers = {path: httpx.get(lost.url + path, trust_env=False) for path in PROBES}
    assert {path: answer.status_code for path, answer in answers.items()} == {
        "/livez": 200,
        "/readyz": 503,
        "/healthz": 503,
        "/health": 503,
    }
    assert answers["/readyz"].json() == {"status": "unavailable", "error": answers["/health"].json()["error"]}


def test_head_is_answered_as_get_without_a_body(account: Account, server: Server) -> None:
    account.track(event="Purchase", userId="u")
    document = json.loads(account.http.get(f"{server.url}/openapi.json").content)
    (event,) = account.events()
    known = {"event_id": event["id"], "visitor_id": "u", "request_id": event["request_id"], "name": "default"}
    known["experiment_key"] = "none"
    paths = [path for path, operations in document["paths"].items() if "get" in operations]
    assert len(paths) > 20
    for path in [*paths, "/", "/docs", "/openapi.json", "/debug", "/debug/nothing"]:
        url = (
            account.url + path.format_map({**known, "id": event["id"]}) if "accounts" not in path else server.url + path
        )
        head = account.http.head(url, timeout=PATIENCE)
        assert head.content == b"", path
        if path != "/debug/stream":
            get = account.http.get(url)
            assert (head.status_code, head.headers["content-type"]) == (get.status_code, get.headers["content-type"])


def test_the_head_of_a_stream_that_is_sent_in_a_task_group_ends_without_an_error() -> None:
    sent: list[Message] = []

    async def stream(_: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async with asyncio.TaskGroup() as group:
            group.create_task(send_part(send))

    async def send_part(send: Send) -> None:
        await send({"type": "http.response.body", "body": b"part", "more_body": True})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def keep(message: Message) -> None:
        sent.append(message)

    asyncio.run(answer_head(stream, {"type": "http", "method": "HEAD"}, receive, keep))
    assert [message.get("body") for message in sent] == [None, b""]


def test_the_head_of_the_stream_is_all_there_is_of_it(server: Server) -> None:
    request = "HEAD /debug/stream HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert raw(server, request).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("target", ["http://localhost", "http://localhost?x=1", "http://localhost/"])
def test_an_absolute_target_without_a_path_is_the_root(server: Server, target: str) -> None:
    answer = raw(server, f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"ours-emulator"' in answer


@pytest.mark.parametrize(
    "request_line",
    [
        *(
            "POST /track",
            "OPTIONS /track",
            "GET /api/v1/openapi",
            "GET /nothing",
            "POST /api/client/alias",
            "GET /livez",
        ),
        *("GET /", "GET /docs", "GET /debug/events", "GET /debug/nothing", "POST /debug/reset", "GET /docs/nothing"),
        "GET /\x01",
    ],
)
def test_no_browser_guesses_another_content_type(server: Server, request_line: str) -> None:
    answer = raw(server, f"{request_line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.partition(b"\r\n\r\n")[0].lower().count(b"x-content-type-options: nosniff") == 1
