"""The front: finds the route of a request, refuses what the guard refuses, and passes the rest to its endpoint.

A body of the debug API that is too large is answered 413 here; those of the emulated APIs by their contract.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ours_emulator.accounts import Accounts
from ours_emulator.contract.experiment_endpoints import EXPERIMENT_ENDPOINTS
from ours_emulator.http.guard import IMPORT_PATH, SAFE_METHODS, Guard, Refusal
from ours_emulator.http.head import answer_head
from ours_emulator.http.log import RequestLog
from ours_emulator.http.routes import Route, called_path, find_route, is_sent_as, no_such_path, route_of_revision
from ours_emulator.http.wire import read_body, send_json, with_nosniff
from ours_emulator.model import DEFAULT_ACCOUNT, Properties
from ours_emulator.store import StoreError

Answerer: TypeAlias = Callable[[Route, Scope, Receive, Send], Awaitable[None]]
"""An emulated endpoint, or a probe."""


@dataclass(frozen=True, slots=True)
class Served:
    """What a front serves by itself, by the name of the endpoint, and how. *limit* bounds debug calls, in bytes."""

    guard: Guard
    endpoints: Mapping[str, Answerer]
    log: RequestLog
    limit: int
    accounts: Accounts

    def route_of_revision(self, route: Route) -> Route:
        """Return *route* as it is in the revision of its account."""
        if route.endpoint not in EXPERIMENT_ENDPOINTS:
            return route
        return route_of_revision(route, self.accounts.revision(route.account or DEFAULT_ACCOUNT))

    async def fresh_route(self, route: Route) -> Route:
        """Return the same, also if another process has just given the account another revision."""
        if self.may_be_outdated(route):
            # Without a database the request fails anyway.
            with suppress(StoreError):
                await self.accounts.refresh()
        return self.route_of_revision(route)

    def may_be_outdated(self, route: Route) -> bool:
        """Whether another process may have given the account a revision in which *route* is another one."""
        return self.accounts.are_shared and route.endpoint in EXPERIMENT_ENDPOINTS


class Front:
    """An ASGI middleware that answers the emulated endpoints itself and leaves the rest to *app*.

    FastAPI's own layers cost more than everything that an event needs, so only the debug API has them. An import has
    no limit here: it is read line by line, and bounded where it is read.
    """

    def __init__(self, app: ASGIApp, served: Served) -> None:
        self._app = app
        self._served = served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass on a message of the server's lifespan. There are no web sockets."""
        if scope["type"] == "http":
            await self._answer(scope, receive, with_nosniff(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = find_route(called_path(scope))
        refusal = self._served.guard.refusal(scope["method"], scope["headers"], found)
        if refusal is not None:
            await self._refuse(scope, send, self._served.route_of_revision(found), refusal)
            return
        route = await self._served.fresh_route(found)
        if route.endpoint:
            await self._served.endpoints[route.endpoint](route, scope, receive, send)
        elif not is_sent_as(route, _sent_path(scope)[1]):
            await self._refuse(scope, send, route, Refusal(404, "methods", no_such_path(route)))
        elif scope["method"] == "HEAD":
            await answer_head(self._app, _scope_for_app(scope, route), receive, send)
        elif scope["method"] in SAFE_METHODS or route.path == IMPORT_PATH:
            await self._app(_scope_for_app(scope, route), receive, send)
        else:
            await self._pass_on_or_answer_413(scope, receive, send, route)

    async def _pass_on_or_answer_413(self, scope: Scope, receive: Receive, send: Send, route: Route) -> None:
        """Pass a call on with its body, if that is not too large."""
        try:
            body, oversized = await read_body(receive, self._served.limit)
        except ClientDisconnect:
            return
        if oversized:
            await self._refuse(scope, send, route, Refusal(413, "size", f"the body exceeds {self._served.limit} bytes"))
        else:
            await self._app(_scope_for_app(scope, route), _with_body(body, receive), send)

    async def _refuse(self, scope: Scope, send: Send, route: Route, refusal: Refusal) -> None:
        """Answer in the shape of the API that was called."""
        headers = ((b"x-emulator-reason", refusal.rule.encode()), *refusal.headers)
        await send_json(send, refusal.status, _refusal_body(route, refusal.message), headers)
        self._served.log.refusal(refusal.status, scope["method"], route.called, refusal.rule, refusal.message)


def _refusal_body(route: Route, message: str) -> Properties:
    """Return the body of a refusal; that of /track and /identify does not say why (rule bodies)."""
    if route.owner == "client":
        return {"status": "error", "error": message}
    if route.owner == "ingest":
        return {"success": False, "error": message} if route.endpoint == "batch" else {"success": False}
    return {"error": message}


def _scope_for_app(scope: Scope, route: Route) -> Scope:
    """Return *scope* for the app: the account is a part of the root path, and the path is as it was sent.

    A visitor's id may contain a slash; only the path as it was sent tells that `%2F` from one between two parts.
    """
    root, below = _sent_path(scope)
    account = "" if route.account is None else "/".join(below.split("/", 3)[:3])
    return {**scope, "path": root + below, "root_path": root + account, "account": route.account}


def _sent_path(scope: Scope) -> tuple[str, str]:
    """Return the root path, and the path below it as it was sent, percent-encoded."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogatepass")
    path, root = _quoted(raw), _quoted(scope.get("root_path", ""))
    return root, path[len(root) :] if root and f"{path}/".startswith(root + "/") else path


def _quoted(path: str | bytes) -> str:
    return quote(path, safe="/%:@!$&'()*+,;=~")


def _with_body(body: bytes, receive: Receive) -> Receive:
    """Return a receive that gives *body* once more, and then what *receive* gives."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_with_body() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_with_body
