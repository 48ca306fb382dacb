"""The server under the app: uvicorn, with deadlines and bounds for what clients send, and a quick, clean end."""

import asyncio
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import cast

import httptools
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ours_emulator.http.fault_effects import ABORT

HEAD_BYTES = 64 * 1024
HEAD_FIELDS = 256
HEAD_SECONDS = 10.0
BODY_SECONDS = 10.0
_KEEP_ALIVE_SECONDS = 75
_FAREWELL_SECONDS = 2.0
_STUCK_SECONDS = 4.0
_GRACEFUL_SECONDS = 5
_SWEEP_TICKS = 5
_MIB = 1024 * 1024
_FAREWELLS = ("SIGHUP", "SIGQUIT")
_MOST_OPEN_FILES = 65_536
_PHRASES = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _RefusedError(Exception):
    """Raised while parsing, to end it."""


class Connection(HttpToolsProtocol):
    """One connection, whose requests have bounds that uvicorn does not have.

    A head is there within 10 s (else 408) and has at most 64 KiB, give or take one read, and 256 fields (else 431).
    A body has 10 s, and one more for each MiB of it that is there. `sweep` finds who is late: a timer for each request
    would cost more than all the rest here. A client that is refused may go on sending for 2 s, so that it sees why.

    An upgrade is declined by going on in HTTP/1.1, body and all: the HTTP client of Java offers one with every request.
    """

    _since: float | None = None
    """When that began which is waited for (a head, a body, the client's farewell), in seconds of the loop's clock."""
    _in_head = False
    _in_body = False
    _body_bytes = 0
    _idle_bytes = 0
    """Bytes since the head began or the body grew: those of an endless header, trailer or chunk extension."""
    _read_bytes = 0
    """Bytes of the read that is being parsed."""
    _status = 400
    _refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head."""
        super().connection_made(cast(asyncio.Transport, transport))
        # uvicorn's own setting takes the logger away from the whole process, and pytest brings it back.
        self.access_log = False
        self._extensions = {ABORT: self.abort}
        self._overtaken: list[RequestResponseCycle] = []
        self._since = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who would still write to it."""
        self._hang_up()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what was read."""
        if self._refused:
            return
        self._read_bytes = len(data)
        self._idle_bytes += self._read_bytes
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(self._status)
        if self._idle_bytes > HEAD_BYTES:
            self._refuse(431)
        if self._since is None and self.cycle.response_complete:
            # Nothing that begins a request, and still it ended the wait for the next one.
            self._since = self.loop.time()

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a head."""
        super().on_message_begin()
        cast(dict[str, object], self.scope)["extensions"] = self._extensions
        self._since = self.loop.time()
        self._in_head = True
        self._idle_bytes = 0

    def on_headers_complete(self) -> None:
        """Begin to wait for a body, if the head is not too large."""
        if len(self.headers) > HEAD_FIELDS or (self._read_bytes > HEAD_BYTES and self._head_bytes() > HEAD_BYTES):
            self._status = 431
            raise _RefusedError
        self._in_head, self._in_body = False, True
        self._body_bytes = self._idle_bytes = 0
        self._since = self.loop.time()
        if not self.parser.should_upgrade():
            before = self._unanswered()
            super().on_headers_complete()
            if before is not None:
                self._overtaken.append(before)
            elif self._overtaken:
                self._overtaken.clear()

    def on_body(self, body: bytes) -> None:
        """Pass a part of the body on."""
        self._body_bytes += len(body)
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for nothing, until the next request begins."""
        if not self.parser.should_upgrade():
            self._since = None
            self._in_body = False
            super().on_message_complete()

    def sweep(self, now: float) -> None:
        """End the connection if its client is late; *now* is the time of the loop's clock, in seconds."""
        if self._since is None:
            return
        if self._in_body and self.flow.read_paused:
            # It is us who keep it waiting.
            self._since, self._body_bytes = now, 0
        elif now - self._since > self._patience():
            if self._refused:
                self.transport.abort()
            elif self._in_head or self._in_body:
                self._refuse(408)
            else:
                self.transport.close()

    def abort(self) -> None:
        """Reset the connection: its client sees an error at once, and no answer."""
        self._hang_up()
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()

    def _hang_up(self) -> None:
        """Tell the app that nobody waits for an answer: uvicorn forgets those that wait behind another one's."""
        for cycle in (*self._overtaken, self._unanswered()):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def _unanswered(self) -> RequestResponseCycle | None:
        cycle = cast(RequestResponseCycle | None, self.cycle)
        return None if cycle is None or cycle.response_complete else cycle

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[cast(int, upgrade.args[0]) :]
            if self.parser.get_method() == b"CONNECT":
                raise httptools.HttpParserError("this is no proxy") from None
            head = self._head_without(b"upgrade")
            self.parser = httptools.HttpRequestParser(self)
            self._feed(head + rest)

    def _head_without(self, left_out: bytes) -> bytes:
        start = b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        return start + b"".join(b"%s: %s\r\n" % it for it in self.headers if it[0] != left_out) + b"\r\n"

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _patience(self) -> float:
        if self._refused:
            return _FAREWELL_SECONDS
        if not self._in_body:
            return HEAD_SECONDS
        # A body that is thrown away, because it was answered already, has no longer for being large.
        return BODY_SECONDS + (0 if self.cycle.response_complete else self._body_bytes / _MIB)

    def _refuse(self, status: int) -> None:
        """Answer what can't go on with *status*, and read on for a moment, or the client would see a reset."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._since = self.loop.time()
        cycle = self._unanswered()
        self._hang_up()
        if cycle is not None and (cycle.response_started or not self._in_body or self.pipeline):
            self.transport.abort()
            return
        self.flow.resume_reading()
        text = _PHRASES[status].encode()
        head = b"HTTP/1.1 %d %s\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(head % (status, text, len(text)) + text)
        self.transport.write_eof()


class Server(uvicorn.Server):
    """Serve *app* until `should_exit`: `ready` is called once it listens, `stopping` when it begins to end.

    It ends at once when nothing is under way, and answers what is; who is still stuck after 4 s is cut off.
    """

    def __init__(
        self, app: ASGIApp, ready: Callable[[], None] | None = None, stopping: Callable[[], None] | None = None
    ) -> None:
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="on",
            log_config=None,
            server_header=False,
            proxy_headers=False,
            # Clients keep idle connections for 5 s and more: who closes first must not be the server.
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        )
        super().__init__(config)
        self._ready = ready
        self._stopping = stopping

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """End cleanly also when the terminal goes away, or by Ctrl-\\: a temporary store must not be left behind."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        known = [getattr(signal, name) for name in _FAREWELLS if hasattr(signal, name)]
        # What is ignored (nohup) stays ignored.
        before = {it: signal.signal(it, self.handle_exit) for it in known if signal.getsignal(it) != signal.SIG_IGN}
        try:
            with super().capture_signals():
                yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and tell."""
        await super().startup(sockets)
        if self.started and self._ready is not None:
            self._ready()

    async def on_tick(self, counter: int) -> bool:
        """Look after the connections, ten times a second; return whether to end."""
        if counter % _SWEEP_TICKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in self._connections():
                connection.sweep(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End, when what is under way is answered."""
        if self._stopping is not None:
            self._stopping()
        cut_off = asyncio.get_running_loop().call_later(_STUCK_SECONDS, self._cut_off)
        try:
            await super().shutdown(sockets)
        finally:
            cut_off.cancel()

    def _connections(self) -> list[Connection]:
        return [it for it in self.server_state.connections if isinstance(it, Connection)]

    def _cut_off(self) -> None:
        for connection in self._connections():
            connection.abort()


def allow_many_connections() -> None:
    """Raise this process's limit of open files, often 1024 or less, as far as it may be."""
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = _MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_OPEN_FILES)
        if soft != resource.RLIM_INFINITY and soft < most:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            except (OSError, ValueError):
                return  # Some systems have a lower limit than they say.
