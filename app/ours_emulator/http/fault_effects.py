"""The effects of a fault on the wire: a late answer, a reset, no answer, or half an answer."""

import asyncio
from contextlib import suppress

from starlette.types import Receive, Scope, Send

from ours_emulator.http.wire import extension, mark_endless, send_answer
from ours_emulator.model import Exchange
from ours_emulator.records import FaultAnswer

ABORT = "ours_emulator.abort"
"""The ASGI extension that resets the connection of a request: a callable without arguments or result."""
_HALF_BODY = b'{"success"'


class ConnectionCutError(ConnectionResetError):
    """The connection is cut by a fault, under a server that cannot reset it (as in a test without a socket)."""


async def apply_fault(exchange: Exchange, fault: FaultAnswer, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as *fault* says. Raises ConnectionCutError if the server cannot reset a connection."""
    if fault.delay_ms and not await _wait_while_connected(receive, fault.delay_ms / 1000):
        return
    if fault.connection is None:
        await send_answer(send, exchange.answer, exchange)
    elif fault.connection == "reset":
        await _reset(scope, receive)
    elif fault.connection == "hang":
        mark_endless(scope)
        await _wait_while_connected(receive, None)
    else:
        await _send_half_answer(send)
        await _reset(scope, receive)


async def _wait_while_connected(receive: Receive, seconds: float | None) -> bool:
    """Wait *seconds*, forever if None; return whether the client is still connected."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
            return False
    return True


async def _send_half_answer(send: Send) -> None:
    """Send a head and the beginning of the body that it announces."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(2 * len(_HALF_BODY)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _HALF_BODY, "more_body": True})


async def _reset(scope: Scope, receive: Receive) -> None:
    abort = extension(scope, ABORT)
    if abort is None:
        raise ConnectionCutError("cut by a fault")
    abort()
    await _wait_while_connected(receive, None)
