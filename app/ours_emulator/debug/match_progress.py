"""Events against a match: which ones match, which come near, and why one is missing. No store, no HTTP."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter, itemgetter
from typing import Any

from pydantic import JsonValue

from ours_emulator.event_view import IDENTIFIERS, EventView
from ours_emulator.jsontext import json_text
from ours_emulator.matching import Match, advised, closest
from ours_emulator.model import Properties
from ours_emulator.records import Event, Miss, Mode, NearMiss
from ours_emulator.store import LIST_BYTES, EventFilter, Slice
from ours_emulator.wording import cut, why_not_accepted

_MAX_ITEMS = 1000
_MAX_NEAR = 5
_MAX_PROPERTIES = 20
"""Conditions on properties that the store decides: SQLite bounds the depth of an expression."""
_UNKNOWN_FIELDS = {
    "duplicate": {"visitor_properties", "resolution"},
    "dropped": {"visitor_id", "visitor_properties", "resolution", *IDENTIFIERS},
    "rejected": {
        "visitor_id",
        "visitor_properties",
        "resolution",
        "event_properties",
        "default_properties",
        "identity_context",
        "identity",
        "time",
        "test",
        *IDENTIFIERS,
    },
}
"""What is not known of an event that was not accepted, by outcome; so it cannot tell whether the event was meant."""
NOT_KNOWN = "not known"
"""What the reason of a miss begins with if the value is not known."""
_WITH_ARTICLE = {"rejected": "rejected", "dropped": "dropped", "duplicate": "a duplicate", "accepted": "accepted"}


@dataclass(frozen=True, slots=True)
class Scope:
    """Which events are looked at: of which account, with which outcome, and with an id after which."""

    account: str | None
    outcome: str | None
    named: bool
    after: int

    def where(self, match: Match | None = None) -> EventFilter:
        """Return a filter for these events, and for as much of *match* as the store can decide."""
        if match is None:
            return EventFilter(outcome=self.outcome, named=self.named)
        event, visitor_id, distinct_id = map(match.text, ("event", "visitor_id", "distinct_id"))
        simple = islice(match.event_properties.items(), _MAX_PROPERTIES)
        properties = {name: json_text(value) for name, value in simple}
        return EventFilter(
            event, visitor_id, distinct_id, outcome=self.outcome, named=self.named, properties=properties
        )

    def has(self, event: Event) -> bool:
        """Whether *event* is one of them."""
        return (
            event.id > self.after and self.outcome in (None, event.outcome) and not (self.named and event.event is None)
        )

    def incomplete(self, part: Slice[Any]) -> bool:
        """Whether an event of this scope may have been evicted, going by *part* of what is stored."""
        return part.last_evicted > self.after


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
        """Whether *count* events are too many, whatever else arrives."""
        return self.mode != "at_least" and count > self.count

    def __str__(self) -> str:
        return "none" if self.mode == "none" else f"{self.mode.replace('_', ' ')} {self.count}"


@dataclass(slots=True)
class MatchProgress:
    """The events that match, as far as they have been looked at."""

    scope: Scope
    match: Match
    ids: set[int] = field(default_factory=set[int])
    items: list[Event] = field(default_factory=list[Event])
    items_bytes: int = 0
    last: Event | None = None
    """The one with the largest id, also when there are more than can be shown."""
    evicted: int = 0
    incomplete: bool = False
    """Whether an evicted event may have matched."""
    searched_to: int | None = None
    """The id of the last stored event that was looked at, if time was up before all were."""

    @property
    def uncertain(self) -> bool:
        """Whether more events may match than are known."""
        return self.incomplete or self.searched_to is not None

    @property
    def room(self) -> int:
        """How many more events can be shown."""
        return _MAX_ITEMS - len(self.items) if self.items_bytes < LIST_BYTES else 0

    @property
    def arrived(self) -> tuple[Event, ...]:
        """The matching events, the first to arrive first."""
        return tuple(sorted(self.items, key=attrgetter("id")))

    def note_evicted(self, part: Slice[Any]) -> None:
        """Note what may be missing in *part* of what is stored."""
        self.evicted = part.evicted
        self.incomplete = self.scope.incomplete(part)

    def add(self, events: Iterable[EventView]) -> bool:
        """Count *events*; return whether any of them is new and matches."""
        before = len(self.ids)
        for view in events:
            event = view.event
            if event.id not in self.ids and self.scope.has(event) and self.match.fits(view.fields):
                self.ids.add(event.id)
                self.keep(view)
                self.note_last(event)
        return len(self.ids) > before

    def keep(self, view: EventView) -> None:
        """Keep *view*, a matching event, to show it, unless there are many already, or they are large."""
        if self.room:
            self.items_bytes += len(view.text)
            if not self.items or self.items_bytes <= LIST_BYTES:
                self.items.append(view.event)

    def note_last(self, event: Event) -> None:
        """Note *event*, a matching one, if it is the last to arrive so far."""
        if self.last is None or event.id > self.last.id:
            self.last = event


@dataclass(slots=True)
class Nearest:
    """The few events that come nearest to a match."""

    match: Match
    ranked: list[tuple[tuple[int, float], int, NearMiss, EventView]] = field(
        default_factory=list[tuple[tuple[int, float], int, NearMiss, EventView]]
    )

    def add(self, view: EventView, misses: Sequence[Miss], before: Sequence[Miss] = ()) -> None:
        """Rank *view* by its *misses*; those known *before* are only shown."""
        full = len(self.ranked) == _MAX_NEAR
        if full and len(misses) > self.ranked[-1][0][0]:
            return
        rank = (closest(misses), -view.event.id)
        if full and rank > self.ranked[-1][:2]:
            return
        shown = (*before, *(advised(miss, view.fields) for miss in misses))
        self.ranked.append((*rank, NearMiss(event=view.event, misses=shown), view))
        self.ranked.sort(key=itemgetter(0, 1))
        del self.ranked[_MAX_NEAR:]

    @property
    def near_misses(self) -> tuple[NearMiss, ...]:
        """They, the nearest first; of equally near ones, the last to arrive first. Only the first if they are large."""
        shown = shown_of([view for *_, view in self.ranked])
        return tuple(near_miss for _, _, near_miss, _ in self.ranked[: len(shown)])


@dataclass(slots=True)
class Diagnosis:
    """Why something is missing: what would match had it been accepted, what comes near, the ids of what fits.

    `unread` counts the refused requests whose event is not known; `last_unread` is the last of them.
    """

    candidates: Nearest
    near: Nearest
    fitting: list[int] = field(default_factory=list[int])
    unread: int = 0
    last_unread: Event | None = None

    def add_unread(self, event: Event) -> None:
        """Count *event*, a refused request whose event is not known."""
        self.unread += 1
        if self.last_unread is None or event.id > self.last_unread.id:
            self.last_unread = event


class SequenceProgress:
    """Follows a sequence of matches through events in order. *strict*: with no other event between."""

    def __init__(self, steps: Sequence[Match], *, strict: bool) -> None:
        self._steps = steps
        self._strict = strict
        self.budget = steps[0].budget
        """What the regular expressions of all steps have cost so far."""
        self._runs: set[int] = set()
        self._window: deque[EventView] = deque(maxlen=len(steps))
        self.matched: list[EventView] = []
        self.near = Nearest(steps[0])
        self.searches = any(step.searches for step in steps)
        """Whether there is a regular expression in a step."""

    def steps(self, view: Mapping[str, JsonValue]) -> int:
        """Return how many steps the regular expressions may take on *view*, about."""
        return sum(step.steps(view) for step in self._steps)

    @property
    def met(self) -> bool:
        """Whether every step has its event."""
        return len(self.matched) == len(self._steps)

    @property
    def next(self) -> int:
        """The number of the step that is missing."""
        return min(len(self.matched), len(self._steps) - 1)

    @property
    def missing(self) -> str:
        """The step that is missing, in words: `sequence.1 ('Purchase')`."""
        name = self._steps[self.next].text("event")
        return f"sequence.{self.next}" + ("" if name is None else f" ({cut(name)!r})")

    def add_all(self, views: Iterable[EventView]) -> None:
        """Go on with the next events."""
        for view in views:
            self.add(view)

    def add(self, view: EventView) -> None:
        """Go on with the next event."""
        if self.met:
            return
        if self._strict:
            self._add_strictly(view)
            return
        misses = self._steps[self.next].misses(view.fields)
        if misses:
            self.near.add(view, misses)
        else:
            self._advance([*self.matched, view])

    def _add_strictly(self, view: EventView) -> None:
        """Go on with every run that the event continues; the longest run so far is the one that is reported."""
        self._window.append(view)
        runs: set[int] = set()
        for length in sorted(self._runs | {0}):
            misses = self._steps[length].misses(view.fields)
            if not misses:
                runs.add(length + 1)
            elif length == len(self.matched):
                self.near.add(view, misses)
        self._runs = runs
        longest = max(runs, default=0)
        if longest > len(self.matched):
            self._advance(list(self._window)[-longest:])

    def _advance(self, matched: list[EventView]) -> None:
        self.matched = matched
        self.near = Nearest(self._steps[self.next])


def shown_of(views: Sequence[EventView]) -> tuple[Event, ...]:
    """Return the events of *views* that an answer has room for, the first one in any case."""
    shown: list[Event] = []
    left = LIST_BYTES
    for view in views:
        left -= len(view.text)
        if shown and left < 0:
            break
        shown.append(view.event)
    return tuple(shown)


def fitting(match: Match, excerpts: Iterable[tuple[int, Properties]]) -> list[int]:
    """Return the ids of those events that match, going by *excerpts* that have the fields of *match*."""
    return [event_id for event_id, fields in excerpts if match.fits(fields)]


def diagnose(
    scope: Scope, match: Match, met: set[int], views: Sequence[EventView], missed: Sequence[Sequence[Miss]]
) -> Diagnosis:
    """Return why no more of *views*, each with what it *missed*, match than those with the ids in *met*."""
    diagnosis = Diagnosis(Nearest(match), Nearest(match))
    originals = {view.event.distinct_id for view in views if view.event.outcome == "accepted"}
    for view, misses in zip(views, missed, strict=True):
        event = view.event
        if scope.has(event):
            if misses and event.id not in met:
                diagnosis.near.add(view, misses)
            elif event.id not in met:
                diagnosis.fitting.append(event.id)
        elif misses and event.outcome == "duplicate" and event.distinct_id in originals:
            continue  # The event that it repeats tells more.
        elif event.outcome not in ("accepted", scope.outcome):
            _add_refused(diagnosis, scope, view, misses)
    return diagnosis


def may_be_told_by_request(scope: Scope, event: Event, misses: Sequence[Miss]) -> bool:
    """Whether the request of *event*, which *misses* something, may tell what is not known of it."""
    rejected = event.outcome == "rejected" and not scope.has(event)
    return rejected and event.event is not None and bool(misses) and all(_unknown(event, miss) for miss in misses)


def _add_refused(diagnosis: Diagnosis, scope: Scope, view: EventView, misses: Sequence[Miss]) -> None:
    """Add an event that was not accepted to *diagnosis*, if it may have been meant."""
    event = view.event
    outcome = Miss("outcome", scope.outcome, event.outcome, why_not_accepted(event) or event.outcome)
    unknown = [_unknown(event, miss) and miss.path.partition(".")[0] not in view.sent for miss in misses]
    shown = [
        Miss(miss.path, miss.expected, miss.actual, _not_known(event)) if is_unknown else miss
        for miss, is_unknown in zip(misses, unknown, strict=True)
    ]
    if all(unknown):
        if _is_unread(scope, event, misses):
            diagnosis.add_unread(event)
        else:
            diagnosis.candidates.add(view, shown, [outcome])
    elif view.sent:
        diagnosis.near.add(view, [outcome, *shown])


def _is_unread(scope: Scope, event: Event, misses: Sequence[Miss]) -> bool:
    """Whether an event with a name is looked for, and *event* was refused before it was known to be one."""
    no_name = event.outcome == "rejected" and event.event is None
    return no_name and (scope.named or any(miss.path == "event" for miss in misses))


def became(event: Event) -> str:
    """Return the outcome of *event* as a sentence has it: `a duplicate`."""
    return _WITH_ARTICLE[event.outcome]


def _unknown(event: Event, miss: Miss) -> bool:
    """Whether *miss* is about something that is not known of *event*, because it was not accepted."""
    root = miss.path.partition(".")[0]
    if event.outcome == "rejected" and root in ("event", "distinct_id"):
        return miss.actual is None
    return root in _UNKNOWN_FIELDS.get(event.outcome, ())


def _not_known(event: Event) -> str:
    return f"{NOT_KNOWN}, because the event was {became(event)}"
