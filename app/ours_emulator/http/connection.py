"""One HTTP connection: uvicorn's, with deadlines and bounds. Only this module and its parts touch uvicorn's protocol.

The parts: `read_progress` counts what is read and knows the deadlines, `flow` pauses reading, `pending_cycles` knows
the unanswered requests, `closing` ends the connection, `fast_lane` chooses the requests that need no ASGI app, and
`fast_responder` answers those.

Tested with uvicorn 0.45 to 0.54 and httptools 0.6 to 0.9. What they rely on: `FlowControl` and `STATUS_LINE`; the
attributes `scope`, `headers`, `url`, `cycle`, `pipeline`, `flow` and `parser` of `HttpToolsProtocol`, its parser
callbacks, `on_response_complete` and `_start_asgi_task`; the constructor of a `RequestResponseCycle`, and its
`disconnected`, `message_event`, `keep_alive`, `more_body`, `on_response`, `response_started` and `response_complete`.
The server, in `server`, extends uvicorn's by its methods (`startup`, `on_tick`, `shutdown`, `capture_signals`) and
reads `server_state.connections`.
"""

import asyncio
import socket
import struct
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from ours_emulator.http.closing import Closing, error_response
from ours_emulator.http.fast_lane import FastRequest
from ours_emulator.http.fast_responder import FastResponder
from ours_emulator.http.fault_effects import ABORT
from ours_emulator.http.flow import HoldableFlow
from ours_emulator.http.pending_cycles import PendingCycles, notify_disconnect
from ours_emulator.http.read_progress import HEAD_BYTES, HEAD_FIELDS, ReadProgress
from ours_emulator.http.request_head import field_value, head_bytes, path_of, with_path, written_head
from ours_emulator.http.standalone import StandaloneFront
from ours_emulator.http.wire import ENDLESS

_TOO_LARGE = f"the head is too large; send at most {HEAD_BYTES // 1024} KiB and {HEAD_FIELDS} fields"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _TooLargeError(Exception):
    """Raised while parsing, to end it: the head is too large."""


class Connection(HttpToolsProtocol):
    """One connection, with limits for its requests that uvicorn does not have.

    A head must arrive within 10 s (else 408) and has at most 64 KiB, give or take one read, and 256 fields (else 431).
    A body has 10 s, and one more for each MiB of it that has arrived. `sweep` finds late clients: a timer for each
    request would cost more than everything else here. A client that is refused may go on sending for 2 s, so that it
    sees the reason. What is refused or cut off here has a line in the log.

    Nothing is read after a refusal, nor after the client has closed its half of the connection, but the complete
    requests before it are still answered.

    An upgrade is declined by going on in HTTP/1.1, body included: Java's HTTP client offers one with every request.
    """

    _reading: RequestResponseCycle | None = None
    """The cycle of the request whose body is being read."""
    _fast_request: FastRequest | None = None
    """The same request, if it is in the fast lane."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a head."""
        transport = cast(asyncio.Transport, transport)
        super().connection_made(transport)
        self.flow = self._flow = HoldableFlow(transport)
        app = self.config.app
        self._fast_lane = app.fast_lane if isinstance(app, StandaloneFront) else None
        self._log = app.log if isinstance(app, StandaloneFront) else None
        # uvicorn's own setting takes the logger away from the whole process, and pytest brings it back.
        self.access_log = False
        self._progress = ReadProgress(self.loop.time())
        self._pending = PendingCycles()
        self._closing = Closing(transport, self._flow, self._progress, self._pending, self.loop)
        self._responder = FastResponder(self.loop, transport, self._flow, self.server_state, self._start_asgi_task)
        self._extensions = {ABORT: self.abort, ENDLESS: self._closing.mark_endless}

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every request that would still write to it."""
        if not self._closing.has_begun:
            self._log_cut_off()
        self._pending.notify_disconnect()
        super().connection_lost(exc)

    # uvicorn's returns None, though asyncio has a use for a boolean here.
    def eof_received(self) -> Any:
        """Return whether to stay open, for the answers to complete requests: the client will send nothing more."""
        self._closing.half_closed = True
        if self._closing.endless:
            return False
        if not self._closing.has_begun:
            self._log_cut_off()
            self._stop_reading(b"")
        return self._pending.any_answerable()

    def data_received(self, data: bytes) -> None:
        """Parse what was read."""
        if self._closing.has_begun:
            return
        progress = self._progress
        progress.add_read(len(data))
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            self._refuse_unparsed(error)
        if progress.is_unproductive:
            self._refuse(431, _TOO_LARGE)
        if progress.waiting_since is None and self.cycle.response_complete:
            # No request has begun (an empty line, for instance), but the keep-alive timer was stopped above.
            progress.waiting_since = self.loop.time()

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a head."""
        super().on_message_begin()
        cast(dict[str, object], self.scope)["extensions"] = self._extensions
        self._progress.begin_head(self.loop.time())

    def on_headers_complete(self) -> None:
        """Begin to wait for a body, if the head is not too large."""
        self._refuse_large_head()
        self._progress.begin_body(self.loop.time())
        if self.parser.should_upgrade():
            return
        self.url = with_path(self.url)
        self._fast_request = self._next_fast_request()
        if self._fast_request is None:
            super().on_headers_complete()
        else:
            # Like any request it has a cycle, for what ends or follows it meanwhile.
            self.cycle = self._new_cycle()
        self._reading = self.cycle
        self._pending.add(self.cycle)

    def on_body(self, body: bytes) -> None:
        """Pass a part of the body on."""
        self._progress.add_part(len(body))
        if self._fast_request is not None:
            self._fast_request.body += body
            return
        super().on_body(body)
        if self._progress.has_tiny_parts:
            self._flow.hold(self.loop)

    def on_message_complete(self) -> None:
        """Wait for nothing, until the next request begins."""
        if self.parser.should_upgrade():
            return
        self._progress.end_request()
        self._reading = None
        if self._fast_request is None:
            super().on_message_complete()
        else:
            fast_request, self._fast_request = self._fast_request, None
            self._responder.submit(fast_request, self.cycle)

    def on_response_complete(self) -> None:
        """Go on with the next request, or end the connection if there is none."""
        self._closing.endless = False
        super().on_response_complete()
        self._closing.finish_if_answered()

    def sweep(self, now: float) -> None:
        """End the connection if its client is late; *now* is the time of the loop's clock, in seconds."""
        if self._flow.waits_for_app:
            self._progress.excuse(now)
        elif self._progress.is_late(now, answered=self._reading is not None and self._reading.response_complete):
            self._end_late()

    def abort(self) -> None:
        """Reset the connection: its client sees an error at once, and no answer."""
        self._pending.notify_disconnect()
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
            return
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[cast(int, upgrade.args[0]) :]
        # Outside of the handler: what is raised here has only its own cause.
        if self.parser.get_method() == b"CONNECT":
            raise httptools.HttpParserError("this is not a proxy")
        head = self._head_without_upgrade()
        self.parser = httptools.HttpRequestParser(self)
        self._feed(head + rest)

    def _head_without_upgrade(self) -> bytes:
        fields = [(name, value) for name, value in self.headers if name != b"upgrade"]
        return written_head(self.parser.get_method(), self.url, self.parser.get_http_version(), fields)

    def _refuse_large_head(self) -> None:
        if len(self.headers) > HEAD_FIELDS:
            raise _TooLargeError
        # A head that came in several reads was bounded as it came.
        if self._progress.last_read_bytes > HEAD_BYTES and head_bytes(self.url, self.headers) > HEAD_BYTES:
            raise _TooLargeError

    def _next_fast_request(self) -> FastRequest | None:
        """Return the request whose head is complete, if it can take the fast lane and no other is before it."""
        if self._fast_lane is None or not self._pending.is_last_answered:
            return None
        if self.parser.get_method() != b"POST" or self.parser.get_http_version() != "1.1":
            return None
        return self._fast_lane.fast_request(self.url, self.headers)

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

    def _end_late(self) -> None:
        if self._progress.phase == "closing":
            self.transport.abort()
        elif self._progress.phase == "idle":
            self.transport.close()
        else:
            self._refuse(408, self._progress.late_message(self._content_length()))

    def _refuse_unparsed(self, error: httptools.HttpParserError) -> None:
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
        if self._closing.has_begun or self.transport.is_closing():
            return
        if self._reading is not None and self._reading.response_complete:
            # It was answered, and logged, before its body was read.
            self._stop_reading(b"")
        else:
            self._log_unread(status, why)
            self._stop_reading(error_response(status))

    def _stop_reading(self, final_response: bytes) -> None:
        """Drop the request that is incomplete, answer those before it, and end the connection with *final_response*."""
        dropped, self._reading = self._reading, None
        if dropped is not None and not dropped.response_complete:
            self._drop(dropped)
        self._closing.begin(final_response)

    def _drop(self, cycle: RequestResponseCycle) -> None:
        notify_disconnect(cycle)
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
        if cycle.response_started:
            self.transport.abort()

    def _log_cut_off(self) -> None:
        """Log that the request that is being read ends before it is complete, if there is one."""
        if self._progress.phase == "head" or (self._reading is not None and not self._reading.response_complete):
            self._log_unread(None, self._progress.cut_off_message(self._content_length()))

    def _log_unread(self, status: int | None, why: str) -> None:
        if self._log is not None:
            self._log.unread(status, *self._request_line(), why)

    def _request_line(self) -> tuple[str, str]:
        """Return method and path of the request that is being read; empty if they are not known to be complete."""
        known = self._progress.phase == "body" or (self._progress.phase == "head" and self.headers)
        if not known or len(self.url) > HEAD_BYTES:
            return "", ""
        return self.parser.get_method().decode("ascii"), path_of(self.url)

    def _content_length(self) -> bytes | None:
        return field_value(self.headers, b"content-length")
