"""The orderly end of a connection, and its parts, on a real transport without a server."""

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from ours_emulator.http.closing import Closing, error_response
from ours_emulator.http.flow import HoldableFlow
from ours_emulator.http.pending_cycles import PendingCycles
from ours_emulator.http.read_progress import ReadProgress
from waiting import PATIENCE

FINAL = error_response(400)


class Received(asyncio.Protocol):
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.content = b""
        self.arrived = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Keep *data*."""
        self.content += data
        self.arrived.set()


@dataclass
class Ending:
    """A transport, its client and the parts that end it."""

    transport: asyncio.Transport
    client: socket.socket
    received: Received
    pending: PendingCycles = field(default_factory=PendingCycles)
    progress: ReadProgress = field(default_factory=lambda: ReadProgress(0.0))

    def __post_init__(self) -> None:
        """Put the parts together."""
        self.flow = HoldableFlow(self.transport)
        loop = asyncio.get_running_loop()
        self.closing = Closing(self.transport, self.flow, self.progress, self.pending, loop)

    def request(self) -> RequestResponseCycle:
        """Return the cycle of another request, which is pending."""
        logger = logging.getLogger()
        event = asyncio.Event()
        scope = cast(Any, {})
        cycle = RequestResponseCycle(
            scope, self.transport, self.flow, logger, logger, False, [], event, False, True, lambda: None
        )
        self.pending.add(cycle)
        return cycle

    async def everything(self) -> bytes:
        """Return all that the client gets until the end."""
        content = b""
        async with asyncio.timeout(PATIENCE):
            while part := await asyncio.get_running_loop().sock_recv(self.client, 65536):
                content += part
        return content


@asynccontextmanager
async def ending() -> AsyncGenerator[Ending]:
    """Connect both ends of a socket pair: one is a transport, the other one the client."""
    ours, client = socket.socketpair()
    client.setblocking(False)
    with client:
        transport, received = await asyncio.get_running_loop().connect_accepted_socket(Received, ours)
        try:
            yield Ending(transport, client, received)
        finally:
            transport.abort()


def on_a_connection(test: Callable[[Ending], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Make *test* a test that pytest can run: on a loop and a connection of its own."""

    async def run() -> None:
        async with ending() as end:
            await test(end)

    return lambda: asyncio.run(run())


@on_a_connection
async def test_the_final_response_is_written_and_the_client_may_go_on_sending(end: Ending) -> None:
    end.closing.begin(FINAL)
    assert await end.everything() == FINAL
    assert (end.closing.has_begun, end.progress.phase) == (True, "closing")
    end.client.sendall(b"more")
    async with asyncio.timeout(PATIENCE):
        await end.received.arrived.wait()
    assert end.received.content == b"more"


@on_a_connection
async def test_the_final_response_waits_for_the_answers_to_all_requests_before_it(end: Ending) -> None:
    first, second = end.request(), end.request()
    end.closing.begin(FINAL)
    first.response_complete = True
    end.closing.finish_if_answered()
    assert (end.progress.phase, end.progress.waiting_since) == ("idle", None)
    second.response_complete = True
    end.transport.write(b"answer")
    end.closing.finish_if_answered()
    assert await end.everything() == b"answer" + FINAL


@on_a_connection
async def test_no_answer_is_awaited_for_a_client_that_was_said_to_be_gone(end: Ending) -> None:
    answered, pending = end.request(), end.request()
    answered.response_complete = True
    end.pending.notify_disconnect()
    assert (answered.disconnected, pending.disconnected, pending.message_event.is_set()) == (False, True, True)
    end.closing.begin()
    assert await end.everything() == b""


@on_a_connection
async def test_a_connection_that_its_client_half_closed_is_closed_after_the_final_response(end: Ending) -> None:
    end.closing.half_closed = True
    end.closing.begin(FINAL)
    assert end.transport.is_closing()
    assert await end.everything() == FINAL


@on_a_connection
async def test_an_endless_answer_is_over_for_a_client_that_half_closed(end: Ending) -> None:
    end.closing.mark_endless()
    assert not end.transport.is_closing()
    end.closing.half_closed = True
    end.closing.mark_endless()
    assert end.transport.is_closing()


@on_a_connection
async def test_only_a_request_that_follows_an_unanswered_one_waits(end: Ending) -> None:
    assert end.pending.is_last_answered
    cycle = end.request()
    assert not end.pending.is_last_answered
    cycle.response_complete = True
    assert end.pending.is_last_answered
    assert not end.pending.any_answerable()


@on_a_connection
async def test_reading_that_is_held_goes_on_after_a_moment_and_not_before(end: Ending) -> None:
    end.flow.pause_reading()
    assert end.flow.waits_for_app
    end.flow.hold(asyncio.get_running_loop())
    assert not end.flow.waits_for_app
    end.flow.resume_reading()
    assert not end.transport.is_reading()
    end.client.sendall(b"more")
    async with asyncio.timeout(PATIENCE):
        await end.received.arrived.wait()
    assert not end.flow.held
