"""The vocabulary: what travels from the contract to the store and back, as plain frozen values."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Literal, TypeAlias

from pydantic import JsonValue

from ours_emulator.records import FaultAnswer, Hint, Outcome, Reason, Resolution, iso, sentence
from ours_emulator.values import value

ACCOUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
DEFAULT_ACCOUNT = "default"
MOST_LISTED = 20
"""Names in one hint, and hints about names."""
_LONGEST = 100
Properties: TypeAlias = dict[str, JsonValue]
Identifier: TypeAlias = Literal["user_id", "external_id", "email", "anonymous_id"]


@value
class Request:
    """One HTTP request to an emulated endpoint, as it came off the wire."""

    account: str
    endpoint: str
    method: str
    path: str
    content_type: str
    content_encoding: str
    body: bytes
    oversized: bool
    """The body passed the size limit on the wire and was not kept."""
    attempt: int
    """1 for a first try; the vendor's SDKs count their retries in a header."""
    received_at: int
    """Milliseconds since the epoch, by the emulator's clock."""
    started: float
    """`time.perf_counter()` when the head of the request was read."""
    authorization: str = ""
    sdk_counts: bool = False
    """An SDK counts the attempts, so that a first one is known to be one."""
    replayed: bool = False
    """It was sent before, and the account's faults are not asked again."""
    fault: FaultAnswer | None = None
    """What a fault did to it before."""


@value
class Account:
    """The unit of isolation, with what it accepts. An empty set of tokens, or keys, accepts any of them."""

    name: str
    tokens: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    allowed_events: frozenset[str] | None = None
    """Names trimmed and case-folded; None when the account has no allow-list."""
    require_identifier: bool = True
    strict_openapi: bool = False
    """What the document literally types as string must be one (rule any-json)."""


def allowed(names: Iterable[str]) -> frozenset[str]:
    """Return *names* of events as an allow-list has them: trimmed, without case (rule allow-list)."""
    return frozenset(name.strip().casefold() for name in names)


@value
class Source:
    """A token with its kind: a live one, or its Test Mode twin (rule test-mode)."""

    token: str
    test: bool


@value
class Claim:
    """One identifier that a message names, and where it was given, in wire spelling."""

    kind: Identifier
    value: str
    given_as: str


Identity: TypeAlias = tuple[Claim, ...]
"""The claims of one message, strongest first."""


def cut(name: str) -> str:
    """Return *name*, or the beginning of a very long one: a hint is not the place for all of it."""
    return name if len(name) <= _LONGEST else name[:_LONGEST] + "…"


def listed(names: Sequence[str]) -> str:
    """Return the first of *names*, each cut if it is very long, and how many more there are."""
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(cut(name) for name in names[:MOST_LISTED]) + more


@value
class ApiSemantics:
    """Where the APIs, and their revisions, differ in what a message means for its visitor; as the Ingest API has it."""

    falls_through: bool = False
    """An identifier that finds nobody leaves it to the next one; else the strongest one given decides alone."""
    claims_stored: bool = True
    """The identifiers given are written on any visitor found; else a new one gets them, and an old one's stay."""
    empty_ignored: bool = True
    """A property that is "" says nothing; else it is a value like any other."""
    allow_list: bool = True
    """The account's list of allowed events counts."""


@value
class Message:
    """What a client said of a visitor, accepted by the contract: an event, or, without a name, only what they are."""

    endpoint: str
    batch_index: int | None
    event: str | None
    identity: Identity
    distinct_id: str | None
    time: float | None
    test: bool
    event_properties: Properties
    default_properties: Properties
    identity_context: Properties | None
    user_properties: Properties
    hints: tuple[Hint, ...]
    semantics: ApiSemantics = ApiSemantics()
    data: Properties | None = None
    """What is merged into the visitor's data; only the Client API has it."""
    identifies: bool = False
    """An anonymous id that is nobody's yet becomes the visitor's (rule client-identify)."""
    creation: str | None = None
    """The event that comes first if the message makes its visitor (rule client-events)."""


@value
class Alias:
    """The wish to give an anonymous visitor an external id, accepted by the contract."""

    endpoint: str
    external: Claim
    anonymous: Claim
    hints: tuple[Hint, ...]
    batch_index: None = None
    event: None = None

    @property
    def identity(self) -> Identity:
        """Both claims, strongest first."""
        return (self.external, self.anonymous)


@value
class Registration:
    """A visitor's device, accepted by the contract."""

    endpoint: str
    identity: Identity
    device: Properties
    hints: tuple[Hint, ...]
    batch_index: None = None
    event: None = None


@value
class Rejection:
    """What the contract refuses: a whole request, or one row of a batch."""

    endpoint: str
    batch_index: int | None
    reason: Reason
    event: str | None = None
    distinct_id: str | None = None
    hints: tuple[Hint, ...] = ()

    @property
    def status(self) -> int:
        """The HTTP status of the refusal; 0 if a fault kept it from being answered."""
        return self.reason.status or 0

    @property
    def sentence(self) -> str:
        """What is wrong, and where in the whole request: `events.3.event: required`."""
        row = "" if self.batch_index is None else f"/events/{self.batch_index}"
        return sentence(row + self.reason.path, self.reason.message)


AnyMessage: TypeAlias = Message | Alias | Registration
Arrival: TypeAlias = AnyMessage | Rejection


@value
class VisitorState:
    """What an account knows of a visitor. Nothing in it is ever changed in place, so states share what stays the same.

    `properties` include `custom_properties` and `consent`; `data` is what the Client API's `data` said.
    """

    properties: Properties = field(default_factory=dict[str, JsonValue])
    data: Properties = field(default_factory=dict[str, JsonValue])
    devices: tuple[Properties, ...] = ()
    anonymous_id: str | None = None


@value
class Change:
    """What makes one state of a visitor out of another.

    `properties` are written as messages write them: null clears, `custom_properties` has only those that change. `data`
    is merged key by key. None leaves devices or anonymous id as they are; the latter is never cleared.
    """

    properties: Properties = field(default_factory=dict[str, JsonValue])
    data: Properties = field(default_factory=dict[str, JsonValue])
    devices: tuple[Properties, ...] | None = None
    anonymous_id: str | None = None


@value
class Version:
    """A visitor as the receipt `first_receipt`, and those after it that changed nothing, left them.

    It is kept as what changed since the version before, or since the state that was loaded: a batch that changes a
    large visitor a thousand times must not hold a thousand copies of them.
    """

    id: int
    visitor_pk: int
    first_receipt: int
    before: "Version | VisitorState"
    change: Change


@value
class Receipt:
    """What became of one arrival: the only result there is; every door shows views of it."""

    id: int
    arrival: Arrival
    outcome: Outcome
    hints: tuple[Hint, ...] = ()
    visitor_pk: int | None = None
    visitor_id: str | None = None
    distinct_id: str | None = None
    resolution: Resolution | None = None
    content: str = "{}"
    """JSON text of what was sent, as it is stored."""
    version: Version | None = None
    """The visitor right after this event (rule snapshot)."""


def received_properties(outcome: Outcome, received_at: datetime, sent: Properties) -> Properties:
    """Return the defaultProperties of an event: those *sent*, and `received_at` if absent (rule default-properties)."""
    return {"received_at": iso(received_at), **sent} if outcome in ("accepted", "duplicate") else sent


@value
class Answer:
    """An HTTP answer: status, extra headers and the body with its media type (None for an empty body)."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    media_type: str | None = "application/json"


@value
class Attempt:
    """Which attempt of which call a request is."""

    call_id: int
    """The id of the first attempt's exchange."""
    number: int
    """1 for the first one."""
    gap_ms: float | None = None
    """How long after the attempt before it came."""


@value
class Exchange:
    """A request with what became of it: one line of the journal."""

    id: int
    attempt: Attempt
    account_id: int
    request: Request
    receipts: Sequence[Receipt]
    answer: Answer
    fault: FaultAnswer | None = None


@value
class Closed:
    """The account of a request is closed: the request was counted and forgotten."""

    account: str
