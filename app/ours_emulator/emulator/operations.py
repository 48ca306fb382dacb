"""Every operation of the debug API as a value: what is sent, and what the answer means. Nothing here sends anything."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import inf, isfinite
from numbers import Real
from pathlib import Path
from typing import Any, Generic, Literal, TypeAlias, TypedDict, TypeGuard, TypeVar, cast
from urllib.parse import quote

from ours_emulator.emulator.errors import EmulatorError, ExpectationError
from ours_emulator.errors import file_text
from ours_emulator.records import (
    MAX_WAIT_SECONDS,
    Cleared,
    Event,
    EventDetail,
    FaultCounts,
    Imported,
    Json,
    Listing,
    Met,
    Mode,
    Moment,
    RequestDetail,
    RequestRecord,
    Reset,
    Rule,
    RuleCount,
    Summary,
    Unmet,
    Visitor,
    from_json,
)
from ours_emulator.wording import did_you_mean

_TIMES = {"timeout_ms": "timeout", "settle_ms": "settle"}
T = TypeVar("T")
V = TypeVar("V")
FieldMatch: TypeAlias = str | Mapping[str, Any] | None
"""A value, or an operator of the match grammar: `{"$regex": "@example.com$"}`."""
When: TypeAlias = datetime | str | int
"""A moment: a datetime, ISO 8601, or milliseconds since the epoch."""
Lines: TypeAlias = str | bytes | Iterable[str] | Iterable[bytes]
"""Exported requests: JSON Lines as text or bytes, or several lines, or parts in bytes, like an opened file."""

JSON = "application/json"
JSON_LINES = "application/jsonl"
GONE = (404, 409)
"""How the debug API answers when there is no such thing, or its account is closed."""
PAGE = 1000
"""How many items the debug API lists at once."""
_SECONDS = 30.0
_STREAM_SECONDS = 60.0
"""Four times the interval of the heartbeat."""
_NOT_ACCEPTABLE = 406
_SCALARS = (str, int, float, datetime)


class Fields(TypedDict, total=False):
    """Fields of an event that are matched by name; anything else goes into `match`."""

    email: FieldMatch
    external_id: FieldMatch
    user_id: FieldMatch
    anonymous_id: FieldMatch
    visitor_id: FieldMatch
    distinct_id: FieldMatch
    endpoint: FieldMatch
    test: bool
    event_properties: Mapping[str, Any]
    default_properties: Mapping[str, Any]
    visitor_properties: Mapping[str, Any]


class FaultPlan(TypedDict, total=False):
    """A planned misbehaviour: which requests (the first four), what they get, and how often.

    `retry_after` is in seconds, `delay_ms` in milliseconds: a number, or `{"min": …, "max": …}`.
    """

    path: str
    event: str
    token: str
    distinct_id: str
    status: int
    retry_after: float
    error: str
    delay_ms: float | Mapping[str, float]
    connection: Literal["reset", "hang", "close"]
    rows: Sequence[int]
    code: str
    stored: bool
    times: int
    sequence: Sequence[Mapping[str, Any] | None]
    probability: float
    seed: int
    rate_limit: Mapping[str, float]


TrackingPlan: TypeAlias = Mapping[str, Any] | Path
"""A tracking plan, or its file in YAML or JSON."""


class ExperimentPlan(TypedDict, total=False):
    """An experiment: `variants` are required, each with an `id`; the others say who is in it, and on which pages."""

    id: str
    name: str
    type: str
    allocation: float
    url: Sequence[str]
    query: Mapping[str, str]
    variants: Sequence[Mapping[str, Any]]


class Duration(TypedDict, total=False):
    """Parts of a length of time, as `datetime.timedelta` has them."""

    weeks: float
    days: float
    hours: float
    minutes: float
    seconds: float
    milliseconds: float


class AccountPlan(TypedDict, total=False):
    """What an account accepts; what is absent is as the server was started."""

    tokens: Sequence[str]
    public_keys: Sequence[str]
    allowed_events: Sequence[str] | None
    require_identifier: bool
    strict_openapi: bool
    revision: str
    experiments: Mapping[str, ExperimentPlan]
    tracking_plan: TrackingPlan | None


_FAULT_MATCH = ("path", "event", "token", "distinct_id")
_PARTS = tuple(Duration.__annotations__)
_FAULT_ANSWER = ("status", "retry_after", "error", "delay_ms", "connection", "rows", "code", "stored")
_FAULT_OPTIONS = (*FaultPlan.__annotations__, "match", "answer")
"""The last two as the debug API has them."""
_EFFECTS = {"status", "delay_ms", "connection", "code", "sequence", "rate_limit", "answer"}


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One operation of the debug API. `path` follows /debug/; `parse` makes the result of the answer's JSON."""

    method: str
    path: str
    parse: Callable[[Any], T]
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    content: bytes | Iterable[bytes] | None = None
    media_type: str = JSON
    extra_headers: Mapping[str, str] = field(default_factory=dict[str, str])
    seconds: float | None = _SECONDS
    """How long the emulator may be silent; None for as long as it likes."""
    raw: bool = False
    """The answer is not JSON; `parse` gets its bytes."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that are sent."""
        return self.extra_headers if self.content is None else {"content-type": self.media_type, **self.extra_headers}

    def result(self, status: int, body: bytes) -> T:
        """Return what the answer means. Raises ExpectationError for 406, EmulatorError for another refusal."""
        __tracebackhide__ = True
        if status >= 300:
            raise self.error(status, body)
        try:
            return self.parse(body if self.raw else json.loads(body))
        except (ValueError, KeyError, TypeError) as error:
            what = f"{type(error).__name__}: {error}"
            raise EmulatorError(f"{self} got an answer that is not an emulator's ({what})", status) from None

    def error(self, status: int, body: bytes) -> Exception:
        """Return what a refusal is raised as."""
        answer = _object(body)
        if status == _NOT_ACCEPTABLE and "found" in answer:
            unmet = from_json(Unmet, answer)
            return ExpectationError(unmet.explanation or unmet.error, unmet.candidates, unmet.near_misses)
        reason = answer.get("error")
        # The page of another server has several lines.
        message = reason or answer.get("detail") or " ".join(body[:200].decode("utf-8", "replace").split())
        return EmulatorError(f"{self} was answered {status}: {message}", status, reason)

    def __str__(self) -> str:
        return f"{self.method} /debug/{self.path}"


@dataclass(frozen=True, slots=True)
class Condition:
    """How many events that match are expected, and of which outcome: None for accepted ones, `any` for all."""

    match: Json
    count: int | None
    mode: Mode
    outcome: str | None

    def __post_init__(self) -> None:
        """Raise TypeError or ValueError if the count is none, or contradicts the mode."""
        if self.count is not None:
            check_integer("count", self.count)
            if self.mode == "none":
                raise ValueError(f"count is {self.count}, but mode none expects no event; omit count")

    @property
    def body(self) -> dict[str, object]:
        """The condition as the debug API reads it."""
        count = {} if self.count is None else {"count": self.count}
        outcome = {} if self.outcome is None else {"outcome": self.outcome}
        return {"match": self.match, "mode": self.mode, **count, **outcome}


def after(operation: Operation[T], cursor: str) -> Operation[T]:
    """The page that *cursor* begins."""
    return replace(operation, params={**operation.params, "cursor": cursor})


def limited(operation: Operation[T], limit: int) -> Operation[T]:
    """A page of at most *limit* items."""
    return replace(operation, params={**operation.params, "limit": str(min(limit, PAGE))})


def events(outcome: str | None, event: str | None, filters: Mapping[str, object]) -> Operation[Listing[Event]]:
    """A page of events."""
    return _page("events", record(Event), {"event": event, "outcome": outcome, **_filters(filters)})


def event(event_id: int) -> Operation[EventDetail]:
    """One event, with its changes to its visitor."""
    return Operation("GET", f"events/{event_id}", record(EventDetail))


def visitors(filters: Mapping[str, object]) -> Operation[Listing[Visitor]]:
    """A page of visitors."""
    return _page("visitors", record(Visitor), _filters(filters))


def visitor(visitor_id: str) -> Operation[Visitor]:
    """One visitor."""
    return Operation("GET", f"visitors/{_quoted(visitor_id)}", record(Visitor))


def requests(filters: Mapping[str, object]) -> Operation[Listing[RequestRecord]]:
    """A page of the journal."""
    return _page("requests", record(RequestRecord), _filters(filters))


def request(request_id: int) -> Operation[RequestDetail]:
    """One request of the journal."""
    return Operation("GET", f"requests/{request_id}", record(RequestDetail))


def summary() -> Operation[Summary]:
    """The counts."""
    return Operation("GET", "summary", record(Summary))


def rule_counts() -> Operation[list[RuleCount]]:
    """How many events each rule applied to."""
    return Operation("GET", "rules/counts", lambda answer: [from_json(RuleCount, item) for item in answer["items"]])


def accounts() -> Operation[list[Json]]:
    """The accounts with their state. Sent to the server, not to an account."""
    return Operation("GET", "accounts", lambda answer: list(answer["items"]))


def rules() -> Operation[list[Rule]]:
    """The rules."""
    return Operation("GET", "rules", lambda answer: [from_json(Rule, item) for item in answer["items"]])


def health(seconds: float) -> Operation[str]:
    """Whether the emulator is healthy; the result is its version."""
    check_seconds("timeout", seconds)
    return Operation("GET", "health", lambda answer: str(answer["version"]), seconds=seconds)


def wait(condition: Condition, *, timeout: float, settle: float = 0, after: int | None = None) -> Operation[Met]:
    """Wait until *condition* is met, by events after the one with the id *after*; times are in seconds."""
    check_wait(timeout, settle)
    times = {"timeout_ms": round(timeout * 1000), "settle_ms": round(settle * 1000)}
    body = {**condition.body, **times, **({} if after is None else {"after": after})}
    operation = _post("wait", body, record(Met))
    return replace(operation, seconds=_SECONDS + timeout + settle)


def verify(condition: Condition) -> Operation[Met]:
    """Whether *condition* is met already."""
    return _post("verify", condition.body, record(Met))


def sequence(matches: Sequence[str | Json], *, strict: bool) -> Operation[Met]:
    """Whether events arrived in this order of their time. Text is the name of an event."""
    steps = [_step(number, match) for number, match in enumerate(matches)]
    return _post("verify/sequence", {"sequence": steps, "strict": strict}, record(Met))


def _step(number: int, match: object) -> object:
    """Return a step of a sequence. Raises TypeError, with its number, if it is none."""
    if isinstance(match, str):
        return {"event": match}
    if not isinstance(match, Mapping):
        raise TypeError(f"matches.{number} must be the name of an event or a dict, not {match!r}")
    _check_json(f"matches.{number}", cast(object, match))
    return cast(object, match)


def reset(account: str | None) -> Operation[Cleared]:
    """Delete what one account has, or everything."""
    return _post("reset", {"all": True} if account is None else {"account": account}, record(Cleared))


def open_account(name: str, plan: Mapping[str, object]) -> Operation[None]:
    """Open an account as planned. Sent to the server, not to an account."""
    sent = {**plan, "tracking_plan": _sent_plan(plan["tracking_plan"])} if "tracking_plan" in plan else plan
    return Operation("PUT", f"accounts/{_quoted(name)}", _nothing, content=_json(sent))


def close_account(name: str) -> Operation[None]:
    """Delete an account and refuse requests to it from now on. Sent to the server, not to an account."""
    return Operation("DELETE", f"accounts/{_quoted(name)}", _nothing)


def clock() -> Operation[Moment]:
    """The time of the clock."""
    return Operation("GET", "clock", record(Moment))


def set_clock(change: Mapping[str, object]) -> Operation[Moment]:
    """Change the clock: freeze, set, advance_ms or resume."""
    return Operation("PUT", "clock", record(Moment), content=_json(change))


def plan_fault(name: str, plan: Mapping[str, Any]) -> Operation[FaultCounts]:
    """Plan a fault."""
    match = {key: plan[key] for key in _FAULT_MATCH if key in plan}
    answer = {key: plan[key] for key in _FAULT_ANSWER if key in plan}
    rest = {key: value for key, value in plan.items() if key not in (*_FAULT_MATCH, *_FAULT_ANSWER)}
    body = rest | ({"match": match} if match else {}) | ({"answer": answer} if answer else {})
    return Operation("PUT", f"faults/{_quoted(name)}", record(FaultCounts), content=_json(body))


def fault(name: str, *, seconds: float = _SECONDS) -> Operation[FaultCounts]:
    """The counts of a fault."""
    return Operation("GET", f"faults/{_quoted(name)}", record(FaultCounts), seconds=seconds)


def faults() -> Operation[list[Json]]:
    """The faults of the account, as they were planned, with their counts."""
    return Operation("GET", "faults", lambda answer: list(answer["items"]))


def drop_fault(name: str) -> Operation[FaultCounts]:
    """Drop a fault; the result has its last counts."""
    return Operation("DELETE", f"faults/{_quoted(name)}", record(FaultCounts))


def set_experiment(key: str, plan: ExperimentPlan) -> Operation[Json]:
    """Set an experiment. Raises TypeError if it has no option of one of the names in *plan*."""
    check_names("an experiment option", plan, ExperimentPlan.__annotations__)
    return Operation("PUT", f"experiments/{_quoted(key)}", dict, content=_json(plan))


def remove_experiment(key: str) -> Operation[Json]:
    """Remove an experiment; the result is what it was."""
    return Operation("DELETE", f"experiments/{_quoted(key)}", dict)


def set_tracking_plan(plan: TrackingPlan) -> Operation[Json]:
    """Set the tracking plan. Raises OSError or ValueError if its file cannot be read."""
    return Operation("PUT", "tracking-plan", dict, content=_json(_sent_plan(plan)))


def remove_tracking_plan() -> Operation[Json]:
    """Remove the tracking plan; the result is what it was."""
    return Operation("DELETE", "tracking-plan", dict)


def _sent_plan(plan: object) -> object:
    """Return *plan* as it is sent: of a file its text, which the emulator reads as YAML."""
    return file_text(plan) if isinstance(plan, Path) else plan


def export(*, redact: bool, seconds: float | None = _SECONDS) -> Operation[str]:
    """All requests as JSON lines, the oldest first."""
    params = {"redact": "true"} if redact else {}
    return Operation("GET", "export", lambda body: str(body, "utf-8"), params=params, raw=True, seconds=seconds)


def html_report(title: str, failures: Sequence[str] = (), *, seconds: float = _SECONDS) -> Operation[str]:
    """The page of an account as one file, about what *title* says, with *failures* at its top."""
    body = {"title": title, "failures": list(failures)}
    return replace(_post("report", body, lambda answer: str(answer, "utf-8")), raw=True, seconds=seconds)


def replay(lines: Lines, seconds: float | None) -> Operation[Imported]:
    """Replay exported requests."""
    if seconds is not None:
        check_seconds("timeout", seconds)
    return Operation(
        "POST", "import", record(Imported), content=_content(lines), media_type=JSON_LINES, seconds=seconds
    )


def _content(lines: object) -> bytes | Iterable[bytes]:
    """Return *lines* as they are sent. Raises TypeError if they are none, of an iterator only once it is sent."""
    if isinstance(lines, str):
        return lines.encode()
    if isinstance(lines, bytes):
        return lines
    if not _has_parts(lines):
        raise _no_lines(lines)
    parts = map(_part, lines)
    return list(parts) if isinstance(lines, Sequence) else parts


def _has_parts(lines: object) -> TypeGuard[Iterable[object]]:
    return isinstance(lines, Iterable) and not isinstance(lines, Mapping)


def _part(part: object) -> bytes:
    """Return a part in bytes as it is, and a line of text with its line break."""
    if isinstance(part, str):
        return f"{part.removesuffix(chr(10))}\n".encode()
    if not isinstance(part, bytes):
        raise _no_lines(part)
    return part


def _no_lines(given: object) -> TypeError:
    return TypeError(f"replay takes JSON Lines as text, bytes, or several lines, not {given!r:.100}")


def tail(event: str | None, outcome: str | None, visitor_id: str | None, after: int | None) -> Operation[None]:
    """The stream of arrivals: those after the event with the id *after*, or those from now on."""
    params = _params({"event": event, "outcome": outcome, "visitor_id": visitor_id})
    headers = {} if after is None else {"last-event-id": str(after)}
    return Operation("GET", "stream", _nothing, params=params, extra_headers=headers, seconds=_STREAM_SECONDS)


class EventStream:
    """Reads the stream of arrivals, which are server-sent events, from the parts it arrives in."""

    def __init__(self) -> None:
        self._partial = b""

    def feed(self, part: bytes) -> Iterator[Event | Reset]:
        """Yield the events and resets that *part* completes."""
        *messages, self._partial = (self._partial + part).split(b"\n\n")
        for message in messages:
            lines = (line.partition(b": ") for line in message.split(b"\n"))
            fields = {name: text for name, _, text in lines}
            if fields.get(b"event") == b"reset":
                yield from_json(Reset, _object(fields.get(b"data", b"")))
            elif fields.get(b"event") == b"receipt":
                yield from_json(Event, json.loads(fields[b"data"]))


def full_match(event: str | None, match: Json | None, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return one match of an event's name, the fields given by name, and *match*.

    Raises TypeError for a match that is no dict, for a field that is given twice, for a value that JSON does not have,
    and for a time as the debug API spells it, which is no field of an event.
    """
    for spelled in _TIMES.keys() & fields.keys():
        raise TypeError(f"{spelled} is not a field of an event; use {_TIMES[spelled]}=, in seconds")
    named = {**({} if event is None else {"event": event}), **fields}
    check_match(match or {})
    for twice in named.keys() & (match or {}).keys():
        raise TypeError(f"{twice} is given twice, by itself and in match; give it once")
    return _complete({**named, **(match or {})})


def check_match(match: object) -> None:
    """Raise TypeError if *match* is no match."""
    if not isinstance(match, Mapping):
        raise TypeError(f"match must be a dict, such as {{'event_properties': {{'plan': 'pro'}}}}, not {match!r}")


def _complete(match: Mapping[str, object]) -> dict[str, Any]:
    """Return *match*. Raises TypeError for a value that JSON does not have: what is sent would match other events."""
    for name, value in match.items():
        _check_json(name, value)
    return dict(match)


def _check_json(name: str, value: object) -> None:
    """Raise TypeError for what JSON does not have, anywhere in *value*."""
    if isinstance(value, Mapping):
        for key, inner in cast(Json, value).items():
            _check_json(f"{name}.{key}", inner)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(cast(Sequence[object], value)):
            _check_json(f"{name}.{index}", inner)
    elif not (value is None or isinstance(value, _SCALARS)) or (isinstance(value, float) and not isfinite(value)):
        allowed = "text, a finite number, True, False, None, a list, a dict or a datetime"
        raise TypeError(f"{name} is {value!r:.100}, which JSON does not have; use {allowed}")


def moment(when: object) -> str | int:
    """Return *when* as the debug API reads it. A datetime without a zone is in UTC. Raises TypeError for others."""
    if isinstance(when, datetime):
        return when.isoformat() if when.tzinfo else when.isoformat() + "Z"
    if not isinstance(when, str | int):
        raise TypeError(f"a time must be a datetime, ISO 8601, or milliseconds since the epoch, not {when!r}")
    return when


def advance(time: object, parts: Duration) -> dict[str, object]:
    """Return the change of the clock that advances it by *time* and *parts*.

    Raises TypeError or ValueError for what is no length of time.
    """
    step = time or timedelta()
    if not isinstance(step, timedelta):
        raise TypeError(f"advance takes a timedelta, or parts of one such as days=8, not {time!r}")
    check_names("a timedelta part", parts, _PARTS)
    for name, value in parts.items():
        if not isinstance(value, Real):
            raise TypeError(f"{name} must be a number, not {value!r}")
    try:
        return {"advance_ms": round((step + timedelta(**parts)) / timedelta(milliseconds=1))}
    except (OverflowError, ValueError):
        raise ValueError(f"the clock cannot be advanced by {time or parts}; use at most a few thousand years") from None


def known_plan(plan: FaultPlan) -> FaultPlan:
    """Return *plan*. Raises TypeError if a fault has no option of one of its names, ValueError if it has no effect."""
    check_names("a fault option", plan, _FAULT_OPTIONS)
    if not plan.keys() & _EFFECTS:
        raise ValueError("the fault has no effect; give status, delay_ms, connection, code, sequence or rate_limit")
    return plan


def check_names(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    """Raise TypeError, with the nearest one of *known*, if one of *names* is none of that *kind*."""
    for name in names:
        if name not in known:
            advice = did_you_mean(name, known) or f"; use {', '.join(known)}"
            raise TypeError(f"{name} is not {kind}{advice}")


def check_wait(timeout: float, settle: float) -> None:
    """Raise TypeError or ValueError if a wait cannot have this *timeout* and this *settle*."""
    check_seconds("timeout", timeout, MAX_WAIT_SECONDS)
    check_seconds("settle", settle, MAX_WAIT_SECONDS)
    check_seconds("timeout and settle together", timeout + settle, MAX_WAIT_SECONDS)


def check_seconds(name: str, value: object, maximum: float = inf) -> None:
    """Raise TypeError or ValueError if the argument *name* with this *value* is not seconds up to *maximum*."""
    if not isinstance(value, Real):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}")
    if not 0 <= float(value) <= maximum:
        allowed = f"from 0 to {maximum}" if maximum < inf else "at least 0"
        raise ValueError(f"{name} must be {allowed} seconds, not {value}")


def check_integer(name: str, value: object) -> None:
    """Raise TypeError if the *value* of the argument *name* is not an integer."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, not {value!r}")


def first(names: Sequence[str] | None) -> str | None:
    """Return the first of *names*; None if there are none."""
    return names[0] if names else None


def at_least_one(count: int | None) -> int:
    """Return how many events are expected, by default 1. Raises ValueError for none: that is assert_none."""
    if count is None:
        return 1
    check_integer("count", count)
    if count < 1:
        raise ValueError(f"count is {count}; use assert_none to expect no event")
    return count


def record(kind: type[V]) -> Callable[[Json], V]:
    """Return what makes a *kind* of its JSON."""
    return lambda answer: from_json(kind, answer)


def _page(path: str, item: Callable[[Json], V], filters: Mapping[str, object]) -> Operation[Listing[V]]:
    def parse(answer: Any) -> Listing[V]:
        items = map(item, answer["items"])
        evicted, total = answer.get("evicted", 0), answer.get("total", 0)
        return Listing(items, evicted=evicted, next_cursor=answer.get("next_cursor"), total=total)

    return Operation("GET", path, parse, params={**_params(filters), "limit": str(PAGE)})


def _params(filters: Mapping[str, object]) -> dict[str, str]:
    return {name: _text(name, value) for name, value in filters.items() if value is not None}


def _filters(filters: Mapping[str, object]) -> Mapping[str, object]:
    """Return *filters*. Raises TypeError for one that is None or no text: without it everything would be listed."""
    for name, value in filters.items():
        _text(name, value)
    return filters


def _post(path: str, body: object, parse: Callable[[Any], V]) -> Operation[V]:
    return Operation("POST", path, parse, content=_json(body))


def _json(body: object) -> bytes:
    try:
        return json.dumps(body, default=_encodable, allow_nan=False).encode("ascii")
    except ValueError as error:
        raise ValueError(f"{body!r:.200} cannot be written as JSON: {error}") from None


def _encodable(thing: object) -> object:
    """Return *thing*, which JSON has no type for, as the debug API reads it."""
    if isinstance(thing, datetime):
        return moment(thing)
    if isinstance(thing, Mapping):
        return dict(cast(Json, thing))
    if isinstance(thing, Iterable):
        return list(cast(Iterable[object], thing))
    raise TypeError(f"{thing!r} cannot be written as JSON")


def _text(name: str, value: object) -> str:
    if not isinstance(value, _SCALARS) or (isinstance(value, float) and not isfinite(value)):
        raise TypeError(f"{name} is {value!r:.100}; use text, a number, a bool or a datetime, or omit it")
    if isinstance(value, bool):
        return str(value).lower()
    return str(moment(value)) if isinstance(value, datetime) else str(value)


def _quoted(name: str) -> str:
    return quote(name, safe="", errors="surrogatepass")


def _nothing(_: object) -> None:
    return None


def _object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return cast(dict[str, Any], answer) if isinstance(answer, dict) else {}
