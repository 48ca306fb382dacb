"""Sends each request to another server and to an emulator, one after the other, no faster than it was told to.

It stops early, and says so, when going on would teach nothing or trouble the server: if the token is refused, if nobody
answers, if the server asks to wait for long.
"""

import asyncio
from collections.abc import Callable, Iterator

from ours_emulator.emulator.transport import AsyncTransport, Request
from ours_emulator.fidelity.answers import (
    NoReply,
    Reply,
    accepts_every_token,
    differences,
)
from ours_emulator.fidelity.found import Compared, Found
from ours_emulator.fidelity.preparation import Outgoing, Unsent
from ours_emulator.fidelity.server import Server, retry_after

MAX_WAIT_SECONDS = 300
"""How long a server may ask to wait, in all."""
_BUSY = (429, 503)
_ATTEMPTS = 3
_FIRST_WAIT_SECONDS = 2.0
_MAX_SILENT = 3
_EMULATOR_SECONDS = 60.0


class Comparison:
    """Compares *server* with the emulator at *emulator_url*, at most *rate* requests per second, into *found*."""

    def __init__(self, server: Server, emulator_url: str, rate: float, found: Found) -> None:
        self._server = server
        self._emulator = emulator_url
        self._transport = AsyncTransport(None)
        self._seconds = 1 / rate
        self._found = found
        self._silent = 0
        self._waited = 0.0

    async def run(self, requests: Iterator[Callable[[], Outgoing | Unsent]]) -> None:
        """Send *requests*, each of which is made when it is its turn."""
        loop = asyncio.get_running_loop()
        turn = loop.time()
        for made in requests:
            await asyncio.sleep(max(0.0, turn - loop.time()))
            request = made()
            if isinstance(request, Unsent):
                self._found.unsent.append(request)
                continue
            turn = max(turn, loop.time()) + self._seconds
            await self._compare(request)
            if self._found.stopped is not None:
                return

    async def _compare(self, request: Outgoing) -> None:
        ours = await self._ours(request)
        theirs = await self._theirs(request)
        if isinstance(theirs, Reply) and accepts_every_token(ours, theirs):
            why = "it is about a wrong token, and the server is an emulator that accepts every one"
            self._found.unsent.append(Unsent(request.label, why))
            return
        self._found.compared.append(_compared(request, ours, theirs))
        self._silent = 0 if isinstance(theirs, Reply) else self._silent + 1
        self._found.stopped = self._found.stopped or self._why_stop(request, ours, theirs)

    async def _ours(self, request: Outgoing) -> Reply:
        sent = Request(request.method, self._emulator + request.path, request.headers, request.body, _EMULATOR_SECONDS)
        answer = await self._transport.exchange(sent)
        return Reply(answer.status, answer.body, answer.headers)

    async def _theirs(self, request: Outgoing) -> Reply | NoReply:
        """Return the answer of the server, asked again if it was busy."""
        wait = _FIRST_WAIT_SECONDS
        for _ in range(_ATTEMPTS - 1):
            reply = await self._server.send(request)
            if isinstance(reply, NoReply) or reply.status not in _BUSY:
                return reply
            asked = retry_after(reply)
            seconds = wait if asked is None else asked
            self._waited += seconds
            if self._waited > MAX_WAIT_SECONDS:
                self._found.stopped = f"the server asks to wait {seconds:.0f} s; try again later"
                return reply
            await asyncio.sleep(seconds)
            wait *= 2
        return await self._server.send(request)

    def _why_stop(self, request: Outgoing, ours: Reply, theirs: Reply | NoReply) -> str | None:
        if isinstance(theirs, NoReply):
            return f"{_MAX_SILENT} requests in a row were not answered" if self._silent >= _MAX_SILENT else None
        if theirs.status in _BUSY and ours.status not in _BUSY:
            return f"the server answered {theirs.status} {_ATTEMPTS} times; use a lower --rate, or try again later"
        if theirs.status in (401, 403) and ours.is_accepted and not self._any_accepted(request.is_client_api):
            option = "--public-key" if request.is_client_api else "--token"
            return f"the server answered {theirs.status} to a request that the emulator accepts; check {option}"
        return None

    def _any_accepted(self, is_client_api: bool) -> bool:
        """Whether the server accepted anything of one of the two APIs."""
        replies = (one.server for one in self._found.compared if one.request.is_client_api == is_client_api)
        return any(isinstance(reply, Reply) and reply.is_accepted for reply in replies)


def _compared(request: Outgoing, ours: Reply, theirs: Reply | NoReply) -> Compared:
    if isinstance(theirs, NoReply):
        return Compared(request, request.rules or ours.rules, ours, theirs)
    found = differences(ours, theirs, wording=request.is_client_api, headers=request.compared_headers)
    rules = request.rules or ours.rules or theirs.rules or ours.hinted
    return Compared(request, rules, ours, theirs, found)
