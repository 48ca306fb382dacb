"""Every call of the debug API as a value: what is sent, and what the answer means. Nothing here talks to anybody."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypeAlias, TypedDict, TypeVar, cast
from urllib.parse import quote

from ours_emulator.emulator.report import explain, hint_lines
from ours_emulator.records import (
    Cleared,
    Event,
    FaultCounts,
    Imported,
    Json,
    Listing,
    Met,
    Moment,
    NearMiss,
    RequestDetail,
    RequestRecord,
    Summary,
    Visitor,
    from_json,
)

T = TypeVar("T")
V = TypeVar("V")
Mode: TypeAlias = Literal["at_least", "exactly", "at_most", "none"]
Given: TypeAlias = str | Mapping[str, Any] | None
"""A value, or an operator of the match grammar: `{"$regex": "@example.com$"}`."""
When: TypeAlias = datetime | str | int
"""A moment: a datetime, ISO 8601, or milliseconds since the epoch."""

JSON = "application/json"
JSON_LINES = "application/jsonl"
GONE = (404, 409)
"""How the debug API answers when there is no such thing, or its account is closed."""
_SECONDS = 30.0
_PAGE = 1000
_NOT_ACCEPTABLE = 406


class Fields(TypedDict, total=False):
    """Fields of an event that are looked at by name; anything else goes into `match`."""

    email: Given
    external_id: Given
    user_id: Given
    anonymous_id: Given
    visitor_id: Given
    distinct_id: Given
    endpoint: Given
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


_MATCHED = ("path", "event", "token", "distinct_id")
_ANSWERED = ("status", "retry_after", "error", "delay_ms", "connection", "rows", "code", "stored")


class EmulatorError(Exception):
    """The emulator can't be reached, or refused a call of the debug API; the message says why."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ExpectationError(AssertionError):
    """What arrived is not what was expected. The message explains it; the parts are here as values.

    `candidates` would have matched, had they not been refused, dropped or repeated, or may have, as far as that is
    known; `near_misses` differ in some properties, the best one first.
    """

    def __init__(self, message: str, candidates: Sequence[NearMiss] = (), near_misses: Sequence[NearMiss] = ()) -> None:
        super().__init__(message)
        self.candidates = tuple(candidates)
        self.near_misses = tuple(near_misses)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call of the debug API: *path* is what follows /debug/, *parse* makes the result of the answer's JSON."""

    method: str
    path: str
    parse: Callable[[Any], T]
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    content: bytes | None = None
    media_type: str = JSON
    wish: str = ""
    """What was expected, in words, for a failure."""
    seconds: float = _SECONDS
    """How long the answer may take."""
    raw: bool = False
    """The answer is no JSON; *parse* gets its bytes."""

    @property
    def headers(self) -> dict[str, str]:
        """The headers that are sent."""
        return {} if self.content is None else {"content-type": self.media_type}

    def result(self, status: int, body: bytes) -> T:
        """Return what the answer means. Raises ExpectationError for 406, EmulatorError for another refusal."""
        __tracebackhide__ = True
        if status < 300:
            return self.parse(body if self.raw else json.loads(body))
        answer = _refusal(body)
        if status == _NOT_ACCEPTABLE:
            raise _unmet(answer, self.wish)
        error = answer.get("error") or answer.get("detail") or body[:200].decode("utf-8", "replace")
        raise EmulatorError(f"{self.method} /debug/{self.path} was answered {status}: {error}", status)


@dataclass(frozen=True, slots=True)
class Wish:
    """How many events that match are expected, and of which outcome: accepted if nothing is said, `any` for all."""

    match: Json
    count: int
    mode: Mode
    outcome: str | None

    @property
    def body(self) -> dict[str, object]:
        """What the debug API is told."""
        number = {} if self.mode == "none" else {"count": self.count}
        outcome = {} if self.outcome is None else {"outcome": self.outcome}
        return {"match": self.match, "mode": self.mode, **number, **outcome}

    @property
    def words(self) -> str:
        """What people are told."""
        number = "no" if self.mode == "none" else f"{self.mode.replace('_', ' ')} {self.count}"
        kind = "" if self.outcome in (None, "any") else f"{self.outcome} "
        plural = "" if self.mode == "none" or self.count == 1 else "s"
        return f"expected {number} {kind}event{plural} {_words(self.match)}"


def after(call: Call[T], cursor: str) -> Call[T]:
    """Return *call* for the page that *cursor* begins."""
    return replace(call, params={**call.params, "cursor": cursor})


def events(outcome: str | None, event: str | None, asked: Mapping[str, object]) -> Call[Listing[Event]]:
    """Ask for a page of events."""
    return _page("events", record(Event), {"event": event, "outcome": outcome, **asked})


def event(event_id: int) -> Call[Event]:
    """Ask for one event."""
    return Call("GET", f"events/{event_id}", record(Event))


def visitors(asked: Mapping[str, object]) -> Call[Listing[Visitor]]:
    """Ask for a page of visitors."""
    return _page("visitors", record(Visitor), asked)


def requests(asked: Mapping[str, object]) -> Call[Listing[RequestRecord]]:
    """Ask for a page of the journal."""
    return _page("requests", record(RequestRecord), asked)


def request(request_id: int) -> Call[RequestDetail]:
    """Ask for one line of the journal."""
    return Call("GET", f"requests/{request_id}", record(RequestDetail))


def summary() -> Call[Summary]:
    """Ask for the counts."""
    return Call("GET", "summary", record(Summary))


def health() -> Call[str]:
    """Ask whether the emulator is well; the result is its version."""
    return Call("GET", "health", lambda data: str(data["version"]))


def wait(wish: Wish, *, timeout: float, settle: float = 0) -> Call[Met]:
    """Ask to be answered when *wish* is met; *timeout* and *settle* are in seconds."""
    times = {"timeout_ms": round(timeout * 1000), "settle_ms": round(settle * 1000)}
    return _post("wait", {**wish.body, **times}, record(Met), wish.words, _SECONDS + timeout + settle)


def since(call: Call[T], event_id: int) -> Call[T]:
    """Return *call* for the events that arrived after the one with *event_id*."""
    body = json.loads(call.content or b"{}")
    return replace(call, content=_json({**body, "after": event_id}))


def verify(wish: Wish) -> Call[Met]:
    """Ask whether *wish* is met already."""
    return _post("verify", wish.body, record(Met), wish.words)


def sequence(matches: Sequence[Json], *, strict: bool) -> Call[Met]:
    """Ask whether events arrived in this order of their time."""
    wish = "expected in this order: " + ", ".join(_words(match) for match in matches)
    return _post("verify/sequence", {"sequence": list(matches), "strict": strict}, record(Met), wish)


def reset(account: str | None) -> Call[Cleared]:
    """Ask to forget one account, or everything."""
    return _post("reset", {"all": True} if account is None else {"account": account}, record(Cleared))


def open_account(name: str, plan: Mapping[str, object]) -> Call[None]:
    """Ask for an account as planned. Asked of the server, not of an account."""
    return Call("PUT", f"accounts/{name}", _nothing, content=_json(plan))


def close_account(name: str) -> Call[None]:
    """Ask to forget an account and to answer nobody there any more. Asked of the server, not of an account."""
    return Call("DELETE", f"accounts/{name}", _nothing)


def clock() -> Call[Moment]:
    """Ask what the clock says."""
    return Call("GET", "clock", record(Moment))


def move_clock(change: Mapping[str, object]) -> Call[Moment]:
    """Ask to change the clock: freeze, set, advance_ms or resume."""
    return Call("PUT", "clock", record(Moment), content=_json(change))


def plan_fault(name: str, plan: Mapping[str, Any]) -> Call[FaultCounts]:
    """Ask for a fault as planned."""
    match = {key: plan[key] for key in _MATCHED if key in plan}
    answer = {key: plan[key] for key in _ANSWERED if key in plan}
    rest = {key: value for key, value in plan.items() if key not in (*_MATCHED, *_ANSWERED)}
    body = rest | ({"match": match} if match else {}) | ({"answer": answer} if answer else {})
    return Call("PUT", f"faults/{_quoted(name)}", record(FaultCounts), content=_json(body))


def fault(name: str) -> Call[FaultCounts]:
    """Ask how often a fault has hit."""
    return Call("GET", f"faults/{_quoted(name)}", record(FaultCounts))


def drop_fault(name: str) -> Call[FaultCounts]:
    """Ask to drop a fault; the result has its last counts."""
    return Call("DELETE", f"faults/{_quoted(name)}", record(FaultCounts))


def export(*, redact: bool) -> Call[str]:
    """Ask for all requests as JSON lines, the oldest first."""
    params = {"redact": "true"} if redact else {}
    return Call("GET", "export", lambda body: str(body, "utf-8"), params=params, raw=True)


def replay(lines: str) -> Call[Imported]:
    """Ask to replay exported requests."""
    content = lines.encode()
    return Call("POST", "import", record(Imported), content=content, media_type=JSON_LINES, seconds=600)


def asked_for(event: str | None, match: Json | None, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return one match of an event's name, the fields given by name, and *match*."""
    named = {} if event is None else {"event": event}
    return {**named, **fields, **(match or {})}


def named(match: str | Json) -> Json:
    """Return a match; text is the name of an event."""
    return {"event": match} if isinstance(match, str) else match


def moment(when: When) -> str | int:
    """Return *when* as the debug API reads it. A datetime without a zone is in UTC."""
    if isinstance(when, datetime):
        return when.isoformat() if when.tzinfo else when.isoformat() + "Z"
    return when


def step(time: timedelta) -> dict[str, object]:
    """Return the change of the clock that moves it on by *time*."""
    return {"advance_ms": round(time / timedelta(milliseconds=1))}


def first(names: Sequence[str] | None) -> str | None:
    """Return the first of *names*; None if there are none."""
    return names[0] if names else None


def at_least_one(count: int | None) -> int:
    """Return how many are expected, 1 if nothing is said. Raises ValueError for none: that is assert_none."""
    if count is not None and count < 1:
        raise ValueError(f"count is {count}; use assert_none to expect no event")
    return count or 1


def no_hints(events: Sequence[Event], ignore: Sequence[str]) -> None:
    """Raise ExpectationError if any of *events* has a hint, but for the rules in *ignore*."""
    __tracebackhide__ = True
    found = hint_lines(events, ignore)
    if found:
        raise ExpectationError("\n".join([f"expected no hints, and there are {len(found)}:", *found]))


def only(found: Sequence[Visitor], asked: Mapping[str, object], known: Sequence[Visitor]) -> Visitor:
    """Return the only visitor of *found*. Raises ExpectationError telling who is *known* instead."""
    __tracebackhide__ = True
    if len(found) == 1:
        return found[0]
    wanted = " and ".join(f"{name}={value!r}" for name, value in asked.items())
    wanted = f"visitor with {wanted}" if wanted else "visitor"
    if found:
        raise ExpectationError(f"expected one {wanted}, and there are {len(found)}:\n" + _people(found))
    raise ExpectationError(
        f"there is no {wanted}; " + (f"there are:\n{_people(known)}" if known else "there is nobody")
    )


def _people(visitors: Sequence[Visitor]) -> str:
    shown = [f"  {one.visitor_id}: {_known_by(one)}" for one in visitors[:10]]
    return "\n".join([*shown, *([f"  and {len(visitors) - 10} more"] if len(visitors) > 10 else [])])


def _known_by(visitor: Visitor) -> str:
    ids = visitor.identifiers
    known = {"external_id": ids.external_id, "email": ids.email, "anonymous_id": ids.anonymous_id}
    return ", ".join(f"{name}={value!r}" for name, value in known.items() if value is not None) or "nothing else"


def _page(path: str, one: Callable[[Json], V], asked: Mapping[str, object]) -> Call[Listing[V]]:
    params = {name: _text(value) for name, value in asked.items() if value is not None}

    def parse(data: Any) -> Listing[V]:
        items = map(one, data["items"])
        return Listing(items, evicted=data.get("evicted", 0), next_cursor=data.get("next_cursor"))

    return Call("GET", path, parse, params={**params, "limit": str(_PAGE)})


def _post(path: str, body: object, parse: Callable[[Any], V], wish: str = "", seconds: float = _SECONDS) -> Call[V]:
    return Call("POST", path, parse, content=_json(body), wish=wish, seconds=seconds)


def _json(value: object) -> bytes:
    return json.dumps(value, default=_spelled).encode("ascii")


def _spelled(value: object) -> object:
    """Return what JSON has no word for as the debug API reads it."""
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, Mapping):
        return dict(cast(Json, value))
    if isinstance(value, Iterable):
        return list(cast(Iterable[object], value))
    raise TypeError(f"{value!r} is nothing that JSON can hold")


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(moment(value)) if isinstance(value, datetime) else str(value)


def _quoted(name: str) -> str:
    return quote(name, safe="")


def record(kind: type[V]) -> Callable[[Json], V]:
    """Return what makes a *kind* of its JSON."""
    return lambda data: from_json(kind, data)


def _nothing(_: object) -> None:
    return None


def _words(match: Json) -> str:
    name = match.get("event")
    said = [repr(name)] if isinstance(name, str) else []
    said += [f"{key}={value!r}" for key, value in match.items() if key != "event" or not isinstance(name, str)]
    return " ".join(said) or "at all"


def _refusal(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return cast(dict[str, Any], answer) if isinstance(answer, dict) else {}


def _unmet(answer: Json, wish: str) -> ExpectationError:
    candidates = [from_json(NearMiss, one) for one in answer.get("candidates", ())]
    near = [from_json(NearMiss, one) for one in answer.get("near_misses", ())]
    matching = [from_json(Event, one) for one in answer.get("items", ())]
    return ExpectationError(explain(wish, str(answer.get("found", "")), matching, candidates, near), candidates, near)
