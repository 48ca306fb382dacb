"""/track, /identify and /batch over HTTP: what is answered, and what is stored afterwards."""

import gzip
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from looping import case
from serving import JSON, Account, Server, serving

pytestmark = pytest.mark.each_database

OK, NO = {"success": True}, {"success": False}
BASES = ("", "/api/v1")
SINGLE = ("/track", "/identify")


def body_of(path: str, **more: Any) -> dict[str, Any]:
    """A body that *path* accepts."""
    if path == "/batch":
        return {"token": "t", "events": [{"event": "E", "userId": "u", "distinctId": "d"}], **more}
    return {"token": "t", "event": "E", "userId": "u", "userProperties": {}, **more}


@pytest.mark.rule("base-path", "root-path")
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("path", [*SINGLE, "/batch"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_endpoint_is_served_at_the_root_and_under_api_v1(
    account: Account, base: str, path: str, slash: str
) -> None:
    response = account.post(base + path + slash, body_of(path))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"


@pytest.mark.rule("bodies")
def test_track_and_identify_answer_exactly_success_true_or_false(account: Account) -> None:
    assert account.track(userId="u").content == b'{"success":true}'
    assert account.identify(userId="u", userProperties={}).content == b'{"success":true}'
    assert account.track(userId=5).content == b'{"success":false}'
    assert account.identify(userId="u").content == b'{"success":false}'


@pytest.mark.rule("body-token")
def test_an_authorization_header_is_ignored(account: Account) -> None:
    bearer = {"authorization": "Bearer t"}
    assert account.post("/track", {"event": "E", "userId": "u"}, bearer).status_code == 401
    assert account.post("/track", body_of("/track"), {"authorization": "nonsense"}).status_code == 200


@pytest.mark.rule("401", "open-tokens", "test-mode")
def test_with_tokens_configured_only_those_and_their_test_twins_are_accepted() -> None:
    with serving(tokens="live, other") as server:
        account = server.default
        statuses = {
            token: account.track(userId="u", token=token).status_code
            for token in ("live", "other", "test_live", "revoked", "test_revoked", "pk_key", "LIVE", " live")
        }
        assert statuses == {
            "live": 200,
            "other": 200,
            "test_live": 200,
            "revoked": 401,
            "test_revoked": 401,
            "pk_key": 401,
            "LIVE": 401,
            " live": 401,
        }
        assert account.batch({"event": "E", "distinctId": "d", "userId": "u"}, token="x").json().keys() == {
            "success",
            "error",
        }
        assert [event["test"] for event in account.events()] == [True, False, False]


@pytest.mark.rule("open-tokens")
def test_without_tokens_any_token_is_accepted(account: Account) -> None:
    for token in ("t", "pk_key", "x" * 250, "✓", "\ud800"):
        assert account.post("/track", json.dumps(body_of("/track", token=token)).encode()).json() == OK


@pytest.mark.rule("methods")
@pytest.mark.parametrize("path", [*SINGLE, "/batch", "/api/v1/track"])
def test_a_wrong_method_is_405_with_allow_in_the_endpoints_shape(account: Account, path: str) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE", "HEAD"):
        with case(method):
            response = account.http.request(method, account.url + path)
            assert response.status_code == 405
            assert response.headers["allow"] == "POST, OPTIONS"
            if method != "HEAD":
                assert response.json()["success"] is False
                assert ("error" in response.json()) == (path == "/batch")


@pytest.mark.rule("methods")
@pytest.mark.parametrize("path", ["/nowhere", "/api/v1/tracks", "/api/v2/track", "/trackx", "/track/x"])
def test_an_unknown_path_is_404_and_journaled(account: Account, path: str) -> None:
    response = account.post(path, body_of("/track"))
    assert (response.status_code, response.json()) == (404, NO)
    (event,) = account.events(outcome="any")
    assert event["endpoint"] == "unknown"
    assert event["reason"]["rule"] == "methods"


@pytest.mark.rule("cors")
@pytest.mark.parametrize("path", ["/track", "/api/v1/batch", "/api/v1/identify", "/api/v1/openapi"])
def test_a_browser_may_post_from_any_origin(account: Account, path: str) -> None:
    asks = {
        "origin": "https://app.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    preflight = account.http.options(account.url + path, headers=asks)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "*" in preflight.headers["access-control-allow-headers"]
    answer = account.post(path, body_of("/track"), {"origin": "https://app.example"})
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.rule("content-type", "encoding", "size", "malformed", "nesting")
@pytest.mark.parametrize(
    ("headers", "body", "rule", "single", "batch"),
    [
        ({"content-type": "text/plain"}, b"{}", "content-type", 400, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, b"a=b", "content-type", 400, 415),
        ({**JSON, "content-encoding": "br"}, b"{}", "encoding", 400, 415),
        ({**JSON, "content-encoding": "gzip"}, b"not gzip", "encoding", 400, 400),
        ({**JSON, "content-encoding": "gzip"}, gzip.compress(b"{}" * 9, mtime=0)[:-6], "encoding", 400, 400),
        (JSON, b"", "malformed", 400, 400),
        (JSON, b"{", "malformed", 400, 400),
        (JSON, b"[]", "malformed", 400, 400),
        (JSON, b"null", "malformed", 400, 400),
        (JSON, b'"text"', "malformed", 400, 400),
        (JSON, b'{"a":"\xff"}', "malformed", 400, 400),
        (JSON, b'{"a":NaN}', "malformed", 400, 400),
        (JSON, b'{"a":1e400}', "malformed", 400, 400),
        (JSON, b"[" * 100_000, "nesting", 400, 400),
        (JSON, b'{"a":' * 100_000, "nesting", 400, 400),
        (JSON, b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}", "nesting", 400, 400),
    ],
)
def test_unreadable_bodies_are_refused_with_their_reason_and_nothing_is_stored(
    account: Account, headers: dict[str, str], body: bytes, rule: str, single: int, batch: int
) -> None:
    for path, status in (("/track", single), ("/identify", single), ("/batch", batch)):
        response = account.http.post(account.url + path, content=body, headers=headers)
        assert response.status_code == status
        assert response.json()["success"] is False
        assert response.headers["x-emulator-outcome"] == "rejected"
        assert response.headers["x-emulator-reason"].split()[0] == rule
    assert account.visitors() == []
    assert account.events() == []
    assert [event["reason"]["rule"] for event in account.events(outcome="any")] == [rule] * 3


@pytest.mark.rule("size")
def test_bodies_over_the_limit_are_refused_on_the_wire_and_inflated_and_the_connection_lives_on() -> None:
    with serving(max_body_bytes=1000) as server:
        account = server.default
        large = json.dumps(body_of("/track", eventProperties={"a": "x" * 1000})).encode()
        packed = {"content-encoding": "gzip"}
        for path, status in (("/track", 400), ("/identify", 400), ("/batch", 413)):
            for body, headers in ((large, {}), (gzip.compress(large), packed), (b" " * 3_000_000, {})):
                response = account.post(path, body, headers)
                assert response.status_code == status
                assert response.headers.get("connection", "") != "close"
                assert response.json().get("limit") == (1000 if path == "/batch" else None)
        assert account.track(userId="u").json() == OK
        assert account.debug("summary")["outcomes"]["rejected"] == 9


@pytest.mark.rule("encoding", "byte-order-mark")
@pytest.mark.parametrize("path", [*SINGLE, "/batch"])
def test_gzip_bodies_and_bodies_with_a_byte_order_mark_are_read(account: Account, path: str) -> None:
    plain = json.dumps(body_of(path)).encode()
    marked = b"\xef\xbb\xbf" + plain
    for coding, body in (("gzip", plain), ("x-gzip", plain), ("identity", marked), ("gzip", marked)):
        sent = body if coding == "identity" else gzip.compress(body)
        response = account.post(path, sent, {"content-encoding": coding})
        assert (response.status_code, response.json()["success"]) == (200, True)


@pytest.mark.rule("received-at")
def test_a_dropped_event_has_received_at_like_any_other(account: Account) -> None:
    account.configure(allowed_events=["Purchase"])
    account.track(userId="u", event="Other", defaultProperties={"title": "Home"})
    (dropped,) = account.events(outcome="dropped")
    assert dropped["default_properties"] == {"title": "Home", "received_at": dropped["received_at"]}
    arrived = account.http.post(f"{account.url}/debug/verify", json={"match": {"event": "Other"}, "outcome": "dropped"})
    assert arrived.json()["items"][0]["default_properties"] == dropped["default_properties"]


@pytest.mark.rule("401", "open-tokens")
def test_a_configured_key_of_the_client_api_is_a_token_of_the_wrong_kind(account: Account) -> None:
    account.configure(public_keys=["pk_live", "sk_live"])
    statuses = {
        token: [account.post(path, body_of(path, token=token)).status_code for path in (*SINGLE, "/batch")]
        for token in ("pk_live", "sk_live", "pk_other", "live")
    }
    assert statuses == {
        "pk_live": [401] * 3,
        "sk_live": [401] * 3,
        "pk_other": [200] * 3,
        "live": [200] * 3,
    }
    (refused, *_) = account.events(outcome="rejected")
    assert refused["reason"]["message"] == "is a key of the Client API; the Ingest API takes the token of a source"


@pytest.mark.rule("methods")
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/api/v1/api/v1/track", "there is no such path: the base URL is doubled; /api/v1 is in it twice"),
        ("/api/client/api/client/events", "there is no such path: the base URL is doubled; /api/client is in it twice"),
        ("/api/v1/api/client/events", "there is no such path: the base URL /api/v1 is before /api/client; remove it"),
        ("/api/v1/tracks", "there is no such path; did you mean track?"),
        ("/ingest", "there is no such path; the vendor's web SDK posts here, and its API is not emulated"),
        ("/nowhere", "there is no such path"),
    ],
)
def test_the_404_of_an_unknown_path_says_what_is_wrong_with_it(account: Account, path: str, message: str) -> None:
    assert account.post(path, body_of("/track")).status_code == 404
    (refused,) = account.events(outcome="rejected")
    assert (refused["reason"]["rule"], refused["reason"]["message"]) == ("methods", message)


@pytest.mark.rule("methods")
def test_an_unknown_get_is_no_rejected_event_and_is_not_in_the_journal(account: Account) -> None:
    for path in ("/favicon.png", "/status", "/api/client/status", "/api/v1/api/v1/openapi"):
        for method in ("GET", "HEAD"):
            with case(method, path):
                response = account.http.request(method, account.url + path)
                assert response.status_code == 404
                assert response.headers["x-emulator-reason"] == "methods"
                assert response.headers["access-control-allow-origin"] == "*"
    assert account.debug("summary")["outcomes"]["rejected"] == 0
    assert account.debug("requests")["items"] == []
    assert account.http.get(account.url + "/track").status_code == 405
    assert account.post("/status", {}).status_code == 404
    assert account.debug("summary")["outcomes"]["rejected"] == 2


@pytest.mark.rule("429-500")
def test_strange_values_are_stored_or_refused_but_never_break_the_server(account: Account) -> None:
    strange: list[Any] = ["\x00", "\ud800", "a\udfff\x00b", "\U0001f600", 2**64, -(2**70), 1e308, "x" * 100_000]
    for value in strange:
        sent = body_of("/track", userId=f"u{strange.index(value)}", eventProperties={"value": value, str(value)[:9]: 1})
        response = account.post("/track", json.dumps(sent).encode())
        assert response.json() == OK
        assert account.debug("events/latest", visitor_id=sent["userId"])["event_properties"]["value"] == value
    for field in ("event", "userId", "externalId", "email", "distinctId", "token"):
        for text in ("\x00", "\ud800", "\u2028", "'; DROP TABLE visitors; --", "../..", "%00", "<script>"):
            assert account.post("/track", json.dumps(body_of("/track", **{field: text})).encode()).json() == OK
    assert all(event["visitor_id"] for event in account.events(limit=1000))


@pytest.mark.rule("malformed")
def test_of_a_key_given_twice_the_last_one_counts(account: Account) -> None:
    account.post("/track", b'{"token":"t","event":"first","event":"second","userId":"u"}')
    assert account.events()[0]["event"] == "second"


@pytest.mark.rule("unknown-keys")
def test_unknown_keys_are_dropped_and_hinted_at_in_header_event_and_journal(account: Account) -> None:
    response = account.track(userId="u", properties={"a": 1}, userProperties={"firstName": "Ann", "plan": "pro"})
    assert response.json() == OK
    hinted = response.headers["x-emulator-hints"]
    assert hinted == (
        "unknown-keys /properties; unknown-keys /userProperties/firstName; unknown-keys /userProperties/plan"
    )
    (event,) = account.events()
    assert event["event_properties"] == {}
    assert [hint["message"] for hint in event["hints"]] == [
        "dropped; did you mean eventProperties?",
        "dropped; did you mean first_name?",
        "dropped; put your own properties into custom_properties",
    ]
    assert account.visitor()["properties"] == {}


def test_headers_carry_no_values_whatever_a_client_sends(account: Account) -> None:
    sent = {**body_of("/track"), "evil\r\nset-cookie: a=b": 1, "ключ\ud800": 2, "x" * 5000: 3}
    response = account.post("/track", json.dumps(sent).encode())
    assert "set-cookie" not in response.headers
    assert response.headers["x-emulator-hints"].isascii()
    assert len(response.headers["x-emulator-hints"]) < 2000


@pytest.mark.rule("any-json")
def test_strict_openapi_refuses_what_the_document_literally_refuses(account: Account) -> None:
    sent = body_of("/track", eventProperties={"amount": 99.99}, userProperties={"zip": 12345})
    assert "x-emulator-hints" not in account.post("/track", sent).headers
    with serving(strict_openapi=True) as strict:
        refused = strict.default.post("/track", sent)
        assert refused.status_code == 400
        assert refused.headers["x-emulator-reason"].startswith("schema /")
        assert strict.default.track(userId="u", eventProperties={"amount": "99.99", "none": None}).json() == OK


@pytest.mark.rule("identifier")
def test_an_anonymous_visitor_is_made_only_when_asked_for(account: Account) -> None:
    assert account.track().status_code == 400
    with serving(require_identifier=False) as server:
        assert server.default.track().json() == OK
        assert server.default.track().json() == OK
        assert len(server.default.visitors()) == 2
        assert server.default.events()[0]["resolution"] == {"decided_by": None, "created": True, "steps": []}


@pytest.mark.rule("allow-list")
def test_an_event_off_the_allow_list_is_answered_200_kept_as_dropped_and_changes_nobody() -> None:
    with serving(allowed_events="Purchase, Signed Up") as server:
        account = server.default
        for name in ("Purchase", " purchase ", "SIGNED UP", "$identify"):
            assert account.track(userId="u", event=name).headers["x-emulator-outcome"] == "accepted"
        assert account.identify(userId="u", userProperties={}).headers["x-emulator-outcome"] == "accepted"
        before = account.visitor()
        response = account.track(userId="u", event="Other", email="new@b.co", distinctId="d")
        assert (response.json(), response.headers["x-emulator-outcome"]) == (OK, "dropped")
        assert account.visitor() == before
        assert len(account.events()) == 5
        (dropped,) = account.events(outcome="dropped")
        assert (dropped["event"], dropped["visitor_id"], dropped["resolution"]) == ("Other", None, None)
        assert dropped["hints"][0]["rule"] == "allow-list"
        assert account.track(userId="u", event="Purchase", distinctId="d").headers["x-emulator-outcome"] == "accepted"


@pytest.mark.rule("test-mode")
def test_a_test_mode_key_stores_alike_and_marks_the_event(account: Account) -> None:
    account.track(userId="u", token="test_t", email="a@b.co")
    account.track(userId="u", token="t")
    assert [event["test"] for event in account.events()] == [False, True]
    assert account.visitor()["properties"] == {"email": "a@b.co"}


@pytest.mark.rule("dedup")
def test_a_distinct_id_is_stored_once_counted_and_changes_no_visitor(account: Account) -> None:
    account.track(userId="u", distinctId="d", userProperties={"first_name": "Ann"})
    again = account.track(userId="v", distinctId="d", userProperties={"first_name": "Bea"})
    assert (again.json(), again.headers["x-emulator-outcome"]) == (OK, "duplicate")
    assert again.headers["x-emulator-hints"] == "dedup /distinctId"
    (event,) = account.events()
    assert (event["repeats"], event["visitor_id"]) == (1, "u")
    (repeat,) = account.events(outcome="duplicate")
    assert repeat["visitor_id"] == "u"
    assert account.visitor()["properties"] == {"first_name": "Ann"}


@pytest.mark.rule("dedup")
def test_the_same_body_again_gives_no_hint(account: Account) -> None:
    answers = [account.track(userId="u", distinctId="d", eventProperties={"a": "1"}) for _ in range(3)]
    assert not any("x-emulator-hints" in answer.headers for answer in answers)
    assert account.events()[0]["repeats"] == 2


@pytest.mark.rule("dedup")
def test_live_and_test_and_other_accounts_have_distinct_ids_of_their_own(account: Account, server: Server) -> None:
    account.track(userId="u", distinctId="d")
    account.track(userId="u", distinctId="d", token="test_t")
    other = server.account()
    other.track(userId="u", distinctId="d")
    account.track(userId="u", distinctId="D")
    account.track(userId="u", distinctId="d ")
    assert len(account.events()) == 4
    assert len(other.events()) == 1


@pytest.mark.rule("dedup")
def test_a_refused_request_does_not_use_its_distinct_id_up(account: Account) -> None:
    account.track(distinctId="d")
    account.track(userId="u", distinctId="d", time=1)
    assert account.track(userId="u", distinctId="d").headers["x-emulator-outcome"] == "accepted"


@pytest.mark.rule("dedup")
@pytest.mark.parametrize("distinct_id", [{}, {"distinctId": None}])
def test_without_a_distinct_id_a_uuid_is_made(account: Account, distinct_id: dict[str, None]) -> None:
    account.track(userId="u", **distinct_id)
    account.track(userId="u", **distinct_id)
    first, second = (event["distinct_id"] for event in account.events())
    assert first != second
    assert len(first) == 36
    assert account.track(userId="u", distinctId=first).headers["x-emulator-outcome"] == "duplicate"


@pytest.mark.rule("dedup")
def test_the_same_distinct_id_sent_100_times_at_once_is_stored_once_and_answered_100_times(account: Account) -> None:
    with ThreadPoolExecutor(32) as pool:
        sent = [pool.submit(account.track, userId="u", distinctId="same") for _ in range(100)]
        answers = [future.result() for future in sent]
    assert [answer.json() for answer in answers] == [OK] * 100
    (event,) = account.events()
    assert event["repeats"] == 99
    assert account.debug("summary")["outcomes"] == {"accepted": 1, "duplicate": 99, "dropped": 0, "rejected": 0}
    assert account.visitor()["event_count"] == 1


def test_two_requests_for_the_same_new_external_id_at_once_make_one_visitor(account: Account) -> None:
    with ThreadPoolExecutor(16) as pool:
        for future in [pool.submit(account.track, externalId=f"x{number // 8}") for number in range(160)]:
            assert future.result().json() == OK
    assert len(account.visitors()) == 20
    assert {visitor["event_count"] for visitor in account.visitors()} == {8}


@pytest.mark.rule("identify-event", "identify-body")
def test_identify_stores_an_event_named_identify(account: Account) -> None:
    assert account.identify(userId="u", userProperties={"first_name": "Ann"}).json() == OK
    (event,) = account.events()
    assert (event["event"], event["endpoint"]) == ("$identify", "identify")
    assert len(event["distinct_id"]) == 36
    refused: list[dict[str, Any]] = [{}, {"userProperties": None}, {"userProperties": []}]
    for wrong in refused:
        assert account.identify(userId="u", **wrong).status_code == 400
    assert account.track(userId="u", userProperties=None).json() == OK


@pytest.mark.rule("identity-context", "identity-context-unused")
def test_identity_context_is_kept_with_the_event_and_needs_both_parts(account: Account) -> None:
    context = {"ip": "10.0.0.1", "userAgent": "Firefox"}
    account.track(userId="u", identityContext={**context, "more": 1})
    assert account.events()[0]["identity_context"] == context
    assert account.track(userId="u", identityContext=None).json() == OK
    for wrong in ({"ip": "10.0.0.1"}, {"userAgent": "x"}, {"ip": None, "userAgent": "x"}, {}, "x"):
        assert account.track(userId="u", identityContext=wrong).json() == NO
    assert account.visitor()["properties"] == {}


@pytest.mark.rule("default-properties", "received-at")
def test_default_properties_stay_with_the_event_and_get_received_at(account: Account) -> None:
    account.track(userId="u", defaultProperties={"utm_source": "ads", "screen_width": 1920})
    event = account.events()[0]
    assert event["default_properties"] == {
        "utm_source": "ads",
        "screen_width": 1920,
        "received_at": event["received_at"],
    }
    account.track(userId="u", defaultProperties={"received_at": "2020-01-01"})
    assert account.events()[0]["default_properties"] == {"received_at": "2020-01-01"}
    assert account.visitor()["properties"] == {}
    assert account.track(userId="u", defaultProperties={"screen_width": "1920"}).json() == NO


@pytest.mark.rule("event-properties")
def test_event_properties_are_kept_as_sent(account: Account) -> None:
    sent = {"null": None, "empty": "", "list": [1, {"a": None}], "deep": {"x": {"y": ""}}, "": 0}
    account.track(userId="u", eventProperties=sent)
    assert account.events()[0]["event_properties"] == sent


@pytest.mark.rule("snapshot")
def test_each_event_keeps_the_visitors_properties_as_they_were_right_after_it(account: Account) -> None:
    for name in ("Ann", "Bea", None):
        account.track(userId="u", userProperties={"first_name": name, "custom_properties": {"last": name or "none"}})
    assert [event["visitor_properties"] for event in reversed(account.events())] == [
        {"first_name": "Ann", "custom_properties": {"last": "Ann"}},
        {"first_name": "Bea", "custom_properties": {"last": "Bea"}},
        {"custom_properties": {"last": "none"}},
    ]


@pytest.mark.rule("time-window", "event-order")
def test_time_is_taken_within_seven_days_and_orders_the_events() -> None:
    now, week = 1_754_874_909_594, 7 * 24 * 3600 * 1000
    with serving(now=now) as server:
        account = server.default
        for time in (now, now - week, now - 1.5, None):
            assert account.track(userId="u", time=time).json() == OK
        for time in (now + 1, now - week - 1, 0, -1, now // 1000, 2**64, 1e308):
            assert account.track(userId="u", time=time).json() == NO
        assert [event["time"] for event in account.events()] == [now, now, now - 1.5, now - week]
        assert {event["received_at"] for event in account.events()} == {"2025-08-11T01:15:09.594Z"}
        refused = [event["reason"]["message"] for event in account.events(outcome="rejected")]
        assert sum("seconds" in message for message in refused) == 1


@pytest.mark.rule("identity-order", "claims-stored")
@pytest.mark.parametrize(
    ("sent", "found", "properties"),
    [
        ({"userId": "A"}, "A", {"external_id": "XA", "email": "a@x.co"}),
        ({"userId": "A", "externalId": "XB", "email": "b@x.co"}, "A", {"external_id": "XB", "email": "b@x.co"}),
        ({"userId": "new", "email": "a@x.co"}, "new", {"email": "a@x.co"}),
        ({"externalId": "XA"}, "A", {"external_id": "XA", "email": "a@x.co"}),
        ({"externalId": "XA", "email": "b@x.co"}, "A", {"external_id": "XA", "email": "b@x.co"}),
        ({"externalId": "X3", "email": "b@x.co"}, None, {"external_id": "X3", "email": "b@x.co"}),
        ({"email": "b@x.co"}, "B", {"external_id": "XB", "email": "b@x.co"}),
        ({"email": "c@x.co"}, None, {"email": "c@x.co"}),
        ({"userProperties": {"external_id": "XB"}}, "B", {"external_id": "XB", "email": "b@x.co"}),
        ({"userProperties": {"email": "a@x.co"}}, "A", {"external_id": "XA", "email": "a@x.co"}),
        ({"userProperties": {"external_id": "X4", "email": "a@x.co"}}, None, {"external_id": "X4", "email": "a@x.co"}),
        ({"userId": None, "externalId": None, "email": "a@x.co"}, "A", {"external_id": "XA", "email": "a@x.co"}),
        ({"userId": "A", "userProperties": {"email": "n@x.co"}}, "A", {"external_id": "XA", "email": "n@x.co"}),
        ({"email": "a@x.co", "userProperties": {"email": "n@x.co"}}, "A", {"external_id": "XA", "email": "n@x.co"}),
        ({"email": "a@x.co", "userProperties": {"email": None}}, "A", {"external_id": "XA"}),
        ({"email": "a@x.co", "userProperties": {"email": ""}}, "A", {"external_id": "XA", "email": "a@x.co"}),
    ],
)
def test_the_identity_table(
    server: Server, sent: dict[str, Any], found: str | None, properties: dict[str, str]
) -> None:
    for way in ("track", "identify", "batch"):
        account = server.account()
        with case(way):
            account.track(userId="A", externalId="XA", email="a@x.co")
            account.track(userId="B", externalId="XB", email="b@x.co")
            if way == "track":
                account.track(**sent)
            elif way == "identify":
                account.identify(**{"userProperties": {}, **sent})
            else:
                account.batch({"event": "E", "distinctId": "d", **sent})
            newest = account.debug("events", limit=1)["items"][0]
            if found is None:
                assert newest["visitor_id"] not in ("A", "B")
            else:
                assert newest["visitor_id"] == found
            assert account.debug(f"visitors/{newest['visitor_id']}")["properties"] == properties
            created = found is None or found == "new"
            assert newest["resolution"]["created"] == created
            assert len(account.visitors()) == 2 + created


@pytest.mark.rule("never-merged", "oldest-wins")
def test_two_visitors_with_one_external_id_stay_two_and_the_older_is_found(account: Account) -> None:
    account.track(userId="older", externalId="X")
    account.track(userId="younger", externalId="X")
    account.track(userId="first of all")
    account.track(userId="first of all", externalId="X")
    assert account.track(externalId="X").headers["x-emulator-hints"] == "oldest-wins /externalId"
    assert account.events()[0]["visitor_id"] == "older"
    assert len(account.visitors(external_id="X")) == 3


@pytest.mark.rule("property-set", "property-null", "property-absent", "property-empty")
@pytest.mark.parametrize("way", ["track", "identify", "batch"])
@pytest.mark.parametrize("name", ["first_name", "gclid", "epik", "phone_number", "zip", "is_bot", "external_id"])
def test_null_absent_empty_and_concrete_over_http(account: Account, way: str, name: str) -> None:
    def send(index: int, user_properties: dict[str, Any]) -> Any:
        if way == "track":
            account.track(userId="u", userProperties=user_properties)
        elif way == "identify":
            account.identify(userId="u", userProperties=user_properties)
        else:
            row = {"event": "E", "distinctId": f"{index}", "userId": "u", "userProperties": user_properties}
            account.batch(row)
        return account.visitor()["properties"]

    assert send(1, {name: "one"}) == {name: "one"}
    assert send(2, {}) == {name: "one"}
    assert send(3, {name: ""}) == {name: "one"}
    assert send(4, {name: "two", "city": "Bern"}) == {name: "two", "city": "Bern"}
    assert send(5, {name: None}) == {"city": "Bern"}


@pytest.mark.rule("custom-merge", "custom-null", "consent-replaced")
def test_custom_properties_and_consent_over_http(account: Account) -> None:
    def send(**user_properties: Any) -> Any:
        account.identify(userId="u", userProperties=user_properties)
        visitor = account.visitor()
        return visitor["custom_properties"], visitor["consent"]

    assert send(custom_properties={"a": 1, "b": {"c": 2}}, consent={"ads": "yes"}) == (
        {"a": 1, "b": {"c": 2}},
        {"ads": "yes"},
    )
    assert send(custom_properties={"a": None, "b": {"d": 3}, "e": ""}, consent={"mail": "no"}) == (
        {"a": 1, "b": {"d": 3}},
        {"mail": "no"},
    )
    assert send(custom_properties=None) == ({"a": 1, "b": {"d": 3}}, {"mail": "no"})
    assert send(consent=None) == ({"a": 1, "b": {"d": 3}}, None)
    assert account.identify(userId="u", userProperties={"consent": ""}).json() == NO


@pytest.mark.rule("property-set")
def test_values_that_python_takes_for_equal_are_told_apart(account: Account) -> None:
    for value in (1, True, 1.0, 0, False, "0"):
        account.identify(userId="u", userProperties={"zip": value, "custom_properties": {"v": value}})
        visitor = account.visitor()
        stored = visitor["properties"]["zip"], visitor["custom_properties"]["v"]
        assert stored == (value, value)
        assert {type(each) for each in stored} == {type(value)}


@pytest.mark.rule("accounts")
def test_a_path_may_be_prefixed_by_an_account(server: Server) -> None:
    one, two = server.account(), server.account()
    for prefix in ("", "/api/v1"):
        assert one.post(f"{prefix}/track", body_of("/track")).json() == OK
    assert len(one.events()) == 2
    assert two.events() == []
    assert one.http.get(f"{one.url}/openapi").status_code == 200
    for name in ("a/b", "", "%20", "x" * 101, "-x", "%0a"):
        assert server.http.post(f"{server.url}/accounts/{name}/track", json=body_of("/track")).status_code == 404


@pytest.mark.rule("batch-answers", "batch-repeats")
def test_a_batch_of_1000_rows_with_one_bad_row_stores_999(account: Account) -> None:
    rows: list[Any] = [{"event": "E", "distinctId": f"d{n}", "userId": f"u{n % 10}"} for n in range(1000)]
    rows[500] = {"event": "E", "distinctId": "bad"}
    response = account.batch(*rows)
    answer = response.json()
    assert response.status_code == 207
    assert (answer["success"], answer["accepted"], answer["failed"]) == (False, 999, 1)
    assert [result["index"] for result in answer["results"]] == list(range(1000))
    assert [result for result in answer["results"] if not result["success"]] == [
        {
            "index": 500,
            "success": False,
            "code": "invalid_event",
            "message": "needs one of userId, externalId and email",
        }
    ]
    assert response.headers["x-emulator-outcome"] == "accepted=999, rejected=1"
    assert response.headers["x-emulator-reason"] == "identifier /events/500"
    assert account.debug("summary")["outcomes"] == {"accepted": 999, "duplicate": 0, "dropped": 0, "rejected": 1}
    again = account.batch(*rows)
    assert again.json()["accepted"] == 999
    assert account.debug("summary")["outcomes"]["accepted"] == 999


@pytest.mark.rule("batch-whole", "batch-events", "batch-limit", "batch-row-size", "batch-token", "missing-token")
@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"token": None}, 400),
        ({"token": ""}, 400),
        ({"token": 5}, 400),
        ({"token": "x" * 251}, 400),
        ({"events": None}, 400),
        ({"events": []}, 400),
        ({"events": {}}, 400),
        ({"events": [{"event": "E", "distinctId": "d", "userId": "u"}] * 1001}, 413),
        ({"events": [{"event": "E", "distinctId": "d", "userId": "u", "x": "y" * 1024 * 1024}]}, 413),
        (
            {
                "events": [
                    {"event": "E", "distinctId": "d", "userId": "u"},
                    {"event": "E", "distinctId": "e", "userId": "u", "token": "x"},
                ]
            },
            400,
        ),
        ({"events": [{"event": "E", "distinctId": "d"}, 5]}, 400),
    ],
)
def test_a_batch_refused_as_a_whole_stores_nothing(account: Account, fields: dict[str, Any], status: int) -> None:
    response = account.post("/batch", body_of("/batch", **fields))
    assert response.status_code == status
    answer = response.json()
    assert answer["success"] is False
    assert answer.keys() == {"success", "error"} | ({"limit"} if status == 413 else set())
    assert isinstance(answer["error"], str)
    assert account.events() == []
    assert account.visitors() == []


@pytest.mark.rule("batch-order", "batch-rows")
def test_rows_apply_in_order(account: Account) -> None:
    response = account.batch(
        {"event": "1", "distinctId": "1", "externalId": "X", "userProperties": {"email": "a@b.co"}},
        {"event": "2", "distinctId": "2", "email": "a@b.co", "userProperties": {"email": "new@b.co"}},
        {"event": "3", "distinctId": "3", "email": "new@b.co"},
        {"event": "4", "distinctId": "1", "email": "other@b.co"},
        {"event": "5", "distinctId": None, "email": "a@b.co"},
        {"event": "6", "email": "a@b.co"},
    )
    assert [result["success"] for result in response.json()["results"]] == [True, True, True, True, False, False]
    (visitor,) = account.visitors()
    assert visitor["event_count"] == 3
    assert visitor["identifiers"]["email"] == "new@b.co"


@pytest.mark.rule("openapi")
@pytest.mark.parametrize("path", ["/openapi", "/api/v1/openapi", "/api/v1/openapi/"])
def test_the_vendors_document_is_served_to_anybody(account: Account, path: str) -> None:
    response = account.http.get(account.url + path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json()["info"]["title"] == "Ours"
    refused = account.http.post(account.url + path)
    assert refused.status_code == 405
    assert "GET" in refused.headers["allow"]


def test_what_was_answered_can_be_read_at_once(account: Account) -> None:
    for number in range(100):
        response: httpx.Response = account.track(userId="u", distinctId=str(number))
        assert account.events(distinct_id=str(number))[0]["request_id"] == int(
            response.headers["x-emulator-request-id"]
        )


def test_a_request_cut_off_half_way_is_nothing(server: Server, account: Account) -> None:
    port = int(server.url.rpartition(":")[2])
    path = account.url.removeprefix(server.url) + "/track"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    whole = json.dumps(body_of("/track")).encode()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(head.encode() + b"Content-Length: 500\r\n\r\n" + whole)
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(whole), whole))
    assert account.track(userId="u", event="after").json() == OK
    assert [event["event"] for event in account.events(outcome="any")] == ["after"]


@pytest.mark.rule("dedup")
def test_a_duplicate_that_spells_the_same_otherwise_says_nothing_else(account: Account) -> None:
    account.post("/track", b'{"token":"t","event":"E","userId":"u","distinctId":"d","eventProperties":{"x":1,"y":"2"}}')
    again = b'{"token":"t","event":"E","userId":"u","distinctId":"d","eventProperties":{"y":"2","x":1.0}}'
    assert "dedup" not in account.post("/track", again).headers.get("x-emulator-hints", "")
    other = again.replace(b"1.0", b"true")
    assert "dedup /distinctId" in account.post("/track", other).headers["x-emulator-hints"]


@pytest.mark.rule("methods")
def test_of_an_unknown_path_it_is_told_what_was_probably_meant(account: Account) -> None:
    account.post("/api/v1/trak", {})
    (refused,) = account.events(outcome="rejected", endpoint="unknown")
    assert refused["reason"]["message"] == "there is no such path; did you mean track?"
