"""The records: one type for each thing that is stored and shown.

The store returns them, the feed makes them straight from receipts, the debug API answers them as JSON, and the handle
reads them back. `to_json` and `from_json` are the only two ways between a record and its JSON. The module imports
nothing but the standard library, because every test process that uses the handle loads it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from types import NoneType, UnionType
from typing import Any, Generic, Literal, TypeAlias, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from ours_emulator.stable import stable_forms
from ours_emulator.values import value

T = TypeVar("T")
Json: TypeAlias = Mapping[str, Any]
Outcome: TypeAlias = Literal["accepted", "duplicate", "dropped", "rejected"]
StepResult: TypeAlias = Literal["matched", "not_found", "skipped"]
Connection: TypeAlias = Literal["reset", "hang", "close"]
Basis: TypeAlias = Literal["documented", "observed", "assumed"]
RowCode: TypeAlias = Literal["queue_failed", "invalid_event"]
ClockState: TypeAlias = Literal["real", "frozen", "moved"]
Mode: TypeAlias = Literal["at_least", "exactly", "at_most", "none"]
EventOrder: TypeAlias = Literal["time", "arrival"]
ChangeAction: TypeAlias = Literal["added", "changed", "removed", "ignored", "unchanged"]
MAX_WAIT_SECONDS = 55
"""The longest wait: many clients, and what is between them and here, give up after a minute."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@value
class Hint:
    """Something that was accepted but probably not intended: the rule, a JSON pointer, a sentence."""

    rule: str
    path: str
    message: str

    @property
    def sentence(self) -> str:
        """The message after the place it is about: `properties: dropped`."""
        return sentence(self.path, self.message)


@value
class Reason:
    """Why something was refused: the rule, a JSON pointer into the body, a sentence, the HTTP status.

    `status` is None if a fault kept the request from being answered. `limit` is the limit that was exceeded, for a
    refusal because of size.
    """

    rule: str
    path: str
    message: str
    status: int | None = None
    limit: int | None = None

    @property
    def sentence(self) -> str:
        """The message after the place it is about: `events.3.time: in the future`."""
        return sentence(self.path, self.message)


@value
class Step:
    """One identifier of a message, and whether it matched a visitor. `skipped`: a stronger one had decided.

    `why` says what follows from that; it is not stored.
    """

    identifier: str
    value: str
    result: StepResult
    why: str = ""


@value
class Resolution:
    """How the visitor was found: the identifier that decided, and the result for each one given, strongest first."""

    decided_by: str | None
    created: bool
    steps: tuple[Step, ...]

    def explained(self) -> "Resolution":
        """Return the same, with why each step ended as it did, and why the next one was taken or not."""
        return replace(self, steps=tuple(replace(step, why=self._why(at)) for at, step in enumerate(self.steps)))

    def _why(self, at: int) -> str:
        step, *later = self.steps[at:]
        if step.result == "matched":
            return "a visitor has it"
        if step.result == "skipped":
            decisive = [before for before in self.steps[:at] if before.result != "skipped"][-1]
            return f"not looked up: {decisive.identifier} decided"
        if later and later[0].result != "skipped":
            return f"no visitor has it, so {later[0].identifier} was looked up"
        alone = " and it decides alone," if later else ""
        return f"no visitor has it,{alone} so a new visitor was made" if self.created else "no visitor has it"


@value
class FaultAnswer:
    """What a fault does to one request: another answer, a late one, none at all, or rows of a batch that fail."""

    name: str
    """The name of the fault."""
    status: int | None = None
    """None leaves the answer as the contract has it."""
    retry_after: float | None = None
    """Seconds that the client is told to wait."""
    error: str | None = None
    delay_ms: float = 0.0
    connection: Connection | None = None
    """The connection is reset, never answered, or closed in the middle of the body."""
    code: RowCode | None = None
    """The code that rows of a batch fail with."""
    rows: tuple[int, ...] | None = None
    """Indexes of the rows that fail; None for all that the fault matches."""
    stored: bool = False
    """The request is committed and only its answer is lost; otherwise it was never received."""

    @property
    def replaces(self) -> bool:
        """Whether the request never gets as far as the contract."""
        return self.hides_answer and not self.stored

    @property
    def hides_answer(self) -> bool:
        """Whether the client does not get the answer of the contract."""
        return self.status is not None or self.connection is not None

    @property
    def sentence(self) -> str:
        """What the fault does, as a reason: `planned fault 'busy': answered 429`."""
        return f"planned fault '{self.name}': {self._effect}"

    @property
    def _effect(self) -> str:
        if self.connection is not None:
            return {"reset": "connection reset", "hang": "no answer", "close": "connection closed"}[self.connection]
        return f"row failed with {self.code}" if self.code else f"answered {self.status}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What became of one event, identify call, alias or device.

    `time` is in milliseconds since the epoch. `identity` has the identifiers that the message gave, in wire spelling
    (`userId`, `userProperties.email`); `visitor_properties` are the visitor's properties right after this event (rule
    snapshot), None if it was not accepted.
    """

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
    event_properties: dict[str, Any] = field(default_factory=dict[str, Any])
    default_properties: dict[str, Any] = field(default_factory=dict[str, Any])
    identity_context: dict[str, Any] | None = None
    identity: dict[str, str] = field(default_factory=dict[str, str])
    visitor_properties: dict[str, Any] | None = None
    resolution: Resolution | None = None
    hints: tuple[Hint, ...] = ()
    reason: Reason | None = None
    request_id: int
    batch_index: int | None = None

    def stable(self) -> dict[str, Any]:
        """Return its JSON with placeholders for what differs in each run, to compare with a snapshot; see `stable`."""
        return stable([self])[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitorChange:
    """What an event did to one value of its visitor.

    `path` is a part of the visitor, and after the first dot the name in it: `identifiers.email`, `properties.city`,
    `custom_properties.plan`, `consent`, `data.plan`, `devices.` and the device id. Email and external id are under
    `identifiers`. `before` is None if the value was not there, `after` if it no longer is. Only a value of `data` may
    itself be null, so `action` says whether it was there.

    `unchanged` is a value that was sent and is stored already, `ignored` one that was not stored. `why` says why it
    was ignored, or why the value that is stored is not the one that was sent; None if there is nothing to explain.
    """

    path: str
    action: ChangeAction
    before: Any = None
    after: Any = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDetail(Event):
    """An event with its changes to its visitor: nothing, unless it was accepted.

    `unknown_changes` has the parts of the visitor of which an older database file never recorded what they were right
    before this event or right after it (`data`, `devices`, `identifiers.anonymous_id`), and all parts if what the
    visitor was before is not known at all; `changes` has nothing of them.
    """

    changes: tuple[VisitorChange, ...] = ()
    unknown_changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    """What a visitor is found by."""

    user_id: str | None = None
    external_id: str | None = None
    email: str | None = None
    anonymous_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A visitor as the account knows them now.

    `properties` are all but `custom_properties` and `consent`, which stand beside; `data` is the Client API's
    `data`, merged.
    """

    visitor_id: str
    account: str
    identifiers: Identifiers
    properties: dict[str, Any]
    custom_properties: dict[str, Any]
    consent: dict[str, Any] | None = None
    data: dict[str, Any] = field(default_factory=dict[str, Any])
    devices: tuple[dict[str, Any], ...] = ()
    event_count: int
    first_seen: datetime
    last_seen: datetime

    def stable(self) -> dict[str, Any]:
        """Return its JSON with placeholders for what differs in each run, to compare with a snapshot; see `stable`."""
        return stable([self])[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitorVersion:
    """A visitor as one event left them.

    What a file of store version 2 never recorded is unknown: it is None, and its name is in `unknown`
    (`data`, `devices`, `identifiers.anonymous_id`).
    """

    version: int
    visitor_id: str
    account: str
    identifiers: Identifiers
    properties: dict[str, Any]
    custom_properties: dict[str, Any]
    consent: dict[str, Any] | None = None
    data: dict[str, Any] | None = None
    devices: tuple[dict[str, Any], ...] | None = None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request in the journal. Attempts of one call share the `call_id`, the id of the first of them.

    `gap_ms` is how long after the previous attempt it came. `status` is None if a fault kept it from being answered.
    `duration_ms` runs until it was decided, without the commit; `body_bytes` is the body's size on the wire; `receipts`
    is how many events it has.
    """

    id: int
    account: str
    call_id: int
    attempt: int
    gap_ms: float | None = None
    endpoint: str
    method: str
    path: str
    status: int | None
    fault: FaultAnswer | None = None
    received_at: datetime
    duration_ms: float
    content_type: str
    content_encoding: str
    body_bytes: int
    receipts: int


@dataclass(frozen=True, slots=True)
class SentAnswer:
    """The answer to a request: its body, and its headers by their lower-case names.

    Left out are `date` and `server`, and the headers `x-emulator-…`, which say what the request and its events say.
    """

    headers: dict[str, str]
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDetail(RequestRecord):
    """One request in the journal with its body, its events and its answer.

    The body is text, decompressed; base64 if it is no text. `body_missing` says why there is neither, None if there is
    one. `answer` is None if a fault kept the request from being answered, and if a file of store version 4 or older
    never recorded it.
    """

    body: str | None = None
    body_base64: str | None = None
    body_missing: str | None = None
    events: tuple[Event, ...] = ()
    answer: SentAnswer | None = None


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A request with all that was kept of it: beside its record, what an export and a replay need.

    `body` is as it came over the wire, empty if it was too large (`oversized`). `answer` has those of the headers that
    not every answer has. An export goes without it.
    """

    record: RequestRecord
    authorization: str
    oversized: bool
    body: bytes
    answer: SentAnswer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The attempts of one call, the first one first. `accepted` counts the events that any of them stored."""

    call_id: int
    account: str
    path: str
    accepted: int
    attempts: tuple[RequestRecord, ...]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. `total` counts all pages; `evicted` counts what was deleted to make room."""

    items: tuple[T, ...]
    total: int
    next_cursor: str | None = None
    evicted: int = 0


class Listing(list[T]):
    """A list of results, the oldest first, that knows how many older ones were `evicted` from the store for room.

    `total` counts the results on all pages, of a list that is one page.
    """

    def __init__(
        self, items: Iterable[T] = (), *, evicted: int = 0, next_cursor: str | None = None, total: int = 0
    ) -> None:
        super().__init__(items)
        self.total = total
        self.evicted = evicted
        self.next_cursor = next_cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Counts: visitors, requests, events by outcome, and accepted events by name (the 100 most frequent).

    `newest_event` and `newest_request` are the largest ids, whatever the outcome; 0 if there are none. `account` is
    None for all accounts.
    """

    account: str | None = None
    visitors: int
    requests: int
    newest_event: int
    newest_request: int
    outcomes: dict[str, int]
    events: dict[str, int]
    evicted_requests: int = 0
    evicted_events: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One line of the contract.

    `basis`: the vendor documents it, another public source of the vendor shows it, or it is our choice. `source` says
    where. `revisions` are those it holds in; in another one, a rule with the same id may say something else.
    """

    id: str
    text: str
    basis: Basis
    source: str
    revisions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleCount:
    """How many events a rule applied to: those with a hint of it, whatever their outcome, and those that it refused."""

    rule: str
    hinted: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """How much a reset, or closing an account, deleted. `receipts` counts events; `account` is None for all."""

    account: str | None = None
    visitors: int
    receipts: int
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """Part of a stream: the earlier events of `account` were deleted, those of all accounts if it is None."""

    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The clock of an account: `now`, the same in milliseconds since the epoch, and whether it was moved."""

    account: str = ""
    now: datetime
    now_ms: int
    state: ClockState = "real"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A line that was answered differently than when it was recorded; None is no answer at all."""

    line: int
    recorded: int | None
    now: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """How many requests were replayed, the outcomes of their events, and the first 100 lines answered differently.

    `kept_settings` names the accounts that have other settings than those recorded, and keep them.
    """

    imported: int
    outcomes: dict[str, int]
    differing_total: int = 0
    differing: tuple[Difference, ...] = ()
    kept_settings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Miss:
    """One thing in which an event differs from what was expected. `path` is dotted."""

    path: str
    expected: Any = None
    actual: Any = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearMiss:
    """An event that was probably meant, and what keeps it from matching."""

    event: Event
    misses: tuple[Miss, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """An expectation that is met: the matching events, the first to arrive first, and the count of all of them.

    `items` has at most 1000 of them, and at most 16 MiB. `last` is the last of all to arrive, None if there is none; of
    a sequence, its last event.
    """

    items: tuple[Event, ...] = ()
    last: Event | None = None
    count: int = 0
    evicted: int = 0
    waited_ms: int = 0

    @property
    def event(self) -> Event:
        """The last event to arrive. Raises ValueError if there is none."""
        if self.last is None:
            raise ValueError("there is no event")
        return self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultCounts:
    """A planned fault: how many requests it matched, and how many of them it hit."""

    name: str
    matched: int = 0
    hits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmet:
    """An expectation that is not met, and why.

    `candidates` match but were rejected, dropped or duplicates (or may match, as far as is known); `near_misses` differ
    in some fields, the best one first. `unread` counts the refused requests whose event is not known, of those that
    arrived last, and `last_unread` is the last of them. `error` explains it in one sentence, `found` says only what
    there is, and `explanation` has all of it on several lines, as a failing test prints it.
    """

    error: str
    found: str
    explanation: str = ""
    mode: Literal[Mode, "sequence"]
    expected: int
    count: int
    items: tuple[Event, ...] = ()
    candidates: tuple[NearMiss, ...] = ()
    near_misses: tuple[NearMiss, ...] = ()
    unread: int = 0
    last_unread: Event | None = None
    evicted: int = 0
    waited_ms: int = 0


def dotted(path: str) -> str:
    """Return a JSON pointer as people write places: `userProperties.first_name`."""
    return path[1:].replace("/", ".").replace("~1", "/").replace("~0", "~")


def sentence(path: str, message: str) -> str:
    """Return *message* after the place it is about, a JSON pointer: `events.3.time: in the future`."""
    return f"{dotted(path)}: {message}" if path else message


def utc(milliseconds: int) -> datetime:
    """Return the moment *milliseconds* after the epoch. Exact, which `datetime.fromtimestamp` of a float is not."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def milliseconds_of(moment: datetime) -> int:
    """Return how many milliseconds after the epoch *moment* is."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def iso(moment: datetime) -> str:
    """Return *moment*, in UTC, as ISO 8601 with milliseconds: `2026-11-20T10:00:05.000Z`."""
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def whole(number: float) -> float:
    """Return *number* as an integer if it is one: JSON clients tell 1 and 1.0 apart."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def to_json(record: object) -> dict[str, Any]:
    """Return the JSON object of a dataclass: fields by name, moments as ISO 8601, tuples as lists."""
    return {name: _plain(getattr(record, name)) for name in _names(cast(Any, record.__class__))}


def stable(records: "Iterable[Event | Visitor]") -> list[dict[str, Any]]:
    """Return the JSON of *records* with placeholders for what differs in each run, to compare with a snapshot.

    Ids, the account and UUIDs (in any value) are replaced, numbered through all of *records* in the order in which
    they appear (`<event 1>`, `<request 1>`, `<uuid 1>`), so that the same value has the same placeholder; and the times
    that every record has (`<time>`, not numbered). Other values are as they were sent. Raises TypeError for all else.
    """
    return stable_forms(map(to_json, _stable(records)))


def _stable(given: object) -> "Iterator[Event | Visitor]":
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise _not_stable(given)
    for one in cast(Iterable[object], given):
        if not isinstance(one, Event | Visitor):
            raise _not_stable(one)
        yield one


def _not_stable(given: object) -> TypeError:
    return TypeError(f"stable() takes a list of events and visitors, not {type(given).__name__}")


def from_json(kind: type[T], data: Json) -> T:
    """Return the dataclass *kind* that *data* is the JSON of. Keys that *kind* does not have are left out.

    Raises KeyError if a field without a default is missing.
    """
    made: dict[str, Any] = {}
    for name, (required, convert) in _readers(cast(Any, kind)).items():
        if name in data:
            made[name] = convert(data[name])
        elif required:
            raise KeyError(name)
    return kind(**made)


def _plain(thing: Any) -> Any:
    kind = thing.__class__
    if kind in _AS_IS:
        return thing
    if kind is datetime:
        return iso(thing)
    if kind is tuple:
        return [_plain(item) for item in thing]
    return to_json(thing) if is_dataclass(thing) else thing


# What a client sent is JSON already, so nothing inside a dictionary needs a look.
_AS_IS = frozenset((str, int, float, bool, NoneType, dict, list))


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))


@cache
def _readers(kind: Any) -> Mapping[str, tuple[bool, Callable[[Any], Any]]]:
    """Return for each field of *kind* whether it is required, and what makes its value of JSON."""
    hints = get_type_hints(kind)
    return {
        one.name: (one.default is MISSING and one.default_factory is MISSING, _reader(hints[one.name]))
        for one in fields(kind)
    }


def _reader(annotation: Any) -> Callable[[Any], Any]:
    """Return what makes a value of type *annotation* of JSON."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        (inner,) = [_reader(one) for one in arguments if one is not NoneType] if len(arguments) == 2 else [_same]
        return lambda data: None if data is None else inner(data)
    if origin is tuple:
        item = _reader(arguments[0])
        return lambda data: tuple(map(item, data))
    # Asked in this way because freezegun, in a test with a frozen clock, has put a subclass in the place of `datetime`.
    if isinstance(annotation, type) and issubclass(cast(type[Any], annotation), datetime):
        return cast(type[datetime], annotation).fromisoformat
    if is_dataclass(annotation):
        return lambda data: from_json(cast(type[Any], annotation), data)
    return _same


def _same(data: Any) -> Any:
    return data
