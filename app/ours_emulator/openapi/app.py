"""The emulator as a FastAPI app: the debug API, and a page that describes everything that is served."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from ours_emulator.debug.app import DebugApp
from ours_emulator.debug.params import AsciiJSON
from ours_emulator.debug.parts import Parts
from ours_emulator.openapi.document import servers, whole_document

_ASSETS = {
    "index.html": "text/html; charset=utf-8",
    "init.js": "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


class EmulatorApp(DebugApp):
    """The emulator as a FastAPI app.

    A server that runs the app's lifespan closes the store at its end; otherwise `aclose` has to be awaited.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.router.lifespan_context = self._lifespan
        self._accounts = parts.accounts
        self._close = parts.close
        self.stop = parts.feed.close
        """End waits and streams, which would go on without end. From any thread."""
        self.add_route("/openapi.json", _document, include_in_schema=False)
        self.add_route("/docs", _page, include_in_schema=False)
        self.add_route("/docs/{name}", _asset, include_in_schema=False)

    async def aclose(self) -> None:
        """Finish writing and close the store. Calling it twice is harmless."""
        await self._close()

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document of everything that is served to accounts as they start."""
        return self.openapi_of(None)

    def openapi_of(self, account: str | None) -> dict[str, Any]:
        """Return the OpenAPI document of everything that is served to *account*, by its revision."""
        return whole_document(self.debug_document(), self._accounts.revision(account).document)

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncGenerator[None]:
        yield
        await self._close()


async def _document(request: Request) -> Response:
    root, account = request.scope["root_path"], request.scope["account"]
    return AsciiJSON({**request.app.openapi_of(account), "servers": servers(root, account)})


async def _page(_: Request) -> Response:
    return _file("index.html")


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _ASSETS:
        return AsciiJSON({"error": f"there is no /docs/{name}; see /docs"}, status_code=404)
    return _file(name)


def _file(name: str) -> Response:
    return Response(_content(name), media_type=_ASSETS[name], headers=_HEADERS)


@cache
def _content(name: str) -> bytes:
    return (files("ours_emulator.openapi") / "swagger_ui" / name).read_bytes()
