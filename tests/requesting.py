"""Requests as the pipeline gets them, for tests that do without HTTP."""

import json
from dataclasses import replace
from typing import Any

from ours_emulator.model import Request

_PLAIN = Request(
    account="default",
    endpoint="track",
    method="POST",
    path="/track",
    content_type="application/json",
    content_encoding="",
    body=b"{}",
    oversized=False,
    attempt=1,
    received_at=0,
    started=0.0,
)


def request_to(endpoint: str, body: object = b"{}", **others: Any) -> Request:
    """Return a POST to *endpoint* with *body*, bytes or what JSON is made of, and *others* of its fields."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return replace(_PLAIN, **{"endpoint": endpoint, "path": f"/{endpoint}", "body": content, **others})
