"""What the debug API shows, as frozen values with attributes. Keys that a newer server adds are left out."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, TypeAlias, TypeVar, cast

T = TypeVar("T")
Json: TypeAlias = Mapping[str, Any]
Outcome: TypeAlias = Literal["accepted", "duplicate", "dropped", "rejected"]


class Listing(list[T]):
    """A list of results, the oldest first, that knows how many older ones were `evicted` from the store for room."""

    def __init__(self, items: Iterable[T] = (), *, evicted: int = 0, next_cursor: str | None = None) -> None:
        super().__init__(items)
        self.evicted = evicted
        self.next_cursor = next_cursor


@dataclass(frozen=True, slots=True)
class Hint:
    """Something accepted that was probably not meant: the rule, a JSON pointer, a sentence."""

    rule: str
    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something was refused: the rule, a JSON pointer into the body, a sentence, the HTTP status.

    `status` is None if a fault kept it from being answered.
    """

    rule: str
    path: str
    message: str
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One identifier that was tried, or not: `matched`, `not_found` or `skipped`."""

    identifier: str
    value: str
    result: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """How the visitor was found: which identifier decided, and what became of each one given."""

    decided_by: str | None
    created: bool
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, data: Json) -> "Resolution":
        """Return what *data* says."""
        return _made(cls, data, steps=_each(Step))


@dataclass(frozen=True, slots=True)
class Event:
    """What became of one event, identify call, alias or device. `time` is in milliseconds since the epoch."""

    id: int
    account: str
    endpoint: str
    outcome: Outcome
    event: str | None
    visitor_id: str | None
    distinct_id: str | None
    time: float
    received_at: datetime
    test: bool
    repeats: int
    request_id: int
    batch_index: int | None
    event_properties: dict[str, Any] = field(default_factory=dict[str, Any])
    default_properties: dict[str, Any] = field(default_factory=dict[str, Any])
    identity_context: dict[str, Any] | None = None
    visitor_properties: dict[str, Any] | None = None
    """The visitor's properties right after this event."""
    resolution: Resolution | None = None
    hints: tuple[Hint, ...] = ()
    reason: Reason | None = None

    @classmethod
    def of(cls, data: Json) -> "Event":
        """Return what *data* says."""
        return _made(
            cls,
            data,
            received_at=datetime.fromisoformat,
            resolution=Resolution.of,
            hints=_each(Hint),
            reason=lambda reason: _made(Reason, reason),
        )


@dataclass(frozen=True, slots=True)
class Met:
    """The events that are as expected: at most 1000 of them, the first to arrive first, and the last of all."""

    events: list[Event] = field(default_factory=list[Event])
    last: Event | None = None

    @property
    def event(self) -> Event:
        """The last to arrive. Raises ValueError if there is none."""
        if self.last is None:
            raise ValueError("there is no event")
        return self.last

    @classmethod
    def of(cls, data: Json) -> "Met":
        """Return what *data* says."""
        return cls([Event.of(item) for item in data["items"]], data["last"] and Event.of(data["last"]))


@dataclass(frozen=True, slots=True)
class Identifiers:
    """What a visitor is known by."""

    user_id: str | None = None
    external_id: str | None = None
    email: str | None = None
    anonymous_id: str | None = None


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody the events are about, with what is known of them."""

    visitor_id: str
    account: str
    identifiers: Identifiers
    properties: dict[str, Any]
    custom_properties: dict[str, Any]
    event_count: int
    first_seen: datetime
    last_seen: datetime
    consent: dict[str, Any] | None = None
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    devices: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of(cls, data: Json) -> "Visitor":
        """Return what *data* says."""
        return _made(
            cls,
            data,
            identifiers=lambda identifiers: _made(Identifiers, identifiers),
            first_seen=datetime.fromisoformat,
            last_seen=datetime.fromisoformat,
            devices=tuple,
        )


@dataclass(frozen=True, slots=True)
class FaultMark:
    """What a planned fault did to one request."""

    name: str
    status: int | None = None
    connection: str | None = None
    stored: bool = False


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One line of the journal. Attempts of one call of an SDK share the `call_id`, the id of the first of them.

    `status` is None if a fault kept it from being answered; `body_bytes` is the size on the wire, `gap_ms` the time
    since the attempt before.
    """

    id: int
    account: str
    call_id: int
    attempt: int
    endpoint: str
    method: str
    path: str
    status: int | None
    received_at: datetime
    duration_ms: float
    content_type: str
    content_encoding: str
    body_bytes: int
    receipts: int
    fault: FaultMark | None = None
    gap_ms: float | None = None

    @classmethod
    def of(cls, data: Json) -> "RequestRecord":
        """Return what *data* says."""
        return _made(cls, data, **_REQUEST)


@dataclass(frozen=True, slots=True)
class RequestDetail(RequestRecord):
    """One line of the journal with its body (text, un-gzipped; base64 if it is no text) and the events in it."""

    body: str | None = None
    body_base64: str | None = None
    events: tuple[Event, ...] = ()

    @classmethod
    def of(cls, data: Json) -> "RequestDetail":
        """Return what *data* says."""
        return _made(cls, data, events=lambda events: tuple(map(Event.of, events)), **_REQUEST)


@dataclass(frozen=True, slots=True)
class FaultView:
    """A planned fault: how many requests it `matched`, and how many of them it hit."""

    name: str
    matched: int = 0
    hits: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """What the emulator's clock says, and whether it is `real`, `frozen` or `moved`."""

    now: datetime
    now_ms: int
    state: str = "real"

    @classmethod
    def of(cls, data: Json) -> "Moment":
        """Return what *data* says."""
        return _made(cls, data, now=datetime.fromisoformat)


@dataclass(frozen=True, slots=True)
class Cleared:
    """How much was forgotten."""

    visitors: int
    receipts: int
    requests: int


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts: visitors, requests, events by outcome, and accepted events by name (the 100 most frequent).

    `newest_event` and `newest_request` are the ids of those that arrived last; 0 without any.
    """

    visitors: int
    requests: int
    newest_event: int
    newest_request: int
    outcomes: dict[str, int]
    events: dict[str, int]


@dataclass(frozen=True, slots=True)
class Imported:
    """How many requests were replayed, and what became of their events, counted by outcome."""

    imported: int
    outcomes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Miss:
    """One property in which an event differs from what was expected."""

    path: str
    expected: Any = None
    actual: Any = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class NearMiss:
    """An event that nearly was the expected one, and in what it differs."""

    event: Event
    misses: tuple[Miss, ...] = ()

    @classmethod
    def of(cls, data: Json) -> "NearMiss":
        """Return what *data* says."""
        return _made(cls, data, event=Event.of, misses=_each(Miss))


def plain(kind: type[T]) -> Callable[[Json], T]:
    """Return what makes a *kind* without nested values of JSON."""
    return lambda data: _made(kind, data)


def _made(kind: type[T], data: Json, **convert: Callable[[Any], Any]) -> T:
    """Return the dataclass *kind* from the keys of *data* that it has, each converted if it isn't null."""
    known = {one.name for one in fields(cast(Any, kind))}
    values = {name: value for name, value in data.items() if name in known}
    for name, conversion in convert.items():
        if values.get(name) is not None:
            values[name] = conversion(values[name])
    return kind(**values)


def _each(kind: type[T]) -> Callable[[Iterable[Json]], tuple[T, ...]]:
    return lambda items: tuple(_made(kind, item) for item in items)


_REQUEST: dict[str, Callable[[Any], Any]] = {
    "received_at": datetime.fromisoformat,
    "fault": lambda fault: _made(FaultMark, fault),
}
