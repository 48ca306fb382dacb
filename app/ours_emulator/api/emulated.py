"""An emulated endpoint: plain ASGI, because a parameter model would be a second road with its own 422."""

from dataclasses import dataclass

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from ours_emulator.api.log import RequestLog
from ours_emulator.api.wire import read_request, send_answer, send_preflight
from ours_emulator.clock import Clock
from ours_emulator.pipeline import Contract, Pipeline


@dataclass(frozen=True, slots=True)
class Emulated:
    """What every endpoint of an emulated API needs."""

    pipeline: Pipeline
    contract: Contract
    clock: Clock
    log: RequestLog
    limit: int
    """Largest body in bytes."""


class Endpoint:
    """One emulated endpoint: whatever is sent there becomes an exchange of the pipeline."""

    def __init__(self, name: str, parts: Emulated) -> None:
        self._name = name
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, when what became of it is committed."""
        if scope["method"] == "OPTIONS":
            await send_preflight(send)
            return
        parts = self._parts
        try:
            request = await read_request(scope, receive, self._name, parts.limit, parts.clock.now())
        except ClientDisconnect:
            return
        exchange = await parts.pipeline.submit(request)
        if exchange is None:
            failure = parts.contract.failure(request)
            await send_answer(send, failure)
            parts.log.failure(request, failure)
            return
        await send_answer(send, exchange.answer, exchange)
        parts.log.exchange(exchange)
