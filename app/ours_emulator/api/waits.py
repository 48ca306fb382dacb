"""What tests ask of the debug API: wait until events arrive, verify that they did, and in which order."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from operator import itemgetter
from typing import Annotated, Any, Literal, TypeAlias, cast, get_args

from fastapi import APIRouter, FastAPI, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue, SkipValidation
from starlette.responses import Response
from typing_extensions import TypedDict

from ours_emulator.api import examples, views
from ours_emulator.api.debug import AsciiJSON, AskedOutcome, ErrorView, StrictRoute, account_of
from ours_emulator.feed import Feed, FeedClosedError, Listener
from ours_emulator.matching import PLAIN, Match, MatchError, Miss, Shape, advised, closest, compiled
from ours_emulator.messages import ACCOUNT_NAME, DEFAULT_ACCOUNT, Outcome, Properties, sentence
from ours_emulator.store.reader import EventFilter, Row, Slice, StoreReader

MOST_MS = 55_000
"""The longest wait: many clients, and what is between them and here, give up after a minute."""
_PAGE = 500
_MANY = 10_000
"""Rows of a page after the first. Each page costs the store a look at every event of the account."""
_CHUNK = 100
_MOST_ITEMS = 1000
_MOST_NEAR = 5
_MOST_SEARCHED = 300
_MOST_SHARED = 2000
_LAST_ID = 2**63 - 1

Mode: TypeAlias = Literal["at_least", "exactly", "at_most", "none"]
Matching: TypeAlias = SkipValidation[dict[str, JsonValue]]
"""Checked by `compiled`: what pydantic takes for text has no lone surrogates, which events may have."""
Milliseconds: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=MOST_MS)]

_SHORT = ("email", "external_id", "user_id", "anonymous_id")
_SHAPE: Shape = {
    **dict.fromkeys((*views.EventView.__annotations__, *_SHORT), PLAIN),
    **dict.fromkeys(
        ("event_properties", "default_properties", "identity_context", "visitor_properties", "hints"), None
    ),
    "resolution": {**dict.fromkeys(views.ResolutionView.__annotations__, PLAIN), "steps": None},
    "reason": dict.fromkeys(views.ReasonView.__annotations__, PLAIN),
}
_OUTCOMES: Sequence[str] = get_args(Outcome)
_GIVEN_AS = {
    "email": ("email", "userProperties.email"),
    "external_id": ("externalId", "external_id", "userProperties.external_id"),
    "user_id": ("userId",),
    "anonymous_id": ("anonymous_id",),
}
_NOT_KEPT_OF = {
    "duplicate": {"visitor_properties", "resolution"},
    "dropped": {"visitor_id", "visitor_properties", "resolution", *_SHORT},
    "rejected": {
        "visitor_id",
        "visitor_properties",
        "resolution",
        "event_properties",
        "default_properties",
        "identity_context",
        "time",
        "test",
        *_SHORT,
    },
}
"""What is not known of an event that was not accepted, and so can't tell it from the one that was meant."""


class _About(BaseModel):
    """Which events are asked about."""

    model_config = ConfigDict(extra="forbid")

    account: str | None = Field(None, pattern=f"^{ACCOUNT_NAME.pattern}$", description="Default: all of them.")
    outcome: AskedOutcome | None = Field(None, description="Default: accepted, unless the match asks for an outcome.")
    after: int = Field(0, strict=True, ge=0, le=_LAST_ID, description="Only events with a greater id.")


class VerifyCall(_About):
    """What should have arrived by now."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"match": {"event": "Purchase", "email": "ann@example.com"}},
                {"match": {"event_properties.amount": {"$gt": 50}}, "count": 2, "mode": "exactly"},
            ]
        }
    )

    match: Matching = Field(description="Fields of an event; {} is any event.")
    count: int | None = Field(None, strict=True, ge=0, description="Default: 1.")
    mode: Mode = "at_least"


class WaitCall(VerifyCall):
    """What should arrive, how long to wait for it, and how long no further one may come after that."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"match": {"event": "Purchase", "email": "ann@example.com"}, "timeout_ms": 2000},
                {"match": {"event": {"$regex": "^Error"}}, "mode": "none", "settle_ms": 200},
            ]
        }
    )

    timeout_ms: Milliseconds = 5000
    settle_ms: Milliseconds = 0


class SequenceCall(_About):
    """What should have arrived by now, in this order of time."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"sequence": [{"event": "Cart Viewed"}, {"event": "Purchase"}], "strict": False}]
        }
    )

    sequence: list[Matching] = Field(min_length=1, max_length=100)
    strict: bool = Field(False, strict=True, description="Nothing else may be between them.")


class MissView(TypedDict):
    """One thing that is not as it was asked for."""

    path: str
    expected: JsonValue
    actual: JsonValue
    why: str


class NearView(TypedDict):
    """An event that was probably meant, and what keeps it from matching."""

    event: views.EventView
    misses: list[MissView]


class MetView(TypedDict):
    """It is as asked: the events that match, the first to arrive first (at most 1000), and how many they are.

    `last` is the last of all to arrive, null if there is none; of a sequence, its last one.
    """

    items: list[views.EventView]
    last: views.EventView | None
    count: int
    evicted: int
    waited_ms: int


class UnmetView(TypedDict):
    """It is not as asked, and why: `candidates` match, but were rejected, dropped or duplicate; the rest is near.

    `error` is all of it in a sentence, `found` only what there is.
    """

    error: str
    found: str
    mode: Literal["at_least", "exactly", "at_most", "none", "sequence"]
    expected: int
    count: int
    items: list[views.EventView]
    candidates: list[NearView]
    near_misses: list[NearView]
    evicted: int
    waited_ms: int


@dataclass(frozen=True, slots=True)
class _Seen:
    """An event as it is shown, and with the short names beside, as it is matched. Shared, so never changed."""

    view: views.EventView
    matched: Properties

    @property
    def id(self) -> int:
        return self.view["id"]


@dataclass(frozen=True, slots=True)
class _Scope:
    """Which events are asked about: of which account, with which outcome, and arrived after which."""

    account: str | None
    outcome: str | None
    named: bool
    after: int

    def where(self, match: Match | None = None) -> EventFilter:
        """Return these events, and of them what the store can tell to match."""
        if match is None:
            return EventFilter(outcome=self.outcome, named=self.named)
        event, visitor_id, distinct_id = map(match.text, ("event", "visitor_id", "distinct_id"))
        return EventFilter(event, visitor_id, distinct_id, outcome=self.outcome, named=self.named)

    def has(self, event: views.EventView) -> bool:
        """Whether *event* is one of these."""
        return (
            event["id"] > self.after
            and self.outcome in (None, event["outcome"])
            and not (self.named and event["event"] is None)
        )


@dataclass(frozen=True, slots=True)
class _Terms:
    """How many events should match."""

    mode: Mode
    count: int

    def met(self, count: int) -> bool:
        if self.mode == "at_least":
            return count >= self.count
        return count == self.count if self.mode == "exactly" else count <= self.count

    def exceeded(self, count: int) -> bool:
        return self.mode != "at_least" and count > self.count

    def __str__(self) -> str:
        return "none" if self.mode == "none" else f"{self.mode.replace('_', ' ')} {self.count}"


@dataclass(slots=True)
class _Tally:
    """The events that match, as far as they have been seen."""

    scope: _Scope
    match: Match
    ids: set[int] = field(default_factory=set[int])
    items: list[views.EventView] = field(default_factory=list[views.EventView])
    last: views.EventView | None = None
    """The one with the largest id, also when there are more than can be shown."""
    evicted: int = 0
    spoilt: bool = False
    """Whether an evicted event may have been one of them."""

    def note(self, part: Slice) -> None:
        """Note what may be missing in a part of what is stored."""
        self.evicted = part.evicted
        self.spoilt = _spoilt(self.scope, part)

    def add(self, events: Iterable[_Seen]) -> bool:
        """Count *events*; return whether any of them is new and matches."""
        before = len(self.ids)
        for event in events:
            if event.id not in self.ids and self.scope.has(event.view) and self.match.fits(event.matched):
                self.ids.add(event.id)
                if len(self.items) < _MOST_ITEMS:
                    self.items.append(event.view)
                if self.last is None or event.id > self.last["id"]:
                    self.last = event.view
        return len(self.ids) > before


@dataclass(slots=True)
class _Nearest:
    """The few events that come nearest to a match."""

    match: Match
    found: list[tuple[tuple[int, float], int, NearView]] = field(
        default_factory=list[tuple[tuple[int, float], int, NearView]]
    )

    def add(self, event: _Seen, misses: Sequence[Miss], before: Sequence[Miss] = ()) -> None:
        """Note *event* with its *misses*, and those that were known *before*."""
        if len(self.found) == _MOST_NEAR and len(misses) > self.found[-1][0][0]:
            return
        place = (closest(misses), -event.id)
        if len(self.found) == _MOST_NEAR and place > self.found[-1][:2]:
            return
        said = [*before, *(advised(miss, event.matched) for miss in misses)]
        near: NearView = {"event": event.view, "misses": [cast(MissView, asdict(it)) for it in said]}
        self.found.append((*place, near))
        self.found.sort(key=itemgetter(0, 1))
        del self.found[_MOST_NEAR:]

    @property
    def views(self) -> list[NearView]:
        """They, the nearest first; of those that are as near, the last to arrive first."""
        return [near for _, _, near in self.found]


@dataclass(slots=True)
class _Explanation:
    """Why something is missing: what would match had it been accepted, what comes near, the ids of what fits."""

    candidates: _Nearest
    near: _Nearest
    fitting: list[int] = field(default_factory=list[int])


class _Order:
    """Follows a sequence of matches through events in order. *strict*: with nothing else between."""

    def __init__(self, steps: Sequence[Match], *, strict: bool) -> None:
        self._steps = steps
        self._strict = strict
        self._runs: set[int] = set()
        self._window: deque[_Seen] = deque(maxlen=len(steps))
        self.found: list[_Seen] = []
        self.near = _Nearest(steps[0])

    @property
    def met(self) -> bool:
        return len(self.found) == len(self._steps)

    @property
    def next(self) -> int:
        """The number of the step that is missing."""
        return min(len(self.found), len(self._steps) - 1)

    def add(self, event: _Seen) -> None:
        """Go on with *event*."""
        if self.met:
            return
        if self._strict:
            self._add_strictly(event)
            return
        misses = self._steps[self.next].misses(event.matched)
        if misses:
            self.near.add(event, misses)
        else:
            self._advance([*self.found, event])

    def _add_strictly(self, event: _Seen) -> None:
        """Go on with every run that *event* fits; the longest there has been is what is told."""
        self._window.append(event)
        runs: set[int] = set()
        for length in sorted(self._runs | {0}):
            misses = self._steps[length].misses(event.matched)
            if not misses:
                runs.add(length + 1)
            elif length == len(self.found):
                self.near.add(event, misses)
        self._runs = runs
        longest = max(runs, default=0)
        if longest > len(self.found):
            self._advance(list(self._window)[-longest:])

    def _advance(self, found: list[_Seen]) -> None:
        self.found = found
        self.near = _Nearest(self._steps[self.next])


class WaitApi:
    """POST /debug/wait, /debug/verify and /debug/verify/sequence."""

    def __init__(self, reader: StoreReader, feed: Feed) -> None:
        self._reader = reader
        self._feed = feed
        self._shared: dict[int, _Seen] = {}
        self._waiting = 0

    def add_to(self, app: FastAPI) -> None:
        """Add the routes to *app*, which has the shape of errors already."""
        router = APIRouter(prefix="/debug", route_class=StrictRoute, responses=_RESPONSES)
        router.add_api_route("/wait", self.wait, response_model=MetView, methods=["POST"], responses=_ENDED)
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
        order = _Order(steps, strict=call.strict)
        evicted, spoilt = await self._ordered(scope, order)
        items = [event.view for event in order.found]
        if order.met and not (spoilt and call.strict):
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
        doubt = _doubt(evicted, spoilt=spoilt)
        unmet: UnmetView = {
            "error": error + _because(candidates, order.near.views) + doubt,
            "found": error + doubt,
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

    async def _followed(self, scope: _Scope, match: Match, terms: _Terms, call: WaitCall, listener: Listener) -> _Tally:
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

    async def _tally(self, scope: _Scope, match: Match) -> _Tally:
        """Count what is stored."""
        tally = _Tally(scope, match)
        last, where, limit = scope.after, scope.where(match), _PAGE
        while True:
            part = await self._reader.arrivals(scope.account, where, last, limit)
            tally.note(part)
            async for rows in _chunks(part.rows):
                tally.add(map(_seen, rows))
            if len(part.rows) < limit:
                return tally
            last, limit = part.rows[-1]["id"], _MANY

    async def _ordered(self, scope: _Scope, order: _Order) -> tuple[int, bool]:
        """Lead *order* through what is stored; return how many events were evicted, and if that may matter."""
        since = None
        while True:
            part = await self._reader.timeline(scope.account, scope.where(), scope.after, since, _PAGE)
            for row in part.rows:
                order.add(_seen(row))
            if order.met or len(part.rows) < _PAGE:
                return part.evicted, _spoilt(scope, part)
            since = (part.rows[-1]["time"], part.rows[-1]["id"])

    async def _answer(self, tally: _Tally, terms: _Terms, waited: int, given: int | None = None) -> Response:
        count = len(tally.ids)
        items = sorted(tally.items, key=itemgetter("id"))
        doubtful = tally.spoilt and terms.mode != "at_least"
        if terms.met(count) and not doubtful:
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
        doubt = _doubt(tally.evicted, spoilt=tally.spoilt and not terms.exceeded(count))
        unmet: UnmetView = {
            "error": f"{counted}{in_time}; expected {terms}{_because(candidates, near) or elsewhere}{doubt}",
            "found": f"{counted}{in_time}{elsewhere}{doubt}",
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

    async def _explained(self, scope: _Scope, match: Match, met: set[int]) -> _Explanation:
        """Return, of the last to arrive, what would match had it been accepted, what comes near, and what fits."""
        explanation = _Explanation(_Nearest(match), _Nearest(match))
        anything = EventFilter(outcome=None)
        part = await self._reader.latest_arrivals(scope.account, anything, scope.after, _MOST_SEARCHED)
        events = [_seen(row) async for rows in _chunks(part.rows) for row in rows]
        originals = {event.view["distinct_id"] for event in events if event.view["outcome"] == "accepted"}
        for event in events:
            misses = match.misses(event.matched)
            if scope.has(event.view):
                if misses and event.id not in met:
                    explanation.near.add(event, misses)
                elif event.id not in met:
                    explanation.fitting.append(event.id)
            elif misses and event.view["outcome"] == "duplicate" and event.view["distinct_id"] in originals:
                continue  # The event that it repeats tells more.
            elif all(_unknown(event, miss) for miss in misses) and event.view["outcome"] != scope.outcome:
                outcome = Miss("outcome", scope.outcome, event.view["outcome"], _why(event.view))
                unknown = [Miss(it.path, it.expected, it.actual, _not_kept(event.view)) for it in misses]
                explanation.candidates.add(event, unknown, [outcome])
        return explanation

    async def _elsewhere(self, scope: _Scope, match: Match) -> str:
        """Return that what is missing went to the account `default`, where an app goes that has a fixed address."""
        if scope.account in (None, DEFAULT_ACCOUNT):
            return ""
        where = EventFilter(match.text("event"), outcome=None)
        part = await self._reader.latest_arrivals(DEFAULT_ACCOUNT, where, scope.after, 1)
        return (
            "; such an event arrived in account default: is the app's address that of this account?"
            if part.rows
            else ""
        )

    def _shown(self, row: Row) -> _Seen:
        """Return *row* of the feed; what many wait for is made once. An id is never used again."""
        seen = self._shared.get(row["id"])
        if seen is None:
            if len(self._shared) >= _MOST_SHARED:
                self._shared.clear()
            seen = self._shared[row["id"]] = _seen(row)
        return seen


async def _chunks(rows: Sequence[Row]) -> AsyncGenerator[Sequence[Row]]:
    """Yield *rows* in parts, between which others have their turn."""
    for first in range(0, len(rows), _CHUNK):
        yield rows[first : first + _CHUNK]
        await asyncio.sleep(0)


def _seen(row: Row) -> _Seen:
    view = views.event(row)
    given = views.identity(row)
    snapshot = view["visitor_properties"] or {}
    kept: dict[str, JsonValue] = {
        "email": snapshot.get("email"),
        "external_id": snapshot.get("external_id"),
        "user_id": view["visitor_id"],
    }
    short = {
        name: next((given[spelled] for spelled in spellings if spelled in given), kept.get(name))
        for name, spellings in _GIVEN_AS.items()
    }
    return _Seen(view, {**cast(Properties, view), **short})


def _spoilt(scope: _Scope, part: Slice) -> bool:
    """Whether events that were evicted may have been among those of *scope*."""
    return part.evicted > 0 and (part.first_kept is None or part.first_kept > scope.after + 1)


def _unknown(event: _Seen, miss: Miss) -> bool:
    """Whether *miss* is about what is not known of *event*, because it was not accepted."""
    root, outcome = miss.path.partition(".")[0], event.view["outcome"]
    if outcome == "rejected" and root in ("event", "distinct_id"):
        return miss.actual is None
    return root in _NOT_KEPT_OF.get(outcome, ())


def _why(event: views.EventView) -> str:
    """Return why *event* was not accepted."""
    reason = event["reason"]
    if reason is not None:
        return f"{sentence(reason['path'], reason['message'])} [{reason['rule']}]"
    if event["outcome"] == "duplicate":
        return "its distinct id was used before [dedup]"
    said = [hint["message"] for hint in event["hints"] if hint["rule"] == "allow-list"]
    return f"{said[0]} [allow-list]" if said else event["outcome"]


def _not_kept(event: views.EventView) -> str:
    return f"not known, as it was {_BECAME[event['outcome']]}"


def _because(candidates: Sequence[NearView], near: Sequence[NearView]) -> str:
    """Return the best explanation there is."""
    if candidates:
        event, (first, *others) = candidates[0]["event"], candidates[0]["misses"]
        would = "may" if others else "would"
        return f"; event {event['id']} {would} have, but it was {_BECAME[event['outcome']]}: {first['why']}"
    if near:
        event, first = near[0]["event"], near[0]["misses"][0]
        return f"; nearest is event {event['id']}: {first['path'][:100]}: {first['why']}"
    return ""


_BECAME = {"rejected": "rejected", "dropped": "dropped", "duplicate": "a duplicate", "accepted": "accepted"}


def _doubt(evicted: int, *, spoilt: bool) -> str:
    return f"; {evicted} were evicted, and there may have been others among them" if spoilt else ""


def _met(items: list[views.EventView], last: views.EventView | None, count: int, evicted: int, waited: int) -> MetView:
    return {"items": items, "last": last, "count": count, "evicted": evicted, "waited_ms": waited}


def _terms(call: VerifyCall) -> _Terms:
    if call.mode == "none":
        if call.count:
            raise HTTPException(400, f"count: mode none takes no count, and this is {call.count}")
        return _Terms("none", 0)
    count = 1 if call.count is None else call.count
    if call.mode == "at_least" and count == 0:
        raise HTTPException(400, "count: at least 0 is always true; for no event at all there is mode none")
    return _Terms(call.mode, count)


def _compiled(match: dict[str, JsonValue], root: str = "match") -> Match:
    found = compiled(match, _SHAPE, root)
    outcome = found.text("outcome")
    if outcome is not None and outcome not in _OUTCOMES:
        raise MatchError(f"{root}.outcome: {outcome[:100]} is none of {', '.join(_OUTCOMES)}")
    return found


def _scope(request: Request, call: _About, matches: Sequence[Match]) -> _Scope:
    """Return what *call* is about. What has no name is no event, unless it is asked for (as in GET /debug/events)."""
    fields = frozenset[str]().union(*(match.fields for match in matches))
    outcome = call.outcome or ("any" if "outcome" in fields else "accepted")
    named = call.outcome is None and not fields & {"outcome", "endpoint"}
    return _Scope(account_of(request, call.account), None if outcome == "any" else outcome, named, call.after)


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


_UNMET: Mapping[str, JsonValue] = {
    "error": "no events matched within 5000 ms; expected at least 1; nearest is event 17: "
    "event_properties.amount: a number, not a string",
    "found": "no events matched within 5000 ms",
    "mode": "at_least",
    "expected": 1,
    "count": 0,
    "items": [],
    "candidates": [],
    "near_misses": [
        {
            "event": dict(examples.EVENT),
            "misses": [
                {
                    "path": "event_properties.amount",
                    "expected": "99.99",
                    "actual": 99.99,
                    "why": "a number, not a string",
                }
            ],
        }
    ],
    "evicted": 0,
    "waited_ms": 5000,
}


def _example(value: object) -> dict[str, Any]:
    return {"content": {"application/json": {"example": value}}}


_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: {
        "model": ErrorView,
        "description": "Not understood; the error names what.",
        **_example({"error": "match.evnt: there is no such field; did you mean event?"}),
    },
    406: {"model": UnmetView, "description": "It is not as asked, and why.", **_example(dict(_UNMET))},
    415: {"model": ErrorView, "description": "The body is not JSON."},
}
_ENDED: dict[int | str, dict[str, Any]] = {503: {"model": ErrorView, "description": "The emulator shut down."}}
