"""Logs CORS preflights that no request followed: the browser did not send it, and its page cannot see why."""

import asyncio
from typing import NamedTuple

from starlette.types import Scope

from ours_emulator.http.log import RequestLog
from ours_emulator.http.routes import Route
from ours_emulator.http.wire import PREFLIGHT_METHODS

_FOLLOW_SECONDS = 2.0
_MAX_PENDING = 1000
_MAX_SHOWN = 100
_UNFOLLOWED = (
    "no request from {origin} followed within 2 s, probably because the page asked for credentials, which browsers do "
    "not send where any origin is allowed; if so, use fetch without credentials: 'include', and with keepalive: true "
    "instead of sendBeacon"
)
_METHOD_REFUSED = "browsers will not send {method} from {origin}: the answer allows {allowed}"


class _Pending(NamedTuple):
    """A preflight whose request may still come."""

    loop: asyncio.AbstractEventLoop
    timer: asyncio.TimerHandle


class Preflights:
    """Remembers the origin of each preflight for 2 s, and logs the requests that browsers do not send (rule cors).

    A browser sends the request as soon as the preflight is answered, unless the answer does not allow it. A preflight
    does not tell whether the page asked for credentials.
    """

    def __init__(self, log: RequestLog) -> None:
        self._log = log
        self._pending: dict[tuple[str, str], _Pending] = {}

    def answered(self, scope: Scope, route: Route) -> None:
        """Note that the OPTIONS request *scope* for *route* was answered. Without an origin it is no preflight."""
        origin, method = _header(scope, b"origin"), _header(scope, b"access-control-request-method")
        if not origin or not method:
            return
        if method not in PREFLIGHT_METHODS:
            allowed = ", ".join(PREFLIGHT_METHODS)
            self._log_refusal(route, _METHOD_REFUSED.format(method=method, origin=origin, allowed=allowed))
            return
        self._forget_ended_loops()
        self.followed(scope, route)
        if len(self._pending) < _MAX_PENDING:
            loop, key = asyncio.get_running_loop(), (origin, route.called)
            timer = loop.call_later(
                _FOLLOW_SECONDS, self._log_unfollowed, key, route, _UNFOLLOWED.format(origin=origin)
            )
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

    def _log_unfollowed(self, key: tuple[str, str], route: Route, message: str) -> None:
        self._pending.pop(key, None)
        self._log_refusal(route, message)

    def _log_refusal(self, route: Route, message: str) -> None:
        self._log.refusal(204, "OPTIONS", route.called, "cors", message)


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1")[:_MAX_SHOWN] for other, value in scope["headers"] if other == name), "")
