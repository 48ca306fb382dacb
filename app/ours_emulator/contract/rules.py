"""The rules of the contract as data: the id, the text and the basis of each one."""

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
    """One line of the contract.

    `basis`: the vendor documents it, another public source of the vendor shows it, or it is our choice. `source` says
    where.
    """

    id: str
    text: str
    basis: Basis
    source: str


INGEST_API: tuple[Rule, ...] = (
    # Reading the OpenAPI document
    Rule(
        "schema",
        "Names, types, lengths and required fields are those of the OpenAPI document. Nothing is coerced: a number is"
        " not a string, and a boolean is not a number. Lengths count Unicode code points.",
        "documented",
        OPENAPI,
    ),
    Rule(
        "any-json",
        "eventProperties.*, custom_properties.*, consent.*, is_bot, phone_number and zip accept any JSON value, "
        "although the document types them as string. With strict_openapi they accept only what the document allows.",
        "observed",
        ELSEWHERE,
    ),
    Rule(
        "unknown-keys",
        "Unknown keys, at any level, are dropped and the request is accepted. Each dropped key gives a hint.",
        "observed",
        ELSEWHERE,
    ),
    # The Ingest API in general
    Rule("base-path", "Endpoints are served under /api/v1 and at the root.", "documented", QUICKSTART),
    Rule(
        "body-token",
        "The token is the body field `token`; an Authorization header is ignored.",
        "documented",
        OPENAPI,
    ),
    Rule(
        "bodies",
        'The body of an answer of /track and /identify is exactly {"success":true} or {"success":false}. Reasons are '
        "in response headers, the journal and the log.",
        "documented",
        OPENAPI,
    ),
    Rule(
        "openapi",
        "GET /openapi returns the vendor's document byte for byte, without authentication.",
        "documented",
        QUICKSTART,
    ),
    Rule("401", "A token that is unknown, revoked or of the wrong kind is answered 401.", "documented", OPENAPI),
    Rule(
        "missing-token",
        'A token that is absent, null or "" is answered 401 on /track and /identify and 400 on /batch. A token of the'
        " wrong type or length breaks the schema: 400.",
        "documented",
        f"{QUICKSTART}, {OPENAPI}",
    ),
    Rule(
        "malformed",
        "A body is answered 400 if it is not JSON, not UTF-8 or not an object, contains NaN, Infinity or a number too"
        " large for a double, or is nested deeper than 200 levels.",
        "documented",
        QUICKSTART,
    ),
    Rule(
        "content-type",
        "The content type must be application/json; parameters are allowed. Otherwise 400, on /batch 415.",
        "documented",
        f"{OPENAPI} for /batch; else {OURS}",
    ),
    Rule(
        "encoding",
        "The content codings gzip and identity are accepted. Invalid gzip is answered 400; another coding is answered"
        " 400, on /batch 415.",
        "documented",
        f"{OPENAPI} for /batch; else {OURS}",
    ),
    Rule(
        "size",
        "A body over the limit (5 MiB), on the wire or inflated, is answered 400; on /batch 413 with the limit.",
        "documented",
        f"{OPENAPI} for /batch; the figure and the rest are {OURS}",
    ),
    Rule(
        "methods",
        "A wrong method is answered 405 with Allow, an unknown path 404, both in the JSON form of the endpoint. A "
        "trailing slash is ignored.",
        "assumed",
        OURS,
    ),
    Rule("cors", "The emulated paths answer preflight requests and allow every origin.", "assumed", OURS),
    Rule(
        "429-500",
        "429 and 500 are answered only because of a fault, or if the store fails. Then nothing of the request is "
        "kept, and it can be sent again; /batch says so with retryable. If rows fail with queue_failed and none is "
        "accepted, the answer is 500 with these rows.",
        "documented",
        OPENAPI,
    ),
    Rule(
        "attempts",
        "A request is a further attempt of an earlier call if it has X-Stainless-Retry-Count and the same body or, "
        "after a fault hit the earlier one, the same distinctIds (without any, the same body). An attempt before "
        "Retry-After has passed gets a hint.",
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
        "One of userId, externalId and email is required, or else userProperties.external_id or userProperties.email."
        " Without any: 400. With require_identifier=false an anonymous visitor is created instead.",
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
        "`time` must be within the last 7 days by the emulator's clock, both ends included; absent or null means now."
        " Otherwise 400.",
        "documented",
        f"{OPENAPI}; the status is {OURS}",
    ),
    Rule(
        "dedup",
        "A distinctId is accepted once per account, separately for live and test. A repeat is answered 200 and "
        "counted, and changes nothing. A refused or dropped event does not use its distinctId. Without one, a UUID is"
        " generated.",
        "assumed",
        f"{OPENAPI} says it is used for deduplication; else {OURS}",
    ),
    Rule(
        "allow-list",
        "With allowed_events set, other events are answered 200, kept as dropped, and change no visitor. Names are "
        "compared trimmed and without case; $identify is always allowed. Off by default.",
        "observed",
        f"{ELSEWHERE}; the status is {OURS}",
    ),
    Rule(
        "test-mode",
        "A live token with test_ before it is its Test Mode key: its events are processed and stored in the same way,"
        " marked as test.",
        "observed",
        ELSEWHERE,
    ),
    Rule("identify-event", "/identify stores an event named $identify.", "documented", OPENAPI),
    Rule(
        "identify-body",
        "/identify requires userProperties, an object, which may be empty. On /track it may be null.",
        "documented",
        OPENAPI,
    ),
    Rule(
        "identity-context",
        "identityContext has ip and userAgent, both required strings, or is null or absent. It is stored with the "
        "event and has no other effect.",
        "documented",
        OPENAPI,
    ),
    Rule(
        "default-properties",
        "defaultProperties are stored with the event and never written on the visitor; received_at is added if absent.",
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
        "The order is userId, externalId, email: the first one given decides alone, whether or not a visitor has it. "
        "If none is given at the top level, userProperties.external_id and then userProperties.email.",
        "documented",
        OPENAPI,
    ),
    Rule(
        "user-id",
        "An unknown userId becomes the id of a new visitor, without any further look-up.",
        "documented",
        OPENAPI,
    ),
    Rule(
        "visitor-ids",
        "Generated visitor ids are UUIDs, version 4; given ones are any text.",
        "observed",
        ELSEWHERE,
    ),
    Rule("exact-match", "Identifiers match exactly: they are not trimmed, and case counts.", "assumed", OURS),
    Rule(
        "oldest-wins",
        "If several visitors have the same identifier, a look-up finds the oldest.",
        "assumed",
        OURS,
    ),
    Rule(
        "never-merged",
        "Visitors are never merged or deleted. With a userId and an externalId of another visitor, the event belongs "
        "to the visitor of the userId, who gets that external_id too.",
        "assumed",
        OURS,
    ),
    Rule(
        "claims-stored",
        "externalId and email at the top level are stored as external_id and email, also on a visitor found by a "
        "stronger identifier; null there clears nothing. If userProperties has the same property, that value is "
        "stored.",
        "assumed",
        OURS,
    ),
    Rule(
        "accounts",
        "Visitors belong to an account. The prefix /accounts/{name} before a path selects another account.",
        "assumed",
        OURS,
    ),
    Rule(
        "account-closed",
        "Requests to a closed account are answered 410 and counted; nothing of them is kept.",
        "assumed",
        OURS,
    ),
    Rule(
        "clock",
        "The account's clock, real, moved or frozen, decides time-window, received_at and rate limits.",
        "assumed",
        OURS,
    ),
    Rule(
        "open-tokens",
        "Without configured tokens every token is accepted; with them, only those.",
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
    Rule(
        "batch-order",
        "Rows are applied in order: a row finds the visitor that an earlier row created.",
        "assumed",
        OURS,
    ),
    Rule("batch-events", "`events` missing, not a list, or empty: 400.", "documented", OPENAPI),
    Rule("batch-limit", "More than 1000 rows: 413 with that limit.", "documented", OPENAPI),
    Rule(
        "batch-row-size",
        "A row over 1 MiB as compact JSON: 413 with the limit in bytes.",
        "assumed",
        f"{OPENAPI}; the figure is {OURS}",
    ),
    Rule("batch-token", "A row with a token other than that of its batch: 400.", "documented", OPENAPI),
    Rule(
        "batch-answers",
        "All rows accepted: 200. Some refused: 207 with success false. All refused: 400 with only success and error. "
        "results has one entry per row, in order.",
        "documented",
        f"{OPENAPI}, {BATCH_PAGE}; success false in a 207 is {OURS}",
    ),
    Rule("batch-repeats", "Duplicate and dropped rows count as accepted.", "assumed", OURS),
    Rule(
        "batch-whole",
        "A batch that is refused as a whole (400, 401, 413, 415) stores nothing.",
        "documented",
        BATCH_PAGE,
    ),
    # Visitor properties
    Rule("property-set", 'A value other than null and "" sets the property.', "documented", OPENAPI),
    Rule("property-null", "null clears a property, consent included.", "documented", OPENAPI),
    Rule(
        "property-absent",
        "A property that is absent stays unchanged; userProperties null changes nothing.",
        "documented",
        OPENAPI,
    ),
    Rule("property-empty", 'A property that is "" is ignored.', "documented", OPENAPI),
    Rule(
        "custom-merge",
        'custom_properties are merged one level deep: null and "" are ignored, other values are set, and other keys '
        "stay unchanged.",
        "documented",
        OPENAPI,
    ),
    Rule("custom-null", "custom_properties null is ignored: nothing is cleared.", "assumed", OURS),
    Rule("consent-replaced", "consent is replaced as a whole.", "observed", ELSEWHERE),
    Rule("event-properties", 'Event properties are stored as sent, including null and "".', "documented", OPENAPI),
)
"""The rules of the Ingest API, with those of accounts, clock and faults, which hold for both APIs."""
CLIENT_API: tuple[Rule, ...] = (
    Rule(
        "client-paths",
        "alias, identify, devices and events are served under /api/client; devices and events also at the root.",
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
        "A body that is not JSON, is nested deeper than 200 levels, is over 1 MiB on the wire or inflated, is invalid"
        " gzip or has another content coding is answered 400, before the key is checked. The content type is ignored.",
        "observed",
        f"{SERVER}; depth, coding and content type are {OURS}",
    ),
    Rule(
        "client-key",
        "The Authorization header must be `Bearer`, a space, and a key that begins with pk_ or sk_. Otherwise 401, "
        "before anything in the body is checked.",
        "documented",
        f"{CLIENT_PAGE}; sk_ and the answer are from {SERVER}",
    ),
    Rule(
        "client-open-keys",
        "Without configured keys every pk_ or sk_ key is accepted; with them, another key is answered 401.",
        "assumed",
        OURS,
    ),
    Rule(
        "client-validation",
        "A body that breaks its schema is answered 422 with the first message, in this order: root type, an id, "
        "required names, additional names, types, time zone; names in the order of the schema, items in their order.",
        "observed",
        SERVER,
    ),
    Rule(
        "client-extra-keys",
        "Unknown keys are dropped, with a hint, from an alias, from an item of events and from its `user`; a device "
        "keeps them; identify refuses them.",
        "observed",
        SERVER,
    ),
    Rule(
        "client-look-up",
        "A visitor is looked up by external_id and, if no visitor has it, by anonymous_id, which is a kind of "
        'identifier of its own. null means not given; "" is an id like any other.',
        "observed",
        f'{SERVER}; "" is {OURS}',
    ),
    Rule(
        "client-identify",
        "identify creates a visitor with the ids given if none is found. On a visitor that is found it writes "
        "anonymous_id, if no visitor has it, and never external_id, which is for alias to do. An id that is not "
        "written gives a hint.",
        "observed",
        SERVER,
    ),
    Rule(
        "client-profile",
        "email, phone, timezone and locale: absent leaves the property unchanged, null clears it, any value sets it, "
        'also "". email and phone are the properties email and phone_number of the Ingest API.',
        "observed",
        f'{SERVER}; null and "" are {OURS}',
    ),
    Rule(
        "client-data",
        "data is an object of its own beside the properties. It is merged one level deep, and null in it is a value.",
        "observed",
        SERVER,
    ),
    Rule(
        "client-timezone",
        "A time zone is an IANA name, in any case, and is stored as sent. Otherwise 422.",
        "observed",
        f"{SERVER}; for the user of an event it is {OURS}",
    ),
    Rule(
        "client-alias",
        "alias gives the visitor that has the anonymous_id the external_id, if the visitor has none and no other "
        "visitor has it. Otherwise: 204, nothing changes, and a hint says why. Visitors are never merged.",
        "documented",
        f"{CLIENT_PAGE} says it acts once; else {SERVER}",
    ),
    Rule(
        "client-devices",
        "A device of the visitor with the same device_id, or else with the same token, is updated key by key, and "
        "null clears a token. Otherwise the device is added.",
        "observed",
        SERVER,
    ),
    Rule(
        "client-devices-wait",
        "A device with ids that no visitor has creates no visitor. It waits, with a hint, until a visitor of either "
        "API has one of its ids.",
        "observed",
        f"{SERVER}, which tries again for a while; waiting without end is {OURS}",
    ),
    Rule(
        "client-events",
        "Items are applied in order. An unknown visitor is created, with an event user_created before the item's. "
        "data are the event's properties. Nothing is deduplicated, and the allow-list does not apply.",
        "observed",
        f"{SERVER}; the allow-list is {OURS}",
    ),
    Rule(
        "client-event-user",
        "`user` in an item is an identify for the item's visitor; ids in it are ignored.",
        "observed",
        SERVER,
    ),
    Rule(
        "client-event-name",
        'An event may have no name; it is stored with the name "", with a hint.',
        "documented",
        CLIENT_PAGE,
    ),
    Rule(
        "client-whole",
        "One invalid item refuses the whole request to events, and nothing is stored.",
        "observed",
        SERVER,
    ),
    Rule(
        "client-trouble",
        "A request that cannot be stored is answered like one that cannot be read: 400, and nothing of it is kept.",
        "observed",
        SERVER,
    ),
)
"""The rules of the Client API."""
ACCESS: tuple[Rule, ...] = (
    Rule(
        "host",
        "A request must have exactly one Host header, with a name that no web site can have: an IP address, a single "
        "label, a name below localhost, internal or test, or one of allowed_hosts. Otherwise 403.",
        "assumed",
        OURS,
    ),
    Rule(
        "origin",
        "The debug API refuses web pages of other origins, except those of allowed_hosts: 403.",
        "assumed",
        OURS,
    ),
    Rule(
        "admin-token",
        "With admin_token set, /debug requires it as a bearer token, except for its health: 401.",
        "assumed",
        OURS,
    ),
    Rule(
        "debug-json",
        "Requests that change something under /debug must be application/json, an import may also be "
        "application/jsonl or application/x-ndjson; otherwise 415. A DELETE needs no body.",
        "assumed",
        OURS,
    ),
)
"""Which requests the emulator refuses, whatever they ask for."""
