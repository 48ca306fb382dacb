"""Taking the journal out of one emulator and into another: GET /debug/export and POST /debug/import."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from typing_extensions import TypedDict

from ours_emulator.debug import journal_format
from ours_emulator.debug.params import ACCESS, Account, AsciiJSON, ErrorView, StrictRoute, account_of
from ours_emulator.http.redaction import Redactor
from ours_emulator.jsontext import json_text
from ours_emulator.model import Closed, Exchange
from ours_emulator.pipeline import Pipeline
from ours_emulator.store.sqlite.reader import SqliteReader as StoreReader

MEDIA_TYPE = "application/jsonl"
_IN_MEMORY = 8 * 1024 * 1024
_TOGETHER = 200
_MOST_DIFFERING = 100


class DifferingView(TypedDict):
    """A line that was answered otherwise than when it was recorded; null is no answer at all."""

    line: int
    recorded: int | None
    now: int | None


class ImportView(TypedDict):
    """What became of the lines; of those answered otherwise than recorded, the first hundred."""

    imported: int
    outcomes: dict[str, int]
    differing: list[DifferingView]


class ReplayApi:
    """The endpoints under /debug that export the journal and replay one."""

    def __init__(self, reader: StoreReader, pipeline: Pipeline, redactor: Redactor) -> None:
        self._reader = reader
        self._pipeline = pipeline
        self._discreet = redactor

    def add_to(self, app: FastAPI) -> None:
        """Add the routes to *app*."""
        exporting = APIRouter(prefix="/debug", route_class=StrictRoute, responses=ACCESS)
        body = json_text({"token": "t", "event": "Purchase", "userId": "u"})
        example = json_text({"path": "/track", "body": body, "received_at": 1767225600000})
        content = {MEDIA_TYPE: {"schema": {"type": "string"}, "example": example + "\n"}}
        exporting.add_api_route(
            "/export",
            self.export,
            methods=["GET"],
            response_class=Response,
            responses={200: {"content": content, "description": "The journal, a request a line."}},
        )
        importing = APIRouter(prefix="/debug", route_class=StrictRoute, responses=ACCESS)
        importing.add_api_route(
            "/import",
            self.replay,
            methods=["POST"],
            response_model=ImportView,
            responses={415: {"model": ErrorView, "description": "The body is not JSON Lines."}},
            openapi_extra={"requestBody": {"required": True, "content": content}},
        )
        app.include_router(exporting)
        app.include_router(importing)

    async def export(
        self,
        request: Request,
        account: Account = None,
        redact: Annotated[bool, Query(description="Without tokens and keys.")] = False,
    ) -> Response:
        """Return the journal as JSON Lines, one request a line, the oldest first; any emulator replays it.

        The header X-Emulator-Evicted says how many requests are no longer there.
        """
        name = account_of(request, account)
        evicted = await self._reader.evicted_requests(name)
        headers = {"x-emulator-evicted": str(evicted)}
        return StreamingResponse(self._lines(name, redact), media_type=MEDIA_TYPE, headers=headers)

    async def replay(self, request: Request) -> Response:
        """Replay the requests in the body, in order, each at the moment it was received.

        They go to the account of the path, or else to their own. Nothing is replayed if a line is no request.
        """
        with SpooledTemporaryFile(_IN_MEMORY) as file:
            try:
                await _spool(request, file)
            except ClientDisconnect:
                return Response(status_code=400)
            try:
                await asyncio.to_thread(_check, file)
                return AsciiJSON(await self._replayed(file, account_of(request, None)))
            except journal_format.LineError as error:
                raise HTTPException(400, str(error)) from None

    async def _lines(self, account: str | None, redact: bool) -> AsyncGenerator[str]:
        after = 0
        while rows := await self._reader.bodies(account, after):
            yield "".join(journal_format.written(row, self._discreet if redact else None) + "\n" for row in rows)
            after = rows[-1]["id"]

    async def _replayed(self, file: IO[bytes], account: str | None) -> ImportView:
        imported = 0
        outcomes: Counter[str] = Counter()
        differing: list[DifferingView] = []
        file.seek(0)
        numbered = journal_format.read(file)
        while some := await asyncio.to_thread(_taken, numbered):
            found = await asyncio.gather(*(self._pipeline.submit(line.request(account)) for _, line in some))
            imported += sum(isinstance(it, Exchange) for it in found)
            for (number, line), exchange in zip(some, found, strict=True):
                if exchange is None:
                    raise HTTPException(500, f"line {number}: the store could not be written; {imported} lines were")
                if isinstance(exchange, Closed):
                    why = f"account {exchange.account} is closed"
                    raise HTTPException(409, f"line {number}: {why}; {imported} lines were imported")
                outcomes.update(receipt.outcome for receipt in exchange.receipts)
                now = exchange.answer.status or None
                if "status" in line.model_fields_set and line.status != now and len(differing) < _MOST_DIFFERING:
                    differing.append({"line": number, "recorded": line.status, "now": now})
        return {"imported": imported, "outcomes": dict(outcomes), "differing": differing}


async def _spool(request: Request, file: IO[bytes]) -> None:
    """Write the body to *file*, wherever that is: a journal may be larger than the memory."""
    async for part in request.stream():
        await asyncio.to_thread(file.write, part)


def _check(file: IO[bytes]) -> None:
    file.seek(0)
    for _ in journal_format.read(file):
        pass


def _taken(numbered: Iterator[tuple[int, journal_format.Line]]) -> Sequence[tuple[int, journal_format.Line]]:
    return list(islice(numbered, _TOGETHER))
