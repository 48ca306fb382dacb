"""What a test may set for an account while the emulator runs: what it accepts, its clock, its faults."""

from collections.abc import Awaitable, Callable
from copy import copy
from dataclasses import asdict
from typing import Annotated, Any, Literal, Self, TypeAlias

from fastapi import APIRouter, FastAPI, HTTPException, Path, Request
from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from starlette.responses import Response
from typing_extensions import TypedDict

from ours_emulator.accounts import Accounts, OpenAccount
from ours_emulator.clock import LAST_MOMENT, Clock, iso, moment
from ours_emulator.debug.fault_bodies import Call, FaultCall, FaultList, FaultView, fault_view
from ours_emulator.debug.params import ACCESS, MISSING, Account, AsciiJSON, StrictRoute, account_of
from ours_emulator.decide.faults import PlantedFault
from ours_emulator.http.redaction import masked
from ours_emulator.model import ACCOUNT_NAME, DEFAULT_ACCOUNT, allowed
from ours_emulator.model import Account as Accepts
from ours_emulator.pipeline import Pipeline
from ours_emulator.settings import Key, Token
from ours_emulator.store.sqlite.reader import SqliteReader as StoreReader

Moment: TypeAlias = Annotated[
    int,
    BeforeValidator(moment),
    Field(ge=0, le=LAST_MOMENT),
]
Name: TypeAlias = Annotated[str, Path(pattern=f"^{ACCOUNT_NAME.pattern}$", description="A name of your own.")]
AccountName: TypeAlias = Annotated[str, Path(pattern=f"^{ACCOUNT_NAME.pattern}$", description="The account's name.")]
Text: TypeAlias = Annotated[str, Field(min_length=1)]


class ClockCall(Call):
    """Exactly one of these. A moment is ISO 8601, or milliseconds since the epoch."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"freeze": "2026-01-01T00:00:00Z"}, {"freeze": True}, {"advance_ms": 60_000}, {"resume": True}]
        }
    )

    freeze: Literal[True] | Moment | None = None
    set: Moment | None = None
    advance_ms: int | None = Field(default=None, ge=-LAST_MOMENT, le=LAST_MOMENT)
    resume: Literal[True] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1 or all(value is None for value in self.__dict__.values()):
            raise ValueError("say exactly one of freeze, set, advance_ms and resume")
        return self

    def apply(self, clock: Clock) -> None:
        """Do it to *clock*. Raises ValueError if that leads out of the years it knows."""
        if self.resume:
            clock.resume()
        elif self.freeze is not None:
            clock.freeze(None if self.freeze is True else self.freeze)
        elif self.set is not None:
            clock.set(self.set)
        elif self.advance_ms is not None:
            moment = clock.now() + self.advance_ms
            if not 0 <= moment <= LAST_MOMENT:
                raise ValueError("advance_ms: leads out of the years 1970 to 9999")
            clock.set(moment)


class AccountCall(Call):
    """What the account accepts; what is not said is as the emulator was started."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"tokens": ["live_token"], "allowed_events": ["Purchase"]}, {}]}
    )

    tokens: list[Token] = Field(default=[])
    public_keys: list[Key] = Field(default=[])
    allowed_events: list[Text] | None = None
    require_identifier: bool = True
    strict_openapi: bool = False
    clock: ClockCall | None = None

    def accepts(self, before: Accepts) -> Accepts:
        """Return what the account accepts then; *before* is how accounts begin."""
        said = self.model_fields_set
        names = self.allowed_events
        return Accepts(
            before.name,
            tokens=frozenset(self.tokens) if "tokens" in said else before.tokens,
            keys=frozenset(self.public_keys) if "public_keys" in said else before.keys,
            allowed_events=(None if names is None else allowed(names))
            if "allowed_events" in said
            else before.allowed_events,
            require_identifier=self.require_identifier if "require_identifier" in said else before.require_identifier,
            strict_openapi=self.strict_openapi if "strict_openapi" in said else before.strict_openapi,
        )


class ClockView(TypedDict):
    """The clock of an account."""

    account: str
    now: str
    now_ms: int
    state: Literal["real", "frozen", "moved"]


class AccountView(TypedDict):
    """An account. Of a token or key only the end is shown. A closed one has only its name and its late requests."""

    account: str
    state: Literal["open", "closed"]
    late_requests: int
    tokens: list[str]
    public_keys: list[str]
    allowed_events: list[str] | None
    require_identifier: bool
    strict_openapi: bool
    clock: ClockView | None
    faults: int


class AccountList(TypedDict):
    """All accounts."""

    items: list[AccountView]
    total: int
    next_cursor: str | None
    evicted: int


class ClosedView(TypedDict):
    """What was forgotten with the account."""

    account: str
    visitors: int
    receipts: int
    requests: int


class RemovedView(TypedDict):
    """What was taken away."""

    removed: int


class ControlApi:
    """The endpoints under /debug that set an account up. Unprefixed they mean the account `default`."""

    def __init__(self, reader: StoreReader, pipeline: Pipeline, accounts: Accounts) -> None:
        self._reader = reader
        self._pipeline = pipeline
        self._accounts = accounts

    def add_to(self, app: FastAPI) -> None:
        """Add the routes to *app*."""
        router = APIRouter(prefix="/debug", route_class=StrictRoute, responses=ACCESS)
        routes: tuple[tuple[str, str, Callable[..., Awaitable[Response]], object], ...] = (
            ("GET", "/accounts", self.accounts, AccountList),
            ("GET", "/accounts/{name}", self.account, AccountView),
            ("PUT", "/accounts/{name}", self.configure, AccountView),
            ("DELETE", "/accounts/{name}", self.close, ClosedView),
            ("GET", "/clock", self.clock, ClockView),
            ("PUT", "/clock", self.set_clock, ClockView),
            ("GET", "/faults", self.faults, FaultList),
            ("DELETE", "/faults", self.clear_faults, RemovedView),
            ("GET", "/faults/{name}", self.fault, FaultView),
            ("PUT", "/faults/{name}", self.plant, FaultView),
            ("DELETE", "/faults/{name}", self.remove_fault, FaultView),
        )
        for method, path, endpoint, model in routes:
            missing: dict[int | str, dict[str, Any]] = MISSING if "{" in path else {}
            router.add_api_route(path, endpoint, response_model=model, methods=[method], responses=missing)
        app.include_router(router)

    async def accounts(self) -> Response:
        """List the accounts that were used since the start, or have something stored."""
        names = sorted({*self._accounts.names(), *await self._reader.account_names()})
        items = [self._account_view(name) for name in names]
        return AsciiJSON({"items": items, "total": len(items), "next_cursor": None, "evicted": 0})

    async def account(self, request: Request, name: AccountName) -> Response:
        """Show what an account accepts, and its clock."""
        account_of(request, name)
        if name not in self._accounts.names() and name not in await self._reader.account_names():
            raise HTTPException(404, f"there is no account {name}")
        return AsciiJSON(self._account_view(name))

    async def configure(self, request: Request, name: AccountName, call: AccountCall) -> Response:
        """Say what an account accepts. It is made if need be, and opened again if it was closed."""
        account_of(request, name)
        if call.clock is not None:
            # Tried first: a call that is refused changes nothing.
            _change(call.clock)(copy(self._accounts.clock(name)))
        account = self._accounts.configure(call.accepts(self._accounts.template(name)))
        if call.clock is not None:
            account.move_clock(_change(call.clock))
        return AsciiJSON(self._account_view(name))

    async def close(self, request: Request, name: AccountName) -> Response:
        """Forget an account, and refuse and count what still comes for it."""
        account_of(request, name)
        return AsciiJSON({"account": name, **asdict(await self._pipeline.close_account(name))})

    async def clock(self, request: Request, account: Account = None) -> Response:
        """Show the account's clock."""
        name = _one_account(request, account)
        return AsciiJSON(_clock_view(name, self._shown(name).clock))

    async def set_clock(self, request: Request, call: ClockCall, account: Account = None) -> Response:
        """Freeze, set, advance or resume the account's clock. It never governs waits or health."""
        name = _one_account(request, account)
        opened = self._open(name)
        opened.move_clock(_change(call))
        return AsciiJSON(_clock_view(name, opened.clock))

    async def faults(self, request: Request, account: Account = None) -> Response:
        """List the account's faults, the oldest first: of those that match, it is the first to hit that counts."""
        name = _one_account(request, account)
        items = [fault_view(name, planted) for planted in self._shown(name).faults.planted()]
        return AsciiJSON({"items": items, "total": len(items), "next_cursor": None, "evicted": 0})

    async def fault(self, request: Request, name: Name, account: Account = None) -> Response:
        """Show a fault with its counts."""
        owner = _one_account(request, account)
        found = next((it for it in self._shown(owner).faults.planted() if it.fault.name == name), None)
        return AsciiJSON(fault_view(owner, _existing(found, name)))

    async def plant(self, request: Request, name: Name, call: FaultCall, account: Account = None) -> Response:
        """Put a fault to work, in the place of the one with that name; its counts begin at zero."""
        owner = _one_account(request, account)
        return AsciiJSON(fault_view(owner, self._open(owner).faults.plant(call.fault(name))))

    async def remove_fault(self, request: Request, name: Name, account: Account = None) -> Response:
        """Take a fault away and show its last counts."""
        owner = _one_account(request, account)
        return AsciiJSON(fault_view(owner, _existing(self._open(owner).faults.remove(name), name)))

    async def clear_faults(self, request: Request, account: Account = None) -> Response:
        """Take all faults of the account away."""
        return AsciiJSON({"removed": self._open(_one_account(request, account)).faults.clear()})

    def _open(self, name: str) -> OpenAccount:
        return _unless_closed(self._accounts.open(name), name)

    def _shown(self, name: str) -> OpenAccount:
        return _unless_closed(self._accounts.shown(name), name)

    def _account_view(self, name: str) -> AccountView:
        late = self._accounts.late(name)
        account = self._accounts.shown(name)
        accepts = account.accepts if account else Accepts(name)
        names = accepts.allowed_events
        return {
            "account": name,
            "state": "open" if account else "closed",
            "late_requests": late or 0,
            "tokens": sorted(masked(token) for token in accepts.tokens),
            "public_keys": sorted(masked(key) for key in accepts.keys),
            "allowed_events": None if names is None else sorted(names),
            "require_identifier": accepts.require_identifier,
            "strict_openapi": accepts.strict_openapi,
            "clock": _clock_view(name, account.clock) if account else None,
            "faults": len(account.faults.planted()) if account else 0,
        }


def _unless_closed(account: OpenAccount | None, name: str) -> OpenAccount:
    if account is None:
        raise HTTPException(409, f"account {name} is closed; PUT /debug/accounts/{name} opens it again")
    return account


def _one_account(request: Request, asked: str | None) -> str:
    return account_of(request, asked) or DEFAULT_ACCOUNT


def _existing(planted: PlantedFault | None, name: str) -> PlantedFault:
    if planted is None:
        raise HTTPException(404, f"there is no fault {name}")
    return planted


def _change(call: ClockCall) -> Callable[[Clock], None]:
    """Return what *call* does to a clock, refused as a call is."""

    def change(clock: Clock) -> None:
        try:
            call.apply(clock)
        except ValueError as error:
            raise HTTPException(400, str(error)) from None

    return change


def _clock_view(account: str, clock: Clock) -> ClockView:
    now = clock.now()
    return {"account": account, "now": iso(now), "now_ms": now, "state": clock.state}
