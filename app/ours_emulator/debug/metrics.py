"""GET /metrics: counts for monitoring, if they were asked for at the start."""

from fastapi import HTTPException, Request
from starlette.responses import Response

from ours_emulator.debug.parts import Parts

_OFF = "metrics are off; start the emulator with --metrics"
_WHOLE = "metrics are those of the whole emulator; use /metrics without an account"


async def metrics(request: Request) -> Response:
    """Answer the counts since the start, and what is stored now, in the text format of Prometheus."""
    parts: Parts = request.app.state.parts
    if request.scope["account"] is not None:
        raise HTTPException(404, _WHOLE)
    if parts.metrics is None:
        raise HTTPException(404, _OFF)
    reader = await parts.store.opened_reader()
    text = parts.metrics.text(await reader.summary(None), await reader.size())
    return Response(text, media_type="text/plain; version=0.0.4")
