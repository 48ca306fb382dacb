"""GET /metrics: counts for monitoring, if they were asked for at the start."""

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import PlainTextResponse, Response

from ours_emulator.debug.params import NeedsNoAccounts, Reader, Responses, error_response
from ours_emulator.store import StoreFailedError, StoreLostError, StoreReader

MEDIA_TYPE = "text/plain; version=0.0.4"
_OFF = "metrics are off; start the emulator with --metrics"
_WHOLE = "metrics cover the whole emulator; use /metrics without an account prefix"
_TEXT = {
    "schema": {"type": "string"},
    "example": 'ours_emulator_events_total{endpoint="track",outcome="accepted"} 3.0\n',
}
_RESPONSES: Responses = {
    200: {"description": "Counts since the start, and what is stored now.", "content": {MEDIA_TYPE: _TEXT}},
    **error_response(404, "Metrics are off, or asked of an account.", _OFF),
}
router = APIRouter()


@router.get("/metrics", response_class=Response, responses=_RESPONSES)
async def metrics(request: Request, parts: NeedsNoAccounts, reader: Reader) -> PlainTextResponse:
    """Answer counts of the whole emulator in the text format of Prometheus; only with `--metrics`."""
    if request.scope["account"] is not None:
        raise HTTPException(404, _WHOLE)
    if parts.metrics is None:
        raise HTTPException(404, _OFF)
    return PlainTextResponse(parts.metrics.text() + await _stored(reader), media_type=MEDIA_TYPE)


async def _stored(reader: StoreReader) -> bytes:
    """Return what is stored now; nothing of it if the store cannot be read, when the counts are wanted most."""
    # Only here if it was imported at the start.
    from ours_emulator.metrics import stored_text

    try:
        return stored_text(await reader.summary(None), await reader.size())
    except (StoreFailedError, StoreLostError):
        return b""
