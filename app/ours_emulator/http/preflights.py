"""CORS preflights that no request followed: the browser held something against it, which its page cannot see."""

import asyncio
from typing import NamedTuple

from starlette.types import Scope

from ours_emulator.http.log import RequestLog
from ours_emulator.http.routes import Route
from ours_emulator.http.wire import PREFLIGHT_METHODS

_SECONDS = 2.0
_MAX_PENDING = 1000
_SHOWN = 100
_UNFOLLOWED = (
    "no request from {origin} followed within 2 s, probably because the page asked for credentials, which browsers do "
    "not send where any origin is allowed; if so, use fetch without credentials: 'include', and with keepalive: true "
    "instead of sendBeacon"
)
_METHOD = "browsers will not send {method} from {origin}: the answer allows {allowed}"


class _Pending(NamedTuple):
    """A preflight whose request may still come."""

    loop: asyncio.AbstractEventLoop
    timer: asyncio.TimerHandle


class Preflights:
    """Remembers for a moment from where each preflight came, and logs what a browser will not send (rule cors).

    A browser sends the request as soon as the preflight is answered, unless that does not allow what the page asked
    for. Whether a page asked for credentials is not in a preflight.
    """

    def __init__(self, log: RequestLog) -> None:
        self._log = log
        self._pending: dict[tuple[str, str], _Pending] = {}

    def answered(self, scope: Scope, route: Route) -> None:
        """Note that the preflight *scope* for *route* was answered. Without an origin it is none."""
        origin, method = _header(scope, b"origin"), _header(scope, b"access-control-request-method")
        if not origin or not method:
            return
        if method not in PREFLIGHT_METHODS:
            allowed = ", ".join(PREFLIGHT_METHODS)
            self._refused(route, _METHOD.format(method=method, origin=origin, allowed=allowed))
            return
        self._forget_ended_loops()
        self.followed(scope, route)
        if len(self._pending) < _MAX_PENDING:
            loop, key = asyncio.get_running_loop(), (origin, route.called)
            timer = loop.call_later(_SECONDS, self._unfollowed, key, route, _UNFOLLOWED.format(origin=origin))
            self._pending[key] = _Pending(loop, timer)

    def followed(self, scope: Scope, route: Route) -> None:
        """Note that the request *scope* for *route* came."""
        if self._pending:
            pending = self._pending.pop((_header(scope, b"origin"), route.called), None)
            if pending is not None:
                pending.timer.cancel()

    def _forget_ended_loops(self) -> None:
        """Forget the preflights whose timers never run. An app under test may run on a new loop for each test."""
        # A list, as other loops may add and remove meanwhile.
        for key, pending in list(self._pending.items()):
            if pending.loop.is_closed():
                self._pending.pop(key, None)

    def _unfollowed(self, key: tuple[str, str], route: Route, message: str) -> None:
        self._pending.pop(key, None)
        self._refused(route, message)

    def _refused(self, route: Route, message: str) -> None:
        self._log.refusal(204, "OPTIONS", route.called, "cors", message)


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1")[:_SHOWN] for other, value in scope["headers"] if other == name), "")
