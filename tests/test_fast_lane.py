"""The fast lane answers as the ordinary way does: byte for byte, headers included."""

import gc
import json
import random
import re
import socket
import sys
import tracemalloc
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from ours_emulator.app import create_standalone
from ours_emulator.http import fast_lane, fast_responder
from ours_emulator.http.fast_lane import FastLane, FastRequest
from ours_emulator.http.log import RequestLog
from ours_emulator.pipeline import Pipeline
from ours_emulator.settings import load
from serving import listening_server
from test_cli import serving as process
from waiting import PATIENCE

SETTINGS: dict[str, Any] = {
    "log_format": "none",
    "tokens": ["t", "live"],
    "public_keys": ["pk_known"],
    "allowed_events": ["E", "Purchase"],
    "max_body_bytes": 20_000,
    "max_row_bytes": 5_000,
}
EXCHANGES = 2000
VALUES: Sequence[Any] = (None, "", "u", "ü\ud800", 5, 1.5, True, [], {}, {"a": 1}, "x" * 500, 10**30)
NAMES = (
    "token",
    "event",
    "userId",
    "externalId",
    "email",
    "distinctId",
    "time",
    "eventProperties",
    "userProperties",
    "zz",
)
PATHS = (
    *("/track", "/api/v1/track", "/identify", "/batch", "/api/v1/batch", "/accounts/a/track", "/accounts/closed/track"),
    *("/api/client/identify", "/api/client/alias", "/devices", "/events", "/nothing", "/api/client/nothing", "/track/"),
    *("/experiments/assignments/e", "/accounts/new/api/v1/experiments/assignments/e"),
    "/accounts/new/experiments/personalization",
)
NEW = b'{"revision":"2026-10","experiments":{"e":{"variants":[{"id":"a"},{"id":"b"}]}}}'
CLOCK = b'{"freeze":"2026-05-04T12:00:00Z"}'
FAULTS: Sequence[dict[str, Any]] = (
    {"match": {"path": "/track", "event": "Other"}, "answer": {"status": 503, "retry_after": 2}},
    {"match": {"path": "/batch", "event": "Other"}, "answer": {"code": "queue_failed", "rows": [0]}},
    {"match": {"path": "/api/client/identify"}, "answer": {"delay_ms": 1}, "times": 50},
    {"match": {"path": "/identify", "token": "live"}, "answer": {"connection": "reset"}},
)


@contextmanager
def emulator(*, fast: bool) -> Generator[tuple[str, int]]:
    """Run an emulator with or without the fast lane; what is random in it is the same in both."""
    app = create_standalone(load(SETTINGS, environment=False))
    if not fast:
        app.fast_lane = None
    with listening_server(app) as url:
        yield "127.0.0.1", urlsplit(url).port or 0


def written(method: str, target: str, headers: Sequence[str], body: bytes) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def prepared(address: tuple[str, int]) -> None:
    """Freeze the clock, plan faults, close an account, and let one be of the newer revision."""
    calls = [("PUT", "/debug/clock", CLOCK), ("PUT", "/accounts/a/debug/clock", CLOCK)]
    calls += [("PUT", "/debug/accounts/new", NEW)]
    calls += [("PUT", f"/debug/faults/{number}", json.dumps(fault).encode()) for number, fault in enumerate(FAULTS)]
    calls += [("POST", "/accounts/closed/track", b"{}"), ("DELETE", "/debug/accounts/closed", b"")]
    for method, target, body in calls:
        headers = ["Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close"]
        answer = everything(address, written(method, target, headers, body))
        assert int(answer[9:12]) in (200, 201, 204, 401), answer


def everything(address: tuple[str, int], sent: bytes) -> bytes:
    with closing(socket.create_connection(address, timeout=PATIENCE)) as connection:
        connection.sendall(sent)
        received = b""
        try:
            while part := connection.recv(65536):
                received += part
        except ConnectionResetError:
            received += b"<reset>"
        # Only the time differs.
        return re.sub(rb"\r\ndate: [^\r]+", b"", received)


def requests(chance: random.Random) -> Generator[bytes]:
    """Yield what is sent on one connection each: one request, or several at once; the last one closes it."""
    sent = 0
    while sent < EXCHANGES:
        count = chance.choice((1, 1, 1, 2, 4))
        yield b"".join(request(chance, last=number == count - 1) for number in range(count))
        sent += count


def request(chance: random.Random, *, last: bool) -> bytes:
    method = chance.choices(("POST", "HEAD", "GET", "PUT", "OPTIONS"), (40, 1, 1, 1, 1))[0]
    body = b"" if method in ("HEAD", "GET") and chance.random() < 0.9 else content(chance)
    headers = [chance.choice(("Content-Type: application/json", "content-type: application/json; charset=utf-8"))]
    headers += chance.choice(([], ["Authorization: Bearer pk_known"], ["Authorization: Bearer pk_known "]))
    headers += chance.choices(
        (
            [],
            ["X-Stainless-Retry-Count: 1"],
            ["Content-Encoding: br"],
            ["Content-Type: text/plain"],
            ["Origin: http://a.example"],
            ["Host: other.example"],
            ["X-Long: " + "x" * 5000],
        ),
        (30, 4, 1, 1, 1, 1, 1),
    )[0]
    if chance.random() < 0.1 and body:
        headers.append("Transfer-Encoding: chunked")
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part) + b"0\r\n\r\n"
    else:
        headers.append(f"Content-Length: {len(body)}")
    if last:
        headers.append("Connection: close")
    target = (
        chance.choice(PATHS) + chance.choices(("", "?x=1", "/", "#part", "%2F", ";x", "//"), (40, 1, 1, 1, 1, 1, 1))[0]
    )
    return written(method, target, headers, body)


def content(chance: random.Random) -> bytes:
    kind = chance.random()
    if kind < 0.05:
        return chance.choice((b"", b"{", b"[]", b"5", b"\xff", b'{"token":NaN}', b"x" * 30_000, b"[" * 300))
    if kind < 0.3:
        rows = [message(chance) for _ in range(chance.choice((0, 1, 2, 5)))]
        return json.dumps({"token": chance.choice(("t", "bad", 5)), "events": rows}).encode()
    if kind < 0.5:
        known = {"anonymous_id": chance.choice("ab"), "external_id": chance.choice(("x", None)), "name": "E"}
        return json.dumps(chance.choice((known, [known], [], {"anonymous_id": 5}))).encode()
    return json.dumps(message(chance)).encode()


def message(chance: random.Random) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "token": chance.choice(("t", "t", "t", "live", "test_t", "bad")),
        "event": chance.choice(("E", "Purchase", "Other")),
        "userId": chance.choice("abc"),
        "distinctId": str(chance.randrange(300)),
        "userProperties": {"first_name": chance.choice(("A", "B", None, ""))},
    }
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        usual[chance.choice(NAMES)] = chance.choice(VALUES)
    if chance.random() < 0.2:
        usual["visitor_id"] = chance.choice(("a", "b", "c", 5))
    return usual


@pytest.mark.timeout(300)
def test_both_ways_answer_the_same_bytes() -> None:
    with ExitStack() as stack:
        fast, ordinary = (stack.enter_context(emulator(fast=fast)) for fast in (True, False))
        for address in (fast, ordinary):
            prepared(address)
        for number, sent in enumerate(requests(random.Random(13))):
            assert everything(fast, sent) == everything(ordinary, sent), (number, sent)
        for path in ("/debug/summary", "/accounts/a/debug/summary"):
            looking = written("GET", path, ["Connection: close"], b"")
            assert everything(fast, looking) == everything(ordinary, looking)


def test_the_fast_lane_is_taken_by_the_usual_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the test above would compare the ordinary way with itself."""
    from ours_emulator.http.front import Front

    async def ordinary(*_: object) -> None:
        raise AssertionError("the ordinary way")

    monkeypatch.setattr(Front, "_answer", ordinary)
    with emulator(fast=True) as address:
        body = b'{"token":"t","event":"E","userId":"u"}'
        sent = written("POST", "/track", ["Content-Type: application/json", f"Content-Length: {len(body)}"], body)
        with closing(socket.create_connection(address, timeout=PATIENCE)) as connection:
            for _ in range(3):
                connection.sendall(sent)
                assert connection.recv(65536).endswith(b'{"success":true}')


BODY = b'{"token":"t","event":"E","userId":"u"}'
WHOLE = written("POST", "/track", ["Content-Type: application/json", f"Content-Length: {len(BODY)}"], BODY)


class BrokenError(Exception):
    """What only a mistake of the emulator raises."""


def broken(*_: object) -> Any:
    raise BrokenError


@pytest.mark.parametrize("part", ["a head", "a body", "the pipeline", "an answer", "the log"])
def test_a_mistake_in_the_fast_lane_is_answered_500_and_logged(
    part: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    owner, name = {
        "a head": (FastLane, "fast_request"),
        "a body": (FastRequest, "request"),
        "the pipeline": (Pipeline, "enqueue"),
        "an answer": (fast_responder, "head_of"),
        "the log": (RequestLog, "exchange"),
    }[part]
    with emulator(fast=True) as address:
        monkeypatch.setattr(owner, name, broken)
        received = everything(address, WHOLE)
    assert received.startswith(b"HTTP/1.1 200" if part == "the log" else b"HTTP/1.1 500 Internal Server Error\r\n")
    assert received.count(b"HTTP/1.1") == 1
    (record,) = caplog.records
    assert record.exc_info is not None
    assert (record.levelname, record.exc_info[0]) == ("ERROR", BrokenError)


@pytest.mark.parametrize("zeros", [5, 5000])
def test_a_length_of_many_digits_is_a_number_all_the_same(zeros: int) -> None:
    length = f"Content-Length: {'0' * zeros}{len(BODY)}"
    sent = written("POST", "/track", ["Content-Type: application/json", length], BODY)
    with emulator(fast=True) as address, closing(socket.create_connection(address, timeout=PATIENCE)) as connection:
        connection.sendall(sent)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_long_paths_are_not_remembered() -> None:
    """A thousand of 64 KiB would take 64 MiB."""
    with emulator(fast=True) as address, closing(HTTPConnection(*address, timeout=PATIENCE)) as connection:

        def post(number: int) -> None:
            connection.request("POST", f"/{number}/" + "x" * 60_000, b"{}", {"Content-Type": "application/json"})
            with connection.getresponse() as response:
                assert response.status == 404
                response.read()

        post(0)
        tracemalloc.start()
        try:
            for number in range(50):
                post(number)
            kept = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, fast_lane.__file__)])
        finally:
            tracemalloc.stop()
        assert sum(one.size for one in kept.statistics("filename")) < 500_000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much memory is used")
def test_pipelined_requests_are_forgotten_once_they_are_answered(tmp_path: Path) -> None:
    large_head = ["Content-Type: application/json", "Content-Length: 2", "X-Large: " + "x" * 40_000]
    pair = written("POST", "/track", large_head, b"{}") * 2
    with process(tmp_path, "--log-format", "none") as running:
        port = int(running.url.rpartition(":")[2])
        with closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)) as connection:

            def send(pairs: int) -> int:
                for _ in range(pairs):
                    connection.sendall(pair)
                    answers = b""
                    while answers.count(b"HTTP/1.1 401") < 2:
                        answers += connection.recv(65536)
                assert httpx.get(running.url + "/debug/summary", trust_env=False, timeout=PATIENCE).status_code == 200
                return int(re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{running.process.pid}/status").read_text())[0])

            before = send(100)
            assert send(400) - before < 10_000


def cycles() -> int:
    """Return how many cycles there are, those of connections that other tests keep open among them."""
    gc.collect()
    return sum(type(one) is RequestResponseCycle for one in gc.get_objects())


def test_a_client_that_is_always_one_request_ahead_leaves_no_cycles_behind() -> None:
    """Each request begins before the one before it is answered, so never is none of them pending."""
    # The end of each body comes in one read with the next head and the beginning of its body.
    rest, begun = WHOLE[-1:], WHOLE[:-1]
    others = cycles()
    with emulator(fast=True) as address, closing(socket.create_connection(address, timeout=PATIENCE)) as connection:
        connection.sendall(begun)
        for _ in range(200):
            connection.sendall(rest + begun)
            received = b""
            while not received.endswith(b'{"success":true}'):
                received += connection.recv(65536)
        assert cycles() - others < 20
