"""Parameters and dependencies that many endpoints of the debug API share, strict routes, and the shape of errors."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, cast
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from starlette.datastructures import QueryParams
from starlette.responses import Response

from ours_emulator.clock import LAST_MOMENT, moment
from ours_emulator.contract.rules import load_rules
from ours_emulator.debug.names import ValidName
from ours_emulator.debug.parts import Parts
from ours_emulator.http.routes import CLIENT_NAMES, INGEST_NAMES
from ours_emulator.jsontext import each_once, json_text
from ours_emulator.model import DEFAULT_ACCOUNT
from ours_emulator.records import EventOrder, Outcome, Page, to_json
from ours_emulator.store import ANY_RULE, LARGEST, StoreReader
from ours_emulator.wording import did_you_mean

PROPERTY = "property."
"""What the names of parameters that ask for an event property begin with."""
ANY_PROPERTY = PROPERTY + "NAME"
"""All these parameters, as the document and errors name them."""
DEFAULT_LIMIT = 100
_MAX_LIMIT = 1000
_SURROGATE = b"%ED%"
T = TypeVar("T")
Limit: TypeAlias = Annotated[int, Query(ge=1, le=_MAX_LIMIT, description="Items on a page.")]
AskedOutcome: TypeAlias = Literal[Outcome, "any"]
Cursor: TypeAlias = Annotated[str | None, Query(description="`next_cursor` of the previous page.")]
Timestamp: TypeAlias = Annotated[
    int,
    BeforeValidator(moment),
    Field(ge=0, le=LAST_MOMENT),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0, "maximum": LAST_MOMENT}, {"type": "string"}]}),
]
"""ISO 8601, or milliseconds since the epoch."""
Since: TypeAlias = Annotated[
    Timestamp | None,
    Query(description="Received at this time or later: ISO 8601, or milliseconds since the epoch."),
]
AccountName: TypeAlias = Annotated[ValidName, Path(description="The account's name.")]
_ENDPOINTS = (*INGEST_NAMES, *CLIENT_NAMES)
_ABOUT_ENDPOINTS = "Only refused requests have `openapi`, `unknown` and `client/unknown`."


def _known_endpoint(name: str) -> str:
    if name not in _ENDPOINTS:
        raise ValueError(f"{name[:100]} is not an endpoint; use one of {', '.join(_ENDPOINTS)}")
    return name


Endpoint: TypeAlias = Annotated[
    str,
    AfterValidator(_known_endpoint),
    WithJsonSchema({"type": "string", "enum": list(_ENDPOINTS), "description": _ABOUT_ENDPOINTS}),
]


def _known_rule(rule: str) -> str:
    known = [each.id for each in load_rules()]
    if rule not in known:
        advice = did_you_mean(rule, known) or "; GET /debug/rules lists them"
        raise ValueError(f"{rule[:100]} is not a rule{advice}")
    return rule


HintRule: TypeAlias = Annotated[
    str,
    AfterValidator(lambda rule: rule if rule == ANY_RULE else _known_rule(rule)),
    Query(description="Only events with a hint of this rule; `any` for any rule."),
]
ReasonRule: TypeAlias = Annotated[
    str,
    AfterValidator(_known_rule),
    Query(description="Only events that this rule refused. `outcome` may be omitted then."),
]
Order: TypeAlias = Annotated[
    EventOrder, Query(description="`time`: the latest by time first. `arrival`: the last to arrive first.")
]


class Body(BaseModel):
    """The body of a call; unknown fields and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


Responses: TypeAlias = dict[int | str, dict[str, Any]]
"""What an operation may answer, by status, as OpenAPI has it."""
ERROR_SCHEMA = {
    "title": "ErrorBody",
    "type": "object",
    "description": "Why a debug call was refused: the body of every error.",
    "properties": {"error": {"type": "string", "title": "Error"}},
    "required": ["error"],
}


def error_response(status: int, description: str, example: str | None = None) -> Responses:
    """Return the description of an error, with the text of an *example*.

    It refers to ERROR_SCHEMA by name: for each use of a model, of which there would be a hundred, FastAPI builds a
    validator, which takes a third of a millisecond at every start.
    """
    content: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/ErrorBody"}}
    if example is not None:
        content["example"] = {"error": example}
    return {status: {"description": description, "content": {"application/json": content}}}


NOT_UNDERSTOOD = "Not understood; the error names the parameter or field."
REFUSED = error_response(400, NOT_UNDERSTOOD)
NOT_FOUND = error_response(404, "Not found.")
NOT_JSON = error_response(415, "The body is not JSON.")


async def _parts(request: Request) -> Parts:
    return cast(Parts, request.app.state.parts)


NeedsNoAccounts: TypeAlias = Annotated[Parts, Depends(_parts)]
"""The parts that the endpoint works with; other processes may have changed accounts meanwhile."""


async def _fresh_parts(parts: NeedsNoAccounts) -> Parts:
    await parts.accounts.refresh()
    return parts


Needs: TypeAlias = Annotated[Parts, Depends(_fresh_parts)]
"""The parts that the endpoint works with."""


async def _reader(parts: Needs) -> StoreReader:
    # Opening it takes a while, the first time.
    return await parts.store.opened_reader()


Reader: TypeAlias = Annotated[StoreReader, Depends(_reader)]
"""What reads the store."""


async def _account(
    request: Request,
    account: Annotated[ValidName | None, Query(description="Only this account. Default: all accounts.")] = None,
) -> str | None:
    return account_of(request, account)


async def _one_account(
    request: Request,
    account: Annotated[ValidName | None, Query(description="The account. Default: `default`.")] = None,
) -> str:
    return account_of(request, account) or DEFAULT_ACCOUNT


Account: TypeAlias = Annotated[str | None, Depends(_account)]
"""The account that the path or the query names; None for all accounts."""
OneAccount: TypeAlias = Annotated[str, Depends(_one_account)]
"""The account that the path or the query names, else `default`."""


class AsciiJSON(Response):
    """A JSON answer in ASCII: what a client sent may hold lone surrogates, which UTF-8 has no bytes for."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Return *content* as JSON."""
        return json_text(content).encode("ascii")


def answer(record: object, status: int = 200) -> AsciiJSON:
    """Return the answer that shows *record*, a dataclass."""
    return AsciiJSON(to_json(record), status_code=status)


def complete_list(items: Iterable[object]) -> AsciiJSON:
    """Return the answer that lists all *items*, on one page."""
    listed = tuple(items)
    return answer(Page(listed, len(listed)))


class _StrictRequest(Request):
    """A request whose body must not have a name twice: all values but the last one would be lost."""

    _checked: BaseModel | None = None

    async def json(self) -> Any:
        """Return the value of the body, or what it was checked as. Raises ValueError."""
        return self._checked or json.loads(await self.body(), object_pairs_hook=each_once)

    async def check(self, model: type[BaseModel]) -> None:
        """Check the body as a *model* in a thread. Raises RequestValidationError."""
        try:
            body = await self.json()
        except (ValueError, RecursionError):
            # The route will say so.
            return
        try:
            self._checked = await asyncio.to_thread(model.model_validate, body)
        except ValidationError as error:
            errors = [{**each, "loc": ("body", *each["loc"])} for each in error.errors(include_url=False)]
            raise RequestValidationError(errors, body=body) from None


class _SurrogateRequest(_StrictRequest):
    """A request whose query may have lone surrogates, percent-encoded as in WTF-8: an event may have such a name."""

    @property
    def query_params(self) -> QueryParams:
        """The parameters of the query. What is not WTF-8 is replaced by U+FFFD."""
        query: str = self.scope["query_string"].decode("latin-1")
        try:
            return QueryParams(parse_qsl(query, keep_blank_values=True, errors="surrogatepass"))
        except UnicodeDecodeError:
            return super().query_params


class StrictRoute(APIRoute):
    """A route that refuses what FastAPI would let pass: a typo must not look like an empty list.

    The models of its answers are made when the OpenAPI document is asked for, which alone needs them. To make those of
    all routes takes a sixteenth of the time until the first test of a run has its account.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        without_answers: dict[str, Any] = options | {"response_model": None, "responses": None}
        super().__init__(path, endpoint, **without_answers)
        self.documented = partial(APIRoute, path, endpoint, **options)
        """Makes the route as the document describes it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the route's handler with the checks before it."""
        handler = super().get_route_handler()
        known = _parameters(self.dependant)

        slow_model = _slow_model(self)

        async def checked(request: Request) -> Response:
            is_rare = _SURROGATE in request.scope["query_string"].upper()
            strict = (_SurrogateRequest if is_rare else _StrictRequest)(request.scope, request.receive)
            _check_parameters(strict, known)
            if slow_model is not None:
                await strict.check(slow_model)
            return await handler(strict)

        return checked


def _slow_model(route: APIRoute) -> type[BaseModel] | None:
    """Return the model of the body of *route* if it is one that may take seconds, which others must not wait for."""
    model: Any = route.body_field and route.body_field.field_info.annotation
    return model if getattr(model, "is_slow", False) else None


def debug_router(responses: Responses = REFUSED) -> APIRouter:
    """Return a router for endpoints under /debug."""
    return APIRouter(prefix="/debug", route_class=StrictRoute, responses=responses)


def account_of(request: Request, asked: str | None) -> str | None:
    """Return the account that the path or *asked* names; None for all accounts."""
    prefixed = cast(str | None, request.scope.get("account"))
    if prefixed is not None and asked not in (None, prefixed):
        raise HTTPException(400, f"the path is for account {prefixed}, but the call names {asked}; name only one")
    return prefixed or asked


def found(thing: T | None, otherwise: str) -> T:
    """Return *thing*; without one, the answer is 404 and *otherwise*."""
    if thing is None:
        raise HTTPException(404, otherwise)
    return thing


def stored_id(number: int) -> int:
    """Return *number* within the range of ids that the store can hold."""
    return max(0, min(number, LARGEST))


def _parameters(dependant: Dependant) -> list[str]:
    """Return the names of the query parameters of an endpoint and of its dependencies."""
    inner = [name for dependency in dependant.dependencies for name in _parameters(dependency)]
    return [*inner, *(field.alias for field in dependant.query_params)]


def _check_parameters(request: Request, known: Sequence[str]) -> None:
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if names.count(name) > 1:
            raise HTTPException(400, f"parameter {name} is given more than once; give it once")
        if name in known or (ANY_PROPERTY in known and name.startswith(PROPERTY) and name != PROPERTY):
            continue
        others = f"; use {', '.join(known)}" if known else "; this call takes none"
        instead = did_you_mean(name, known) or others
        raise HTTPException(400, f"unknown parameter {name}{instead}")
