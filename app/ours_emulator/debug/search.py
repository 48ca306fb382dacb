"""Searching stored events for those that match, and for why one is missing: in slices, so that nobody waits for it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from operator import attrgetter, itemgetter
from typing import TypeAlias, TypeVar, get_args

from pydantic import JsonValue

from ours_emulator.debug.match_progress import (
    Diagnosis,
    MatchProgress,
    Scope,
    SequenceProgress,
    diagnose,
    fitting,
    may_be_told_by_request,
)
from ours_emulator.debug.sent import explain_lost, with_sent
from ours_emulator.debug.turns import QUICK_STEPS, Turns
from ours_emulator.event_view import MATCH_SHAPE, EventView, excerpt_fields, with_identifiers
from ours_emulator.matching import Match, MatchError, compiled
from ours_emulator.model import DEFAULT_ACCOUNT, Properties
from ours_emulator.patterns import Budget
from ours_emulator.records import Miss, Outcome
from ours_emulator.store import EventFilter, StoreReader

_PAGE = 500
_FEW = 50
"""Events that are read whole: to read parts of them, and then some of them whole, takes twice as long for one event."""
_EXCERPTS = 4000
_CHUNK = 100
"""Events that are looked at before other tasks have their turn: about a millisecond."""
_ATTEMPTS = 5
_SEARCHED = 1000
"""Events that are searched before other calls have their turn, at most."""
_MAX_SEARCHED = 300
_MAX_REQUESTS = 10
"""Requests that are read for what they say of a refused event."""
_TINY_STEPS = 50_000
"""What a slice may cost on the event loop: at most 0.2 ms, as much as a thread costs that takes the interpreter's lock
from the loop and has to give it back. Sixty waits that did so for each event held up /debug/health for two seconds."""
_OUTCOMES: Sequence[str] = get_args(Outcome)
_TURNS = Turns()
"""Where regular expressions are compiled and searched for. RE2 lets go of the interpreter's lock while it searches, so
that a costly one holds up neither the event loop nor the writer."""
FIELDS = attrgetter("fields")
"""The fields of an `EventView`."""
_T = TypeVar("_T")
_Item = TypeVar("_Item")
_Matching: TypeAlias = Match | SequenceProgress


async def stored_matches(
    reader: StoreReader, scope: Scope, match: Match, deadline: float | None = None
) -> MatchProgress:
    """Count what is stored, until *deadline* if one is given."""
    few = await _few_matches(reader, scope, match)
    if few is not None:
        return few
    attempt = 0
    while True:
        progress, attempt = await _searched(reader, scope, match, deadline), attempt + 1
        ends = sorted({min(progress.ids, default=0), max(progress.ids, default=0)} - {0})
        events = await reader.events_of(scope.account, ends)
        # If one is gone, there was a reset or an eviction meanwhile: the count is that of no moment.
        if len(events) == len(ends) or attempt == _ATTEMPTS:
            for event in events:
                progress.note_last(event)
            return progress


async def _few_matches(reader: StoreReader, scope: Scope, match: Match) -> MatchProgress | None:
    """Count what is stored, if an index says that only a few events may match; else return None."""
    # To have the store look at the properties too takes longer than to look at those of a few events here.
    where = replace(scope.where(match), properties={})
    if (where.event, where.visitor_id, where.distinct_id) == (None, None, None):
        return None
    part = await reader.arrivals(scope.account, where, scope.after, _FEW)
    if part.more:
        return None
    progress = MatchProgress(scope, match)
    progress.note_evicted(part)
    await evaluated_in_slices(match, progress.add, list(map(EventView, part.items)), FIELDS)
    return progress


async def _searched(reader: StoreReader, scope: Scope, match: Match, deadline: float | None) -> MatchProgress:
    progress = MatchProgress(scope, match)
    where, fields, last = scope.where(match), excerpt_fields(match.fields), scope.after
    while True:
        part = await reader.excerpts(scope.account, where, fields, last, _EXCERPTS)
        progress.note_evicted(part)
        excerpts = part.items
        if fields != match.fields:  # An identifier is asked for.
            excerpts = [(event_id, with_identifiers(excerpt)) for event_id, excerpt in excerpts]
        progress.ids.update(*await evaluated_in_slices(match, partial(fitting, match), excerpts, itemgetter(1)))
        await _read_for_show(reader, progress, last)
        if not part.more:
            return progress
        last = part.items[-1][0]
        if deadline is not None and asyncio.get_running_loop().time() > deadline:
            progress.searched_to = last
            return progress


async def _read_for_show(reader: StoreReader, progress: MatchProgress, after: int) -> None:
    """Read as many of the matching events with an id greater than *after* as *progress* has room for."""
    while progress.room and (ids := sorted(id_ for id_ in progress.ids if id_ > after)):
        events = await reader.events_of(progress.scope.account, ids[: progress.room])
        for event in events:
            progress.keep(EventView(event))
        after = events[-1].id if events else ids[-1]


async def follow_sequence(reader: StoreReader, scope: Scope, progress: SequenceProgress) -> tuple[int, bool]:
    """Lead *progress* through what is stored; return how many events were evicted, and whether that may matter."""
    since = None
    while True:
        part = await reader.timeline(scope.account, scope.where(), scope.after, since, _PAGE)
        await evaluated_in_slices(progress, progress.add_all, list(map(EventView, part.items)), FIELDS)
        if progress.met or not part.more:
            return part.evicted, scope.incomplete(part)
        since = (part.items[-1].time, part.items[-1].id)


async def diagnosis_of(reader: StoreReader, scope: Scope, match: Match, met: set[int]) -> Diagnosis:
    """Return, of the last events to arrive, what would match had it been accepted, what comes near, and what fits."""
    latest = await _latest(reader, scope.account, EventFilter(outcome=None), scope.after)
    missed = await _missed(match, latest)
    refused = [
        at
        for at, (view, misses) in enumerate(zip(latest, missed, strict=True))
        if may_be_told_by_request(scope, view.event, misses)
    ][:_MAX_REQUESTS]
    told = await with_sent(reader, [latest[at] for at in refused])
    for at, view, misses in zip(refused, told, await _missed(match, told), strict=True):
        latest[at], missed[at] = view, misses
    diagnosis = await _TURNS.take(match.budget, 0, diagnose, scope, match, met, latest, missed)
    await explain_lost(reader, diagnosis.near)
    return diagnosis


async def _missed(match: Match, views: Sequence[EventView]) -> list[list[Miss]]:
    """Return what each of *views* misses."""
    missed = await evaluated_in_slices(match, lambda part: [match.misses(view.fields) for view in part], views, FIELDS)
    return list(chain(*missed))


async def found_elsewhere(reader: StoreReader, scope: Scope, match: Match) -> str:
    """Return a hint if the missing event went to the account `default`, as from an app with a fixed address."""
    if scope.account in (None, DEFAULT_ACCOUNT):
        return ""
    there = await _latest(reader, DEFAULT_ACCOUNT, scope.where(match), scope.after)
    if not any(
        await evaluated_in_slices(match, lambda views: any(match.fits(view.fields) for view in views), there, FIELDS)
    ):
        return ""
    return "; a matching event arrived in account default; point the app to the address of this account"


async def _latest(reader: StoreReader, account: str | None, where: EventFilter, after: int) -> list[EventView]:
    part = await reader.latest_arrivals(account, where, after, _MAX_SEARCHED)
    return list(map(EventView, part.items))


async def _chunks(items: Sequence[_T]) -> AsyncGenerator[Sequence[_T]]:
    """Yield *items* in parts, between which other tasks have their turn."""
    for first in range(0, len(items), _CHUNK):
        yield items[first : first + _CHUNK]
        await asyncio.sleep(0)


async def compiled_match(match: dict[str, JsonValue], root: str = "match", budget: Budget | None = None) -> Match:
    """Return *match* compiled for events. Raises MatchError with the place, which begins with *root*."""
    budget = budget or Budget()
    made = await _TURNS.take(budget, 0, compiled, match, MATCH_SHAPE, root, budget)
    outcome = made.text("outcome")
    if outcome is not None and outcome not in _OUTCOMES:
        raise MatchError(f"{root}.outcome: {outcome[:100]} is not an outcome; use one of {', '.join(_OUTCOMES)}")
    return made


async def evaluated_in_slices(
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
    match.budget.add_events(len(items))
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
