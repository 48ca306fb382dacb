"""Secrets made unreadable, and nothing else changed."""

import gzip
import hashlib
import json
import re
from typing import Any
from urllib.parse import quote

import pytest

from ours_emulator.http.redaction import Redactor, masked, without_tokens
from serving import Account, serving


@pytest.mark.parametrize(
    ("secret", "shown"),
    [("secret-live-7xyz", "…7xyz"), ("123456789", "…789"), ("short", "…t"), ("ab", "…"), ("", "…")],
)
def test_of_a_secret_only_the_end_is_shown(secret: str, shown: str) -> None:
    assert masked(secret) == shown


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ('{"token":"secret-live-7xyz","event":"token"}', '{"token":"\\u20267xyz","event":"token"}'),
        ('{ "token" :\n"secret-live-7xyz" }', '{ "token" :\n"\\u20267xyz" }'),
        ('{"events":[{"token":"aaaaaaaaa"}],"token":"bbbbbbbbb"}', None),
        ('{"token":"a\\"b\\\\c\\u0041defghijkl"}', '{"token":"\\u2026ijkl"}'),
        ('{"\\u0074oken":"secret-live-7xyz"}', '{"\\u0074oken":"\\u20267xyz"}'),
        ('{"token":5,"tokens":"abcdefghi"}', '{"token":5,"tokens":"abcdefghi"}'),
        ('{"token":"bad \\x escape"}', '{"token":"…"}'),
        ('{"note":"call with sk_live-123456789"}', '{"note":"call with …6789"}'),
        ("no JSON", "no JSON"),
    ],
)
def test_the_tokens_of_a_body_are_masked(body: str, shown: str | None) -> None:
    found = without_tokens(body)
    assert shown is None or found == shown
    assert not any(secret in found for secret in ("secret-live", "aaaaaaaa", "bbbbbbbb", "sk_live"))


def test_only_what_is_long_enough_to_be_a_secret_is_looked_for() -> None:
    redactor = Redactor(["t", "token-5ba8cf1e7d"])
    assert (
        redactor("POST /track/token-5ba8cf1e7d pk_abcdef123 task_force risk_k")
        == "POST /track/…1e7d …f123 task_force risk_k"
    )


@pytest.mark.parametrize("packed", [False, True])
def test_the_journal_can_be_shown_without_secrets(account: Account, packed: bool) -> None:
    body: dict[str, Any] = {"token": "secret-live-7xyz", "event": "E", "userId": "u"}
    text = json.dumps(body).encode()
    headers = {"content-encoding": "gzip"} if packed else {}
    assert account.post("/track", gzip.compress(text) if packed else text, headers).status_code == 200
    account.post("/track/pk_5c4d9e2a77", b"\xff")
    second, first = account.debug("requests")["items"]
    shown = account.debug(f"requests/{first['id']}", redact="true")
    assert json.loads(shown["body"]) == {**body, "token": "…7xyz"}
    assert json.loads(account.debug(f"requests/{first['id']}")["body"]) == body
    shown = account.debug(f"requests/{second['id']}", redact="true")
    assert (shown["path"].endswith("/track/…2a77"), shown["body"], shown["body_base64"]) == (True, None, None)


def test_of_two_secrets_with_one_beginning_both_are_masked_whole() -> None:
    redactor = Redactor(["abcdef", "abcdefghijklmnop"])
    assert redactor("abcdefghijklmnop abcdef") == "…mnop …ef"


def test_a_secret_is_found_as_it_stands_in_a_json_string_too() -> None:
    redactor = Redactor(['pa"ss-wörd-123456'])
    assert redactor('{"a":"pa\\"ss-w\\u00f6rd-123456","b":"pa\\"ss-wörd-123456"}') == '{"a":"…3456","b":"…3456"}'


def test_what_is_configured_as_secret_is_redacted_wherever_it_stands() -> None:
    with serving(tokens=["live_SECRET_12345"]) as server:
        server.default.track(userId="live_SECRET_12345", token="live_SECRET_12345")
        server.default.post("/api/client/pk_SECRETKEY1/live_SECRET_12345", {})
        server.default.post("/track", b"token=live_SECRET_12345&event=x")
        exported = server.http.get(f"{server.url}/debug/export", params={"redact": "true"}).text
        assert (len(exported.splitlines()), "SECRET" in exported) == (3, False)
        ids = [it["id"] for it in server.default.debug("requests")["items"]]
        for id_ in ids:
            shown = server.default.debug(f"requests/{id_}", redact="true")
            assert "SECRET" not in json.dumps([shown["body"], shown["path"]])


def test_in_a_redacted_export_the_same_secret_is_the_same_wherever_it_stands() -> None:
    with serving(tokens=["live_token_1"], public_keys=["pk_configured1"]) as server:
        server.default.track(userId="u", token="test_live_token_1")
        server.default.post("/track", b'{"token":"live_t\\u006fken_1","note":"live_token_1"}')
        server.default.post("/track", b"token=live_token_1&x=1")
        server.default.post("/api/client/alias/pk_configured1", {}, {"authorization": "Bearer pk_configured1"})
        exported = server.http.get(f"{server.url}/debug/export", params={"redact": "true"}).text
    assert set(re.findall(r"\w*redacted_\w+", exported)) == {
        *(f"{kind}redacted_{hidden('live_token_1')}" for kind in ("", "test_")),
        f"pk_redacted_{hidden('configured1')}",
    }


@pytest.mark.parametrize("secret", ["live_SECRET_12345", "live/SECRET 12345"])
def test_a_token_is_masked_wherever_somebody_put_it(secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    escaped = json.dumps({"token": "t", "note": secret}).replace("SECRET", "\\u0053ECRET").encode()
    with serving(tokens=[secret, "t-other"], public_keys=["pk_other_1"], log_format="human") as server:
        named = Account(f"{server.url}/accounts/{'other' if '/' in secret else secret}", server.http)
        named.track(userId="u")
        named.track(**{secret: 1, "token": "t-other", "event": secret, "userId": secret})
        named.post("/track", escaped, {"content-type": f"application/json; a={secret}"})
        named.post(f"/api/v1/{quote(secret)}", {})
        server.default.post(f"/{quote(secret, safe='')}", {}, {"content-encoding": secret})
        exported = server.http.get(f"{server.url}/debug/export", params={"redact": "true"}).text
        shown = [
            server.http.get(f"{server.url}/debug/requests/{one['id']}", params={"redact": "true"}).text
            for one in server.default.debug("requests")["items"]
        ]
    written = capsys.readouterr()
    for text in (exported, *shown, written.out, written.err):
        assert "SECRET" not in text
    assert len(exported.splitlines()) == len(shown) == 5


def hidden(secret: str) -> str:
    return hashlib.blake2b(secret.encode(), digest_size=6).hexdigest()
