"""What tests ask of the debug API: wait until events arrive, verify that they did, and in which order."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from operator import itemgetter
from typing import get_args

from fastapi import APIRouter, FastAPI, HTTPException, Request
from pydantic import JsonValue
from starlette.responses import Response

from ours_emulator.debug import views
from ours_emulator.debug.params import AsciiJSON, StrictRoute, account_of
from ours_emulator.debug.progress import (
    SHORT,
    Explanation,
    Order,
    Scope,
    Seen,
    Tally,
    Terms,
    because,
    doubt,
    explained,
    seen,
    spoilt,
)
from ours_emulator.debug.wait_bodies import (
    ENDED,
    MOST_MS,
    RESPONSES,
    About,
    MetView,
    NearView,
    SequenceCall,
    UnmetView,
    VerifyCall,
    WaitCall,
)
from ours_emulator.feed import Feed, FeedClosedError, Listener
from ours_emulator.matching import PLAIN, Match, MatchError, Shape, compiled
from ours_emulator.model import DEFAULT_ACCOUNT
from ours_emulator.records import Outcome
from ours_emulator.store import EventFilter
from ours_emulator.store.sqlite.reader import Row
from ours_emulator.store.sqlite.reader import SqliteReader as StoreReader

_PAGE = 500
_MANY = 10_000
"""Rows of a page after the first. Each page costs the store a look at every event of the account."""
_CHUNK = 100
_MOST_SEARCHED = 300
_MOST_SHARED = 2000
_SHAPE: Shape = {
    **dict.fromkeys((*views.EventView.__annotations__, *SHORT), PLAIN),
    **dict.fromkeys(
        ("event_properties", "default_properties", "identity_context", "visitor_properties", "hints"), None
    ),
    "resolution": {**dict.fromkeys(views.ResolutionView.__annotations__, PLAIN), "steps": None},
    "reason": dict.fromkeys(views.ReasonView.__annotations__, PLAIN),
}
_OUTCOMES: Sequence[str] = get_args(Outcome)


class WaitApi:
    """POST /debug/wait, /debug/verify and /debug/verify/sequence."""

    def __init__(self, reader: StoreReader, feed: Feed) -> None:
        self._reader = reader
        self._feed = feed
        self._shared: dict[int, Seen] = {}
        self._waiting = 0

    def add_to(self, app: FastAPI) -> None:
        """Add the routes to *app*."""
        router = APIRouter(prefix="/debug", route_class=StrictRoute, responses=RESPONSES)
        router.add_api_route("/wait", self.wait, response_model=MetView, methods=["POST"], responses=ENDED)
        router.add_api_route("/verify", self.verify, response_model=MetView, methods=["POST"])
        router.add_api_route("/verify/sequence", self.sequence, response_model=MetView, methods=["POST"])
        app.include_router(router)

    async def wait(self, request: Request, call: WaitCall) -> Response:
        """Wait until events match. It answers the moment they are committed, or that they can't be as asked any more.

        With `settle_ms` it answers when no further one has matched for so long.
        """
        if call.timeout_ms + call.settle_ms > MOST_MS:
            raise HTTPException(400, f"settle_ms: comes after timeout_ms, and both together are at most {MOST_MS}")
        terms, match = _terms(call), _compiled(call.match)
        scope = _scope(request, call, [match])
        started = asyncio.get_running_loop().time()
        self._waiting += 1
        try:
            # Whatever happens during the wait may change how often an older event was repeated.
            name = None if "repeats" in match.fields else match.text("event")
            with self._feed.listen(scope.account, name) as listener:
                async with _ended_with(request, listener):
                    tally = await self._followed(scope, match, terms, call, listener)
        except FeedClosedError:
            raise HTTPException(503, "the emulator shut down during the wait") from None
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._shared.clear()
        return await self._answer(tally, terms, _since(started), call.timeout_ms)

    async def verify(self, request: Request, call: VerifyCall) -> Response:
        """Tell at once whether events match."""
        terms, match = _terms(call), _compiled(call.match)
        started = asyncio.get_running_loop().time()
        tally = await self._tally(_scope(request, call, [match]), match)
        return await self._answer(tally, terms, _since(started))

    async def sequence(self, request: Request, call: SequenceCall) -> Response:
        """Tell at once whether events match one after the other, by their time."""
        steps = [_compiled(match, f"sequence.{number}") for number, match in enumerate(call.sequence)]
        scope = _scope(request, call, steps)
        started = asyncio.get_running_loop().time()
        order = Order(steps, strict=call.strict)
        evicted, lost = await self._ordered(scope, order)
        items = [event.view for event in order.found]
        if order.met and not (lost and call.strict):
            return AsciiJSON(_met(items, items[-1], len(items), evicted, _since(started)))
        error = "all of it matched"
        candidates: list[NearView] = []
        if not order.met:
            found = await self._explained(scope, steps[order.next], {item["id"] for item in items})
            candidates = found.candidates.views
            error = f"no event matched sequence.{order.next}"
            if items:
                error += f" after event {items[-1]['id']}"
                error += f"; event {found.fitting[-1]} did before it" if found.fitting and not call.strict else ""
        doubtful = doubt(evicted, spoilt=lost)
        unmet: UnmetView = {
            "error": error + because(candidates, order.near.views) + doubtful,
            "found": error + doubtful,
            "mode": "sequence",
            "expected": len(steps),
            "count": len(items),
            "items": items,
            "candidates": candidates,
            "near_misses": order.near.views,
            "evicted": evicted,
            "waited_ms": _since(started),
        }
        return AsciiJSON(unmet, status_code=406)

    async def _followed(self, scope: Scope, match: Match, terms: Terms, call: WaitCall, listener: Listener) -> Tally:
        """Count what is stored, then what arrives, until the terms are met, or can't be, or time is up."""
        time = asyncio.get_running_loop().time
        deadline = time() + call.timeout_ms / 1000
        settle = call.settle_ms / 1000
        tally = await self._tally(scope, match)
        settled = time() + settle
        while not terms.exceeded(len(tally.ids)) and not (tally.spoilt and terms.mode != "at_least"):
            until = min(settled, deadline + settle) if terms.met(len(tally.ids)) else deadline
            left = until - time()
            if left <= 0:
                break
            rows = await listener.next(left)
            if rows is None:
                continue
            if not rows or ("repeats" in match.fields and any(row["outcome"] == "duplicate" for row in rows)):
                tally = await self._tally(scope, match)
                settled = time() + settle
            elif tally.add(map(self._shown, rows)):
                settled = time() + settle
        return tally

    async def _tally(self, scope: Scope, match: Match) -> Tally:
        """Count what is stored."""
        tally = Tally(scope, match)
        last, where, limit = scope.after, scope.where(match), _PAGE
        while True:
            part = await self._reader.arrivals(scope.account, where, last, limit)
            tally.note(part)
            async for rows in _chunks(part.rows):
                tally.add(map(seen, rows))
            if len(part.rows) < limit:
                return tally
            last, limit = part.rows[-1]["id"], _MANY

    async def _ordered(self, scope: Scope, order: Order) -> tuple[int, bool]:
        """Lead *order* through what is stored; return how many events were evicted, and if that may matter."""
        since = None
        while True:
            part = await self._reader.timeline(scope.account, scope.where(), scope.after, since, _PAGE)
            for row in part.rows:
                order.add(seen(row))
            if order.met or len(part.rows) < _PAGE:
                return part.evicted, spoilt(scope, part)
            since = (part.rows[-1]["time"], part.rows[-1]["id"])

    async def _answer(self, tally: Tally, terms: Terms, waited: int, given: int | None = None) -> Response:
        count = len(tally.ids)
        items = sorted(tally.items, key=itemgetter("id"))
        if terms.met(count) and not (tally.spoilt and terms.mode != "at_least"):
            return AsciiJSON(_met(items, tally.last, count, tally.evicted, waited))
        candidates: list[NearView] = []
        near: list[NearView] = []
        elsewhere = ""
        if count < terms.count:
            found = await self._explained(tally.scope, tally.match, tally.ids)
            candidates, near = found.candidates.views, found.near.views
            elsewhere = "" if count or candidates or near else await self._elsewhere(tally.scope, tally.match)
        counted = f"{count or 'no'} event{'' if count == 1 else 's'} matched"
        in_time = "" if given is None or count >= terms.count else f" within {given} ms"
        doubtful = doubt(tally.evicted, spoilt=tally.spoilt and not terms.exceeded(count))
        unmet: UnmetView = {
            "error": f"{counted}{in_time}; expected {terms}{because(candidates, near) or elsewhere}{doubtful}",
            "found": f"{counted}{in_time}{elsewhere}{doubtful}",
            "mode": terms.mode,
            "expected": terms.count,
            "count": count,
            "items": items,
            "candidates": candidates,
            "near_misses": near,
            "evicted": tally.evicted,
            "waited_ms": waited,
        }
        return AsciiJSON(unmet, status_code=406)

    async def _explained(self, scope: Scope, match: Match, met: set[int]) -> Explanation:
        """Return, of the last to arrive, what would match had it been accepted, what comes near, and what fits."""
        return explained(scope, match, met, await self._latest(scope.account, EventFilter(outcome=None), scope.after))

    async def _elsewhere(self, scope: Scope, match: Match) -> str:
        """Return that what is missing went to the account `default`, where an app goes that has a fixed address."""
        if scope.account in (None, DEFAULT_ACCOUNT):
            return ""
        there = await self._latest(DEFAULT_ACCOUNT, scope.where(match), scope.after)
        fits = any(match.fits(event.matched) for event in there)
        return "; such an event arrived in account default: is the app's address that of this account?" if fits else ""

    async def _latest(self, account: str | None, where: EventFilter, after: int) -> list[Seen]:
        part = await self._reader.latest_arrivals(account, where, after, _MOST_SEARCHED)
        return [seen(row) async for rows in _chunks(part.rows) for row in rows]

    def _shown(self, row: Row) -> Seen:
        """Return *row* of the feed; what many wait for is made once. An id is never used again."""
        shown = self._shared.get(row["id"])
        if shown is None:
            if len(self._shared) >= _MOST_SHARED:
                self._shared.clear()
            shown = self._shared[row["id"]] = seen(row)
        return shown


async def _chunks(rows: Sequence[Row]) -> AsyncGenerator[Sequence[Row]]:
    """Yield *rows* in parts, between which others have their turn."""
    for first in range(0, len(rows), _CHUNK):
        yield rows[first : first + _CHUNK]
        await asyncio.sleep(0)


def _met(items: list[views.EventView], last: views.EventView | None, count: int, evicted: int, waited: int) -> MetView:
    return {"items": items, "last": last, "count": count, "evicted": evicted, "waited_ms": waited}


def _terms(call: VerifyCall) -> Terms:
    if call.mode == "none":
        if call.count:
            raise HTTPException(400, f"count: mode none takes no count, and this is {call.count}")
        return Terms("none", 0)
    count = 1 if call.count is None else call.count
    if call.mode == "at_least" and count == 0:
        raise HTTPException(400, "count: at least 0 is always true; for no event at all there is mode none")
    return Terms(call.mode, count)


def _compiled(match: dict[str, JsonValue], root: str = "match") -> Match:
    found = compiled(match, _SHAPE, root)
    outcome = found.text("outcome")
    if outcome is not None and outcome not in _OUTCOMES:
        raise MatchError(f"{root}.outcome: {outcome[:100]} is none of {', '.join(_OUTCOMES)}")
    return found


def _scope(request: Request, call: About, matches: Sequence[Match]) -> Scope:
    """Return what *call* is about. What has no name is no event, unless it is asked for (as in GET /debug/events)."""
    fields = frozenset[str]().union(*(match.fields for match in matches))
    outcome = call.outcome or ("any" if "outcome" in fields else "accepted")
    named = call.outcome is None and not fields & {"outcome", "endpoint"}
    return Scope(account_of(request, call.account), None if outcome == "any" else outcome, named, call.after)


def _since(started: float) -> int:
    return round((asyncio.get_running_loop().time() - started) * 1000)


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
