"""The suite of `compare`: it exercises the assumed rules that answers show, and says what to look up of the others."""

import gzip
import json
import re
from collections.abc import Container, Mapping, Sequence
from typing import Any

import httpx
import pytest

from comparing import CREDENTIALS, KEY, LIVE_TOKEN, RUN, compared, labels, now
from looping import case
from ours_emulator.contract.rules import rules_of
from ours_emulator.fidelity.comparison_report import ComparisonReport
from ours_emulator.fidelity.formats import text_of
from ours_emulator.fidelity.manual_checks import manual_checks, manual_checks_of
from ours_emulator.fidelity.preparation import Credentials, OutgoingRequest
from ours_emulator.fidelity.suite import suite
from ours_emulator.http.redaction import Redactor
from ours_emulator.model import REVISIONS
from serving import Account, Server

REQUESTS = list(suite(CREDENTIALS, RUN, now))
each_revision = pytest.mark.parametrize("revision", REVISIONS)

MEETS: Mapping[str, Sequence[str]] = {
    "nested": ["rejected nesting"],
    "byte-order-mark": ["accepted"],
    "token-before-schema": ["rejected missing-token /token"],
    "schema-before-token": ["rejected schema /event"],
    "put": ["rejected methods"],
    "unknown-path": ["rejected methods"],
    "trailing-slash": ["accepted"],
    "distinct-id-first": ["accepted"],
    "distinct-id-again": ["duplicate"],
    "external-id-in-properties": ["accepted by userProperties.external_id"],
    "email-in-properties": ["accepted by userProperties.email"],
    "rows-with-one-distinct-id": ["accepted", "duplicate"],
    "row-too-large": ["rejected batch-row-size /events/0"],
    "client-text-plain": ["accepted, hint client-content-type"],
    "client-byte-order-mark": ["accepted"],
    "client-key-unknown": ["rejected client-open-keys"],
}
"""What the debug API says of the requests that are about assumed rules, in both revisions."""

MEETS_IN_2026_10: Mapping[str, Sequence[str]] = {
    "phone-only": ["accepted by userProperties.phone_number"],
    "no-identifier": ["rejected identifier"],
    "phone-without-digits": ["rejected identifier"],
    "external-id-list": ["rejected schema /externalId"],
    "byte-order-mark-as-event": ["rejected schema /event"],
    "file-separator-as-event": ["accepted"],
    "new-name-too-long": ["rejected schema /userProperties/graid"],
    "new-name-without-limit": ["accepted"],
    "keys-inside": ["accepted"],
    "key-empty": ["accepted"],
    "levels-in-list": ["accepted"],
    "experiment-unknown": ["accepted"],
    "experiment-token-missing": ["rejected missing-token /token"],
}
"""The same for the rules that only 2026-10 has."""


def account_of(server: Server, revision: str) -> Account:
    """Return a fresh account that accepts only what the suite sends rightly."""
    account = server.account()
    account.configure(revision=revision, tokens=[LIVE_TOKEN], public_keys=[KEY])
    return account


def expected_in(revision: str) -> Mapping[str, Sequence[str]]:
    return {**MEETS, **(MEETS_IN_2026_10 if revision == "2026-10" else {})}


def sent(account: Account, request: OutgoingRequest) -> httpx.Response:
    return account.http.request(
        request.method, account.url + request.path, content=request.body, headers=dict(request.headers)
    )


def met(event: Mapping[str, Any]) -> str:
    """Return in short what the debug API says of *event*."""
    reason: Any = event["reason"]
    resolution: dict[str, Any] = event["resolution"] or {}
    rejected = f" {reason['rule']} {reason['path']}".rstrip() if reason else ""
    decided = str(resolution.get("decided_by") or "")
    by = f" by {decided}" if "." in decided else ""
    hints = "".join(f", hint {hint['rule']}" for hint in event["hints"])
    return f"{event['outcome']}{rejected}{by}{hints}"


def first_rule(request: OutgoingRequest, rules: Container[str]) -> str:
    """Return the rule that *request* counts for in a revision that has *rules*."""
    return next(rule for rule in request.rules if rule in rules)


@each_revision
def test_every_assumed_rule_is_in_the_suite_or_has_a_manual_check(revision: str) -> None:
    rules = {rule.id for rule in rules_of(revision)}
    in_suite = {first_rule(request, rules) for request in REQUESTS}
    listed = {check.rule for check in manual_checks_of(revision)}
    assert {rule.id for rule in rules_of(revision) if rule.basis == "assumed"} - in_suite - listed == set()


def test_the_manual_checks_are_of_assumed_rules_and_are_sentences() -> None:
    assumed = {rule.id for revision in REVISIONS for rule in rules_of(revision) if rule.basis == "assumed"}
    assert manual_checks().keys() - assumed == set()
    for one in manual_checks().values():
        with case(one.rule):
            assert one.text[0].isupper()
            assert one.text.endswith("." if one.emulator_only else "?")


@each_revision
def test_the_requests_of_the_suite_meet_their_rules(server: Server, revision: str) -> None:
    account = account_of(server, revision)
    expected = expected_in(revision)
    answers = {request.label: sent(account, request) for request in REQUESTS}
    for label, outcomes in expected.items():
        with case(label):
            detail = account.debug(f"requests/{answers[label].headers['x-emulator-request-id']}")
            assert [met(event) for event in detail["events"]] == outcomes


@each_revision
def test_what_the_debug_api_says_covers_every_assumed_rule_in_the_suite(revision: str) -> None:
    rules = {rule.id: rule.basis for rule in rules_of(revision)}
    tested = expected_in(revision)
    exercised = {rule for request in REQUESTS if rules[rule := first_rule(request, rules)] == "assumed"}
    seen = {first_rule(request, rules) for request in REQUESTS if request.label in tested}
    # Preflights and documents are not kept as events; their answers are tested below.
    assert exercised - seen <= {"cors", "openapi"}


def test_preflights_and_the_document_show_their_rules_in_the_answer(server: Server) -> None:
    by_label = {request.label: request for request in REQUESTS}
    account = account_of(server, "2026-10")
    for label in ("preflight", "other-origin"):
        assert sent(account, by_label[label]).headers["access-control-allow-origin"] == "*"
    assert "derived" in sent(account, by_label["openapi"]).json()["info"]["title"]


@each_revision
def test_an_emulator_answers_the_suite_as_itself(server: Server, revision: str) -> None:
    results = compared(account_of(server, revision).url, account_of(server, revision).url, REQUESTS)
    assert (labels(results), results.stopped, results.not_compared) == (set(), None, [])
    assert len(results.compared) == len(REQUESTS)


def test_a_report_of_the_suite_names_the_rule_of_each_difference_and_what_to_check_by_hand(server: Server) -> None:
    results = compared(account_of(server, "2026-10").url, account_of(server, "2026-05").url, REQUESTS)
    report = ComparisonReport(results, "server", "2026-10", is_suite=True, redactor=Redactor())
    read = json.loads(text_of(report, "json"))
    assert {one["request"]: one["rule"] for one in read["requests"] if not one["same"]} == {
        "openapi": "openapi",
        "phone-only": "identifier",
        "external-id-number": "to-text",
        "byte-order-mark-as-event": "trimmed-characters",
        "new-name-too-long": "new-lengths",
        "keys-201": "open-object-limits",
        "levels-6": "open-object-limits",
        "experiment-unknown": "experiment-unknown",
        "experiment-token-missing": "experiment-refusals",
    }
    assert "oldest-wins" in {check["rule"] for check in read["manual_checks"]}
    assert "clock" in {check["rule"] for check in read["emulator_only"]}


def test_an_emulator_that_accepts_every_token_is_not_blamed_for_it(server: Server) -> None:
    results = compared(account_of(server, "2026-05").url, server.account().url, REQUESTS)
    assert labels(results) == set()
    assert {one.label for one in results.not_compared} == {"token-unknown", "client-key-unknown"}
    # They were sent, so that they are not among those that are not.
    assert results.sent == len(REQUESTS)


def test_without_a_key_nothing_goes_to_the_client_api() -> None:
    assert not any(request.is_client_api for request in suite(Credentials("test_token_1"), RUN, now))


def test_two_runs_of_the_suite_share_no_id() -> None:
    runs = [[ids_in(request) for request in suite(CREDENTIALS, run, now)] for run in (RUN, "987654321")]
    for request, first, second in zip(REQUESTS, *runs, strict=True):
        with case(request.label):
            assert len(first) == len(second)
            assert set(first) & set(second) == set()


def ids_in(request: OutgoingRequest) -> Sequence[str]:
    """Return every text in the body of *request* that names a visitor or an event of the run."""
    return re.findall(r"ours-emulator-\d+[^\"]*", text_in(request))


def text_in(request: OutgoingRequest) -> str:
    """Return the body of *request* as text, unpacked."""
    return (gzip.decompress(request.body) if request.label == "x-gzip" else request.body).decode("utf-8")


def test_every_request_has_a_label_of_its_own_and_is_valid_json_unless_it_is_about_that() -> None:
    assert len({request.label for request in REQUESTS}) == len(REQUESTS)
    broken = {request.label for request in REQUESTS if request.body and not is_json(request.body)}
    assert broken == {"malformed", "x-gzip"}


def is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True
