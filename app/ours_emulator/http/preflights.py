"""CORS preflights that no request followed: the browser held something against it, which its page cannot see."""

import asyncio

from starlette.types import Scope

from ours_emulator.http.log import RequestLog
from ours_emulator.http.routes import Route
from ours_emulator.http.wire import PREFLIGHT_METHODS

_SECONDS = 2.0
_MAX_PENDING = 1000
_SHOWN = 100
_UNFOLLOWED = (
    "no request from {origin} followed within 2 s: browsers send none with credentials where any origin is allowed; "
    "use fetch without credentials: 'include', and with keepalive: true instead of sendBeacon"
)
_METHOD = "browsers will not send {method} from {origin}: the answer allows {allowed}"


class Preflights:
    """Remembers for a moment from where each preflight came, and logs what a browser will not send (rule cors).

    A browser sends the request as soon as the preflight is answered, unless that does not allow what the page asked
    for. Whether a page asked for credentials is not in a preflight.
    """

    def __init__(self, log: RequestLog) -> None:
        self._log = log
        self._pending: dict[tuple[str, str], asyncio.TimerHandle] = {}

    def answered(self, scope: Scope, route: Route) -> None:
        """Note that the preflight *scope* for *route* was answered. Without an origin it is none."""
        origin, method = _header(scope, b"origin"), _header(scope, b"access-control-request-method")
        if not origin or not method:
            return
        if method not in PREFLIGHT_METHODS:
            allowed = ", ".join(PREFLIGHT_METHODS)
            self._refused(route, _METHOD.format(method=method, origin=origin, allowed=allowed))
            return
        self.followed(scope, route)
        if len(self._pending) < _MAX_PENDING:
            message = _UNFOLLOWED.format(origin=origin)
            timer = asyncio.get_running_loop().call_later(
                _SECONDS, self._unfollowed, (origin, route.called), route, message
            )
            self._pending[origin, route.called] = timer

    def followed(self, scope: Scope, route: Route) -> None:
        """Note that the request *scope* for *route* came."""
        if self._pending:
            timer = self._pending.pop((_header(scope, b"origin"), route.called), None)
            if timer is not None:
                timer.cancel()

    def _unfollowed(self, key: tuple[str, str], route: Route, message: str) -> None:
        del self._pending[key]
        self._refused(route, message)

    def _refused(self, route: Route, message: str) -> None:
        self._log.refusal(204, "OPTIONS", route.called, "cors", message)


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1")[:_SHOWN] for other, value in scope["headers"] if other == name), "")
