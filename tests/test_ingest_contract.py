"""/track, /identify and /batch: from a request to arrivals, and from receipts to the answer."""

import gzip
import json
from collections.abc import Sequence
from typing import cast

import pytest
from pydantic import JsonValue

from looping import case
from ours_emulator.contract.account import AccountConfig
from ours_emulator.contract.ingest import IngestContract, Limits, source
from ours_emulator.contract.revision import revision
from ours_emulator.model import Answer, Arrival, Claim, Message, Properties, Receipt, Rejection, Request
from ours_emulator.records import Hint, Outcome
from requesting import request_to

NOW = 1_795_168_800_000
WEEK = 7 * 24 * 60 * 60 * 1000
OPEN = AccountConfig("default", revision())
KEYED = AccountConfig("default", revision(), tokens=frozenset({"tok", "second"}))
ANONYMOUS = AccountConfig("default", revision(), require_identifier=False)
CONTRACT = IngestContract(Limits())
STRICT = AccountConfig("default", revision(), strict_openapi=True)
TRACK: Properties = {"token": "tok", "event": "Purchase", "userId": "u"}
IDENTIFY: Properties = {"token": "tok", "userId": "u", "userProperties": {}}
SINGLES = (("track", TRACK), ("identify", IDENTIFY))
SUCCESS = b'{"success":true}'
FAILURE = b'{"success":false}'


def row(number: int = 0, **more: JsonValue) -> Properties:
    return {"event": "Purchase", "distinctId": f"d{number}", "userId": "u", **more}


def batch(*rows: JsonValue, **more: JsonValue) -> Properties:
    return {"token": "tok", "events": list(rows), **more}


def request(
    endpoint: str,
    body: JsonValue | bytes,
    *,
    method: str = "POST",
    content_type: str = "application/json",
    content_encoding: str = "",
    oversized: bool = False,
) -> Request:
    return request_to(
        endpoint,
        body,
        method=method,
        content_type=content_type,
        content_encoding=content_encoding,
        oversized=oversized,
        received_at=NOW,
    )


def said(endpoint: str, body: JsonValue, account: AccountConfig = OPEN, contract: IngestContract = CONTRACT) -> Arrival:
    """Return the only arrival of a request."""
    (arrival,) = contract.read(request(endpoint, body), account).arrivals
    return arrival


def accepted(arrival: Arrival) -> Message:
    assert isinstance(arrival, Message), arrival
    return arrival


def refused(arrival: Arrival) -> tuple[str, str, int | None]:
    assert isinstance(arrival, Rejection), arrival
    assert arrival.reason.message
    return arrival.reason.rule, arrival.reason.path, arrival.reason.status


def message_of(arrival: Arrival) -> str:
    assert isinstance(arrival, Rejection), arrival
    return arrival.reason.message


def receipts(arrivals: Sequence[Arrival], outcome: Outcome = "accepted") -> list[Receipt]:
    return [
        Receipt(number, arrival, "rejected" if isinstance(arrival, Rejection) else outcome)
        for number, arrival in enumerate(arrivals, 1)
    ]


def answered(
    sent: Request, account: AccountConfig = OPEN, contract: IngestContract = CONTRACT, outcome: Outcome = "accepted"
) -> Answer:
    answer = contract.answer(receipts(contract.read(sent, account).arrivals, outcome))
    assert answer.media_type == "application/json"
    return answer


def body_of(answer: Answer) -> Properties:
    return cast(Properties, json.loads(answer.body))


# Test Mode


@pytest.mark.rule("test-mode", "open-tokens", "401")
@pytest.mark.parametrize(
    ("tokens", "token", "mode"),
    [
        # any token is taken
        (set[str](), "tok", False),
        (set[str](), "test_tok", True),
        (set[str](), "test_test_tok", True),
        (set[str](), "test_", False),
        (set[str](), "Test_tok", False),
        (set[str](), "test", False),
        (set[str](), " ", False),
        # only those
        ({"tok"}, "tok", False),
        ({"tok"}, "test_tok", True),
        ({"tok"}, "test_test_tok", None),
        ({"tok"}, "test_", None),
        ({"tok"}, "test_other", None),
        ({"tok"}, "TEST_tok", None),
        ({"tok"}, "other", None),
        ({"tok"}, "Tok", None),
        ({"tok"}, " tok", None),
        ({"tok"}, "tok ", None),
        ({"tok"}, "to", None),
        # a configured token that itself begins so is live
        ({"test_tok"}, "test_tok", False),
        ({"test_tok"}, "test_test_tok", True),
        ({"test_tok"}, "tok", None),
        ({"tok", "test_tok"}, "test_tok", False),
        ({"test_"}, "test_", False),
        ({"test_"}, "test_test_", True),
    ],
)
def test_a_token_is_live_or_of_test_mode_or_unknown(tokens: set[str], token: str, mode: bool | None) -> None:
    found = source(AccountConfig("default", revision(), frozenset(tokens)), token)
    assert (found and found.test) is mode


@pytest.mark.rule("test-mode")
@pytest.mark.parametrize(("token", "test"), [("tok", False), ("test_tok", True), ("second", False)])
def test_what_a_test_mode_key_sends_is_marked(token: str, test: bool) -> None:
    for endpoint in ("track", "identify", "batch"):
        with case(endpoint):
            sent = {"track": TRACK, "identify": IDENTIFY, "batch": batch(row(1), row(2))}[endpoint]
            arrivals = CONTRACT.read(request(endpoint, {**sent, "token": token}), KEYED).arrivals
            assert [accepted(arrival).test for arrival in arrivals] == [test] * (2 if endpoint == "batch" else 1)


# Tokens

MISSING: list[Properties] = [{}, {"token": None}, {"token": ""}]
MALFORMED_TOKENS: list[JsonValue] = [5, 0, 1.5, True, False, [], ["tok"], {}, {"tok": "tok"}, "x" * 251]


@pytest.mark.rule("missing-token")
@pytest.mark.parametrize("token", MISSING)
def test_a_missing_token_is_401(token: Properties) -> None:
    for account in (OPEN, KEYED):
        for endpoint, smallest in SINGLES:
            with case(endpoint, account):
                rest: Properties = {name: value for name, value in smallest.items() if name != "token"}
                assert refused(said(endpoint, {**rest, **token}, account)) == ("missing-token", "/token", 401)


@pytest.mark.rule("missing-token")
@pytest.mark.parametrize("token", MISSING)
def test_a_missing_token_is_400_on_batch(token: Properties) -> None:
    for account in (OPEN, KEYED):
        with case(account):
            sent = request("batch", {"events": [row()], **token})
            assert refused(CONTRACT.read(sent, account).arrivals[0]) == ("missing-token", "/token", 400)
            assert answered(sent, account).status == 400
            assert "missing `token`" in cast(str, body_of(answered(sent, account))["error"])


@pytest.mark.rule("missing-token", "schema")
@pytest.mark.parametrize("token", MALFORMED_TOKENS)
def test_a_token_of_the_wrong_type_or_length_is_400(token: JsonValue) -> None:
    for account in (OPEN, KEYED):
        for endpoint, smallest in (("track", TRACK), ("identify", IDENTIFY), ("batch", batch(row()))):
            with case(endpoint, account):
                assert refused(said(endpoint, {**smallest, "token": token}, account)) == ("schema", "/token", 400)


@pytest.mark.rule("401")
@pytest.mark.parametrize("token", ["unknown", "pk_live", "sk_live", "TOK", "tok ", "x" * 250, "😀", "\ud800"])
def test_an_unknown_token_is_401(token: str) -> None:
    for endpoint, smallest in (("track", TRACK), ("identify", IDENTIFY), ("batch", batch(row()))):
        with case(endpoint):
            arrival = said(endpoint, {**smallest, "token": token}, KEYED)
            assert refused(arrival) == ("401", "/token", 401)
            assert token not in message_of(arrival)


@pytest.mark.rule("401")
@pytest.mark.parametrize("token", ["pk_live", "sk_live"])
def test_a_key_of_the_client_api_is_told_apart(token: str) -> None:
    assert "Client API" in message_of(said("track", {**TRACK, "token": token}, KEYED))
    assert "Client API" not in message_of(said("track", {**TRACK, "token": "unknown"}, KEYED))


@pytest.mark.rule("open-tokens")
@pytest.mark.parametrize("token", ["tok", "anything", " ", "pk_live", "x" * 250, "\ud800", "\0"])
def test_without_configured_tokens_any_is_taken(token: str) -> None:
    for endpoint, smallest in (("track", TRACK), ("identify", IDENTIFY), ("batch", batch(row()))):
        with case(endpoint):
            accepted(said(endpoint, {**smallest, "token": token}))


# The order of checks on /track and /identify


@pytest.mark.rule("check-order", "malformed", "missing-token")
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"null", b'{"event":NaN}', b'{"token":"","time":1e400}'])
def test_parsing_comes_before_the_missing_token(body: bytes) -> None:
    for endpoint in ("track", "identify"):
        with case(endpoint):
            (arrival,) = CONTRACT.read(request(endpoint, body), KEYED).arrivals
            assert refused(arrival) == ("malformed", "", 400)


@pytest.mark.rule("check-order", "content-type", "encoding", "size")
@pytest.mark.parametrize("endpoint", ["track", "identify"])
def test_content_type_coding_and_size_come_before_the_missing_token(endpoint: str) -> None:
    for sent, rule in (
        (request(endpoint, {}, content_type="text/plain"), "content-type"),
        (request(endpoint, {}, content_type="text/plain", content_encoding="br", oversized=True), "content-type"),
        (request(endpoint, {}, content_encoding="br"), "encoding"),
        (request(endpoint, b"{}", content_encoding="gzip"), "encoding"),
        (request(endpoint, {}, oversized=True), "size"),
    ):
        (arrival,) = CONTRACT.read(sent, KEYED).arrivals
        assert refused(arrival) == (rule, "", 400)


@pytest.mark.rule("check-order")
@pytest.mark.parametrize(
    ("endpoint", "sent", "first"),
    [
        # missing token, then schema
        ("track", {}, ("missing-token", "/token", 401)),
        ("track", {"event": 5}, ("missing-token", "/token", 401)),
        ("track", {"token": "", "event": ""}, ("missing-token", "/token", 401)),
        ("identify", {"token": None}, ("missing-token", "/token", 401)),
        ("identify", {"userProperties": None}, ("missing-token", "/token", 401)),
        # schema, then token known
        ("track", {"token": "unknown", "userId": "u"}, ("schema", "/event", 400)),
        ("track", {"token": "unknown", "event": "e", "userId": ""}, ("schema", "/userId", 400)),
        ("identify", {"token": "unknown", "userId": "u"}, ("schema", "/userProperties", 400)),
        # token known, then identifier
        ("track", {"token": "unknown", "event": "e"}, ("401", "/token", 401)),
        ("identify", {"token": "unknown", "userProperties": {}}, ("401", "/token", 401)),
        # identifier, then time
        ("track", {"token": "tok", "event": "e", "time": 0}, ("identifier", "", 400)),
        ("track", {"token": "tok", "event": "e", "time": NOW + 1}, ("identifier", "", 400)),
        # the ends of the chain
        ("track", {"token": "unknown", "event": "e", "time": 0}, ("401", "/token", 401)),
        ("track", {"token": "tok", "event": "e", "time": "0"}, ("schema", "/time", 400)),
        ("track", {**TRACK, "time": 0}, ("time-window", "/time", 400)),
    ],
)
def test_of_two_broken_rules_the_earlier_one_answers(
    endpoint: str, sent: Properties, first: tuple[str, str, int]
) -> None:
    assert refused(said(endpoint, sent, KEYED)) == first


# What a message says


@pytest.mark.rule("body-token", "schema")
def test_a_full_track_body_becomes_one_message() -> None:
    sent: Properties = {
        **TRACK,
        "externalId": "x",
        "email": "a@b.co",
        "time": NOW - 1,
        "distinctId": "d",
        "eventProperties": {"amount": "5", "none": None, "empty": ""},
        "userProperties": {"first_name": "Ann", "last_name": None},
        "defaultProperties": {"screen_width": 1920},
        "identityContext": {"ip": "1.2.3.4", "userAgent": "x"},
    }
    assert said("track", sent, KEYED) == Message(
        endpoint="track",
        batch_index=None,
        event="Purchase",
        identity=(
            Claim("user_id", "u", "userId"),
            Claim("external_id", "x", "externalId"),
            Claim("email", "a@b.co", "email"),
        ),
        distinct_id="d",
        time=NOW - 1,
        test=False,
        event_properties={"amount": "5", "none": None, "empty": ""},
        default_properties={"screen_width": 1920},
        identity_context={"ip": "1.2.3.4", "userAgent": "x"},
        user_properties={"first_name": "Ann", "last_name": None},
        hints=(),
        semantics=revision().semantics,
    )


@pytest.mark.parametrize("name", ["distinctId", "time", "identityContext", "externalId", "email"])
def test_null_says_the_same_as_nothing(name: str) -> None:
    assert said("track", {**TRACK, name: None}) == said("track", TRACK)


@pytest.mark.rule("identify-body", "event-properties", "default-properties", "properties-null")
@pytest.mark.parametrize("name", ["eventProperties", "userProperties", "defaultProperties"])
def test_no_properties_null_and_an_empty_object_say_the_same(name: str) -> None:
    assert said("track", {**TRACK, name: None}) == said("track", {**TRACK, name: {}}) == said("track", TRACK)


@pytest.mark.rule("identify-event")
def test_identify_is_an_event_of_its_own_without_time_and_id() -> None:
    sent: Properties = {**IDENTIFY, "event": "mine", "time": 0, "distinctId": "d", "eventProperties": {"a": "x"}}
    message = accepted(said("identify", sent))
    assert (message.endpoint, message.event) == ("identify", "$identify")
    assert (message.time, message.distinct_id, message.event_properties) == (None, None, {})
    assert {hint.path for hint in message.hints} == {"/event", "/time", "/distinctId", "/eventProperties"}


@pytest.mark.rule("identify-body")
@pytest.mark.parametrize("sent", [{"token": "tok", "userId": "u"}, {**IDENTIFY, "userProperties": None}])
def test_identify_needs_user_properties(sent: Properties) -> None:
    assert refused(said("identify", sent)) == ("schema", "/userProperties", 400)


@pytest.mark.rule("unknown-keys")
def test_what_is_dropped_is_a_hint() -> None:
    message = accepted(said("track", {**TRACK, "properties": {"plan": "pro"}, "userProperties": {"plan": "pro"}}))
    assert message.event_properties == {}
    assert message.user_properties == {}
    assert [(hint.rule, hint.path) for hint in message.hints] == [
        ("unknown-keys", "/properties"),
        ("unknown-keys", "/userProperties/plan"),
    ]


@pytest.mark.rule("unknown-keys")
@pytest.mark.parametrize("broken", [{"event": 5}, {"token": "unknown"}, {"userId": None}, {"time": 0}])
def test_a_refusal_has_its_hints_too(broken: Properties) -> None:
    arrival = said("track", {**TRACK, "properties": {}, **broken}, KEYED)
    assert isinstance(arrival, Rejection)
    assert arrival.hints == (Hint("unknown-keys", "/properties", "dropped; did you mean eventProperties?"),)


@pytest.mark.rule("any-json")
def test_what_the_document_forbids_is_accepted_without_a_hint_or_strictly_refused() -> None:
    sent: Properties = {**TRACK, "eventProperties": {"amount": 99.99}}
    message = accepted(said("track", sent))
    assert message.event_properties == {"amount": 99.99}
    assert message.hints == ()
    assert refused(said("track", sent, account=STRICT)) == ("schema", "/eventProperties/amount", 400)
    rows = CONTRACT.read(request("batch", batch(row(), row(1, eventProperties={"amount": 1}))), STRICT).arrivals
    accepted(rows[0])
    assert refused(rows[1]) == ("schema", "/eventProperties/amount", 400)


@pytest.mark.parametrize(
    ("broken", "event", "distinct_id"),
    [
        ({"time": 0, "distinctId": "d"}, "Purchase", "d"),
        ({"event": 5, "distinctId": "d"}, None, "d"),
        ({"event": "", "distinctId": []}, "", None),
        ({"token": "", "distinctId": "d"}, "Purchase", "d"),
    ],
)
def test_a_refusal_tells_event_and_id_if_they_can_be_told(
    broken: Properties, event: str | None, distinct_id: str | None
) -> None:
    arrival = said("track", {**TRACK, **broken})
    assert isinstance(arrival, Rejection)
    assert (arrival.event, arrival.distinct_id) == (event, distinct_id)


# Identifiers

U, X, E = Claim("user_id", "u", "userId"), Claim("external_id", "x", "externalId"), Claim("email", "e", "email")
PX = Claim("external_id", "px", "userProperties.external_id")
PE = Claim("email", "pe", "userProperties.email")
BOTH_INSIDE: Properties = {"email": "pe", "external_id": "px"}


@pytest.mark.rule("identifier", "identity-order", "identity-fallback")
@pytest.mark.parametrize(
    ("sent", "identity"),
    [
        ({"userId": "u"}, (U,)),
        ({"externalId": "x"}, (X,)),
        ({"email": "e"}, (E,)),
        ({"email": "e", "externalId": "x", "userId": "u"}, (U, X, E)),
        ({"email": "e", "userId": "u"}, (U, E)),
        ({"email": "e", "externalId": "x"}, (X, E)),
        ({"userId": None, "externalId": None, "email": "e"}, (E,)),
        ({"userId": " "}, (Claim("user_id", " ", "userId"),)),
        # inside userProperties, if there is none at the top
        ({"userProperties": {"external_id": "px"}}, (PX,)),
        ({"userProperties": {"email": "pe"}}, (PE,)),
        ({"userProperties": BOTH_INSIDE}, (PX, PE)),
        ({"userProperties": {**BOTH_INSIDE, "external_id": ""}}, (PE,)),
        ({"userProperties": {**BOTH_INSIDE, "external_id": None}}, (PE,)),
        ({"userProperties": {**BOTH_INSIDE, "email": ""}}, (PX,)),
        ({"userId": None, "externalId": None, "email": None, "userProperties": BOTH_INSIDE}, (PX, PE)),
        ({"userId": "u", "userProperties": BOTH_INSIDE}, (U,)),
        ({"email": "e", "userProperties": BOTH_INSIDE}, (E,)),
    ],
)
def test_the_identifiers_given_strongest_first(sent: Properties, identity: tuple[Claim, ...]) -> None:
    for endpoint in ("track", "identify"):
        with case(endpoint):
            smallest: Properties = {"token": "tok", "event": "e", "userProperties": {}}
            assert accepted(said(endpoint, {**smallest, **sent})).identity == identity
            (arrival,) = CONTRACT.read(
                request("batch", batch({"event": "e", "distinctId": "d", **sent})), OPEN
            ).arrivals
            assert accepted(arrival).identity == identity


NOBODY: list[Properties] = [
    {},
    {"userId": None, "externalId": None, "email": None},
    {"userProperties": {"external_id": None, "email": None}},
    {"userProperties": {"external_id": "", "email": ""}},
    {"userProperties": {"first_name": "Ann", "phone_number": "5"}},
    {"userProperties": {"userId": "u", "externalId": "x"}},
    {"userProperties": {"custom_properties": {"email": "e", "external_id": "x"}}},
    {"user_id": "u", "external_id": "x"},
    {"distinctId": "d", "eventProperties": {"email": "e", "userId": "u"}},
]


@pytest.mark.rule("identifier")
@pytest.mark.parametrize("sent", NOBODY)
def test_without_any_identifier_a_request_is_refused(sent: Properties) -> None:
    for endpoint in ("track", "identify"):
        with case(endpoint):
            whole: Properties = {"token": "tok", "event": "e", "userProperties": {}, **sent}
            assert refused(said(endpoint, whole)) == ("identifier", "", 400)


@pytest.mark.rule("identifier")
@pytest.mark.parametrize("sent", NOBODY)
def test_or_it_is_anonymous_if_the_account_allows_that(sent: Properties) -> None:
    for endpoint in ("track", "identify"):
        with case(endpoint):
            whole: Properties = {"token": "tok", "event": "e", "userProperties": {}, **sent}
            assert accepted(said(endpoint, whole, ANONYMOUS)).identity == ()


@pytest.mark.rule("identifier", "properties-null")
def test_user_properties_null_names_nobody() -> None:
    whole: Properties = {"token": "tok", "event": "e", "userProperties": None}
    assert refused(said("track", whole)) == ("identifier", "", 400)
    assert accepted(said("track", whole, ANONYMOUS)).identity == ()


@pytest.mark.rule("empty-identifier")
@pytest.mark.parametrize("name", ["userId", "externalId", "email"])
def test_an_empty_identifier_at_the_top_is_refused_even_beside_another(name: str) -> None:
    for account in (OPEN, ANONYMOUS):
        for endpoint, smallest in SINGLES:
            with case(endpoint, account):
                others: Properties = {"userId": "u", "externalId": "x", "email": "e"}
                assert refused(said(endpoint, {**smallest, **others, name: ""}, account)) == ("schema", f"/{name}", 400)


# Time


@pytest.mark.rule("time-window")
@pytest.mark.parametrize(
    "time",
    [
        NOW,
        NOW - 1,
        NOW - WEEK,
        NOW - WEEK + 1,
        NOW - 0.5,
        NOW - WEEK + 0.5,
        float(NOW),
        float(NOW - WEEK),
    ],
)
def test_the_last_7_days_are_taken_and_both_their_ends(time: float) -> None:
    kept = accepted(said("track", {**TRACK, "time": time})).time
    assert kept == time
    assert type(kept) is type(time)
    (arrival,) = CONTRACT.read(request("batch", batch(row(time=time))), OPEN).arrivals
    assert accepted(arrival).time == time


@pytest.mark.rule("time-window")
@pytest.mark.parametrize(
    "time",
    [
        NOW + 1,
        NOW + 0.5,
        NOW - WEEK - 1,
        NOW - WEEK - 0.5,
        NOW + WEEK,
        NOW * 1000,
        0,
        0.0,
        1,
        -1,
        -NOW,
        2**64,
        -(2**64),
        pytest.param(10**308, id="10**308"),
        1e308,
        -1e308,
        1e-300,
    ],
)
def test_any_other_time_is_refused(time: float) -> None:
    arrival = said("track", {**TRACK, "time": time})
    assert refused(arrival) == ("time-window", "/time", 400)
    assert "second" not in message_of(arrival)
    (arrival,) = CONTRACT.read(request("batch", batch(row(time=time))), OPEN).arrivals
    assert refused(arrival) == ("time-window", "/time", 400)


@pytest.mark.rule("time-window")
@pytest.mark.parametrize("time", [NOW // 1000, NOW / 1000, (NOW - WEEK) // 1000, NOW // 1000 - 3600])
def test_seconds_are_refused_with_a_hint(time: float) -> None:
    arrival = said("track", {**TRACK, "time": time})
    assert refused(arrival) == ("time-window", "/time", 400)
    assert "looks like seconds" in message_of(arrival)


@pytest.mark.rule("time-window")
@pytest.mark.parametrize("time", [NOW // 1000 + 1, (NOW - WEEK) // 1000 - 1])
def test_seconds_out_of_the_window_are_no_likely_seconds(time: float) -> None:
    assert "second" not in message_of(said("track", {**TRACK, "time": time}))


@pytest.mark.rule("time-window")
@pytest.mark.parametrize(("time", "side"), [(NOW + 1, "future"), (NOW - WEEK - 1, "7 days")])
def test_the_refusal_tells_which_end_was_passed(time: int, side: str) -> None:
    assert side in message_of(said("track", {**TRACK, "time": time}))


@pytest.mark.rule("time-window")
@pytest.mark.parametrize("time", [{}, {"time": None}])
def test_no_time_is_left_for_the_receipt(time: Properties) -> None:
    assert accepted(said("track", {**TRACK, **time})).time is None


# The answers of /track and /identify


@pytest.mark.rule("bodies")
@pytest.mark.parametrize("outcome", ["accepted", "duplicate", "dropped"])
def test_what_is_not_refused_is_answered_success(outcome: Outcome) -> None:
    for endpoint, smallest in SINGLES:
        with case(endpoint):
            assert answered(request(endpoint, smallest), outcome=outcome) == Answer(200, SUCCESS, {})


@pytest.mark.rule("bodies")
@pytest.mark.parametrize(
    ("broken", "status"),
    [
        ({"token": ""}, 401),
        ({"token": "unknown"}, 401),
        ({"token": 5}, 400),
        ({"userProperties": 5}, 400),
        ({"userId": None}, 400),
        ({"userId": ""}, 400),
        ({"properties": {}, "email": 5}, 400),
    ],
)
def test_what_is_refused_is_answered_failure_and_nothing_more(broken: Properties, status: int) -> None:
    for endpoint, smallest in SINGLES:
        with case(endpoint):
            assert answered(request(endpoint, {**smallest, **broken}), KEYED) == Answer(status, FAILURE, {})


@pytest.mark.rule("bodies", "malformed", "content-type", "encoding", "size")
@pytest.mark.parametrize("endpoint", ["track", "identify"])
def test_what_cannot_be_read_is_answered_400_and_nothing_more(endpoint: str) -> None:
    for sent in (
        request(endpoint, b"{"),
        request(endpoint, b"[]"),
        request(endpoint, TRACK, content_type="text/plain"),
        request(endpoint, TRACK, content_encoding="br"),
        request(endpoint, TRACK, content_encoding="gzip"),
        request(endpoint, b"", oversized=True),
    ):
        assert answered(sent) == Answer(400, FAILURE, {})


@pytest.mark.rule("bodies", "time-window")
def test_a_time_out_of_the_window_is_answered_400() -> None:
    assert answered(request("track", {**TRACK, "time": 0})) == Answer(400, FAILURE, {})


@pytest.mark.rule("429-500")
@pytest.mark.parametrize("endpoint", ["track", "identify"])
def test_a_store_that_fails_is_answered_500(endpoint: str) -> None:
    assert CONTRACT.failure(request(endpoint, TRACK), None, "why") == Answer(500, FAILURE, {})


@pytest.mark.rule("429-500")
def test_a_store_that_fails_is_answered_500_with_retryable_on_batch() -> None:
    answer = CONTRACT.failure(request("batch", batch(row())), None, "why")
    assert answer.status == 500
    assert body_of(answer).keys() == {"success", "error", "retryable"}
    assert (body_of(answer)["success"], body_of(answer)["retryable"]) == (False, True)


# Methods and paths


@pytest.mark.rule("methods")
@pytest.mark.parametrize("endpoint", ["track", "identify", "batch"])
def test_a_wrong_method_is_405_with_what_is_allowed(endpoint: str) -> None:
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "post", "BREW"):
        with case(method):
            sent = request(endpoint, b"", method=method, content_type="")
            (arrival,) = CONTRACT.read(sent, KEYED).arrivals
            assert refused(arrival) == ("methods", "", 405)
            answer = answered(sent, KEYED)
            assert answer.status == 405
            assert {name.lower(): value for name, value in answer.headers.items()} == {"allow": "POST, OPTIONS"}
            assert body_of(answer).keys() == ({"success", "error"} if endpoint == "batch" else {"success"})
            assert body_of(answer)["success"] is False


@pytest.mark.rule("methods")
@pytest.mark.parametrize("endpoint", ["", "tracks", "Track", "track/x"])
def test_an_unknown_path_is_404_for_any_method(endpoint: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        with case(method):
            sent = request(endpoint, TRACK, method=method)
            (arrival,) = CONTRACT.read(sent, OPEN).arrivals
            assert refused(arrival) == ("methods", "", 404)
            assert answered(sent) == Answer(404, FAILURE, {})


@pytest.mark.rule("methods")
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_the_document_has_a_path_that_is_known_too(method: str) -> None:
    answer = answered(request("openapi", b"", method=method, content_type=""))
    assert answer.status == 405
    assert "GET" in {name.lower(): value for name, value in answer.headers.items()}["allow"]


# /batch refused as a whole

TIGHT = IngestContract(Limits(body=2000, row=400))
MANY = IngestContract(Limits(body=1 << 20, row=400))


def row_of_size(size: int, character: str = "x") -> Properties:
    """Return a row that is *size* bytes of compact UTF-8 JSON."""
    empty = row(eventProperties={"a": ""})
    rest = size - len(json.dumps(empty, separators=(",", ":")))
    width = len(character.encode())
    return row(eventProperties={"a": character * (rest // width) + "x" * (rest % width)})


def encoded(value: JsonValue) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def whole_refusal(
    contract: IngestContract, sent: Request, account: AccountConfig = KEYED
) -> tuple[str, str, int | None]:
    """Return why *sent* is refused as a whole, and check that the answer has the shape 002 gives for it."""
    (arrival,) = contract.read(sent, account).arrivals
    assert isinstance(arrival, Rejection)
    assert (arrival.endpoint, arrival.batch_index) == ("batch", None)
    answer = contract.answer(receipts([arrival]))
    assert answer.status == arrival.reason.status
    body = body_of(answer)
    assert body.keys() == ({"success", "error", "limit"} if answer.status == 413 else {"success", "error"})
    assert body["success"] is False
    assert arrival.reason.message in cast(str, body["error"])
    assert body.get("limit") == arrival.reason.limit
    return refused(arrival)


LONG = row_of_size(401)
OTHER_TOKEN = row(token="second")
TABLE: list[tuple[str, Request, tuple[str, str, int]]] = [
    # every request also breaks the rule of the next line, or of several
    ("media type", request("batch", b"{", content_type="text/plain", oversized=True), ("content-type", "", 415)),
    ("coding", request("batch", b"{", content_encoding="br", oversized=True), ("encoding", "", 415)),
    ("coding again", request("batch", b"{", content_encoding="gzip, gzip"), ("encoding", "", 415)),
    ("size", request("batch", b"{", oversized=True), ("size", "", 413)),
    ("size on the wire", request("batch", b"{" * 2001), ("size", "", 413)),
    (
        "size inflated",
        request("batch", gzip.compress(b"{" * 2001), content_encoding="gzip"),
        ("size", "", 413),
    ),
    ("bad gzip", request("batch", b"{", content_encoding="gzip"), ("encoding", "", 400)),
    ("bad JSON", request("batch", b"{"), ("malformed", "", 400)),
    ("not an object", request("batch", []), ("malformed", "", 400)),
    ("token missing, events missing", request("batch", {}), ("missing-token", "/token", 400)),
    ("token empty, events empty", request("batch", {"token": "", "events": []}), ("missing-token", "/token", 400)),
    (
        "token missing, too many rows",
        request("batch", {"events": cast(list[JsonValue], [0] * 1001)}),
        ("missing-token", "/token", 400),
    ),
    ("token no string, events missing", request("batch", {"token": 5}), ("schema", "/token", 400)),
    ("token too long, row too long", request("batch", batch(LONG, token="x" * 251)), ("schema", "/token", 400)),
    ("events missing, token unknown", request("batch", {"token": "?"}), ("batch-events", "/events", 400)),
    ("events null, token unknown", request("batch", {"token": "?", "events": None}), ("batch-events", "/events", 400)),
    ("events empty, token unknown", request("batch", {"token": "?", "events": []}), ("batch-events", "/events", 400)),
    ("row too long, token unknown", request("batch", batch(LONG, token="?")), ("batch-row-size", "/events/0", 413)),
    (
        "row too long, row of another token",
        request("batch", batch(OTHER_TOKEN, LONG)),
        ("batch-row-size", "/events/1", 413),
    ),
    ("token unknown, row of another", request("batch", batch(OTHER_TOKEN, token="?")), ("401", "/token", 401)),
    ("token unknown, rows invalid", request("batch", batch(1, {}, token="?")), ("401", "/token", 401)),
    (
        "row of another token, rows invalid",
        request("batch", batch({}, OTHER_TOKEN)),
        ("batch-token", "/events/1/token", 400),
    ),
]


@pytest.mark.rule(
    "content-type",
    "encoding",
    "size",
    "malformed",
    "missing-token",
    "batch-events",
    "batch-row-size",
    "401",
    "batch-token",
    "batch-whole",
)
@pytest.mark.parametrize(("sent", "first"), [line[1:] for line in TABLE], ids=[line[0] for line in TABLE])
def test_a_batch_is_checked_in_the_order_of_the_table(sent: Request, first: tuple[str, str, int]) -> None:
    assert whole_refusal(TIGHT if len(sent.body) < 3000 else MANY, sent) == first


@pytest.mark.rule("batch-limit", "batch-row-size", "batch-events")
def test_the_number_of_rows_comes_before_their_size_and_the_token() -> None:
    sent = request("batch", batch(LONG, *[OTHER_TOKEN] * 1000, token="?"))
    assert whole_refusal(MANY, sent) == ("batch-limit", "/events", 413)


@pytest.mark.rule("batch-events")
@pytest.mark.parametrize("events", [None, [], {}, {"0": 1}, "x", "", 5, 0, True, False])
def test_events_are_a_list_with_something_in_it(events: JsonValue) -> None:
    sent = request("batch", {"token": "tok", "events": events})
    assert whole_refusal(CONTRACT, sent) == ("batch-events", "/events", 400)


@pytest.mark.rule("size")
def test_too_large_a_body_is_told_the_limit() -> None:
    assert body_of(answered(request("batch", b"", oversized=True)))["limit"] == 5 * 1024 * 1024
    assert body_of(answered(request("batch", b"x" * 2001), contract=TIGHT))["limit"] == 2000
    inflated = request("batch", gzip.compress(b"x" * 2001), content_encoding="gzip")
    assert body_of(answered(inflated, contract=TIGHT))["limit"] == 2000


@pytest.mark.rule("size")
@pytest.mark.parametrize("coding", ["", "gzip"])
def test_a_body_exactly_at_the_limit_is_taken(coding: str) -> None:
    plain = encoded(batch(row()))
    padded, longer = plain + b" " * (2000 - len(plain)), plain + b" " * (2001 - len(plain))
    for body, status in ((padded, 200), (longer, 413)):
        wire = gzip.compress(body) if coding else body
        assert answered(request("batch", wire, content_encoding=coding), contract=TIGHT).status == status


@pytest.mark.rule("batch-limit")
def test_1000_rows_are_taken_and_1001_refused() -> None:
    rows = [row(number) for number in range(1001)]
    answer = answered(request("batch", batch(*rows[:1000])))
    assert (answer.status, body_of(answer)["accepted"]) == (200, 1000)
    sent = request("batch", batch(*rows))
    assert whole_refusal(CONTRACT, sent) == ("batch-limit", "/events", 413)
    assert body_of(answered(sent))["limit"] == 1000


@pytest.mark.rule("batch-limit")
def test_rows_are_counted_even_if_invalid() -> None:
    assert whole_refusal(CONTRACT, request("batch", batch(*[None] * 1001))) == ("batch-limit", "/events", 413)


@pytest.mark.rule("batch-row-size")
@pytest.mark.parametrize("character", ["x", "é", "😀"])
def test_a_row_exactly_at_its_limit_is_taken_and_one_byte_more_refused(character: str) -> None:
    for coding in ("", "identity", "gzip"):
        for others in (0, 1, 3):
            with case(coding, others):
                for size, status in ((400, 200), (401, 413)):
                    plain = encoded(batch(*[row()] * others, row_of_size(size, character)))
                    body = gzip.compress(plain) if coding == "gzip" else plain
                    answer = answered(request("batch", body, content_encoding=coding), contract=TIGHT)
                    assert answer.status == status
                    if status == 413:
                        assert body_of(answer)["limit"] == 400


@pytest.mark.rule("batch-row-size")
def test_a_row_over_a_mebibyte_is_refused_by_default() -> None:
    for size, status in ((1024 * 1024, 200), (1024 * 1024 + 1, 413)):
        assert answered(request("batch", encoded(batch(row(), row_of_size(size))))).status == status


@pytest.mark.rule("batch-row-size", "encoding")
@pytest.mark.parametrize(
    "number", [b"1e9", b"1E15", b"9e22", b"-0e0", b"1.50000000000"], ids=["1e9", "1E15", "9e22", "-0e0", "1.5..."]
)
def test_a_row_weighs_the_same_in_any_coding_and_any_company(number: bytes) -> None:
    numbers = b",".join([number] * (200 // len(number)))
    heavy = b'{"event":"e","distinctId":"d","userId":"u","eventProperties":{"a":[' + numbers + b"]}}"
    assert len(heavy) < 350
    alone = b'{"token":"tok","events":[' + heavy + b"]}"
    beside = b'{"token":"tok","events":[' + heavy + b"," + heavy + b"]}"
    statuses = {
        "alone": answered(request("batch", alone), contract=TIGHT).status,
        "beside another": answered(request("batch", beside), contract=TIGHT).status,
        "identity": answered(request("batch", alone, content_encoding="identity"), contract=TIGHT).status,
        "gzip": answered(request("batch", gzip.compress(alone), content_encoding="gzip"), contract=TIGHT).status,
    }
    assert len(set(statuses.values())) == 1, statuses


@pytest.mark.rule("batch-row-size")
def test_rows_of_lone_surrogates_can_be_weighed() -> None:
    surrogates: Properties = {"a": "\ud800" * 10_000, "\udfff": None}
    sent = request("batch", batch(row(eventProperties=surrogates)))
    assert answered(sent).status == 200
    assert answered(sent, contract=MANY).status == 413


@pytest.mark.rule("batch-token")
@pytest.mark.parametrize("other", ["second", "test_tok", "Tok", "tok ", "", 5, True, [], {}, ["tok"]])
def test_a_row_with_another_token_refuses_the_batch(other: JsonValue) -> None:
    for place in (0, 2):
        with case(place):
            rows: list[JsonValue] = [row(number) for number in range(3)]
            rows[place] = row(place, token=other)
            for account in (OPEN, KEYED):
                sent = request("batch", batch(*rows))
                assert whole_refusal(CONTRACT, sent, account) == ("batch-token", f"/events/{place}/token", 400)
                assert "token mismatch" in cast(str, body_of(answered(sent, account))["error"])


@pytest.mark.rule("batch-token")
@pytest.mark.parametrize("token", ["tok", "test_tok"])
def test_a_row_may_repeat_the_token_or_have_null_or_none(token: str) -> None:
    rows = [row(0, token=token), row(1, token=None), row(2)]
    arrivals = CONTRACT.read(request("batch", batch(*rows, token=token)), KEYED).arrivals
    assert [accepted(arrival).hints for arrival in arrivals] == [(), (), ()]


# /batch row by row

INVALID: list[tuple[JsonValue, str]] = [
    (None, ""),
    (5, ""),
    ("x", ""),
    ([], ""),
    ([row()], ""),
    (True, ""),
    ({}, "/event"),
    ({"event": "e", "userId": "u"}, "/distinctId"),
    (row(distinctId=None), "/distinctId"),
    (row(distinctId=""), "/distinctId"),
    (row(distinctId="x" * 401), "/distinctId"),
    (row(distinctId=5), "/distinctId"),
    (row(event=None), "/event"),
    (row(event=""), "/event"),
    (row(userId=""), "/userId"),
    (row(time="1"), "/time"),
    (row(time=0), "/time"),
    (row(time=NOW + 1), "/time"),
    (row(userId=None), ""),
    (row(identityContext={}), "/identityContext/ip"),
    (row(defaultProperties={"screen_width": "1"}), "/defaultProperties/screen_width"),
]


@pytest.mark.rule("batch-answers", "batch-rows")
@pytest.mark.parametrize(("broken", "path"), INVALID)
def test_an_invalid_row_fails_alone(broken: JsonValue, path: str) -> None:
    sent = request("batch", batch(row(0), broken, row(2)))
    arrivals = CONTRACT.read(sent, KEYED).arrivals
    assert [arrival.batch_index for arrival in arrivals] == [0, 1, 2]
    assert refused(arrivals[1])[1:] == (path, 400)
    answer = answered(sent, KEYED)
    assert answer.status == 207
    body = body_of(answer)
    results = cast(list[Properties], body.pop("results"))
    assert body == {"success": False, "accepted": 2, "failed": 1}
    message = results[1].pop("message")
    assert isinstance(message, str)
    assert message
    assert results == [
        {"index": 0, "success": True},
        {"index": 1, "success": False, "code": "invalid_event"},
        {"index": 2, "success": True},
    ]


@pytest.mark.rule("batch-answers")
@pytest.mark.parametrize(("broken", "path"), INVALID)
def test_a_batch_of_nothing_but_invalid_rows_is_400_with_two_keys(broken: JsonValue, path: str) -> None:
    sent = request("batch", batch(broken, broken))
    arrivals = CONTRACT.read(sent, KEYED).arrivals
    assert [refused(arrival)[1] for arrival in arrivals] == [path, path]
    answer = answered(sent, KEYED)
    assert answer.status == 400
    body = body_of(answer)
    assert body.keys() == {"success", "error"}
    assert body["success"] is False
    assert all(message_of(arrival) in cast(str, body["error"]) for arrival in arrivals)


@pytest.mark.rule("batch-answers")
def test_the_messages_of_all_invalid_rows_are_in_the_error() -> None:
    rows = [row(time=0), row(userId=None), {}]
    sent = request("batch", batch(*rows))
    error = cast(str, body_of(answered(sent))["error"])
    for arrival in CONTRACT.read(sent, OPEN).arrivals:
        assert message_of(arrival) in error


@pytest.mark.rule("batch-answers", "batch-repeats")
@pytest.mark.parametrize("outcome", ["accepted", "duplicate", "dropped"])
def test_a_batch_without_failures_is_200(outcome: Outcome) -> None:
    answer = answered(request("batch", batch(row(0), row(0), row(1))), outcome=outcome)
    assert answer.status == 200
    assert body_of(answer) == {
        "success": True,
        "accepted": 3,
        "failed": 0,
        "results": [{"index": index, "success": True} for index in range(3)],
    }


@pytest.mark.rule("batch-answers", "batch-repeats")
def test_duplicates_beside_failures_count_as_accepted() -> None:
    answer = answered(request("batch", batch(row(0), {})), outcome="duplicate")
    assert (answer.status, body_of(answer)["accepted"], body_of(answer)["failed"]) == (207, 1, 1)


@pytest.mark.rule("batch-answers")
def test_results_are_in_the_order_of_the_rows() -> None:
    good = [number % 3 != 0 for number in range(1000)]
    rows = [row(number) if fine else row(number, time=0) for number, fine in enumerate(good)]
    body = body_of(answered(request("batch", batch(*rows))))
    results = cast(list[Properties], body["results"])
    assert [result["index"] for result in results] == list(range(1000))
    assert [result["success"] for result in results] == good
    assert (body["accepted"], body["failed"]) == (sum(good), 1000 - sum(good))


@pytest.mark.rule("batch-rows", "batch-order")
def test_rows_become_messages_in_their_order() -> None:
    rows = [row(1, event="A"), row(2, event="B", time=NOW), row(3, event="C", properties={})]
    messages = [accepted(arrival) for arrival in CONTRACT.read(request("batch", batch(*rows)), KEYED).arrivals]
    assert [(it.endpoint, it.batch_index, it.event, it.distinct_id) for it in messages] == [
        ("batch", 0, "A", "d1"),
        ("batch", 1, "B", "d2"),
        ("batch", 2, "C", "d3"),
    ]
    assert [[hint.path for hint in it.hints] for it in messages] == [[], [], ["/properties"]]


@pytest.mark.rule("batch-rows", "check-order")
@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        ({"event": 5, "userId": None, "time": 0}, "schema"),
        ({"userId": None, "time": 0}, "identifier"),
        ({"time": 0}, "time-window"),
    ],
)
def test_a_row_is_checked_in_the_same_order(broken: Properties, rule: str) -> None:
    assert refused(said("batch", batch({**row(), **broken})))[0] == rule


@pytest.mark.rule("identifier")
def test_rows_may_be_anonymous_if_the_account_allows_that() -> None:
    assert refused(said("batch", batch(row(userId=None)))) == ("identifier", "", 400)
    assert accepted(said("batch", batch(row(userId=None)), ANONYMOUS)).identity == ()


@pytest.mark.rule("encoding")
@pytest.mark.parametrize("endpoint", ["track", "identify", "batch"])
def test_gzip_says_the_same_as_plain(endpoint: str) -> None:
    sent = {"track": TRACK, "identify": IDENTIFY, "batch": batch(row(1), row(2), {})}[endpoint]
    packed = request(endpoint, gzip.compress(encoded(sent)), content_encoding="gzip")
    assert CONTRACT.read(packed, KEYED).arrivals == CONTRACT.read(request(endpoint, sent), KEYED).arrivals


@pytest.mark.rule("bodies")
def test_an_answer_is_ascii_even_for_names_beyond() -> None:
    sent = request("batch", batch(row(eventProperties={"é\ud800\n": 1})))
    answer = answered(sent, account=STRICT)
    assert answer.status == 400
    assert answer.body.isascii()
    assert json.loads(answer.body)["success"] is False
