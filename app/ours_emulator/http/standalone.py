"""The emulator under its own server, which starts without FastAPI: importing that takes a quarter of a second."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor

from starlette.types import ASGIApp, Receive, Scope, Send

from ours_emulator.http.fast_lane import FastLane
from ours_emulator.http.front import Front, Served

_SWITCH_SECONDS = 0.0005


class StandaloneFront(Front):
    """A front whose app is made in a thread, while the emulated endpoints answer already.

    `prepare` begins to make it, as does the first request for it; each request that comes earlier waits. *stop* ends
    what would go on without end; *close* closes the store.
    """

    def __init__(
        self,
        make_app: Callable[[], ASGIApp],
        served: Served,
        stop: Callable[[], None],
        close: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(self._call_app, served)
        self.fast_lane: FastLane | None = FastLane(served)
        """What connections may use instead of calling this; None has them always call."""
        self._make_app = make_app
        self._app_future: Future[ASGIApp] | None = None
        self._close = close
        self.log = served.log
        """The request log, which `close` ends."""
        self.stop = stop
        """End waits and streams, which would go on without end. From any thread."""

    def prepare(self) -> Future[ASGIApp]:
        """Begin to make the app, unless that was done before."""
        if self._app_future is None:
            # Not a daemon: one that is still importing when the interpreter ends would abort the process.
            executor = ThreadPoolExecutor(1, "ours-emulator-app")
            self._app_future = executor.submit(_with_short_switch_interval, self._make_app)
            executor.shutdown(wait=False)
        return self._app_future

    async def aclose(self) -> None:
        """Finish writing and close the store. Calling it twice is harmless."""
        await self._close()

    async def _call_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            made = self.prepare()
            app = made.result() if made.done() else await asyncio.wrap_future(made)
            await app(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Go through the server's lifespan: nothing is to be done at its start, and at its end the store is closed."""
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._close()
        await send({"type": "lifespan.shutdown.complete"})


def _with_short_switch_interval(make_app: Callable[[], ASGIApp]) -> ASGIApp:
    """Return what *make_app* returns, and let other threads run often meanwhile.

    An event needs the interpreter three times.
    With the default interval of 5 ms, the events that are answered meanwhile take twice as long.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        return make_app()
    finally:
        sys.setswitchinterval(interval)
