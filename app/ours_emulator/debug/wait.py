"""Waiting for events and verifying them: POST /debug/wait, /debug/verify and /debug/verify/sequence."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from operator import attrgetter, itemgetter
from typing import TypeAlias, TypeVar, get_args

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
    fitting,
    shown_of,
)
from ours_emulator.debug.params import (
    NOT_JSON,
    NOT_UNDERSTOOD,
    Needs,
    Responses,
    account_of,
    answer,
    debug_router,
    error_response,
)
from ours_emulator.debug.turns import QUICK_STEPS, Turns
from ours_emulator.event_view import MATCH_SHAPE, EventView, excerpt_fields, with_identifiers
from ours_emulator.feed import FeedClosedError, Listener
from ours_emulator.matching import Match, MatchError, compiled
from ours_emulator.model import DEFAULT_ACCOUNT, Properties
from ours_emulator.patterns import Budget
from ours_emulator.records import Met, Outcome, Unmet
from ours_emulator.store import EventFilter, StoreReader

_PAGE = 500
_EXCERPTS = 2000
_CHUNK = 100
"""Events that are looked at before other tasks have their turn: about a millisecond."""
_SEARCHED = 500
"""Events that are searched before other calls have their turn, at most."""
_MAX_SEARCHED = 300
_TINY_STEPS = 50_000
"""What a slice may cost on the event loop: at most 0.2 ms, as much as a thread costs that takes the interpreter's lock
from the loop and has to give it back. Sixty waits that did so for each event held up /debug/health for two seconds."""
_OUTCOMES: Sequence[str] = get_args(Outcome)
_TURNS = Turns()
"""Where regular expressions are compiled and searched for. RE2 lets go of the interpreter's lock while it searches, so
that a costly one holds up neither the event loop nor the writer."""
_FIELDS = attrgetter("fields")
_T = TypeVar("_T")
_Item = TypeVar("_Item")
_Matching: TypeAlias = Match | SequenceProgress


_UNMET = {"application/json": {"example": examples.UNMET}}
_RESPONSES: Responses = {
    **error_response(400, NOT_UNDERSTOOD, "match.evnt: unknown field; did you mean event?"),
    406: {"model": Unmet, "description": "The expectation is not met, and why.", "content": _UNMET},
    **NOT_JSON,
}
_SHUT_DOWN = error_response(503, "The emulator shut down.")
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
    reader, started = await parts.reader(), _now()
    try:
        # Any event during the wait may change how often an older one was repeated.
        name = None if "repeats" in match.fields else match.text("event")
        with parts.feed.listen(scope.account, name) as listener:
            async with _ended_with(request, listener):
                progress = await _followed(reader, scope, match, terms, body, listener)
    except FeedClosedError:
        raise HTTPException(503, "the emulator shut down during the wait") from None
    return await _result(reader, progress, terms, body, _since(started), body.timeout_ms)


@router.post("/verify", response_model=Met)
async def verify(request: Request, parts: Needs, body: VerifyBody) -> Response:
    """Check at once whether events match."""
    terms, match = _terms(body), await _compiled(body.match)
    reader, started = await parts.reader(), _now()
    progress = await _stored(reader, _scope(request, body, [match]), match)
    return await _result(reader, progress, terms, body, _since(started))


@router.post("/verify/sequence", response_model=Met)
async def verify_sequence(request: Request, parts: Needs, body: SequenceBody) -> Response:
    """Check at once whether events match one after the other, by their time."""
    budget = Budget()
    steps = [await _compiled(match, f"sequence.{number}", budget) for number, match in enumerate(body.sequence)]
    scope = _scope(request, body, steps)
    reader, started = await parts.reader(), _now()
    progress = SequenceProgress(steps, strict=body.strict)
    evicted, incomplete = await _ordered(reader, scope, progress)
    items = tuple(view.event for view in progress.matched)
    if progress.met and not (incomplete and body.strict):
        shown = shown_of(progress.matched)
        return answer(Met(items=shown, last=items[-1], count=len(items), evicted=evicted, waited_ms=_since(started)))
    diagnosis = None
    if not progress.met:
        diagnosis = await _diagnosis(reader, scope, steps[progress.next], {event.id for event in items})
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
    progress = await _stored(reader, scope, match, deadline)
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
            progress = await _stored(reader, scope, match, deadline)
            settled = _now() + settle
        elif any(await _searched(match, progress.add, views, _FIELDS)):
            settled = _now() + settle
    return progress


def _final(progress: MatchProgress, terms: Terms) -> bool:
    """Whether nothing that arrives can change the result."""
    return terms.exceeded(len(progress.ids)) or (progress.uncertain and terms.mode != "at_least")


async def _stored(reader: StoreReader, scope: Scope, match: Match, deadline: float | None = None) -> MatchProgress:
    """Count what is stored, until *deadline* if one is given."""
    progress = MatchProgress(scope, match)
    where, fields, last = scope.where(match), excerpt_fields(match.fields), scope.after
    while True:
        part = await reader.excerpts(scope.account, where, fields, last, _EXCERPTS)
        progress.note_evicted(part)
        excerpts = [(event_id, with_identifiers(excerpt)) for event_id, excerpt in part.items]
        progress.ids.update(*await _searched(match, partial(fitting, match), excerpts, itemgetter(1)))
        await _read_for_show(reader, progress, last)
        if not part.more:
            break
        last = part.items[-1][0]
        if deadline is not None and _now() > deadline:
            progress.searched_to = last
            break
    for event in await reader.events_of(scope.account, [max(progress.ids, default=0)]):
        progress.note_last(event)
    return progress


async def _read_for_show(reader: StoreReader, progress: MatchProgress, after: int) -> None:
    """Read as many of the matching events with an id greater than *after* as *progress* has room for."""
    while progress.room and (ids := sorted(id_ for id_ in progress.ids if id_ > after)):
        events = await reader.events_of(progress.scope.account, ids[: progress.room])
        for event in events:
            progress.keep(EventView(event))
        after = events[-1].id if events else ids[-1]


async def _ordered(reader: StoreReader, scope: Scope, progress: SequenceProgress) -> tuple[int, bool]:
    """Lead *progress* through what is stored; return how many events were evicted, and whether that may matter."""
    since = None
    while True:
        part = await reader.timeline(scope.account, scope.where(), scope.after, since, _PAGE)
        await _searched(progress, progress.add_all, list(map(EventView, part.events)), _FIELDS)
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
    if terms.met(count) and not (progress.uncertain and terms.mode != "at_least"):
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
    missed = await _searched(match, lambda views: [match.misses(view.fields) for view in views], latest, _FIELDS)
    return await _TURNS.take(match.budget, 0, diagnose, scope, match, met, latest, list(chain(*missed)))


async def _elsewhere(reader: StoreReader, scope: Scope, match: Match) -> str:
    """Return a hint if the missing event went to the account `default`, as from an app with a fixed address."""
    if scope.account in (None, DEFAULT_ACCOUNT):
        return ""
    there = await _latest(reader, DEFAULT_ACCOUNT, scope.where(match), scope.after)
    if not any(await _searched(match, lambda views: any(match.fits(view.fields) for view in views), there, _FIELDS)):
        return ""
    return "; a matching event arrived in account default; point the app to the address of this account"


async def _latest(reader: StoreReader, account: str | None, where: EventFilter, after: int) -> list[EventView]:
    part = await reader.latest_arrivals(account, where, after, _MAX_SEARCHED)
    return list(map(EventView, part.events))


async def _chunks(items: Sequence[_T]) -> AsyncGenerator[Sequence[_T]]:
    """Yield *items* in parts, between which other tasks have their turn."""
    for first in range(0, len(items), _CHUNK):
        yield items[first : first + _CHUNK]
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
    match: _Matching,
    evaluate: Callable[[Sequence[_Item]], _T],
    items: Sequence[_Item],
    fields: Callable[[_Item], Properties],
) -> list[_T]:
    """Return what *evaluate*, which applies *match* to the *fields* of *items*, returns for slices of these.

    Other tasks have their turn in between. A search is done off the event loop, in turns with other calls.
    """
    if not match.searches:
        return [evaluate(part) async for part in _chunks(items)]
    results: list[_T] = []
    for part, steps in _slices(match, items, fields):
        tiny = steps <= _TINY_STEPS and len(part) <= _CHUNK
        results.append(evaluate(part) if tiny else await _TURNS.take(match.budget, steps, evaluate, part))
    return results


def _slices(
    match: _Matching, items: Sequence[_Item], fields: Callable[[_Item], Properties]
) -> Generator[tuple[Sequence[_Item], int]]:
    """Yield *items* in parts, each with the steps that *match* takes on it: no more than is quick, or of one item."""
    first = total = 0
    for number, item in enumerate(items):
        steps = match.steps(fields(item))
        if number > first and (total + steps > QUICK_STEPS or number - first == _SEARCHED):
            yield items[first:number], total
            first, total = number, 0
        total += steps
    if items:
        yield items[first:], total


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
