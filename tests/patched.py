"""Uses the handle while all that tests patch is patched: `python tests/patched.py URL [asyncio|uvloop]`.

A program of its own, because a patch reaches all threads of a process: also those of the emulators of other tests.
"""

import asyncio
import builtins
import http.client
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import uvloop

from ours_emulator.emulator import AsyncEmulator, Emulator

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@contextmanager
def everything_patched() -> Generator[None]:
    """Patch what tests patch, so that whoever uses it fails."""

    def refuse(*_: object, **__: object) -> Any:
        raise AssertionError("the handle used what a test has patched")

    with pytest.MonkeyPatch.context() as patch:
        for name in ("socket", "create_connection", "getaddrinfo", "gethostbyname"):
            patch.setattr(socket, name, refuse)
        for name in ("time", "monotonic", "perf_counter"):
            patch.setattr(time, name, lambda: 0.0)
        patch.setattr(time, "sleep", refuse)
        patch.setattr(asyncio, "sleep", refuse)
        patch.setattr(asyncio, "to_thread", refuse)
        patch.setattr(threading.Thread, "start", refuse)
        patch.setattr(select, "select", refuse)
        patch.setattr(http.client.HTTPConnection, "request", refuse)
        patch.setattr(httpx.HTTPTransport, "handle_request", refuse)
        patch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", refuse)
        patch.setattr(builtins, "open", refuse)
        yield


def use(url: str) -> None:
    """Use the handle by blocking."""
    emulator = Emulator(url)
    with everything_patched():
        with emulator.fault(status=503) as fault:
            assert fault.hits == 0
        emulator.wait_ready()
        assert emulator.events() == []


async def use_in_loop(url: str) -> None:
    """Use the handle by awaiting."""
    emulator = AsyncEmulator(url)
    # The loop itself may use what is patched to start and to end.
    with everything_patched():
        async with emulator.fault(status=503) as fault:
            assert await fault.look() == fault.hits == 0
        await emulator.wait_ready()
        assert await emulator.events() == []


def main(url: str, loop: str = "") -> None:
    """Use the emulator at *url*, in an event loop of that kind if there is one."""
    if not loop:
        return use(url)
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        return runner.run(use_in_loop(url))


if __name__ == "__main__":
    main(*sys.argv[1:])
