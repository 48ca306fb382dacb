"""Accounts: what each one accepts, made, changed and closed under /debug/accounts."""

from copy import copy
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from fastapi import HTTPException, Request
from pydantic import ConfigDict, Field
from starlette.responses import Response

from ours_emulator.accounts import Accounts
from ours_emulator.contract.account import AccountConfig
from ours_emulator.contract.experiments import Experiment
from ours_emulator.contract.experiments import Key as ExperimentKey
from ours_emulator.contract.revision import revision
from ours_emulator.debug.clock import ClockBody, clock_change, shown_clock
from ours_emulator.debug.params import NOT_FOUND, AccountName, Body, Needs, Reader, account_of, answer, debug_router
from ours_emulator.http.redaction import masked
from ours_emulator.model import DEFAULT_REVISION, RevisionName, allowed
from ours_emulator.records import Cleared, Moment, Page
from ours_emulator.settings import Key, Token

router = debug_router()


class AccountBody(Body):
    """What the account accepts. A field that is omitted is as the emulator was started; with PATCH, as it was."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"tokens": ["live_token"], "allowed_events": ["Purchase"]}, {}]}
    )

    tokens: list[Token] = Field(default=[])
    public_keys: list[Key] = Field(default=[])
    allowed_events: list[Annotated[str, Field(min_length=1)]] | None = None
    require_identifier: bool = True
    strict_openapi: bool = False
    revision: RevisionName = DEFAULT_REVISION
    experiments: dict[ExperimentKey, Experiment] = Field(default={})
    clock: ClockBody | None = None

    def config(self, before: AccountConfig) -> AccountConfig:
        """Return the configuration of the account; *before* has what is not given."""
        given = self.model_fields_set
        names = self.allowed_events
        return replace(
            before,
            tokens=frozenset(self.tokens) if "tokens" in given else before.tokens,
            keys=frozenset(self.public_keys) if "public_keys" in given else before.keys,
            allowed_events=(None if names is None else allowed(names))
            if "allowed_events" in given
            else before.allowed_events,
            require_identifier=self.require_identifier if "require_identifier" in given else before.require_identifier,
            strict_openapi=self.strict_openapi if "strict_openapi" in given else before.strict_openapi,
            experiments=self.experiments if "experiments" in given else before.experiments,
            revision=revision(self.revision) if "revision" in given else before.revision,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """An account. Only the end of a token or key is shown; a closed account has only its name and late requests.

    `faults` counts those that are not used up. `notes` are about what sends to it, and how that fits what it accepts:
    no mistake, and so no hint, but good to know.
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
    experiments: list[str]
    clock: Moment | None
    faults: int
    notes: list[str]


@router.get("/accounts", response_model=Page[AccountState])
async def accounts(parts: Needs, reader: Reader) -> Response:
    """List the accounts that were used since the start, or have something stored."""
    names = sorted({*parts.accounts.names(), *await reader.account_names()})
    return answer(Page(tuple(account_state(parts.accounts, name) for name in names), len(names)))


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
    return answer(_configured(parts.accounts, name, body, parts.accounts.template(name)))


@router.patch("/accounts/{name}", response_model=AccountState, responses=NOT_FOUND)
async def change(request: Request, parts: Needs, name: AccountName, body: AccountBody) -> Response:
    """Change what an account accepts: only the fields that are given, with the rest as it is."""
    account_of(request, name)
    return answer(_configured(parts.accounts, name, body, parts.accounts.config(name)))


@router.delete("/accounts/{name}", response_model=Cleared, responses=NOT_FOUND)
async def close(request: Request, parts: Needs, name: AccountName) -> Response:
    """Delete an account; requests that still come for it are refused and counted."""
    account_of(request, name)
    return answer(await parts.pipeline.close_account(name))


def _configured(accounts: Accounts, name: str, body: AccountBody, before: AccountConfig) -> AccountState:
    if body.clock is not None:
        # Tried on a copy first: a call that is refused changes nothing.
        clock_change(body.clock)(copy(accounts.clock(name)))
    opened = accounts.configure(body.config(before))
    if body.clock is not None:
        opened.move_clock(clock_change(body.clock))
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
        experiments=list(config.experiments),
        clock=shown_clock(name, opened.clock) if opened else None,
        faults=sum(not fault.used_up for fault in opened.faults.active()) if opened else 0,
        notes=opened.notes if opened else [],
    )
