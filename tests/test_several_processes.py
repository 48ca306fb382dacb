"""Several emulators on one PostgreSQL database: a request may go to any of them, and each shows what all were sent."""

import json
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from databases import PostgresqlServer, queried
from ours_emulator.app import create_standalone
from ours_emulator.settings import load
from ours_emulator.store import StoreError
from serving import JSON, Account, serving
from test_cli import serving as process
from waiting import NO_TLS

END_SESSIONS = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE application_name = 'ours-emulator' AND datname = current_database()
"""
END_LISTENING = END_SESSIONS + " AND query LIKE 'LISTEN %'"
OTHERS = "the database is in use by an emulator with other settings"


@pytest.fixture(scope="module")
def shared(postgresql: PostgresqlServer) -> str:
    """A database for two emulators."""
    return postgresql.schema()


@pytest.fixture(scope="module")
def urls(shared: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Two emulators, each in a process of its own, on one database."""
    with ExitStack() as stack:
        running = [
            stack.enter_context(process(tmp_path_factory.mktemp(name), "--database", shared, "--log-format", "none"))
            for name in ("one", "two")
        ]
        yield running[0].url, running[1].url


@pytest.fixture
def pair(urls: tuple[str, str]) -> Iterator[tuple[Account, Account]]:
    """A new account, as each of two emulators serves it."""
    name = f"a{uuid4().hex[:12]}"
    with ExitStack() as stack:
        clients = [stack.enter_context(httpx.Client(timeout=30, trust_env=False, verify=NO_TLS)) for _ in urls]
        one, two = (Account(f"{url}/accounts/{name}", http) for url, http in zip(urls, clients, strict=True))
        yield one, two


def put(account: Account, path: str, body: Any) -> Any:
    response = account.http.put(f"{account.url}/debug/{path}", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def post(account: Account, path: str, body: Any) -> Any:
    return account.http.post(f"{account.url}/debug/{path}", json=body)


def name_of(account: Account) -> str:
    return account.url.rpartition("/")[2]


def statuses(pair: tuple[Account, Account], count: int) -> list[int]:
    """Send so many events, to both by turns and eight at a time; return what they are answered."""

    def status(number: int) -> int:
        return pair[number % 2].track(userId=f"u{number % 7}").status_code

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(status, range(count)))


def test_what_one_answered_the_other_knows(pair: tuple[Account, Account]) -> None:
    for number in range(50):
        sender, other = pair if number % 2 else pair[::-1]
        assert sender.track(userId="u", distinctId=f"d{number}").status_code == 200
        assert other.events()[0]["distinct_id"] == f"d{number}"
        assert other.visitor()["event_count"] == number + 1


def test_a_distinct_id_that_one_has_is_a_duplicate_for_the_other(pair: tuple[Account, Account]) -> None:
    for account in pair:
        assert account.track(userId="u", distinctId="d").status_code == 200
    assert [event["outcome"] for event in pair[0].events(outcome="any")] == ["duplicate", "accepted"]


def test_settings_that_one_was_given_hold_for_the_next_request_to_the_other(pair: tuple[Account, Account]) -> None:
    one, two = pair
    for number in range(20):
        allowed, refused = f"E{number}", f"E{number + 1}"
        one.configure(allowed_events=[allowed], tokens=["live"])
        assert two.track(token="live", event=allowed, userId="u").status_code == 200
        assert two.track(token="live", event=refused, userId="u").status_code == 200
        outcomes = [event["outcome"] for event in two.events(outcome="any")][:2]
        assert sorted(outcomes) == ["accepted", "dropped"]
        assert two.track(token="other", event=allowed, userId="u").status_code == 401
        one, two = two, one


def test_a_revision_that_one_was_given_decides_which_paths_the_other_has(pair: tuple[Account, Account]) -> None:
    one, two = pair
    body = {"token": "exp_1", "visitor_id": "v"}
    for revision, status in (("2026-10", 200), ("2026-05", 404), ("2026-10", 200)):
        one.configure(revision=revision)
        assert two.post("/experiments/personalization", body).status_code == status
        assert two.debug("health")["revision"] == revision
        document = two.http.get(f"{two.url}/openapi").json()
        assert ("/experiments/personalization" in document["paths"]) is (revision == "2026-10")


@pytest.mark.rule("clock")
def test_the_clock_of_an_account_is_the_same_everywhere(pair: tuple[Account, Account]) -> None:
    one, two = pair
    for number in range(20):
        moment = 1_700_000_000_000 + number
        assert put(one, "clock", {"freeze": moment})["now_ms"] == moment
        assert two.track(userId="u").status_code == 200
        assert two.debug("clock")["now_ms"] == moment
        assert two.debug("requests")["items"][0]["received_at"] == f"2023-11-14T22:13:20.{number:03}Z"
        one, two = two, one
    put(one, "clock", {"resume": True})
    assert two.debug("clock")["state"] == "real"


def test_faults_hit_exactly_as_often_as_they_say(pair: tuple[Account, Account]) -> None:
    put(pair[0], "faults/twice", {"answer": {"status": 503}, "times": 7})
    assert Counter(statuses(pair, 60)) == {503: 7, 200: 53}
    for account in pair:
        (fault,) = account.debug("faults")["items"]
        assert (fault["matched"], fault["hits"], fault["used_up"]) == (60, 7, True)


def test_a_sequence_is_gone_through_once_by_all(pair: tuple[Account, Account]) -> None:
    put(pair[0], "faults/s", {"sequence": [{"status": 500}, None, {"status": 503}]})
    assert [pair[number % 2].track(userId="u").status_code for number in range(5)] == [500, 200, 503, 200, 200]


def test_a_rate_limit_is_that_of_the_account(pair: tuple[Account, Account]) -> None:
    put(pair[0], "clock", {"freeze": 1_700_000_000_000})
    put(pair[1], "faults/limit", {"rate_limit": {"per_second": 1, "burst": 3}})
    assert [pair[number % 2].track(userId="u").status_code for number in range(5)] == [200, 200, 200, 429, 429]
    put(pair[0], "clock", {"advance_ms": 1000})
    assert [pair[number % 2].track(userId="u").status_code for number in range(2)] == [200, 429]


def test_the_same_seed_gives_the_same_sequence_whichever_emulator_is_asked(pair: tuple[Account, Account]) -> None:
    plan = {"answer": {"status": 503}, "probability": 0.5, "seed": 3}
    put(pair[0], "faults/f", plan)
    alone = [pair[0].track(userId="u").status_code for _ in range(30)]
    put(pair[0], "faults/f", plan)
    assert [pair[number % 2].track(userId="u").status_code for number in range(30)] == alone
    assert len(set(alone)) == 2


@pytest.mark.rule("attempts")
def test_a_retry_that_reaches_the_other_is_an_attempt_of_the_same_call(pair: tuple[Account, Account]) -> None:
    one, two = pair
    put(one, "faults/f", {"answer": {"status": 429, "retry_after": 30}, "times": 1})
    assert one.track(userId="u", distinctId="d").status_code == 429
    assert two.track(userId="u", distinctId="d").status_code == 200
    (call,) = one.debug("calls")["items"]
    assert [attempt["status"] for attempt in call["attempts"]] == [429, 200]
    assert two.events()[0]["hints"][0]["rule"] == "attempts"


def test_a_closed_account_is_closed_everywhere_until_anyone_opens_it(pair: tuple[Account, Account]) -> None:
    one, two = pair
    one.track(userId="u")
    assert one.http.delete(f"{one.url}/debug/accounts/{name_of(one)}").status_code == 200
    assert [account.track(userId="u").status_code for account in (two, one, two)] == [410] * 3
    for account in pair:
        state = account.debug(f"accounts/{name_of(one)}")
        assert (state["state"], state["late_requests"]) == ("closed", 3)
    two.configure()
    assert one.track(userId="u").status_code == 200
    assert one.visitor()["event_count"] == 1


def test_a_reset_by_one_is_a_reset_for_all(pair: tuple[Account, Account]) -> None:
    one, two = pair
    put(one, "faults/f", {"answer": {"delay_ms": 1}})
    put(one, "clock", {"freeze": 1_700_000_000_000})
    one.track(userId="u", distinctId="d")
    two.track(userId="u", distinctId="e")
    assert post(two, "reset", {"account": name_of(two)}).json()["receipts"] == 2
    for account in pair:
        assert account.visitors() == []
        assert account.debug("faults")["items"] == []
        assert account.debug("clock")["state"] == "real"
    one.track(userId="u", distinctId="d")
    assert two.visitor()["event_count"] == 1


def test_a_wait_ends_when_the_event_reaches_the_other(pair: tuple[Account, Account]) -> None:
    one, two = pair
    for number in range(10):
        with ThreadPoolExecutor(1) as pool:
            body = {"match": {"event": f"E{number}"}, "timeout_ms": 20_000}
            waiting = pool.submit(post, two, "wait", body)
            one.track(userId="u", event=f"E{number}")
            assert waiting.result().status_code == 200


def test_a_wait_that_saw_an_event_counts_anew_after_a_reset_by_the_other(pair: tuple[Account, Account]) -> None:
    one, two = pair
    one.track(userId="u", event="E")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(post, two, "wait", {"match": {"event": "E"}, "count": 2, "timeout_ms": 20_000})
        one.track(userId="u", event="E2")
        post(one, "reset", {"account": name_of(one)})
        one.track(userId="u", event="E")
        one.track(userId="u", event="E")
        assert waiting.result().json()["count"] == 2


@contextmanager
def streamed(account: Account, **params: str) -> Generator[Callable[[], tuple[str, Any]]]:
    """Yield what returns the next message of a stream, its type and its content."""
    with (
        httpx.Client(timeout=30, trust_env=False, verify=NO_TLS) as http,
        http.stream("GET", f"{account.url}/debug/stream", params=params) as response,
    ):
        assert response.status_code == 200
        lines = response.iter_lines()

        def following() -> tuple[str, Any]:
            kind = ""
            for line in lines:
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    return kind, json.loads(value)
            raise AssertionError("the stream has ended")

        yield following


def test_a_stream_has_every_event_of_all_once_and_in_order(pair: tuple[Account, Account]) -> None:
    with streamed(pair[0]) as following:
        assert set(statuses(pair, 200)) == {200}
        ids = [following()[1]["id"] for _ in range(200)]
    assert ids == sorted(event["id"] for event in pair[1].events(limit="200"))


def test_a_stream_tells_of_a_reset_by_the_other_between_the_events_around_it(pair: tuple[Account, Account]) -> None:
    one, two = pair
    with streamed(two) as following:
        for number in range(5):
            one.track(userId="u", event=f"before{number}")
            assert following()[1]["event"] == f"before{number}"
            post(one, "reset", {"account": name_of(one)})
            assert following() == ("reset", {"account": name_of(one)})
            one.track(userId="u", event=f"after{number}")
            assert following()[1]["event"] == f"after{number}"


def test_a_stream_tells_of_the_reset_of_an_account_that_has_nothing(pair: tuple[Account, Account]) -> None:
    with streamed(pair[1]) as following:
        post(pair[0], "reset", {"account": name_of(pair[0])})
        assert following() == ("reset", {"account": name_of(pair[0])})


def test_streams_and_waits_outlive_the_connection_that_hears_of_commits(postgresql: PostgresqlServer) -> None:
    url = postgresql.database()
    with serving(database=url) as server:
        with streamed(server.default) as following:
            server.default.track(userId="u", event="first")
            last = following()[1]["id"]
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(post, server.default, "wait", {"match": {"event": "later"}, "timeout_ms": 20_000})
                queried(url, END_LISTENING)
                assert following() == ("behind", {})
                server.default.track(userId="u", event="later")
                assert waiting.result().status_code == 200
        with streamed(server.default, last_event_id=str(last)) as following:
            assert following()[1]["event"] == "later"


def test_a_stream_that_goes_on_at_the_other_emulator_misses_and_repeats_nothing(pair: tuple[Account, Account]) -> None:
    one, two = pair
    with streamed(one) as following:
        one.track(userId="u", event="first")
        last = following()[1]["id"]
    two.track(userId="u", event="second")
    with streamed(two, last_event_id=str(last)) as following:
        one.track(userId="u", event="third")
        assert [following()[1]["event"] for _ in range(2)] == ["second", "third"]


def test_a_stream_says_that_it_missed_what_was_evicted_before_it_was_read(postgresql: PostgresqlServer) -> None:
    url = postgresql.schema()
    with serving(database=url, keep=10) as server, streamed(server.default) as following:
        rows = [{"event": "E", "userId": "u", "distinctId": str(number)} for number in range(100)]
        assert server.default.batch(*rows).status_code == 200
        kinds = [following()[0]]
        while kinds[-1] == "receipt":
            kinds.append(following()[0])
        assert kinds[-1] == "behind"


def test_a_notification_of_somebody_else_is_passed_over(pair: tuple[Account, Account], shared: str) -> None:
    one, two = pair
    with streamed(one) as following:
        for text in ("", "hello", "[]", '{"a": 1}', "[1, 2]", "9" * 5000):
            queried(
                shared,
                f"SELECT pg_notify('ours_emulator_' || lpad(to_hex(hashtext(current_schema())), 8, '0'), '{text}')",
            )
        two.track(userId="u", event="later")
        assert following()[1]["event"] == "later"


def test_new_visitors_that_all_clients_name_at_once_exist_once(
    pair: tuple[Account, Account], urls: tuple[str, str]
) -> None:
    name = name_of(pair[0])

    def send(client: int) -> None:
        with httpx.Client(timeout=60, trust_env=False, verify=NO_TLS) as http:
            mine = Account(f"{urls[client % 2]}/accounts/{name}", http)
            for number in range(300):
                response = mine.track(externalId=f"x{number}", distinctId=f"d{number}")
                assert response.status_code == 200

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(8)))
    summary = pair[0].debug("summary")
    assert summary == pair[1].debug("summary")
    assert summary["visitors"] == 300
    assert (summary["outcomes"]["accepted"], summary["outcomes"]["duplicate"]) == (300, 2100)


WORKERS = 16
ACCOUNTS_OF_A_WORKER = 3
"""As many as keep the suite short; 100 were run by hand."""


def test_workers_with_many_accounts_each_see_exactly_their_own_wherever_they_ask(urls: tuple[str, str]) -> None:
    run = uuid4().hex[:8]

    def work(worker: int) -> None:
        with httpx.Client(timeout=60, trust_env=False, verify=NO_TLS) as http:
            for number in range(ACCOUNTS_OF_A_WORKER):
                use(*(Account(f"{url}/accounts/{run}-{worker}-{number}", http) for url in urls))

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(work, range(WORKERS)))


def use(one: Account, two: Account) -> None:
    """Use an account at both emulators by turns, and check that nothing of others is seen there."""
    name = name_of(one)
    moment = 1_700_000_000_000 + zlib.crc32(name.encode())
    put(one, "clock", {"freeze": moment})
    put(two, "faults/twice", {"answer": {"status": 503}, "times": 2})
    sent = [account.track(userId="same", distinctId="same", event=name).status_code for account in (one, two) * 2]
    assert sent == [503, 503, 200, 200]
    outcomes = ["duplicate", "accepted", "rejected", "rejected"]
    for account in (one, two):
        assert [(it["event"], it["outcome"]) for it in account.events(outcome="any")] == [(name, it) for it in outcomes]
        assert account.debug("clock")["now_ms"] == moment
    assert two.http.delete(f"{two.url}/debug/accounts/{name}").status_code == 200
    assert one.track(userId="same").status_code == 410


def test_emulators_with_other_settings_are_refused_and_told_which(postgresql: PostgresqlServer) -> None:
    url = postgresql.schema()
    with serving(database=url, allowed_events=["A"]):
        with serving(database=url, allowed_events=["A"], host="127.0.0.2", metrics=False):
            pass
        with pytest.raises(StoreError) as raised:
            create_standalone(load({"database": url, "log_format": "none", "tokens": ["t"]}, environment=False))
    said = "is in use by an emulator with other settings (allowed_events, tokens); start all with the same"
    assert str(raised.value) == f"{url} {said}"
    with serving(database=url, tokens=["t"]) as server:
        assert server.default.track(userId="u").status_code == 200


def test_everything_that_an_account_may_have_is_the_same_for_the_other(pair: tuple[Account, Account]) -> None:
    one, two = pair
    settings = {
        "tokens": ["live", "live\u0000"],
        "public_keys": ["pk_one"],
        "allowed_events": ["Paid", " caf\u00e9 "],
        "require_identifier": False,
        "strict_openapi": True,
        "revision": "2026-10",
        "experiments": {"hero": {"variants": [{"id": "a", "control": True}, {"id": "b"}]}},
        "tracking_plan": {"events": {"Paid": {"properties": {"amount": {"type": "number"}}}}},
    }
    path, text = f"accounts/{name_of(one)}", json.dumps(settings).encode()
    response = one.http.put(f"{one.url}/debug/{path}", content=text, headers=JSON)
    assert response.status_code == 200, response.text
    put(one, "faults/f", {"match": {"event": "Other"}, "answer": {"delay_ms": {"min": 1, "max": 2}}, "times": 3})
    put(one, "faults/g", {"sequence": [{"status": 429, "retry_after": 0.5}, None]})
    put(one, "clock", {"set": 1_600_000_000_000})
    shown = [without_time(account.debug(path)) for account in pair]
    assert shown[0] == shown[1]
    assert shown[0]["faults"] == 2
    for path in ("faults", "experiments", "tracking-plan", "rules"):
        assert one.debug(path) == two.debug(path)
    assert two.track(token="live", event="Paid", eventProperties={"amount": "x"}).status_code == 429
    assert two.track(token="live", event="Paid", eventProperties={"amount": "x"}).status_code == 200
    assert one.events()[0]["hints"][0]["rule"] == "tracking-plan"


def without_time(state: Any) -> Any:
    return {**state, "clock": state["clock"]["state"]}


def test_who_lost_its_connection_to_others_with_other_settings_is_not_ready(postgresql: PostgresqlServer) -> None:
    url = postgresql.database()
    with serving(database=url) as one:
        assert one.default.track(userId="u").status_code == 200
        queried(url, END_SESSIONS)
        with serving(database=url, keep=7):
            ready = one.http.get(f"{one.url}/readyz")
            assert (ready.status_code, ready.json()["error"]) == (503, OTHERS)
            assert one.default.track(userId="u").status_code == 500
        assert one.default.track(userId="u").status_code == 200
        assert one.http.get(f"{one.url}/readyz").status_code == 200


def test_what_was_set_outlives_all_emulators_of_a_database(postgresql: PostgresqlServer) -> None:
    url = postgresql.schema()
    with serving(database=url) as server:
        account = server.account()
        account.configure(allowed_events=["Paid"])
        put(account, "faults/f", {"answer": {"status": 503}, "times": 1})
        put(account, "clock", {"freeze": 1_700_000_000_000})
    with serving(database=url) as server:
        again = Account(f"{server.url}/accounts/{name_of(account)}", server.http)
        assert again.debug("clock")["now_ms"] == 1_700_000_000_000
        assert [again.track(userId="u").status_code for _ in range(2)] == [503, 200]
        assert again.events(outcome="any")[0]["outcome"] == "dropped"


def test_a_seed_is_planted_once_by_emulators_that_start_at_once(postgresql: PostgresqlServer, tmp_path: Path) -> None:
    seed = tmp_path / "seed.jsonl"
    line = {"path": "/track", "body": {"token": "t", "event": "E", "userId": "u"}, "received_at": 1_767_000_000_000}
    seed.write_text(json.dumps(line) + "\n")
    url = postgresql.schema()
    with ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        starting = [pool.submit(stack.enter_context, serving(database=url, seed=str(seed))) for _ in range(4)]
        assert len({one.result().url for one in starting}) == 4
        assert queried(url, "SELECT count(*) FROM receipts") == [(1,)]


def test_a_store_of_version_1_is_migrated(postgresql: PostgresqlServer, caplog: pytest.LogCaptureFixture) -> None:
    url = postgresql.schema()
    with serving(database=url) as server:
        server.default.track(userId="u")
    queried(url, "SELECT 1")
    as_version_1(url)
    with serving(database=url) as server:
        server.default.track(userId="u")
        assert server.default.visitor()["event_count"] == 2
    assert f"store: migrated {url} from version 1 to 2" in caplog.messages


def as_version_1(url: str) -> None:
    """Take from a store what version 1 had not."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (
            "DROP TABLE failed_attempts, shared_accounts, agreed_settings",
            "ALTER TABLE counters DROP failed_attempts, DROP names_version, DROP accounts_version",
            "UPDATE ours_emulator_store SET version = 1",
        ):
            connection.execute(statement.encode())
