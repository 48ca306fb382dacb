"""The debug API: what arrived, what became of it, and why. Reading changes nothing and is not journaled."""

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypeAlias, TypeVar
from urllib.parse import unquote

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from starlette.responses import Response
from typing_extensions import TypedDict

from ours_emulator import __version__
from ours_emulator.accounts import Accounts
from ours_emulator.contract.compile import REVISION
from ours_emulator.contract.rules import RULES
from ours_emulator.debug import views
from ours_emulator.debug.params import (
    ACCESS,
    MISSING,
    PROPERTY,
    Account,
    AsciiJSON,
    AskedOutcome,
    Cursor,
    ErrorView,
    Limit,
    Since,
    StrictRoute,
    account_of,
)
from ours_emulator.http.redaction import Redactor, masked
from ours_emulator.model import ACCOUNT_NAME, Identifier
from ours_emulator.pipeline import Pipeline
from ours_emulator.settings import Loaded
from ours_emulator.store import LARGEST, CursorError, EventFilter, RequestFilter, VisitorFilter
from ours_emulator.store.sqlite.reader import Row
from ours_emulator.store.sqlite.reader import SqliteReader as StoreReader

_PLACES = (
    *("visitors", "events", "events/latest", "requests", "calls", "summary"),
    *("accounts", "clock", "faults", "stream", "export", "rules", "settings", "health", "openapi.json"),
)
_NONE_ACCEPTED = "no such event was accepted; with outcome=any, refused ones are looked at too"
_DEFAULT_LIMIT = 100
_MOST_PROPERTIES = 50
T = TypeVar("T")
Get: TypeAlias = tuple[str, Callable[..., Awaitable[Response]], object]
"""A reading endpoint: its path, what answers it, the shape of its answer."""
Endpoint: TypeAlias = Literal[
    "track",
    "identify",
    "batch",
    "openapi",
    "unknown",
    "client/alias",
    "client/identify",
    "client/devices",
    "client/events",
    "client/unknown",
]


class RuleView(TypedDict):
    """One line of the contract."""

    id: str
    text: str
    basis: Literal["documented", "observed", "assumed"]
    source: str


class RuleList(TypedDict):
    """Every rule of the contract."""

    items: list[RuleView]
    total: int
    next_cursor: str | None
    evicted: int


class SettingView(TypedDict):
    """A setting as it is in force, and whether a flag, the environment, the file or the default said so."""

    value: JsonValue
    origin: Literal["flag", "environment", "file", "default"]


class HealthView(TypedDict):
    """The emulator answers and its store can be read."""

    status: Literal["ok"]
    version: str
    revision: str


class IndexView(TypedDict):
    """Where to look."""

    name: str
    version: str
    debug: list[str]


class ResetCall(BaseModel):
    """What to forget: one account, or all of them."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"account": "default"}, {"all": True}]})

    account: str | None = Field(None, pattern=f"^{ACCOUNT_NAME.pattern}$")
    all: bool = Field(False, strict=True)


class ResetView(TypedDict):
    """What was forgotten."""

    account: str | None
    visitors: int
    receipts: int
    requests: int


class DebugApi:
    """The endpoints under /debug. Unprefixed they cover all accounts; `account` or /accounts/{name} narrows."""

    def __init__(
        self, reader: StoreReader, pipeline: Pipeline, accounts: Accounts, loaded: Loaded, redactor: Redactor
    ) -> None:
        self._reader = reader
        self._pipeline = pipeline
        self._accounts = accounts
        self._loaded = loaded
        self._discreet = redactor

    def add_to(self, app: FastAPI) -> None:
        """Add the routes to *app*."""
        router = APIRouter(prefix="/debug", route_class=StrictRoute, responses=ACCESS)
        for path, endpoint, model in self._lists():
            router.add_api_route(path, endpoint, response_model=model, methods=["GET"])
        for path, endpoint, model in self._single():
            router.add_api_route(path, endpoint, response_model=model, methods=["GET"], responses=MISSING)
        changes: dict[int | str, dict[str, Any]] = {415: {"model": ErrorView, "description": "The body is not JSON."}}
        router.add_api_route("/reset", self.reset, response_model=ResetView, methods=["POST"], responses=changes)
        app.add_api_route("/", self.index, response_model=IndexView, methods=["GET"], include_in_schema=False)
        app.add_api_route("/favicon.ico", _no_icon, methods=["GET"], include_in_schema=False)
        app.include_router(router)

    def _lists(self) -> Sequence[Get]:
        return (
            ("", self.index, IndexView),
            ("/visitors", self.visitors, views.VisitorList),
            ("/events", self.events, views.EventList),
            ("/requests", self.requests, views.RequestList),
            ("/calls", self.calls, views.CallList),
            ("/summary", self.summary, views.SummaryView),
            ("/rules", self.rules, RuleList),
            ("/settings", self.settings, dict[str, SettingView]),
            ("/health", self.health, HealthView),
        )

    def _single(self) -> Sequence[Get]:
        return (
            ("/visitors/{visitor_id}", self.visitor, views.VisitorView),
            ("/visitors/{visitor_id}/events", self.visitor_events, views.EventList),
            ("/events/latest", self.latest_event, views.EventView),
            ("/events/{event_id}", self.event, views.EventView),
            ("/requests/{request_id}", self.request, views.RequestDetail),
        )

    async def index(self) -> Response:
        """Say what this is and where to look."""
        paths = [f"/debug/{name}" for name in _PLACES]
        return AsciiJSON({"name": "ours-emulator", "version": __version__, "debug": paths})

    async def visitors(
        self,
        request: Request,
        account: Account = None,
        user_id: str | None = None,
        external_id: str | None = None,
        email: str | None = None,
        anonymous_id: str | None = None,
        q: Annotated[str | None, Query(description="Text anywhere in a visitor's id or properties.")] = None,
        limit: Limit = _DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Response:
        """List visitors, the youngest first."""
        given: dict[Identifier, str | None] = {
            "user_id": user_id,
            "external_id": external_id,
            "email": email,
            "anonymous_id": anonymous_id,
        }
        which = VisitorFilter({kind: value for kind, value in given.items() if value is not None}, q)
        with _cursor_errors():
            page = await self._reader.visitors(account_of(request, account), which, limit, cursor)
        return AsciiJSON(views.visitor_list(page))

    async def visitor(self, request: Request, visitor_id: str, account: Account = None) -> Response:
        """Show one visitor."""
        return AsciiJSON(views.visitor(await self._one_visitor(account_of(request, account), _unquoted(visitor_id))))

    async def visitor_events(
        self,
        request: Request,
        visitor_id: str,
        account: Account = None,
        limit: Limit = _DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Response:
        """List the accepted events of one visitor, the latest by time first."""
        row = await self._one_visitor(account_of(request, account), _unquoted(visitor_id))
        which = EventFilter(visitor_id=_unquoted(visitor_id), named=True)
        with _cursor_errors():
            page = await self._reader.events(row["account"], which, limit, cursor)
        return AsciiJSON(views.event_list(page))

    async def events(
        self,
        request: Request,
        account: Account = None,
        event: str | None = None,
        visitor_id: str | None = None,
        distinct_id: str | None = None,
        endpoint: Endpoint | None = None,
        outcome: AskedOutcome | None = None,
        test: bool | None = None,
        since: Since = None,
        limit: Limit = _DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Response:
        """List events, the latest by time first: the accepted ones, unless `outcome` says otherwise.

        What is no event (a visitor, device or alias of the Client API) is listed if `outcome` or `endpoint` is given.
        Event properties are asked for by `property.NAME=VALUE`; dots go on into objects.
        """
        which = EventFilter(
            event,
            visitor_id,
            distinct_id,
            endpoint,
            _outcome(outcome),
            outcome is None and endpoint is None,
            test,
            since,
            _properties(request),
        )
        with _cursor_errors():
            page = await self._reader.events(account_of(request, account), which, limit, cursor)
        return AsciiJSON(views.event_list(page))

    async def latest_event(
        self,
        request: Request,
        account: Account = None,
        event: str | None = None,
        visitor_id: str | None = None,
        outcome: AskedOutcome | None = None,
    ) -> Response:
        """Show the latest event by time."""
        which = EventFilter(
            event,
            visitor_id,
            outcome=_outcome(outcome),
            named=outcome is None,
            properties=_properties(request),
        )
        page = await self._reader.events(account_of(request, account), which, 1, None)
        return AsciiJSON(views.event(_found(page.rows[0] if page.rows else None, _NONE_ACCEPTED)))

    async def event(self, request: Request, event_id: int, account: Account = None) -> Response:
        """Show one event, whatever its outcome."""
        row = await self._reader.event(account_of(request, account), _stored(event_id))
        return AsciiJSON(views.event(_found(row, f"there is no event {event_id}")))

    async def requests(
        self,
        request: Request,
        account: Account = None,
        call_id: Annotated[int | None, Query(ge=1, le=LARGEST, description="Only the attempts of this call.")] = None,
        status: Annotated[int | None, Query(ge=100, le=599, description="Only those answered so.")] = None,
        endpoint: Endpoint | None = None,
        limit: Limit = _DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Response:
        """List the journal of requests, the latest first."""
        which = RequestFilter(call_id, status, endpoint)
        with _cursor_errors():
            page = await self._reader.requests(account_of(request, account), which, limit, cursor)
        return AsciiJSON(views.request_list(page))

    async def calls(
        self, request: Request, account: Account = None, limit: Limit = _DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Response:
        """List calls with their attempts and the gaps between these, the latest first (rule attempts)."""
        with _cursor_errors():
            found = await self._reader.calls(account_of(request, account), limit, cursor)
        return AsciiJSON(views.call_list(*found))

    async def request(
        self,
        request: Request,
        request_id: int,
        account: Account = None,
        redact: Annotated[bool, Query(description="Mask tokens and keys in the body.")] = False,
    ) -> Response:
        """Show one request with the events in it."""
        found = await self._reader.request(account_of(request, account), _stored(request_id))
        row, body, receipts = _found(found, f"there is no request {request_id}")
        return AsciiJSON(views.request_detail(row, body, receipts, self._discreet if redact else None))

    async def summary(self, request: Request, account: Account = None) -> Response:
        """Count what is stored."""
        name = account_of(request, account)
        return AsciiJSON(views.summary(name, await self._reader.summary(name)))

    async def rules(self) -> Response:
        """List every rule of the contract with what it rests on."""
        items = [asdict(rule) for rule in RULES]
        return AsciiJSON({"items": items, "total": len(items), "next_cursor": None, "evicted": 0})

    async def settings(self) -> Response:
        """Show every setting in force and where it came from. Of a token or key only the end is shown."""
        values = self._loaded.settings.model_dump(mode="json")
        for name in ("tokens", "public_keys"):
            values[name] = [masked(secret) for secret in values[name]]
        if self._loaded.settings.admin_token is not None:
            values["admin_token"] = masked(self._loaded.settings.admin_token)
        origins = self._loaded.origins
        return AsciiJSON({name: {"value": value, "origin": origins[name]} for name, value in values.items()})

    async def health(self) -> Response:
        """Tell that the emulator answers and its store can be read."""
        await self._reader.ping()
        return AsciiJSON({"status": "ok", "version": __version__, "revision": REVISION})

    async def reset(self, request: Request, call: ResetCall) -> Response:
        """Forget visitors, events and requests of one account, or of all."""
        name = account_of(request, call.account)
        if (name is None) != call.all:
            said = 'say either which account to forget or {"all": true}'
            inside = f"this path means account {name}: leave `all` out, or leave /accounts/{name} out of the path"
            raise HTTPException(400, inside if call.all and call.account is None else said)
        cleared = await self._pipeline.reset(name)
        return AsciiJSON({"account": name, **asdict(cleared)})

    async def _one_visitor(self, account: str | None, visitor_id: str) -> Row:
        which = VisitorFilter({"user_id": visitor_id})
        rows = (await self._reader.visitors(account, which, 2, None)).rows
        if len(rows) > 1:
            raise HTTPException(400, "several accounts have this visitor; say which with ?account=")
        return _found(rows[0] if rows else None, f"there is no visitor {visitor_id}")


def _stored(id_: int) -> int:
    """Return *id_* as far as the store has numbers."""
    return max(0, min(id_, LARGEST))


def _found(thing: T | None, otherwise: str) -> T:
    if thing is None:
        raise HTTPException(404, otherwise)
    return thing


def _outcome(asked: str | None) -> str | None:
    """Return the outcome that is meant: accepted unless something is asked for, None for any."""
    return None if asked == "any" else asked or "accepted"


def _properties(request: Request) -> dict[str, str]:
    """Return the properties that are asked for; each of their levels is an expression of the store's."""
    asked = {
        name.removeprefix(PROPERTY): value for name, value in request.query_params.items() if name.startswith(PROPERTY)
    }
    if len(asked) > _MOST_PROPERTIES or any(name.count(".") >= _MOST_PROPERTIES for name in asked):
        raise HTTPException(400, f"{PROPERTY}…: at most {_MOST_PROPERTIES} of them, each so many levels deep")
    return asked


def _unquoted(text: str) -> str:
    """Return what a client meant by a part of the path; identifiers may hold lone surrogates."""
    try:
        return unquote(text, errors="surrogatepass")
    except UnicodeDecodeError:
        return unquote(text)


@contextmanager
def _cursor_errors() -> Generator[None]:
    try:
        yield
    except CursorError:
        raise HTTPException(400, "cursor: not one that a list gave out") from None


async def _no_icon() -> Response:
    return Response(status_code=204)
