"""Comparing servers in the process of the tests, which is faster than with the command."""

import asyncio
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress

from ours_emulator.fidelity.comparison import Comparison
from ours_emulator.fidelity.preparation import Credentials, NotCompared, OutgoingRequest
from ours_emulator.fidelity.results import Results
from ours_emulator.fidelity.server import connected
from waiting import PATIENCE

LIVE_TOKEN = "abcdef123456"
KEY = "pk_abcdef123456"
CREDENTIALS = Credentials(f"test_{LIVE_TOKEN}", KEY)
RUN = "123456789"
_RATE = 100_000
_SECONDS = 10
_TLS = 0x16
"""The first byte of TLS."""


def now() -> int:
    """Return the time in milliseconds."""
    return int(time.time() * 1000)


def compared(
    emulator: str,
    server: str,
    requests: Iterable[OutgoingRequest | NotCompared],
    *,
    planned: int | None = None,
    seconds: float = _SECONDS,
    rate: float = _RATE,
) -> Results:
    """Return how *server* answers *requests* otherwise than *emulator*; it has so many *seconds* for each answer.

    *planned* is how many will be sent, if *requests* is not a list that says it.
    """
    results = Results(len(list(requests)) if planned is None else planned)

    async def run() -> None:
        async with connected(server, seconds) as other:
            await Comparison(other, emulator, rate, results).run(requests)

    asyncio.run(run())
    return results


def labels(results: Results) -> set[str]:
    """Return which requests were answered differently, or not at all."""
    return {one.request.label for one in results.compared if not one.is_same}


@contextmanager
def answering(answer: Callable[[socket.socket], None], context: ssl.SSLContext | None = None) -> Generator[str]:
    """Give the URL of a server that lets *answer* do what it wants with each connection; with *context* over TLS."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=answered, args=(connection,), daemon=True).start()

        def answered(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                plain = connection if context is None else context.wrap_socket(connection, server_side=True)
                with plain:
                    _read_request(plain)
                    answer(plain)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"{'http' if context is None else 'https'}://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    """Return an answer."""
    head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers, "", ""]
    return "\r\n".join(head).encode() + body


def hang(connection: socket.socket) -> None:
    """Answer nothing, until the client leaves."""
    while connection.recv(65536):
        pass


def saying(answer: bytes) -> Callable[[socket.socket], None]:
    """Return what sends *answer*."""
    return lambda connection: connection.sendall(answer)


def _read_request(connection: socket.socket) -> None:
    """Read all of a request: what is closed with a part of it unread is reset. That of TLS is no HTTP, and not read."""
    received = connection.recv(65536)
    while received and received[0] != _TLS and not _is_whole(received):
        part = connection.recv(65536)
        received = received + part if part else b""


def _is_whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return bool(end) and len(body) >= (int(length[1]) if length else 0)
