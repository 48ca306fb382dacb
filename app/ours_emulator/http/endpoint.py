"""An emulated endpoint. It is not a FastAPI route: a parameter model would refuse bodies its own way, with 422."""

from contextlib import suppress
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from ours_emulator.accounts import Accounts
from ours_emulator.contract.paths import unknown_path
from ours_emulator.contract.sdk import newer_note
from ours_emulator.http.fault_effects import apply_fault
from ours_emulator.http.log import RequestLog
from ours_emulator.http.preflights import Preflights
from ours_emulator.http.routes import CLIENT_UNKNOWN, INGEST_UNKNOWN, Route, named_account
from ours_emulator.http.wire import read_request, send_answer, send_preflight, send_redirect, wants_html
from ours_emulator.model import DEFAULT_ACCOUNT, Answer, Closed, Exchange, Request
from ours_emulator.pipeline import Contract, Pipeline
from ours_emulator.store import StoreError

_GONE = 410
_UNKNOWN = (INGEST_UNKNOWN, CLIENT_UNKNOWN)
_READ_METHODS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class EndpointParts:
    """What every endpoint of an emulated API needs."""

    pipeline: Pipeline
    contract: Contract
    accounts: Accounts
    log: RequestLog
    preflights: Preflights
    limit: int
    """Largest body in bytes."""
    noted: set[str] = field(default_factory=set[str])
    """The accounts of which the log says that their SDK is made for a newer revision."""


class Endpoint:
    """One emulated endpoint: every request for it becomes an exchange of the pipeline."""

    def __init__(self, parts: EndpointParts) -> None:
        self.parts = parts

    async def __call__(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request for *route* once its outcome is committed."""
        parts = self.parts
        if scope["method"] == "OPTIONS":
            await send_preflight(send)
            parts.preflights.answered(scope, route)
            return
        parts.preflights.followed(scope, route)
        try:
            request = await read_request(scope, receive, route, parts.limit)
        except ClientDisconnect:
            return
        if request.endpoint in _UNKNOWN and request.method in _READ_METHODS:
            await self._refuse_unknown(send, request)
            return
        await self.finish(request, await parts.pipeline.submit(request), scope, receive, send)

    async def finish(
        self, request: Request, exchange: Exchange | Closed | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer *request*, which became *exchange*; None if nothing of it could be stored."""
        if exchange is None:
            await self._fail(send, request, None, "the event could not be stored")
        elif isinstance(exchange, Closed):
            await self._fail(send, request, _GONE, f"account {exchange.account} is closed", "account-closed")
        elif exchange.fault is None:
            await send_answer(send, exchange.answer, exchange)
            self.log(exchange)
        else:
            self.log(exchange)
            await apply_fault(exchange, exchange.fault, scope, receive, send)

    def log(self, exchange: Exchange) -> None:
        """Write a line about *exchange*, and after the first of a newer SDK one about its revision."""
        self.parts.log.exchange(exchange)
        if exchange.request.python_sdk:
            self._note_sdk(exchange.request)

    def _note_sdk(self, request: Request) -> None:
        """Say once of an account that its SDK is made for a newer revision."""
        account = self.parts.accounts.open(request.account)
        if account is None or not account.newer_sdk or request.account in self.parts.noted:
            return
        self.parts.noted.add(request.account)
        self.parts.log.note(newer_note(account.newer_sdk, account.config.revision), request.account)

    async def _refuse_unknown(self, send: Send, request: Request) -> None:
        """Answer 404 and keep nothing: browsers and health checks send such requests, not events (rule methods)."""
        error = unknown_path(request.path, ("openapi",))
        answer = self.parts.contract.failure(request, 404, error)
        await send_answer(send, answer, reason="methods")
        self.parts.log.refusal(404, request.method, request.path, "methods", error)

    async def _fail(self, send: Send, request: Request, status: int | None, error: str, rule: str = "429-500") -> None:
        answer = self.parts.contract.failure(request, status, error)
        await send_answer(send, answer, reason=rule)
        self.parts.log.failure(request, answer, error)


class DocumentEndpoint(Endpoint):
    """GET /openapi: the document of the account's revision, byte for byte (rule openapi).

    Other methods are refused, as at any endpoint.
    """

    async def __call__(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the document."""
        if scope["method"] in ("GET", "HEAD"):
            # Another process may have changed it. Without a database, the answer is the one known last.
            with suppress(StoreError):
                await self.parts.accounts.refresh()
            revision = self.parts.accounts.revision(route.account or DEFAULT_ACCOUNT)
            await send_answer(send, Answer(200, revision.document, {}))
        else:
            await super().__call__(route, scope, receive, send)


class UnknownEndpoint(Endpoint):
    """Paths that the Ingest API does not have. A browser at `/accounts/NAME` is led to the page of that account."""

    async def __call__(self, route: Route, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or redirect a browser. The addresses in the page need the slash at the end."""
        name = named_account(route)
        if name is not None and scope["method"] in _READ_METHODS and wants_html(scope["headers"]):
            await send_redirect(send, f"{name}/", scope["query_string"])
        else:
            await super().__call__(route, scope, receive, send)
