"""The prefix /accounts/{name}: the same paths, in an account of one's own (rule accounts)."""

from starlette.types import ASGIApp, Receive, Scope, Send

from ours_emulator.api.wire import ACCOUNT_NAME

_PREFIX = "/accounts/"


class AccountPrefix:
    """Take /accounts/{name} off the path and note the account in the scope; a bad name is nobody's path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, inside its account if it names one."""
        if scope["type"] == "http" and scope["path"].startswith(_PREFIX):
            name, slash, _ = scope["path"][len(_PREFIX) :].partition("/")
            if slash and ACCOUNT_NAME.fullmatch(name):
                prefix = scope.get("root_path", "") + _PREFIX + name
                scope = {**scope, "root_path": prefix, "account": name}
        await self._app(scope, receive, send)
