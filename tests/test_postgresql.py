"""The store in PostgreSQL, beside what tests of the store find alike in both databases: how it opens, and fails."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import InternalError, OperationalError

from databases import WITH_PASSWORD, PostgresqlServer, free_port, queried, running_server
from ours_emulator.database_url import without_password
from ours_emulator.settings import load
from ours_emulator.store import Retention, StoreBusyError, StoreError, open_store
from ours_emulator.store.postgresql.address import address_of
from ours_emulator.store.postgresql.engine import read_only_engine
from ours_emulator.store.postgresql.writing_connection import WritingConnection
from ours_emulator.store.writing.counters import COUNTED
from ours_emulator.store.writing.statements import SUM_EVENTS, SUM_PENDING
from serving import Account, Server, serving
from test_cli import COMMAND, environment
from test_cli import serving as process
from waiting import sending, until

KEY = {"authorization": "Bearer pk_k"}
KILL_WRITERS = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE application_name = 'ours-emulator' AND datname = current_database()
"""
FAIL = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} END $$;
CREATE {} TRIGGER fail {} ON {} {} FOR EACH ROW EXECUTE FUNCTION fail()
"""


@pytest.fixture
def url(postgresql: PostgresqlServer) -> str:
    """A schema of its own."""
    return postgresql.schema()


@pytest.fixture
def whole(postgresql: PostgresqlServer) -> str:
    """A database of its own."""
    return postgresql.database()


def name_of(url: str) -> str:
    return urlsplit(url).path[1:]


def execute(url: str, statement: str) -> None:
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute(statement.encode())


def refused(url: str) -> str:
    """Return why an emulator cannot open the database at *url*: one line."""
    with pytest.raises(StoreError) as caught:
        open_store(url, Retention())
    said = str(caught.value)
    assert "\n" not in said
    return said


def outcomes(account: Account) -> dict[str, int]:
    counts: dict[str, int] = account.debug("summary")["outcomes"]
    return {name: count for name, count in counts.items() if count}


# How it opens


def test_two_emulators_may_have_a_schema_each_of_one_database(whole: str) -> None:
    execute(whole, "CREATE SCHEMA one; CREATE SCHEMA two")
    urls = [f"{whole}?options=-csearch_path%3D{schema}" for schema in ("one", "two")]
    with serving(database=urls[0]) as one, serving(database=urls[1]) as two:
        one.default.track(userId="u")
        assert outcomes(one.default) == {"accepted": 1}
        assert outcomes(two.default) == {}


def test_a_database_without_the_schema_of_its_search_path_is_refused(whole: str) -> None:
    said = refused(f"{whole}?options=-csearch_path%3Dnone")
    assert said.endswith(" has no schema for tables; create the one in its search_path")


def test_a_database_that_cannot_be_reached_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    url = f"postgresql://ann:secret@127.0.0.1:{free_port()}/store"
    done = subprocess.run(
        [*COMMAND, "serve", "--port", "0", "--database", url],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"ours-emulator: {url.replace(':secret', '')} cannot be opened: ")
    assert done.stderr.count("\n") == 1


def test_a_database_that_is_not_there_is_refused(postgresql: PostgresqlServer) -> None:
    assert refused(postgresql.url("missing")).endswith('database "missing" does not exist')


@pytest.mark.parametrize("table", ["accounts", "counters"])
def test_a_database_of_something_else_is_refused_and_left_as_it_is(whole: str, table: str) -> None:
    execute(whole, f"CREATE TABLE {table} (mine text)")
    assert refused(whole) == f"{whole} has a table {table} of another program; use another database or schema"
    assert queried(whole, "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace") == [
        (table,)
    ]


@pytest.mark.parametrize(
    ("version", "why"),
    [
        (3, "has store version 3, but this program supports at most 2; use a newer ours-emulator"),
        (0, "has store version 0, which cannot be migrated to 2; use a new database"),
    ],
)
def test_a_store_of_another_version_is_refused(url: str, version: int, why: str) -> None:
    open_store(url, Retention()).writer.close()
    execute(url, f"UPDATE ours_emulator_store SET version = {version}")
    assert refused(url) == f"{url} {why}"


def test_a_store_without_one_of_its_tables_is_refused(url: str) -> None:
    open_store(url, Retention()).writer.close()
    execute(url, "DROP TABLE receipts")
    damage = "is damaged: table receipts is missing; restore it from a backup or use a new database"
    assert refused(url) == f"{url} {damage}"


def test_a_database_that_is_read_only_is_refused(whole: str) -> None:
    execute(whole, f"ALTER DATABASE {name_of(whole)} SET default_transaction_read_only = on")
    assert refused(whole) == f"{whole} is read-only; use the primary server"


def test_without_the_driver_one_line_names_the_extra() -> None:
    script = """
import sys
sys.modules["psycopg"] = None
from ours_emulator.store import Retention, open_store
open_store("postgres://localhost/store", Retention())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50)
    last = done.stderr.splitlines()[-1]
    needs = "a PostgreSQL database needs the extra postgres; run: pip install 'ours-emulator[postgres]'"
    assert last == f"ours_emulator.errors.StoreError: {needs}"


# Passwords

SECRET = "sesame"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://ann:sesame@db:5432/store", "postgresql://ann@db:5432/store"),
        ("postgresql://ann:se@s/e?ame@db/store", "postgresql://ann@db/store"),
        ("postgresql://ann@db/store?password=sesame", "postgresql://ann@db/store"),
        ("postgres://db/store?a=1&password=sesame&b=2", "postgres://db/store?a=1&b=2"),
        ("postgres://db/store?sslpassword=sesame&b=2", "postgres://db/store?b=2"),
        ("postgresql://db:5432,other:5433/store", "postgresql://db:5432,other:5433/store"),
        ("postgresql:///store?host=/run/postgresql", "postgresql:///store?host=/run/postgresql"),
        ("sqlite:///a:b@c.db", "sqlite:///a:b@c.db"),
        ("a:b@c.db", "a:b@c.db"),
    ],
)
def test_a_url_is_shown_without_its_passwords(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_a_password_is_used_and_shown_nowhere(
    postgresql: PostgresqlServer, url: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    postgresql.execute(f"CREATE USER {WITH_PASSWORD} SUPERUSER PASSWORD '{SECRET}'")
    place = url.partition("@")[2]
    given = f"postgresql://{WITH_PASSWORD}:{SECRET}@{place}"
    settings = load({"database": given, "log_format": "json"})
    with serving(database=given) as server:
        assert server.default.track(userId="u").status_code == 200
        shown = server.http.get(f"{server.url}/debug/settings").text
    said = refused(f"postgresql://{WITH_PASSWORD}:wrong-{SECRET}@{place}")
    assert "password authentication failed" in said
    texts = [shown, said, repr(settings.settings), caplog.text, *capsys.readouterr()]
    assert [text for text in texts if SECRET in text] == []
    assert json.loads(shown)["database"]["value"] == f"postgresql://{WITH_PASSWORD}@{place}"


@pytest.mark.parametrize(
    "place", ["ann:sesame@db:sesame/store", "ann:ses/ame@db/store", "db/store?sesame=1", "[sesame"]
)
def test_a_url_that_is_not_valid_is_refused_without_a_part_of_it(place: str) -> None:
    said = "postgresql://… is not a valid database URL; use postgresql://user@host/name"
    assert refused(f"postgresql://{place}") == said


@pytest.mark.parametrize("log_format", ["human", "json"])
def test_the_banner_names_the_database_without_its_password(tmp_path: Path, url: str, log_format: str) -> None:
    given = url.replace("postgres@", f"postgres:{SECRET}@")
    with process(tmp_path, "--log-format", log_format, OURS_EMULATOR_DATABASE=given) as running:
        assert url in running.said()
        assert SECRET not in running.said() + running.complained()


# What it writes


def test_an_answer_waits_for_the_disk_whatever_the_database_says(whole: str) -> None:
    execute(whole, f"ALTER DATABASE {name_of(whole)} SET synchronous_commit = off")
    execute(whole, "CREATE TABLE noted (setting text)")
    with serving(database=whole) as server:
        note = "INSERT INTO noted VALUES (current_setting('synchronous_commit')); RETURN NULL;"
        execute(whole, FAIL.format(note, "", "AFTER INSERT", "receipts", ""))
        server.default.track(userId="u")
    assert queried(whole, "SELECT setting FROM noted") == [("on",)]


def test_texts_of_any_size_and_character_are_stored_and_found(url: str) -> None:
    name, text = "\U0001f600\0\ud800x" * 250, "x" * 4_000_000
    with serving(database=url) as server:
        event = {"token": "t", "event": name, "userId": "u", "distinctId": "1"}
        body = json.dumps({**event, "eventProperties": {"n": 1e308}}).encode()
        assert server.default.post("/track", body).status_code == 200
        large = {"event": "E", "userId": "v", "distinctId": "2", "eventProperties": {"text": "y"}}
        rows = [
            {**large, "distinctId": str(number), "eventProperties": {"text": text[:900_000]}} for number in range(5)
        ]
        assert server.default.batch(*rows).json()["accepted"] == 5
        assert server.default.identify(userId="w", userProperties={"custom_properties": {"t": text}}).is_success
        (found,) = server.http.get(f"{server.url}/debug/events", params={"property.n": "1e308"}).json()["items"]
        assert (found["event"], found["event_properties"]) == (name, {"n": 1e308})
        assert server.default.visitor(user_id="w")["custom_properties"] == {"t": text}
        assert server.default.debug("summary")["events"][name] == 1


def test_the_kept_counters_are_those_that_are_counted(url: str) -> None:
    with serving(database=url, keep=40, keep_body_bytes=6000) as server:
        other = Account(f"{server.url}/accounts/other", server.http)
        for number in range(60):
            server.default.track(event=f"E{number % 7}", userId=f"u{number % 5}", distinctId=f"d{number}")
            other.identify(userId="large", userProperties={"custom_properties": {f"n{number}": "x" * 300}})
        device = dict.fromkeys(("device_id", "os", "model", "app_build", "app_version"), "x")
        assert other.post("/api/client/devices", {"external_id": "later", **device}, KEY).status_code == 204
        other.post("/debug/reset", {"account": "other"})
        server.default.batch(*({"event": "E", "userId": "v", "distinctId": f"b{number}"} for number in range(50)))
        # The removal of what was reset goes on when everybody was answered.
        until(lambda: queried(url, "SELECT count(*) FROM accounts") == [(2,)])
    kept = dict(zip(COUNTED, queried(url, f"SELECT {', '.join(COUNTED)} FROM counters")[0], strict=True))
    events, present = queried(url, SUM_EVENTS)[0]
    counted = {
        "receipts": queried(url, "SELECT count(*) FROM receipts")[0][0],
        "requests": queried(url, "SELECT count(*) FROM requests")[0][0],
        "body_bytes": queried(url, "SELECT sum(length(body) + length(answer_body)) FROM requests")[0][0],
        "event_bytes": events,
        "present_bytes": present,
        "pending": queried(url, "SELECT count(*) FROM pending_devices")[0][0],
        "pending_bytes": queried(url, SUM_PENDING)[0][0],
    }
    assert {name: kept[name] for name in counted} == counted
    assert counted["receipts"] == 40
    assert kept["next_receipt_id"] > queried(url, "SELECT max(id) FROM receipts")[0][0]


# How it fails


@contextmanager
def failing(url: str, body: str, table: str, when: str = "BEFORE INSERT") -> Generator[None]:
    """Let a trigger on *table* run *body*; DEFERRED is when the transaction is committed."""
    deferred = ("CONSTRAINT", "AFTER UPDATE", table, "DEFERRABLE INITIALLY DEFERRED")
    execute(url, FAIL.format(body, *(deferred if when == "DEFERRED" else ("", when, table, ""))))
    yield
    execute(url, f"DROP TRIGGER fail ON {table}; DROP FUNCTION fail()")


@contextmanager
def locked(url: str) -> Generator[None]:
    """Keep every writer waiting."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT * FROM counters FOR UPDATE")
        yield


def waiting_writers(url: str) -> list[int]:
    query = "SELECT pid FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
    return [row[0] for row in queried(url, query)]


@pytest.mark.rule("429-500")
@pytest.mark.parametrize("code", ["53100", "57014", "40001", "XX000", "23505"])
def test_an_error_of_the_server_is_answered_500_and_nothing_of_the_request_is_kept(url: str, code: str) -> None:
    with serving(database=url) as server:
        server.default.track(userId="u", distinctId="1")
        before = server.default.debug("events"), server.default.debug("visitors")
        for table in ("requests", "receipts", "visitors", "counters"):
            when = "BEFORE UPDATE" if table == "counters" else "BEFORE INSERT"
            with failing(url, f"RAISE EXCEPTION 'boom' USING ERRCODE = '{code}';", table, when=when):
                fail_in_each_shape(server)
            assert (server.default.debug("events"), server.default.debug("visitors")) == before
        assert server.default.track(userId="u", distinctId="2").status_code == 200
        assert outcomes(server.default) == {"accepted": 2}


def fail_in_each_shape(server: Server) -> None:
    """Send a request to each API, none of which is stored."""
    rows = [{"event": "Boom", "userId": "boom", "distinctId": "b"}]
    for answer in (server.default.track(userId="boom"), server.default.identify(userId="boom", userProperties={})):
        assert (answer.status_code, answer.json()) == (500, {"success": False})
    answer = server.default.batch(*rows)
    assert (answer.status_code, answer.json()["retryable"]) == (500, True)
    assert (
        server.default.post("/api/client/events", [{"anonymous_id": "boom", "name": "E", "user": {}}], KEY).status_code
        == 400
    )


def test_a_database_that_is_gone_or_a_standby_is_told_and_works_again_when_it_is_back() -> None:
    with running_server() as own, serving(database=own.database()) as server:
        account = server.default
        account.track(userId="u")
        own.stop()
        fail_in_each_shape(server)
        assert server.http.get(f"{server.url}/readyz").status_code == 503
        assert server.http.get(f"{server.url}/livez").status_code == 200
        assert server.http.get(f"{server.url}/debug/events").status_code == 500
        standby = own.directory / "data" / "standby.signal"
        standby.touch()
        own.start()
        fail_in_each_shape(server)
        assert (
            server.http.get(f"{server.url}/readyz").json()["error"]
            == "the database is a standby, which cannot be written"
        )
        assert outcomes(account) == {"accepted": 1}
        own.stop()
        standby.unlink()
        own.start()
        # The first request finds its connection closed, and opens another one.
        assert account.track(userId="u").status_code == 200
        assert server.http.get(f"{server.url}/readyz").status_code == 200
        assert account.visitor()["event_count"] == 2


def test_a_writer_that_is_killed_in_the_middle_leaves_nothing_behind(url: str) -> None:
    with serving(database=url) as server, ThreadPoolExecutor() as pool:
        server.default.track(userId="u")
        with locked(url):
            sent = pool.submit(server.default.track, userId="killed")
            until(lambda: waiting_writers(url))
            queried(url, f"SELECT pg_terminate_backend({waiting_writers(url)[0]})")
            assert sent.result().status_code == 500
        assert server.default.track(userId="u").status_code == 200
        assert [visitor["visitor_id"] for visitor in server.default.visitors()] == ["u"]


def test_an_idle_writer_that_is_killed_costs_no_request(whole: str) -> None:
    with serving(database=whole) as server:
        server.default.track(userId="u")
        execute(whole, KILL_WRITERS)
        assert server.default.track(userId="u").status_code == 200
        assert server.default.visitor()["event_count"] == 2


def test_a_statement_that_takes_too_long_is_answered_500(whole: str) -> None:
    with serving(database=whole) as server:
        execute(whole, f"ALTER DATABASE {name_of(whole)} SET statement_timeout = '200ms'")
        execute(whole, f"SET statement_timeout = 0; {KILL_WRITERS}")
        with locked(whole):
            assert server.default.track(userId="u").status_code == 500
        assert server.default.track(userId="u").status_code == 200
        assert outcomes(server.default) == {"accepted": 1}


def test_a_commit_that_was_not_confirmed_is_answered_500_and_not_tried_again(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    lose = "PERFORM nextval('commits'), pg_terminate_backend(pg_backend_pid()); RETURN NULL;"
    with serving(database=url) as server:
        server.default.track(userId="first")
        execute(url, "CREATE SEQUENCE commits")
        with failing(url, lose, "counters", "DEFERRED"), ExitStack() as requests:
            with locked(url):
                # The first one waits for the lock; those that arrive meanwhile are committed with it.
                sent = [requests.enter_context(sending(f"{server.url}/track", event(number))) for number in range(6)]
            assert {one.answer().status_code for one in sent} == {500}
        assert re.search("the commit was not confirmed: .*terminating connection due to administrator", caplog.text)
        assert queried(url, "SELECT last_value FROM commits") == [(1,)]
        assert server.default.track(userId="u").status_code == 200
        assert outcomes(server.default) == {"accepted": 2}


def event(number: int) -> dict[str, str]:
    return {"token": "t", "event": "E", "userId": f"u{number}"}


@contextmanager
def paused(pid: int) -> Generator[None]:
    """Let the server's process *pid* do nothing; the machine still confirms what it is sent."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_server_that_no_longer_answers_is_given_up_by_who_writes(url: str) -> None:
    with closing(WritingConnection(address_of(url), {}, patience=1)) as connection:
        connection.begin()
        with paused(connection.run("SELECT pg_backend_pid()")[0][0]):
            connection.write("INSERT INTO marks VALUES (?, ?)", [("a", 1), ("b", 2)])
            with pytest.raises(psycopg.Error) as caught:
                connection.commit()
        assert isinstance(connection.as_store_error(caught.value), StoreBusyError)
        connection.roll_back()
        connection.begin()
        assert connection.run("SELECT kind FROM marks") == []


def test_a_wait_knows_at_its_end_what_it_could_not_hear_of(whole: str) -> None:
    listening = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN %' AND datname = current_database()"
    with serving(database=whole) as server, ThreadPoolExecutor(1) as pool:
        until(lambda: queried(whole, listening))
        with paused(queried(whole, listening)[0][0]):
            body = {"match": {"event": "Test"}, "count": 50, "timeout_ms": 2000}
            waiting = pool.submit(server.http.post, f"{server.url}/debug/wait", json=body)
            while not waiting.done():
                server.default.track(userId="u")
            assert waiting.result().status_code == 200
            assert waiting.result().json()["waited_ms"] >= 2000


def test_a_server_that_no_longer_answers_is_given_up_by_who_reads(url: str) -> None:
    async def read() -> None:
        engine = read_only_engine(address_of(url), 1, 0, patience=0.2)
        try:
            async with engine.connect() as reading:
                pid = (await reading.execute(sa.text("SELECT pg_backend_pid()"))).scalar_one()
                with paused(pid), pytest.raises(OperationalError, match=r"the server has not answered for 0\.2 s"):
                    await reading.execute(sa.text("SELECT 1"))
            async with engine.connect() as reading:
                await reading.execute(sa.text("SELECT 1"))
        finally:
            await engine.dispose()

    asyncio.run(read())


@pytest.mark.parametrize(("own", "used"), [("0", "24s"), ("1min", "24s"), ("200ms", "200ms")])
def test_the_server_ends_a_statement_before_the_emulator_gives_the_server_up(whole: str, own: str, used: str) -> None:
    execute(whole, f"ALTER DATABASE {name_of(whole)} SET statement_timeout = '{own}'")
    with closing(WritingConnection(address_of(whole), {})) as connection:
        assert connection.run("SHOW statement_timeout") == [(used,)]


def test_readers_cannot_write(url: str) -> None:
    async def write() -> None:
        engine = read_only_engine(address_of(url), 1, 0, 30)
        try:
            async with engine.connect() as reading:
                await reading.execute(sa.text("DELETE FROM visitors"))
        finally:
            await engine.dispose()

    open_store(url, Retention()).writer.close()
    with pytest.raises(InternalError, match="read-only transaction"):
        asyncio.run(write())
