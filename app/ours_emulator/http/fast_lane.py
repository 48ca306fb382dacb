"""The fast lane: the usual POST of an emulated endpoint, without an ASGI cycle and a task for each request.

The connection asks for it when a head is complete. Everything unusual goes the ordinary way, which answers the same: a
test sends thousands of requests both ways, and compares.
"""

import re
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from starlette.types import Receive, Scope, Send

from ours_emulator.http.endpoint import Endpoint
from ours_emulator.http.front import Served
from ours_emulator.http.routes import Route, find_route
from ours_emulator.http.wire import NOSNIFF, answer_headers, request_of, with_nosniff
from ours_emulator.model import Answer, Closed, Exchange, Request

_UNUSUAL = frozenset((b"connection", b"expect", b"origin", b"transfer-encoding", b"upgrade"))
_MAX_LENGTH = 64 * 1024
"""Bytes of a body. The ordinary way makes those of a larger one wait their turn."""
_PLAIN = re.compile(rb"/[A-Za-z0-9/_.~-]*")
_MAX_DIGITS = 20
"""Of a Content-Length. The parser bounds its value, but a client may write any number of zeros before it."""
_MAX_KNOWN = 256
"""Bytes of a path whose route is remembered, since a client may send a thousand paths of 64 KiB."""
_known_route = lru_cache(1024)(find_route)


class Usual(NamedTuple):
    """A request that may take the fast lane."""

    route: Route
    endpoint: Endpoint
    headers: Mapping[bytes, bytes]
    started: float

    def request(self, body: bytes) -> Request:
        """Return the request with its *body*."""
        return request_of(self.route, "POST", self.headers, body, self.endpoint.parts.accounts.now, self.started)


class FastLane:
    """Decides which requests to *served* are usual."""

    def __init__(self, served: Served) -> None:
        self._guard = served.guard
        self._endpoints = served.endpoints

    def usual(self, target: bytes, pairs: Sequence[tuple[bytes, bytes]]) -> Usual | None:
        """Return the POST of HTTP/1.1 for *target* with the headers *pairs*; None if it is not a usual one."""
        headers = dict(pairs)
        if len(headers) < len(pairs) or not _UNUSUAL.isdisjoint(headers) or not _PLAIN.fullmatch(target):
            return None
        path = target.decode("ascii")
        route = _known_route(path) if len(path) <= _MAX_KNOWN else find_route(path)
        endpoint = self._endpoints.get(route.endpoint)
        length = headers.get(b"content-length", b"x")
        if not isinstance(endpoint, Endpoint) or not length.isdigit() or len(length) > _MAX_DIGITS:
            return None
        too_long = int(length) > min(_MAX_LENGTH, endpoint.parts.limit)
        if too_long or self._guard.refusal("POST", pairs, route) is not None:
            return None
        return Usual(route, endpoint, headers, time.perf_counter())


class Finish(NamedTuple):
    """An ASGI app that answers *request*, which became *exchange*, the ordinary way."""

    endpoint: Endpoint
    request: Request
    exchange: Exchange | Closed | None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await self.endpoint.finish(self.request, self.exchange, scope, receive, with_nosniff(send))


def head_of(status_line: bytes, defaults: Sequence[tuple[bytes, bytes]], answer: Answer, exchange: Exchange) -> bytes:
    """Return the head of *answer* as the ordinary way writes it, without the empty line at its end."""
    headers = (*defaults, *answer_headers(answer, exchange), NOSNIFF)
    return status_line + b"".join([b"%s: %s\r\n" % (name.lower(), value) for name, value in headers])
