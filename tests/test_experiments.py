"""Experiments of revision 2026-10: who gets which variant, what is stored of it, and how they are configured."""

import http.client
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from looping import case
from ours_emulator.contract.experiments import Experiment, read_file
from ours_emulator.settings import SettingsError
from serving import JSON, Account, Server, serving

KEY = "checkout"
HALVES: Any = {"variants": [{"id": "control", "control": True}, {"id": "green", "name": "Green"}]}
BASES = ("", "/api/v1")
TOKEN = {"token": "exp_1"}
ASSIGNED = {
    "success": True,
    "in_experiment": True,
    "experiment_id": KEY,
    "variant_id": "green",
    "experiment_key": KEY,
    "variant_name": "Green",
    "is_control": False,
}
NOT_IN = {"success": True, "in_experiment": False}


@pytest.fixture
def new(server: Server) -> Account:
    """A fresh account of revision 2026-10, with one experiment."""
    account = server.account()
    account.configure(revision="2026-10", experiments={KEY: HALVES})
    return account


def put(account: Account, key: str, body: Any) -> httpx.Response:
    return account.http.put(f"{account.url}/debug/experiments/{key}", json=body)


def assign(account: Account, visitor_id: str = "ann", key: str = KEY, **fields: Any) -> Any:
    """Return what the answer to a valid call says."""
    # As json writes it: httpx cannot send a lone surrogate.
    body = json.dumps({**TOKEN, "visitor_id": visitor_id, **fields}).encode()
    answer = account.post(f"/experiments/assignments/{key}", body)
    assert answer.status_code == 200, answer.headers
    return answer.json()


def personalize(account: Account, visitor_id: str = "ann") -> Any:
    answer = account.post("/experiments/personalization", {**TOKEN, "visitor_id": visitor_id})
    assert answer.status_code == 200, answer.headers
    return answer.json()


def variant(experiment: Experiment, visitor_id: str, key: str = KEY) -> str | None:
    drawn = experiment.variant_of(key, visitor_id, None, None)
    return None if drawn is None else drawn.id


# Which revision has them


@pytest.mark.rule("experiment-paths", "methods")
def test_revision_2026_05_answers_their_paths_as_any_unknown_path(server: Server) -> None:
    account = server.account()
    body = {**TOKEN, "visitor_id": "ann"}
    for base in BASES:
        for path in (f"experiments/assignments/{KEY}", "experiments/personalization", "experiments/assignments/"):
            for method in ("POST", "GET", "HEAD", "PUT", "OPTIONS"):
                with case(base, path, method):
                    answers = [
                        account.http.request(method, f"{account.url}{base}/{one}", json=body)
                        for one in (path, "experiments/none")
                    ]
                    known, unknown = ((one.status_code, one.content, dict(one.headers)) for one in answers)
                    for headers in (known[2], unknown[2]):
                        headers.pop("x-emulator-request-id", None)
                        headers.pop("date")
                    assert known == unknown
    assert {request["endpoint"] for request in account.debug("requests")["items"]} == {"unknown"}
    said = {event["reason"]["message"] for event in account.events(outcome="rejected")}
    assert said == {"there is no such path", "there is no such path; revision 2026-10 has it"}


@pytest.mark.rule("experiment-paths", "base-path", "root-path", "methods")
def test_they_are_served_below_both_bases_and_take_only_post(new: Account) -> None:
    for base in BASES:
        for path in (f"{base}/experiments/assignments/{KEY}", f"{base}/experiments/personalization"):
            for slash in ("", "/"):
                with case(path, slash):
                    assert new.post(path + slash, {**TOKEN, "visitor_id": "ann"}).json()["success"] is True
            refused = new.http.request("PUT", new.url + path, json={})
            assert (refused.status_code, refused.headers["allow"]) == (405, "POST, OPTIONS")
            assert new.http.get(new.url + path).status_code == 405
            allowed = new.http.options(new.url + path, headers={"origin": "https://shop.example.com"})
            assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (204, "*")
        for path in ("/experiments", "/experiments/assignments", "/experiments/assignments/", "/experiments/other"):
            assert new.post(base + path, {}).status_code == 404


def test_the_revision_is_that_of_the_account_at_the_moment(server: Server) -> None:
    account = server.account()
    for revision, status in (("2026-10", 200), ("2026-05", 404), ("2026-10", 200)):
        account.configure(revision=revision)
        path = "/experiments/personalization"
        assert account.post(path, {**TOKEN, "visitor_id": "ann"}).status_code == status
    with serving() as fresh:
        fresh.http.put(f"{fresh.url}/debug/accounts/default", json={"revision": "2026-10"})
        assert personalize(fresh.default) == {"success": True, "properties": {}}
        assert fresh.http.get(f"{fresh.url}/openapi").json()["info"]["version"] == "2026-10"


def test_an_import_and_a_seed_are_answered_by_the_revision_of_the_account(
    new: Account, server: Server, tmp_path: Path
) -> None:
    assign(new)
    personalize(new)
    lines = new.http.get(f"{new.url}/debug/export").content
    again, old = server.account(), server.account()
    again.configure(revision="2026-10", experiments={KEY: HALVES})
    old.configure(revision="2026-05")
    for account in (again, old):
        answer = account.http.post(
            f"{account.url}/debug/import", content=lines, headers={"content-type": "application/jsonl"}
        )
        assert answer.json()["imported"] == 2
    assert [event["event"] for event in again.events()] == ["$experiment_impression"]
    stored = [(request["endpoint"], request["status"]) for request in old.debug("requests")["items"]]
    assert stored == [("unknown", 404)] * 2
    assert old.visitors() == []
    seed = tmp_path / "seed.jsonl"
    seed.write_bytes(lines)
    with serving(seed=str(seed)) as seeded:
        requests = seeded.http.get(f"{seeded.url}/debug/requests").json()["items"]
        # It begins with the settings of the account, which were those of a revision that has experiments.
        stored = [(request["endpoint"], request["status"]) for request in requests]
        assert stored == [("personalization", 200), ("assignments", 200)]


@pytest.mark.rule("experiment-paths", "methods")
def test_only_the_path_of_an_experiment_is_said_to_be_in_the_newer_revision(server: Server) -> None:
    paths = ("experiments/assignments/a", "experiments/personalization")
    account = server.account()
    for path in (*paths, *(f"{base}/{path}" for path in paths for base in ("other", "api/v1/api/v1"))):
        account.post(f"/{path}", {})
    messages = [event["reason"]["message"] for event in account.events(outcome="rejected", order="arrival")]
    assert ["revision" in message for message in reversed(messages)] == [True] * 2 + [False] * 4


# Who gets which variant


@pytest.mark.rule("experiment-assignment", "experiment-shares")
def test_the_same_visitor_gets_the_same_variant_in_every_process(new: Account) -> None:
    expected = {"ann": "control", "bob": "green", "visitor-7": "green", "ü\ud800": "green"}
    experiment = Experiment.model_validate(HALVES)
    assert {visitor: variant(experiment, visitor) for visitor in expected} == expected
    for visitor, which in expected.items():
        for context in (None, {"url": "https://shop.example.com/"}, {"search": "?a=b"}):
            assert assign(new, visitor, context=context)["variant_id"] == which
    code = (
        "import json; from ours_emulator.contract.experiments import Experiment\n"
        f"e = Experiment.model_validate({HALVES!r})\n"
        f"print(json.dumps([e.variant_of({KEY!r}, v, None, None).id for v in {list(expected)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(done.stdout) == list(expected.values())


@pytest.mark.rule("experiment-shares")
def test_weights_and_allocation_are_shares_of_the_visitors() -> None:
    variants = [{"id": "a"}, {"id": "never", "weight": 0}, {"id": "b", "weight": 2.5}, {"id": "never too", "weight": 0}]
    whole = Experiment.model_validate({"variants": variants})
    half = Experiment.model_validate({"variants": variants, "allocation": 0.5})
    nobody = Experiment.model_validate({"variants": variants, "allocation": 0})
    visitors = [f"visitor-{number}" for number in range(3000)]
    drawn = [variant(whole, visitor) for visitor in visitors]
    assert {*drawn} == {"a", "b"}
    assert abs(drawn.count("b") / len(drawn) - 2.5 / 3.5) < 0.03
    allocated = [variant(half, visitor) for visitor in visitors]
    assert abs(allocated.count(None) / len(allocated) - 0.5) < 0.03
    # A larger allocation leaves everybody where they were.
    assert all(now in (None, before) for now, before in zip(allocated, drawn, strict=True))
    assert {variant(nobody, visitor) for visitor in visitors} == {None}
    # Which visitors get a variant differs from experiment to experiment.
    others = [variant(whole, visitor, "other") for visitor in visitors]
    agreeing = sum(one == other for one, other in zip(drawn, others, strict=True))
    assert agreeing < 0.7 * len(visitors)


CONDITIONS: list[tuple[Any, Any, bool]] = [
    # the experiment, the context, whether the visitor is in it
    ({}, {"url": "anything", "search": "at all"}, True),
    ({"url": ["/checkout*"]}, None, True),
    ({"url": ["/checkout*"]}, {}, True),
    ({"url": ["/checkout*"]}, {"url": None, "search": None}, True),
    ({"url": ["/checkout*"]}, {"url": "https://shop.example.com/checkout/2?a=/no#/no"}, True),
    ({"url": ["/checkout*"]}, {"url": "https://shop.example.com/cart/checkout"}, False),
    ({"url": ["/checkout"]}, {"url": "https://shop.example.com/checkout/2"}, False),
    ({"url": ["/checkout"]}, {"url": "/checkout?step=2"}, True),
    ({"url": ["/"]}, {"url": "https://shop.example.com"}, True),
    ({"url": ["https://shop.example.com/*/pay"]}, {"url": "https://shop.example.com/a/b/pay?x"}, True),
    ({"url": ["https://shop.example.com/*/pay"]}, {"url": "https://shop.example.com/pay"}, False),
    ({"url": ["*a*b*"]}, {"url": "xaxbx"}, True),
    ({"url": ["*a*b*"]}, {"url": "xbxax"}, False),
    ({"url": ["ab*ba"]}, {"url": "aba"}, False),
    ({"url": ["no", "*.EXAMPLE.com/"]}, {"url": "https://shop.example.com/"}, False),
    ({"url": ["no", "*.example.com/"]}, {"url": "https://shop.example.com/"}, True),
    ({"url": ["no"]}, {"url": ""}, False),
    ({"url": ["no"]}, {"search": "?a=b"}, True),
    ({"query": {"utm_source": "meta"}}, None, True),
    ({"query": {"utm_source": "meta"}}, {"search": "?utm_source=meta"}, True),
    ({"query": {"utm_source": "meta"}}, {"search": "x=1&utm_source=other&utm_source=meta"}, True),
    ({"query": {"utm_source": "meta"}}, {"search": "?utm_source=Meta"}, False),
    ({"query": {"utm_source": "meta"}}, {"search": ""}, False),
    ({"query": {"utm_source": "meta"}}, {"url": "https://shop.example.com/?utm_source=meta#x"}, True),
    ({"query": {"utm_source": "meta"}}, {"url": "https://shop.example.com/#?utm_source=meta"}, False),
    ({"query": {"utm_source": "meta"}}, {"url": "https://a/?utm_source=meta", "search": "?b=c"}, False),
    ({"query": {"utm_source": "meta"}}, {"url": "https://a/?b=c", "search": "?utm_source=meta"}, True),
    ({"query": {"a b": "c*", "d": "*"}}, {"search": "?a+b=c%26&d="}, True),
    ({"query": {"a": "*"}}, {"search": "?b=1"}, False),
    ({"url": ["/a"], "query": {"b": "1"}}, {"url": "https://x/a?b=2"}, False),
    ({"allocation": 0}, None, False),
]


@pytest.mark.rule("experiment-conditions", "experiment-patterns")
def test_url_and_query_decide_only_who_takes_part(new: Account) -> None:
    for number, (conditions, context, is_in) in enumerate(CONDITIONS):
        with case(conditions, context):
            assert put(new, KEY, {**HALVES, **conditions}).status_code == 200
            said = assign(new, f"visitor-{number}", context=context, track_impression=False)
            assert said["in_experiment"] is is_in
            if not is_in:
                assert said == NOT_IN


@given(st.text("ab*", min_size=1, max_size=7), st.text("ab", max_size=9))
@pytest.mark.rule("experiment-patterns")
def test_a_star_stands_for_any_characters(pattern: str, page: str) -> None:
    experiment = Experiment.model_validate({**HALVES, "url": [pattern]})
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), page)
    assert (experiment.variant_of(KEY, "ann", page, None) is None) is (expected is None)


@given(st.text(), st.lists(st.integers(0, 5) | st.floats(0, 1e6), min_size=1, max_size=5))
@settings(max_examples=30)
@pytest.mark.rule("experiment-shares")
def test_every_visitor_gets_one_variant_that_has_a_weight(visitor_id: str, weights: list[float]) -> None:
    variants = [{"id": str(number), "weight": weight} for number, weight in enumerate(weights)]
    if any(weights):
        drawn = Experiment.model_validate({"variants": variants}).variant_of(KEY, visitor_id, None, None)
        assert drawn is not None
        assert drawn.weight > 0


def test_many_stars_on_a_long_url_take_no_time(new: Account) -> None:
    put(new, KEY, {**HALVES, "url": ["a*" * 900 + "b"] * 100})
    assert assign(new, context={"url": "a" * 65_536}) == NOT_IN


@pytest.mark.rule("experiment-unknown")
def test_an_experiment_that_is_not_configured_has_nobody_in_it(new: Account, server: Server) -> None:
    answer = new.post("/experiments/assignments/chekout", {**TOKEN, "visitor_id": "ann"})
    assert answer.json() == NOT_IN
    assert answer.headers["x-emulator-hints"] == "experiment-unknown"
    (question,) = new.events(outcome="any", endpoint="assignments")
    assert question["hints"][0]["message"] == "no experiment has the key 'chekout'; did you mean checkout?"
    # Who configured none does not need to be told.
    empty = server.account()
    empty.configure(revision="2026-10")
    assert empty.post(f"/experiments/assignments/{KEY}", {**TOKEN, "visitor_id": "ann"}).json() == NOT_IN
    assert personalize(empty) == {"success": True, "properties": {}}
    assert all(event["hints"] == [] for event in empty.events(outcome="any"))
    assert empty.events() == empty.visitors() == []


# What the answer says, and what is stored


@pytest.mark.rule("experiment-impression", "experiment-impression-form", "allow-list")
def test_an_assignment_stores_an_impression_and_the_visitors_variant(new: Account) -> None:
    new.configure(revision="2026-10", experiments={KEY: HALVES}, allowed_events=["Paid"])
    assert assign(new, "visitor-7") == ASSIGNED
    (event,) = new.events()
    assert (event["event"], event["endpoint"], event["visitor_id"]) == (
        "$experiment_impression",
        "assignments",
        "visitor-7",
    )
    assert event["identity"] == {"visitor_id": "visitor-7"}
    assert event["resolution"]["created"] is True
    assert event["event_properties"] == {
        name: value for name, value in ASSIGNED.items() if name not in ("success", "in_experiment")
    }
    visitor = new.visitor(user_id="visitor-7")
    kept = visitor["properties"]["experiment_assignments"]
    (entry,) = kept.values()
    assert kept == {
        KEY: {"experiment_id": KEY, "variant_id": "green", "assigned_at": entry["assigned_at"]},
    }
    assert entry["assigned_at"] == event["time"]
    match = {"event": "$experiment_impression", "user_id": "visitor-7", "event_properties": {"variant_id": "green"}}
    assert new.post("/debug/verify", {"match": match}).json()["count"] == 1
    (change,) = [one for one in new.debug(f"events/{event['id']}")["changes"] if one["path"].startswith("properties")]
    assert (change["path"], change["action"]) == ("properties.experiment_assignments", "added")


@pytest.mark.rule("experiment-impression-form")
def test_the_first_impression_of_a_variant_stays_until_the_variant_is_another(new: Account) -> None:
    new.http.put(f"{new.url}/debug/clock", json={"freeze": 1_800_000_000_000})
    for _ in range(2):
        assign(new, "visitor-7")
        new.http.put(f"{new.url}/debug/clock", json={"advance_ms": 1000})
    put(new, "second", {"id": "exp-2", "variants": [{"id": "only"}]})
    assign(new, "visitor-7", "second")
    put(new, KEY, {"variants": [{"id": "blue"}]})
    assert len(new.events(event="$experiment_impression")) == 3
    before = {"experiment_id": KEY, "variant_id": "green", "assigned_at": 1_800_000_000_000}
    second = {"experiment_id": "exp-2", "variant_id": "only", "assigned_at": 1_800_000_002_000}
    assert new.visitor()["properties"] == {"experiment_assignments": {KEY: before, "second": second}}
    assign(new, "visitor-7")
    after = {**before, "variant_id": "blue", "assigned_at": 1_800_000_002_000}
    assert new.visitor()["properties"] == {"experiment_assignments": {KEY: after, "second": second}}
    # What else is known of the visitor stays, and nobody can send the property.
    new.identify(userId="visitor-7", userProperties={"city": "Bonn", "experiment_assignments": {}})
    assert new.visitor()["properties"] == {"city": "Bonn", "experiment_assignments": {KEY: after, "second": second}}


@pytest.mark.rule("experiment-impression")
def test_without_an_impression_nothing_is_stored_of_the_visitor(new: Account) -> None:
    assert assign(new, "visitor-7", track_impression=False) == ASSIGNED
    put(new, "empty", {**HALVES, "allocation": 0})
    assert assign(new, "visitor-7", "empty") == NOT_IN
    assert new.events() == new.visitors() == []
    new.track(userId="visitor-7")
    (before,) = new.visitors()
    assign(new, "visitor-7", track_impression=False)
    assert new.visitors() == [before]
    asked = new.events(outcome="any", endpoint="assignments")
    assert [(event["event"], event["visitor_id"]) for event in asked] == [
        (None, "visitor-7"),
        (None, None),
        (None, None),
    ]
    # null is as absent.
    assign(new, "visitor-7", track_impression=None, context=None)
    assert len(new.events(event="$experiment_impression")) == 1


@pytest.mark.rule("experiment-redirect")
def test_names_type_and_redirect_are_in_the_answer_if_they_are_configured(new: Account) -> None:
    only = {"id": "b", "name": "B", "redirect": "https://shop.example.com/b"}
    put(new, KEY, {"id": "exp-1", "name": "Checkout", "type": "split_url", "variants": [only]})
    assert assign(new) == {
        **ASSIGNED,
        "experiment_id": "exp-1",
        "experiment_name": "Checkout",
        "type": "split_url",
        "variant_id": "b",
        "variant_name": "B",
        "redirect": "https://shop.example.com/b",
    }
    assert "redirect" not in new.events()[0]["event_properties"]
    put(new, KEY, {"variants": [{"id": "c", "control": True}]})
    said = assign(new)
    assert said == {
        "success": True,
        "in_experiment": True,
        "experiment_id": KEY,
        "experiment_key": KEY,
        "variant_id": "c",
        "is_control": True,
    }


@pytest.mark.rule("experiment-personalization", "experiment-properties")
def test_personalization_answers_the_properties_of_recorded_variants_and_changes_nothing(new: Account) -> None:
    put(new, "first", {"variants": [{"id": "a", "properties": {"color": "red", "size": 1, "vip": True, "none": None}}]})
    put(new, "second", {"variants": [{"id": "b", "properties": {"color": "blue", "rate": 0.5}}]})
    assert personalize(new) == {"success": True, "properties": {}}
    assign(new, key="first")
    assign(new, key="second", track_impression=False)
    before = new.visitors()
    first = {"color": "red", "size": 1, "vip": True, "none": None}
    assert personalize(new) == {"success": True, "properties": first}
    assert personalize(new, "somebody else") == {"success": True, "properties": {}}
    assert new.visitors() == before
    assert len(new.events()) == 1
    assign(new, key="second")
    assert personalize(new) == {"success": True, "properties": {**first, "color": "blue", "rate": 0.5}}
    # What is no longer configured is no longer answered, and what is configured anew is.
    new.http.delete(f"{new.url}/debug/experiments/second")
    put(new, "first", {"variants": [{"id": "a", "properties": {"color": "green"}}]})
    assert personalize(new) == {"success": True, "properties": {"color": "green"}}


def test_an_impression_that_makes_a_visitor_too_large_is_refused() -> None:
    with serving(revision="2026-10", max_visitor_bytes=40) as server:
        account = server.default
        put(account, KEY, HALVES)
        answer = account.post(f"/experiments/assignments/{KEY}", {**TOKEN, "visitor_id": "ann"})
        assert (answer.status_code, answer.json()) == (400, {"success": False})
        assert account.visitors() == []


# Refusals

GOOD = {**TOKEN, "visitor_id": "ann"}
BODIES: list[tuple[Any, int]] = [
    ({}, 401),
    ({"visitor_id": "ann"}, 401),
    ({**GOOD, "token": None}, 401),
    ({**GOOD, "token": ""}, 401),
    ({**GOOD, "token": "other"}, 401),
    ({**GOOD, "token": " exp_1"}, 401),
    ({**GOOD, "token": 5}, 400),
    ({**GOOD, "token": "x" * 251}, 400),
    (TOKEN, 400),
    ({**GOOD, "visitor_id": None}, 400),
    ({**GOOD, "visitor_id": ""}, 400),
    ({**GOOD, "visitor_id": 5}, 400),
    ({**GOOD, "visitor_id": ["ann"]}, 400),
    ({**GOOD, "visitor_id": "x" * 401}, 400),
    ({**GOOD, "visitor_id": "x" * 400}, 200),
    ({**GOOD, "token": "test_exp_1"}, 200),
    ({**GOOD, "more": {"deep": []}}, 200),
    ([GOOD], 400),
    (b"null", 400),
    (b"", 400),
    (b'{"token": "exp_1", "visitor_id": NaN}', 400),
    (b'{"token": "exp_1", "visitor_id": "ann", "more": 1e400}', 400),
    (b'{"token": "exp_1", "visitor_id": "ann", "more": ' + b"[" * 300 + b"]" * 300 + b"}", 400),
    (b'{"token": "exp_1", "visitor_id": "\xff"}', 400),
    (b'{"token": "exp_1", "visitor_id": "\\ud800\\u0000"}', 200),
    (b'{"token": "exp_1", "visitor_id": "' + b"x" * (5 * 1024 * 1024) + b'"}', 400),
    (b'{"token": "exp_1", "visitor_id": "ann", "token": 5}', 400),
]
CONTEXTS: list[tuple[Any, int]] = [
    ({"context": 5}, 400),
    ({"context": []}, 400),
    ({"context": {"url": 5}}, 400),
    ({"context": {"search": {}}}, 400),
    ({"context": {"url": "x" * 65_536}}, 200),
    ({"context": {"url": "x" * 65_537}}, 400),
    ({"context": {"other": 5}}, 200),
    ({"context": {"url": "http://[::1", "search": "%zz=%"}}, 200),
    ({"track_impression": "false"}, 400),
    ({"track_impression": 0}, 400),
]


@pytest.mark.rule("experiment-refusals", "malformed", "401", "missing-token", "unknown-keys", "size", "nesting")
def test_a_wrong_token_is_answered_401_and_a_wrong_body_400(new: Account) -> None:
    new.configure(revision="2026-10", experiments={KEY: HALVES}, tokens=["exp_1"])
    assignments, personalization = f"/experiments/assignments/{KEY}", "/experiments/personalization"
    both = [(path, body, status) for path in (assignments, personalization) for body, status in BODIES]
    contexts = [(assignments, {**GOOD, **fields}, status) for fields, status in CONTEXTS]
    for path, body, status in [*both, *contexts]:
        with case(path, body, status):
            answer = new.post(path, body)
            assert answer.status_code == status, answer.headers
            assert answer.json()["success"] is (status == 200)
            if status != 200:
                assert answer.json() == {"success": False}
    assert [event["test"] for event in new.events(visitor_id="ann")].count(True) == 1
    refused = new.post(assignments, {**GOOD, "vistor_id": "ann"})
    assert refused.headers["x-emulator-hints"] == "unknown-keys /vistor_id"
    wrong_type = new.post(personalization, json.dumps(GOOD).encode(), {"content-type": "text/plain"})
    assert (wrong_type.status_code, wrong_type.headers["x-emulator-reason"]) == (400, "content-type")


def raw(account: Account, target: str, body: bytes) -> tuple[int, bytes]:
    """Post *body* to *target* as it is: an HTTP client would tidy it."""
    url = httpx.URL(account.url)
    connection = http.client.HTTPConnection(url.host, url.port or 80, timeout=30)
    connection.request("POST", url.path + target, body, JSON)
    answer = connection.getresponse()
    try:
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_key_is_whatever_stands_in_the_path_and_leads_nowhere_else(new: Account) -> None:
    body = json.dumps(GOOD).encode()
    not_in = json.dumps(NOT_IN, separators=(",", ":")).encode()
    for key in (
        "..",
        "%2e%2e",
        "../../debug/events",
        "..%2F..%2Fdebug",
        "a/b",
        "%00",
        "%FF",
        "%",
        "%C3%BC",
        "a" * 4000,
    ):
        with case(key):
            assert raw(new, f"/experiments/assignments/{key}", body) == (200, not_in)
    for key in ("check%6Fut", "checkout/", "%63heckout?x=/.."):
        with case(key):
            assert b'"in_experiment":true' in raw(new, f"/experiments/assignments/{key}", body)[1]
    assert {request["endpoint"] for request in new.debug("requests")["items"]} == {"assignments"}


def test_two_at_once_are_one_visitor_with_both_impressions(new: Account) -> None:
    put(new, "other", {"variants": [{"id": "only"}]})

    def assigned(number: int) -> str:
        return json.dumps(assign(new, key=("other", KEY)[number % 2]))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(assigned, range(40)))
    assert len({*answers}) == 2
    assert new.visitor()["properties"]["experiment_assignments"].keys() == {KEY, "other"}
    assert new.visitor()["event_count"] == 40


@pytest.mark.rule("429-500")
def test_faults_meet_them_as_other_requests(new: Account) -> None:
    plan = f"{new.url}/debug/faults"
    for path, called in (
        ("/experiments/assignments", f"/experiments/assignments/{KEY}"),
        ("/api/v1/experiments/personalization", "/experiments/personalization"),
    ):
        fault = {"match": {"path": path}, "answer": {"status": 429, "retry_after": 1}, "times": 1}
        assert new.http.put(f"{plan}/busy", json=fault).status_code == 200
        assert new.track(userId="ann").status_code == 200
        answer = new.post(called, GOOD)
        assert (answer.status_code, answer.json()) == (429, {"success": False})
        assert answer.headers["retry-after"] == "1"
        assert new.post(called, GOOD).status_code == 200
    lost = {"match": {"event": "$experiment_impression"}, "answer": {"status": 503, "stored": True}, "times": 1}
    new.http.put(f"{plan}/lost", json=lost)
    before = len(new.events(event="$experiment_impression"))
    assert new.post(f"/experiments/assignments/{KEY}", GOOD).status_code == 503
    assert len(new.events(event="$experiment_impression")) == before + 1


# How they are configured


def test_experiments_are_set_shown_and_removed_for_one_account(new: Account, server: Server) -> None:
    other = server.account()
    assert put(new, "second", {"variants": [{"id": "b"}], "allocation": 1}).status_code == 200
    shown = new.debug("experiments")
    assert [item["key"] for item in shown["items"]] == [KEY, "second"]
    assert shown["total"] == 2
    assert new.debug("experiments/second") == shown["items"][1]
    assert shown["items"][1]["note"] is None
    assert shown["items"][1]["variants"][0]["weight"] == 1.0
    assert new.debug(f"accounts/{new.url.rpartition('/')[2]}")["experiment_keys"] == [KEY, "second"]
    assert other.debug("experiments")["items"] == []
    removed = new.http.delete(f"{new.url}/debug/experiments/second")
    assert removed.json() == shown["items"][1]
    for method in ("GET", "DELETE"):
        gone = new.http.request(method, f"{new.url}/debug/experiments/second")
        assert (gone.status_code, gone.json()) == (404, {"error": "there is no experiment second"})
    new.http.post(f"{new.url}/debug/reset", json={})
    assert [item["key"] for item in new.debug("experiments")["items"]] == [KEY]
    new.http.delete(f"{server.url}/debug/accounts/{new.url.rpartition('/')[2]}")
    assert put(new, KEY, HALVES).status_code == 409


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "variants: is missing"),
    ({"variants": []}, "variants: must not be empty"),
    ({"variants": [{}]}, "variants.0.id: is missing"),
    ({"variants": [{"id": "a"}, {"id": "a"}]}, "two variants have the id 'a'; give each its own"),
    ({"variants": [{"id": "a", "weight": 0}]}, "every variant has weight 0; give one a positive weight"),
    ({"variants": [{"id": "a", "weight": -1}]}, "variants.0.weight: must be at least 0"),
    ({"variants": [{"id": "a", "redirect": "http://a"}]}, "variants.0.redirect: must be a path that begins"),
    ({"variants": [{"id": "a", "properties": {"b": []}}]}, "variants.0.properties.b: must be a string, a finite"),
    ({**HALVES, "allocation": 2}, "allocation: must be at most 1"),
    ({**HALVES, "urls": []}, "urls: unknown field; did you mean url?"),
    ({**HALVES, "query": {"a": 5}}, "query.a: must be a string"),
]


@pytest.mark.parametrize(("body", "error"), WRONG)
def test_an_experiment_that_is_not_valid_is_refused_with_the_place(
    account: Account, tmp_path: Path, body: Any, error: str
) -> None:
    refused = put(account, KEY, body)
    assert (refused.status_code, refused.json()["error"].startswith(error)) == (400, True), refused.json()
    file = tmp_path / "experiments.json"
    file.write_text(json.dumps({KEY: body}))
    with pytest.raises(SettingsError) as caught:
        read_file(file)
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith(f"{file}: {KEY}")


def test_a_file_with_a_name_that_is_there_twice_or_in_another_encoding_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "experiments.json"
    for content, said in (
        (b'{"a": {}, "a": {}}', "not valid JSON: 'a' is there twice; keep one"),
        (b'{"Zo\xeb": {}}', "not UTF-8; save it in that encoding"),
    ):
        file.write_bytes(content)
        with pytest.raises(SettingsError) as caught:
            read_file(file)
        assert str(caught.value) == f"{file} is {said}"


def test_a_key_has_the_form_of_other_names(account: Account, tmp_path: Path) -> None:
    error = put(account, "a b", HALVES).json()["error"]
    assert error.startswith("experiment_key: 'a%20b' is not a valid name; use letters")
    file = tmp_path / "experiments.json"
    file.write_text(json.dumps({"a b": HALVES}))
    with pytest.raises(SettingsError, match=r"experiments.json: a b: 'a b' is not a valid key; use letters"):
        read_file(file)


TOML = """
[checkout]
name = "Checkout"
url = ["https://shop.example.com/checkout*"]

[[checkout.variants]]
id = "control"
control = true
weight = 0

[[checkout.variants]]
id = "green"
properties = {color = "green"}
"""


@pytest.fixture(params=["experiments.toml", "experiments.json"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file with one experiment, in both forms."""
    path = tmp_path / str(request.param)
    as_toml = tmp_path / "source.toml"
    as_toml.write_text(TOML)
    experiments = {key: one.model_dump() for key, one in read_file(as_toml).items()}
    path.write_text(TOML if path.suffix == ".toml" else "\ufeff" + json.dumps(experiments), "utf-8")
    return path


def test_the_file_configures_every_account(file: Path) -> None:
    with serving(revision="2026-10", experiments=file) as server:
        for account in (server.default, server.account()):
            said = assign(account, context={"url": "https://shop.example.com/checkout"})
            assert (said["variant_id"], said["experiment_name"]) == ("green", "Checkout")
            assert personalize(account)["properties"] == {"color": "green"}
        account.configure(revision="2026-10", experiments={})
        assert assign(account) == NOT_IN
        assert server.default.debug("settings")["experiments"] == {"value": str(file), "origin": "flag"}


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("a.toml", None, "a.toml cannot be read: No such file or directory; check the path"),
        ("a.toml", "[x", "a.toml is not valid TOML: "),
        ("a.json", "{", "a.json is not valid JSON: "),
        ("a.json", "[" * 100_000, "a.json is not valid JSON: "),
        ("a.json", "[]", "a.json: must be an object"),
        ("a.toml", "x = 5", "a.toml: x: must be an object"),
        (
            "a.toml",
            "[x]\nvariants = [{id = 'a', weight = nan}]",
            "a.toml: x.variants.0.weight: must be a finite number",
        ),
        (
            "a.toml",
            "[x]\nvariants = [{id = 'a', properties = {b = inf}}]",
            "a.toml: x.variants.0.properties.b: must be",
        ),
    ],
)
def test_a_file_that_is_not_valid_is_refused_in_one_line(
    tmp_path: Path, name: str, text: str | None, error: str
) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError) as caught, serving(experiments=path):
        pass
    assert error in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_document_describes_them_in_their_revision_only(new: Account, account: Account) -> None:
    paths = new.http.get(f"{new.url}/openapi.json").json()["paths"]
    for path in ("/experiments/assignments/{experiment_key}", "/experiments/personalization"):
        for base in BASES:
            content = paths[base + path]["post"]["requestBody"]["content"]["application/json"]
            called = base + path.replace("{experiment_key}", KEY)
            assert new.post(called, content["example"]).json()["success"] is True
    old = account.http.get(f"{account.url}/openapi.json").json()["paths"]
    assert not [path for path in old if path.startswith(("/experiments", "/api/v1/experiments"))]


def test_experiments_of_a_revision_without_them_are_said_to_assign_nobody(account: Account) -> None:
    note = "the account has experiments, but its revision 2026-05 answers /experiments with 404 "
    note += "(--revision 2026-10 changes that)"
    answer = put(account, KEY, HALVES)
    assert (answer.status_code, answer.json()["note"]) == (200, note)
    name = account.url.rpartition("/")[2]
    assert account.debug(f"accounts/{name}")["notes"] == [note]
    assert account.post(f"/experiments/assignments/{KEY}", {**TOKEN, "visitor_id": "ann"}).status_code == 404
    account.configure(revision="2026-10", experiments={KEY: HALVES})
    assert account.debug(f"accounts/{name}")["notes"] == []
