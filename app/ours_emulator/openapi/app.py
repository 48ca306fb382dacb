"""The emulator as a FastAPI app: the debug API, the page that shows what arrived, and `/docs`, which describes all."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from ours_emulator.debug.app import DebugApp
from ours_emulator.debug.params import AsciiJSON
from ours_emulator.debug.parts import Parts
from ours_emulator.http.assets import asset_response, packaged
from ours_emulator.inspector import report, routes
from ours_emulator.openapi.document import servers, whole_document

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)
_FILES = ("index.html", "init.js", "swagger-ui-bundle.js", "swagger-ui.css")
_DOCS = {name: packaged("ours_emulator.openapi", f"swagger_ui/{name}", _POLICY) for name in _FILES}


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
        self.router.routes += report.router.routes
        self.router.routes += routes.ROUTES
        self.add_route("/openapi.json", _document, include_in_schema=False)
        self.add_route("/docs", _docs_page, include_in_schema=False)
        self.add_route("/docs/{name}", _docs_asset, include_in_schema=False)

    async def aclose(self) -> None:
        """Finish writing and close the store. Calling it twice is harmless."""
        await self._close()

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document of everything that is served to accounts as they start."""
        return self.openapi_of(None)

    def openapi_of(self, account: str | None) -> dict[str, Any]:
        """Return the OpenAPI document of everything that is served to *account*, by its revision."""
        return whole_document(self.debug_document(), self._accounts.revision(account).document)

    async def fresh_openapi_of(self, account: str | None) -> dict[str, Any]:
        """Return the same, also if another process has just given the account another revision."""
        await self._accounts.refresh()
        return self.openapi_of(account)

    @asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncGenerator[None]:
        yield
        await self._close()


async def _document(request: Request) -> Response:
    app, root, account = request.app, request.scope["root_path"], request.scope["account"]
    return AsciiJSON({**await app.fresh_openapi_of(account), "servers": servers(root, account)})


async def _docs_page(request: Request) -> Response:
    return _DOCS["index.html"].response(request)


async def _docs_asset(request: Request) -> Response:
    return asset_response(request, _DOCS, "/docs")
