"""The server that the app runs under: uvicorn, with connections that a fault can cut."""

import os
import socket
import struct
from collections.abc import Callable
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ours_emulator.api.misbehaviour import ABORT

_GRACEFUL_SECONDS = 5


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP, whose scope lets a fault cut the connection."""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        cast(dict[str, Any], self.scope)["extensions"] = {ABORT: self._abort}

    def _abort(self) -> None:
        """Close the connection with a reset: whoever reads from it gets an error, not an end."""
        file: socket.socket = self.transport.get_extra_info("socket")
        with socket.socket(fileno=os.dup(file.fileno())) as twin:
            twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class Server(uvicorn.Server):
    """uvicorn for one app, which is told when it listens, and before it waits for what is still being answered."""

    def __init__(self, app: Any, started: Callable[[], None], stopping: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACEFUL_SECONDS,
            )
        )
        self._tell_started = started
        self._tell_stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        if self.started:
            self._tell_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End what would never end by itself, wait for the rest, and stop."""
        self._tell_stopping()
        await super().shutdown(sockets)
