"""What the emulator is and has: index, summary, settings, health; and the reset of it all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import HTTPException, Request
from pydantic import ConfigDict, JsonValue
from starlette.responses import Response

from ours_emulator import __version__
from ours_emulator.database_url import without_password
from ours_emulator.debug.names import ValidName
from ours_emulator.debug.params import (
    NOT_JSON,
    Account,
    AsciiJSON,
    Body,
    Needs,
    NeedsNoAccounts,
    Reader,
    account_of,
    answer,
    debug_router,
)
from ours_emulator.http.redaction import masked
from ours_emulator.records import Cleared, Summary

_DOCUMENT = {"GET /debug/openapi.json": "Show the OpenAPI document of the debug API."}
router = debug_router()


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting in force, and where its value comes from."""

    value: JsonValue
    origin: Literal["flag", "environment", "file", "default"]


@dataclass(frozen=True, slots=True)
class Health:
    """The emulator answers and can read its store."""

    status: Literal["ok"]
    version: str
    revision: str


@dataclass(frozen=True, slots=True)
class Index:
    """Every call of the debug API, and what it is for."""

    name: str
    version: str
    debug: dict[str, str]


class ResetBody(Body):
    """What to delete: one account, or all of them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"account": "default"}, {"all": True}]})

    account: ValidName | None = None
    all: bool = False


@router.get("", response_model=Index)
async def index(request: Request) -> Response:
    """List the calls of the debug API."""
    document: Mapping[str, Any] = request.app.debug_document()
    calls = {
        f"{method.upper()} {path}": _first_line(operation["description"])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    return answer(Index("ours-emulator", __version__, {**calls, **_DOCUMENT}))


@router.get("/summary", response_model=Summary)
async def summary(reader: Reader, account: Account) -> Response:
    """Count what is stored."""
    return answer(await reader.summary(account))


@router.get("/settings", response_model=dict[str, Setting])
async def settings(parts: NeedsNoAccounts) -> Response:
    """Show every setting in force and where it comes from. Only the end of a token or key is shown, and no password."""
    values = parts.loaded.settings.model_dump(mode="json")
    for name in ("tokens", "public_keys"):
        values[name] = [masked(secret) for secret in values[name]]
    if values["database"] is not None:
        values["database"] = without_password(values["database"])
    if values["admin_token"] is not None:
        values["admin_token"] = masked(values["admin_token"])
    origins = parts.loaded.origins
    return AsciiJSON({name: {"value": value, "origin": origins[name]} for name, value in values.items()})


@router.get("/health", response_model=Health)
async def health(request: Request, parts: NeedsNoAccounts) -> Response:
    """Check that the emulator answers and can read its store."""
    await parts.store.ping()
    await parts.accounts.refresh()
    return answer(Health("ok", __version__, parts.accounts.revision(account_of(request, None)).name))


@router.post("/reset", response_model=Cleared, responses=NOT_JSON)
async def reset(request: Request, parts: Needs, body: ResetBody) -> Response:
    """Delete the visitors, events and requests of one account, or of all."""
    account = account_of(request, body.account)
    if (account is None) != body.all:
        if body.all and body.account is None:
            raise HTTPException(400, f"this path is for account {account}; omit `all`, or omit /accounts/{account}")
        raise HTTPException(400, 'give either the account to reset or {"all": true}')
    return answer(await parts.pipeline.reset(account))


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


async def no_icon() -> Response:
    """Answer browsers, which ask for an icon by themselves."""
    return Response(status_code=204)
