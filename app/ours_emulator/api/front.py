"""The front door: one look-up by path says which app answers, before any framework is asked."""

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from ours_emulator.api.wire import ACCOUNT_NAME

_ACCOUNTS = "/accounts/"


class Front:
    """Pass each request to an *emulated* path, to the *debug* app, or to *unknown*, which refuses and journals it.

    /accounts/{name} before a path means the same path in that account (rule accounts). A slash at the end changes
    nothing (rule methods). FastAPI's own layers cost more than everything an event needs, so only *debug* has them.
    """

    def __init__(self, emulated: Mapping[str, ASGIApp], debug: ASGIApp, unknown: ASGIApp) -> None:
        self._emulated = {path + slash: app for path, app in emulated.items() for slash in ("", "/")}
        self._debug = debug
        self._unknown = unknown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or a message of the server's lifespan."""
        if scope["type"] != "http":
            await self._debug(scope, receive, send)
            return
        path: str = scope["path"]
        if path.startswith(_ACCOUNTS):
            name, slash, rest = path[len(_ACCOUNTS) :].partition("/")
            if slash and ACCOUNT_NAME.fullmatch(name):
                scope = {**scope, "root_path": scope.get("root_path", "") + _ACCOUNTS + name, "account": name}
                path = f"/{rest}"
        await self._app(path)(scope, receive, send)

    def _app(self, path: str) -> ASGIApp:
        emulated = self._emulated.get(path)
        if emulated is not None:
            return emulated
        own = path in ("/", "/favicon.ico", "/debug") or path.startswith("/debug/")
        return self._debug if own else self._unknown
