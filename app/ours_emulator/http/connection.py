"""One HTTP connection: uvicorn's, with deadlines and bounds. The only module that touches uvicorn's protocol.

Tested with uvicorn 0.30 to 0.54 and httptools 0.6 to 0.9. What it relies on: `FlowControl` and `STATUS_LINE`; the
attributes `scope`, `headers`, `url`, `cycle`, `pipeline`, `flow` and `parser` of `HttpToolsProtocol`, its parser
callbacks and `_start_asgi_task`; the constructor of a `RequestResponseCycle`, and its `disconnected`, `message_event`,
`keep_alive`, `more_body`, `response_started` and `response_complete`. The server, in `server`, extends uvicorn's by its
methods (`startup`, `on_tick`, `shutdown`, `capture_signals`) and reads `server_state.connections`.
"""

import asyncio
import re
import socket
import struct
from functools import partial
from typing import cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from ours_emulator.http.endpoint import Endpoint
from ours_emulator.http.fast_lane import Finish, Usual, head_of
from ours_emulator.http.fault_effects import ABORT
from ours_emulator.http.standalone import StandaloneFront
from ours_emulator.model import Closed, Exchange, Request

HEAD_BYTES = 64 * 1024
HEAD_FIELDS = 256
HEAD_SECONDS = 10.0
BODY_SECONDS = 10.0
_FAREWELL_SECONDS = 2.0
_MAX_PARTS = 2000
_MIN_PART = 16
_HOLD_SECONDS = 0.15
"""Pause of a body with more than so many parts of fewer bytes on average. One read may have 40,000 chunks of one byte,
which take 50 ms; without pauses there would be one read after the other, and nobody else would be answered."""
_MIB = 1024 * 1024
_HEAD = (
    b"HTTP/1.1 %d %s\r\ncontent-type: text/plain\r\nx-content-type-options: nosniff\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n"
)
_PHRASES = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}
_WITHOUT_PATH = re.compile(rb"\A([A-Za-z]+://[^/?#]+)([?#].*)?\Z", re.DOTALL)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _RefusedError(Exception):
    """Raised while parsing, to end it."""


class _Flow(FlowControl):
    """uvicorn's flow control of one connection, which can also stop reading for a moment."""

    held = False

    def hold(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop reading for a moment, whatever the app asks for."""
        self.held = True
        self.pause_reading()
        loop.call_later(_HOLD_SECONDS, self._release)

    def resume_reading(self) -> None:
        """Read again, unless that has to wait."""
        if not self.held:
            super().resume_reading()

    def _release(self) -> None:
        self.held = False
        self.resume_reading()


class Connection(HttpToolsProtocol):
    """One connection, with limits for its requests that uvicorn does not have.

    A head must arrive within 10 s (else 408) and has at most 64 KiB, give or take one read, and 256 fields (else 431).
    A body has 10 s, and one more for each MiB of it that has arrived. `sweep` finds late clients: a timer for each
    request would cost more than everything else here. A client that is refused may go on sending for 2 s, so that it
    sees the reason.

    An upgrade is declined by going on in HTTP/1.1, body included: Java's HTTP client offers one with every request.
    """

    _since: float | None = None
    """When the wait for a head, a body or the client's farewell began, in seconds of the loop's clock."""
    _in_head = False
    _in_body = False
    _body_bytes = 0
    _body_parts = 0
    _idle_bytes = 0
    """Bytes since the head began or the body grew: those of an endless header, trailer or chunk extension."""
    _read_bytes = 0
    """Bytes of the read that is being parsed."""
    _status = 400
    _refused = False
    _usual: Usual | None = None
    """The request in the fast lane whose body is being read."""
    _usual_body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head."""
        super().connection_made(cast(asyncio.Transport, transport))
        self.flow = self._flow = _Flow(cast(asyncio.Transport, transport))
        app = self.config.app
        self._lane = app.fast_lane if isinstance(app, StandaloneFront) else None
        # uvicorn's own setting takes the logger away from the whole process, and pytest brings it back.
        self.access_log = False
        self._extensions = {ABORT: self.abort}
        # uvicorn only knows the cycle of the last request. With pipelining, earlier ones may be unanswered still, and
        # have to hear that the client left.
        self._overtaken: list[RequestResponseCycle] = []
        self._since = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every request that would still write to it."""
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
            # No request has begun (an empty line, for instance), but the keep-alive timer was stopped above.
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
        self._body_bytes = self._body_parts = self._idle_bytes = 0
        self._since = self.loop.time()
        if not self.parser.should_upgrade():
            # An absolute target without a path is one of `/` (RFC 9112, 3.2.2); uvicorn fails on it.
            self.url = _WITHOUT_PATH.sub(rb"\1/\2", self.url)
            before = self._unanswered()
            self._usual = self._usual_request() if before is None else None
            if self._usual is not None:
                # Like any request it has a cycle, for what ends or follows it meanwhile.
                self.cycle = self._new_cycle()
                return
            super().on_headers_complete()
            if before is not None:
                self._overtaken.append(before)
            elif self._overtaken:
                self._overtaken.clear()

    def on_body(self, body: bytes) -> None:
        """Pass a part of the body on."""
        self._body_bytes += len(body)
        self._idle_bytes = 0
        self._body_parts += 1
        if self._usual is not None:
            self._usual_body += body
            return
        super().on_body(body)
        if self._body_parts > _MAX_PARTS and self._body_bytes < _MIN_PART * self._body_parts and not self._flow.held:
            self._flow.hold(self.loop)

    def on_message_complete(self) -> None:
        """Wait for nothing, until the next request begins."""
        if not self.parser.should_upgrade():
            self._since = None
            self._in_body = False
            if self._usual is None:
                super().on_message_complete()
            else:
                self._submit(self._usual)

    def sweep(self, now: float) -> None:
        """End the connection if its client is late; *now* is the time of the loop's clock, in seconds."""
        if self._since is None:
            return
        if self._in_body and self.flow.read_paused and not self._flow.held:
            # We have stopped reading: the client is not late.
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

    def _usual_request(self) -> Usual | None:
        if self._lane is None or self.parser.get_method() != b"POST" or self.parser.get_http_version() != "1.1":
            return None
        self._usual_body = b""
        return self._lane.usual(self.url, self.headers)

    def _new_cycle(self) -> RequestResponseCycle:
        return RequestResponseCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=True,
            on_response=self.on_response_complete,
        )

    def _submit(self, usual: Usual) -> None:
        """Let *usual*, whose body is complete, become an exchange."""
        self._usual = None
        self.cycle.more_body = False
        request = usual.request(self._usual_body)
        usual.endpoint.parts.pipeline.begin(request, partial(self._answer, self.cycle, usual.endpoint, request))

    def _answer(
        self, cycle: RequestResponseCycle, endpoint: Endpoint, request: Request, exchange: Exchange | Closed | None
    ) -> None:
        """Answer *request*, which became *exchange*: at once, or if that is not an ordinary answer, by a task."""
        if not isinstance(exchange, Exchange) or exchange.fault is not None or self.flow.write_paused:
            cycle.scope["method"] = "POST"
            self._start_asgi_task(cycle, cast(ASGI3Application, Finish(endpoint, request, exchange)))
            return
        if not cycle.disconnected:
            answer = exchange.answer
            head = head_of(STATUS_LINE[answer.status or 200], self.server_state.default_headers, answer, exchange)
            end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
            self.transport.write(b"".join((head, end, answer.body)))
            cycle.response_started = cycle.response_complete = True
            if not cycle.keep_alive:
                self.transport.close()
            self.on_response_complete()
        endpoint.parts.log.exchange(exchange)

    def _hang_up(self) -> None:
        """Tell the app that nobody waits for an answer. uvicorn does not tell requests that wait behind another one."""
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
                raise httptools.HttpParserError("not a proxy") from None
            head = self._head_without(b"upgrade")
            self.parser = httptools.HttpRequestParser(self)
            self._feed(head + rest)

    def _head_without(self, left_out: bytes) -> bytes:
        start = b"%s %s HTTP/%s\r\n" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        fields = (b"%s: %s\r\n" % (name, value) for name, value in self.headers if name != left_out)
        return start + b"".join(fields) + b"\r\n"

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _patience(self) -> float:
        if self._refused:
            return _FAREWELL_SECONDS
        if not self._in_body:
            return HEAD_SECONDS
        # A body that is discarded, because the answer was sent already, gets no extra time for its size.
        return BODY_SECONDS + (0 if self.cycle.response_complete else self._body_bytes / _MIB)

    def _refuse(self, status: int) -> None:
        """Answer *status* and close. Reading goes on for a moment: a client still sending would see a reset instead."""
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
        self.transport.write(_HEAD % (status, text, len(text)) + text)
        self.transport.write_eof()
