"""Secrets made unreadable, and nothing else changed."""

import base64
import gzip
import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import pytest

from ours_emulator.http.log import WarningHandler
from ours_emulator.http.redaction import Redactor, masked, without_tokens
from serving import Account, Server, serving


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
        ('{"token":"bad \\x escape"}', "…"),
        ('{"note":"call with sk_live-123456789"}', '{"note":"call with …6789"}'),
        ("no JSON", "no JSON"),
    ],
)
def test_the_tokens_of_a_body_are_masked(body: str, shown: str | None) -> None:
    found = without_tokens(body)
    assert shown is None or found == shown
    assert not any(secret in found for secret in ("secret-live", "aaaaaaaa", "bbbbbbbb", "sk_live"))


SECRET = "secret-live-7xyz"
IN_JSON = json.dumps({"token": SECRET, "a": 1})
TWICE = json.dumps({"data": json.dumps({"Token": SECRET})})


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (f'{{"Token" : "{SECRET}","a":1}}', '{"Token" : "\\u20267xyz","a":1}'),
        (f'\ufeff{{"token":"{SECRET}"}}', '\ufeff{"token":"\\u20267xyz"}'),
        (json.dumps({"data": TWICE, "event": "Token Created"}), None),
        (f'{{"token":["{SECRET}"]}}', '{"token":["\\u20267xyz"]}'),
        (f'{{"token":["{SECRET}"],"token":"t"}}', "…"),
        (f'{{"note":"Token: {SECRET}"}}', '{"note":"\\u20267xyz"}'),
        (f'{{"event":"token","a":"/x?token={SECRET}&b=1"}}', '{"event":"token","a":"/x?token=\\u20267xyz&b=1"}'),
        (f"{{'token': '{SECRET}'}}", None),
        (f"{{token: {SECRET}}}", None),
        (f'{{"token":"ab"{SECRET}"}}', None),
        (f'{{"token":"{SECRET}","event":', None),
        (f'--b\r\nContent-Disposition: form-data; name="token"\r\n\r\n{SECRET}\r\n--b--', None),
        (f"%74oken={SECRET}&a=b", "…&a=b"),
        (f"token=t&access_token={SECRET}", None),
        (IN_JSON.encode("utf-16-le").decode(), None),
        (IN_JSON.encode("utf-16-be").decode(), None),
        ('{"a":1,', '{"a":1,'),
    ],
)
def test_a_token_that_nobody_configured_is_masked_wherever_a_body_names_it(body: str, shown: str | None) -> None:
    found = without_tokens(body)
    assert shown is None or found == shown
    assert "secret" not in found


def test_what_json_has_beside_a_token_in_a_text_is_kept() -> None:
    shown = json.loads(without_tokens(json.dumps({"data": TWICE, "event": "Token Created"})))
    assert shown["event"] == "Token Created"
    assert json.loads(json.loads(shown["data"])["data"]) == {"Token": "…7xyz"}


def test_only_what_is_long_enough_to_be_a_secret_is_looked_for() -> None:
    redactor = Redactor(["t", "token-5ba8cf1e7d"])
    assert (
        redactor("POST /track/token-5ba8cf1e7d pk_abcdef123 task_force risk_k")
        == "POST /track/…1e7d …f123 task_force risk_k"
    )


def percent(text: str, times: int = 1) -> str:
    """Return *text* with every character percent-encoded, so many *times*."""
    encoded = "".join(f"%{byte:02x}" for byte in text.encode())
    return encoded.replace("%", "%" + "25" * (times - 1))


def escaped(text: str, backslashes: int = 1) -> str:
    units = text.encode("utf-16-be").hex(" ", 2).upper().split()
    return "".join(backslashes * "\\" + f"u{unit}" for unit in units)


def base64s(text: str) -> list[str]:
    """Return *text* in base64, after no, one and two other bytes."""
    return [base64.b64encode(b"xx"[:before] + text.encode() + b":y").decode() for before in range(3)]


WAYS: Sequence[Callable[[str], str]] = (
    percent,
    lambda secret: percent(secret, 2),
    lambda secret: percent(secret, 5),
    lambda secret: percent(secret[0], 2) + secret[1:],
    lambda secret: secret[:-1] + percent(secret[-1]),
    lambda secret: "%2F" + secret,
    escaped,
    lambda secret: escaped(secret, 4),
    lambda secret: secret[0] + escaped(secret[1]) + secret[2:],
    lambda secret: escaped(secret).replace("\\", "%5C"),
)


@pytest.mark.parametrize("way", range(len(WAYS)))
@pytest.mark.parametrize("secret", ["live_SECRET_12345", "pk_SECRET12345", "wörd😀/SECRET"])
def test_a_secret_is_masked_however_it_is_escaped(secret: str, way: int) -> None:
    shown = f"…{secret[-4:]}"
    spelled = WAYS[way](secret)
    redactor = Redactor([] if secret.startswith("pk_") else [secret])
    assert redactor(f"POST /a/{spelled} b").removeprefix("POST /a/").removeprefix("%2F") == f"{shown} b"


@pytest.mark.parametrize("secret", ["live_SECRET_12345", "pk_SECRET12345", "wörd~~~???SECRET"])
def test_a_configured_secret_is_masked_in_base64(secret: str) -> None:
    redactor = Redactor([secret])
    for spelled in base64s(secret):
        for text in (spelled, spelled.replace("+", "-").replace("/", "_")):
            shown = redactor(f'{{"data":"{text}"}}')
            assert "…" in shown
            assert not any(text[start : start + 8] in shown for start in range(3, len(text) - 10))


def test_a_key_as_basic_credentials_is_masked_though_nobody_configured_it() -> None:
    credentials = base64.b64encode(b"sk_SECRET12345:").decode()
    assert Redactor()(f"Basic {credentials} /{credentials}") == "Basic …NDU6 /…NDU6"


def test_what_stands_for_a_secret_leaves_json_as_it_is() -> None:
    secret = 'ends with"\\'
    text = json.dumps({"a": secret, "b": 1})
    assert json.loads(Redactor([secret])(text)) == {"a": "…", "b": 1}


def test_a_text_of_nothing_but_escapes_takes_little_time() -> None:
    redactor = Redactor(["live_SECRET_12345"])
    for text in ("\\" * 1_000_000, "%25" * 300_000, "%" + "25" * 500_000, "%70" * 300_000, "\\u0070" * 200_000):
        started = time.process_time()
        redactor(text)
        assert time.process_time() - started < 5


def test_a_token_in_a_form_is_masked_like_one_in_json() -> None:
    assert without_tokens("event=E&token=secret-live-7xyz&a=b") == "event=E&token=…7xyz&a=b"


def test_nothing_of_a_secret_is_in_an_export_or_in_the_log_however_it_was_sent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    secrets = ("live_SECRET_12345", "pk_SECRET12345")
    spelled = [spell(secret) for secret in secrets for spell in WAYS] + base64s(secrets[0]) + base64s(secrets[1])[:1]
    with serving(tokens=[secrets[0], "t-other"], log_format="json") as server:
        for text in spelled:
            path = text if text[0] != "\\" else "x"
            server.default.post(f"/track/{path}", json.dumps({"note": text}).encode())
            server.default.track(token="t-other", event=text, userId="u")
        exported = server.http.get(f"{server.url}/debug/export", params={"redact": "true"}).text
        ids = [one["id"] for one in server.default.debug("requests", limit=100)["items"]]
        shown = [server.default.debug(f"requests/{id_}", redact="true") for id_ in ids]
    assert len(shown) == 2 * len(spelled)
    for text in (exported, json.dumps(shown), capsys.readouterr().out):
        for way in spelled:
            assert way[4:-5] not in text
            assert json.dumps(way)[5:-6] not in text


def test_secrets_of_an_account_are_masked_in_the_refusals_of_its_requests(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(log_format="human") as server:
        account = server.account()
        account.configure(tokens=["live_SECRET_12345"])
        assert account.http.get(f"{account.url}/live_SECRET_12345").status_code == 404
        assert account.http.post(f"{account.url}/debug/live_SECRET_12345").status_code == 415
    lines = capsys.readouterr().out.splitlines()
    assert [("…2345" in line, "SECRET" in line) for line in lines] == [(True, False)] * 2


def test_secrets_are_masked_in_what_is_logged_as_a_warning(capfd: pytest.CaptureFixture[str]) -> None:
    handler = WarningHandler(Redactor(["live_SECRET_12345"]))
    record = logging.LogRecord("a", logging.ERROR, "", 0, "no live_SECRET_12345, no pk_SECRET12345", None, None)
    handler.handle(record)
    handler.flush()
    assert capfd.readouterr().err == "ERROR: no …2345, no …2345\n"


@pytest.mark.parametrize("coding", ["", "gzip", "x-gzip"])
def test_the_journal_can_be_shown_without_secrets(account: Account, coding: str) -> None:
    body: dict[str, Any] = {"token": "secret-live-7xyz", "event": "E", "userId": "u"}
    text = json.dumps(body).encode()
    headers = {"content-encoding": coding} if coding else {}
    assert account.post("/track", gzip.compress(text) if coding else text, headers).status_code == 200
    account.post("/track/pk_5c4d9e2a77", b"\xff")
    second, first = account.debug("requests")["items"]
    shown = account.debug(f"requests/{first['id']}", redact="true")
    assert json.loads(shown["body"]) == {**body, "token": "…7xyz"}
    assert json.loads(account.debug(f"requests/{first['id']}")["body"]) == body
    shown = account.debug(f"requests/{second['id']}", redact="true")
    assert (shown["path"].endswith("/track/…2a77"), shown["body"], shown["body_base64"]) == (True, None, None)
    assert shown["body_missing"] == "it is not text, so that tokens in it cannot be masked"


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
        # The first line has the settings of the account.
        assert (len(exported.splitlines()), "SECRET" in exported) == (4, False)
        ids = [it["id"] for it in server.default.debug("requests")["items"]]
        for id_ in ids:
            shown = server.default.debug(f"requests/{id_}", redact="true")
            assert "SECRET" not in json.dumps([shown["body"], shown["path"]])


@pytest.mark.parametrize("body", [b"{'token': 'SECRET_1'}", IN_JSON.encode("utf-16-le"), IN_JSON.encode("utf-16")])
def test_a_body_that_is_redacted_whole_is_refused_again_when_replayed(server: Server, body: bytes) -> None:
    one, other = server.account(), server.account()
    assert one.post("/track", body).status_code == 400
    exported = one.http.get(f"{one.url}/debug/export", params={"redact": "true"}).text
    assert "SECRET" not in exported
    assert "secret" not in exported
    replayed = other.post("/debug/import", exported.encode(), {"content-type": "application/jsonl"}).json()
    assert (replayed["outcomes"], replayed["differing"]) == ({"rejected": 1}, [])


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
    requests = [line for line in exported.splitlines() if "settings" not in json.loads(line)]
    assert len(requests) == len(shown) == 5


def hidden(secret: str) -> str:
    return hashlib.blake2b(secret.encode(), digest_size=6).hexdigest()


def test_a_secret_in_a_name_that_is_cut_is_masked_too(capsys: pytest.CaptureFixture[str]) -> None:
    secret = "Sup3rS3cretTokenLong"
    with serving(tokens=[secret], log_format="human") as server:
        for length in range(75, 96):
            server.default.track(token=secret, userId="u", **{"y" * length + secret: 1})
    logged = capsys.readouterr().out
    assert "yyy" in logged
    assert secret[:6] not in logged


@pytest.mark.parametrize("depth", [400, 600, 900, 3000])
def test_a_deeply_nested_body_does_not_end_a_redacted_export(account: Account, depth: int) -> None:
    account.post("/track", b"[" * depth + b"]" * depth)
    account.track(userId="u")
    exported = account.http.get(f"{account.url}/debug/export", params={"redact": "true"})
    assert len(exported.text.splitlines()) == 2
