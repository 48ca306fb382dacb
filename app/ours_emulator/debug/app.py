"""The debug API put together. Imported when it is first asked: FastAPI takes a quarter of the time of a start."""

from ours_emulator.accounts import Accounts
from ours_emulator.debug import accounts as account_resource
from ours_emulator.debug import clock, events, export, faults, overview, requests, stream, visitors, wait
from ours_emulator.debug.params import DebugApp, Parts
from ours_emulator.feed import Feed
from ours_emulator.http.redaction import Redactor
from ours_emulator.pipeline import Pipeline
from ours_emulator.settings import Loaded
from ours_emulator.store.sqlite.reader import StoreReader

_RESOURCES = (overview, visitors, events, requests, wait, stream, export, account_resource, clock, faults)


def debug_app(
    reader: StoreReader, pipeline: Pipeline, accounts: Accounts, feed: Feed, loaded: Loaded, redactor: Redactor
) -> DebugApp:
    """Return everything under /debug, as an ASGI app."""
    app = DebugApp()
    app.state.parts = Parts(reader, pipeline, accounts, feed, loaded, redactor)
    app.add_api_route("/", overview.index, methods=["GET"], include_in_schema=False)
    app.add_api_route("/favicon.ico", overview.no_icon, methods=["GET"], include_in_schema=False)
    for resource in _RESOURCES:
        app.include_router(resource.router)
    return app
