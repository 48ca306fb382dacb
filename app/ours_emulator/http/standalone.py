"""The emulator under its own server, which starts without FastAPI: importing that takes a quarter of a second."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from starlette.types import ASGIApp, Receive, Scope, Send

from ours_emulator.http.fast_lane import FastLane
from ours_emulator.http.front import Front, Served

T = TypeVar("T")
_SWITCH_SECONDS = 0.0005


class StandaloneFront(Front):
    """A front whose app is made in a thread, while the emulated endpoints answer already.

    `prepare` begins to make it, as does the first request for it; each request that comes earlier waits. *warm_up* is
    called then, in the same thread: what most requests to the app need and some do not. *stop* ends what would go on
    without end; *close* closes the store.
    """

    def __init__(
        self,
        make_app: Callable[[], ASGIApp],
        warm_up: Callable[[], object],
        served: Served,
        stop: Callable[[], None],
        close: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(self._call_app, served)
        self.fast_lane: FastLane | None = FastLane(served)
        """What connections may use instead of calling this; None has them always call."""
        self._make_app = make_app
        self._warm_up = warm_up
        self._futures: tuple[Future[ASGIApp], Future[object]] | None = None
        self._close = close
        self.log = served.log
        """The request log, which `close` ends."""
        self.stop = stop
        """End waits and streams, which would go on without end. From any thread."""

    def prepare(self) -> Future[object]:
        """Begin to make the app, unless that was done before; the future is done when it is made and warm."""
        _, warm = self._prepared()
        return warm

    def _prepared(self) -> tuple[Future[ASGIApp], Future[object]]:
        if self._futures is None:
            # Not a daemon: one that is still importing when the interpreter ends would abort the process.
            executor = ThreadPoolExecutor(1, "ours-emulator-app")
            made = executor.submit(_with_short_switch_interval, self._make_app)
            self._futures = made, executor.submit(_with_short_switch_interval, self._warm_up)
            executor.shutdown(wait=False)
        return self._futures

    async def aclose(self) -> None:
        """Finish writing and close the store. Calling it twice is harmless."""
        await self._close()

    async def _call_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            made, _ = self._prepared()
            app = made.result() if made.done() else await asyncio.wrap_future(made)
            await app(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Go through the server's lifespan: nothing is to be done at its start, and at its end the store is closed."""
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._close()
        await send({"type": "lifespan.shutdown.complete"})


def _with_short_switch_interval(call: Callable[[], T]) -> T:
    """Return what *call* returns, and let other threads run often meanwhile.

    Handling an event takes the interpreter's lock three times: at the default interval of 5 ms, events that are
    answered during the start take twice as long.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        return call()
    finally:
        sys.setswitchinterval(interval)
