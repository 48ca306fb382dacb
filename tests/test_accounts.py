"""Accounts as isolation: what each accepts, its clock, and what becomes of a closed one."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from ours_emulator.accounts import Account as SharedAccount
from ours_emulator.accounts import Accounts, OpenAccount
from ours_emulator.clock import Clock
from ours_emulator.contract.account import AccountConfig
from ours_emulator.contract.revision import revision
from ours_emulator.debug.account_codec import JsonAccounts
from ours_emulator.store import AccountText, StoreError
from serving import Account, Server, serving
from waiting import NO_TLS, until

pytestmark = pytest.mark.each_database


def name_of(account: Account) -> str:
    return account.url.rpartition("/")[2]


def configure(account: Account, **said: Any) -> dict[str, Any]:
    response = account.http.put(f"{account.url}/debug/accounts/{name_of(account)}", json=said)
    assert response.status_code == 200, response.text
    shown: dict[str, Any] = response.json()
    return shown


def close(account: Account) -> dict[str, Any]:
    response = account.http.delete(f"{account.url}/debug/accounts/{name_of(account)}")
    assert response.status_code == 200, response.text
    counts: dict[str, Any] = response.json()
    return counts


def set_clock(account: Account, **said: Any) -> httpx.Response:
    return account.http.put(f"{account.url}/debug/clock", json=said)


@pytest.mark.rule("accounts", "open-tokens", "401")
def test_an_account_accepts_what_it_is_told_to_and_others_do_not_change(account: Account, server: Server) -> None:
    shown = configure(account, tokens=["secret_token"], public_keys=["pk_secret"])
    assert (shown["tokens"], shown["public_keys"], shown["state"]) == (["…oken"], ["…ret"], "open")
    assert account.track(userId="u").status_code == 401
    assert account.track(userId="u", token="secret_token").status_code == 200
    alias = {"external_id": "x", "anonymous_id": "a"}
    found = [
        account.post("/api/client/alias", alias, {"authorization": f"Bearer {key}"}).status_code
        for key in ("pk_other", "pk_secret")
    ]
    assert found == [401, 204]
    assert server.account().track(userId="u").status_code == 200


def test_what_is_not_said_is_as_the_emulator_was_started() -> None:
    with serving(tokens="a,b", allowed_events="Purchase") as server:
        account = server.account()
        assert configure(account, require_identifier=False)["allowed_events"] == ["purchase"]
        assert account.track().status_code == 401
        assert configure(account, tokens=[], allowed_events=None)["allowed_events"] is None
        assert account.track(userId="u").status_code == 200


@pytest.mark.rule("allow-list", "identifier", "any-json")
def test_every_strictness_can_be_set_for_one_account(account: Account) -> None:
    configure(account, allowed_events=["Purchase"], require_identifier=False, strict_openapi=True)
    assert account.track(event="Other", userId="u").status_code == 200
    assert [it["outcome"] for it in account.events(outcome="any")] == ["dropped"]
    assert account.track(event="Purchase").status_code == 200
    assert account.track(event="Purchase", userId="u", eventProperties={"amount": 1}).status_code == 400


@pytest.mark.rule("account-closed")
def test_what_comes_for_a_closed_account_is_refused_counted_and_kept_nowhere(account: Account, server: Server) -> None:
    account.track(userId="u")
    before = server.default.debug("summary")["requests"]
    assert close(account) == {"account": name_of(account), "visitors": 1, "receipts": 1, "requests": 1}
    answers = [
        account.track(userId="u"),
        account.batch({"event": "E", "userId": "u", "distinctId": "d"}),
        account.post("/api/client/alias", {"external_id": "x", "anonymous_id": "a"}, {"authorization": "Bearer pk_1"}),
    ]
    assert [it.status_code for it in answers] == [410] * 3
    assert answers[0].content == b'{"success":false}'
    assert answers[1].json()["error"] == f"account {name_of(account)} is closed"
    assert answers[2].json()["status"] == "error"
    assert {it.headers["x-emulator-reason"] for it in answers} == {"account-closed"}
    shown = account.debug(f"accounts/{name_of(account)}")
    assert (shown["state"], shown["late_requests"], shown["clock"]) == ("closed", 3, None)
    assert account.events(outcome="any") == []
    assert server.default.debug("summary")["requests"] <= before
    assert close(account)["requests"] == 0


def test_a_closed_account_is_opened_again_empty(account: Account) -> None:
    configure(account, tokens=["a"])
    account.track(userId="u", token="a")
    close(account)
    assert configure(account)["late_requests"] == 0
    assert account.track(userId="u").status_code == 200
    assert account.visitor()["event_count"] == 1


def test_a_closed_account_has_no_clock_and_no_faults(account: Account) -> None:
    close(account)
    for response in (
        set_clock(account, freeze=True),
        account.http.get(f"{account.url}/debug/clock"),
        account.http.put(f"{account.url}/debug/faults/f", json={"answer": {"status": 503}}),
    ):
        assert response.status_code == 409
        assert "is closed" in response.json()["error"]


@pytest.mark.rule("account-closed")
def test_no_event_survives_an_account_that_is_closed_while_it_is_written_to(account: Account) -> None:
    answers: list[int] = []

    def send() -> None:
        with httpx.Client(trust_env=False, verify=NO_TLS) as http:
            mine = Account(account.url, http)
            answers.extend(mine.track(userId=f"u{at}").status_code for at in range(50))

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    until(lambda: len(answers) >= 20)
    closed = close(account)
    for sender in senders:
        sender.join()
    assert set(answers) <= {200, 410}
    assert closed["receipts"] == answers.count(200)
    assert account.events(outcome="any") == []
    assert account.debug(f"accounts/{name_of(account)}")["late_requests"] == answers.count(410)


def test_accounts_are_listed_also_those_of_an_earlier_run(tmp_path: Any) -> None:
    settings = {"database": str(tmp_path / "kept.db")}
    with serving(**settings) as server:
        Account(f"{server.url}/accounts/kept", server.http).track(userId="u")
    with serving(**settings) as server:
        used = Account(f"{server.url}/accounts/used", server.http)
        set_clock(used, resume=True)
        Account(f"{server.url}/accounts/looked-at", server.http).debug("clock")
        Account(f"{server.url}/accounts/looked-at", server.http).debug("faults")
        listed = server.default.debug("accounts")
        assert [it["account"] for it in listed["items"]] == ["kept", "used"]
        assert listed["total"] == 2
        assert server.default.debug("accounts/kept")["state"] == "open"


def test_an_account_nobody_used_is_not_there(account: Account) -> None:
    response = account.http.get(f"{account.url}/debug/accounts/{name_of(account)}")
    assert response.status_code == 404


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"token": ["a"]}, "token"),
        ({"tokens": "a"}, "tokens"),
        ({"tokens": [""]}, "tokens.0"),
        ({"tokens": [1]}, "tokens.0"),
        ({"public_keys": ["abc"]}, "public_keys.0"),
        ({"require_identifier": "no"}, "require_identifier"),
        ({"clock": {"freeze": False}}, "clock.freeze"),
        ([], ""),
    ],
)
def test_settings_of_an_account_that_make_no_sense_are_refused_by_name(
    account: Account, said: object, named: str
) -> None:
    response = account.http.put(f"{account.url}/debug/accounts/{name_of(account)}", json=said)
    assert response.status_code == 400
    assert named in response.json()["error"]


def test_a_patch_changes_only_what_it_names(account: Account, server: Server) -> None:
    url = f"{account.url}/debug/accounts/{name_of(account)}"
    configure(account, tokens=["live-token-1"], require_identifier=False, clock={"freeze": "2026-06-01T00:00:00Z"})
    changed = account.http.patch(url, json={"allowed_events": ["Purchase"]}).json()
    assert (changed["tokens"], changed["require_identifier"], changed["clock"]["state"]) == (["…en-1"], False, "frozen")
    assert account.track(token="another", userId="u").status_code == 401
    assert account.track(token="live-token-1", event="Other").status_code == 200
    assert [event["event"] for event in account.events(outcome="dropped")] == ["Other"]
    assert account.http.patch(url, json={}).json() == changed
    assert account.http.patch(url, json={"allowed_events": None}).json() == {**changed, "allowed_events": None}
    refused = account.http.patch(url, json={"tokens": ["test_x"]})
    assert (refused.status_code, account.debug(f"accounts/{name_of(account)}")["tokens"]) == (400, ["…en-1"])
    close(account)
    opened = account.http.patch(url, json={}).json()
    assert (opened["state"], opened["tokens"], opened["require_identifier"]) == ("open", [], True)
    new = server.http.patch(f"{server.url}/debug/accounts/patched", json={"strict_openapi": True}).json()
    assert (new["account"], new["strict_openapi"], new["require_identifier"]) == ("patched", True, True)


def test_faults_that_are_removed_where_there_are_none_make_no_account(server: Server) -> None:
    unused = Account(f"{server.url}/accounts/never-used", server.http)
    assert server.http.delete(f"{unused.url}/debug/faults/x").status_code == 404
    assert server.http.delete(f"{unused.url}/debug/faults").json() == {"removed": 0}
    assert server.http.get(f"{unused.url}/debug/accounts/never-used").status_code == 404


def test_a_name_that_can_be_no_accounts_is_refused(server: Server) -> None:
    response = server.http.put(f"{server.url}/debug/accounts/no spaces", json={})
    assert response.status_code == 400
    other = server.http.put(f"{server.url}/accounts/one/debug/accounts/two", json={})
    assert other.status_code == 400


@pytest.mark.rule("clock", "time-window")
def test_the_clock_of_an_account_governs_window_and_receipt(account: Account, server: Server) -> None:
    old = 1_754_874_000_000
    assert account.track(userId="u", time=old).status_code == 400
    assert set_clock(account, freeze=old + 1000).json() == {
        "account": name_of(account),
        "now": "2025-08-11T01:00:01.000Z",
        "now_ms": old + 1000,
        "state": "frozen",
    }
    assert account.track(userId="u", time=old).status_code == 200
    assert account.events()[0]["received_at"] == "2025-08-11T01:00:01.000Z"
    set_clock(account, advance_ms=7 * 86_400_000)
    assert account.track(userId="u", time=old).status_code == 400
    assert server.account().track(userId="u", time=old).status_code == 400


def test_a_clock_that_was_set_runs_on_and_resumes(account: Account) -> None:
    moved = set_clock(account, set="2030-01-01T00:00:00Z").json()
    assert (moved["state"], moved["now"][:16]) == ("moved", "2030-01-01T00:00")
    assert account.debug("clock")["now_ms"] >= moved["now_ms"]
    frozen = set_clock(account, freeze=True).json()
    assert account.debug("clock") == frozen
    assert set_clock(account, resume=True).json()["state"] == "real"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"freeze": None},
        {"freeze": False},
        {"freeze": True, "resume": True},
        {"set": "yesterday"},
        {"set": -1},
        {"set": 10**18},
        {"advance_ms": "1"},
        {"advance_ms": 253_402_300_799_999},
        {"advance_ms": -253_402_300_799_999},
        {"resume": False},
        {"frozen": True},
    ],
)
def test_a_clock_call_that_makes_no_sense_is_refused_and_changes_nothing(account: Account, said: object) -> None:
    response = account.http.put(f"{account.url}/debug/clock", json=said)
    assert response.status_code == 400, response.text
    assert account.debug("clock")["state"] == "real"


def test_reset_takes_the_clock_back_to_how_it_was_at_the_start() -> None:
    with serving(now="2026-05-01T12:00:00Z") as server:
        account = server.account()
        set_clock(account, resume=True)
        account.http.post(f"{account.url}/debug/reset", json={"account": name_of(account)})
        assert account.debug("clock")["now"] == "2026-05-01T12:00:00.000Z"


def test_a_clock_goes_through_its_states() -> None:
    clock = Clock()
    states: list[str] = [clock.state]
    clock = clock.frozen(5)
    moments = [clock.now()]
    clock = clock.set(9)
    moments.append(clock.now())
    states.append(clock.state)
    clock = Clock().set(Clock().now() + 10_000)
    states.append(clock.state)
    assert states == ["real", "frozen", "moved"]
    assert moments == [5, 9]


def test_sixteen_workers_with_many_accounts_each_see_exactly_their_own_events(sqlite_emulator: Server) -> None:
    seen: list[bool] = []

    def work(worker: int) -> None:
        with httpx.Client(trust_env=False, verify=NO_TLS, timeout=60) as http:
            for test in range(10):
                mine = Account(f"{sqlite_emulator.url}/accounts/w{worker}-{test}", http)
                mine.track(event=f"E{worker}-{test}", userId="same", distinctId="same")
                events = mine.events(outcome="any")
                seen.append([it["event"] for it in events] == [f"E{worker}-{test}"])
                close(mine)

    workers = [threading.Thread(target=work, args=(at,)) for at in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert seen == [True] * 160


def test_a_clock_that_reaches_the_end_of_all_years_harms_nobody(account: Account, server: Server) -> None:
    assert set_clock(account, set=253_402_300_799_999).status_code == 200
    assert account.track(userId="u").status_code == 200
    assert account.debug("clock")["now"] == "9999-12-31T23:59:59.999Z"
    assert account.events()[0]["received_at"] == "9999-12-31T23:59:59.999Z"
    server.default.debug("accounts")


def test_a_request_that_was_begun_while_the_account_was_closed_has_a_moment(account: Account) -> None:
    close(account)

    def body() -> Iterator[bytes]:
        yield b'{"token":"t","event":"E",'
        with httpx.Client(trust_env=False, verify=NO_TLS) as http:
            configure(Account(account.url, http))
        yield b'"userId":"u"}'

    headers = {"content-type": "application/json"}
    assert account.http.post(account.url + "/track", content=body(), headers=headers).status_code == 200
    assert account.events()[0]["received_at"] > "2026"


def test_settings_that_are_refused_change_nothing(account: Account) -> None:
    close(account)
    account.track(userId="u")
    said = {"tokens": ["zzz"], "clock": {"advance_ms": 253_402_300_799_999}}
    response = account.http.put(f"{account.url}/debug/accounts/{name_of(account)}", json=said)
    assert (response.status_code, "advance_ms" in response.json()["error"]) == (400, True)
    shown = account.debug(f"accounts/{name_of(account)}")
    assert (shown["state"], shown["late_requests"]) == ("closed", 1)


def test_rate_limits_go_with_a_clock_that_is_set_back_with_the_account(account: Account) -> None:
    configure(account, clock={"freeze": "2026-06-01T00:00:00Z"})
    account.http.put(f"{account.url}/debug/faults/slow", json={"rate_limit": {"per_second": 1, "burst": 1}})
    assert account.track(userId="u").status_code == 200
    configure(account, clock={"freeze": "2026-01-01T00:00:00Z"})
    assert account.track(userId="u").headers["retry-after"] == "1"
    configure(account, clock={"advance_ms": 60_000})
    assert account.track(userId="u").status_code == 200


def test_the_test_mode_twin_is_no_token_of_an_account(account: Account) -> None:
    url = f"{account.url}/debug/accounts/{name_of(account)}"
    response = account.http.put(url, json={"tokens": ["test_x"]})
    assert response.status_code == 400
    assert (
        response.json()["error"]
        == "tokens.0: must be the live token; the test_ token that belongs to it is accepted too"
    )


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"freeze": "yesterday"}, "freeze: 'yesterday' is not a valid timestamp; use ISO 8601"),
        ({"freeze": 1_700_000_000}, "freeze: 1700000000 looks like seconds or a year"),
        ({"set": 1_700_000_000}, "set: 1700000000 looks like seconds or a year"),
        ({"freez": True}, "freez: unknown field; did you mean freeze?"),
        ({}, "give exactly one of freeze, set, advance_ms and resume"),
    ],
)
def test_what_is_wrong_with_a_clock_is_said(account: Account, said: dict[str, Any], error: str) -> None:
    response = set_clock(account, **said)
    assert (response.status_code, response.json()["error"][: len(error)]) == (400, error)


class SlowAccounts(JsonAccounts):
    """Accounts as JSON, of which the one that is frozen takes until it is told to go on to be read."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.goes_on = threading.Event(), threading.Event()

    def decode(self, text: str, template: AccountConfig) -> SharedAccount:
        account = super().decode(text, template)
        if isinstance(account, OpenAccount) and account.clock.state == "frozen":
            self.begun.set()
            assert self.goes_on.wait(10)
        return account


class Left:
    """Accounts that other processes left, each by its name, its version and what it is."""

    def __init__(self, *accounts: tuple[str, int, OpenAccount]) -> None:
        self.texts = [AccountText(name, version, JsonAccounts().encode(it)) for name, version, it in accounts]

    async def after(self, version: int) -> list[AccountText]:
        return self.changed_accounts(version)

    def changed_accounts(self, after: int) -> list[AccountText]:
        return [text for text in self.texts if text.version > after]

    def save_accounts(self, texts: Mapping[str, str]) -> int:
        raise AssertionError(texts)


CONFIG = AccountConfig("default", revision("2026-05"))
FROZEN, MOVED = OpenAccount(CONFIG, Clock(frozen_at=1)), OpenAccount(CONFIG, Clock(offset=7))


def sharing(left: Left, codec: JsonAccounts | None = None) -> Accounts:
    accounts = Accounts(CONFIG)
    accounts.share(codec or JsonAccounts(), left, left.after)
    return accounts


def clocks(accounts: Accounts, *names: str) -> list[Clock]:
    opened = [accounts.open(name) for name in names]
    return [it.clock for it in opened if it is not None]


def test_an_older_version_that_takes_longer_to_read_does_not_replace_a_newer_one() -> None:
    left, codec = Left(("default", 1, FROZEN)), SlowAccounts()
    accounts = sharing(left, codec)
    reading = threading.Thread(target=lambda: asyncio.run(accounts.refresh()))
    reading.start()
    assert codec.begun.wait(10)
    left.texts = Left(("default", 2, MOVED)).texts
    with accounts.transaction():
        accounts.load()
    codec.goes_on.set()
    reading.join(10)
    assert clocks(accounts, "default") == [Clock(offset=7)]


def test_accounts_that_were_changed_together_are_all_taken_over_by_who_asks_meanwhile() -> None:
    codec = SlowAccounts()
    accounts = sharing(Left(("a", 7, MOVED), ("b", 7, FROZEN)), codec)
    first, second = (threading.Thread(target=lambda: asyncio.run(accounts.refresh())) for _ in range(2))
    first.start()
    assert codec.begun.wait(10)
    codec.begun.clear()
    second.start()
    assert codec.begun.wait(10)
    codec.goes_on.set()
    second.join(10)
    assert clocks(accounts, "a", "b") == [Clock(offset=7), Clock(frozen_at=1)]
    first.join(10)


def test_the_event_loop_goes_on_while_an_account_is_read() -> None:
    codec = SlowAccounts()
    accounts = sharing(Left(("default", 1, FROZEN)), codec)

    async def use() -> None:
        refreshing = asyncio.create_task(accounts.refresh())
        await asyncio.to_thread(codec.begun.wait, 10)
        assert not refreshing.done()
        codec.goes_on.set()
        await refreshing

    asyncio.run(use())
    assert clocks(accounts, "default") == [Clock(frozen_at=1)]


def test_a_transaction_that_fails_leaves_what_others_changed_meanwhile() -> None:
    left = Left()
    accounts = sharing(left)

    def use() -> None:
        with accounts.transaction():
            accounts.put("default", OpenAccount(CONFIG, Clock(offset=1)))
            left.texts = Left(("default", 3, MOVED)).texts
            asyncio.run(accounts.refresh())
            accounts.put("default", OpenAccount(CONFIG, Clock(offset=2)))
            raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        use()
    assert clocks(accounts, "default") == [Clock(offset=7)]


def test_what_cannot_be_read_of_an_account_is_an_error_of_the_store() -> None:
    for text in ("{}", "[]", "null", '{"settings": "{\\"new\\": 1}", "clock": {}, "faults": [], "newer_sdk": ""}'):
        with pytest.raises(StoreError, match="account default was stored by another version of ours-emulator"):
            JsonAccounts().decode(text, CONFIG)
