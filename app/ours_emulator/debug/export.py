"""The journal out of one emulator and into another: GET /debug/export and POST /debug/import.

The settings of the accounts go with it: without them, the same requests get other answers.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, Any

from fastapi import HTTPException, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from ours_emulator.accounts import Accounts
from ours_emulator.debug import journal_format
from ours_emulator.debug.account_settings import give_settings
from ours_emulator.debug.params import Account, Needs, Reader, account_of, answer, debug_router, error_response
from ours_emulator.debug.parts import Parts
from ours_emulator.http.redaction import Redactor
from ours_emulator.jsontext import json_text
from ours_emulator.model import Closed, Exchange
from ours_emulator.records import Difference, Imported
from ours_emulator.store import StoreReader

MEDIA_TYPE = "application/jsonl"
_IN_MEMORY = 8 * 1024 * 1024
_TOGETHER = 200
_MAX_DIFFERING = 100
_EXAMPLE_BODY = json_text({"token": "t", "event": "Purchase", "userId": "u"})
_EXAMPLE = json_text({"path": "/track", "body": _EXAMPLE_BODY, "received_at": 1767225600000}) + "\n"
_CONTENT = {MEDIA_TYPE: {"schema": {"type": "string"}, "example": _EXAMPLE}}
_EXPORTED: dict[int | str, dict[str, Any]] = {
    200: {"content": _CONTENT, "description": "The settings of the accounts, then the journal."}
}
_NOT_LINES = error_response(415, "The body is not JSON Lines.")
router = debug_router()


@router.get("/export", response_class=Response, responses=_EXPORTED)
async def export(
    parts: Needs,
    reader: Reader,
    account: Account,
    redact: Annotated[bool, Query(description="Without tokens and keys.")] = False,
) -> Response:
    """Return the journal as JSON Lines, one request per line, the oldest first. Any emulator can replay it.

    Before them, there is one line for each account whose settings are not the defaults.
    The header X-Emulator-Evicted counts the requests that are no longer there.
    """
    headers = {"x-emulator-evicted": str(await reader.evicted_requests(account))}
    lines = _lines(reader, parts.accounts, account, parts.redactor if redact else None)
    return StreamingResponse(lines, media_type=MEDIA_TYPE, headers=headers)


@router.post(
    "/import",
    response_model=Imported,
    responses=_NOT_LINES,
    openapi_extra={"requestBody": {"required": True, "content": _CONTENT}},
)
async def replay(request: Request, parts: Needs) -> Response:
    """Replay the requests in the body, in order, each at the time it was received.

    They go to the account of the path, or else each to its own, which gets the recorded settings if it has the
    defaults. Nothing is replayed if a line is neither a request nor settings.
    """
    with SpooledTemporaryFile(_IN_MEMORY) as file:
        try:
            await _spool(request, file)
        except ClientDisconnect:
            return Response(status_code=400)
        try:
            account = account_of(request, None)
            settings = await asyncio.to_thread(_checked, file)
            kept = await parts.pipeline.change(partial(_kept_settings, parts.accounts, settings, account))
            return answer(replace(await _replayed(parts, file, account), kept_settings=kept))
        except journal_format.LineError as error:
            raise HTTPException(400, str(error)) from None


async def _lines(
    reader: StoreReader, accounts: Accounts, account: str | None, redactor: Redactor | None
) -> AsyncGenerator[str]:
    after = 0
    while requests := await reader.stored_requests(account, after):
        if after == 0:
            for name in sorted(await reader.account_names()) if account is None else [account]:
                if line := journal_format.written_settings(accounts.config(name), redactor):
                    yield line + "\n"
        yield "".join(journal_format.written(request, redactor) + "\n" for request in requests)
        after = requests[-1].record.id


def _kept_settings(
    accounts: Accounts, lines: Sequence[journal_format.SettingsLine], account: str | None
) -> tuple[str, ...]:
    """Give the accounts the settings in *lines*; return the names of those that keep others."""
    kept: dict[str, None] = {}
    for line in lines:
        name = account or line.account
        if give_settings(accounts, name, line.settings):
            kept[name] = None
    return tuple(kept)


async def _replayed(parts: Parts, file: IO[bytes], account: str | None) -> Imported:
    imported = differing_total = 0
    outcomes: Counter[str] = Counter()
    differing: list[Difference] = []
    file.seek(0)
    numbered = journal_format.read(file)
    revision_of = parts.accounts.revision
    while lines := await asyncio.to_thread(_taken, numbered):
        requests = [line.request(revision_of(account or line.account), account) for _, line in lines]
        results = await asyncio.gather(*map(parts.pipeline.submit, requests))
        imported += sum(isinstance(result, Exchange) for result in results)
        for (number, line), result in zip(lines, results, strict=True):
            exchange = _stored(result, number, imported)
            outcomes.update(receipt.outcome for receipt in exchange.receipts)
            now = exchange.answer.status
            if "status" in line.model_fields_set and line.status != now:
                differing_total += 1
                if differing_total <= _MAX_DIFFERING:
                    differing.append(Difference(line=number, recorded=line.status, now=now))
    return Imported(
        imported=imported,
        outcomes=dict(outcomes),
        differing_total=differing_total,
        differing=tuple(differing),
    )


def _stored(result: Exchange | Closed | None, number: int, imported: int) -> Exchange:
    """Return the exchange that line *number* became; what was not stored is answered 500 or 409."""
    if result is None:
        raise HTTPException(500, f"line {number}: the store could not be written; {imported} lines were imported")
    if isinstance(result, Closed):
        raise HTTPException(409, f"line {number}: account {result.account} is closed; {imported} lines were imported")
    return result


async def _spool(request: Request, file: IO[bytes]) -> None:
    """Write the body to *file*, wherever that is: a journal may be larger than the memory."""
    async for part in request.stream():
        await asyncio.to_thread(file.write, part)


def _checked(file: IO[bytes]) -> Sequence[journal_format.SettingsLine]:
    """Read all of *file*, so that nothing is replayed of a bad one, and return the settings in it."""
    file.seek(0)
    lines = (line for _, line in journal_format.read_all(file))
    return [line for line in lines if isinstance(line, journal_format.SettingsLine)]


def _taken(numbered: Iterator[tuple[int, journal_format.Line]]) -> Sequence[tuple[int, journal_format.Line]]:
    return list(islice(numbered, _TOGETHER))
