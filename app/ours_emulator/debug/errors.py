"""The errors of the debug API: every refusal and failure is answered `{"error": "one sentence"}`."""

from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args
from urllib.parse import unquote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from ours_emulator.debug.params import AsciiJSON
from ours_emulator.http.fault_effects import ConnectionCutError
from ours_emulator.jsontext import TwiceError
from ours_emulator.matching import MatchError
from ours_emulator.pipeline import StoreWriteError
from ours_emulator.store import CursorError, StoreFailedError, StoreLostError
from ours_emulator.wording import did_you_mean, plain


def add_handlers(app: FastAPI) -> None:
    """Make *app* answer every exception in this shape."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(StoreWriteError, _not_written)
    app.add_exception_handler(MatchError, _no_match)
    app.add_exception_handler(CursorError, _bad_cursor)
    app.add_exception_handler(StoreLostError, _lost)
    app.add_exception_handler(StoreFailedError, _not_read)
    app.add_exception_handler(Exception, _unforeseen)


def _problem(status: int, message: str, headers: Mapping[str, str] | None = None) -> AsciiJSON:
    return AsciiJSON({"error": message}, status_code=status, headers=headers)


async def _invalid(request: Request, error: Exception) -> Response:
    invalid = cast(RequestValidationError, error)
    errors = invalid.errors()
    # A value that fits none of several types has an error for each. The last type is the most general one, so its
    # message says most.
    problem = [other for other in errors if other["loc"][:2] == errors[0]["loc"][:2]][-1]
    place = _place(problem, invalid.body)
    message = plain(problem)
    if problem["type"] == "json_invalid":
        return _problem(400, f"the body is {message}, at character {problem['loc'][-1]}")
    if problem["type"] == "extra_forbidden":
        field = cast(APIRoute, request.scope["route"]).body_field
        names = _fields(field and field.field_info.annotation, place[:-1])
        message = "unknown field" + did_you_mean(place[-1], names)
    if place:
        return _problem(400, f"{'.'.join(place)}: {message}")
    return _problem(400, message if problem["type"] == "value_error" else f"the body {message}")


def _place(error: Mapping[str, Any], body: object) -> list[str]:
    """Return where in *body*, or else in the query, *error* is. Its `loc` also names each type the value might have."""
    source, *loc = error["loc"]
    if source != "body":
        return [str(part) for part in loc[:1]]
    here: object = body
    place: list[str] = []
    for part in loc:
        if isinstance(here, dict) and (part in here or (error["type"] == "missing" and part is loc[-1])):
            place.append(str(part))
            here = cast(dict[object, object], here).get(part)
        elif isinstance(here, list) and isinstance(part, int):
            place.append(str(part))
            here = cast(list[object], here)[part]
    return place


def _fields(annotation: object, place: Sequence[str]) -> Sequence[str]:
    """Return the names of the fields at *place* of a body with that *annotation*."""
    models = _models(annotation)
    for name in [part for part in place if not part.isdecimal()]:
        fields = [model.model_fields[name] for model in models if name in model.model_fields]
        models = [model for field in fields for model in _models(field.annotation)]
    return [name for model in models for name in model.model_fields]


def _models(annotation: object) -> list[type[BaseModel]]:
    """Return the models in *annotation*: `list[Model | None]` has one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]


async def _refused(request: Request, error: Exception) -> Response:
    refusal = cast(HTTPException, error)
    return _problem(refusal.status_code, _why(request, refusal), refusal.headers)


def _why(request: Request, refusal: HTTPException) -> str:
    """Return the sentence of *refusal*, in our words if a framework refuses the path, the method or the body."""
    path = unquote(request.scope["path"])
    if refusal.status_code == 404 and not isinstance(request.scope.get("route"), APIRoute):
        return f"there is no {path}; GET /debug lists every call"
    if refusal.status_code == 405:
        return f"{path} does not take {request.method}; GET /debug lists every call"
    # Only a body that cannot be read has what it failed with as the cause.
    if refusal.status_code == 400 and refusal.__cause__ is not None:
        return f"the body is not valid JSON: {_unreadable(refusal.__cause__)}"
    return refusal.detail


def _unreadable(cause: BaseException) -> str:
    """Return why a body could not be read that may be JSON for others."""
    if isinstance(cause, TwiceError):
        return str(cause)
    if isinstance(cause, UnicodeDecodeError):
        return "it is not UTF-8"
    return "it is nested too deep" if isinstance(cause, RecursionError) else "it has a number that is too long"


async def _no_match(_: Request, error: Exception) -> Response:
    return _problem(400, str(error))


async def _bad_cursor(_request: Request, _error: Exception) -> Response:
    return _problem(400, "cursor: not a cursor of this list; use the next_cursor of its previous page")


async def _not_written(_: Request, error: Exception) -> Response:
    return _problem(500, f"the store could not be written: {error}")


async def _not_read(_: Request, error: Exception) -> Response:
    return _problem(500, f"the store could not be read: {error}")


async def _lost(_: Request, error: Exception) -> Response:
    return _problem(503, str(error))


async def _unforeseen(_: Request, error: Exception) -> Response:
    if isinstance(error, ConnectionCutError):
        # A fault on an emulated endpoint, under a server that cannot reset: no answer is what was planned.
        raise error
    return _problem(500, f"internal error: {type(error).__name__}; please report it")
