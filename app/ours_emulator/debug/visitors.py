"""Visitors: GET /debug/visitors, one of them, and their events."""

from typing import Annotated
from urllib.parse import unquote

from fastapi import HTTPException, Query
from starlette.responses import Response

from ours_emulator.contract.revision import identifier_kinds
from ours_emulator.debug.params import (
    DEFAULT_LIMIT,
    NOT_FOUND,
    Account,
    Cursor,
    Limit,
    Order,
    Reader,
    answer,
    debug_router,
    found,
)
from ours_emulator.decide.phone import PHONE, phone_name
from ours_emulator.model import Identifier
from ours_emulator.records import Event, Page, Visitor
from ours_emulator.store import EventFilter, StoreReader, VisitorFilter
from ours_emulator.wording import cut, listed

_PHONE_NUMBER = (
    "The visitor's `phone_number`, compared as revision 2026-10 does, whatever the revision of the account: without "
    "space, punctuation and a leading + or 00. A text without a digit is refused."
)
router = debug_router()


@router.get("/visitors", response_model=Page[Visitor])
async def visitors(
    reader: Reader,
    account: Account,
    user_id: str | None = None,
    external_id: str | None = None,
    email: str | None = None,
    anonymous_id: str | None = None,
    phone_number: Annotated[str | None, Query(description=_PHONE_NUMBER)] = None,
    q: Annotated[
        str | None, Query(description="Text anywhere in a visitor's ids or in the values of the properties.")
    ] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """List visitors, the newest first."""
    asked: dict[Identifier, str | None] = {
        "user_id": user_id,
        "external_id": external_id,
        "email": email,
        "anonymous_id": anonymous_id,
        PHONE: None if phone_number is None else _phone_name(phone_number),
    }
    # SQL compares it as text, in which there are no lone surrogates.
    text = None if q is None else q.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    which = VisitorFilter({kind: value for kind, value in asked.items() if value is not None}, text)
    return answer(await reader.visitors(account, which, limit, cursor))


@router.get("/visitors/{visitor_id}", response_model=Visitor, responses=NOT_FOUND)
async def visitor(reader: Reader, account: Account, visitor_id: str) -> Response:
    """Show one visitor."""
    return answer(await _visitor(reader, account, _unquoted(visitor_id)))


@router.get("/visitors/{visitor_id}/events", response_model=Page[Event], responses=NOT_FOUND)
async def visitor_events(
    reader: Reader,
    account: Account,
    visitor_id: str,
    order: Order = "time",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """List everything that named one visitor, the latest by time first: events, duplicates, Client API calls.

    Dropped and refused events, and devices that were registered before the visitor appeared, are there too, if they
    gave an identifier that the visitor has now. A batch that was refused as a whole is not, and neither are refused
    calls of the Client API.
    """
    shown = await _visitor(reader, account, _unquoted(visitor_id))
    which = EventFilter(visitor_id=shown.visitor_id, outcome=None, also_named=names_of(shown))
    return answer(await reader.events(shown.account, which, limit, cursor, order))


async def _visitor(reader: StoreReader, account: str | None, visitor_id: str) -> Visitor:
    page = await reader.visitors(account, VisitorFilter({"user_id": visitor_id}), DEFAULT_LIMIT, None)
    if len(page.items) > 1:
        names = listed([visitor.account for visitor in page.items])
        raise HTTPException(400, f"several accounts have visitor {visitor_id}: {names}; name the account")
    return found(next(iter(page.items), None), f"there is no visitor {visitor_id}")


def _phone_name(phone_number: str) -> str:
    name = phone_name(phone_number)
    if name is None:
        raise HTTPException(400, f"phone_number: {cut(phone_number)!r} has no digit; use a number such as +15551234567")
    return name


def names_of(visitor: Visitor) -> dict[str, str]:
    """Return the identifiers of *visitor* by each name that a message may give them."""
    identifiers = visitor.identifiers
    values: dict[Identifier, str | None] = {
        "user_id": identifiers.user_id,
        "external_id": identifiers.external_id,
        "email": identifiers.email,
        "anonymous_id": identifiers.anonymous_id,
        PHONE: phone_name(visitor.properties.get(PHONE)),
    }
    return {name: value for name, kind in identifier_kinds().items() if (value := values[kind]) is not None}


def _unquoted(text: str) -> str:
    """Return what a client meant by a part of the path; identifiers may hold lone surrogates."""
    try:
        return unquote(text, errors="surrogatepass")
    except UnicodeDecodeError:
        return unquote(text)
