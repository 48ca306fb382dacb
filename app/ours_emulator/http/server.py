"""The server: uvicorn with our connections, and a shutdown that does not wait for idle or stuck clients."""

import asyncio
import gc
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from ours_emulator.http.connection import Connection
from ours_emulator.http.log import WarningHandler
from ours_emulator.http.standalone import StandaloneFront

_KEEP_ALIVE_SECONDS = 75
_STUCK_SECONDS = 4.0
_GRACEFUL_SECONDS = 5
_SWEEP_TICKS = 5
_EXIT_SIGNALS = ("SIGHUP", "SIGQUIT")
_MAX_OPEN_FILES = 65_536


class Server(uvicorn.Server):
    """Serve *app* until `should_exit`. *ready* is called once it listens, *stopping* when it begins to shut down.

    It shuts down at once if no request is in progress. Otherwise it answers those first, and resets after 4 s the
    connections that are stuck.
    """

    def __init__(
        self, app: ASGIApp, ready: Callable[[], None] | None = None, stopping: Callable[[], None] | None = None
    ) -> None:
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="on",
            log_config=None,
            server_header=False,
            proxy_headers=False,
            # Clients keep idle connections for 5 s and more. If the server closed first, their next request would fail.
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACEFUL_SECONDS,
        )
        super().__init__(config)
        self._ready = ready
        self._stopping = stopping

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """End cleanly also on SIGHUP and SIGQUIT: a temporary store must not be left behind."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [getattr(signal, name) for name in _EXIT_SIGNALS if hasattr(signal, name)]
        # A signal that is ignored (nohup) stays ignored.
        before = {
            number: signal.signal(number, self.handle_exit)
            for number in numbers
            if signal.getsignal(number) != signal.SIG_IGN
        }
        try:
            with super().capture_signals():
                yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and call *ready*."""
        await super().startup(sockets)
        if self.started and self._ready is not None:
            self._ready()

    async def on_tick(self, counter: int) -> bool:
        """Sweep the connections twice a second; uvicorn calls this ten times a second. Return whether to end."""
        if counter % _SWEEP_TICKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in self._connections():
                connection.sweep(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End once the requests in progress are answered."""
        if self._stopping is not None:
            self._stopping()
        abort_timer = asyncio.get_running_loop().call_later(_STUCK_SECONDS, self._abort_all)
        try:
            await super().shutdown(sockets)
        finally:
            abort_timer.cancel()
            # What ended the server is raised again when it has ended, and then no exit handler runs.
            for handler in logging.getLogger().handlers:
                handler.flush()

    def _connections(self) -> list[Connection]:
        connections = self.server_state.connections
        return [connection for connection in connections if isinstance(connection, Connection)]

    def _abort_all(self) -> None:
        for connection in self._connections():
            connection.abort()


def prepare_process() -> WarningHandler:
    """Prepare a process that does nothing but serve, and return the handler of its warnings for `standalone_server`.

    No garbage is collected before that is ready.
    """
    warnings = WarningHandler()
    logging.basicConfig(handlers=[warnings])
    # Imports make no garbage, and collections take a tenth of the start.
    gc.disable()
    _allow_many_connections()
    return warnings


def standalone_server(
    app: StandaloneFront, warnings: WarningHandler, started: Callable[[], None], stopping: Callable[[], None]
) -> Server:
    """Return the server of a process that was prepared: it calls *started*, and only then makes the rest of *app*.

    From now on *warnings* have the secrets of *app* masked.
    """
    warnings.redactor = app.log.redactor

    def ready() -> None:
        started()
        app.prepare().add_done_callback(lambda _: _collect_garbage())

    return Server(app, ready, stopping)


def _collect_garbage() -> None:
    """Collect garbage from now on, once everything is imported.

    What was imported is never looked at again, and collections are less frequent: a full batch takes a tenth less time.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


def _allow_many_connections() -> None:
    """Raise this process's limit of open files, often 1024 or less, as far as allowed."""
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = _MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_OPEN_FILES)
        if soft != resource.RLIM_INFINITY and soft < limit:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            except (OSError, ValueError):
                return  # Some systems have a lower limit than the one they report.
