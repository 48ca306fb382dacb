"""Waiting for events and verifying them: POST /debug/wait, /debug/verify and /debug/verify/sequence."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from fastapi import HTTPException, Request
from starlette.responses import Response

from ours_emulator.debug import examples
from ours_emulator.debug.expectations import MAX_MS, ScopeBody, SequenceBody, VerifyBody, WaitBody
from ours_emulator.debug.explain import unmet, unmet_sequence, wish_of, wish_of_sequence
from ours_emulator.debug.match_progress import (
    MatchProgress,
    Scope,
    SequenceProgress,
    Terms,
    shown_of,
)
from ours_emulator.debug.params import (
    NOT_JSON,
    NOT_UNDERSTOOD,
    Needs,
    Reader,
    Responses,
    account_of,
    answer,
    debug_router,
    error_response,
)
from ours_emulator.debug.parts import Parts
from ours_emulator.debug.search import (
    FIELDS,
    compiled_match,
    diagnosis_of,
    evaluated_in_slices,
    follow_sequence,
    found_elsewhere,
    stored_matches,
)
from ours_emulator.debug.sent import explain_lost
from ours_emulator.event_view import EventView
from ours_emulator.feed import FeedClosedError, Listener
from ours_emulator.matching import Match
from ours_emulator.patterns import Budget
from ours_emulator.records import Met, Unmet
from ours_emulator.store import StoreReader
from ours_emulator.wording import plural

_STORED_SECONDS = 1.0
"""How much longer than its timeout a wait may search what is stored: with a timeout of 0 it only looks there."""
_UNMET = {"application/json": {"example": examples.UNMET}}
_RESPONSES: Responses = {
    **error_response(400, NOT_UNDERSTOOD, "match.evnt: unknown field; did you mean event?"),
    406: {"model": Unmet, "description": "The expectation is not met, and why.", "content": _UNMET},
    **NOT_JSON,
}
_SHUT_DOWN = error_response(503, "The emulator shut down.")
router = debug_router(_RESPONSES)


@router.post("/wait", response_model=Met, responses=_SHUT_DOWN)
async def wait(request: Request, parts: Needs, reader: Reader, body: WaitBody) -> Response:
    """Wait until events match. It answers as soon as they are committed, or can no longer be as expected.

    With `settle_ms` it answers once no further one has matched for that long.
    """
    if body.timeout_ms + body.settle_ms > MAX_MS:
        raise HTTPException(400, f"settle_ms: together with timeout_ms it exceeds {MAX_MS}; lower one of them")
    terms, match = _terms(body), await compiled_match(body.match)
    scope = _scope(request, body, [match])
    started = _now()
    try:
        # Any event during the wait may change how often an older one was repeated.
        name = None if "repeats" in match.fields else match.text("event")
        with parts.feed.listen(scope.account, name) as listener:
            async with _ended_with(request, listener):
                progress = await _followed(reader, scope, match, terms, body, listener)
                if parts.feed.is_late and not _is_met_for_good(progress, terms):
                    # What another process has committed meanwhile may not have been heard of yet.
                    progress = await stored_matches(reader, scope, match, _now() + _STORED_SECONDS)
    except FeedClosedError:
        raise HTTPException(503, "the emulator shut down during the wait") from None
    return await _result(parts, reader, progress, terms, body, _since(started), body.timeout_ms)


@router.post("/verify", response_model=Met)
async def verify(request: Request, parts: Needs, reader: Reader, body: VerifyBody) -> Response:
    """Check at once whether events match."""
    terms, match = _terms(body), await compiled_match(body.match)
    started = _now()
    progress = await stored_matches(reader, _scope(request, body, [match]), match)
    return await _result(parts, reader, progress, terms, body, _since(started))


@router.post("/verify/sequence", response_model=Met)
async def verify_sequence(request: Request, reader: Reader, body: SequenceBody) -> Response:
    """Check at once whether events match one after the other, by their time."""
    budget = Budget()
    steps = [await compiled_match(match, f"sequence.{number}", budget) for number, match in enumerate(body.sequence)]
    scope = _scope(request, body, steps)
    started = _now()
    progress = SequenceProgress(steps, strict=body.strict)
    evicted, incomplete = await follow_sequence(reader, scope, progress)
    items = tuple(view.event for view in progress.matched)
    if progress.met and not (incomplete and body.strict):
        shown = shown_of(progress.matched)
        return answer(Met(items=shown, last=items[-1], count=len(items), evicted=evicted, waited_ms=_since(started)))
    diagnosis = None
    if not progress.met:
        diagnosis = await diagnosis_of(reader, scope, steps[progress.next], {event.id for event in items})
        await explain_lost(reader, progress.near)
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
    progress = await stored_matches(reader, scope, match, deadline + _STORED_SECONDS)
    settled = _now() + settle
    while not _final(progress, terms):
        until = min(settled, deadline + settle) if terms.met(len(progress.ids)) else deadline
        left = until - _now()
        if left <= 0:
            break
        views = await listener.next(left)
        if views is None:
            continue
        if _stored_changed(views, match):
            progress = await stored_matches(reader, scope, match, deadline + _STORED_SECONDS)
        elif not any(await evaluated_in_slices(match, progress.add, views, FIELDS)):
            continue
        settled = _now() + settle
    return progress


def _stored_changed(views: Sequence[EventView], match: Match) -> bool:
    """Whether what was read before may differ: an account was reset, or an event has one more repeat."""
    return not views or ("repeats" in match.fields and any(view.event.outcome == "duplicate" for view in views))


def _is_met_for_good(progress: MatchProgress, terms: Terms) -> bool:
    return terms.mode == "at_least" and terms.met(len(progress.ids))


def _final(progress: MatchProgress, terms: Terms) -> bool:
    """Whether nothing that arrives can change the result."""
    return terms.exceeded(len(progress.ids)) or (progress.uncertain and terms.mode != "at_least")


async def _result(
    parts: Parts,
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
        diagnosis = await diagnosis_of(reader, progress.scope, progress.match, progress.ids)
        if not (count or diagnosis.candidates.near_misses or diagnosis.near.near_misses):
            elsewhere = _closed(parts, progress.scope) or await found_elsewhere(reader, progress.scope, progress.match)
    why = unmet(progress, terms, wish_of(body.match, terms, body.outcome), diagnosis, elsewhere, timeout_ms)
    return answer(replace(why, waited_ms=waited_ms), status=406)


def _closed(parts: Parts, scope: Scope) -> str:
    """Return that the account is closed, if it is: nothing arrives in it."""
    late = None if scope.account is None else parts.accounts.late(scope.account)
    return "" if late is None else f"; account {scope.account} is closed, and {plural(late, 'request')} came after that"


def _terms(body: VerifyBody) -> Terms:
    if body.mode == "none":
        if body.count:
            raise HTTPException(400, f"count: {body.count} contradicts mode none; omit it")
        return Terms("none", 0)
    count = 1 if body.count is None else body.count
    if body.mode == "at_least" and count == 0:
        raise HTTPException(400, "count: at least 0 is always true; use mode none to expect no event")
    return Terms(body.mode, count)


def _scope(request: Request, body: ScopeBody, matches: Sequence[Match]) -> Scope:
    """Return what *body* is about. Without a name it is no event, unless asked for (as in GET /debug/events)."""
    fields = frozenset[str]().union(*(match.fields for match in matches))
    outcome = body.outcome or ("any" if "outcome" in fields else "accepted")
    named = body.outcome is None and not fields & {"outcome", "endpoint"}
    return Scope(account_of(request, body.account), None if outcome == "any" else outcome, named, body.after)


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
