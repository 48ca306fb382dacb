"""The page of an account as one file: POST /debug/report."""

import asyncio

from fastapi import Request
from starlette.responses import Response

from ours_emulator.debug.params import NOT_JSON, Account, Needs, Reader, Responses, debug_router
from ours_emulator.debug.report import ReportBody, report_json
from ours_emulator.inspector.single_file import single_file

_HTML = {"text/html": {"schema": {"type": "string"}, "example": "<!doctype html>…"}}
_REPORT: Responses = {200: {"content": _HTML, "description": "The page, with all it shows in it."}, **NOT_JSON}
_HEADERS = {"content-disposition": 'attachment; filename="report.html"', "content-security-policy": "sandbox"}
router = debug_router()


@router.post("/report", response_class=Response, responses=_REPORT)
async def report(request: Request, parts: Needs, reader: Reader, account: Account, body: ReportBody) -> Response:
    """Return the page as one file, with the newest events and all that belongs to them.

    It needs no server and loads nothing, so it can be opened from a disk, and kept. It has at most 5 MB, and takes at
    most five seconds to make; what is missing is named in it.
    """
    # The path may name the account already, and then the base does too.
    path = "" if account is None or request.scope["account"] else f"accounts/{account}/"
    data = await report_json(parts, reader, account, f"{request.base_url}{path}", body)
    title = parts.redactor(body.title, account) if body.redact else body.title
    html = await asyncio.to_thread(single_file, data, title or "ours-emulator")
    return Response(html, media_type="text/html", headers=_HEADERS)
