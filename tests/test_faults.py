"""Faults: what they match, when they hit and what they leave; pure, and over HTTP."""

import asyncio
import gzip
import http.client
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any, get_args

import httpx
import jsonschema_rs
import pytest
from ours_privacy import OursPrivacy

from looping import case
from ours_emulator.accounts import Accounts
from ours_emulator.contract.account import AccountConfig
from ours_emulator.contract.client import ClientContract
from ours_emulator.contract.ingest import IngestContract, Limits
from ours_emulator.contract.revision import revision
from ours_emulator.debug.faults import AnswerBody, FaultBody, MatchBody
from ours_emulator.debug.journal_format import Line
from ours_emulator.decide.faults import Action, ActiveFault, Delay, Fault, FaultMatch, Faults, RateLimit
from ours_emulator.decide.retries import FailedAttempt
from ours_emulator.emulator.operations import FaultPlan
from ours_emulator.feed import Feed
from ours_emulator.model import Arrival, Attempt, Closed, Contents, Exchange, Message, Rejection, Request
from ours_emulator.pipeline import Pipeline
from ours_emulator.records import FaultAnswer, Reason
from ours_emulator.store import Retention, open_store
from requesting import request_to
from serving import Account
from waiting import sending, until

pytestmark = pytest.mark.each_database

UNAVAILABLE = Action(FaultAnswer("f", status=503))
OUTAGE = {"answer": {"status": 503}}


def request(endpoint: str = "track", received_at: int = 0) -> Request:
    return request_to(endpoint, received_at=received_at)


def message(event: str = "E", distinct_id: str | None = None, index: int | None = None) -> Message:
    endpoint = "track" if index is None else "batch"
    return Message(endpoint, index, event, (), distinct_id, None, False, {}, {}, None, {}, ())


class Sender:
    """Sends requests to an account with some faults, which each request may change."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults

    def answer(self, request: Request, contents: Contents) -> FaultAnswer | None:
        self.faults, answer = self.faults.answer(request, contents)
        return answer


def hits(
    fault: Fault, arrivals: Sequence[Arrival] = (message(),), count: int = 1, endpoint: str = "track", step: int = 0
) -> list[FaultAnswer | None]:
    """What happens to *count* requests in a row, *step* milliseconds apart."""
    sender = Sender(Faults().planned(fault))
    contents = Contents(arrivals, "tok")
    return [sender.answer(request(endpoint, step * number), contents) for number in range(count)]


NO_TOKEN = Contents([message()], None)


def statuses(answers: Sequence[FaultAnswer | None]) -> list[int | None]:
    return [None if it is None else it.status for it in answers]


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (FaultMatch(), True),
        (FaultMatch(endpoint="track"), True),
        (FaultMatch(endpoint="batch"), False),
        (FaultMatch(event="E"), True),
        (FaultMatch(event="e"), False),
        (FaultMatch(token="tok"), True),
        (FaultMatch(token="other"), False),
        (FaultMatch(distinct_id="d"), True),
        (FaultMatch(distinct_id="e"), False),
        (FaultMatch(event="E", distinct_id="e"), False),
    ],
)
def test_a_fault_hits_what_it_matches(match: FaultMatch, expected: bool) -> None:
    (answer,) = hits(Fault("f", match, UNAVAILABLE), [message("E", "d")])
    assert (answer is not None) is expected


def test_a_refused_request_is_matched_by_what_can_be_told_of_it() -> None:
    refused = Rejection("track", None, Reason("schema", "", "", 400), event="E")
    assert statuses(hits(Fault("f", FaultMatch(event="E"), UNAVAILABLE), [refused])) == [503]


def test_a_fault_that_hits_nothing_more_is_used_up() -> None:
    always = Fault("f", FaultMatch(), UNAVAILABLE)
    plans = [replace(always, times=2), replace(always, sequence=(UNAVAILABLE, None)), always]
    for plan, used_up in zip(plans, (True, True, False), strict=True):
        active = ActiveFault(plan)
        for _ in range(2):
            assert not active.used_up
            active, _ = active.answer(0, [])
        assert active.used_up is used_up


def test_a_fault_hits_as_often_as_it_says() -> None:
    assert statuses(hits(Fault("f", FaultMatch(), UNAVAILABLE, times=2), count=4)) == [503, 503, None, None]


def test_a_sequence_is_gone_through_once() -> None:
    fault = Fault("f", FaultMatch(), UNAVAILABLE, sequence=(UNAVAILABLE, None, Action(FaultAnswer("f", status=500))))
    assert statuses(hits(fault, count=5)) == [503, None, 500, None, None]


def test_the_same_seed_gives_the_same_sequence_and_another_one_another() -> None:
    fault = Fault("f", FaultMatch(), Action(FaultAnswer("f", status=503), Delay(10, 10, 0.5)), probability=0.5, seed=3)
    once, again = hits(fault, count=200), hits(fault, count=200)
    assert once == again
    assert statuses(once) != statuses(hits(replace(fault, seed=4), count=200))
    assert 60 < sum(it is not None for it in once) < 140
    assert len({it.delay_ms for it in once if it}) > 50


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_a_probability_of_none_or_all_is_exact(probability: float) -> None:
    found = hits(Fault("f", FaultMatch(), UNAVAILABLE, probability=probability), count=100)
    assert sum(it is not None for it in found) == 100 * probability


def test_an_even_delay_stays_between_its_bounds() -> None:
    fault = Fault("f", FaultMatch(), Action(FaultAnswer("f"), Delay(5, 20)))
    delays = [it.delay_ms for it in hits(fault, count=100) if it]
    assert all(5 <= it <= 20 for it in delays)
    assert max(delays) - min(delays) > 10


@pytest.mark.rule("clock")
def test_a_rate_limit_lets_a_burst_pass_and_then_tells_honestly_how_long_to_wait() -> None:
    faults = limited(2, 3)

    def sent_at(moment: int) -> FaultAnswer | None:
        return faults.answer(request(received_at=moment), NO_TOKEN)

    assert [sent_at(moment) for moment in (0, 100, 200)] == [None] * 3
    refused = sent_at(300)
    assert refused is not None
    assert refused.status == 429
    assert refused.retry_after == pytest.approx(0.2)
    assert sent_at(499) is not None
    assert sent_at(501) is None
    assert sent_at(501) is not None


def limited(per_second: float, burst: float = 1) -> Sender:
    fault = Fault("f", FaultMatch(), Action(FaultAnswer("f")), rate_limit=RateLimit(per_second, burst))
    return Sender(Faults().planned(fault))


def waits(faults: Sender, moments: Sequence[int]) -> list[float | None]:
    found = [faults.answer(request(received_at=moment), NO_TOKEN) for moment in moments]
    return [None if it is None else it.retry_after for it in found]


def test_who_comes_back_after_retry_after_passes_however_often_they_asked_before() -> None:
    moments = [0, *range(1000, 10_000, 1000), 10_000]
    assert waits(limited(0.1), moments) == [None, *map(float, range(9, 0, -1)), None]


def test_requests_that_come_with_a_moment_that_is_past_give_nothing_back() -> None:
    assert waits(limited(1), [2000, 0, 2000, 0, 2000]) == [None, 1, 1, 1, 1]


def test_a_rate_limit_goes_with_a_clock_that_is_set_back() -> None:
    faults = limited(1)
    assert waits(faults, [100_000]) == [None]
    faults.faults = faults.faults.moved(50_000)
    assert waits(faults, [50_000, 51_000]) == [1, None]


def test_rows_that_a_fault_names_or_matches_fail_and_only_those() -> None:
    rows = [message("A", "0", 0), message("B", "1", 1), message("A", "2", 2)]
    named = Fault("f", FaultMatch(), Action(FaultAnswer("f", code="queue_failed", rows=(1, 9))))
    matched = Fault("f", FaultMatch(event="A"), Action(FaultAnswer("f", code="invalid_event")))
    assert [it.rows for it in hits(named, rows) if it] == [(1,)]
    assert [it.rows for it in hits(matched, rows) if it] == [(0, 2)]


def test_a_fault_of_rows_leaves_a_single_event_alone_and_counts_no_hit() -> None:
    sender = Sender(Faults().planned(Fault("f", FaultMatch(), Action(FaultAnswer("f", code="queue_failed")))))
    assert sender.answer(request(), NO_TOKEN) is None
    (active,) = sender.faults.active
    assert (active.matched, active.hits) == (1, 0)


def test_the_oldest_fault_that_hits_decides() -> None:
    one = Fault("one", FaultMatch(), Action(FaultAnswer("one", status=500)), times=1)
    two = Fault("two", FaultMatch(), Action(FaultAnswer("two", status=503)))
    sender = Sender(Faults().planned(one).planned(two))
    found = [sender.answer(request(), NO_TOKEN) for _ in range(2)]
    assert [it.name for it in found if it] == ["one", "two"]


class CountedBody(bytes):
    """A body that counts how often it is parsed: every parse decodes it once."""

    parses = 0

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        self.parses += 1
        return super().decode(encoding, errors)


def test_a_body_is_parsed_once_however_many_faults_match_by_token(tmp_path: Path) -> None:
    body = CountedBody(b'{"token":"tok","event":"E","userId":"u"}')
    accounts = Accounts(AccountConfig("default", revision()))
    opened = accounts.open("default")
    assert opened is not None
    tokens = ["other"] * 9 + ["tok"]
    plans = [Fault(f"f{number}", FaultMatch(token=token), UNAVAILABLE) for number, token in enumerate(tokens)]
    accounts.put("default", replace(opened, faults=reduce(Faults.planned, plans, Faults())))
    store = open_store(str(tmp_path / "store.db"), Retention())
    pipeline = Pipeline(store.writer, {"track": IngestContract(Limits())}, accounts, Feed())
    try:
        exchange = asyncio.run(use(pipeline, replace(request(), body=body)))
    finally:
        pipeline.close()
    assert isinstance(exchange, Exchange)
    assert exchange.answer.status == 503
    used = accounts.open("default")
    assert used is not None
    assert [active.hits for active in used.faults.active] == [0] * 9 + [1]
    assert body.parses == 1


async def use(pipeline: Pipeline, sent: Request) -> Exchange | Closed | None:
    return await pipeline.submit(sent)


READ = b'{"token":"tok"}'


@pytest.mark.rule("body-token")
@pytest.mark.parametrize(
    ("change", "token"),
    [
        ({}, "tok"),
        ({"endpoint": "batch"}, "tok"),
        ({"body": gzip.compress(READ), "content_encoding": "gzip"}, "tok"),
        # what is refused before anybody looks into the body
        ({"content_type": "text/plain"}, "tok"),
        ({"endpoint": "unknown", "path": "/trakc"}, "tok"),
        ({"endpoint": "openapi"}, "tok"),
        ({"method": "PUT"}, "tok"),
        # what cannot be read, or has none
        ({"body": b""}, None),
        ({"body": READ[:-1]}, None),
        ({"body": b"[" + READ + b"]"}, None),
        ({"body": b'{"token":5}'}, None),
        ({"body": b"{}"}, None),
        ({"content_encoding": "gzip"}, None),
        ({"content_encoding": "br"}, None),
        ({"body": b"", "oversized": True}, None),
        ({"body": READ + b" " * 100}, None),
    ],
)
def test_the_token_of_a_request_is_told_as_far_as_the_body_can_be_read(change: Any, token: str | None) -> None:
    contract = IngestContract(Limits(body=100))
    sent = replace(request(), **{"body": READ, **change})
    assert contract.read(sent, AccountConfig("default", revision())).token == token


@pytest.mark.rule("client-key")
@pytest.mark.parametrize(
    ("authorization", "token"), [("Bearer pk_1", "pk_1"), ("Bearer tok", None), ("pk_1", None), ("", None)]
)
@pytest.mark.parametrize("endpoint", ["client/identify", "client/unknown"])
def test_the_key_of_the_client_api_is_the_one_in_the_header(
    endpoint: str, authorization: str, token: str | None
) -> None:
    sent = replace(request(endpoint), authorization=authorization, body=READ)
    assert ClientContract().read(sent, AccountConfig("default", revision())).token == token


def plant(account: Account, fault: dict[str, Any], name: str = "outage") -> dict[str, Any]:
    response = account.http.put(f"{account.url}/debug/faults/{name}", json=fault)
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.json()
    return shown


@pytest.mark.rule("429-500")
@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("path", ["/track", "/identify"])
def test_an_outage_is_answered_in_the_shape_of_the_endpoint_and_nothing_is_stored(
    account: Account, path: str, status: int
) -> None:
    plant(account, {"match": {"path": path}, "answer": {"status": status, "retry_after": 7}})
    response = account.post(path, {"token": "t", "event": "E", "userId": "u", "userProperties": {}})
    assert (response.status_code, response.content) == (status, b'{"success":false}')
    assert response.headers["retry-after"] == "7"
    assert response.headers["x-emulator-fault"] == "outage"
    assert response.headers["x-emulator-reason"] == "429-500"
    assert account.visitors() == []
    (refused,) = account.events(outcome="rejected")
    assert refused["reason"]["rule"] == "429-500"
    assert account.debug("faults/outage")["hits"] == 1


@pytest.mark.rule("429-500")
def test_an_outage_of_batch_says_it_may_be_tried_again(account: Account) -> None:
    plant(account, {"answer": {"status": 500, "error": "source look-up failed"}})
    response = account.batch({"event": "E", "userId": "u", "distinctId": "d"})
    said = {"success": False, "error": "source look-up failed", "retryable": True}
    assert (response.status_code, response.json()) == (500, said)


def test_an_outage_of_the_client_api_has_its_shape(account: Account) -> None:
    plant(account, {"match": {"path": "/api/client/events"}, "answer": {"status": 503}})
    headers = {"authorization": "Bearer pk_1"}
    response = account.post("/api/client/events", [{"name": "E", "anonymous_id": "a"}], headers)
    assert (response.status_code, response.json()["status"]) == (503, "error")
    assert account.visitors() == []


ANSWERS: dict[str, dict[int, Any]] = {
    path: {int(status): answer["content"]["application/json"]["schema"] for status, answer in answers.items()}
    for path, operations in json.loads(revision().document)["paths"].items()
    for answers in [operations["post"]["responses"]]
}
"""The schema of each answer in the document, by path and status."""
CLIENT_ANSWERS = {
    400: {"status": "error", "error": "An error occurred with this request."},
    401: {"status": "error", "error": "Authorization error.", "code": 1000},
}
"""The answers of the Client API that are the same whatever is wrong."""
STATUSES = sorted({400, 401, 403, 404, 405, 408, 410, 413, 415, 422, 429, 500, 502, 503, 599}.union(*ANSWERS.values()))


def sent_to(account: Account, path: str) -> httpx.Response:
    """Post what *path* accepts when no fault hits it."""
    if path.startswith("/api/client"):
        return account.post(path, [{"name": "E", "anonymous_id": "a"}], {"authorization": "Bearer pk_1"})
    if path == "/batch":
        return account.batch({"event": "E", "userId": "u", "distinctId": "d"})
    return account.post(path, {"token": "t", "event": "E", "userId": "u", "userProperties": {}})


@pytest.mark.rule("429-500", "size", "methods")
@pytest.mark.parametrize("path", sorted(ANSWERS))
def test_a_planned_answer_has_the_body_that_the_document_gives_its_status(account: Account, path: str) -> None:
    for status in (status for status in STATUSES if status >= 400):
        with case(status):
            plant(account, {"answer": {"status": status}})
            response = sent_to(account, path)
            assert response.status_code == status
            known = ANSWERS[path].get(status)
            if known is not None:
                jsonschema_rs.validate(known, response.json())
                assert response.json().keys() <= known["properties"].keys()
            assert response.json()["success"] is False
            assert ("error" in response.json()) == (path == "/batch")
            assert response.headers.get("allow") == ("POST, OPTIONS" if status == 405 else None)


@pytest.mark.rule("429-500", "client-unreadable", "client-key")
@pytest.mark.parametrize("path", ["alias", "identify", "devices", "events"])
def test_a_planned_answer_of_the_client_api_has_the_body_of_its_status(account: Account, path: str) -> None:
    for status in (status for status in STATUSES if status >= 400):
        with case(status):
            plant(account, {"answer": {"status": status}})
            response = sent_to(account, f"/api/client/{path}")
            other = {"status": "error", "error": f"planned fault 'outage': answered {status}"}
            assert (response.status_code, response.json()) == (status, CLIENT_ANSWERS.get(status, other))
            assert response.headers.get("allow") == ("POST, OPTIONS" if status == 405 else None)
    plant(account, {"answer": {"status": 401, "error": "my own words"}})
    assert sent_to(account, "/api/client/events").json() == {"status": "error", "error": "my own words", "code": 1000}


@pytest.mark.rule("429-500", "size")
def test_a_planned_413_of_batch_has_the_limit_of_the_body(account: Account) -> None:
    plant(account, {"answer": {"status": 413, "error": "too large"}})
    expected = {"success": False, "error": "too large", "limit": 5 * 1024 * 1024}
    assert sent_to(account, "/batch").json() == expected


@pytest.mark.rule("429-500", "batch-answers")
def test_chosen_rows_of_a_batch_fail_and_the_others_are_stored(account: Account) -> None:
    plant(account, {"answer": {"code": "queue_failed", "rows": [1]}, "times": 1})
    rows = [{"event": "E", "userId": "u", "distinctId": str(at)} for at in range(3)]
    response = account.batch(*rows)
    assert (response.status_code, response.json()["accepted"], response.json()["failed"]) == (207, 2, 1)
    assert response.json()["results"][1]["code"] == "queue_failed"
    assert {it["distinct_id"] for it in account.events()} == {"0", "2"}
    again = account.batch(rows[1])
    assert again.status_code == 200
    assert {it["distinct_id"] for it in account.events()} == {"0", "1", "2"}


@pytest.mark.rule("429-500")
def test_a_batch_none_of_which_was_queued_is_answered_500_with_the_failed_rows(account: Account) -> None:
    plant(account, {"answer": {"code": "queue_failed"}})
    response = account.batch({"event": "E", "userId": "u", "distinctId": "0"}, {"event": "E", "distinctId": "1"})
    said = response.json()
    assert (response.status_code, said["success"], said["retryable"]) == (500, False, True)
    assert [(it["index"], it["code"]) for it in said["results"]] == [(0, "queue_failed"), (1, "invalid_event")]
    assert said.keys() == {"success", "error", "retryable", "results"}


def test_a_row_may_fail_as_invalid(account: Account) -> None:
    plant(account, {"match": {"event": "B"}, "answer": {"code": "invalid_event"}})
    rows = ({"event": name, "userId": "u", "distinctId": name} for name in "AB")
    assert [it.get("code") for it in account.batch(*rows).json()["results"]] == [None, "invalid_event"]


def test_an_answer_may_be_late_and_the_event_is_there_already(account: Account) -> None:
    plant(account, {"answer": {"delay_ms": 600_000}, "times": 1})
    with sending(f"{account.url}/track", {"token": "t", "event": "E", "userId": "u"}) as late:
        until(account.events)
        assert not late.answered()
    plant(account, {"answer": {"delay_ms": 200}})
    started = time.perf_counter()
    assert account.track(userId="u").status_code == 200
    assert time.perf_counter() - started >= 0.2


@pytest.mark.rule("dedup", "attempts")
def test_an_event_whose_answer_is_lost_is_stored_once_however_often_it_is_sent(account: Account) -> None:
    plant(account, {"answer": {"status": 503, "stored": True}, "times": 2})
    answers = [account.track(userId="u", distinctId="d").status_code for _ in range(3)]
    assert answers == [503, 503, 200]
    (event,) = account.events()
    assert event["repeats"] == 2
    (call,) = account.debug("calls")["items"]
    assert [(it["attempt"], it["status"], it["fault"] is not None) for it in call["attempts"]] == [
        (1, 503, True),
        (2, 503, True),
        (3, 200, False),
    ]
    assert call["accepted"] == 1
    assert call["attempts"][0]["gap_ms"] is None
    assert all(it["gap_ms"] > 0 for it in call["attempts"][1:])
    requests = account.debug("requests", call_id=call["call_id"])["items"]
    assert [it["id"] for it in requests] == [it["id"] for it in reversed(call["attempts"])]


@pytest.mark.rule("attempts")
def test_a_call_is_known_again_by_its_distinct_id_though_the_rest_changed(account: Account) -> None:
    plant(account, {**OUTAGE, "times": 1})
    account.track(userId="u", distinctId="d", eventProperties={"sent": 1})
    account.track(userId="u", distinctId="d", eventProperties={"sent": 2})
    account.track(userId="u", distinctId="other")
    calls = account.debug("calls")["items"]
    assert [len(it["attempts"]) for it in calls] == [1, 2]


@pytest.mark.rule("attempts")
def test_the_same_request_without_a_fault_before_it_is_a_call_of_its_own(account: Account) -> None:
    for _ in range(2):
        account.track(userId="u", distinctId="d")
    assert [len(it["attempts"]) for it in account.debug("calls")["items"]] == [1, 1]


@pytest.mark.rule("attempts")
def test_who_comes_back_before_retry_after_gets_a_hint(account: Account) -> None:
    plant(account, {"answer": {"status": 429, "retry_after": 30}, "times": 1})
    account.track(userId="u", distinctId="d")
    response = account.track(userId="u", distinctId="d")
    assert (response.status_code, response.headers["x-emulator-hints"]) == (200, "attempts")
    (event,) = account.events()
    assert "Retry-After was 30 s" in event["hints"][0]["message"]


@pytest.mark.rule("attempts", "clock")
def test_who_waits_as_long_as_asked_by_the_accounts_clock_gets_no_hint(account: Account) -> None:
    account.http.put(f"{account.url}/debug/clock", json={"freeze": True})
    plant(account, {"rate_limit": {"per_second": 0.1}})
    account.track(userId="other")
    assert account.track(userId="u", distinctId="d").headers["retry-after"] == "10"
    account.http.put(f"{account.url}/debug/clock", json={"advance_ms": 10_000})
    response = account.track(userId="u", distinctId="d")
    assert (response.status_code, "x-emulator-hints" in response.headers) == (200, False)


def test_requests_over_a_rate_limit_get_the_answer_of_the_fault(account: Account) -> None:
    account.http.put(f"{account.url}/debug/clock", json={"freeze": True})
    plant(account, {"rate_limit": {"per_second": 0.5}, "answer": {"status": 503, "retry_after": 9}})
    first, over = account.track(userId="u"), account.track(userId="u")
    assert (first.status_code, over.status_code, over.headers["retry-after"]) == (200, 503, "2")


@pytest.mark.rule("attempts")
def test_what_only_came_late_or_is_a_first_attempt_by_its_sdk_is_a_call_of_its_own(account: Account) -> None:
    plant(account, {"answer": {"delay_ms": 1}, "times": 2})
    for _ in range(3):
        account.track(userId="u")
    plant(account, {**OUTAGE, "times": 1})
    for _ in range(2):
        body = {"token": "t", "event": "E", "userId": "u", "distinctId": "d"}
        account.post("/track", body, {"x-stainless-retry-count": "0"})
    assert [len(it["attempts"]) for it in account.debug("calls")["items"]] == [1] * 5


@pytest.mark.rule("attempts")
def test_who_waits_as_long_as_asked_gets_no_hint(account: Account) -> None:
    plant(account, {"answer": {"status": 429, "retry_after": 0.05}, "times": 1})
    assert account.track(userId="u", distinctId="d").headers["retry-after-ms"] == "50"
    # As long as it was asked to.
    time.sleep(0.05)
    assert "x-emulator-hints" not in account.track(userId="u", distinctId="d").headers


def test_hits_are_counted_exactly_under_load(account: Account) -> None:
    plant(account, {**OUTAGE, "times": 50, "match": {"event": "Hit"}})

    def send() -> None:
        with httpx.Client(trust_env=False) as http:
            mine = Account(account.url, http)
            found.extend(mine.track(event="Hit", userId="u").status_code for _ in range(25))

    found: list[int] = []
    senders = [threading.Thread(target=send) for _ in range(8)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert (found.count(503), found.count(200)) == (50, 150)
    shown = account.debug("faults/outage")
    assert (shown["matched"], shown["hits"]) == (200, 50)


def test_a_fault_matches_the_token_that_was_sent(account: Account) -> None:
    plant(account, {**OUTAGE, "match": {"token": "mine"}})
    assert account.track(userId="u").status_code == 200
    assert account.track(userId="u", token="mine").status_code == 503
    plant(account, {**OUTAGE, "match": {"token": "pk_1"}})
    answers = [
        account.post("/api/client/alias", {"external_id": "x", "anonymous_id": "a"}, {"authorization": f"Bearer {key}"})
        for key in ("pk_1", "pk_2")
    ]
    assert [it.status_code for it in answers] == [503, 204]


def test_an_outage_hits_before_anything_is_checked(account: Account) -> None:
    plant(account, OUTAGE)
    assert account.post("/track", b"nonsense").status_code == 503


@pytest.mark.parametrize("connection", ["reset", "hang", "close"])
def test_a_fault_in_the_connection_leaves_no_status_in_the_journal(account: Account, connection: str) -> None:
    plant(account, {"answer": {"connection": connection, "stored": True}, "times": 1})
    event = {"token": "t", "event": "Test", "userId": "u", "distinctId": "d"}
    with sending(f"{account.url}/track", event) as lost:
        until(lambda: account.debug("requests")["items"])
        if connection == "hang":
            assert not lost.answered()
        else:
            with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
                lost.answer()
    (request,) = account.debug("requests")["items"]
    assert (request["status"], request["fault"]["connection"]) == (None, connection)
    assert account.track(userId="u", distinctId="d").status_code == 200
    (kept,) = account.events()
    assert kept["repeats"] == 1


def test_faults_are_listed_replaced_and_taken_away(account: Account) -> None:
    shown = plant(account, {"match": {"path": "/track"}, "answer": {"status": 429, "retry_after": 1}, "times": 2})
    assert (shown["name"], shown["matched"], shown["hits"]) == ("outage", 0, 0)
    assert shown["answer"] == {"status": 429, "retry_after": 1.0, "stored": False}
    account.track(userId="u")
    assert account.debug("faults")["items"][0]["hits"] == 1
    plant(account, OUTAGE)
    assert account.debug("faults/outage")["hits"] == 0
    removed = account.http.delete(f"{account.url}/debug/faults/outage")
    assert (removed.status_code, removed.json()["name"]) == (200, "outage")
    assert account.http.delete(f"{account.url}/debug/faults/outage").status_code == 404
    assert account.track(userId="u").status_code == 200
    plant(account, OUTAGE, "one")
    plant(account, OUTAGE, "two")
    assert account.http.delete(f"{account.url}/debug/faults").json() == {"removed": 2}
    assert account.debug("faults")["items"] == []


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ({}, "give one of answer, sequence"),
        ({"answr": {}}, "answr"),
        ({"answer": {}}, "has no effect"),
        ({"answer": {"code": "queue_failed"}, "match": {"path": "/track"}}, "another endpoint"),
        ({"answer": {"status": 200}}, "answer.status"),
        ({"answer": {"status": "503"}}, "answer.status"),
        ({"answer": {"status": 503}, "times": 0}, "times"),
        ({"answer": {"status": 503}, "times": True}, "times"),
        ({"answer": {"status": 503}, "probability": 1.5}, "probability"),
        ({"answer": {"status": 503}, "match": {"path": "/trak"}}, "match.path"),
        ({"answer": {"status": 503}, "match": {"evnt": "E"}}, "match.evnt"),
        ({"answer": {"connection": "drop"}}, "answer.connection"),
        ({"answer": {"delay_ms": -1}}, "answer.delay_ms"),
        ({"answer": {"delay_ms": {"min": 5, "max": 1}}}, "answer.delay_ms"),
        ({"answer": {"rows": [0]}}, "rows need a code"),
        ({"answer": {"stored": True}}, "has no effect"),
        ({"answer": {"retry_after": 1}}, "retry_after needs"),
        ({"answer": {"code": "queue_failed", "status": 500}}, "code is for single rows"),
        ({"answer": {"status": 503}, "sequence": [None]}, "give one of answer, sequence"),
        ({"rate_limit": {"per_second": 1}, "sequence": [None]}, "give one of answer, sequence and rate_limit; only"),
        ({"rate_limit": {"per_second": 0}}, "rate_limit.per_second"),
        ([], ""),
        (None, ""),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_by_name(account: Account, fault: object, named: str) -> None:
    headers = {"content-type": "application/json"}
    response = account.http.put(f"{account.url}/debug/faults/outage", content=json.dumps(fault), headers=headers)
    assert response.status_code == 400, response.text
    assert named in response.json()["error"]
    assert account.debug("faults")["items"] == []


@pytest.mark.parametrize("body", [b"NaN", b'{"probability": NaN}', b"{", b"\xff", b"[" * 100_000])
def test_a_fault_that_is_no_json_is_refused(account: Account, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    response = account.http.put(f"{account.url}/debug/faults/outage", content=body, headers=headers)
    assert response.status_code == 400, response.text


def test_a_fault_of_one_account_is_none_of_another(account: Account) -> None:
    plant(account, OUTAGE)
    other = Account(account.url + "-other", account.http)
    assert other.track(userId="u").status_code == 200
    assert other.debug("faults")["items"] == []


def test_reset_takes_faults_away(account: Account) -> None:
    plant(account, OUTAGE)
    account.post("/debug/reset", {})
    name = account.url.rpartition("/")[2]
    account.http.post(f"{account.url}/debug/reset", json={"account": name})
    assert account.track(userId="u").status_code == 200


def test_the_vendors_sdk_gets_through_two_429s_at_the_third_attempt(account: Account) -> None:
    plant(account, {"match": {"path": "/track"}, "answer": {"status": 429, "retry_after": 0.1}, "times": 2})
    with OursPrivacy(base_url=account.url) as sdk:
        sdk.track.event(token="t", event="Purchase", user_id="u", distinct_id="ord_1")
    (event,) = account.events()
    assert event["distinct_id"] == "ord_1"
    (call,) = account.debug("calls")["items"]
    assert [(it["attempt"], it["status"]) for it in call["attempts"]] == [(1, 429), (2, 429), (3, 200)]
    assert all(it["gap_ms"] >= 100 for it in call["attempts"][1:])


def test_the_vendors_sdk_repeats_an_event_whose_answer_was_lost_and_it_is_stored_once(account: Account) -> None:
    plant(account, {"answer": {"connection": "reset", "stored": True}, "times": 1})
    with OursPrivacy(base_url=account.url) as sdk:
        assert sdk.track.event(token="t", event="Purchase", user_id="u", distinct_id="ord_1").success
    (event,) = account.events()
    assert event["repeats"] == 1
    (call,) = account.debug("calls")["items"]
    assert len(call["attempts"]) == 2
    assert json.dumps(call)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (
            {"answer": {"status": 503, "connection": "reset"}},
            "answer: status and connection exclude each other",
        ),
        ({"answer": {"code": "queue_failed"}, "rate_limit": {"per_second": 1}}, "a rate limit is for whole requests"),
        ({"match": {"path": "/openapi"}, "answer": {"status": 503}}, "match.path: unknown path"),
        (
            {"match": {"evnt": "E"}, "answer": {"status": 503}},
            "match.evnt: unknown field; did you mean event",
        ),
        ({"answer": {"statuss": 503}}, "answer.statuss: unknown field; did you mean status?"),
        ({"answer": {"delay_ms": {"min": 2, "max": 1}}}, "answer.delay_ms: min exceeds max"),
        (
            {"answer": {"delay_ms": {"min": 2, "mx": 1}}},
            "answer.delay_ms.mx: unknown field; did you mean max?",
        ),
        (
            {"answer": {"delay_ms": {"median": 5, "sigma": 1, "mode": 2}}},
            "answer.delay_ms.mode: unknown",
        ),
        ({"answer": {"delay_ms": -1}}, "answer.delay_ms: must be at least 0"),
        ({"sequence": [None, {"stats": 500}]}, "sequence.1.stats: unknown field; did you mean status?"),
    ],
)
def test_a_fault_that_can_not_be_meant_so_is_refused_by_name(
    account: Account, fault: dict[str, Any], error: str
) -> None:
    response = account.http.put(f"{account.url}/debug/faults/f", json=fault)
    assert (response.status_code, response.json()["error"][: len(error)]) == (400, error)


@pytest.mark.rule("client-whole")
def test_a_fault_of_rows_is_for_batch_and_leaves_the_items_of_the_client_api_alone(account: Account) -> None:
    plant(account, {"answer": {"code": "queue_failed"}})
    items = [{"name": name, "anonymous_id": "a", "external_id": None} for name in ("A", "B")]
    response = account.post("/api/client/events", items, {"authorization": "Bearer pk_key"})
    assert response.status_code == 204
    assert {it["outcome"] for it in account.events(outcome="any", endpoint="client/events")} == {"accepted"}


def test_every_model_of_a_faults_answer_has_the_same_fields() -> None:
    fields = FaultAnswer.__annotations__.keys()
    assert AnswerBody.model_fields.keys() | {"name"} == fields
    recorded = get_args(Line.model_fields["fault"].annotation)[0]
    assert recorded.model_fields.keys() - {"fault"} | {"name"} == fields
    # The plan of the handle has the fields of the match and of the answer in one.
    rest = FaultBody.model_fields.keys() - {"match", "answer"}
    assert FaultPlan.__annotations__.keys() == AnswerBody.model_fields.keys() | MatchBody.model_fields.keys() | rest


@pytest.mark.rule("attempts")
def test_an_attempt_that_seems_to_come_before_the_one_it_repeats_came_at_once() -> None:
    # Another host told of the first one, by its own clock.
    failed = FailedAttempt(Attempt(1, 1), 1000, started=5.0, retry_after=1)
    retried = replace(request(received_at=900), started=4.8)
    assert failed.gap(retried) == failed.waited(retried) == 0
