"""What the debug API says of a call that it refuses: in plain English, with the place, and without Python's words."""

import json
from typing import Any

import pytest

from serving import JSON, Account, Server

NAME_FORM = "use letters, digits, dot, dash, underscore; up to 100, beginning with a letter or digit"
TIMESTAMP = "must be a timestamp: ISO 8601, for example 2026-01-31T12:00:00Z, or milliseconds"


def refusal(account: Account, method: str, path: str, body: Any = None) -> tuple[int, str]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = account.http.request(
        method, account.url + path, content=None if method == "GET" else content, headers=JSON
    )
    (sentence,) = response.json().values()
    assert list(response.json()) == ["error"]
    return response.status_code, sentence


REFUSED: list[tuple[str, str, Any, str]] = [
    ("POST", "/debug/wait", {}, "match: is missing"),
    ("POST", "/debug/wait", {"match": {}, "count": "1"}, "count: must be an integer"),
    ("POST", "/debug/wait", {"match": {}, "count": 1.5}, "count: must be an integer"),
    ("POST", "/debug/wait", {"match": {}, "count": -1}, "count: must be at least 0"),
    ("POST", "/debug/wait", {"match": {}, "account": "a b"}, f"account: 'a b' is not a valid name; {NAME_FORM}"),
    ("POST", "/debug/verify/sequence", {"sequence": []}, "sequence: must not be empty"),
    ("POST", "/debug/verify/sequence", {"sequence": [{}], "strict": 1}, "strict: must be true or false"),
    ("POST", "/debug/reset", {"account": 5}, "account: must be a string"),
    ("PUT", "/debug/clock", [], "the body must be an object"),
    ("PUT", "/debug/clock", b"", "the body is missing"),
    ("PUT", "/debug/clock", b"[,]", "the body is not valid JSON: Expecting value, at character 1"),
    ("PUT", "/debug/clock", b"\xff", "the body is not valid JSON: it is not UTF-8"),
    ("PUT", "/debug/clock", {"freeze": []}, f"freeze: {TIMESTAMP}"),
    ("PUT", "/debug/clock", {"set": True}, f"set: {TIMESTAMP}"),
    ("PUT", "/debug/clock", {"resume": False}, "resume: must be true"),
    ("PUT", "/debug/faults/f", {"answer": {"delay_ms": "x"}}, "answer.delay_ms: must be a number"),
    ("PUT", "/debug/faults/f", {"answer": {"status": 600}}, "answer.status: must be at most 599"),
    ("PUT", "/debug/faults/-f", {"answer": {"status": 500}}, f"name: '-f' is not a valid name; {NAME_FORM}"),
    ("GET", "/debug/events?limit=x", None, "limit: must be an integer"),
    ("GET", "/debug/events?test=maybe", None, "test: must be true or false"),
    ("GET", "/debug/requests/x", None, "request_id: must be an integer"),
]


@pytest.mark.parametrize(("method", "path", "body", "said"), REFUSED)
def test_a_call_that_is_not_understood_is_told_in_plain_words(
    account: Account, method: str, path: str, body: Any, said: str
) -> None:
    assert refusal(account, method, path, body) == (400, said)


def test_an_unknown_path_or_method_is_told_with_where_the_calls_are_listed(account: Account, server: Server) -> None:
    assert refusal(server.default, "GET", "/debug/nosuch") == (
        404,
        "there is no /debug/nosuch; GET /debug lists every call",
    )
    status, said = refusal(account, "DELETE", "/debug/events")
    assert status == 405
    assert said.endswith("/debug/events does not take DELETE; GET /debug lists every call")


@pytest.mark.parametrize("path", ["/debug", "/debug/", "/debug/events", "/debug/nosuch"])
@pytest.mark.parametrize("name", ["BAD NAME", "-x", "", "x" * 101])
def test_the_debug_api_of_an_account_that_cannot_exist_says_what_its_name_may_be(
    server: Server, name: str, path: str
) -> None:
    status, said = refusal(server.default, "GET", f"/accounts/{name}{path}")
    assert status == 404
    assert said.startswith(f"'{name[:100]}")
    assert said.endswith(f"is not a valid account name; {NAME_FORM}")


def test_an_emulated_endpoint_of_an_account_that_cannot_exist_answers_in_its_own_shape(server: Server) -> None:
    response = server.default.post("/accounts/BAD NAME/track", {})
    assert (response.status_code, response.json()) == (404, {"success": False})
