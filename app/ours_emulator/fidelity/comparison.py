"""Sends each request to another server and to an emulator, one after the other, no faster than it was told to.

It stops early, and says so, when going on would teach nothing or trouble the server: if the token is refused, if nobody
answers, if the server asks to wait for long, if the emulator fails.
"""

import asyncio
from collections.abc import Iterable

from ours_emulator.emulator.transport import AsyncTransport, Request, TransportError
from ours_emulator.fidelity.answers import NoAnswer, ServerAnswer, accepts_every_token, differences
from ours_emulator.fidelity.preparation import NotCompared, OutgoingRequest
from ours_emulator.fidelity.results import ComparedRequest, Results
from ours_emulator.fidelity.server import Server, retry_after

MAX_WAIT_SECONDS = 300
"""How long a server may ask to wait, in all."""
_BUSY = (429, 503)
_ATTEMPTS = 3
_FIRST_WAIT_SECONDS = 2.0
_MAX_SILENT = 3
_EMULATOR_SECONDS = 60.0


class Comparison:
    """Compares *server* with the emulator at *emulator_url*, at most *rate* requests per second, into *results*."""

    def __init__(self, server: Server, emulator_url: str, rate: float, results: Results) -> None:
        self._server = server
        self._emulator_url = emulator_url
        self._transport = AsyncTransport(None)
        self._seconds = 1 / rate
        self._results = results
        self._silent = 0
        self._waited = 0.0

    async def run(self, requests: Iterable[OutgoingRequest | NotCompared]) -> None:
        """Send *requests*, each of which is only asked for when it can be sent, as it has the time of that moment."""
        loop = asyncio.get_running_loop()
        turn = loop.time()
        for request in requests:
            if isinstance(request, NotCompared):
                self._results.not_compared.append(request)
                continue
            turn = max(turn, loop.time()) + self._seconds
            await self._compare(request)
            if self._results.stopped is not None:
                return
            if self._results.sent < self._results.planned:
                await asyncio.sleep(max(0.0, turn - loop.time()))

    async def _compare(self, request: OutgoingRequest) -> None:
        try:
            emulator = await self._emulator_answer(request)
        except TransportError as error:
            self._results.stopped = f"the emulator does not answer: {error}"
            return
        self._results.sent += 1
        server = await self._server_answer(request)
        if isinstance(server, ServerAnswer) and accepts_every_token(emulator, server):
            why = "it is about a wrong token, and the server is an emulator that accepts every token"
            self._results.not_compared.append(NotCompared(request.label, why))
            return
        self._results.compared.append(_compared(request, emulator, server))
        self._silent = 0 if isinstance(server, ServerAnswer) else self._silent + 1
        self._results.stopped = self._results.stopped or self._why_stop(request, emulator, server)

    async def _emulator_answer(self, request: OutgoingRequest) -> ServerAnswer:
        url = self._emulator_url + request.path
        sent = Request(request.method, url, request.headers, request.body, _EMULATOR_SECONDS)
        answer = await self._transport.exchange(sent)
        return ServerAnswer(answer.status, answer.body, answer.headers)

    async def _server_answer(self, request: OutgoingRequest) -> ServerAnswer | NoAnswer:
        """Return the answer of the server, asked again if it was busy."""
        wait = _FIRST_WAIT_SECONDS
        for _ in range(_ATTEMPTS - 1):
            answer = await self._server.send(request)
            if isinstance(answer, NoAnswer) or answer.status not in _BUSY:
                return answer
            hint = retry_after(answer)
            seconds = wait if hint is None else hint
            self._waited += seconds
            if self._waited > MAX_WAIT_SECONDS:
                self._results.stopped = f"the waits add up to more than {MAX_WAIT_SECONDS} s; try again later"
                return answer
            await asyncio.sleep(seconds)
            wait *= 2
        return await self._server.send(request)

    def _why_stop(
        self, request: OutgoingRequest, emulator: ServerAnswer, server: ServerAnswer | NoAnswer
    ) -> str | None:
        if isinstance(server, NoAnswer):
            return f"{_MAX_SILENT} requests in a row were not answered" if self._silent >= _MAX_SILENT else None
        if server.status in _BUSY and emulator.status not in _BUSY:
            return f"the server answered {server.status} {_ATTEMPTS} times; use a lower --rate, or try again later"
        if server.status in (401, 403) and emulator.is_accepted and not self._any_accepted(request.is_client_api):
            option = "--public-key" if request.is_client_api else "--token"
            return f"the server answered {server.status} to a request that the emulator accepts; check {option}"
        return None

    def _any_accepted(self, is_client_api: bool) -> bool:
        """Whether the server accepted anything of one of the two APIs."""
        answers = (one.server for one in self._results.compared if one.request.is_client_api == is_client_api)
        return any(isinstance(answer, ServerAnswer) and answer.is_accepted for answer in answers)


def _compared(request: OutgoingRequest, emulator: ServerAnswer, server: ServerAnswer | NoAnswer) -> ComparedRequest:
    if isinstance(server, NoAnswer):
        return ComparedRequest(request, request.rules or emulator.refused_by, emulator, server)
    different = differences(emulator, server, wording=request.is_client_api, headers=request.compared_headers)
    rules = request.rules or emulator.refused_by or server.refused_by or emulator.hinted_by
    return ComparedRequest(request, rules, emulator, server, different)
