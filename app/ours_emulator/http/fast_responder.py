"""The second half of the fast lane: submits the requests of a connection and writes their answers."""

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple, TypeAlias, cast

from starlette.types import Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle
from uvicorn.server import ServerState

from ours_emulator.http.endpoint import Endpoint
from ours_emulator.http.fast_lane import FastRequest
from ours_emulator.http.wire import NOSNIFF, common_headers, special_headers, with_nosniff
from ours_emulator.model import Answer, Closed, Exchange, Request

_Result: TypeAlias = Exchange | Closed | None
_StartTask: TypeAlias = Callable[[RequestResponseCycle, ASGI3Application], None]


class _FinishApp(NamedTuple):
    """An ASGI app that answers *request*, which became *exchange*, the ordinary way."""

    endpoint: Endpoint
    request: Request
    exchange: _Result

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await self.endpoint.finish(self.request, self.exchange, scope, receive, with_nosniff(send))


class _FailingApp(NamedTuple):
    """An ASGI app that fails with *error*, which is then logged and answered as any failure of an app."""

    error: Exception

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Fail."""
        del scope, receive, send
        raise self.error


class FastResponder:
    """Answers the fast requests of one connection.

    *start_task* answers one the ordinary way, by a task that runs an ASGI app.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        flow: FlowControl,
        server_state: ServerState,
        start_task: _StartTask,
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._flow = flow
        self._server_state = server_state
        self._start_task = start_task

    def submit(self, fast_request: FastRequest, cycle: RequestResponseCycle) -> None:
        """Submit a request whose body is complete; it is answered through *cycle*."""
        cycle.more_body = False
        endpoint = fast_request.endpoint
        try:
            request = fast_request.request()
            on_done = partial(self._answer_or_fail, cycle, endpoint, request)
            endpoint.parts.pipeline.enqueue(request, self._loop, on_done)
        except Exception as error:
            self._run(cycle, _FailingApp(error))

    def _answer_or_fail(
        self, cycle: RequestResponseCycle, endpoint: Endpoint, request: Request, exchange: _Result
    ) -> None:
        """Answer *request*, which became *exchange*. No caller would see an exception: it is a callback."""
        try:
            self._answer(cycle, endpoint, request, exchange)
        except Exception as error:
            self._run(cycle, _FailingApp(error))

    def _answer(self, cycle: RequestResponseCycle, endpoint: Endpoint, request: Request, exchange: _Result) -> None:
        """Answer *request*, which became *exchange*: at once, or if that is not an ordinary answer, by a task."""
        if not isinstance(exchange, Exchange) or exchange.fault is not None or self._flow.write_paused:
            self._run(cycle, _FinishApp(endpoint, request, exchange))
            return
        if not cycle.disconnected:
            self._write(cycle, exchange)
        endpoint.log(exchange)

    def _write(self, cycle: RequestResponseCycle, exchange: Exchange) -> None:
        answer = exchange.answer
        head = head_of(STATUS_LINE[answer.status or 200], self._server_state.default_headers, answer, exchange)
        end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
        self._transport.write(b"".join((head, end, answer.body)))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self._transport.close()
        cycle.on_response()

    def _run(self, cycle: RequestResponseCycle, app: _FinishApp | _FailingApp) -> None:
        cycle.scope["method"] = "POST"
        self._start_task(cycle, cast(ASGI3Application, app))


def head_of(status_line: bytes, defaults: Sequence[tuple[bytes, bytes]], answer: Answer, exchange: Exchange) -> bytes:
    """Return the head of *answer* as the ordinary way writes it, without the empty line at its end."""
    common = _common_lines(answer.media_type, len(answer.body))
    special = _lines((*special_headers(answer, exchange), NOSNIFF))
    return b"".join((status_line, _lines(defaults), common, special))


# Most answers have the same lines, and to look these up takes less time than to write them.
@lru_cache(maxsize=256)
def _common_lines(media_type: str | None, length: int) -> bytes:
    return _lines(common_headers(media_type, length))


def _lines(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%s: %s\r\n" % (name.lower(), value) for name, value in headers])
