"""`compare`: what counts as a difference, how an export is prepared, and servers of every kind."""

import base64
import gzip
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from comparing import CREDENTIALS, KEY, LIVE_TOKEN, answering, compared, hang, http, labels, now, saying
from looping import case
from ours_emulator.debug.journal_format import Line
from ours_emulator.fidelity.answers import MAX_DIFFERENCES, Difference, NoReply, Reply, differences
from ours_emulator.fidelity.found import Found
from ours_emulator.fidelity.plan import plan_of_export
from ours_emulator.fidelity.preparation import (
    Credentials,
    Outgoing,
    Preparation,
    Unsent,
    fresh,
    moved,
    secrets_in,
    standard_path,
)
from ours_emulator.fidelity.report import Report
from ours_emulator.fidelity.server import AddressError, base_of, retry_after, tls
from ours_emulator.http.redaction import Redactor
from serving import Account, Server
from waiting import PATIENCE

DAY = 24 * 60 * 60 * 1000
WINDOW = 7 * DAY
RECEIVED = 1_754_874_000_000
NOW = RECEIVED + 100 * DAY
RUN = "123456789"
TRACK = Outgoing(
    "line 1",
    "POST",
    "/api/v1/track",
    json.dumps({"token": CREDENTIALS.token, "event": "E", "userId": "u"}).encode(),
    {"content-type": "application/json"},
)


def json_reply(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"content-type": "application/json"})


def different(ours: Any, theirs: Any, *, wording: bool = False) -> list[str]:
    """Return where two bodies differ."""
    return [one.where for one in differences(json_reply(ours), json_reply(theirs), wording=wording)]


# What counts as a difference


def test_status_and_body_are_compared_value_by_value() -> None:
    ours = json_reply({"success": True, "results": [{"index": 0, "code": "a"}], "limit": 5})
    theirs = json_reply({"success": False, "results": [{"index": 0}], "limit": 5.0, "more": None}, 207)
    assert differences(ours, theirs, wording=False) == (
        Difference("status", "200", "207"),
        Difference("body.success", "true", "false"),
        Difference("body.results.0.code", '"a"', "(absent)"),
        Difference("body.more", "(absent)", "null"),
    )
    assert different({"x": 1}, {"x": True}) == ["body.x"]
    assert different([1, 2], [1]) == ["body"]
    assert different({"a": 1, "b": 2}, {"b": 2, "a": 1}) == []


def test_ids_and_times_are_compared_by_their_shape() -> None:
    uuids = ("1b671a64-40d5-491e-99b0-da01ff1f3341", "9F1C2D3E-0000-4000-8000-000000000000")
    times = ("2026-01-01T00:00:00Z", "2025-12-31T23:59:59.123+01:00")
    for one, other in (uuids, times, (1_754_874_000_000, 1_760_000_000_000.5)):
        with case(one, other):
            assert different({"x": one}, {"x": other}) == []
    for one, other in ((uuids[0], times[0]), (times[0], "today"), (5, 1_754_874_000_000), ("1", "2")):
        with case(one, other):
            assert different({"x": one}, {"x": other}) == ["body.x"]


def test_the_wording_of_errors_is_compared_on_the_client_api_only() -> None:
    ours, theirs = {"error": "missing", "results": [{"message": "x"}]}, {"error": "no", "results": [{"message": "y"}]}
    assert different(ours, theirs) == []
    assert different(ours, theirs, wording=True) == ["body.error", "body.results.0.message"]
    assert different({"error": "x"}, {"error": None}) == ["body.error"]


def test_a_body_that_is_not_json_is_one_difference_that_shows_its_type() -> None:
    page = Reply(404, b"<html>", {"content-type": "text/html; charset=utf-8"})
    assert differences(json_reply({"success": False}, 404), page, wording=False) == (
        Difference("body", '{"success": false}', "text/html: <html>"),
    )
    assert differences(Reply(204), Reply(204, b"{}"), wording=False)[0].emulator == "(empty)"
    deep = Reply(200, b"[" * 100_000, {})
    assert len(differences(json_reply({}), deep, wording=False)) == 1


def test_a_batch_with_many_differences_shows_the_first_ones() -> None:
    ours, theirs = ({"results": [{"success": value}] * 1000} for value in (True, False))
    assert len(different(ours, theirs)) == MAX_DIFFERENCES


# How a line of an export is prepared


def prepared(secrets: tuple[str, ...] = (), credentials: Credentials = CREDENTIALS, /, **line: Any) -> Outgoing:
    request = Preparation(credentials, secrets, RUN, WINDOW).prepared(
        Line.model_validate({"path": "/track", "received_at": RECEIVED, **line}), "line 1", NOW
    )
    assert isinstance(request, Outgoing), request
    return request


def sent(body: Any, secrets: tuple[str, ...] = (), **line: Any) -> Any:
    """Return *body* as it is sent."""
    return json.loads(prepared(secrets, body=body, **line).body)


def test_tokens_and_keys_are_replaced_wherever_they_stand() -> None:
    secret = "live_secret_1"
    body = {"token": secret, "event": secret, "eventProperties": {secret: f"x{secret}", "key": "sk_secret_2"}}
    request = prepared((secret,), body=body, headers={"authorization": f"Bearer {secret}"})
    assert b"secret" not in request.body + repr(request.headers).encode()
    assert json.loads(request.body)["token"] == CREDENTIALS.token
    client = prepared(path="/api/client/alias", body={}, headers={"Authorization": "Bearer sk_secret_2"})
    assert client.headers["authorization"] == f"Bearer {KEY}"
    for broken in (
        '{"x":"live_secret_1"',
        '{"token":"live_secret_1","event":',
        "token=live_secret_1",
        '"token live_secret_1"\x00',
    ):
        with case(broken):
            assert b"secret" not in prepared((secret,), body=broken).body
    packed = prepared((secret,), body_base64="H4sIAAAAAAAA", headers={"content-encoding": "gzip"})
    assert packed.body.startswith(b"\x1f\x8b")


def test_a_token_that_no_source_can_have_is_not_searched_for_elsewhere() -> None:
    bodies: list[Any] = [{"token": "x" * 300}, {"token": "live_secret_1"}, {"token": 5}, [], "text"]
    lines = [Line.model_validate({"path": "/track", "received_at": RECEIVED, "body": body}) for body in bodies]
    lines[0].headers["authorization"] = "Bearer pk_secret_2"
    assert set(secrets_in(lines)) - {""} == {"live_secret_1", "pk_secret_2"}


def test_the_live_token_of_the_same_source_becomes_its_test_mode_key() -> None:
    body = sent({"token": LIVE_TOKEN, "event": LIVE_TOKEN}, (LIVE_TOKEN,))
    assert body["token"] == f"test_{LIVE_TOKEN}"
    assert LIVE_TOKEN not in body["event"]


def test_a_token_that_is_refused_for_its_form_stays_so() -> None:
    for token in (None, "", " ", 5, {"token": "x"}):
        with case(token):
            assert type(sent({"token": token})["token"]) is type(token)
    assert sent({"token": None})["token"] is None
    assert sent({"token": "y" * 300})["token"] == "x" * 300
    assert sent({"token": " t "})["token"] == f" {CREDENTIALS.token} "
    assert "token" not in sent({"event": "E"})


def test_rows_keep_the_token_of_their_batch_or_another_one() -> None:
    rows = [{"token": "tttttt"}, {"token": "uuuuuu"}, {"token": None}, {}, 5]
    body = sent({"token": "tttttt", "events": rows}, ("tttttt",), path="/batch")
    first, other, *rest = body["events"]
    assert (first, rest) == ({"token": CREDENTIALS.token}, [{"token": None}, {}, 5])
    assert other["token"] not in ("uuuuuu", "tttttt", CREDENTIALS.token)


def test_a_time_stays_as_far_from_now_as_it_was() -> None:
    hour, minute = DAY // 24, 60_000
    ages = {DAY: DAY, 0: minute, WINDOW: WINDOW - hour, -1: -hour, -DAY: -DAY, WINDOW + 1: WINDOW + hour}
    for before, after in ages.items():
        with case(before):
            assert moved(RECEIVED - before, RECEIVED, NOW, WINDOW) == NOW - after
    assert moved(RECEIVED - DAY + 0.5, RECEIVED, NOW, WINDOW) == NOW - DAY + 0.5
    others: list[Any] = [None, "now", True, [], float("inf"), 10**400]
    for value in others:
        with case(value):
            assert moved(value, RECEIVED, NOW, WINDOW) is value
    rows = sent({"token": "t", "events": [{"time": RECEIVED - DAY}]}, path="/batch")["events"]
    assert rows == [{"time": NOW - DAY}]


def test_distinct_ids_are_fresh_and_equal_where_they_were_equal() -> None:
    assert fresh("a", RUN) == f"{RUN}a"
    assert fresh(" a\n", RUN) == f" {RUN}a\n"
    # In 2026-10 a number is the same as its text.
    assert (fresh(5, RUN), fresh("5", RUN), fresh(-1.5, RUN)) == (int(f"{RUN}5"), f"{RUN}5", -float(f"{RUN}1.5"))
    long = "x" * 400
    assert len(str(fresh(long, RUN))) <= 400
    assert fresh(long, RUN) == fresh(long, RUN) != fresh("y" * 400, RUN)
    assert len(str(fresh("x" * 401, RUN))) > 400
    others: list[Any] = ["", " ", None, True, [], 1e300]
    for value in others:
        with case(value):
            assert fresh(value, RUN) == value


def test_a_packed_body_is_packed_again_and_a_mark_before_it_kept() -> None:
    body = gzip.compress(b'\xef\xbb\xbf{"token":"t","event":"E"}')
    packed = Line(
        path="/track", received_at=RECEIVED, body_base64=as_base64(body), headers={"content-encoding": "gzip"}
    )
    request = Preparation(CREDENTIALS, (), RUN, WINDOW).prepared(packed, "line 1", NOW)
    assert isinstance(request, Outgoing)
    text = gzip.decompress(request.body).decode()
    assert text == f'\ufeff{{"token":"{CREDENTIALS.token}","event":"E"}}'


def as_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_paths_are_those_that_every_server_has() -> None:
    for path, standard in {
        "/track": "/api/v1/track",
        "/batch/": "/api/v1/batch/",
        "/api/v1/track": "/api/v1/track",
        "/api/v1/api/v1/track": "/api/v1/api/v1/track",
        "/events": "/api/client/events",
        "/api/client/alias": "/api/client/alias",
        "/": None,
        "*": None,
        "/nothing": None,
    }.items():
        with case(path):
            assert standard_path(path) == standard


def test_what_can_not_be_sent_is_left_out_with_the_reason() -> None:
    preparation = Preparation(Credentials("test_token_1"), (), RUN, WINDOW)
    for line, why in (
        ({"path": "/favicon.ico"}, "its path"),
        ({"path": "/track", "oversized": True}, "too large"),
        ({"path": "/events"}, "--public-key"),
        ({"path": "/track", "method": "A B"}, "method"),
        ({"path": "/track", "headers": {"content-type": "a\nb"}}, "header"),
    ):
        with case(line):
            unsent = preparation.prepared(Line.model_validate({"received_at": RECEIVED, **line}), "line 1", NOW)
            assert isinstance(unsent, Unsent)
            assert why in unsent.why


# An export against emulators


def exported_by(account: Account) -> BytesIO:
    """Return the export of an account that was sent what is right and what is wrong."""
    key = {"authorization": "Bearer pk_1"}
    account.track(userId="u", email="a@b.co", time=now() - DAY, eventProperties={"text": "NUL \x00", "null": None})
    account.track(userId="u", distinctId="d", token="live_secret_1")
    account.track(userId="u", distinctId="d", token="live_secret_1")
    account.track(event="Late", userId="u", time=0)
    account.track(event="Nobody")
    account.track(userId="u", token=None)
    account.post("/track", b'{"token":"t","event":"\\ud800","userId":"u"}')
    account.post("/track", b"\xff\x00 no text")
    account.post("/track", b'{"token":"live_secret_1","event":')
    account.post("/track", gzip.compress(b'{"token":"t","event":"Z","userId":"z"}'), {"content-encoding": "gzip"})
    account.post("/track", b"x", {"content-type": "text/plain"})
    account.identify(externalId=5, userProperties={"first_name": "Zoë"})
    account.batch({"event": "E", "userId": "u", "distinctId": "1"}, {"event": "", "distinctId": "2"})
    account.post("/api/client/events", [{"name": "Seen", "anonymous_id": "anon"}], key)
    account.post("/api/client/alias", {"external_id": "known", "anonymous_id": "anon"})
    account.http.put(account.url + "/track", json={})
    account.http.head(account.url + "/api/v1/openapi")
    account.post("/api/v1/nothing", {})
    return BytesIO(account.http.get(f"{account.url}/debug/export").content)


def configured(server: Server, **accepts: Any) -> str:
    """Return the URL of a fresh account that accepts only the token and the key of the tests."""
    account = server.account()
    account.configure(tokens=[LIVE_TOKEN], public_keys=[KEY], **accepts)
    return account.url


def found_in(server: Server, file: BytesIO, **theirs: Any) -> Found:
    """Return what a comparison of two emulators with the requests in *file* finds."""
    plan = plan_of_export(file, CREDENTIALS, "2026-05", now)
    return compared(configured(server), configured(server, **theirs), (make() for make in plan.made()))


def test_an_export_against_an_emulator_of_the_same_revision_differs_nowhere(server: Server) -> None:
    file = exported_by(server.account())
    recorded = [json.loads(line)["status"] for line in file.getvalue().splitlines()]
    found = found_in(server, file)
    assert (labels(found), found.stopped, found.unsent) == (set(), None, [])
    # What was refused is refused again, and what was accepted accepted, with this run's token, time and distinctIds.
    assert [one.emulator.status for one in found.compared] == recorded


def test_an_export_against_the_next_revision_names_the_rule(server: Server) -> None:
    found = found_in(server, exported_by(server.account()), revision="2026-10")
    different = [(one.rules, one.differences[0]) for one in found.compared if one.differences]
    assert different == [(("schema",), Difference("status", "400", "200"))]


def test_what_only_the_server_refuses_is_about_its_rule_if_it_says_one(server: Server) -> None:
    file = BytesIO(json.dumps(a_line({"eventProperties": {str(at): at for at in range(201)}})).encode())
    found = found_in(server, file, revision="2026-10")
    assert found.compared[0].rules == ("open-object-limits",)


def a_line(body: Any) -> dict[str, Any]:
    return {"path": "/track", "received_at": RECEIVED, "body": {"token": "t", "event": "E", "userId": "u", **body}}


def test_a_plan_counts_what_is_sent_to_each_api(server: Server) -> None:
    file = exported_by(server.account())
    plan = plan_of_export(file, CREDENTIALS, "2026-05", now)
    assert (plan.ingest, plan.client, plan.left_out) == (15, 2, 0)
    without_key = plan_of_export(file, Credentials("test_token_1"), "2026-05", now)
    assert (without_key.count, without_key.left_out) == (15, 2)


def test_the_settings_in_an_export_are_not_sent() -> None:
    settings = {"account": "shop", "settings": {"revision": "2026-10", "tokens": ["live_1"]}}
    file = BytesIO("\n".join(map(json.dumps, (settings, a_line({})))).encode())
    plan = plan_of_export(file, CREDENTIALS, "2026-05", now)
    assert (plan.count, plan.left_out, len(list(plan.made()))) == (1, 0, 1)


# Servers of every kind


def drip(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"x: y\r\n")
        time.sleep(0.005)


def flood(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b" " * 65536)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def alone(server: Server, url: str, count: int = 1, **limits: float) -> Found:
    """Return what comparing the same event so many times with the server at *url* finds."""
    started = time.monotonic()
    found = compared(configured(server), url, [TRACK] * count, **limits)
    assert time.monotonic() - started < PATIENCE
    return found


def texts(found: Found, form: str = "table") -> str:
    report = Report(found, "server", "2026-05", is_suite=False, planned=9, redactor=Redactor([CREDENTIALS.token]))
    return report.text("json" if form == "json" else "markdown" if form == "markdown" else "table")


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (saying(b"garbage\r\n\r\n"), "not answered"),
        (saying(b""), "not answered: Server disconnected"),
        (saying(http("200 OK", b"{}")[:-1]), "not answered"),
        (flood, "not answered: its answer (200) is larger than 1048576 bytes"),
        (reset, "not answered: the connection was lost before the answer was complete"),
        (saying(http("302 Found", b"", "location: /elsewhere")), "status: emulator 200, server 302"),
        (saying(http("200 OK", b"<html>", "content-type: text/html")), "server text/html: <html>"),
        (saying(http("200 OK", b"\x1b[2J\xff", "content-type: text/plain")), r"text/plain: \x1b[2J"),
        (saying(http("200 OK", b"\x1f\x8b", "content-encoding: gzip")), "body: emulator"),
        (saying(http("200 OK", CREDENTIALS.token.encode())), "no content type: …3456"),
        (saying(http("500 X", b'{"success":false}', "content-type: application/json")), "server 500"),
    ],
)
def test_whatever_a_server_does_is_a_finding(
    server: Server, answer: Callable[[socket.socket], None], shown: str
) -> None:
    with answering(answer) as url:
        found = alone(server, url)
    for form in ("table", "markdown", "json"):
        text = texts(found, form)
        assert CREDENTIALS.token not in text
        assert "\x1b" not in text
    assert shown in texts(found)
    assert not found.is_same


@pytest.mark.parametrize("answer", [hang, drip])
def test_an_answer_that_never_ends_is_a_finding_in_time(
    server: Server, answer: Callable[[socket.socket], None]
) -> None:
    with answering(answer) as url:
        found = alone(server, url, seconds=0.1)
    assert "not answered: no complete answer within 0.1 s" in texts(found)


def test_a_server_that_speaks_no_tls_is_a_finding(server: Server) -> None:
    with answering(saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        found = alone(server, url.replace("http:", "https:"))
    assert "not answered: " in texts(found)
    assert "SSL" in texts(found)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_certificate_counts_if_the_environment_trusts_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, *subject]
    subprocess.run(made, check=True, capture_output=True, timeout=PATIENCE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with answering(saying(http("200 OK", b'{"success":true}')), context) as url:
        (refused,) = alone(server, url).compared
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
        tls.cache_clear()
        trusted = alone(server, url)
    tls.cache_clear()
    assert isinstance(refused.server, NoReply)
    assert "CERTIFICATE_VERIFY_FAILED" in refused.server.problem
    assert trusted.is_same


def test_nobody_is_asked_for_ever(server: Server) -> None:
    with answering(saying(b"")) as url:
        found = alone(server, url, 9)
    assert (len(found.compared), found.stopped) == (3, "3 requests in a row were not answered")
    assert "3 requests in a row were not answered; 6 requests not sent" in texts(found)


def test_a_token_that_the_server_refuses_ends_it(server: Server) -> None:
    with answering(saying(http("401 X", b'{"success":false}'))) as url:
        found = alone(server, url, 9)
    assert len(found.compared) == 1
    assert "check --token" in str(found.stopped)


def test_a_busy_server_is_asked_again_when_it_says(server: Server) -> None:
    answers = [
        http("429 X", b"", "retry-after: 0"),
        http("503 X", b"", "retry-after: 0"),
        http("200 OK", b'{"success":true}'),
    ]
    with answering(lambda connection: connection.sendall(answers.pop(0))) as url:
        found = alone(server, url)
    assert (found.is_same, answers) == (True, [])


def test_a_server_that_stays_busy_or_asks_for_hours_ends_it(server: Server) -> None:
    for seconds, why in (("0", "answered 429 3 times"), ("86400", "asks to wait 86400 s")):
        with case(seconds), answering(saying(http("429 X", b"", f"retry-after: {seconds}"))) as url:
            found = alone(server, url, 9)
            assert len(found.compared) == 1
            assert why in str(found.stopped)


def test_a_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after(Reply(429, b"", {"retry-after": "2"})) == 2
    assert retry_after(Reply(429, b"", {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})) == 0
    for text in ("", "soon", "-1", "²", "Wed, 99 Oct 2015 07:28:00 GMT"):
        with case(text):
            assert retry_after(Reply(429, b"", {"retry-after": text})) is None


def test_no_more_is_sent_than_the_rate_allows(server: Server) -> None:
    url = configured(server)
    started = time.monotonic()
    compared(configured(server), url, [TRACK] * 4, rate=20)
    assert time.monotonic() - started >= 3 / 20


def test_a_base_url_may_name_either_api_or_the_server() -> None:
    for url in ("https://x.test", "https://x.test/", "https://x.test/api/v1/", "https://x.test/api/client"):
        with case(url):
            assert base_of(url) == "https://x.test"
    assert base_of("http://127.0.0.1:4010/accounts/a/api/v1") == "http://127.0.0.1:4010/accounts/a"
    for url in (
        "",
        "x.test",
        "ftp://x.test",
        "https://",
        "https://x.test:99999",
        "https://u:p@x.test",
        "https://x/?a",
        "http://[x",
    ):
        with case(url), pytest.raises(AddressError):
            base_of(url)


def test_a_proxy_of_the_environment_is_used_except_for_this_machine(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    def proxy(connection: socket.socket) -> None:
        asked.append(b"asked")
        connection.sendall(http("200 OK", b'{"success":true}'))

    with answering(proxy) as url:
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        found = [alone(server, at, seconds=5) for at in (configured(server), "http://api.example.test")]
    assert ([one.is_same for one in found], len(asked)) == ([True, True], 1)
    monkeypatch.setenv("HTTP_PROXY", "socks9://x")
    with pytest.raises(AddressError, match="proxy"):
        alone(server, "http://api.example.test")


def test_a_report_counts_what_is_the_same_and_what_is_not(server: Server) -> None:
    found = compared(configured(server), configured(server), [TRACK])
    found.compared += alone(server, "http://127.0.0.1:1").compared
    assert isinstance(found.compared[1].server, NoReply)
    read = json.loads(texts(found, "json"))
    (row,) = read["rules"]
    assert row == {"rule": "(none)", "basis": "", "sent": 2, "same": 1, "different": 0, "not_answered": 1}
    assert [request["same"] for request in read["requests"]] == [True, False]


def test_rules_that_a_server_makes_up_are_not_shown(server: Server) -> None:
    header = f"x-emulator-reason: {CREDENTIALS.token}; time-window /time; <b>"
    with answering(saying(http("400 X", b'{"success":false}', header))) as url:
        found = alone(server, url)
    assert found.compared[0].rules == ("time-window",)
    assert CREDENTIALS.token not in texts(found)


def test_a_long_report_shows_some_requests_of_each_rule_and_counts_the_others(server: Server) -> None:
    with answering(saying(http("400 X"))) as url:
        found = alone(server, url)
    found.compared *= 12
    found.unsent += [Unsent(f"line {at}", "its path is not one of the two APIs") for at in range(12)]
    for form in ("table", "markdown"):
        text = texts(found, form)
        assert text.count("status: ") == 10
        assert "and 2 more" in text
        assert "line 9 and 2 more: its path" in text


def test_a_report_in_markdown_escapes_what_a_server_says(server: Server) -> None:
    with answering(saying(http("200 OK", b"<b>|*x*", "content-type: text/plain"))) as url:
        text = texts(alone(server, url), "markdown")
    assert r"\<b\>\|\*x\*" in text
    assert "<b>" not in text


def test_the_transport_reads_no_body_after_head(server: Server) -> None:
    head = Outgoing("line 1", "HEAD", "/api/v1/openapi")
    found = compared(configured(server), configured(server), [head])
    assert found.is_same
    assert httpx.head(configured(server) + head.path, trust_env=False).status_code == found.compared[0].emulator.status
