"""The journal keeps the answer to each request: it is shown as the client got it."""

import gzip
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving import Account, serving

KEY = {"authorization": "Bearer pk_key-of-the-app"}
EVENT = {"token": "t", "event": "E", "userId": "u"}


def plan(account: Account, **fault: Any) -> None:
    response = account.http.put(f"{account.url}/debug/faults/planned", json=fault)
    assert response.status_code in (200, 201), response.text


def kept(account: Account) -> dict[str, Any]:
    """Return the latest request with everything that was kept of it."""
    request, *_ = account.debug("requests", limit=1)["items"]
    detail: dict[str, Any] = account.debug(f"requests/{request['id']}")
    return detail


def decided(headers: httpx.Headers) -> Mapping[str, str]:
    """Return those of *headers* that are kept."""
    left_out = ("date", "server", "connection", "vary")
    return {name: value for name, value in headers.items() if name not in left_out and not name.startswith("x-emu")}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/track", EVENT, 200),
        ("POST", "/api/v1/identify", {"token": "t", "userId": "u", "userProperties": {}}, 200),
        ("POST", "/track", {"token": "t", "event": "E"}, 400),
        ("POST", "/track", {"event": "E", "userId": "u"}, 401),
        ("PUT", "/track", EVENT, 405),
        ("HEAD", "/track", None, 405),
        ("POST", "/nowhere", EVENT, 404),
        ("POST", "/batch", {"token": "t", "events": [EVENT | {"distinctId": "1"}, {"event": "<script>"}]}, 207),
        ("POST", "/batch", {"token": "t", "events": []}, 400),
        ("POST", "/api/client/identify", {"external_id": "x"}, 204),
        ("POST", "/api/client/identify", {"external_id": 5}, 422),
    ],
)
def test_an_answer_is_kept_as_the_client_got_it(
    account: Account, method: str, path: str, body: Any, status: int
) -> None:
    sent = account.http.request(method, account.url + path, json=body, headers=KEY)
    assert sent.status_code == status
    detail = kept(account)
    assert detail["status"] == status
    assert detail["answer"] == {"headers": decided(sent.headers), "body": sent.text}


def test_a_large_answer_is_kept_whole(account: Account) -> None:
    rows = ({"event": "E", "userId": "u", "distinctId": str(number)} for number in range(1000))
    sent = account.batch(*rows)
    assert len(sent.content) > 20_000
    assert kept(account)["answer"] == {"headers": decided(sent.headers), "body": sent.text}


def test_the_answer_of_a_fault_is_kept_with_its_headers(account: Account) -> None:
    plan(account, answer={"status": 429, "retry_after": 1.5, "error": "\U0001f600 busy"})
    sent = account.post("/batch", {"token": "t", "events": [EVENT | {"distinctId": "1"}]})
    answer = kept(account)["answer"]
    assert answer == {"headers": decided(sent.headers), "body": sent.text}
    assert answer["headers"]["retry-after"] == sent.headers["retry-after"]
    assert "busy" in answer["body"]


@pytest.mark.parametrize("stored", [False, True])
def test_a_request_that_a_fault_left_unanswered_has_no_answer(account: Account, stored: bool) -> None:
    plan(account, answer={"connection": "reset", "stored": stored})
    with pytest.raises(httpx.TransportError):
        account.track(userId="u")
    detail = kept(account)
    assert (detail["status"], detail["answer"]) == (None, None)


def test_an_answer_shows_no_secret_when_it_is_redacted() -> None:
    with serving(tokens="secret-token-1") as server:
        plan(server.default, answer={"status": 429, "error": "busy with secret-token-1"})
        server.default.batch(EVENT | {"distinctId": "1"}, token="secret-token-1")
        request, *_ = server.default.debug("requests")["items"]
        shown, masked = (
            server.default.debug(f"requests/{request['id']}", redact=redact)["answer"]["body"]
            for redact in ("false", "true")
        )
    assert "secret-token-1" in shown
    assert "secret-token-1" not in masked
    assert json.loads(masked)


def test_answers_are_kept_across_a_restart_and_count_as_bytes_of_the_journal(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    with serving(database=database) as server:
        for number in range(3):
            assert server.default.batch({"event": "E", "distinctId": "1"}, "x" * number).status_code == 400
            assert server.default.batch(*(EVENT | {"distinctId": f"{number}-{row}"} for row in range(50))).json()
        before = kept(server.default)
    with serving(database=database) as server:
        assert kept(server.default)["answer"] == before["answer"]
        bodies = sum(item["body_bytes"] for item in server.default.debug("requests")["items"])
    # Enough for all that was sent, but not for what was answered too.
    with serving(database=database, keep_body_bytes=bodies + 100) as server:
        server.default.track(userId="u")
        left = server.default.debug("requests")["items"]
        assert 0 < len(left) < 7
        details = [server.default.debug(f"requests/{item['id']}") for item in left]
        size = sum(len(detail["body"]) + len(detail["answer"]["body"]) for detail in details)
        assert size <= bodies + 100
        assert server.default.http.post(f"{server.url}/debug/reset", json={"all": True}).status_code == 200
        server.default.track(userId="u")
        assert len(server.default.debug("requests")["items"]) == 1


def test_an_answer_from_before_they_were_kept_is_unknown(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    database.write_bytes(gzip.decompress((Path(__file__).with_name("data") / "store-v4.db.gz").read_bytes()))
    with serving(database=database) as server:
        requests = server.default.debug("requests", limit=1000)["items"]
        assert all(server.default.debug(f"requests/{item['id']}")["answer"] is None for item in requests)
        server.default.track(userId="u")
        assert kept(server.default)["answer"]["body"] == '{"success":true}'
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT count(*), count(answer_body) FROM requests").fetchone()
    assert found[0] - found[1] >= len(requests) - 1


def test_an_export_has_no_answers_and_a_replay_makes_them_again(account: Account) -> None:
    account.track(userId="u")
    account.track(event="refused")
    exported = account.http.get(f"{account.url}/debug/export")
    assert "answer" not in exported.text
    first = [account.debug(f"requests/{item['id']}")["answer"] for item in account.debug("requests")["items"]]
    copy = Account(f"{account.url}-copy", account.http)
    done = copy.http.post(
        f"{copy.url}/debug/import", content=exported.content, headers={"content-type": "application/jsonl"}
    )
    assert done.json()["imported"] == 2
    again = [copy.debug(f"requests/{item['id']}")["answer"] for item in copy.debug("requests")["items"]]
    assert again == first
