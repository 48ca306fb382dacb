"""Where the page is served: at `/`, with its files below `/inspector/`."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ours_emulator.debug.overview import index
from ours_emulator.http.assets import asset_response
from ours_emulator.http.wire import wants_html
from ours_emulator.inspector import ASSETS, PAGE


async def _front_page(request: Request) -> Response:
    """Answer browsers with the page, and other clients with the index of the debug API."""
    response = PAGE.response(request) if wants_html(request.scope["headers"]) else await index(request)
    response.headers["vary"] = "Accept"
    return response


async def _file(request: Request) -> Response:
    return asset_response(request, ASSETS, "/inspector")


ROUTES = (
    Route("/", _front_page, include_in_schema=False),
    Route("/inspector/{name:path}", _file, include_in_schema=False),
)
