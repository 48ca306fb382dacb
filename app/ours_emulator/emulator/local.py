"""Runs an emulator for the length of a block: in a thread of this process, on a free port."""

from __future__ import annotations

import threading
import warnings
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, closing, contextmanager
from typing import TYPE_CHECKING, Any

from ours_emulator.emulator._async import AsyncEmulator
from ours_emulator.emulator._sync import Emulator
from ours_emulator.emulator.handle import quiet_imports
from ours_emulator.emulator.logs import SERVER_THREAD, without_server_logs
from ours_emulator.emulator.operations import first

if TYPE_CHECKING:
    import socket

    from ours_emulator.feed import Feed
    from ours_emulator.settings import Loaded

_START_SECONDS = 60
_STOP_SECONDS = 10


@contextmanager
def run_emulator(**settings: Any) -> Generator[Emulator]:
    """Run an emulator until the block ends, and give its handle. It listens already, on a port of its own.

    *settings* are those of `ours-emulator serve` (`allowed_events=["Purchase"]`); those of the environment are ignored.
    Raises SettingsError or StoreError if it cannot run with them.
    """
    with quiet_imports():
        from ours_emulator.settings import load

        loaded = load({"port": 0, "log_format": "none", **settings}, environment=False)
    with serving(loaded) as url, handle(url, loaded) as emulator:
        yield emulator


@asynccontextmanager
async def run_emulator_async(**settings: Any) -> AsyncGenerator[AsyncEmulator]:
    """Do what `run_emulator` does, for coroutines. The emulator has its own thread and event loop."""
    import asyncio

    running = run_emulator(**settings)
    emulator = await asyncio.to_thread(running.__enter__)
    try:
        yield AsyncEmulator.beside(emulator)
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


def handle(url: str, loaded: Loaded) -> Emulator:
    """Return the handle of the emulator that runs at *url* with the settings *loaded*."""
    settings = loaded.settings
    return Emulator(
        url, token=first(settings.tokens), public_key=first(settings.public_keys), admin_token=settings.admin_token
    )


@contextmanager
def serving(loaded: Loaded, feed: Feed | None = None) -> Generator[str]:
    """Run an emulator with the settings *loaded*, and *feed* if given, until the block ends, and give its address."""
    # The server and what it needs are imported when an emulator is run here: the handle alone needs none of it.
    from ours_emulator.http.sockets import listen
    from ours_emulator.locator import url_of

    with closing(listen(loaded.settings.host, loaded.settings.port)) as listening, without_server_logs():
        thread = ServerThread(loaded, listening, feed)
        try:
            yield url_of(loaded.settings.host, listening.getsockname()[1])
        finally:
            thread.stop()


class ServerThread:
    """The app and its server in a thread; it serves when the constructor returns. Raises StoreError."""

    def __init__(self, loaded: Loaded, listening: socket.socket, feed: Feed | None = None) -> None:
        self._progress = threading.Event()
        """Set when the server has started, or ended."""
        with quiet_imports():
            from ours_emulator.app import create_standalone
            from ours_emulator.http.server import Server

            self._app = create_standalone(loaded, feed)
            self._server = Server(self._app, self._progress.set, self._app.stop)
            self._server.config.load()
        self._thread = threading.Thread(target=self._run, args=(listening,), name=SERVER_THREAD, daemon=True)
        self._thread.start()
        if not self._progress.wait(_START_SECONDS) or not self._server.started:
            self.stop()
            raise RuntimeError("the emulator's server did not start")

    def stop(self) -> None:
        """Stop the server and wait for its end; warn if that takes too long."""
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS)
        if self._thread.is_alive():
            warnings.warn(f"the emulator's server did not stop within {_STOP_SECONDS} s", RuntimeWarning, stacklevel=2)

    def _run(self, listening: socket.socket) -> None:
        import asyncio

        try:
            asyncio.run(self._serve(listening))
        finally:
            self._progress.set()

    async def _serve(self, listening: socket.socket) -> None:
        try:
            await self._server.serve([listening])
        finally:
            # A server that could not start has left the store open.
            await self._app.aclose()
