"""The emulator under its own server, which starts without FastAPI: importing that takes a quarter of a second."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor

from starlette.types import ASGIApp, Receive, Scope, Send

from ours_emulator.http.fast_lane import FastLane
from ours_emulator.http.front import Front, Served

_STEP_SECONDS = 0.0005


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
        super().__init__(self._pass_on, served)
        self.fast_lane: FastLane | None = FastLane(served)
        """What connections may use instead of calling this; None has them always call."""
        self._make_app = make_app
        self._made: Future[ASGIApp] | None = None
        self._close = close
        self.log = served.log
        """The request log, which `close` ends."""
        self.stop = stop
        """End waits and streams, which would go on without end. From any thread."""

    def prepare(self) -> Future[ASGIApp]:
        """Begin to make the app, unless that was done before."""
        if self._made is None:
            # Not a daemon: one that is still importing when the interpreter ends would abort the process.
            executor = ThreadPoolExecutor(1, "ours-emulator-app")
            self._made = executor.submit(_in_small_steps, self._make_app)
            executor.shutdown(wait=False)
        return self._made

    async def aclose(self) -> None:
        """Finish writing and close the store. Calling it twice is harmless."""
        await self._close()

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            made = self.prepare()
            app = made.result() if made.done() else await asyncio.wrap_future(made)
            await app(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Go through the server's lifespan: nothing is to be done at its start, and at its end the store is closed."""
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._close()
        await send({"type": "lifespan.shutdown.complete"})


def _in_small_steps(make_app: Callable[[], ASGIApp]) -> ASGIApp:
    """Return what *make_app* returns, and let other threads run in between: an event needs the interpreter three times.

    With the usual 5 ms, the events that are answered meanwhile take twice as long.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(_STEP_SECONDS)
    try:
        return make_app()
    finally:
        sys.setswitchinterval(usual)
