"""The files of a page: read when first asked for, and sent again only when they changed."""

import hashlib
from collections.abc import Mapping
from functools import cached_property
from importlib.resources import files
from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import Response

from ours_emulator.jsontext import json_text

_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Asset:
    """A file of the package, served under the content security *policy*."""

    def __init__(self, package: str, path: str, policy: str) -> None:
        self._package = package
        self._path = path
        self._policy = policy

    def response(self, request: Request) -> Response:
        """Return the file; 304 if the client has it already."""
        if self._etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=self._headers)
        media_type = _TYPES[PurePosixPath(self._path).suffix]
        return Response(self._content, media_type=media_type, headers=self._headers)

    @cached_property
    def _content(self) -> bytes:
        return files(self._package).joinpath(self._path).read_bytes()

    @cached_property
    def _etag(self) -> str:
        return f'"{hashlib.sha256(self._content).hexdigest()[:32]}"'

    @property
    def _headers(self) -> dict[str, str]:
        return {
            "cache-control": "no-cache",
            "content-security-policy": self._policy,
            "etag": self._etag,
            "referrer-policy": "no-referrer",
        }


def asset_response(request: Request, assets: Mapping[str, Asset], base: str) -> Response:
    """Return the one of *assets*, which are served below *base*, that the path names."""
    name = request.path_params["name"]
    if name in assets:
        return assets[name].response(request)
    error = {"error": f"there is no {base}/{name}; GET /debug lists every call"}
    return Response(json_text(error), 404, media_type="application/json")
