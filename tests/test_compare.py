"""`compare`: what counts as a difference, how an export is prepared, and servers of every kind."""

import base64
import gzip
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from comparing import CREDENTIALS, KEY, LIVE_TOKEN, answering, compared, hang, http, labels, now, saying
from looping import case
from ours_emulator.debug.journal_format import Line, hiding, redacted
from ours_emulator.fidelity.answers import MAX_DIFFERENCES, Difference, NoAnswer, ServerAnswer, differences
from ours_emulator.fidelity.comparison_report import ComparisonReport
from ours_emulator.fidelity.formats import Format, text_of
from ours_emulator.fidelity.plan import plan_of_export
from ours_emulator.fidelity.preparation import (
    Credentials,
    NotCompared,
    OutgoingRequest,
    RequestPreparer,
    renewed_distinct_id,
    secrets_in,
    shifted_time,
    standard_path,
)
from ours_emulator.fidelity.results import Results
from ours_emulator.fidelity.server import AddressError, base_of, retry_after, tls
from ours_emulator.http.redaction import Redactor
from serving import Account, Server
from waiting import PATIENCE

DAY = 24 * 60 * 60 * 1000
WINDOW = 7 * DAY
RECEIVED = 1_754_874_000_000
NOW = RECEIVED + 100 * DAY
RUN = "123456789"
FORMATS: Sequence[Format] = ("table", "markdown", "json")
TRACK = OutgoingRequest(
    "line 1",
    "POST",
    "/api/v1/track",
    json.dumps({"token": CREDENTIALS.token, "event": "E", "userId": "u"}).encode(),
    {"content-type": "application/json"},
)


def json_answer(value: Any, status: int = 200) -> ServerAnswer:
    return ServerAnswer(status, json.dumps(value).encode(), {"content-type": "application/json"})


def different(emulator: Any, server: Any, *, wording: bool = False) -> list[str]:
    """Return where two bodies differ."""
    return [one.where for one in differences(json_answer(emulator), json_answer(server), wording=wording)]


# What counts as a difference


def test_status_and_body_are_compared_value_by_value() -> None:
    emulator = json_answer({"success": True, "results": [{"index": 0, "code": "a"}], "limit": 5})
    server = json_answer({"success": False, "results": [{"index": 0}], "limit": 5.0, "more": None}, 207)
    assert differences(emulator, server, wording=False) == (
        Difference("status", "200", "207"),
        Difference("body.success", "true", "false"),
        Difference("body.results.0.code", '"a"', "(absent)"),
        Difference("body.more", "(absent)", "null"),
    )
    assert different({"x": 1}, {"x": True}) == ["body.x"]
    assert differences(json_answer(5), ServerAnswer(200, b"1e999"), wording=False)[0].emulator == "5"
    assert different([1, 2], [1]) == ["body"]
    assert different({"a": 1, "b": 2}, {"b": 2, "a": 1}) == []


def test_ids_and_times_are_compared_by_their_type() -> None:
    uuids = ("1b671a64-40d5-491e-99b0-da01ff1f3341", "9F1C2D3E-0000-4000-8000-000000000000")
    times = ("2026-01-01T00:00:00Z", "2025-12-31T23:59:59.123+01:00")
    for one, other in (uuids, times, (1_754_874_000_000, 1_760_000_000_000.5)):
        with case(one, other):
            assert different({"x": one}, {"x": other}) == []
    for one, other in ((uuids[0], times[0]), (times[0], "today"), (5, 1_754_874_000_000), ("1", "2")):
        with case(one, other):
            assert different({"x": one}, {"x": other}) == ["body.x"]


def test_the_wording_of_errors_is_compared_on_the_client_api_only() -> None:
    emulator, server = (
        {"error": "missing", "results": [{"message": "x"}]},
        {"error": "no", "results": [{"message": "y"}]},
    )
    assert different(emulator, server) == []
    assert different(emulator, server, wording=True) == ["body.error", "body.results.0.message"]
    assert different({"error": "x"}, {"error": None}) == ["body.error"]


def test_a_body_that_is_not_json_is_one_difference_that_shows_its_type() -> None:
    page = ServerAnswer(404, b"<html>", {"content-type": "text/html; charset=utf-8"})
    assert differences(json_answer({"success": False}, 404), page, wording=False) == (
        Difference("body", '{"success": false}', "text/html: <html>"),
    )
    assert differences(ServerAnswer(204), ServerAnswer(204, b"{}"), wording=False)[0].emulator == "(empty)"
    deep = ServerAnswer(200, b"[" * 100_000, {})
    assert len(differences(json_answer({}), deep, wording=False)) == 1


def test_a_batch_with_many_differences_shows_the_first_ones() -> None:
    emulator, server = ({"results": [{"success": value}] * 1000} for value in (True, False))
    assert len(different(emulator, server)) == MAX_DIFFERENCES


# How a line of an export is prepared


def prepared(secrets: tuple[str, ...] = (), credentials: Credentials = CREDENTIALS, /, **line: Any) -> OutgoingRequest:
    request = RequestPreparer(credentials, secrets, RUN, WINDOW).prepare(
        Line.model_validate({"path": "/track", "received_at": RECEIVED, **line}), "line 1", NOW
    )
    assert isinstance(request, OutgoingRequest), request
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


def test_a_body_is_redacted_in_one_place_whatever_it_is() -> None:
    hide = hiding(Redactor(["live_secret_1"]))
    for body in (b"text sk_secret_2 live_secret_1", b'["sk_secret_2", "live\\u005fsecret_1"]', b'{"token":"secret"}'):
        with case(body):
            assert b"secret" not in redacted(body, "", hide)[0]


def test_a_token_that_no_source_can_have_is_not_searched_for_elsewhere() -> None:
    bodies: list[Any] = [{"token": "x" * 300}, {"token": "live_secret_1"}, {"token": 5}, [], "text"]
    lines = [Line.model_validate({"path": "/track", "received_at": RECEIVED, "body": body}) for body in bodies]
    lines[0].headers["authorization"] = "Bearer pk_secret_2"
    assert {secret for line in lines for secret in secrets_in(line)} - {""} == {"live_secret_1", "pk_secret_2"}


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
            assert shifted_time(RECEIVED - before, RECEIVED, NOW, WINDOW) == NOW - after
    assert shifted_time(RECEIVED - DAY + 0.5, RECEIVED, NOW, WINDOW) == NOW - DAY + 0.5
    others: list[Any] = [None, "now", True, [], float("inf"), 10**400]
    for value in others:
        with case(value):
            assert shifted_time(value, RECEIVED, NOW, WINDOW) is value
    rows = sent({"token": "t", "events": [{"time": RECEIVED - DAY}]}, path="/batch")["events"]
    assert rows == [{"time": NOW - DAY}]


def test_distinct_ids_are_fresh_and_equal_where_they_were_equal() -> None:
    assert renewed_distinct_id("a", RUN) == f"{RUN}a"
    assert renewed_distinct_id(" a\n", RUN) == f" {RUN}a\n"
    # In 2026-10 a number is the same as its text.
    assert (renewed_distinct_id(5, RUN), renewed_distinct_id("5", RUN), renewed_distinct_id(-1.5, RUN)) == (
        int(f"{RUN}5"),
        f"{RUN}5",
        -float(f"{RUN}1.5"),
    )
    long = "x" * 400
    assert len(str(renewed_distinct_id(long, RUN))) <= 400
    assert renewed_distinct_id(long, RUN) == renewed_distinct_id(long, RUN) != renewed_distinct_id("y" * 400, RUN)
    assert len(str(renewed_distinct_id("x" * 401, RUN))) > 400
    others: list[Any] = ["", " ", None, True, [], 1e300]
    for value in others:
        with case(value):
            assert renewed_distinct_id(value, RUN) == value


def test_a_packed_body_is_packed_again_and_a_mark_before_it_kept() -> None:
    body = gzip.compress(b'\xef\xbb\xbf{"token":"t","event":"E"}')
    packed = Line(
        path="/track", received_at=RECEIVED, body_base64=as_base64(body), headers={"content-encoding": "gzip"}
    )
    request = RequestPreparer(CREDENTIALS, (), RUN, WINDOW).prepare(packed, "line 1", NOW)
    assert isinstance(request, OutgoingRequest)
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
        "/experiments/personalization": "/api/v1/experiments/personalization",
        "/experiments/assignments/key": "/api/v1/experiments/assignments/key",
        "/": None,
        "*": None,
        "/nothing": None,
    }.items():
        with case(path):
            assert standard_path(path) == standard


def test_what_can_not_be_sent_is_left_out_with_the_reason() -> None:
    preparer = RequestPreparer(Credentials("test_token_1"), (), RUN, WINDOW)
    for line, why in (
        ({"path": "/favicon.ico"}, "its path"),
        ({"path": "/track", "oversized": True}, "too large"),
        ({"path": "/events"}, "--public-key"),
        ({"path": "/track", "method": "A B"}, "method"),
        ({"path": "/track", "headers": {"content-type": "a\nb"}}, "header"),
    ):
        with case(line):
            unsent = preparer.prepare(Line.model_validate({"received_at": RECEIVED, **line}), "line 1", NOW)
            assert isinstance(unsent, NotCompared)
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


def results_of(server: Server, file: BytesIO, **accepts: Any) -> Results:
    """Return what a comparison of two emulators with the requests in *file* finds."""
    plan = plan_of_export(file, CREDENTIALS, "2026-05", now)
    return compared(configured(server), configured(server, **accepts), plan.requests(), planned=plan.count)


def test_an_export_against_an_emulator_of_the_same_revision_differs_nowhere(server: Server) -> None:
    file = exported_by(server.account())
    recorded = [json.loads(line)["status"] for line in file.getvalue().splitlines()]
    results = results_of(server, file)
    assert (labels(results), results.stopped, results.not_compared) == (set(), None, [])
    # What was refused is refused again, and what was accepted accepted, with this run's token, time and distinctIds.
    assert [one.emulator.status for one in results.compared] == recorded


def test_an_export_against_the_next_revision_names_the_rule(server: Server) -> None:
    results = results_of(server, exported_by(server.account()), revision="2026-10")
    different = [(one.rules, one.differences[0]) for one in results.compared if one.differences]
    assert different == [(("schema",), Difference("status", "400", "200"))]


def test_what_only_the_server_refuses_is_about_its_rule_if_it_says_one(server: Server) -> None:
    file = BytesIO(json.dumps(a_line({"eventProperties": {str(at): at for at in range(201)}})).encode())
    results = results_of(server, file, revision="2026-10")
    assert results.compared[0].rules == ("open-object-limits",)


def a_line(body: Any) -> dict[str, Any]:
    return {"path": "/track", "received_at": RECEIVED, "body": {"token": "t", "event": "E", "userId": "u", **body}}


def test_a_plan_counts_what_is_sent_to_each_api(server: Server) -> None:
    file = exported_by(server.account())
    plan = plan_of_export(file, CREDENTIALS, "2026-05", now)
    assert (plan.ingest, plan.client, len(plan.not_sent)) == (15, 2, 0)
    without_key = plan_of_export(file, Credentials("test_token_1"), "2026-05", now)
    assert (without_key.count, len(without_key.not_sent)) == (15, 2)


def test_the_settings_in_an_export_are_not_sent() -> None:
    settings = {"account": "shop", "settings": {"revision": "2026-10", "tokens": ["live_1"]}}
    file = BytesIO("\n".join(map(json.dumps, (settings, a_line({})))).encode())
    plan = plan_of_export(file, CREDENTIALS, "2026-05", now)
    assert (plan.count, len(plan.not_sent), len(list(plan.requests()))) == (1, 0, 1)


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


def alone(server: Server, url: str, count: int = 1, **limits: Any) -> Results:
    """Return what comparing the same event so many times with the server at *url* finds."""
    started = time.monotonic()
    results = compared(configured(server), url, [TRACK] * count, **limits)
    assert time.monotonic() - started < PATIENCE
    return results


def texts(results: Results, format_: Format = "table") -> str:
    report = ComparisonReport(results, "server", "2026-05", is_suite=False, redactor=Redactor([CREDENTIALS.token]))
    return text_of(report, format_)


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (saying(b"garbage\r\n\r\n"), "not answered"),
        (saying(b""), "not answered: Server disconnected"),
        (saying(http("200 OK", b"{}")[:-1]), "not answered"),
        (flood, "not answered: its answer (200) is larger than 1048576 bytes"),
        (reset, "not answered: the connection was lost before the answer was complete"),
        (saying(http("302 Results", b"", "location: /elsewhere")), "status: emulator 200, server 302"),
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
        results = alone(server, url)
    for format_ in FORMATS:
        text = texts(results, format_)
        assert CREDENTIALS.token not in text
        assert "\x1b" not in text
    assert shown in texts(results)
    assert not results.is_same


@pytest.mark.parametrize("answer", [hang, drip])
def test_an_answer_that_never_ends_is_a_finding_in_time(
    server: Server, answer: Callable[[socket.socket], None]
) -> None:
    with answering(answer) as url:
        results = alone(server, url, seconds=0.1)
    assert "not answered: no complete answer within 0.1 s" in texts(results)


def test_a_server_that_speaks_no_tls_is_a_finding(server: Server) -> None:
    with answering(saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        results = alone(server, url.replace("http:", "https:"))
    assert "not answered: " in texts(results)
    assert "SSL" in texts(results)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_certificate_counts_if_the_environment_trusts_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        key,
        "-out",
        certificate,
        *subject,
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with answering(saying(http("200 OK", b'{"success":true}')), context) as url:
        (refused,) = alone(server, url).compared
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
        tls.cache_clear()
        trusted = alone(server, url)
    tls.cache_clear()
    assert isinstance(refused.server, NoAnswer)
    assert "CERTIFICATE_VERIFY_FAILED" in refused.server.problem
    assert trusted.is_same


def test_nobody_is_asked_for_ever(server: Server) -> None:
    with answering(saying(b"")) as url:
        results = alone(server, url, 9)
    assert (len(results.compared), results.stopped) == (3, "3 requests in a row were not answered")
    assert "3 requests in a row were not answered; 6 requests not sent" in texts(results)


def test_an_emulator_that_fails_ends_it_and_what_was_compared_stays() -> None:
    answers = [http("200 OK", b"{}")]

    def once(connection: socket.socket) -> None:
        if answers:
            connection.sendall(answers.pop())

    with answering(once) as emulator, answering(saying(http("200 OK", b"{}"))) as url:
        results = compared(emulator, url, [TRACK] * 3)
    assert [one.is_same for one in results.compared] == [True]
    assert not results.is_same
    assert str(results.stopped).startswith("the emulator does not answer: ")
    assert "2 requests not sent" in texts(results)


def test_a_token_that_the_server_refuses_ends_it(server: Server) -> None:
    with answering(saying(http("401 X", b'{"success":false}'))) as url:
        results = alone(server, url, 9)
    assert len(results.compared) == 1
    assert "check --token" in str(results.stopped)


def test_a_busy_server_is_asked_again_when_it_says(server: Server) -> None:
    answers = [
        http("429 X", b"", "retry-after: 0"),
        http("503 X", b"", "retry-after: 0"),
        http("200 OK", b'{"success":true}'),
    ]
    with answering(lambda connection: connection.sendall(answers.pop(0))) as url:
        results = alone(server, url)
    assert (results.is_same, answers) == (True, [])


def test_a_server_that_stays_busy_or_asks_for_hours_ends_it(server: Server) -> None:
    for seconds, why in (
        ("0", "answered 429 3 times"),
        ("86400", "the waits add up to more than 300 s; try again later"),
    ):
        with case(seconds), answering(saying(http("429 X", b"", f"retry-after: {seconds}"))) as url:
            results = alone(server, url, 9)
            assert len(results.compared) == 1
            assert why in str(results.stopped)


def test_a_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after(ServerAnswer(429, b"", {"retry-after": "2"})) == 2
    assert retry_after(ServerAnswer(429, b"", {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})) == 0
    for text in ("", "soon", "-1", "²", "Wed, 99 Oct 2015 07:28:00 GMT"):
        with case(text):
            assert retry_after(ServerAnswer(429, b"", {"retry-after": text})) is None


def test_no_more_is_sent_than_the_rate_allows_and_a_request_is_prepared_when_it_is_sent(server: Server) -> None:
    url = configured(server)
    prepared_at: list[float] = []

    def requests() -> Iterator[OutgoingRequest]:
        for _ in range(3):
            prepared_at.append(time.monotonic())
            yield TRACK

    started = time.monotonic()
    compared(configured(server), url, requests(), planned=3, rate=20)
    assert prepared_at[2] - started >= 2 / 20


def test_nothing_is_waited_for_after_the_last_request(server: Server) -> None:
    started = time.monotonic()
    compared(configured(server), configured(server), [TRACK], rate=0.01)
    assert time.monotonic() - started < 1 / 0.01


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
        results = [alone(server, at, seconds=5) for at in (configured(server), "http://api.example.test")]
    assert ([one.is_same for one in results], len(asked)) == ([True, True], 1)
    monkeypatch.setenv("HTTP_PROXY", "socks9://x")
    with pytest.raises(AddressError, match="proxy"):
        alone(server, "http://api.example.test")


def test_a_report_counts_what_is_the_same_and_what_is_not(server: Server) -> None:
    results = compared(configured(server), configured(server), [TRACK])
    results.compared += alone(server, "http://127.0.0.1:1").compared
    assert isinstance(results.compared[1].server, NoAnswer)
    read = json.loads(texts(results, "json"))
    (row,) = read["rules"]
    assert row == {"rule": "(none)", "basis": "", "sent": 2, "same": 1, "different": 0, "not_answered": 1}
    assert [request["same"] for request in read["requests"]] == [True, False]


def test_rules_that_a_server_makes_up_are_not_shown(server: Server) -> None:
    header = f"x-emulator-reason: {CREDENTIALS.token}; time-window /time; <b>"
    with answering(saying(http("400 X", b'{"success":false}', header))) as url:
        results = alone(server, url)
    assert results.compared[0].rules == ("time-window",)
    assert CREDENTIALS.token not in texts(results)


def test_a_long_report_shows_some_requests_of_each_rule_and_counts_the_others(server: Server) -> None:
    with answering(saying(http("400 X"))) as url:
        results = alone(server, url)
    results.compared *= 12
    results.not_compared += [NotCompared(f"line {at}", "its path is not one of the two APIs") for at in range(12)]
    for format_ in FORMATS[:2]:
        text = texts(results, format_)
        assert text.count("status: ") == 10
        assert "and 2 more" in text
        assert "line 9 and 2 more: its path" in text


def test_a_report_in_markdown_escapes_what_a_server_says(server: Server) -> None:
    with answering(saying(http("200 OK", b"<b>|*x*", "content-type: text/plain"))) as url:
        text = texts(alone(server, url), "markdown")
    assert r"\<b\>\|\*x\*" in text
    assert "<b>" not in text


def test_the_transport_reads_no_body_after_head(server: Server) -> None:
    head = OutgoingRequest("line 1", "HEAD", "/api/v1/openapi")
    results = compared(configured(server), configured(server), [head])
    assert results.is_same
    assert (
        httpx.head(configured(server) + head.path, trust_env=False).status_code == results.compared[0].emulator.status
    )
