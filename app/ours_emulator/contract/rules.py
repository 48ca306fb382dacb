"""The contract as data: every rule with its id, what it says, and what it rests on."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Basis: TypeAlias = Literal["documented", "observed", "assumed"]

OPENAPI = "OpenAPI document"
BATCH_PAGE = "Batch Events page"
QUICKSTART = "Quickstart"
CLIENT_PAGE = "Client API page"
ELSEWHERE = "other public material of the vendor"
SERVER = "the public server that the Client API page documents"
OURS = "our choice"


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the contract. *basis* tells how sure it is: a document says so, it was seen, or it is our choice."""

    id: str
    text: str
    basis: Basis
    source: str


RULES: tuple[Rule, ...] = (
    # Reading the OpenAPI document
    Rule(
        "schema",
        "Names, types, lengths and required fields are those of the OpenAPI document. Nothing is coerced: a number is "
        "no string and a boolean no number. Lengths count Unicode code points.",
        "documented",
        OPENAPI,
    ),
    Rule(
        "any-json",
        "eventProperties.*, custom_properties.*, consent.*, is_bot, phone_number and zip take any JSON value, though "
        "the document types them as string. With strict_openapi they take only what the document says.",
        "observed",
        ELSEWHERE,
    ),
    Rule(
        "unknown-keys",
        "Unknown keys anywhere are dropped and the request is accepted. Each drop is a hint.",
        "observed",
        ELSEWHERE,
    ),
    # The Ingest API in general
    Rule("base-path", "Served under /api/v1 and at the root.", "documented", QUICKSTART),
    Rule(
        "body-token",
        "The token is the body field `token`; an Authorization header is ignored.",
        "documented",
        OPENAPI,
    ),
    Rule(
        "bodies",
        'The body of /track and /identify is exactly {"success":true} or {"success":false}. Reasons are in response '
        "headers, journal and log.",
        "documented",
        OPENAPI,
    ),
    Rule(
        "openapi",
        "GET /openapi answers the vendor's document byte for byte, to anybody.",
        "documented",
        QUICKSTART,
    ),
    Rule("401", "A token that is unknown, revoked or of the wrong kind is answered 401.", "documented", OPENAPI),
    Rule(
        "missing-token",
        'A token that is absent, null or "" is answered 401 on /track and /identify and 400 on /batch. One of the '
        "wrong type or length breaks the schema: 400.",
        "documented",
        f"{QUICKSTART}, {OPENAPI}",
    ),
    Rule(
        "malformed",
        "What is not JSON, not UTF-8, not an object, has NaN or Infinity or a number beyond a double, or is nested "
        "deeper than 200 levels is answered 400.",
        "documented",
        QUICKSTART,
    ),
    Rule(
        "content-type",
        "The content type must be application/json, with any parameters. Otherwise 400, on /batch 415.",
        "documented",
        f"{OPENAPI} for /batch; else {OURS}",
    ),
    Rule(
        "encoding",
        "Content codings gzip and identity are taken. Bad gzip is answered 400, another coding 400, on /batch 415.",
        "documented",
        f"{OPENAPI} for /batch; else {OURS}",
    ),
    Rule(
        "size",
        "A body over the limit, on the wire or inflated, is answered 400, on /batch 413 with the limit (5 MiB).",
        "documented",
        f"{OPENAPI} for /batch; the figure and the rest are {OURS}",
    ),
    Rule(
        "methods",
        "A wrong method is answered 405 with Allow, an unknown path 404, both in the endpoint's JSON shape. A slash at "
        "the end changes nothing.",
        "assumed",
        OURS,
    ),
    Rule("cors", "Emulated paths answer preflights and allow any origin.", "assumed", OURS),
    Rule(
        "429-500",
        "Nothing that is sent is answered 429 or 500, unless a fault says so or the store itself fails: then nothing "
        "of the request is kept, and it may be sent again, as /batch says by retryable. If rows fail with queue_failed "
        "and none is accepted, 500 with these rows.",
        "documented",
        OPENAPI,
    ),
    Rule(
        "attempts",
        "Requests that repeat one are attempts of one call: by X-Stainless-Retry-Count and the same body, or, after "
        "a fault hit it, by the same distinctIds (without any, the same body). One that comes before Retry-After has "
        "a hint.",
        "assumed",
        OURS,
    ),
    Rule(
        "check-order",
        "/track and /identify are checked in this order: parse, token missing, schema, token known, identifier, time.",
        "assumed",
        OURS,
    ),
    Rule(
        "identifier",
        "One of userId, externalId and email is needed, else userProperties.external_id or userProperties.email. None "
        "of them: 400. With require_identifier=false an anonymous visitor is made instead.",
        "documented",
        f"{QUICKSTART}; the status is {OURS}",
    ),
    Rule(
        "empty-identifier",
        'An identifier "" at the top level breaks its minimum length: 400. null means not given.',
        "documented",
        OPENAPI,
    ),
    Rule(
        "time-window",
        "`time` lies within the last 7 days, both ends included, by the emulator's clock; absent or null means now. "
        "Otherwise 400.",
        "documented",
        f"{OPENAPI}; the status is {OURS}",
    ),
    Rule(
        "dedup",
        "A distinctId is accepted once in an account, separately for live and test. A repeat is answered 200, counted, "
        "and changes nothing. A refused or dropped event does not use its id up. Without one, a UUID is made.",
        "assumed",
        f"{OPENAPI} says it is used for deduplication; else {OURS}",
    ),
    Rule(
        "allow-list",
        "With allowed_events set, other events are answered 200, kept as dropped, and change no visitor. Names match "
        "trimmed and without case; $identify is always allowed. Off by default.",
        "observed",
        f"{ELSEWHERE}; the status is {OURS}",
    ),
    Rule(
        "test-mode",
        "test_ before a live token is its Test Mode key: processed and stored alike, marked as test.",
        "observed",
        ELSEWHERE,
    ),
    Rule("identify-event", "/identify stores an event named $identify.", "documented", OPENAPI),
    Rule(
        "identify-body",
        "/identify needs userProperties, an object; an empty one will do. On /track it may be null.",
        "documented",
        OPENAPI,
    ),
    Rule(
        "identity-context",
        "identityContext needs ip and userAgent, both strings, or is null or absent. It is kept with the event and has "
        "no other effect.",
        "documented",
        OPENAPI,
    ),
    Rule(
        "default-properties",
        "defaultProperties are kept with the event and never written on the visitor; received_at is set if absent.",
        "documented",
        f"{OPENAPI}; {OURS}",
    ),
    Rule("event-order", "Events are listed by their time, not by their arrival.", "documented", QUICKSTART),
    Rule(
        "snapshot",
        "Each event keeps the visitor's properties as they were right after it.",
        "documented",
        OPENAPI,
    ),
    # Identity
    Rule(
        "identity-order",
        "userId, then externalId, then email: the strongest one given decides alone, found or not. Without any at the "
        "top level, userProperties.external_id, then userProperties.email.",
        "documented",
        OPENAPI,
    ),
    Rule(
        "user-id",
        "An unknown userId becomes the id of a new visitor, without look-up.",
        "documented",
        OPENAPI,
    ),
    Rule(
        "visitor-ids",
        "Generated visitor ids are UUIDs of version 4; given ones are any text.",
        "observed",
        ELSEWHERE,
    ),
    Rule("exact-match", "Identifiers match exactly: no trimming, no case folding.", "assumed", OURS),
    Rule(
        "oldest-wins",
        "Of several visitors with the same identifier, the oldest one is meant.",
        "assumed",
        OURS,
    ),
    Rule(
        "never-merged",
        "Visitors are never merged or deleted. A userId with somebody else's externalId is the user's, who gets that "
        "external_id too.",
        "assumed",
        OURS,
    ),
    Rule(
        "claims-stored",
        "externalId and email at the top level are stored as external_id and email, also on a visitor found by a "
        "stronger one; null there clears nothing. If userProperties gives the same property, that is stored.",
        "assumed",
        OURS,
    ),
    Rule(
        "accounts",
        "Visitors belong to an account. /accounts/{name} before a path means another one.",
        "assumed",
        OURS,
    ),
    Rule(
        "account-closed",
        "What comes for an account that was closed is answered 410, counted, and kept nowhere.",
        "assumed",
        OURS,
    ),
    Rule(
        "clock",
        "The account's clock, real, moved or frozen, is what time-window, received_at and rate limits go by.",
        "assumed",
        OURS,
    ),
    Rule(
        "open-tokens",
        "Without configured tokens any token is accepted; with them, only those.",
        "assumed",
        OURS,
    ),
    # /batch
    Rule(
        "batch-rows",
        "A row is a body of /track without token; distinctId is required.",
        "documented",
        OPENAPI,
    ),
    Rule("batch-order", "Rows apply in order: a row finds the visitor an earlier one made.", "assumed", OURS),
    Rule("batch-events", "`events` missing, not a list or empty: 400.", "documented", OPENAPI),
    Rule("batch-limit", "More than 1000 rows: 413 with that limit.", "documented", OPENAPI),
    Rule(
        "batch-row-size",
        "A row over 1 MiB, written compactly: 413 with the limit in bytes.",
        "assumed",
        f"{OPENAPI}; the figure is {OURS}",
    ),
    Rule("batch-token", "A row with another token than its batch: 400.", "documented", OPENAPI),
    Rule(
        "batch-answers",
        "All rows accepted: 200. Some refused: 207 with success false. All refused: 400 with success and error only. "
        "results has an entry for each row, in order.",
        "documented",
        f"{OPENAPI}, {BATCH_PAGE}; success false in a 207 is {OURS}",
    ),
    Rule("batch-repeats", "Duplicate and dropped rows count as accepted.", "assumed", OURS),
    Rule(
        "batch-whole",
        "A batch refused as a whole (400, 401, 413, 415) stores nothing.",
        "documented",
        BATCH_PAGE,
    ),
    # Visitor properties
    Rule("property-set", "A concrete value sets the property.", "documented", OPENAPI),
    Rule("property-null", "null clears a property (also consent).", "documented", OPENAPI),
    Rule(
        "property-absent",
        "A property not mentioned stays; userProperties null changes nothing.",
        "documented",
        OPENAPI,
    ),
    Rule("property-empty", 'A property that is "" is ignored.', "documented", OPENAPI),
    Rule(
        "custom-merge",
        'custom_properties are merged one level deep: concrete values set, null and "" are ignored, other keys stay.',
        "documented",
        OPENAPI,
    ),
    Rule("custom-null", "custom_properties null is ignored: nothing is cleared.", "assumed", OURS),
    Rule("consent-replaced", "consent is replaced as a whole.", "observed", ELSEWHERE),
    Rule("event-properties", 'Event properties are kept as sent, null and "" included.', "documented", OPENAPI),
    # The Client API
    Rule(
        "client-paths",
        "alias, identify, devices and events are served under /api/client; devices and events at the root too.",
        "documented",
        CLIENT_PAGE,
    ),
    Rule(
        "client-success",
        "Success is 204 with an empty body and no content type.",
        "documented",
        f"{CLIENT_PAGE}; the body is from {SERVER}",
    ),
    Rule(
        "client-unreadable",
        "A body that is not JSON or nested deeper than 200 levels, is over 1 MiB on the wire or inflated, is bad gzip "
        "or in another coding: 400, before the key is looked at. The content type is not looked at.",
        "observed",
        f"{SERVER}; depth, coding and content type are {OURS}",
    ),
    Rule(
        "client-key",
        "The Authorization header is exactly `Bearer`, a space, and a key beginning with pk_ or sk_. Otherwise 401, "
        "before anything in the body is checked.",
        "documented",
        f"{CLIENT_PAGE}; sk_ and the answer are from {SERVER}",
    ),
    Rule(
        "client-open-keys",
        "Without configured keys any pk_ or sk_ key is accepted; with them, another one is answered 401.",
        "assumed",
        OURS,
    ),
    Rule(
        "client-validation",
        "What breaks its shape is answered 422 with the first message: root type, an id, required names, additional "
        "names, types, time zone; names in the order of the API's schema, items in their order.",
        "observed",
        SERVER,
    ),
    Rule(
        "client-extra-keys",
        "Other keys are dropped from an alias, an item of events and its `user`, with a hint; a device keeps them; "
        "identify refuses them.",
        "observed",
        SERVER,
    ),
    Rule(
        "client-look-up",
        "A visitor is looked up by external_id and, if nobody has it, by anonymous_id, an identifier of its own kind. "
        'null is not given; "" is an id like any other.',
        "observed",
        f'{SERVER}; "" is {OURS}',
    ),
    Rule(
        "client-identify",
        "identify makes a visitor with the ids given if nobody is found. On one that was found it writes anonymous_id "
        "if that is nobody's, and external_id never: that is for alias. What stays unlinked is hinted at.",
        "observed",
        SERVER,
    ),
    Rule(
        "client-profile",
        'email, phone, timezone and locale: absent leaves, null clears, a value sets, "" too. email and phone are the '
        "email and phone_number of the Ingest API.",
        "observed",
        f'{SERVER}; null and "" are {OURS}',
    ),
    Rule(
        "client-data",
        "data is an object of its own beside the properties, merged one level deep; a null in it is a value.",
        "observed",
        SERVER,
    ),
    Rule(
        "client-timezone",
        "A time zone is one of the IANA names, in any case, and kept as sent. Otherwise 422.",
        "observed",
        f"{SERVER}; for the user of an event it is {OURS}",
    ),
    Rule(
        "client-alias",
        "alias gives the visitor with the anonymous_id the external_id if they have none and nobody has that one. In "
        "every other case: 204, nothing changes, and a hint says why. Visitors are never merged.",
        "documented",
        f"{CLIENT_PAGE} says it acts once; else {SERVER}",
    ),
    Rule(
        "client-devices",
        "A visitor's device with the same device_id, else with the same token, is updated key by key, and null clears "
        "a token; another one is added.",
        "observed",
        SERVER,
    ),
    Rule(
        "client-devices-wait",
        "A device of nobody makes no visitor: it waits, with a hint, until a visitor of either API has one of its ids.",
        "observed",
        f"{SERVER}, which tries again for a while; waiting without end is {OURS}",
    ),
    Rule(
        "client-events",
        "Items apply in order. An unknown visitor is made, with an event user_created before the item's. data are the "
        "event's properties. Nothing is deduplicated, and the allow-list does not count.",
        "observed",
        f"{SERVER}; the allow-list is {OURS}",
    ),
    Rule(
        "client-event-user",
        "`user` in an item is an identify of the item's visitor; ids in it do not count.",
        "observed",
        SERVER,
    ),
    Rule(
        "client-event-name",
        'An event may have no name; it is kept under the name "", with a hint.',
        "documented",
        CLIENT_PAGE,
    ),
    Rule("client-whole", "One bad item refuses all of events, and nothing is stored.", "observed", SERVER),
    Rule(
        "client-trouble",
        "What could not be stored is answered as what could not be read: 400, and nothing of it is kept.",
        "observed",
        SERVER,
    ),
    # Who may talk to the emulator
    Rule(
        "host",
        "A request needs one Host header, and a name there that no web site can have: an IP address, one label, a name "
        "below localhost, internal or test, or one of allowed_hosts. Otherwise 403.",
        "assumed",
        OURS,
    ),
    Rule(
        "origin",
        "The debug API answers no web page of another origin, but for those of allowed_hosts: 403.",
        "assumed",
        OURS,
    ),
    Rule(
        "admin-token",
        "With admin_token set, /debug asks for it as a bearer token, its health excepted: 401.",
        "assumed",
        OURS,
    ),
    Rule(
        "debug-json",
        "What changes something under /debug is sent as application/json, an import also as application/jsonl or "
        "application/x-ndjson: else 415. A DELETE needs no body.",
        "assumed",
        OURS,
    ),
)
