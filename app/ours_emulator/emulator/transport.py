"""How one request is sent to the debug API and its answer read. Nothing else in the handle knows of connections.

Tests freeze clocks, fake the file system, and patch `socket`, `asyncio.sleep` and HTTP clients, and none of that may
reach the handle. So this module speaks HTTP/1.1 over the C type below `socket.socket`, which nobody can patch, and
takes the functions it needs when it is imported. Time limits are the socket's, so a frozen clock does not matter.

Each request has a connection of its own: on the loopback that costs less than finding out whether a kept one may still
be used, in this process (after a fork), thread and event loop.
"""

from __future__ import annotations

import _socket
import _thread
import socket
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from ours_emulator.errors import why

if TYPE_CHECKING:
    import ssl

    import httpx

T = TypeVar("T")
_getaddrinfo = _socket.getaddrinfo
_RawSocket = _socket.socket
_PythonSocket = socket.socket
_start_thread = _thread.start_new_thread
_sleep = time.sleep
_RECEIVE_BYTES = 64 * 1024
_MAX_LINE_BYTES = 1024 * 1024
_PATH_CHARACTERS = "/%:@!$&'()*+,;=-._~"
_NO_BODY = (204, 304)
_DIGITS = "0123456789abcdef"


class TransportError(Exception):
    """A request could not be sent, or was not answered by HTTP."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. `content` in parts is sent chunked; `seconds` is the longest silence, None for no limit."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | Iterable[bytes] | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered. The names of the headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer whose body is read while it arrives."""

    status: int
    headers: Mapping[str, str]
    parts: Iterator[bytes]

    def read(self) -> bytes:
        """Return the rest of the body."""
        return b"".join(self.parts)


@dataclass(frozen=True, slots=True)
class AsyncStream:
    """An answer whose body is read while it arrives."""

    status: int
    headers: Mapping[str, str]
    parts: AsyncIterator[bytes]

    async def read(self) -> bytes:
        """Return the rest of the body."""
        return b"".join([part async for part in self.parts])


class Transport:
    """Sends requests: over sockets, or through *client*. Raises TransportError."""

    def __init__(self, client: httpx.Client | None) -> None:
        self.client = client

    def exchange(self, request: Request) -> Answer:
        """Send *request* and return its answer."""
        if self.client is None:
            return Exchange(request).whole()
        with _errors_of_client():
            # Not `request`: that of starlette's TestClient warns of the time limit.
            answer = self.client.send(self.client.build_request(**_for_client(request)))
        return Answer(answer.status_code, answer.headers, answer.content)

    def exchange_now(self, request: Request) -> Answer | None:
        """Send *request* and return its answer, without awaiting."""
        return self.exchange(request)

    @contextmanager
    def stream(self, request: Request) -> Generator[Stream]:
        """Send *request* and give its answer as it arrives."""
        if self.client is None:
            with Exchange(request) as exchange:
                exchange.start()
                yield Stream(exchange.status, exchange.headers, exchange.parts())
            return
        with ExitStack() as stack:
            with _errors_of_client():
                answer = self.client.send(self.client.build_request(**_for_client(request)), stream=True)
            stack.callback(answer.close)
            yield Stream(answer.status_code, answer.headers, _parts_of_client(answer))


class AsyncTransport:
    """Does what Transport does, for coroutines.

    A socket is used in a thread, because that works in every event loop, with TLS, and with patched timers. A cancelled
    exchange shuts its connection down, which ends the thread.
    """

    def __init__(self, client: httpx.AsyncClient | None) -> None:
        self.client = client

    async def exchange(self, request: Request) -> Answer:
        """Send *request* and return its answer."""
        if self.client is None:
            exchange = Exchange(request)
            return await in_thread(exchange.whole, exchange.abort)
        with _errors_of_client():
            answer = await self.client.send(self.client.build_request(**_for_client(request)))
        return Answer(answer.status_code, answer.headers, answer.content)

    def exchange_now(self, request: Request) -> Answer | None:
        """Send *request* and return its answer, without awaiting; None if it needs a client, which is awaited."""
        return Exchange(request).whole() if self.client is None else None

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncGenerator[AsyncStream]:
        """Send *request* and give its answer as it arrives."""
        if self.client is None:
            with Exchange(request) as exchange:
                await in_thread(exchange.start, exchange.abort)
                yield AsyncStream(exchange.status, exchange.headers, _parts_in_threads(exchange))
            return
        async with AsyncExitStack() as stack:
            with _errors_of_client():
                answer = await self.client.send(self.client.build_request(**_for_client(request)), stream=True)
            stack.push_async_callback(answer.aclose)
            yield AsyncStream(answer.status_code, answer.headers, _async_parts_of_client(answer))


class Exchange:
    """One request and its answer, on a connection of their own."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._socket: _socket.socket | ssl.SSLSocket | None = None
        self._received = b""
        self.status = 0
        self.headers: Mapping[str, str] = {}

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()

    def whole(self) -> Answer:
        """Return the answer with all of its body."""
        with self:
            self.start()
            return Answer(self.status, self.headers, b"".join(self.parts()))

    def start(self) -> None:
        """Send the request and read the head of the answer."""
        with _errors_of_sockets():
            self._socket = _connected(self._request)
            # A server that refuses a body before it has all of it closes the connection; its answer can still be read.
            with suppress(BrokenPipeError, ConnectionResetError):
                self._send(self._socket)
            while self.status < 200:
                self.status, self.headers = _parsed_head(self._until(b"\r\n\r\n"))

    def parts(self) -> Iterator[bytes]:
        """Yield the body as it arrives."""
        with _errors_of_sockets():
            yield from self._body()

    def abort(self) -> None:
        """End the exchange, whatever another thread is waiting for in it."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(_socket.SHUT_RDWR)

    def _send(self, connection: _socket.socket | ssl.SSLSocket) -> None:
        content = self._request.content
        if content is None or isinstance(content, bytes):
            connection.sendall(_head(self._request) + (content or b""))
            return
        connection.sendall(_head(self._request))
        for part in content:
            if part:
                connection.sendall(b"%x\r\n%b\r\n" % (len(part), part))
        connection.sendall(b"0\r\n\r\n")

    def _body(self) -> Iterator[bytes]:
        if self.status in _NO_BODY or self._request.method == "HEAD":
            return iter(())
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks()
        length = self.headers.get("content-length")
        return self._until_closed() if length is None else self._counted(_size(length, 10, "Content-Length"))

    def _receive(self) -> bytes:
        """Return what arrives next; b"" if nothing will."""
        return b"" if self._socket is None else self._socket.recv(_RECEIVE_BYTES)

    def _more(self) -> None:
        received = self._receive()
        if not received:
            raise ConnectionError("the connection was closed before the answer was complete")
        self._received += received

    def _until(self, mark: bytes) -> bytes:
        """Return what comes before *mark*."""
        while mark not in self._received:
            if len(self._received) > _MAX_LINE_BYTES:
                raise ValueError("the answer is not HTTP")
            self._more()
        before, _, self._received = self._received.partition(mark)
        return before

    def _counted(self, count: int) -> Iterator[bytes]:
        while count > 0:
            if not self._received:
                self._more()
            part, self._received = self._received[:count], self._received[count:]
            count -= len(part)
            yield part

    def _chunks(self) -> Iterator[bytes]:
        while size := _size(self._until(b"\r\n").partition(b";")[0].decode("latin-1").strip(), 16, "chunk size"):
            yield from self._counted(size)
            if self._until(b"\r\n"):
                raise ValueError(f"the answer is not HTTP: a chunk is longer than its size, {size}")

    def _until_closed(self) -> Iterator[bytes]:
        part = self._received or self._receive()
        while part:
            yield part
            part = self._receive()


def _connected(request: Request) -> _socket.socket | ssl.SSLSocket:
    address = urlsplit(request.url)
    secure = address.scheme == "https"
    host = address.hostname or ""
    raw = _connected_to_any(host, address.port or (443 if secure else 80), request.seconds)
    return _encrypted(raw, host, request.seconds) if secure else raw


def _connected_to_any(host: str, port: int, seconds: float | None) -> _socket.socket:
    """Return a connection to the first address of *host* that accepts one."""
    error = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in _getaddrinfo(host, port, 0, _socket.SOCK_STREAM):
        raw = _RawSocket(family, kind, protocol)
        try:
            raw.settimeout(seconds)
            raw.connect(address)
            return raw
        except OSError as refused:
            raw.close()
            error = refused
    raise error


def _encrypted(raw: _socket.socket, host: str, seconds: float | None) -> ssl.SSLSocket:
    with _PythonSocket(fileno=raw.detach()) as plain:
        plain.settimeout(seconds)
        return _tls().wrap_socket(plain, server_hostname=host)


@cache
def _tls() -> ssl.SSLContext:
    # Imported only for https: it takes longer than everything else here.
    import ssl

    return ssl.create_default_context()


def _head(request: Request) -> bytes:
    address = urlsplit(request.url)
    target = quote(address.path or "/", safe=_PATH_CHARACTERS) + (f"?{address.query}" if address.query else "")
    fields = {"host": address.netloc.rpartition("@")[2], "accept-encoding": "identity", "connection": "close"}
    lines = [f"{name}: {text}" for name, text in {**fields, **request.headers, **_length(request)}.items()]
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise ValueError("a header has characters that HTTP does not allow")
    return "\r\n".join([f"{request.method} {target} HTTP/1.1", *lines, "", ""]).encode("ascii")


def _length(request: Request) -> Mapping[str, str]:
    if request.content is None:
        return {}
    if isinstance(request.content, bytes):
        return {"content-length": str(len(request.content))}
    return {"transfer-encoding": "chunked"}


def _parsed_head(head: bytes) -> tuple[int, Mapping[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    protocol, _, rest = first.partition(" ")
    if not protocol.startswith("HTTP/1.") or not rest[:3].isdecimal():
        raise ValueError("the answer is not HTTP")
    fields = (line.partition(":") for line in lines)
    return int(rest[:3]), {name.lower(): text.strip() for name, _, text in fields}


def _size(text: str, base: int, what: str) -> int:
    """Return the number that *text* is. `int` alone would also take signs, spaces and underscores."""
    digits = _DIGITS[:base]
    if not text or not set(text.lower()) <= set(digits):
        raise ValueError(f"the answer is not HTTP: its {what} is {text[:40]!r}")
    return int(text, base)


def _for_client(request: Request) -> dict[str, Any]:
    """Return what a client builds *request* of. Asynchronous ones take no iterable, so the content is put together."""
    content = request.content
    whole = content if content is None or isinstance(content, bytes) else b"".join(content)
    return {
        "method": request.method,
        "url": request.url,
        "content": whole,
        "headers": request.headers,
        "timeout": request.seconds,
    }


@contextmanager
def _errors_of_sockets() -> Generator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise TransportError(why(error)) from None


@contextmanager
def _errors_of_client() -> Generator[None]:
    """Pass on a TransportError of httpx, which is known by its name: only whoever gives a client imports httpx."""
    try:
        yield
    except Exception as error:
        if "TransportError" not in {kind.__name__ for kind in type(error).__mro__}:
            raise
        raise TransportError(why(error)) from None


def _parts_of_client(answer: httpx.Response) -> Iterator[bytes]:
    with _errors_of_client():
        yield from answer.iter_bytes()


async def _async_parts_of_client(answer: httpx.Response) -> AsyncGenerator[bytes]:
    with _errors_of_client():
        async for part in answer.aiter_bytes():
            yield part


async def _parts_in_threads(exchange: Exchange) -> AsyncGenerator[bytes]:
    parts = exchange.parts()
    while (part := await in_thread(lambda: next(parts, None), exchange.abort)) is not None:
        yield part


def _nothing() -> None:
    return None


async def in_thread(work: Callable[[], T], abort: Callable[[], None] = _nothing) -> T:
    """Return the result of *work*, done in a thread of its own; *abort* ends it early."""
    trio = sys.modules.get("trio")
    done = False
    try:
        if trio is not None and trio.lowlevel.in_trio_run():
            result: T = await trio.to_thread.run_sync(work, abandon_on_cancel=True)
        else:
            result = await _in_thread_of_asyncio(work)
        done = True
        return result
    finally:
        if not done:
            abort()


async def _in_thread_of_asyncio(work: Callable[[], T]) -> T:
    import asyncio

    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(outcome: Callable[[], None]) -> None:
        if not future.done():
            outcome()

    def run() -> None:
        try:
            outcome = partial(future.set_result, work())
        except BaseException as error:
            outcome = partial(future.set_exception, error)
        # The loop is closed if nobody waits for the result any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, outcome)

    _start_thread(run, ())
    return await future


def pause(seconds: float) -> None:
    """Wait for so many *seconds*."""
    _sleep(seconds)


async def async_pause(seconds: float) -> None:
    """Wait for so many *seconds*, whatever is patched."""
    await in_thread(lambda: _sleep(seconds))


class Deadline:
    """The end of a time limit of so many *seconds*.

    The clock is an attribute of the class, because freezegun replaces those that are attributes of modules.
    """

    _now = staticmethod(time.monotonic)

    def __init__(self, seconds: float) -> None:
        self._end = self._now() + seconds

    @property
    def left(self) -> float:
        """How many seconds are left; 0 or less when it is over."""
        return self._end - self._now()
