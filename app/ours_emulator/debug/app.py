"""The debug API put together. Imported when it is first asked: FastAPI takes a quarter of the time of a start."""

from ours_emulator.accounts import Accounts
from ours_emulator.debug.control import ControlApi
from ours_emulator.debug.export import ReplayApi
from ours_emulator.debug.params import DebugApp
from ours_emulator.debug.reading import DebugApi
from ours_emulator.debug.stream import StreamApi
from ours_emulator.debug.wait import WaitApi
from ours_emulator.feed import Feed
from ours_emulator.http.redaction import Redactor
from ours_emulator.pipeline import Pipeline
from ours_emulator.settings import Loaded
from ours_emulator.store.sqlite.reader import SqliteReader as StoreReader


def debug_app(
    reader: StoreReader, pipeline: Pipeline, accounts: Accounts, feed: Feed, loaded: Loaded, redactor: Redactor
) -> DebugApp:
    """Return everything under /debug, as an ASGI app."""
    app = DebugApp()
    DebugApi(reader, pipeline, accounts, loaded, redactor).add_to(app)
    WaitApi(reader, feed).add_to(app)
    StreamApi(reader, feed).add_to(app)
    ReplayApi(reader, pipeline, redactor).add_to(app)
    ControlApi(reader, pipeline, accounts).add_to(app)
    return app
