"""One HTTP connection: uvicorn's, with deadlines and bounds. The only module that touches uvicorn's protocol.

Tested with uvicorn 0.30 to 0.54 and httptools 0.6 to 0.9. What it relies on: `FlowControl` and `STATUS_LINE`; the
attributes `scope`, `headers`, `url`, `cycle`, `pipeline`, `flow` and `parser` of `HttpToolsProtocol`, its parser
callbacks, `on_response_complete` and `_start_asgi_task`; the constructor of a `RequestResponseCycle`, and its
`disconnected`, `message_event`, `keep_alive`, `more_body`, `response_started` and `response_complete`. The server, in
`server`, extends uvicorn's by its methods (`startup`, `on_tick`, `shutdown`, `capture_signals`) and reads
`server_state.connections`.
"""

import asyncio
import re
import socket
import struct
from functools import partial
from typing import Any, NamedTuple, cast
from urllib.parse import unquote

import httptools
from starlette.types import Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from ours_emulator.http.endpoint import Endpoint
from ours_emulator.http.fast_lane import Finish, Usual, head_of
from ours_emulator.http.fault_effects import ABORT
from ours_emulator.http.standalone import StandaloneFront
from ours_emulator.http.wire import ENDLESS
from ours_emulator.model import Closed, Exchange, Request
from ours_emulator.wording import plural

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
_PHRASES = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
}
_TOO_LARGE = f"the head is too large; send at most {HEAD_BYTES // 1024} KiB and {HEAD_FIELDS} fields"
_WITHOUT_PATH = re.compile(rb"\A([A-Za-z]+://[^/?#]+)([?#].*)?\Z", re.DOTALL)
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _TooLargeError(Exception):
    """Raised while parsing, to end it: the head is too large."""


class _Failing(NamedTuple):
    """An ASGI app that fails with *error*, which is then logged and answered as any failure of an app."""

    error: Exception

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Fail."""
        del scope, receive, send
        raise self.error


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
    sees the reason. What is refused or cut off here has a line in the log.

    Nothing is read after a refusal, nor after the client has closed its half of the connection (as `nc -N` does), but
    the complete requests before it are still answered.

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
    _excused_bytes = 0
    """Bytes of the body when the wait for it began anew, since we had stopped reading."""
    _read_bytes = 0
    """Bytes of the read that is being parsed."""
    _reading: RequestResponseCycle | None = None
    """The cycle of the request whose body is being read."""
    _last_words: bytes | None = None
    """What is written once all complete requests are answered; None while further ones are read."""
    _half_closed = False
    """Whether the client will send nothing more."""
    _endless = False
    """Whether the answer in progress has no end."""
    _usual: Usual | None = None
    """The request in the fast lane whose body is being read."""
    _usual_body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head."""
        super().connection_made(cast(asyncio.Transport, transport))
        self.flow = self._flow = _Flow(cast(asyncio.Transport, transport))
        app = self.config.app
        self._lane = app.fast_lane if isinstance(app, StandaloneFront) else None
        self._log = app.log if isinstance(app, StandaloneFront) else None
        # uvicorn's own setting takes the logger away from the whole process, and pytest brings it back.
        self.access_log = False
        self._extensions = {ABORT: self.abort, ENDLESS: self._go_on_without_end}
        # uvicorn only knows the cycle of the last request. With pipelining, earlier ones may be unanswered still, and
        # have to hear that the client left.
        self._overtaken: list[RequestResponseCycle] = []
        self._since = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every request that would still write to it."""
        if self._last_words is None:
            self._note_cut_off()
        self._hang_up()
        super().connection_lost(exc)

    # uvicorn's returns None, though asyncio has a use for a boolean here.
    def eof_received(self) -> Any:
        """Return whether to stay open, for the answers to complete requests: the client will send nothing more."""
        self._half_closed = True
        if self._endless:
            # A client that has left looks the same, and nothing else would end this answer.
            return False
        if self._last_words is None:
            self._note_cut_off()
            self._stop_reading(b"")
        return bool(self._due())

    def data_received(self, data: bytes) -> None:
        """Parse what was read."""
        if self._last_words is not None:
            return
        self._read_bytes = len(data)
        self._idle_bytes += self._read_bytes
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            self._give_up(error)
        if self._idle_bytes > HEAD_BYTES:
            self._refuse(431, _TOO_LARGE)
        if self._since is None and self.cycle.response_complete:
            # No request has begun (an empty line, for instance), but the keep-alive timer was stopped above.
            self._since = self.loop.time()

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a head."""
        super().on_message_begin()
        cast(dict[str, object], self.scope)["extensions"] = self._extensions
        self._since = self.loop.time()
        self._in_head, self._in_body = True, False
        self._idle_bytes = 0

    def on_headers_complete(self) -> None:
        """Begin to wait for a body, if the head is not too large."""
        if len(self.headers) > HEAD_FIELDS or (self._read_bytes > HEAD_BYTES and self._head_bytes() > HEAD_BYTES):
            raise _TooLargeError
        self._in_head, self._in_body = False, True
        self._body_bytes = self._body_parts = self._idle_bytes = self._excused_bytes = 0
        self._since = self.loop.time()
        if not self.parser.should_upgrade():
            # An absolute target without a path is one of `/` (RFC 9112, 3.2.2); uvicorn fails on it.
            self.url = _WITHOUT_PATH.sub(rb"\1/\2", self.url)
            before = self._unanswered()
            if before is None:
                self._overtaken.clear()
            self._usual = self._usual_request() if before is None else None
            if self._usual is not None:
                # Like any request it has a cycle, for what ends or follows it meanwhile.
                self.cycle = self._reading = self._new_cycle()
                return
            super().on_headers_complete()
            self._reading = self.cycle
            if before is not None:
                self._overtaken.append(before)

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
            self._since = self._reading = None
            self._in_body = False
            if self._usual is None:
                super().on_message_complete()
            else:
                self._submit(self._usual)

    def on_response_complete(self) -> None:
        """Go on with the next request, or end the connection if there is none."""
        self._endless = False
        super().on_response_complete()
        if self._last_words is not None and not self._due() and not self.transport.is_closing():
            self._take_leave()

    def sweep(self, now: float) -> None:
        """End the connection if its client is late; *now* is the time of the loop's clock, in seconds."""
        if self._since is None:
            return
        if self._in_body and self.flow.read_paused and not self._flow.held:
            # We have stopped reading: the client is not late.
            self._since, self._excused_bytes = now, self._body_bytes
        elif now - self._since > self._patience():
            if self._last_words is not None:
                self.transport.abort()
            elif self._in_head:
                self._refuse(408, f"the head did not arrive within {HEAD_SECONDS:g} s")
            elif self._in_body:
                self._refuse(408, f"the body did not arrive in time: {self._arrived()}")
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
        cycle = self.cycle
        cycle.more_body = False
        try:
            request = usual.request(self._usual_body)
            usual.endpoint.parts.pipeline.begin(request, partial(self._answer_or_fail, cycle, usual.endpoint, request))
        except Exception as error:
            self._run(cycle, _Failing(error))

    def _answer_or_fail(
        self, cycle: RequestResponseCycle, endpoint: Endpoint, request: Request, exchange: Exchange | Closed | None
    ) -> None:
        """Answer *request*, which became *exchange*. No caller would see an exception: it is a callback."""
        try:
            self._answer(cycle, endpoint, request, exchange)
        except Exception as error:
            self._run(cycle, _Failing(error))

    def _run(self, cycle: RequestResponseCycle, app: Finish | _Failing) -> None:
        cycle.scope["method"] = "POST"
        self._start_asgi_task(cycle, cast(ASGI3Application, app))

    def _answer(
        self, cycle: RequestResponseCycle, endpoint: Endpoint, request: Request, exchange: Exchange | Closed | None
    ) -> None:
        """Answer *request*, which became *exchange*: at once, or if that is not an ordinary answer, by a task."""
        if not isinstance(exchange, Exchange) or exchange.fault is not None or self.flow.write_paused:
            self._run(cycle, Finish(endpoint, request, exchange))
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

    def _due(self) -> list[RequestResponseCycle]:
        """Return the cycles of the requests that will be answered."""
        cycles = (*self._overtaken, self._unanswered())
        return [cycle for cycle in cycles if cycle and not (cycle.response_complete or cycle.disconnected)]

    def _go_on_without_end(self) -> None:
        self._endless = True
        if self._half_closed:
            self.transport.close()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
            return
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[cast(int, upgrade.args[0]) :]
        # Outside of the handler: what is raised here has only its own cause.
        if self.parser.get_method() == b"CONNECT":
            raise httptools.HttpParserError("this is not a proxy")
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
        if self._last_words is not None:
            return _FAREWELL_SECONDS
        if not self._in_body:
            return HEAD_SECONDS
        # A body that is discarded, because the answer was sent already, gets no extra time for its size.
        size = 0 if self.cycle.response_complete else self._body_bytes - self._excused_bytes
        return BODY_SECONDS + size / _MIB

    def _give_up(self, error: httptools.HttpParserError) -> None:
        """Refuse what made parsing end with *error*. What one of our callbacks has raised is the context of that."""
        cause = error.__context__
        if isinstance(cause, _TooLargeError):
            self._refuse(431, _TOO_LARGE)
        elif cause is None or isinstance(cause, httptools.HttpParserError):
            self._refuse(400, f"not valid HTTP: {cause or error}")
        else:
            self.logger.error("internal error while a request was read", exc_info=cause)
            self._refuse(500, "internal error")

    def _refuse(self, status: int, why: str) -> None:
        """Answer *status*, after the requests before, and close."""
        if self._last_words is not None or self.transport.is_closing():
            return
        text = _PHRASES[status].encode()
        last_words = _HEAD % (status, text, len(text)) + text
        if self._reading is not None and self._reading.response_complete:
            # It was answered, and logged, before its body was read.
            last_words = b""
        else:
            self._note(status, why)
        self._stop_reading(last_words)

    def _stop_reading(self, last_words: bytes) -> None:
        """Drop the request that is incomplete, answer those before it, and end the connection with *last_words*."""
        self._last_words = last_words
        self._since = None
        dropped, self._reading = self._reading, None
        if dropped is not None and not dropped.response_complete:
            self._drop(dropped)
        if not self._due() and not self.transport.is_closing():
            self._take_leave()

    def _drop(self, cycle: RequestResponseCycle) -> None:
        cycle.disconnected = True
        cycle.message_event.set()
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
        if cycle.response_started:
            self.transport.abort()

    def _take_leave(self) -> None:
        """Write the last words and close. Reading goes on for a moment: a client still sending would see a reset."""
        self._since = self.loop.time()
        self.flow.resume_reading()
        self.transport.write(self._last_words or b"")
        if self._half_closed:
            self.transport.close()
        else:
            self.transport.write_eof()

    def _note_cut_off(self) -> None:
        """Log that the request that is being read ends before it is complete, if there is one."""
        if self._in_head:
            self._note(None, "the head was cut off")
        elif self._reading is not None and not self._reading.response_complete:
            self._note(None, f"the body was cut off: {self._arrived()}")

    def _note(self, status: int | None, why: str) -> None:
        if self._log is not None:
            self._log.unread(status, *self._request_line(), why)

    def _request_line(self) -> tuple[str, str]:
        """Return method and path of the request that is being read; empty if they are not known to be complete."""
        known = self._in_body or (self._in_head and self.headers)
        if not known or len(self.url) > HEAD_BYTES:
            return "", ""
        return self.parser.get_method().decode("ascii"), unquote(_path_of(self.url).decode("latin-1"))

    def _arrived(self) -> str:
        """Return how much of the body has arrived: `1 of 9 bytes arrived`."""
        length = dict(self.headers).get(b"content-length")
        if length is None:
            return f"{plural(self._body_bytes, 'byte')} arrived"
        return f"{self._body_bytes} of {plural(int(length[-20:]), 'byte')} arrived"


def _path_of(target: bytes) -> bytes:
    try:
        return httptools.parse_url(target).path or b""
    except httptools.HttpParserError:
        return target.partition(b"?")[0]
