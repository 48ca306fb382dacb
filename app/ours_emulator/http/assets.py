"""The files of a page: read when first asked for, and sent again only when they changed."""

import hashlib
from collections.abc import Callable, Mapping
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
    """A file called *name* with the content that *read* returns, served under the content security *policy*."""

    def __init__(self, name: str, read: Callable[[], bytes], policy: str) -> None:
        self._name = name
        self._read = read
        self._policy = policy

    def response(self, request: Request) -> Response:
        """Return the file; 304 if the client has it already."""
        if self._etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=self._headers)
        media_type = _TYPES[PurePosixPath(self._name).suffix]
        return Response(self._content, media_type=media_type, headers=self._headers)

    @cached_property
    def _content(self) -> bytes:
        return self._read()

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


def packaged(package: str, path: str, policy: str) -> Asset:
    """Return the file at *path* in *package* as an asset."""
    return Asset(path, files(package).joinpath(path).read_bytes, policy)


def asset_response(request: Request, assets: Mapping[str, Asset], base: str) -> Response:
    """Return the one of *assets*, which are served below *base*, that the path names."""
    name = request.path_params["name"]
    if name in assets:
        return assets[name].response(request)
    error = {"error": f"there is no {base}/{name}; GET /debug lists every call"}
    return Response(json_text(error), 404, media_type="application/json")
