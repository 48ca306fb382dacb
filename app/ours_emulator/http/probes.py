"""What container platforms and load balancers ask: /livez, /readyz, /healthz and /health. Never journaled."""

from collections.abc import Awaitable, Callable

from starlette.types import Receive, Scope, Send

from ours_emulator.http.routes import Route
from ours_emulator.http.wire import send_json
from ours_emulator.store import StoreFailedError, StoreLostError


class Probe:
    """Answers 200 while the process serves; 503 if *check*, when given, cannot read the store.

    It needs no admin token: it tells nothing about what is stored.
    """

    def __init__(self, check: Callable[[], Awaitable[None]] | None = None) -> None:
        self._check = check

    async def __call__(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer GET and HEAD; 405 for other methods. A body is not read."""
        del receive
        if scope["method"] not in ("GET", "HEAD"):
            await send_json(send, 405, {"error": f"{route.path} answers GET and HEAD"}, [(b"allow", b"GET, HEAD")])
            return
        try:
            if self._check is not None:
                await self._check()
        except (StoreFailedError, StoreLostError) as error:
            await send_json(send, 503, {"status": "unavailable", "error": str(error)})
        else:
            await send_json(send, 200, {"status": "ok"})
