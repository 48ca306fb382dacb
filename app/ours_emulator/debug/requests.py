"""The journal: GET /debug/requests, one of them with its body, and calls with their attempts."""

from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from ours_emulator.debug.journal_format import in_base64, text_of
from ours_emulator.debug.params import (
    DEFAULT_LIMIT,
    NOT_FOUND,
    Account,
    Cursor,
    Endpoint,
    Limit,
    Needs,
    Reader,
    answer,
    debug_router,
    found,
    stored_id,
)
from ours_emulator.http.redaction import Redactor, each_text, without_tokens
from ours_emulator.http.wire import NOSNIFF, answer_headers
from ours_emulator.model import Answer, Properties
from ours_emulator.records import (
    Call,
    Event,
    Page,
    RequestDetail,
    RequestRecord,
    SentAnswer,
    StoredRequest,
    from_json,
    to_json,
)
from ours_emulator.store import LARGEST, RequestFilter

_MAX_SHOWN = 8 * 1024 * 1024
router = debug_router()


@router.get("/requests", response_model=Page[RequestRecord])
async def requests(
    reader: Reader,
    account: Account,
    call_id: Annotated[int | None, Query(ge=1, le=LARGEST, description="Only the attempts of this call.")] = None,
    status: Annotated[int | None, Query(ge=100, le=599, description="Only those answered with this status.")] = None,
    endpoint: Endpoint | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """List the journal, the latest request first."""
    which = RequestFilter(call_id, status, endpoint)
    return answer(await reader.requests(account, which, limit, cursor))


@router.get("/requests/{request_id}", response_model=RequestDetail, responses=NOT_FOUND)
async def request(
    parts: Needs,
    reader: Reader,
    account: Account,
    request_id: int,
    redact: Annotated[bool, Query(description="Mask tokens and keys.")] = False,
) -> Response:
    """Show one request with its body, its events and its answer.

    `answer` is null if a fault kept it from being sent, or if the store never recorded it (in a file of version 4 or
    older).
    """
    stored = await reader.request(account, stored_id(request_id))
    detail = request_detail(*found(stored, f"there is no request {request_id}"))
    return answer(_redacted(detail, parts.redactor) if redact else detail)


@router.get("/calls", response_model=Page[Call])
async def calls(reader: Reader, account: Account, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Response:
    """List calls, the latest first, with their attempts and the gaps between them (rule attempts)."""
    return answer(await reader.calls(account, limit, cursor))


def request_detail(stored: StoredRequest, events: Sequence[Event]) -> RequestDetail:
    """Return a request with its body as far as it is shown, and its answer as it was sent."""
    record = {one.name: getattr(stored.record, one.name) for one in fields(RequestRecord)}
    text = text_of(stored.body, stored.record.content_encoding, _MAX_SHOWN)
    encoded = in_base64(stored.body) if text is None else None
    missing = "it was too large to be accepted, and is not kept" if stored.oversized else None
    answer = None if stored.answer is None else _as_sent(stored.answer, stored.record.method)
    return RequestDetail(
        **record, body=text, body_base64=encoded, body_missing=missing, events=tuple(events), answer=answer
    )


def _as_sent(stored: SentAnswer, method: str) -> SentAnswer:
    """Return the *stored* answer with the headers that every answer has; to HEAD, the server sends no body."""
    headers, body = dict(stored.headers), stored.body.encode("utf-8")
    media_type = headers.pop("content-type", None)
    sent = (*answer_headers(Answer(None, body, headers, media_type), None), NOSNIFF)
    shown = {name.decode("latin-1"): value.decode("latin-1") for name, value in sent}
    return SentAnswer(shown, "" if method == "HEAD" else stored.body)


def masked_body(detail: Properties) -> Properties:
    """Return the fields of the body of *detail*, a `RequestDetail` as JSON, without tokens.

    A body that is not text is left out: nothing can be found in it.
    """
    if detail["body_base64"] is not None:
        why = "it is not text, so that tokens in it cannot be masked"
        return {"body_base64": None, "body_missing": why}
    return {} if detail["body"] is None else {"body": without_tokens(str(detail["body"]))}


def _redacted(detail: RequestDetail, redactor: Redactor) -> RequestDetail:
    """Return *detail* with its secrets masked."""
    mask = partial(redactor, account=detail.account)
    shown = to_json(detail)
    masked = {**shown, **masked_body(shown)}
    return from_json(RequestDetail, {name: each_text(value, mask) for name, value in masked.items()})
