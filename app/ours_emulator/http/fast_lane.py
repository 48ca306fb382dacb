"""The fast lane: the usual POST of an emulated endpoint, without an ASGI app and a task for each request.

The connection asks for it when a head is complete. Everything unusual goes the ordinary way, which answers the same: a
test sends thousands of requests both ways, and compares.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ours_emulator.http.endpoint import Endpoint
from ours_emulator.http.front import Served
from ours_emulator.http.routes import Route, find_route
from ours_emulator.http.wire import request_of
from ours_emulator.model import Request

_UNUSUAL_HEADERS = frozenset((b"connection", b"expect", b"origin", b"transfer-encoding", b"upgrade"))
_MAX_LENGTH = 64 * 1024
"""Bytes of a body. The ordinary way makes those of a larger one wait their turn."""
_PLAIN_TARGET = re.compile(rb"/[A-Za-z0-9/_.~-]*")
_MAX_DIGITS = 20
"""Of a Content-Length. The parser bounds its value, but a client may write any number of zeros before it."""
_MAX_TARGET = 256
"""Bytes. A longer target takes the ordinary way: routes are remembered by target, and one may have 64 KiB."""


@dataclass(slots=True)
class FastRequest:
    """A request in the fast lane, to which the connection adds the body as it arrives."""

    route: Route
    endpoint: Endpoint
    headers: Mapping[bytes, bytes]
    started: float
    body: bytes = b""

    def request(self) -> Request:
        """Return the request, whose body is complete."""
        return request_of(self.route, "POST", self.headers, self.body, self.started)


class FastLane:
    """Decides which requests to *served* take the fast lane."""

    def __init__(self, served: Served) -> None:
        self._guard = served.guard
        self._served = served
        self._endpoints = served.endpoints

    def fast_request(self, target: bytes, pairs: Sequence[tuple[bytes, bytes]]) -> FastRequest | None:
        """Return the POST of HTTP/1.1 for *target* with the headers *pairs*; None if it takes the ordinary way."""
        headers = dict(pairs)
        if len(headers) < len(pairs) or not _UNUSUAL_HEADERS.isdisjoint(headers):
            return None
        route = _route_at(target) if len(target) <= _MAX_TARGET else None
        if route is None or self._served.may_be_outdated(route):
            return None
        route = self._served.route_of_revision(route)
        endpoint = self._endpoints.get(route.endpoint)
        length = headers.get(b"content-length", b"x")
        if not isinstance(endpoint, Endpoint) or not length.isdigit() or len(length) > _MAX_DIGITS:
            return None
        too_long = int(length) > min(_MAX_LENGTH, endpoint.parts.limit)
        if too_long or self._guard.refusal("POST", pairs, route) is not None:
            return None
        return FastRequest(route, endpoint, headers, time.perf_counter())


@lru_cache(1024)
def _route_at(target: bytes) -> Route | None:
    """Return what *target* names; None unless it is a plain path, without a query or anything to decode."""
    return find_route(target.decode("ascii")) if _PLAIN_TARGET.fullmatch(target) else None
