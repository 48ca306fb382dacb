"""The page as one file: what is in it, and what is not. That it works is tested in tests/browser."""

import gzip
import hashlib
import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

import ours_emulator.inspector
from looping import case
from ours_emulator.debug import report
from ours_emulator.debug.report import MAX_BYTES
from ours_emulator.inspector.script import script_text
from serving import Account, serving

DATA = re.compile(r'<script type="application/json" id="report">(.*?)</script>', re.DOTALL)
NASTY = "</script><!--<script>\u2028\ud800"


def report_of(account: Account, **body: Any) -> tuple[str, Any]:
    """The file, and the data in it."""
    answer = account.post("/debug/report", body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment;")
    (data,) = DATA.findall(answer.text)
    return answer.text, json.loads(data)


def test_a_report_has_what_the_debug_api_says(account: Account) -> None:
    account.identify(userId="u", email="u@example.com")
    account.track(event="Paid", userId="u", properties={"a": 1})
    account.track(event="Nobody")
    account.http.put(f"{account.url}/debug/clock", json={"freeze": True})
    account.http.put(f"{account.url}/debug/faults/busy", json={"answer": {"status": 503}, "times": 1})
    account.track(event="Paid", userId="u")
    _, data = report_of(account, title="test_it", failures=["expected more"])
    name = account.url.rpartition("/")[2]
    assert (data["account"], data["url"]) == (name, f"{account.url}/")
    root = Account(account.url.partition("/accounts/")[0], account.http)
    asked = root.http.post(f"{root.url}/debug/report", params={"account": name}, json={})
    assert f'"url":"{account.url}/"' in asked.text
    assert (data["title"], data["failures"], data["missing"]) == ("test_it", ["expected more"], [])
    assert data["summary"] == account.debug("summary")
    assert data["rules"] == account.debug("rules")["items"]
    names = {"userId": "u", "visitor_id": "u"}
    assert data["visitors"] == [{**one, "names": names} for one in account.debug("visitors")["items"]]
    assert data["faults"] == account.debug("faults")["items"] != []
    assert data["calls"] == account.debug("calls")["items"]
    assert data["accounts"] == [account.debug(f"accounts/{name}")]
    listed = account.debug("events", outcome="any", order="arrival")["items"]
    details = [account.debug(f"events/{event['id']}") for event in listed]
    assert [{name: one[name] for name in one if name not in ("named", "texts")} for one in data["events"]] == details
    requests = [account.debug(f"requests/{one['id']}", redact="true") for one in account.debug("requests")["items"]]
    assert data["requests"] == [{**request, "events": []} for request in requests]


def test_a_report_of_the_whole_emulator_has_every_account() -> None:
    with serving() as server:
        accounts = [server.account() for _ in range(2)]
        for each in accounts:
            each.track(event="Paid", userId="u")
        _, data = report_of(server.default)
        assert data["account"] is None
        assert {event["account"] for event in data["events"]} == {each.url.rpartition("/")[2] for each in accounts}


def test_nothing_in_the_data_can_end_its_element(account: Account) -> None:
    nasty = {"event": NASTY, "userId": NASTY, "eventProperties": {NASTY: NASTY}, "defaultProperties": {NASTY: NASTY}}
    account.post("/track", json.dumps({"token": "t", **nasty}).encode())
    account.post("/track", json.dumps({"token": "t", "event": NASTY}).encode())
    account.post("/track", b"</script><!--")
    html, data = report_of(account, title="</script></title><!--", failures=["</script><!--"])
    assert len(re.findall("</script", html, re.IGNORECASE)) == 2
    assert html.count("</title") == 1
    # The doctype and the elements; none of a comment.
    assert "<!--" not in html
    assert data["title"] == "</script></title><!--"
    assert [event["event"] for event in data["events"]] == [None, NASTY, NASTY]
    assert data["requests"][0]["body"] == "</script><!--"


def test_the_policy_allows_exactly_what_is_in_the_file(account: Account) -> None:
    html, _ = report_of(account)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    hashes = {kind: b64decode(digest) for kind, digest in re.findall(r"(script|style)-src 'sha256-([^']+)'", policy)}
    assert hashes == {
        "script": hashlib.sha256(script.encode()).digest(),
        "style": hashlib.sha256(style.encode()).digest(),
    }
    assert policy.startswith("default-src 'none'; ")
    assert "require-trusted-types-for 'script'; trusted-types 'none'" in policy
    assert "unsafe" not in policy
    assert re.findall(r'(?:src|href)="(?!data:)[^"]*"', html.split("<body>")[0]) == []


def test_every_module_of_the_page_is_in_the_script_once() -> None:
    script = script_text()
    names = re.findall(r"^const \$(\w+) = \(\(\) => \{$", script, re.MULTILINE)
    folder = Path(ours_emulator.inspector.__file__).parent
    modules = [path.relative_to(folder).as_posix() for path in folder.rglob("*.js")]
    assert sorted(names) == sorted(re.sub(r"\W", "_", name) for name in modules)


def test_tokens_and_keys_are_masked_unless_they_are_asked_for() -> None:
    token, key, admin, unknown = "token-5ba8cf1e7d", "pk_5c4d9e2a77", "admin-9d3f1c5b", "sk_unknown-0d61"
    with serving(tokens=[token], public_keys=[key], admin_token=admin) as server:
        account = Account(server.url, server.http)
        admitted = {"authorization": f"Bearer {admin}"}
        for secret in (token, key, unknown, admin):
            fields = {"event": f"E {secret}", "userId": f"u {secret}", "email": f"{secret}@example.com", secret: 1}
            account.track(**{**fields, "token": token, "eventProperties": {secret: secret}})
            account.post("/track", {**fields, "token": secret})
            account.post(
                "/api/client/events", [{"external_id": secret, "name": secret}], {"authorization": f"Bearer {key}"}
            )
            account.post(f"/track?token={secret}", {"token": secret})
        account.post("/track", b'{"token": "another-one-1", "event"')
        body = {"title": f"test[{token}]", "failures": [f"expected {token}"]}
        html = account.post("/debug/report", body, admitted).text
        for secret in (token, key, unknown, admin, "another-one-1"):
            with case(secret):
                assert secret not in html
        assert token in account.post("/debug/report", {"redact": False}, admitted).text


@pytest.mark.rule("admin-token", "origin")
def test_a_report_is_guarded_as_what_is_in_it() -> None:
    with serving(admin_token="secret") as server:
        assert server.default.post("/debug/report", {}).status_code == 401
        refused = server.default.post("/debug/report", {}, {"origin": "http://evil.example"})
        assert refused.status_code == 403


def test_what_is_not_understood_is_refused(account: Account) -> None:
    for body in ({"titel": ""}, {"title": 5}, {"failures": "text"}, {"redact": "no"}):
        with case(body):
            assert account.post("/debug/report", body).status_code == 400


def test_of_very_many_events_the_newest_are_in_the_report_and_it_says_so(account: Account) -> None:
    account.batch(*({"event": f"Row {number}", "userId": "u", "distinctId": str(number)} for number in range(300)))
    _, data = report_of(account)
    assert [event["event"] for event in data["events"]] == [f"Row {299 - number}" for number in range(200)]
    assert data["missing"] == ["200 of 300 events: the newest"]


def test_a_report_is_bounded_however_large_what_arrived_is(account: Account) -> None:
    for number in range(30):
        account.track(event=f"Large {number}", userId=f"u{number}", eventProperties={"text": "x" * 300_000})
    # Masking takes so long on a busy machine that the five seconds may be over first.
    html, data = report_of(account, redact=False)
    assert len(html) < MAX_BYTES + 300_000
    assert 0 < len(data["events"]) < 30
    assert {one["body"] for one in data["requests"]} == {None}
    named = re.fullmatch(r"(\d+) of 30 events: no room for #(\d+) \(300,\d{3} bytes\), .* more", data["missing"][0])
    assert named is not None, data["missing"]
    assert int(named[1]) == len(data["events"])
    assert int(named[2]) not in {event["id"] for event in data["events"]}


def test_a_body_that_is_too_large_for_a_report_says_so_itself_and_at_the_top(account: Account) -> None:
    body = {"token": "t", "event": "E", "userId": "u"}
    inflated = json.dumps({**body, "eventProperties": {"text": "x" * 300_000}}).encode()
    escaped = json.dumps({**body, "eventProperties": {"text": "é" * 50_000}}, ensure_ascii=False).encode()
    small = json.dumps(body).encode()
    account.post("/track", gzip.compress(inflated), {"content-encoding": "gzip"})
    account.post("/track", escaped)
    account.post("/track", small)
    _, data = report_of(account)
    kept, third, second = data["requests"]
    assert (json.loads(kept["body"])["userId"], kept["body_missing"]) == ("u", None)
    assert len(data["requests"]) == len(data["events"]) == 3
    sizes = [len(json.dumps(text.decode())) for text in (escaped, inflated)]
    for request, size in zip((third, second), sizes, strict=True):
        assert request["body"] is None
        assert request["body_missing"] == f"it has {size:,} bytes as JSON, and there was room for 262,144"
    ids = f"{third['id']}, {second['id']}"
    assert data["missing"] == [f"the bodies of requests that are too large: {ids}"]


def test_a_request_stays_in_the_report_without_its_body_if_only_that_has_no_room(account: Account) -> None:
    for number in range(25):
        account.post("/track", b"x" * 250_000 + b"%d" % number)
    _, data = report_of(account, redact=False)
    assert len(data["requests"]) == 25
    without = [request for request in data["requests"] if request["body"] is None]
    assert 3 < len(without) < 10
    assert all("there was room for" in request["body_missing"] for request in without)


def test_a_body_that_is_not_text_is_left_out_of_a_masked_report_which_says_why(account: Account) -> None:
    account.post("/track", b"\xff\xfe")
    _, data = report_of(account)
    (request,) = data["requests"]
    assert request["body_base64"] is None
    assert request["body_missing"] == "it is not text, so that tokens in it cannot be masked"
    shown = account.debug(f"requests/{request['id']}")
    assert (shown["body_base64"], shown["body_missing"]) == ("//4=", None)


def test_a_report_has_the_visitors_of_its_events_and_says_that_there_are_others(account: Account) -> None:
    account.track(event="First", userId="old")
    account.batch(*({"event": "Other", "userId": f"u{number}", "distinctId": f"o{number}"} for number in range(120)))
    account.batch(*({"event": "Row", "userId": "old", "distinctId": f"r{number}"} for number in range(200)))
    _, data = report_of(account)
    assert [visitor["visitor_id"] for visitor in data["visitors"]] == ["old"]
    assert data["missing"] == ["200 of 321 events: the newest", "1 of 121 visitors: those of the events"]


def test_calls_that_are_not_in_the_report_are_counted_in_it(account: Account) -> None:
    for _ in range(101):
        account.post("/track", b"")
    _, data = report_of(account)
    assert len(data["calls"]) == 100
    assert "100 of 101 calls: the newest" in data["missing"]


def test_a_report_without_time_for_more_says_so_of_what_is_missing_for_that_only(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(101):
        account.post("/track", b"")
    account.track(userId="u")
    monkeypatch.setattr(report, "_MAX_SECONDS", 0)
    _, data = report_of(account)
    assert data["missing"] == [
        "0 of 102 events: collecting took 0 seconds",
        "0 of 102 requests: collecting took 0 seconds",
        "100 of 102 calls: the newest",
        "0 of 1 visitors: collecting took 0 seconds",
    ]
