"""Events against a match: what is counted, what comes near, and why something is missing. No store, no HTTP."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from operator import itemgetter
from typing import cast

from pydantic import JsonValue

from ours_emulator.debug import views
from ours_emulator.debug.wait_bodies import MissView, Mode, NearView
from ours_emulator.matching import Match, Miss, advised, closest
from ours_emulator.model import Properties
from ours_emulator.records import sentence
from ours_emulator.store import EventFilter
from ours_emulator.store.sqlite.reader import Row, Slice

_MOST_ITEMS = 1000
_MOST_NEAR = 5
_GIVEN_AS = {
    "email": ("email", "userProperties.email"),
    "external_id": ("externalId", "external_id", "userProperties.external_id"),
    "user_id": ("userId",),
    "anonymous_id": ("anonymous_id",),
}
SHORT = tuple(_GIVEN_AS)
"""Fields of an event by which its visitor is named, beside those that it is shown with."""
_NOT_KEPT_OF = {
    "duplicate": {"visitor_properties", "resolution"},
    "dropped": {"visitor_id", "visitor_properties", "resolution", *SHORT},
    "rejected": {
        "visitor_id",
        "visitor_properties",
        "resolution",
        "event_properties",
        "default_properties",
        "identity_context",
        "time",
        "test",
        *SHORT,
    },
}
"""What is not known of an event that was not accepted, and so can't tell it from the one that was meant."""
_BECAME = {"rejected": "rejected", "dropped": "dropped", "duplicate": "a duplicate", "accepted": "accepted"}


@dataclass(frozen=True, slots=True)
class Seen:
    """An event as it is shown, and with the short names beside, as it is matched. Shared, so never changed."""

    view: views.EventView
    matched: Properties

    @property
    def id(self) -> int:
        """The event's id."""
        return self.view["id"]


@dataclass(frozen=True, slots=True)
class Scope:
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
class Terms:
    """How many events should match."""

    mode: Mode
    count: int

    def met(self, count: int) -> bool:
        """Whether *count* events are as many as there should be."""
        if self.mode == "at_least":
            return count >= self.count
        return count == self.count if self.mode == "exactly" else count <= self.count

    def exceeded(self, count: int) -> bool:
        """Whether *count* events are too many, whatever comes."""
        return self.mode != "at_least" and count > self.count

    def __str__(self) -> str:
        return "none" if self.mode == "none" else f"{self.mode.replace('_', ' ')} {self.count}"


@dataclass(slots=True)
class Tally:
    """The events that match, as far as they have been seen."""

    scope: Scope
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
        self.spoilt = spoilt(self.scope, part)

    def add(self, events: Iterable[Seen]) -> bool:
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
class Nearest:
    """The few events that come nearest to a match."""

    match: Match
    found: list[tuple[tuple[int, float], int, NearView]] = field(
        default_factory=list[tuple[tuple[int, float], int, NearView]]
    )

    def add(self, event: Seen, misses: Sequence[Miss], before: Sequence[Miss] = ()) -> None:
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
class Explanation:
    """Why something is missing: what would match had it been accepted, what comes near, the ids of what fits."""

    candidates: Nearest
    near: Nearest
    fitting: list[int] = field(default_factory=list[int])


class Order:
    """Follows a sequence of matches through events in order. *strict*: with nothing else between."""

    def __init__(self, steps: Sequence[Match], *, strict: bool) -> None:
        self._steps = steps
        self._strict = strict
        self._runs: set[int] = set()
        self._window: deque[Seen] = deque(maxlen=len(steps))
        self.found: list[Seen] = []
        self.near = Nearest(steps[0])

    @property
    def met(self) -> bool:
        """Whether every step was found."""
        return len(self.found) == len(self._steps)

    @property
    def next(self) -> int:
        """The number of the step that is missing."""
        return min(len(self.found), len(self._steps) - 1)

    def add(self, event: Seen) -> None:
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

    def _add_strictly(self, event: Seen) -> None:
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

    def _advance(self, found: list[Seen]) -> None:
        self.found = found
        self.near = Nearest(self._steps[self.next])


def seen(row: Row) -> Seen:
    """Return the event of *row* as it is shown and matched."""
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
    return Seen(view, {**cast(Properties, view), **short})


def explained(scope: Scope, match: Match, met: set[int], events: Sequence[Seen]) -> Explanation:
    """Return why nothing more of *events* matches than those with the ids in *met*."""
    explanation = Explanation(Nearest(match), Nearest(match))
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
        elif event.view["outcome"] not in ("accepted", scope.outcome) and all(_unknown(event, it) for it in misses):
            outcome = Miss("outcome", scope.outcome, event.view["outcome"], _why(event.view))
            unknown = [Miss(it.path, it.expected, it.actual, _not_kept(event.view)) for it in misses]
            explanation.candidates.add(event, unknown, [outcome])
    return explanation


def spoilt(scope: Scope, part: Slice) -> bool:
    """Whether events that were evicted may have been among those of *scope*."""
    return part.evicted > 0 and (part.first_kept is None or part.first_kept > scope.after + 1)


def _unknown(event: Seen, miss: Miss) -> bool:
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


def because(candidates: Sequence[NearView], near: Sequence[NearView]) -> str:
    """Return the best explanation there is."""
    if candidates:
        event, (first, *others) = candidates[0]["event"], candidates[0]["misses"]
        would = "may" if others else "would"
        return f"; event {event['id']} {would} have, but it was {_BECAME[event['outcome']]}: {first['why']}"
    if near:
        event, first = near[0]["event"], near[0]["misses"][0]
        return f"; nearest is event {event['id']}: {first['path'][:100]}: {first['why']}"
    return ""


def doubt(evicted: int, *, spoilt: bool) -> str:
    """Return that *evicted* events may have been meant, if that is so (*spoilt*)."""
    return f"; {evicted} were evicted, and there may have been others among them" if spoilt else ""
