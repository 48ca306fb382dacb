"""The vocabulary: plain frozen values that the contract, the decision and the store exchange."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import Literal, TypeAlias, get_args

from pydantic import JsonValue

from ours_emulator.records import FaultAnswer, Hint, Outcome, Reason, Resolution, iso, sentence
from ours_emulator.values import value

ACCOUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
ACCOUNT_NAME_FORM = "letters, digits, dot, dash, underscore; up to 100, beginning with a letter or digit"
DEFAULT_ACCOUNT = "default"
RevisionName: TypeAlias = Literal["2026-05", "2026-10"]
REVISIONS: tuple[RevisionName, ...] = get_args(RevisionName)
"""The revisions of the Ingest API, the oldest first."""
DEFAULT_REVISION: RevisionName = "2026-05"
TEST_PREFIX = "test_"
"""How the Test Mode key of a source begins (rule test-mode)."""
MAX_TOKEN_LENGTH = 250
"""How many characters a token may have, in each document."""
Properties: TypeAlias = dict[str, JsonValue]
Assigned: TypeAlias = Mapping[str, Properties]
"""Assignments to variants of experiments, each by the key of its experiment."""
Traits: TypeAlias = Mapping[str, Mapping[str, Properties]]
"""The properties of visitors with a variant: by the key of the experiment, then by the id of the variant."""
Identifier: TypeAlias = Literal["user_id", "external_id", "email", "anonymous_id", "phone_number"]


@value
class Request:
    """One HTTP request to an emulated endpoint, as received."""

    account: str
    endpoint: str
    method: str
    path: str
    content_type: str
    content_encoding: str
    body: bytes
    oversized: bool
    """The body was over the size limit on the wire, and was not kept."""
    attempt: int
    """1 for the first attempt; the vendor's SDKs count their retries in a header."""
    received_at: int
    """Milliseconds since the epoch: real time as it arrives, and the time of its account in the pipeline."""
    started: float
    """`time.perf_counter()` when the head of the request was read."""
    authorization: str = ""
    sdk_counts: bool = False
    """The header is there, so that a first attempt is known to be the first."""
    replayed: bool = False
    """The request comes from an export; the account's faults do not apply again."""
    fault: FaultAnswer | None = None
    """What a fault did to a replayed request originally."""
    python_sdk: str = ""
    """The version of the vendor's Python SDK, if that sent the request and said so."""


def allowed(names: Iterable[str]) -> frozenset[str]:
    """Return event *names* as an allow-list compares them: trimmed and case-folded (rule allow-list)."""
    return frozenset(name.strip().casefold() for name in names)


@value
class Source:
    """A token with its kind: live, or the Test Mode key that belongs to a live token (rule test-mode)."""

    token: str
    test: bool


@value
class Claim:
    """One identifier that a message gives, and its name in the body, in wire spelling."""

    kind: Identifier
    value: str
    given_as: str


Identity: TypeAlias = tuple[Claim, ...]
"""The claims of one message, strongest first."""


@value
class ApiSemantics:
    """What a message means for its visitor: where the two APIs, and the revisions of one, differ.

    The defaults are those of the Ingest API, revision 2026-05, but for its hints about a newer one.
    """

    falls_through: bool = False
    """An identifier that matches no visitor leaves the decision to the next; otherwise the first decides alone."""
    claims_stored: bool = True
    """The identifiers given are written on any visitor; otherwise only on a new one."""
    empty_ignored: bool = True
    """A property that is "" is ignored; otherwise it is a value like any other."""
    allow_list: bool = True
    """The account's allow-list applies."""
    newer: str | None = None
    """The revision that falls through where this one does not, for hints about it (rule revision)."""


@value
class Message:
    """An accepted message about a visitor: an event or, if `event` is None, only properties."""

    endpoint: str
    batch_index: int | None
    """The index of its row of /batch, or of its item of the Client API's events; None if the body is one message."""
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
    """Merged into the visitor's data; only the Client API has it."""
    identifies: bool = False
    """The visitor gets the anonymous id, if no other visitor has it (rule client-identify)."""
    creation: str | None = None
    """The event that precedes this one if the message creates its visitor (rule client-events)."""
    assigned: Assigned | None = None
    """Merged into the visitor's experiment assignments; only an impression has it (rule experiment-impression)."""
    answer_fields: Properties | None = None
    """What the answer has beside success."""


@value
class Alias:
    """An accepted message that gives an anonymous visitor an external id."""

    endpoint: str
    external: Claim
    anonymous: Claim
    hints: tuple[Hint, ...]
    # Every arrival has these two; an alias is never one of several, and has no name.
    batch_index: None = None
    event: None = None

    @property
    def identity(self) -> Identity:
        """Both claims, strongest first."""
        return (self.external, self.anonymous)


@value
class Registration:
    """An accepted message with a visitor's device."""

    endpoint: str
    identity: Identity
    device: Properties
    hints: tuple[Hint, ...]
    batch_index: None = None
    event: None = None


@value
class Question:
    """An accepted message that asks about a visitor, and changes nothing."""

    endpoint: str
    identity: Identity
    hints: tuple[Hint, ...]
    answer_fields: Properties
    """What the answer has beside success."""
    traits: Traits | None = None
    """What the answer says of visitors with a variant, as their `properties`; None if
    `answer_fields` is all of it."""
    batch_index: None = None
    event: None = None


@value
class Rejection:
    """A refusal: of a whole request, or of one row of a batch."""

    endpoint: str
    batch_index: int | None
    """The index of the refused row of /batch; None if the request is refused as a whole, as on other endpoints."""
    reason: Reason
    event: str | None = None
    distinct_id: str | None = None
    hints: tuple[Hint, ...] = ()
    identity: Identity = ()
    """The identifiers that it names, as far as they are texts that a visitor could have: nobody else checked them."""

    @property
    def status(self) -> int | None:
        """The HTTP status of the refusal; None if a fault prevented an answer."""
        return self.reason.status

    @property
    def sentence(self) -> str:
        """What is wrong, and where in the whole request: `events.3.event: required`."""
        row = "" if self.batch_index is None else f"/events/{self.batch_index}"
        return sentence(row + self.reason.path, self.reason.message)


AnyMessage: TypeAlias = Message | Alias | Registration | Question
"""What the contract accepts."""
Arrival: TypeAlias = AnyMessage | Rejection
"""What the contract makes of one request, of one row of /batch, or of one item of the Client API's events."""


@value
class Contents:
    """What is in a request: its arrivals, at least one, and the token or key that it carries, if it has one."""

    arrivals: Sequence[Arrival]
    token: str | None


@value
class VisitorState:
    """What an account knows of a visitor. Nothing in it is ever changed in place, so states share what stays the same.

    `properties` include `custom_properties` and `consent`; `data` is the Client API's `data`, merged.
    """

    properties: Properties = field(default_factory=dict[str, JsonValue])
    data: Properties = field(default_factory=dict[str, JsonValue])
    devices: tuple[Properties, ...] = ()
    anonymous_id: str | None = None


UNKNOWN = VisitorState()
"""The state of a visitor of whom nothing is known. Made once: a new one takes as long as storing it."""


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


UNCHANGED = Change()


@value
class Version:
    """A visitor as a receipt, and those after it that changed nothing, left them. `id` is the id of that receipt.

    It is kept as what changed since the version before, or since the state that was loaded: a batch that changes a
    large visitor a thousand times must not hold a thousand copies of them.
    """

    id: int
    visitor_pk: int
    # Up to a thousand versions form a chain, too deep to compare or print recursively.
    before: "Version | VisitorState" = field(repr=False, compare=False)
    change: Change


@value
class Receipt:
    """What became of one arrival. The only result there is: every door shows views of it."""

    id: int
    arrival: Arrival
    outcome: Outcome
    hints: tuple[Hint, ...] = ()
    visitor_pk: int | None = None
    visitor_id: str | None = None
    distinct_id: str | None = None
    resolution: Resolution | None = None
    content: str = "{}"
    """The content of the message as JSON text, as it is stored; `decide.content` makes and reads it."""
    version: Version | None = None
    """The visitor right after this event (rule snapshot)."""


def received_properties(outcome: Outcome, received_at: datetime, sent: Properties) -> Properties:
    """Return the defaultProperties of an event: those *sent*, and `received_at` if absent (rule default-properties)."""
    return sent if outcome == "rejected" else {"received_at": iso(received_at), **sent}


@value
class Answer:
    """An HTTP answer: status, extra headers and the body with its media type (None for an empty body).

    The status is None if a fault keeps the client from getting any answer.
    """

    status: int | None
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
    """Milliseconds since the attempt before it."""


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
