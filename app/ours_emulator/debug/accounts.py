"""Accounts: what each one accepts, made, changed and closed under /debug/accounts."""

from dataclasses import dataclass
from typing import Literal

from fastapi import HTTPException, Request
from pydantic import ConfigDict
from starlette.responses import Response

from ours_emulator.accounts import Accounts
from ours_emulator.contract.account import AccountConfig
from ours_emulator.debug.account_settings import AccountSettings
from ours_emulator.debug.clock import ClockBody, shown_clock
from ours_emulator.debug.params import (
    NOT_FOUND,
    AccountName,
    Needs,
    Reader,
    account_of,
    answer,
    complete_list,
    debug_router,
)
from ours_emulator.http.redaction import masked
from ours_emulator.records import Cleared, Moment, Page

router = debug_router()


class AccountBody(AccountSettings):
    """What the account accepts. A field that is omitted is as the emulator was started; with PATCH, as it was."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"tokens": ["live_token"], "allowed_events": ["Purchase"]}, {}]}
    )

    clock: ClockBody | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """An account. Only the end of a token or key is shown; a closed account has only its name and late requests.

    `faults` counts those that are not used up. `notes` are about what sends to it, and how that fits what it accepts:
    no mistake, and so no hint, but good to know. `planned_events` are those of its tracking plan, if it has one.
    """

    account: str
    state: Literal["open", "closed"]
    late_requests: int
    tokens: list[str]
    public_keys: list[str]
    allowed_events: list[str] | None
    require_identifier: bool
    strict_openapi: bool
    revision: str
    experiment_keys: list[str]
    planned_events: list[str] | None
    clock: Moment | None
    faults: int
    notes: list[str]


@router.get("/accounts", response_model=Page[AccountState])
async def accounts(parts: Needs, reader: Reader) -> Response:
    """List the accounts that were used since the start, or have something stored."""
    names = sorted({*parts.accounts.names(), *await reader.account_names()})
    return complete_list(account_state(parts.accounts, name) for name in names)


@router.get("/accounts/{name}", response_model=AccountState, responses=NOT_FOUND)
async def account(request: Request, parts: Needs, reader: Reader, name: AccountName) -> Response:
    """Show what an account accepts, and its clock."""
    account_of(request, name)
    # What reads the store may not be open yet, and nothing has to be read of an account that was used.
    if name not in parts.accounts.names() and name not in await reader.account_names():
        raise HTTPException(404, f"there is no account {name}")
    return answer(account_state(parts.accounts, name))


@router.put("/accounts/{name}", response_model=AccountState, responses=NOT_FOUND)
async def configure(request: Request, parts: Needs, name: AccountName, body: AccountBody) -> Response:
    """Set what an account accepts. The account is made if need be, and opened again if it was closed."""
    account_of(request, name)

    def change() -> AccountState:
        return _configured(parts.accounts, name, body, parts.accounts.template(name), False)

    return answer(await parts.pipeline.change(change))


@router.patch("/accounts/{name}", response_model=AccountState, responses=NOT_FOUND)
async def change(request: Request, parts: Needs, name: AccountName, body: AccountBody) -> Response:
    """Change what an account accepts: only the fields that are given, with the rest as it is."""
    account_of(request, name)

    def change() -> AccountState:
        opened = parts.accounts.shown(name)
        was_configured = opened is not None and opened.is_configured
        return _configured(parts.accounts, name, body, parts.accounts.config(name), was_configured)

    return answer(await parts.pipeline.change(change))


@router.delete("/accounts/{name}", response_model=Cleared, responses=NOT_FOUND)
async def close(request: Request, parts: Needs, name: AccountName) -> Response:
    """Delete an account; requests that still come for it are refused and counted."""
    account_of(request, name)
    return answer(await parts.pipeline.close_account(name))


def _configured(
    accounts: Accounts, name: str, body: AccountBody, before: AccountConfig, was_configured: bool
) -> AccountState:
    chosen = body.model_fields_set - {"clock"}
    opened = accounts.configure(body.config(before), is_configured=was_configured or bool(chosen))
    if body.clock is not None:
        accounts.put(name, opened.with_clock(body.clock.changed(opened.clock)))
    return account_state(accounts, name)


def account_state(accounts: Accounts, name: str) -> AccountState:
    """Return what the account *name* accepts, and its state."""
    opened = accounts.shown(name)
    config = opened.config if opened else AccountConfig(name, accounts.revision(name))
    names = config.allowed_events
    return AccountState(
        account=name,
        state="open" if opened else "closed",
        late_requests=accounts.late(name) or 0,
        tokens=sorted(masked(token) for token in config.tokens),
        public_keys=sorted(masked(key) for key in config.keys),
        allowed_events=None if names is None else sorted(names),
        require_identifier=config.require_identifier,
        strict_openapi=config.strict_openapi,
        revision=config.revision.name,
        experiment_keys=list(config.experiments),
        planned_events=None if config.tracking_plan is None else list(config.tracking_plan.events),
        clock=shown_clock(name, opened.clock) if opened else None,
        faults=sum(not fault.used_up for fault in opened.faults.active) if opened else 0,
        notes=opened.notes if opened else [],
    )
