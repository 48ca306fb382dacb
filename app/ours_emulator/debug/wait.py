"""Waiting for events and verifying them: POST /debug/wait, /debug/verify and /debug/verify/sequence."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import chain
from typing import Any, TypeAlias, TypeVar, get_args

from fastapi import HTTPException, Request
from pydantic import JsonValue
from starlette.responses import Response

from ours_emulator.debug import examples
from ours_emulator.debug.expectations import MAX_MS, ScopeBody, SequenceBody, VerifyBody, WaitBody
from ours_emulator.debug.explain import unmet, unmet_sequence, wish_of, wish_of_sequence
from ours_emulator.debug.match_progress import (
    Diagnosis,
    MatchProgress,
    Scope,
    SequenceProgress,
    Terms,
    diagnose,
    shown_of,
)
from ours_emulator.debug.params import NOT_JSON, REFUSED, ErrorBody, Needs, account_of, answer, debug_router
from ours_emulator.debug.turns import QUICK_STEPS, Turns
from ours_emulator.event_view import MATCH_SHAPE, EventView
from ours_emulator.feed import FeedClosedError, Listener
from ours_emulator.matching import Match, MatchError, compiled
from ours_emulator.model import DEFAULT_ACCOUNT
from ours_emulator.patterns import Budget
from ours_emulator.records import Event, Met, Outcome, Unmet
from ours_emulator.store import EventFilter, StoreReader

_PAGE = 500
_LARGE_PAGE = 10_000
"""Events of a page after the first. Each page costs the store a look at every event of the account."""
_CHUNK = 100
_MAX_SEARCHED = 300
_TINY_STEPS = 50_000
"""What a slice may cost on the event loop: at most 0.2 ms, as much as a thread costs that takes the interpreter's lock
from the loop and has to give it back. Sixty waits that did so for each event held up /debug/health for two seconds."""
_OUTCOMES: Sequence[str] = get_args(Outcome)
_TURNS = Turns()
"""Where regular expressions are compiled and searched for. RE2 lets go of the interpreter's lock while it searches, so
that a costly one holds up neither the event loop nor the writer."""
_T = TypeVar("_T")
_Matching: TypeAlias = Match | SequenceProgress


def _example(value: object) -> dict[str, Any]:
    return {"content": {"application/json": {"example": value}}}


_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {**REFUSED[400], **_example({"error": "match.evnt: unknown field; did you mean event?"})},
    406: {"model": Unmet, "description": "The expectation is not met, and why.", **_example(examples.UNMET)},
    **NOT_JSON,
}
_SHUT_DOWN: dict[int | str, dict[str, Any]] = {503: {"model": ErrorBody, "description": "The emulator shut down."}}
router = debug_router(_RESPONSES)


@router.post("/wait", response_model=Met, responses=_SHUT_DOWN)
async def wait(request: Request, parts: Needs, body: WaitBody) -> Response:
    """Wait until events match. It answers as soon as they are committed, or can no longer be as expected.

    With `settle_ms` it answers once no further one has matched for that long.
    """
    if body.timeout_ms + body.settle_ms > MAX_MS:
        raise HTTPException(400, f"settle_ms: together with timeout_ms it exceeds {MAX_MS}; lower one of them")
    terms, match = _terms(body), await _compiled(body.match)
    scope = _scope(request, body, [match])
    started = _now()
    try:
        # Any event during the wait may change how often an older one was repeated.
        name = None if "repeats" in match.fields else match.text("event")
        with parts.feed.listen(scope.account, name) as listener:
            async with _ended_with(request, listener):
                progress = await _followed(parts.reader, scope, match, terms, body, listener)
    except FeedClosedError:
        raise HTTPException(503, "the emulator shut down during the wait") from None
    return await _result(parts.reader, progress, terms, body, _since(started), body.timeout_ms)


@router.post("/verify", response_model=Met)
async def verify(request: Request, parts: Needs, body: VerifyBody) -> Response:
    """Check at once whether events match."""
    terms, match = _terms(body), await _compiled(body.match)
    started = _now()
    progress = await _stored(parts.reader, _scope(request, body, [match]), match)
    return await _result(parts.reader, progress, terms, body, _since(started))


@router.post("/verify/sequence", response_model=Met)
async def verify_sequence(request: Request, parts: Needs, body: SequenceBody) -> Response:
    """Check at once whether events match one after the other, by their time."""
    budget = Budget()
    steps = [await _compiled(match, f"sequence.{number}", budget) for number, match in enumerate(body.sequence)]
    scope = _scope(request, body, steps)
    started = _now()
    progress = SequenceProgress(steps, strict=body.strict)
    evicted, incomplete = await _ordered(parts.reader, scope, progress)
    items = tuple(view.event for view in progress.matched)
    if progress.met and not (incomplete and body.strict):
        shown = shown_of(progress.matched)
        return answer(Met(items=shown, last=items[-1], count=len(items), evicted=evicted, waited_ms=_since(started)))
    diagnosis = None
    if not progress.met:
        diagnosis = await _diagnosis(parts.reader, scope, steps[progress.next], {event.id for event in items})
        if body.strict:
            diagnosis.fitting.clear()
    wish = wish_of_sequence(body.sequence)
    why = unmet_sequence(progress, wish, diagnosis, len(steps), evicted, incomplete=incomplete)
    return answer(replace(why, waited_ms=_since(started)), status=406)


async def _followed(
    reader: StoreReader, scope: Scope, match: Match, terms: Terms, body: WaitBody, listener: Listener
) -> MatchProgress:
    """Count what is stored, then what arrives, until the terms are met, or cannot be met any more, or time is up."""
    deadline = _now() + body.timeout_ms / 1000
    settle = body.settle_ms / 1000
    progress = await _stored(reader, scope, match)
    settled = _now() + settle
    while not _final(progress, terms):
        until = min(settled, deadline + settle) if terms.met(len(progress.ids)) else deadline
        left = until - _now()
        if left <= 0:
            break
        views = await listener.next(left)
        if views is None:
            continue
        if not views or ("repeats" in match.fields and any(view.event.outcome == "duplicate" for view in views)):
            progress = await _stored(reader, scope, match)
            settled = _now() + settle
        elif any(await _searched(match, progress.add, views)):
            settled = _now() + settle
    return progress


def _final(progress: MatchProgress, terms: Terms) -> bool:
    """Whether nothing that arrives can change the result."""
    return terms.exceeded(len(progress.ids)) or (progress.incomplete and terms.mode != "at_least")


async def _stored(reader: StoreReader, scope: Scope, match: Match) -> MatchProgress:
    """Count what is stored."""
    progress = MatchProgress(scope, match)
    last, where, limit = scope.after, scope.where(match), _PAGE
    while True:
        part = await reader.arrivals(scope.account, where, last, limit)
        progress.note_evicted(part)
        async for events in _chunks(part.events):
            await _searched(match, progress.add, list(map(EventView, events)))
        if not part.more:
            return progress
        last, limit = part.events[-1].id, _LARGE_PAGE


async def _ordered(reader: StoreReader, scope: Scope, progress: SequenceProgress) -> tuple[int, bool]:
    """Lead *progress* through what is stored; return how many events were evicted, and whether that may matter."""
    since = None
    while True:
        part = await reader.timeline(scope.account, scope.where(), scope.after, since, _PAGE)
        async for events in _chunks(part.events):
            await _searched(progress, progress.add_all, list(map(EventView, events)))
        if progress.met or not part.more:
            return part.evicted, scope.incomplete(part)
        since = (part.events[-1].time, part.events[-1].id)


async def _result(
    reader: StoreReader,
    progress: MatchProgress,
    terms: Terms,
    body: VerifyBody,
    waited_ms: int,
    timeout_ms: int | None = None,
) -> Response:
    count = len(progress.ids)
    if terms.met(count) and not (progress.incomplete and terms.mode != "at_least"):
        last, evicted = progress.last, progress.evicted
        return answer(Met(items=progress.arrived, last=last, count=count, evicted=evicted, waited_ms=waited_ms))
    diagnosis, elsewhere = None, ""
    if count < terms.count:
        diagnosis = await _diagnosis(reader, progress.scope, progress.match, progress.ids)
        if not (count or diagnosis.candidates.near_misses or diagnosis.near.near_misses):
            elsewhere = await _elsewhere(reader, progress.scope, progress.match)
    why = unmet(progress, terms, wish_of(body.match, terms, body.outcome), diagnosis, elsewhere, timeout_ms)
    return answer(replace(why, waited_ms=waited_ms), status=406)


async def _diagnosis(reader: StoreReader, scope: Scope, match: Match, met: set[int]) -> Diagnosis:
    """Return, of the last events to arrive, what would match had it been accepted, what comes near, and what fits."""
    latest = await _latest(reader, scope.account, EventFilter(outcome=None), scope.after)
    missed = list(chain(*await _searched(match, lambda views: [match.misses(view.fields) for view in views], latest)))
    return await _TURNS.take(match.budget, 0, diagnose, scope, match, met, latest, missed)


async def _elsewhere(reader: StoreReader, scope: Scope, match: Match) -> str:
    """Return a hint if the missing event went to the account `default`, as from an app with a fixed address."""
    if scope.account in (None, DEFAULT_ACCOUNT):
        return ""
    there = await _latest(reader, DEFAULT_ACCOUNT, scope.where(match), scope.after)
    if not any(await _searched(match, lambda views: any(match.fits(view.fields) for view in views), there)):
        return ""
    return "; a matching event arrived in account default; point the app to the address of this account"


async def _latest(reader: StoreReader, account: str | None, where: EventFilter, after: int) -> list[EventView]:
    part = await reader.latest_arrivals(account, where, after, _MAX_SEARCHED)
    return [EventView(event) async for events in _chunks(part.events) for event in events]


async def _chunks(events: Sequence[Event]) -> AsyncGenerator[Sequence[Event]]:
    """Yield *events* in parts, between which other tasks have their turn."""
    for first in range(0, len(events), _CHUNK):
        yield events[first : first + _CHUNK]
        await asyncio.sleep(0)


def _terms(body: VerifyBody) -> Terms:
    if body.mode == "none":
        if body.count:
            raise HTTPException(400, f"count: {body.count} contradicts mode none; omit it")
        return Terms("none", 0)
    count = 1 if body.count is None else body.count
    if body.mode == "at_least" and count == 0:
        raise HTTPException(400, "count: at least 0 is always true; use mode none to expect no event")
    return Terms(body.mode, count)


async def _compiled(match: dict[str, JsonValue], root: str = "match", budget: Budget | None = None) -> Match:
    budget = budget or Budget()
    made = await _TURNS.take(budget, 0, compiled, match, MATCH_SHAPE, root, budget)
    outcome = made.text("outcome")
    if outcome is not None and outcome not in _OUTCOMES:
        raise MatchError(f"{root}.outcome: {outcome[:100]} is not an outcome; use one of {', '.join(_OUTCOMES)}")
    return made


def _scope(request: Request, body: ScopeBody, matches: Sequence[Match]) -> Scope:
    """Return what *body* is about. Without a name it is no event, unless asked for (as in GET /debug/events)."""
    fields = frozenset[str]().union(*(match.fields for match in matches))
    outcome = body.outcome or ("any" if "outcome" in fields else "accepted")
    named = body.outcome is None and not fields & {"outcome", "endpoint"}
    return Scope(account_of(request, body.account), None if outcome == "any" else outcome, named, body.after)


async def _searched(
    match: _Matching, evaluate: Callable[[Sequence[EventView]], _T], views: Sequence[EventView]
) -> list[_T]:
    """Return what *evaluate*, which applies *match*, returns for *views*: for slices of them, off the event loop and in
    turns with other calls, if that may take a while."""
    if not match.searches:
        return [evaluate(views)]
    return [
        await _TURNS.take(match.budget, steps, evaluate, part) if steps > _TINY_STEPS else evaluate(part)
        for part, steps in _slices(match, views)
    ]


def _slices(match: _Matching, views: Sequence[EventView]) -> Generator[tuple[Sequence[EventView], int]]:
    """Yield *views* in parts, each with the steps that *match* takes on it: no more than is quick, or of one event."""
    first = total = 0
    for number, view in enumerate(views):
        steps = match.steps(view.fields)
        if number > first and (total + steps > QUICK_STEPS or number - first == _CHUNK):
            yield views[first:number], total
            first, total = number, 0
        total += steps
    if views:
        yield views[first:], total


def _now() -> float:
    return asyncio.get_running_loop().time()


def _since(started: float) -> int:
    return round((_now() - started) * 1000)


@asynccontextmanager
async def _ended_with(request: Request, listener: Listener) -> AsyncGenerator[None]:
    """Close *listener* when the client leaves: nobody reads the answer any more."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        listener.close()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
