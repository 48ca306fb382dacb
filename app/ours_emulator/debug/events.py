"""Events: GET /debug/events, the latest one, one by id."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Annotated, TypeAlias

from fastapi import Depends, HTTPException, Query, Request
from starlette.responses import Response

from ours_emulator.debug.event_changes import event_detail
from ours_emulator.debug.params import (
    ANY_PROPERTY,
    DEFAULT_LIMIT,
    NOT_FOUND,
    PROPERTY,
    Account,
    AskedOutcome,
    Cursor,
    Endpoint,
    HintRule,
    Limit,
    Needs,
    Order,
    Reader,
    ReasonRule,
    Since,
    answer,
    debug_router,
    found,
    stored_id,
)
from ours_emulator.debug.scans import IsAbandoned, Read, Scans
from ours_emulator.records import Event, EventDetail, Page, VisitorVersion
from ours_emulator.store import LARGEST, CursorError, EventFilter

_MAX_PROPERTIES = 50
_MAX_TEXT = 1000
_MAX_DIGITS = 19
_OF = "_"
"""Stands in the cursor of a search between the place and the count."""
TOO_LONG = "q: the search takes too long; add event= or visitor_id="
_TEXT = (
    "Text anywhere in the name, the ids or what was sent: in names and values of properties, identifiers, data and "
    "devices, in any case."
)
router = debug_router()


async def _properties(
    request: Request,
    _documented: Annotated[
        str | None,
        Query(alias=ANY_PROPERTY, description="An event property by its NAME; dots lead into objects."),
    ] = None,
) -> Mapping[str, str]:
    """Return the event properties that are asked for. Bounded, as each level is one more expression for the store."""
    asked = {
        name.removeprefix(PROPERTY): value for name, value in request.query_params.items() if name.startswith(PROPERTY)
    }
    if len(asked) > _MAX_PROPERTIES or any(name.count(".") >= _MAX_PROPERTIES for name in asked):
        raise HTTPException(400, f"{PROPERTY}…: at most {_MAX_PROPERTIES} of them, and {_MAX_PROPERTIES} levels each")
    return asked


AskedProperties: TypeAlias = Annotated[Mapping[str, str], Depends(_properties)]


async def _event_filter(
    properties: AskedProperties,
    event: str | None = None,
    visitor_id: str | None = None,
    distinct_id: str | None = None,
    endpoint: Endpoint | None = None,
    outcome: AskedOutcome | None = None,
    test: Annotated[bool | None, Query(description="Whether it was sent with a Test Mode key.")] = None,
    since: Since = None,
    hint: HintRule | None = None,
    reason: ReasonRule | None = None,
    request_id: Annotated[int | None, Query(ge=1, le=LARGEST, description="Only the events of this request.")] = None,
) -> EventFilter:
    if reason is not None and outcome is None:
        outcome = "any"
    return EventFilter(
        event,
        visitor_id,
        distinct_id,
        endpoint,
        _outcome(outcome),
        outcome is None and endpoint is None,
        test,
        since,
        properties,
        hint,
        reason,
        request_id,
    )


Filter: TypeAlias = Annotated[EventFilter, Depends(_event_filter)]


@router.get("/events", response_model=Page[Event])
async def events(
    request: Request,
    parts: Needs,
    reader: Reader,
    account: Account,
    which: Filter,
    q: Annotated[str | None, Query(description=_TEXT, json_schema_extra={"maxLength": _MAX_TEXT})] = None,
    order: Order = "time",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Response:
    """List events, the latest by time first: the accepted ones, unless `outcome` or `reason` asks for others.

    Calls of the Client API that are not events (identify, alias, devices) are listed if `outcome` or `endpoint` is
    given. `property.NAME=VALUE` asks for an event property; dots lead into objects.
    """
    if not q:
        return answer(await reader.events(account, which, limit, cursor, order))
    # Not by a constraint of pydantic, which replaces lone surrogates.
    if len(q) > _MAX_TEXT:
        raise HTTPException(400, f"q: must have at most {_MAX_TEXT} characters")
    read = partial(reader.ids_with_text, account, which, q, order)
    ids, total = await searched(parts.scans, read, request.is_disconnected, limit, cursor)
    page = await reader.events(account, EventFilter(outcome=None, ids=ids), limit, None, order)
    next_cursor = page.next_cursor and f"{page.next_cursor}{_OF}{total}"
    return answer(replace(page, total=total, next_cursor=next_cursor))


@router.get("/events/latest", response_model=Event, responses=NOT_FOUND)
async def latest_event(
    reader: Reader,
    account: Account,
    properties: AskedProperties,
    event: str | None = None,
    visitor_id: str | None = None,
    outcome: AskedOutcome | None = None,
) -> Response:
    """Show the latest event by time."""
    asked, named = _outcome(outcome), outcome is None
    which = EventFilter(event, visitor_id, outcome=asked, named=named, properties=properties)
    latest = await reader.latest_event(account, which)
    nothing = "no such event was accepted; add outcome=any to include the others"
    return answer(found(latest, nothing))


@router.get("/events/{event_id}", response_model=EventDetail, responses=NOT_FOUND)
async def event(reader: Reader, account: Account, event_id: int) -> Response:
    """Show one event, whatever its outcome, and its changes to its visitor.

    `changes` has each value that it added, changed or removed, each that it sent and that was `ignored`, with why, and
    each that it sent and that is stored already.
    """
    stored = found(await reader.event(account, stored_id(event_id)), f"there is no event {event_id}")
    # A visitor may have 200,000 values; comparing those takes a second.
    return answer(await asyncio.to_thread(event_detail, stored))


@router.get("/events/{event_id}/visitor", response_model=VisitorVersion, responses=NOT_FOUND)
async def event_visitor(reader: Reader, account: Account, event_id: int) -> Response:
    """Show the visitor right after this event.

    A part that the store never recorded (in a file of version 2) is null, and its name is in `unknown`.
    """
    version = await reader.visitor_version(account, stored_id(event_id))
    return answer(found(version, f"event {event_id} has no visitor"))


async def searched(
    scans: Scans, read: Read[str, Sequence[int]], is_abandoned: IsAbandoned, limit: int, cursor: str | None
) -> tuple[list[int], int]:
    """Return the ids that *read* finds, and how many there are on all pages.

    The first page searches everything, as it counts them. The next ones know the count by their *cursor*; they search
    from there on, and no more than a page of *limit* needs.
    """
    start, total = ("", None) if cursor is None else _place(cursor)
    ids: list[int] = []
    async with aclosing(scans.slices(read, start, is_abandoned, TOO_LONG)) as slices:
        async for part in slices:
            ids += part
            if total is not None and len(ids) > limit:
                break
    return ids, len(ids) if total is None else total


def _place(cursor: str) -> tuple[str, int]:
    """Return the place in *cursor*, and the count of what is on all pages."""
    place, of, total = cursor.partition(_OF)
    if not (place and of and total.isascii() and total.isdigit() and len(total) < _MAX_DIGITS):
        raise CursorError(cursor)
    return place, int(total)


def _outcome(asked: str | None) -> str | None:
    """Return the outcome to filter by: accepted unless another one is asked for, None for any."""
    return None if asked == "any" else asked or "accepted"
