"""The server: what slow, large, half-open and stuck clients meet, and how it ends."""

import gzip
import json
import os
import re
import signal
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import cast

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from ours_emulator.http import read_progress
from ours_emulator.http.fault_effects import ABORT
from serving import Server, listening_server, serving
from test_cli import Running
from test_cli import serving as process
from waiting import NO_TLS, PATIENCE, catch_up, until

BODY = b'{"token":"t","event":"E","userId":"u"}'
HEAD = b"POST /track HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


def connect(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def answer(connection: socket.socket) -> bytes:
    """Return all that comes until the server closes, or one whole answer with a Content-Length."""
    received = b""
    while True:
        head, end, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if end and length and len(body) >= int(length[1]):
            return received
        part = connection.recv(65536)
        if not part:
            return received
        received += part


def everything(connection: socket.socket) -> bytes:
    """Return all that comes until the server closes."""
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


def status(received: bytes) -> int:
    return int(received[9:12])


def listens(url: str) -> bool:
    try:
        connect(url).close()
    except OSError:
        return False
    return True


def healthy(url: str) -> bool:
    return httpx.get(url + "/debug/health", trust_env=False, verify=NO_TLS, timeout=5).status_code == 200


@pytest.fixture(scope="module")
def impatient() -> Iterator[Server]:
    """An emulator that waits a second for a head and as long for a body."""
    patient = read_progress.HEAD_SECONDS, read_progress.BODY_SECONDS
    read_progress.HEAD_SECONDS = read_progress.BODY_SECONDS = 1.0
    try:
        with serving() as running:
            yield running
    finally:
        read_progress.HEAD_SECONDS, read_progress.BODY_SECONDS = patient


# Deadlines


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"", None),
        (b"\r\n", None),
        (b"P", 408),
        (HEAD, 408),
        (HEAD + b"Content-Length: 9\r\n\r\n", 408),
        (HEAD + b"Content-Length: 9\r\n\r\n{", 408),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n", 408),
        (WHOLE + b"POST /tr", 200),
    ],
)
def test_who_does_not_go_on_is_told_and_closed(impatient: Server, sent: bytes, told: int | None) -> None:
    started = time.monotonic()
    with closing(connect(impatient.url)) as connection:
        connection.sendall(sent)
        received = everything(connection)
    assert time.monotonic() - started > 0.9
    assert (status(received) if received else None) == told


@pytest.mark.parametrize("head", [HEAD + b"X: ", HEAD + b"Content-Length: 100\r\n\r\n"])
def test_a_drop_now_and_then_is_not_going_on(impatient: Server, head: bytes) -> None:
    with closing(connect(impatient.url)) as connection:
        connection.sendall(head)
        connection.settimeout(0.1)
        received: list[bytes] = []

        def told() -> bool:
            try:
                connection.sendall(b"x")
                received.append(connection.recv(65536))
            except TimeoutError:
                return False
            return True

        until(told)
    assert status(received[0]) == 408


def test_a_large_body_has_longer(impatient: Server) -> None:
    # It has 1 s, and one more for each MiB of it that is there; the server looks every half second who is late.
    # Each half MiB comes 0.2 s after the one before.
    part = b" " * (512 * 1024)
    started = time.monotonic()
    with closing(connect(impatient.url)) as connection:
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (9 * len(part)) + part)
        for _ in range(8):
            time.sleep(0.2)
            connection.sendall(part)
        assert b"x-emulator-reason: malformed" in answer(connection)
    assert time.monotonic() - started > 1.5


def test_an_idle_connection_is_kept_for_the_next_request(impatient: Server) -> None:
    with closing(connect(impatient.url)) as connection:
        connection.sendall(WHOLE)
        assert status(answer(connection)) == 200
        # Longer than it waits for a head, and than it takes to notice.
        time.sleep(2.5)
        connection.sendall(WHOLE)
        assert status(answer(connection)) == 200


def test_nothing_after_a_request_begins_a_wait_too(impatient: Server) -> None:
    with closing(connect(impatient.url)) as connection:
        connection.sendall(WHOLE)
        assert status(answer(connection)) == 200
        started = time.monotonic()
        connection.sendall(b"\r\n")
        assert everything(connection) == b""
        assert time.monotonic() - started > 0.9


def test_what_was_cut_off_is_neither_stored_nor_complained_about(
    impatient: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    account = impatient.account()
    path = account.url.removeprefix(impatient.url).encode()
    with closing(connect(impatient.url)) as connection:
        connection.sendall((HEAD + b"Content-Length: 99\r\n\r\n" + BODY).replace(b"/track", path + b"/track"))
        assert status(answer(connection)) == 408
    assert account.debug("summary")["requests"] == 0
    assert capsys.readouterr().err == ""


# Bounds


def test_a_large_head_is_refused_and_its_sender_sees_why(server: Server) -> None:
    with closing(connect(server.url)) as connection:
        connection.sendall(HEAD)
        for _ in range(50):
            connection.sendall(b"X-Large: " + b"x" * 1_000_000 + b"\r\n")
        connection.sendall(b"\r\n")
        assert status(answer(connection)) == 431
    assert healthy(server.url)


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * 300_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        HEAD + b"X: " + b"x" * 300_000 + b"\r\n\r\n",
        HEAD + b"X" * 300_000 + b": x\r\n\r\n",
        HEAD + b"x: y\r\n" * 300 + b"\r\n",
        HEAD + b"x: y\r\n" * 100_000 + b"\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 900_000 + b"\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 900_000 + b"\r\n \r\n0\r\n\r\n",
        b"\r\n" * 500_000,
    ],
    ids=["target", "value", "name", "fields", "many fields", "trailer", "chunk extension", "nothing"],
)
def test_an_endless_part_of_a_head_is_refused(server: Server, head: bytes) -> None:
    with closing(connect(server.url)) as connection:
        connection.sendall(head)
        assert status(answer(connection)) == 431


def test_a_head_of_decent_size_passes(server: Server) -> None:
    with closing(connect(server.url)) as connection:
        head = HEAD + b"".join(b"X-%d: %s\r\n" % (number, b"x" * 250) for number in range(200))
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
        assert status(answer(connection)) == 200


@pytest.mark.rule("size")
@pytest.mark.parametrize(("path", "told"), [("/batch", 413), ("/track", 400)])
def test_a_body_of_100_mb_is_refused_and_the_connection_stays(server: Server, path: str, told: int) -> None:
    size = 100_000_000
    with closing(connect(server.url)) as connection:
        head = HEAD.replace(b"/track", path.encode()) + b"Content-Length: %d\r\n\r\n" % size
        connection.sendall(head)
        for _ in range(100):
            connection.sendall(b"x" * 1_000_000)
        received = answer(connection)
        assert status(received) == told
        assert b"connection: close" not in received
        connection.sendall(WHOLE)
        assert status(answer(connection)) == 200


def memory_kib(running: Running, field: str) -> int:
    text = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(re.findall(rf"{field}:\s+(\d+) kB", text)[0])


def idle_memory_kib(running: Running) -> int:
    """Return the memory after a first request and a first read, which load what is loaded only then."""
    with closing(connect(running.url)) as connection:
        connection.sendall(WHOLE)
        answer(connection)
    assert (
        httpx.get(running.url + "/debug/summary", trust_env=False, verify=NO_TLS, timeout=PATIENCE).status_code == 200
    )
    return memory_kib(running, "VmRSS")


def cpu_seconds(running: Running) -> float:
    """Return how long the process has computed: however busy the machine is, the same work takes as long."""
    fields = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cost_of_inflating(body: bytes) -> float:
    """Return for how many seconds it is computed to inflate all of *body*, keeping nothing of it."""
    started = time.process_time()
    inflating, rest = zlib.decompressobj(wbits=31), body
    while rest:
        inflating.decompress(rest, 1 << 20)
        rest = inflating.unconsumed_tail
    return time.process_time() - started


@pytest.mark.rule("size", "encoding", "client-unreadable")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much memory was used at most")
def test_a_bomb_is_refused_in_little_memory_without_being_inflated_while_others_are_answered(tmp_path: Path) -> None:
    zeros = zlib.compressobj(9, wbits=31)
    bomb = b"".join([*(zeros.compress(bytes(1_000_000)) for _ in range(1000)), zeros.flush()])
    members = gzip.compress(b" ") * 200_000
    assert len(bomb) < 1_100_000
    gzipped = {"content-encoding": "gzip", "content-type": "application/json", "authorization": "Bearer pk_k"}
    calls = [("/batch", bomb, 413), ("/track", bomb, 400), ("/api/client/events", bomb, 400)]
    calls += [("/batch", members, 400), ("/track", members, 400)]
    with (
        process(tmp_path, "--log-format", "none") as running,
        httpx.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE) as http,
    ):
        for _ in range(20):
            http.post(running.url + "/track", content=BODY, headers={"content-type": "application/json"})
        before = idle_memory_kib(running)
        computed = cpu_seconds(running)
        for path, body, told in calls:
            assert http.post(running.url + path, content=body, headers=gzipped).status_code == told
        # All five together, and still less than one of them would take.
        assert cpu_seconds(running) - computed < cost_of_inflating(bomb)
        with others_being_answered(running.url) as answered:
            until(lambda: answered)
            for path, body, told in calls * 2:
                assert http.post(running.url + path, content=body, headers=gzipped).status_code == told
            # They take turns with these.
            assert len(answered) > 5
        assert memory_kib(running, "VmHWM") - before < 40_000


@contextmanager
def others_being_answered(url: str) -> Generator[list[int]]:
    """Post one event after the other while the block lasts; yield the list of what was answered, which grows."""
    over = threading.Event()
    answered: list[int] = []

    def track() -> None:
        with closing(connect(url)) as connection:
            while not over.is_set():
                connection.sendall(WHOLE)
                answered.append(status(answer(connection)))

    others = threading.Thread(target=track)
    others.start()
    try:
        yield answered
    finally:
        over.set()
        others.join()
    assert set(answered) == {200}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much memory was used at most")
def test_large_bodies_and_heads_take_little_memory(tmp_path: Path) -> None:
    with process(tmp_path, "--log-format", "none") as running:
        before = idle_memory_kib(running)
        starts = [HEAD + b"Content-Length: 100000000\r\n\r\n", HEAD + b"X: "]
        with others_being_answered(running.url) as answered:
            until(lambda: answered)
            for head in starts * 2:
                with closing(connect(running.url)) as connection:
                    connection.sendall(head)
                    for _ in range(100):
                        connection.sendall(b"x" * 1_000_000)
                    assert status(answer(connection)) in (400, 431)
            # They take turns with a hundred thousand reads.
            assert len(answered) > 5
        assert memory_kib(running, "VmHWM") - before < 40_000


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how much memory was used at most")
def test_a_body_in_a_million_tiny_chunks_takes_little_memory_and_holds_nobody_up(tmp_path: Path) -> None:
    with process(tmp_path, "--log-format", "none") as running:
        before = idle_memory_kib(running)
        with others_being_answered(running.url) as answered, closing(connect(running.url)) as connection:
            connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
            with suppress(ConnectionError):  # A slow machine has answered 408 before all of it is sent.
                for _ in range(200):
                    connection.sendall(b"1\r\n \r\n" * 5000)
                connection.sendall(b"0\r\n\r\n")
            assert status(answer(connection)) in (400, 408)
            # Each turn of the connection is one read; there are 25.
            assert len(answered) > 10
        assert memory_kib(running, "VmHWM") - before < 20_000


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        HEAD + b"Content-Length: x\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nZ\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_http_is_answered_400(server: Server, sent: bytes) -> None:
    with closing(connect(server.url)) as connection:
        connection.sendall(sent)
        assert status(answer(connection)) == 400


@pytest.mark.rule("methods")
def test_a_request_for_no_path_is_answered(server: Server) -> None:
    with closing(connect(server.url)) as connection:
        connection.sendall(b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert status(answer(connection)) in (400, 404)


@pytest.mark.parametrize("split", [False, True])
def test_an_upgrade_is_declined_and_the_request_answered(server: Server, split: bool) -> None:
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    request = HEAD + offer + b"Content-Length: %d\r\n\r\n" % len(BODY)
    with closing(connect(server.url)) as connection:
        for _ in range(2):
            connection.sendall(request)
            if split:
                catch_up(server.url)
            connection.sendall(BODY)
            assert status(answer(connection)) == 200


def test_requests_one_after_the_other_without_waiting_are_answered_in_order(server: Server) -> None:
    with closing(connect(server.url)) as connection:
        connection.sendall(WHOLE * 5 + WHOLE.replace(b"/track", b"/never"))
        received = b""
        while received.count(b"HTTP/1.1") < 6:
            received += connection.recv(65536)
        assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200"] * 5 + [b"404"]


# Half-closed connections

SLOW = {"match": {"path": "/track"}, "answer": {"delay_ms": 300}}
STREAM = b"GET /debug/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
CLOSED = b"Connection: close\r\n"


@pytest.mark.parametrize("slow", [False, True])
def test_who_half_closes_after_a_request_is_answered(slow: bool) -> None:
    with serving() as server, closing(connect(server.url)) as connection:
        if slow:
            server.default.http.put(server.url + "/debug/faults/slow", json=SLOW).raise_for_status()
        connection.sendall(WHOLE * 2 + WHOLE.replace(b"/track", b"/never"))
        connection.shutdown(socket.SHUT_WR)
        assert re.findall(rb"HTTP/1.1 (\d+)", everything(connection)) == [b"200"] * 2 + [b"404"]


def test_who_half_closes_in_a_process_is_answered(tmp_path: Path) -> None:
    """There the loop is another one, if uvloop is installed."""
    with process(tmp_path) as running, closing(connect(running.url)) as connection:
        connection.sendall(WHOLE)
        connection.shutdown(socket.SHUT_WR)
        assert status(everything(connection)) == 200
        assert running.complained() == ""


def test_who_half_closes_during_a_wait_is_answered(server: Server) -> None:
    account = server.account()
    path = account.url.removeprefix(server.url).encode()
    body = b'{"match":{"event":"E"},"timeout_ms":20000}'
    with closing(connect(server.url)) as connection:
        head = HEAD.replace(b"/track", path + b"/debug/wait")
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        connection.shutdown(socket.SHUT_WR)
        catch_up(server.url)
        account.track(event="E", userId="u")
        assert status(everything(connection)) == 200


@pytest.mark.parametrize("early", [False, True])
def test_what_has_no_end_ends_when_its_client_half_closes(server: Server, early: bool) -> None:
    """A client that has left looks the same."""
    with closing(connect(server.url)) as connection:
        connection.sendall(STREAM)
        if not early:
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.shutdown(socket.SHUT_WR)
        everything(connection)


def test_a_client_that_is_never_answered_may_leave() -> None:
    with serving() as server, closing(connect(server.url)) as connection:
        fault = {"match": {"path": "/track"}, "answer": {"connection": "hang"}}
        server.default.http.put(server.url + "/debug/faults/hang", json=fault).raise_for_status()
        connection.sendall(WHOLE)
        connection.shutdown(socket.SHUT_WR)
        assert everything(connection) == b""


@pytest.mark.parametrize(
    ("then", "told"),
    [
        (b"nonsense\r\n\r\n", [b"200", b"400"]),
        (WHOLE + b"nonsense\r\n\r\n", [b"200", b"200", b"400"]),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nZ\r\n", [b"200", b"400"]),
        (b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", [b"200", b"400"]),
        (HEAD + b"x: y\r\n" * 300 + b"\r\n", [b"200", b"431"]),
    ],
)
@pytest.mark.parametrize("slow", [False, True])
def test_a_request_before_nonsense_is_answered_first(then: bytes, told: list[bytes], slow: bool) -> None:
    with serving() as server, closing(connect(server.url)) as connection:
        if slow:
            server.default.http.put(server.url + "/debug/faults/slow", json=SLOW).raise_for_status()
        connection.sendall(WHOLE + then)
        received = everything(connection)
        assert re.findall(rb"HTTP/1.1 (\d+)", received) == told
        assert received.count(b"connection: close") == 1


def test_nothing_is_answered_after_the_last_request() -> None:
    with serving() as server, closing(connect(server.url)) as connection:
        connection.sendall(HEAD + CLOSED + WHOLE[len(HEAD) :] + b"nonsense\r\n\r\n")
        assert re.findall(rb"HTTP/1.1 (\d+)", everything(connection)) == [b"200"]


def test_a_request_that_was_answered_before_its_body_ended_is_answered_once(impatient: Server) -> None:
    with closing(connect(impatient.url)) as connection:
        connection.sendall(HEAD.replace(b"localhost", b"evil.example") + b"Content-Length: 99\r\n\r\n{")
        assert re.findall(rb"HTTP/1.1 (\d+)", everything(connection)) == [b"403"]


# What could not be read, in the log

UNREAD: Sequence[tuple[bytes, str]] = (
    (HEAD, "INCOMPLETE --- POST /track the head was cut off"),
    (b"POST /tr", "INCOMPLETE --- the head was cut off"),
    (
        HEAD.replace(b"/track", b"/tr%61ck?x=1") + b"Content-Length: 9\r\n\r\n{",
        "INCOMPLETE --- POST /track the body was cut off: 1 of 9 bytes arrived",
    ),
    (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{",
        "INCOMPLETE --- POST /track the body was cut off: 1 byte arrived",
    ),
    (
        HEAD.replace(b"/track", b"/debug/reset") + b"Content-Length: 9\r\n\r\n{",
        "INCOMPLETE --- POST /debug/reset the body was cut off: 1 of 9 bytes arrived",
    ),
    (b"nonsense\r\n\r\n", "REFUSED 400 not valid HTTP: Invalid method encountered"),
    (
        HEAD + b"Content-Length: x\r\n\r\n",
        "REFUSED 400 POST /track not valid HTTP: Invalid character in Content-Length",
    ),
    (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nZ\r\n",
        "REFUSED 400 POST /track not valid HTTP: Invalid character in chunk size",
    ),
    (
        HEAD + b"x: y\r\n" * 300 + b"\r\n",
        "REFUSED 431 POST /track the head is too large; send at most 64 KiB and 256 fields",
    ),
    (b"GET /" + b"x" * 300_000, "REFUSED 431 the head is too large; send at most 64 KiB and 256 fields"),
    (WHOLE + b"\r\n", "ACCEPTED 200 POST /track #1 E visitor=u"),
    (
        HEAD.replace(b"localhost", b"evil.example") + b"Content-Length: 99\r\n\r\n{",
        "REFUSED 403 POST /track host 'evil.example' is not allowed; add it to --allowed-hosts [host]",
    ),
    (b"\r\n", ""),
)


@pytest.mark.parametrize(("sent", "line"), UNREAD)
def test_what_could_not_be_read_is_one_line_in_the_log(
    sent: bytes, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(log_format="human") as server, closing(connect(server.url)) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        everything(connection)
        assert server.default.debug("summary")["requests"] == line.startswith("ACCEPTED")
    assert capsys.readouterr().out.splitlines() == ([line] if line else [])


@pytest.mark.parametrize(
    ("sent", "line"),
    [
        (HEAD, "REFUSED 408 POST /track the head did not arrive within 1 s"),
        (
            HEAD + b"Content-Length: 9\r\n\r\n{",
            "REFUSED 408 POST /track the body did not arrive in time: 1 of 9 bytes arrived",
        ),
    ],
)
@pytest.mark.usefixtures("impatient")
def test_who_is_late_is_one_line_in_the_log(sent: bytes, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(log_format="human") as server, closing(connect(server.url)) as connection:
        connection.sendall(sent)
        assert status(everything(connection)) == 408
    assert capsys.readouterr().out.splitlines() == [line]


def test_a_client_that_breaks_off_is_one_line_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(log_format="json") as server:
        connection = connect(server.url)
        connection.sendall(HEAD.replace(b"/track", b"/accounts/a/track") + b"Content-Length: 9\r\n\r\n{")
        catch_up(server.url)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        catch_up(server.url)
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    del line["time"]
    assert line == {
        "level": "warning",
        "message": "INCOMPLETE --- POST /accounts/a/track the body was cut off: 1 of 9 bytes arrived",
        "outcome": "incomplete",
        "status": None,
        "method": "POST",
        "path": "/accounts/a/track",
        "event_ids": [],
        "duration_ms": None,
        "error": "the body was cut off: 1 of 9 bytes arrived",
    }


# Resets


async def resetting(scope: Scope, receive: Receive, send: Send) -> None:
    """Read a request, and reset its connection: before the answer, or in the middle of it."""
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    await receive()
    if scope["path"] == "/middle":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
    cast(Callable[[], None], scope["extensions"][ABORT])()


@pytest.mark.parametrize("path", ["/before", "/middle"])
def test_an_app_can_reset_a_connection(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    with listening_server(resetting) as url, closing(connect(url)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        with pytest.raises(ConnectionResetError):
            everything(connection)
    assert capsys.readouterr().err == ""


# Many clients


def test_a_thousand_half_open_connections_keep_nobody_waiting(tmp_path: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096) if hard > 0 else 4096, hard))
    connections: list[socket.socket] = []
    try:
        with process(tmp_path) as running:
            for number in range(1000):
                connection = connect(running.url)
                connection.sendall((b"", b"POST /tr", HEAD, HEAD + b"Content-Length: 9\r\n\r\n{")[number % 4])
                connections.append(connection)
            with closing(connect(running.url)) as connection:
                for _ in range(20):
                    connection.sendall(WHOLE)
                    assert status(answer(connection)) == 200
            assert running.complained() == ""
            running.end(signal.SIGTERM)
    finally:
        for connection in connections:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# The end


def test_idle_connections_do_not_hold_it_up(tmp_path: Path) -> None:
    with process(tmp_path) as running:
        idle = [connect(running.url) for _ in range(5)]
        for connection in idle[1:]:
            connection.sendall(WHOLE)
            assert status(answer(connection)) == 200
        running.end(signal.SIGTERM)
        for connection in idle:
            # Closed, and not cut off as those are that it has waited for in vain.
            assert everything(connection) == b""
            connection.close()
        assert running.complained() == ""


def test_stuck_clients_are_cut_off_after_a_while(tmp_path: Path) -> None:
    with process(tmp_path) as running:
        stuck = [connect(running.url) for _ in range(3)]
        stuck[0].sendall(HEAD + b"Content-Length: 99\r\n\r\n{")
        stuck[1].sendall(HEAD.replace(b"/track", b"/debug/reset") + b"Content-Length: 99\r\n\r\n{")
        # One that does not read its answers.
        stuck[2].sendall(b"GET /api/v1/openapi HTTP/1.1\r\nHost: localhost\r\n\r\n" * 400)
        catch_up(running.url)
        started = time.monotonic()
        running.end(signal.SIGTERM)
        assert time.monotonic() - started > 1
        for connection in stuck:
            with suppress(ConnectionResetError):
                everything(connection)
            connection.close()
        assert running.complained() == ""


def test_what_is_under_way_is_answered(tmp_path: Path) -> None:
    with process(tmp_path, "--database", str(tmp_path / "store.db")) as running:
        connections = [connect(running.url) for _ in range(20)]
        for connection in connections:
            connection.sendall(WHOLE[:-5])
        catch_up(running.url)
        running.process.send_signal(signal.SIGTERM)
        until(lambda: not listens(running.url))
        for connection in connections:
            connection.sendall(WHOLE[-5:])
        for connection in connections:
            received = answer(connection)
            assert status(received) == 200
            assert everything(connection) == b""
            connection.close()
        running.process.wait(PATIENCE)
        assert running.complained() == ""
