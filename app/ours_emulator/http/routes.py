"""The front door: one look-up by path says which app answers, before any framework is asked."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from urllib.parse import quote

from starlette.types import ASGIApp, Receive, Scope, Send

from ours_emulator.http.wire import within_account

_OWN = ("/", "/favicon.ico", "/debug")


def is_own(path: str) -> bool:
    """Tell whether *path*, without its account, is the emulator's own: the debug API, or `/`, which leads there."""
    return path in _OWN or path.startswith("/debug/")


class Front:
    """Pass each request to an *emulated* path, to the *debug* app, or to what refuses and journals an *unknown* path.

    *unknown* has the beginnings of paths; the first one that fits answers, so the last should be "/".

    /accounts/{name} before a path means the same path in that account (rule accounts). A slash at the end of an
    emulated path changes nothing (rule methods). FastAPI's own layers cost more than everything an event needs, so only
    *debug* has them; and it is made when it is first asked, as it takes a quarter of the time of a start.
    """

    def __init__(
        self,
        emulated: Mapping[str, ASGIApp],
        debug: Callable[[], ASGIApp],
        unknown: Mapping[str, ASGIApp],
        close: Callable[[], Awaitable[None]],
        stop: Callable[[], None],
    ) -> None:
        self._emulated = {path + slash: app for path, app in emulated.items() for slash in ("", "/")}
        self._make_debug = debug
        self._unknown = unknown
        self._close = close
        self.stop = stop
        """End what would go on without end: waits and streams. From any thread."""

    async def aclose(self) -> None:
        """Finish what is being written and close the store. Doing it twice is doing it once."""
        await self._close()

    @cached_property
    def _debug(self) -> ASGIApp:
        return self._make_debug()

    async def _live(self, receive: Receive, send: Send) -> None:
        """Go through the server's lifespan: there is nothing to begin, and at the end everything is closed."""
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._close()
        await send({"type": "lifespan.shutdown.complete"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or a message of the server's lifespan."""
        if scope["type"] != "http":
            await self._live(receive, send)
            return
        account, path = within_account(scope["path"])
        if account is not None:
            scope = {**scope, "account": account}
        emulated = self._emulated.get(path)
        if emulated is not None:
            await emulated(scope, receive, send)
        elif is_own(path):
            await self._debug(_with_raw_path(scope, prefixed=account is not None), receive, send)
        else:
            # The path of `OPTIONS *` begins with no slash.
            whole = f"/{path.removeprefix('/')}/"
            unknown = next(app for beginning, app in self._unknown.items() if whole.startswith(beginning))
            await unknown(scope, receive, send)


def _with_raw_path(scope: Scope, *, prefixed: bool) -> Scope:
    """Return *scope* with its path as it was sent: a visitor's id may hold a slash, and be told from one by its %2F."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    path = quote(raw, safe="/%:@!$&'()*+,;=~")
    prefix = "/".join(path.split("/", 3)[:3]) if prefixed else ""
    return {**scope, "path": path, "root_path": prefix}
