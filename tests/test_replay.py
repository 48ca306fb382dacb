"""Export, import and seed: what leaves one emulator is the same in another."""

import base64
import gzip
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from ours_emulator.app import create_app
from ours_emulator.settings import SettingsError, load
from ours_emulator.store import StoreError
from serving import Account, Server, serving

LINES = {"content-type": "application/jsonl"}
MOMENT = 1_754_874_000_000


def line(path: str = "/track", **more: Any) -> dict[str, Any]:
    body = json.dumps({"token": "t", "event": "E", "userId": "u", **more.pop("said", {})})
    return {"path": path, "body": body, "received_at": MOMENT, **more}


def text_of(*lines: Any) -> bytes:
    return b"".join(json.dumps(it).encode() + b"\n" for it in lines)


def imported(account: Account, content: bytes) -> dict[str, Any]:
    response = account.http.post(f"{account.url}/debug/import", content=content, headers=LINES)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def exported(account: Account, **params: Any) -> list[dict[str, Any]]:
    response = account.http.get(f"{account.url}/debug/export", params=params)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/jsonl")
    return [json.loads(it) for it in response.text.splitlines()]


def visitors(account: Account) -> list[dict[str, Any]]:
    found = account.visitors()
    for visitor in found:
        del visitor["account"], visitor["visitor_id"], visitor["identifiers"]["user_id"]
    return found


def a_bit_of_everything(account: Account) -> None:
    key = {"authorization": "Bearer pk_1"}
    account.track(userId="u", email="a@b.co", eventProperties={"text": "NUL \x00", "null": None})
    account.post("/track", b'{"token":"t","event":"\\ud800","userId":"u"}')
    account.identify(externalId="x", userProperties={"first_name": "Zoë", "custom_properties": {"plan": "pro"}})
    account.batch({"event": "E", "userId": "u", "distinctId": "1"}, {"event": "", "distinctId": "2"})
    account.post("/track", b"\xff\x00 no text")
    account.post("/track", gzip.compress(b'{"token":"t","event":"Z","userId":"z"}'), {"content-encoding": "gzip"})
    account.post("/track", b"x", {"content-type": "text/plain"})
    account.post("/api/client/events", [{"name": "Seen", "anonymous_id": "anon", "user": {"email": "c@d.e"}}], key)
    account.post("/api/client/alias", {"external_id": "known", "anonymous_id": "anon"}, key)
    account.post("/api/client/alias", {"external_id": "known", "anonymous_id": "anon"})
    device = {name: name for name in ("device_id", "os", "model", "app_build", "app_version")}
    account.post("/devices", {"external_id": "known", **device}, key)
    account.http.put(account.url + "/track", json={})
    account.post("/nothing", {})
    account.track(userId="u", event="Late", time=0)


def test_what_is_exported_and_imported_elsewhere_gives_the_same_visitors_and_answers(server: Server) -> None:
    one, other = server.account(), server.account()
    a_bit_of_everything(one)
    lines = exported(one)
    answer = imported(other, text_of(*lines))
    assert (answer["imported"], answer["differing"]) == (14, [])
    assert answer["outcomes"] == {"accepted": 9, "rejected": 7}
    assert visitors(other) == visitors(one)
    again = exported(other)
    for before, after in zip(lines, again, strict=True):
        assert {**before, "account": ""} == {**after, "account": ""}
    assert [it["body"] for it in details(one)] == [it["body"] for it in details(other)]


def details(account: Account) -> list[dict[str, Any]]:
    return [account.debug(f"requests/{it['id']}") for it in account.debug("requests")["items"]]


def test_a_body_that_is_no_text_survives_byte_for_byte(account: Account) -> None:
    account.post("/track", b"\xff\x00\xfe")
    (only,) = exported(account)
    assert base64.b64decode(only["body_base64"]) == b"\xff\x00\xfe"


def test_a_body_over_the_limit_is_refused_again_though_it_was_not_kept(account: Account) -> None:
    account.batch({"event": "x" * 6_000_000})
    (only,) = exported(account)
    assert (only["status"], only["oversized"], only["body"]) == (413, True, "")
    (shown,) = details(account)
    assert shown["body_missing"] == "it was too large to be accepted, and is not kept"
    assert imported(account, text_of(only))["differing"] == []


def test_a_request_is_replayed_at_the_moment_it_was_received(account: Account) -> None:
    imported(account, text_of(line(said={"time": MOMENT - 1000}, status=200)))
    (event,) = account.events()
    assert event["received_at"] == "2025-08-11T01:00:00.000Z"


def test_what_a_fault_did_is_replayed_and_no_fault_is_asked_again(server: Server) -> None:
    one, other = server.account(), server.account()
    one.http.put(f"{one.url}/debug/faults/f", json={"sequence": [{"status": 503}, {"status": 500, "stored": True}]})
    for _ in range(3):
        one.track(userId="u", distinctId="d")
    other.http.put(f"{other.url}/debug/faults/f", json={"answer": {"status": 503}})
    answer = imported(other, text_of(*exported(one)))
    assert (answer["imported"], answer["differing"]) == (3, [])
    assert answer["outcomes"] == {"rejected": 1, "accepted": 1, "duplicate": 1}
    assert other.debug("faults/f")["matched"] == 0
    (call,) = other.debug("calls")["items"]
    assert [it["status"] for it in call["attempts"]] == [503, 500, 200]


@pytest.mark.rule("attempts")
def test_who_waited_as_asked_did_so_in_a_replay_too(server: Server) -> None:
    one, other = server.account(), server.account()
    one.http.put(f"{one.url}/debug/faults/f", json={"answer": {"status": 429, "retry_after": 0.2}, "times": 1})
    one.track(userId="u", distinctId="d")
    # As long as it was asked to.
    time.sleep(0.2)
    one.track(userId="u", distinctId="d")
    imported(other, text_of(*exported(one)))
    (call,) = other.debug("calls")["items"]
    assert call["attempts"][1]["gap_ms"] >= 200
    assert other.events()[0]["hints"] == []


def test_what_is_answered_otherwise_than_recorded_is_told(account: Account) -> None:
    answer = imported(account, text_of(line(status=200), line(status=401), line(status=None), line()))
    assert [(it["line"], it["recorded"], it["now"]) for it in answer["differing"]] == [(2, 401, 200), (3, None, 200)]
    assert answer["differing_total"] == 2


def test_more_than_a_hundred_differing_answers_are_counted_but_not_listed(account: Account) -> None:
    answer = imported(account, text_of(*[line(status=401)] * 103))
    assert (answer["differing_total"], len(answer["differing"])) == (103, 100)


def test_without_a_prefix_each_line_goes_to_its_own_account() -> None:
    with serving() as server:
        imported(server.default, text_of(line(account="one"), line(account="two"), line()))
        assert [it["account"] for it in server.default.debug("accounts")["items"]] == ["default", "one", "two"]
        assert {it["account"] for it in exported(server.default)} == {"default", "one", "two"}
        assert [it["path"] for it in exported(server.default)] == ["/track"] * 3
        paths = {it["path"] for it in server.default.debug("requests")["items"]}
        assert paths == {"/track", "/accounts/one/track", "/accounts/two/track"}


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        (b"{", "not JSON"),
        (b"[]", "must be an object"),
        (b"null", "must be an object"),
        (b"NaN", "NaN"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (json.dumps({"path": "/track"}).encode(), "received_at"),
        (json.dumps(line(path="track")).encode(), "path"),
        (json.dumps(line(received_at="now")).encode(), "received_at"),
        (json.dumps(line(received_at=-1)).encode(), "received_at"),
        (json.dumps(line(received_at=10**18)).encode(), "received_at"),
        (json.dumps(line(account="no spaces")).encode(), "account"),
        (json.dumps(line(url="/track")).encode(), "url"),
        (json.dumps(line(body_base64="aGk=")).encode(), "4: body and body_base64 are both given"),
        (json.dumps({**line(), "body": None, "body_base64": "?"}).encode(), "base64"),
        (json.dumps({**line(), "body": "\ud800"}).encode(), "body"),
        (json.dumps(line(fault={"name": "f"})).encode(), "fault"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_imported(account: Account, bad: bytes, named: str) -> None:
    content = text_of(line(), line()) + b"\n" + bad + b"\n" + text_of(line())
    response = account.http.post(f"{account.url}/debug/import", content=content, headers=LINES)
    assert response.status_code == 400
    assert response.json()["error"].startswith("line 4: ")
    assert named in response.json()["error"]
    assert account.debug("summary")["requests"] == 0


def test_nothing_at_all_may_be_imported(account: Account) -> None:
    nothing: dict[str, Any] = {"differing_total": 0, "differing": [], "kept_settings": []}
    assert imported(account, b"") == {"imported": 0, "outcomes": {}, **nothing}


def test_an_import_into_a_closed_account_says_so(account: Account) -> None:
    name = account.url.rpartition("/")[2]
    account.http.delete(f"{account.url}/debug/accounts/{name}")
    response = account.http.post(f"{account.url}/debug/import", content=text_of(line()), headers=LINES)
    assert (response.status_code, "line 1" in response.json()["error"]) == (409, True)


@pytest.mark.parametrize("media_type", ["text/plain", ""])
def test_an_import_is_json_lines(account: Account, media_type: str) -> None:
    headers = {"content-type": media_type}
    response = account.http.post(f"{account.url}/debug/import", content=text_of(line()), headers=headers)
    assert response.status_code == 415


def test_a_redacted_export_has_no_token_and_still_replays(server: Server) -> None:
    one, other = server.account(), server.account()
    one.track(userId="a", token="secret_1")
    one.track(userId="b", token="test_secret_1")
    packed = gzip.compress(b'{"token":"secret_1","event":"E","userId":"c"}')
    one.post("/track", packed, {"content-encoding": "gzip"})
    one.post("/api/client/alias", {"external_id": "x", "anonymous_id": "y"}, {"authorization": "Bearer pk_secret"})
    lines = exported(one, redact=True)
    assert "secret" not in json.dumps(lines)
    answer = imported(other, text_of(*lines))
    assert answer["differing"] == []
    assert sorted(it["test"] for it in other.events()) == [False, False, True]
    assert "secret" in json.dumps(exported(one))


SETTINGS: dict[str, Any] = {
    "tokens": ["live_secret_1"],
    "public_keys": ["pk_test_secret_1"],
    "allowed_events": ["paid", "seen"],
    "require_identifier": False,
    "strict_openapi": True,
    "revision": "2026-10",
    "experiments": {"button": {"variants": [{"id": "green"}]}},
    "tracking_plan": {
        "events": {"Paid": {"properties": {"amount": {"$ref": "#/$defs/money"}}}},
        "$defs": {"money": {}},
    },
}


def name_of(account: Account) -> str:
    return account.url.rpartition("/")[2]


def what_settings_decide(account: Account) -> None:
    account.configure(**SETTINGS)
    for event, token in (("Paid", "live_secret_1"), ("Lost", "live_secret_1"), ("Paid", "live_other"), ("Paid", 5)):
        account.track(event=event, token=token, userId="u")
    account.track(event="Paid", token="live_secret_1")
    for key in ("pk_test_secret_1", "pk_test_secret_2"):
        body = [{"name": "Seen", "anonymous_id": "a"}]
        account.post("/api/client/events", body, {"authorization": f"Bearer {key}"})
    account.post("/experiments/assignments/button", {"token": "live_secret_1", "externalId": "u"})


@pytest.mark.parametrize("redact", [False, True])
def test_an_export_replays_under_the_settings_of_the_recorded_account(server: Server, redact: bool) -> None:
    one, other = server.account(), server.account()
    what_settings_decide(one)
    lines = exported(one, redact=redact)
    answer = imported(other, text_of(*lines))
    assert (answer["imported"], answer["differing"], answer["kept_settings"]) == (8, [], [])
    assert outcomes(other) == outcomes(one)
    assert set(outcomes(other)) == {"accepted", "dropped", "rejected"}
    again = exported(other)
    assert {**again[0], "account": ""} == {**lines[0], "account": ""}
    assert ("secret" in json.dumps(lines)) != redact


def outcomes(account: Account) -> list[str]:
    return [event["outcome"] for event in account.events(outcome="any", order="arrival")]


def test_an_export_begins_with_the_settings_of_each_account_that_has_others_than_the_defaults() -> None:
    with serving(require_identifier=False) as server:
        one, two = (Account(f"{server.url}/accounts/{name}", server.http) for name in ("one", "two"))
        one.configure(**SETTINGS)
        two.configure(require_identifier=True)
        for account in (one, two, server.default):
            account.track(userId="u")
        default, of_one, *rest = exported(server.default)
        assert (default["account"], default["settings"]["require_identifier"]) == ("default", False)
        assert (of_one["account"], of_one["settings"]["tokens"]) == ("one", ["live_secret_1"])
        assert [list(it)[:2] for it in rest] == [["account", "method"]] * 3
        assert [list(it)[:2] for it in exported(two)] == [["account", "method"]]


@pytest.mark.parametrize(
    ("chosen", "keeps"), [({}, False), ({"clock": {"freeze": True}}, False), ({"require_identifier": True}, True)]
)
def test_an_account_that_was_given_a_default_keeps_it(account: Account, chosen: dict[str, Any], keeps: bool) -> None:
    account.configure(**chosen)
    url = f"{account.url}/debug/accounts/{name_of(account)}"
    assert account.http.patch(url, json={"clock": {"advance_ms": 1}}).status_code == 200
    answer = imported(account, text_of({"settings": {"require_identifier": False}}))
    assert answer["kept_settings"] == [name_of(account)] * keeps
    assert account.debug(f"accounts/{name_of(account)}")["require_identifier"] == keeps


def test_an_account_keeps_its_own_settings_and_an_import_says_so(server: Server) -> None:
    one, other, same = server.account(), server.account(), server.account()
    what_settings_decide(one)
    other.configure(allowed_events=["Lost"])
    same.configure(**SETTINGS)
    content = text_of(*exported(one))
    answer = imported(other, content)
    assert answer["kept_settings"] == [name_of(other)]
    assert answer["differing_total"] == len(answer["differing"]) > 0
    assert other.debug(f"accounts/{name_of(other)}")["allowed_events"] == ["lost"]
    assert imported(same, content)["kept_settings"] == []
    both = text_of({"settings": {"allowed_events": ["A"]}}, {"account": "b", "settings": {"allowed_events": ["B"]}})
    empty = server.account()
    assert imported(empty, both)["kept_settings"] == [name_of(empty)]
    assert empty.debug(f"accounts/{name_of(empty)}")["allowed_events"] == ["a"]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"revision": "1999-01"}, "line 1: settings.revision: "),
        ({"colour": "red"}, "line 1: settings.colour: "),
        (None, "line 1: settings: "),
    ],
)
def test_settings_that_are_none_are_named_and_nothing_is_imported(account: Account, settings: Any, named: str) -> None:
    content = text_of({"settings": settings}, line())
    response = account.http.post(f"{account.url}/debug/import", content=content, headers=LINES)
    assert response.status_code == 400
    assert response.json()["error"].startswith(named)


def test_settings_do_not_open_an_account_that_is_closed(server: Server) -> None:
    closed = server.account()
    server.http.delete(f"{server.url}/debug/accounts/{name_of(closed)}")
    content = text_of({"account": name_of(closed), "settings": SETTINGS})
    assert server.http.post(f"{server.url}/debug/import", content=content, headers=LINES).json()["imported"] == 0
    assert server.default.debug(f"accounts/{name_of(closed)}")["state"] == "closed"


def test_a_seed_brings_its_settings_unless_the_emulator_has_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seed = tmp_path / "seed.jsonl"
    seed.write_bytes(text_of({"settings": {"allowed_events": ["Paid"]}}, line()))
    with serving(seed=str(seed)) as server:
        assert outcomes(server.default) == ["dropped"]
        assert server.default.debug("accounts/default")["allowed_events"] == ["paid"]
    assert caplog.messages == []
    with serving(seed=str(seed), allowed_events=["E"]) as server:
        assert outcomes(server.default) == ["accepted"]
    said = "account default has settings of its own and keeps them; those in the file differ"
    assert caplog.messages == [f"seed {seed}: {said}"]


def test_an_export_tells_how_much_is_no_longer_there() -> None:
    with serving(keep=2) as server:
        for _ in range(5):
            server.default.track(userId="u")
        response = server.http.get(server.url + "/debug/export")
        assert (response.headers["x-emulator-evicted"], len(response.text.splitlines())) == ("3", 2)


def test_an_export_of_many_pages_is_whole_and_in_order(server: Server) -> None:
    one, other = server.account(), server.account()
    many = text_of(*(line(said={"distinctId": str(at), "eventProperties": {"x": "y" * 20_000}}) for at in range(1200)))
    assert imported(one, many)["outcomes"] == {"accepted": 1200}
    ids = [json.loads(it["body"])["distinctId"] for it in exported(one)]
    assert ids == [str(at) for at in range(1200)]
    assert exported(other) == []


def test_a_new_store_begins_with_the_seed_and_reset_brings_it_back(tmp_path: Path) -> None:
    seed = tmp_path / "seed.jsonl"
    seed.write_bytes(text_of(line(), line(account="other", said={"userId": "o"})))
    with serving(seed=str(seed)) as server:
        other = Account(f"{server.url}/accounts/other", server.http)
        assert [it["visitor_id"] for it in server.default.visitors(account="default")] == ["u"]
        server.default.track(userId="mine")
        other.track(userId="mine")
        server.default.post("/debug/reset", {"account": "default"})
        assert [it["visitor_id"] for it in server.default.visitors(account="default")] == ["u"]
        assert [it["visitor_id"] for it in other.visitors()] == ["mine", "o"]
        server.default.post("/debug/reset", {"all": True})
        assert [it["visitor_id"] for it in other.visitors()] == ["o"]


def test_a_kept_store_is_sown_once(tmp_path: Path) -> None:
    seed = tmp_path / "seed.jsonl"
    seed.write_bytes(text_of(line()))
    for _ in range(2):
        with serving(seed=str(seed), database=str(tmp_path / "kept.db")) as server:
            assert server.default.debug("summary")["requests"] == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), (text_of(line()) + b"nonsense\n", "line 2: not JSON")],
)
def test_a_seed_that_is_none_is_told_in_one_line(tmp_path: Path, content: bytes | None, said: str) -> None:
    seed = tmp_path / "seed.jsonl"
    if content is not None:
        seed.write_bytes(content)
    with pytest.raises(SettingsError, match=said):
        create_app(load({"seed": str(seed)}))


def test_ids_go_on_after_a_reset_and_a_restart(tmp_path: Path) -> None:
    settings = {"database": str(tmp_path / "kept.db")}
    with serving(**settings) as server:
        server.default.track(userId="u")
        (before,) = server.default.events()
        server.default.post("/debug/reset", {"all": True})
    with serving(**settings) as server:
        server.default.track(userId="u")
        (after,) = server.default.events()
        assert after["id"] > before["id"]
        assert after["request_id"] > before["request_id"]


def test_an_export_of_another_account_than_the_path_is_refused(account: Account) -> None:
    response = httpx.get(f"{account.url}/debug/export", params={"account": "another"}, trust_env=False)
    assert response.status_code == 400


def test_an_import_that_is_refused_in_the_middle_says_what_was_imported(server: Server) -> None:
    closed, one = server.account(), server.account()
    names = [it.url.rpartition("/")[2] for it in (closed, one)]
    server.http.delete(f"{server.url}/debug/accounts/{names[0]}")
    content = text_of(line(account=names[0]), *(line(account=names[1]) for _ in range(9)))
    response = server.http.post(f"{server.url}/debug/import", content=content, headers=LINES)
    assert (response.status_code, "line 1: account" in response.json()["error"]) == (409, True)
    assert "9 lines were imported" in response.json()["error"]
    assert one.debug("summary")["requests"] == 9


def test_the_seed_of_a_closed_account_is_no_late_request(tmp_path: Path) -> None:
    seed = tmp_path / "seed.jsonl"
    seed.write_bytes(text_of(line(account="sown")))
    with serving(seed=str(seed)) as server:
        server.http.delete(f"{server.url}/debug/accounts/sown")
        server.default.post("/debug/reset", {"all": True})
        assert server.default.debug("accounts/sown")["late_requests"] == 0


def test_a_seed_is_sown_whole_or_not_at_all(tmp_path: Path) -> None:
    seed, database = tmp_path / "seed.jsonl", tmp_path / "kept.db"
    seed.write_bytes(text_of(*(line(said={"distinctId": str(at)}) for at in range(600))))
    settings = {"seed": str(seed), "database": str(database), "keep": 5}
    with serving(**settings) as server:
        server.default.post("/debug/reset", {"all": True})
        summary = server.default.debug("summary")
        assert (summary["requests"], summary["evicted_requests"]) == (5, 595)
        assert server.default.visitor()["event_count"] == 600


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/track", b"{}", {"authorization": "Bearer SECRET_1"}),
        ("/track", b"{}", {"authorization": "SECRET_1"}),
        ("/track", b"token=SECRET_1&event=E", {"content-type": "application/x-www-form-urlencoded"}),
        ("/track", b'{"token":"t","event":"pk_SECRET_1","userId":"u"}', {}),
        ("/api/client/alias", b"{}", {"authorization": "bearer PK_SECRET_1"}),
    ],
)
def test_a_secret_in_an_unusual_place_is_redacted_too(
    account: Account, path: str, body: bytes, headers: dict[str, str]
) -> None:
    account.post(path, body, headers)
    assert "SECRET_1" in json.dumps(exported(account))
    assert "SECRET_1" not in json.dumps(exported(account, redact=True))


def test_what_is_no_path_of_ours_is_replayed_as_it_was(server: Server) -> None:
    one, other = server.account(), server.account()
    for path in ("/track//", "/api/clientele", "/api/client/other"):
        assert one.post(path, {"token": "t", "event": "E", "userId": "u"}).status_code in (401, 404)
    lines = exported(one)
    answer = imported(other, text_of(*lines, line(path="*", method="GET", status=404)))
    assert (answer["outcomes"], answer["differing"]) == ({"rejected": 4}, [])
    kinds = ["endpoint", "status"]
    before, after = ([[it[kind] for kind in kinds] for it in who.debug("requests")["items"]] for who in (one, other))
    assert after[1:] == before


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
def test_a_seed_that_the_store_cannot_hold_is_told_and_leaves_the_store_closed(tmp_path: Path) -> None:
    import resource

    seed, database = tmp_path / "seed.jsonl", tmp_path / "kept.db"
    seed.write_bytes(text_of(*(line(said={"eventProperties": {"x": "y" * 60_000}}) for _ in range(40))))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
    try:
        with pytest.raises(StoreError, match=r"seed\.jsonl cannot be stored"):
            create_app(load({"seed": str(seed), "database": str(database)}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    with serving(database=str(database)) as server:
        assert server.default.debug("summary")["requests"] == 0
