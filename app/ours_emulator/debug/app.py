"""The debug API put together. Whoever starts fast imports it late: FastAPI takes a quarter of a second."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from ours_emulator import __version__
from ours_emulator.debug import accounts as account_resource
from ours_emulator.debug import (
    clock,
    errors,
    events,
    examples,
    experiments,
    export,
    faults,
    metrics,
    overview,
    requests,
    rules,
    stream,
    tracking_plan,
    visitors,
    wait,
)
from ours_emulator.debug.params import ERROR_SCHEMA, AsciiJSON, StrictRoute
from ours_emulator.debug.parts import Parts

_RESOURCES = (
    overview,
    rules,
    visitors,
    events,
    requests,
    wait,
    stream,
    export,
    account_resource,
    clock,
    faults,
    experiments,
    tracking_plan,
)
SUMMARY = "What arrived at the emulator, and what became of it."


class DebugApp(FastAPI):
    """The debug API of the emulator that consists of *parts*."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(
            title="ours-emulator", version=__version__, summary=SUMMARY, openapi_url=None, docs_url=None, redoc_url=None
        )
        self.state.parts = parts
        errors.add_handlers(self)
        self.add_api_route("/favicon.ico", overview.no_icon, methods=["GET"], include_in_schema=False)
        self.add_route("/debug/openapi.json", _document, include_in_schema=False)
        # `include_router` would make each route anew, at the first call: a sixth of a second of the processor.
        self.router.routes += metrics.router.routes
        for resource in _RESOURCES:
            self.router.routes += resource.router.routes

    def debug_document(self) -> dict[str, Any]:
        """Return the OpenAPI document of the debug API."""
        if self.openapi_schema is None:
            routes = [route.documented() if isinstance(route, StrictRoute) else route for route in self.routes]
            document = get_openapi(title=self.title, version=self.version, summary=self.summary, routes=routes)
            for operations in document["paths"].values():
                for operation in operations.values():
                    # FastAPI adds it to every operation; what is not understood is answered 400.
                    operation["responses"].pop("422", None)
            document["components"]["schemas"]["ErrorBody"] = ERROR_SCHEMA
            examples.add_to(document)
            self.openapi_schema = document
        return self.openapi_schema


async def _document(request: Request) -> Response:
    app: DebugApp = request.app
    root = request.scope["root_path"]
    servers = {"servers": [{"url": root}]} if root else {}
    return AsciiJSON({**app.debug_document(), **servers})
