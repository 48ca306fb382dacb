"""How the handle reaches an emulator: HTTP/1.1 over sockets of its own, which nothing that a test patches gets at."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from ours_emulator.emulator import AsyncEmulator, Emulator, EmulatorError
from ours_emulator.emulator.transport import AsyncTransport, Request, Transport, TransportError
from serving import Account

PATCHED = Path(__file__).parent / "patched.py"


@contextmanager
def answering(*parts: bytes, requests: list[bytes] | None = None, delay: float = 0.0) -> Generator[str]:
    """Answer one connection with *parts* once the request's head is there, then close it. Give the address.

    The server takes *delay* seconds to answer.
    """

    def serve() -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            received = b""
            while b"\r\n\r\n" not in received:
                received += connection.recv(65536)
            time.sleep(delay)
            for part in parts:
                connection.sendall(part)
            connection.shutdown(socket.SHUT_WR)
            while more := connection.recv(65536):
                received += more
            if requests is not None:
                requests.append(received)

    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def exchanged(url: str, **more: Any) -> bytes:
    """Return the body of an answer, the same whether it is read by blocking, awaiting or streaming."""
    return Transport(None).exchange(Request("GET", url, {}, seconds=10, **more)).body


@pytest.mark.parametrize(
    ("parts", "body"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more"], b"hello"),
        ([b"HTTP/1.1 200 OK\r\ncontent-length:5\r\n\r\nhe", b"llo"], b"hello"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"], b"hello!"),
        ([b"HTTP/1.1 200 OK\r\n\r\nto the", b" end"], b"to the end"),
        ([b"HTTP/1.0 204 \r\n\r\n"], b""),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"], b"ok"),
    ],
)
def test_a_body_is_read_however_its_length_is_given(parts: list[bytes], body: bytes) -> None:
    with answering(*parts) as url:
        assert exchanged(url) == body


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "closed before the answer was complete"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "closed before the answer was complete"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", "closed before the answer was complete"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 twohundred\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nlength\r\n", "chunk size is 'length'"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", "chunk size is ''"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n", "chunk size is '-5'"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", "chunk size is '0x5'"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n", "longer than its size, 2"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", "Content-Length is '-5'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\nhellohello", "Content-Length is '1_0'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello", "Content-Length is 'five'"),
        (b"x" * 3_000_000, "not HTTP"),
    ],
)
def test_what_is_not_a_whole_answer_is_an_error(answer: bytes, message: str) -> None:
    with answering(answer) as url, pytest.raises(TransportError, match=message):
        exchanged(url)


def test_silence_is_an_error_when_the_time_is_over() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(TransportError, match="timed out"):
            Transport(None).exchange(Request("GET", url, {}, seconds=0.05))


def test_a_request_is_written_as_http_has_it() -> None:
    requests: list[bytes] = []
    with answering(b"HTTP/1.1 200 OK\r\n\r\n", requests=requests) as url:
        exchanged(f"{url}/accounts/a b/é?q=1", content=b"{}")
    head, _, body = requests[0].partition(b"\r\n\r\n")
    lines = head.decode("ascii").split("\r\n")
    assert lines[0] == "GET /accounts/a%20b/%C3%A9?q=1 HTTP/1.1"
    assert set(lines[1:]) == {
        f"host: {url.removeprefix('http://')}",
        "accept-encoding: identity",
        "connection: close",
        "content-length: 2",
    }
    assert body == b"{}"


def test_content_in_parts_is_sent_chunked() -> None:
    requests: list[bytes] = []
    with answering(b"HTTP/1.1 200 OK\r\n\r\n", requests=requests) as url:
        exchanged(url, content=iter([b"a", b"", b"bc"]))
    assert requests[0].endswith(b"\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n")


def test_a_header_cannot_bring_others(account: Account) -> None:
    emulator = Emulator(account.url, admin_token="secret\r\nx-evil: 1")
    with pytest.raises(EmulatorError, match="characters that HTTP does not allow") as failed:
        emulator.version()
    assert "secret" not in str(failed.value)


def test_what_is_at_the_address_but_no_emulator_is_reported() -> None:
    with (
        answering(b"HTTP/1.1 200 OK\r\n\r\n<html>") as url,
        pytest.raises(EmulatorError, match="not an emulator's"),
    ):
        Emulator(url).version()
    page = b"HTTP/1.1 404 Not Found\r\n\r\n<html>\n\n  <title>Nothing here</title>\n</html>\n"
    with answering(page) as url, pytest.raises(EmulatorError, match="<html> <title>Nothing here</title> </html>"):
        Emulator(url).version()


@pytest.mark.parametrize("loop", [[], ["asyncio"], ["uvloop"]])
def test_patches_do_not_reach_the_handle(account: Account, loop: list[str]) -> None:
    command = [sys.executable, str(PATCHED), account.url, *loop]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_handle_can_be_used_under_trio(account: Account) -> None:
    async def use() -> None:
        account.track(userId="u")
        emulator = AsyncEmulator(account.url)
        assert (await emulator.wait_for("Test")).visitor_id == "u"
        with trio.move_on_after(0.05):
            await emulator.wait_for("Other", timeout=50)

    trio.run(use)


def test_one_handle_is_used_by_many_threads_and_event_loops(account: Account) -> None:
    emulator, asynchronous = Emulator(account.url), AsyncEmulator(account.url)
    account.track(userId="u")
    with ThreadPoolExecutor(8) as pool:
        lists = [pool.submit(emulator.events) for _ in range(40)]
        lists += [pool.submit(lambda: asyncio.run(asynchronous.events())) for _ in range(40)]
        assert {len(future.result()) for future in lists} == {1}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_the_handle_is_used_after_a_fork(account: Account) -> None:
    script = (
        "import os, sys\n"
        "from ours_emulator.emulator import Emulator\n"
        "emulator = Emulator(sys.argv[1])\n"
        "emulator.version()\n"
        "child = os.fork()\n"
        "emulator.version()\n"
        "if child:\n"
        "    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    subprocess.run([sys.executable, "-c", script, account.url], check=True, timeout=50)


def test_an_emulator_that_is_slow_to_answer_is_ready_however_little_time_is_left() -> None:
    health = b'{"status":"ok","version":"1.0.0","revision":"2026-05"}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(health), health)
    with answering(answer, delay=0.2) as url:
        Emulator(url).wait_ready(timeout=0)


def test_a_cancelled_call_closes_its_connection() -> None:
    closed = threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            while connection.recv(65536):
                accepted.set()
        closed.set()

    async def use(url: str) -> None:
        waiting = asyncio.create_task(AsyncEmulator(url).wait_for("Never", timeout=50))
        await asyncio.to_thread(accepted.wait, 30)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    accepted = threading.Event()
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        asyncio.run(use(f"http://127.0.0.1:{listening.getsockname()[1]}"))
        thread.join(30)
    assert closed.is_set()


def test_a_stream_is_read_while_it_arrives(account: Account) -> None:
    async def first_of_async_tail() -> object:
        async for event in AsyncEmulator(account.url).tail(after=0):
            return event
        return None

    account.track(userId="u")
    [event] = Emulator(account.url).events()
    assert next(Emulator(account.url).tail(after=0)) == event
    assert asyncio.run(first_of_async_tail()) == event


@pytest.mark.parametrize("secure_client", [Transport, AsyncTransport])
def test_https_is_verified(tmp_path: Path, secure_client: type[Transport] | type[AsyncTransport]) -> None:
    script = """
import asyncio, socket, ssl, sys, threading
from ours_emulator.emulator import transport

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
listening = socket.create_server(("127.0.0.1", 0))

def serve():
    while True:
        connection, _ = listening.accept()
        try:
            with context.wrap_socket(connection, server_side=True) as secure:
                secure.recv(65536)
                secure.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
        except ssl.SSLError:
            pass

threading.Thread(target=serve, daemon=True).start()
kind = getattr(transport, sys.argv[3])

async def use(host):
    url = f"https://{host}:{listening.getsockname()[1]}"
    answer = kind(None).exchange(transport.Request("GET", url, {}, seconds=20))
    return (await answer if asyncio.iscoroutine(answer) else answer).body

assert asyncio.run(use("localhost")) == b"ok"
try:
    asyncio.run(use("127.0.0.1"))
except transport.TransportError as error:
    print(error)
"""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost", "-out", str(certificate), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True, timeout=50)
    done = subprocess.run(
        [sys.executable, "-c", script, str(certificate), str(key), secure_client.__name__],
        env={**os.environ, "SSL_CERT_FILE": str(certificate)},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert "CERTIFICATE_VERIFY_FAILED" in done.stdout
