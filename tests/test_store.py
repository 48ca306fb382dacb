"""The store: what a restart finds, what is kept, what cannot be opened, and what a failing write leaves behind."""

import asyncio
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError
from starlette.responses import Response

from documents import ROOT
from ours_emulator.accounts import Accounts
from ours_emulator.app import create_app
from ours_emulator.contract.account import AccountConfig
from ours_emulator.contract.client import ClientContract
from ours_emulator.contract.ingest import IngestContract, Limits
from ours_emulator.contract.revision import revision
from ours_emulator.feed import Feed
from ours_emulator.http.endpoint import Endpoint, EndpointParts
from ours_emulator.http.front import Front, Served
from ours_emulator.http.guard import Guard
from ours_emulator.http.log import RequestLog
from ours_emulator.http.preflights import Preflights
from ours_emulator.http.routes import INGEST_NAMES
from ours_emulator.model import Exchange
from ours_emulator.pipeline import Contract, Pipeline
from ours_emulator.records import Summary
from ours_emulator.settings import load
from ours_emulator.store import EventFilter, RequestFilter, Retention, StoreError, VisitorFilter, open_store
from ours_emulator.store.sqlite import file as files
from ours_emulator.store.sqlite.engine import read_only_engine
from ours_emulator.store.sqlite.file import StoreFile
from ours_emulator.store.sqlite.migration import SCHEMA_VERSION
from ours_emulator.store.sqlite.reader import SqliteReader
from ours_emulator.store.sqlite.schema import APPLICATION_ID
from ours_emulator.store.sqlite.writer import SqliteWriter
from requesting import request_to
from serving import Account, Server, serving

LISTS = ["visitors", "events", "requests"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def named(server: Server, name: str) -> Account:
    return Account(f"{server.url}/accounts/{name}", server.http)


def state(account: Account) -> dict[str, Any]:
    return {
        "summary": account.debug("summary"),
        "visitors": account.debug("visitors", limit=1000),
        "events": account.debug("events", outcome="any", limit=1000),
        "requests": account.debug("requests", limit=1000),
    }


def ids(account: Account, path: str, **params: Any) -> list[int]:
    return [item["id"] for item in account.debug(path, limit=1000, **params)["items"]]


# A restart


def test_a_restart_finds_everything(database: str) -> None:
    with serving(database=database) as server:
        shop, other = named(server, "shop"), named(server, "other")
        shop.track(event="A", userId="u", externalId="x", email="e@x.co", distinctId="1", eventProperties={"n": 1})
        shop.track(event="A", userId="u", distinctId="1")
        shop.track(event="refused")
        shop.post("/track", b"\xff\x00")
        shop.post("/track", json.dumps({"token": "t", "event": "\ud800\x00", "userId": "\ud800\x00"}).encode())
        shop.identify(
            email="late@x.co", userProperties={"custom_properties": {"plan": "pro"}, "consent": {"ads": True}}
        )
        other.batch({"event": "B", "userId": "u", "distinctId": "1"}, {"event": "C", "distinctId": "2"})
        before = [state(account) for account in (server.default, shop, other)]
    with serving(database=database) as server:
        shop, other = named(server, "shop"), named(server, "other")
        assert [state(account) for account in (server.default, shop, other)] == before
        for asked in ({"user_id": "u"}, {"external_id": "x"}, {"email": "e@x.co"}):
            assert shop.visitor(**asked)["visitor_id"] == "u"
        request_id = shop.debug("requests")["items"][-1]["id"]
        assert [event["event"] for event in shop.debug(f"requests/{request_id}")["events"]] == ["A"]


@pytest.mark.rule("identity-order")
def test_after_a_restart_visitors_are_matched_by_each_identifier(database: str) -> None:
    with serving(database=database) as server:
        server.default.track(userId="u", externalId="x", email="e@x.co")
    with serving(database=database) as server:
        server.default.track(userId="u")
        server.default.track(externalId="x")
        server.default.track(email="e@x.co")
        assert {event["visitor_id"] for event in server.default.events()} == {"u"}
        assert server.default.visitor()["event_count"] == 4
        server.default.track(userId="new")
        assert [item["visitor_id"] for item in server.default.visitors()] == ["new", "u"]


@pytest.mark.rule("dedup")
def test_after_a_restart_a_distinct_id_is_still_used_up(database: str) -> None:
    row = {"userId": "u", "distinctId": "1"}
    with serving(database=database) as server:
        server.default.track(**row)
        server.default.post("/track", {"token": "test_t", "event": "T", **row, "distinctId": "2"})
    with serving(database=database) as server:
        server.default.track(**row)
        server.default.track(**{**row, "distinctId": "2"})
        server.default.post("/track", {"token": "test_t", "event": "T", **row, "distinctId": "2"})
        named(server, "other").track(**row)
        assert server.default.debug("summary")["outcomes"] == {
            "accepted": 4,
            "duplicate": 2,
            "dropped": 0,
            "rejected": 0,
        }
        assert [event["repeats"] for event in server.default.events(distinct_id="1", account="default")] == [1]


def test_after_a_restart_ids_go_on(database: str) -> None:
    with serving(database=database) as server:
        for number in range(3):
            server.default.track(userId=f"u{number}")
        before = {name: ids(server.default, name) for name in ("events", "requests")}
    with serving(database=database) as server:
        server.default.track(userId="u")
        for name, known in before.items():
            assert ids(server.default, name)[0] == max(known) + 1


def test_after_a_restart_no_request_gets_the_id_of_an_evicted_one(database: str) -> None:
    with serving(database=database, keep_body_bytes=0) as server:
        server.default.track(event="first", userId="u")
        (event,) = server.default.events()
        assert server.default.debug("requests") == {"items": [], "total": 0, "next_cursor": None, "evicted": 1}
    with serving(database=database) as server:
        server.default.track(event="second", userId="u")
        (request,) = server.default.debug("requests")["items"]
        assert request["id"] > event["request_id"]


def test_after_a_restart_a_retry_still_belongs_to_its_call(database: str) -> None:
    body = {"token": "t", "event": "E", "userId": "u"}
    with serving(database=database) as server:
        server.default.post("/track", body)
    with serving(database=database) as server:
        server.default.post("/track", body, {"x-stainless-retry-count": "1"})
        second, first = server.default.debug("requests")["items"]
        assert (second["attempt"], second["call_id"]) == (2, first["id"])


def test_without_a_database_nothing_is_kept() -> None:
    with serving() as server:
        server.default.track(userId="u")
    with serving() as server:
        assert server.default.debug("summary")["requests"] == 0


@pytest.mark.parametrize("name", ["a b.db", "ü✓.db", "what?mode=memory", "100%25.db", "a#b", "no-suffix", "a;b'c\".db"])
def test_a_database_may_be_called_anything(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    file = StoreFile(path)
    connection = file.open()
    try:
        assert path.is_file()
        connection.execute("INSERT INTO accounts VALUES (1, 'a', 2, 3, 0)")
        summary = asyncio.run(summary_of(file))
        assert (summary.evicted_requests, summary.evicted_events) == (2, 3)
    finally:
        file.close()
    assert {found.name for found in tmp_path.iterdir()} <= {name, f"{name}.lock"}


async def summary_of(file: StoreFile) -> Summary:
    reader = SqliteReader(file)
    try:
        return await reader.summary("a")
    finally:
        await reader.close()


def test_only_the_database_is_left_behind(path: Path) -> None:
    with serving(database=path) as server:
        server.default.track(userId="u")
        server.default.debug("events")
    left = {file.name for file in path.parent.iterdir()}
    assert left <= {"store.db", "store.db.lock"}


# Retention


def test_the_newest_are_kept_and_the_lists_say_how_many_are_gone(database: str) -> None:
    with serving(database=database, keep=10) as server:
        for number in range(25):
            server.default.track(event=f"E{number}", userId=f"u{number}")
        page = server.default.debug("events")
        assert [item["event"] for item in page["items"]] == [f"E{number}" for number in range(24, 14, -1)]
        assert (page["total"], page["evicted"]) == (10, 15)
        page = server.default.debug("requests")
        bodies = [server.default.debug(f"requests/{item['id']}")["body"] for item in page["items"]]
        assert [json.loads(body)["event"] for body in bodies] == [f"E{n}" for n in range(24, 14, -1)]
        assert (page["total"], page["evicted"]) == (10, 15)
        page = server.default.debug("visitors")
        assert (page["total"], page["evicted"]) == (25, 0)
        summary = server.default.debug("summary")
        assert (summary["requests"], summary["evicted_requests"], summary["evicted_events"]) == (10, 15, 15)
        assert summary["outcomes"]["accepted"] == 10
        assert server.default.visitor(user_id="u0")["event_count"] == 1


def test_the_newest_ids_count_what_was_evicted_from_one_of_the_lists() -> None:
    with serving(keep_body_bytes=0) as server:
        server.default.track(userId="u")
        (event,) = server.default.events()
        summary = server.default.debug("summary")
        assert (summary["requests"], summary["newest_request"]) == (0, event["request_id"])
    with serving(keep=2) as server:
        server.default.track(userId="u")
        (event,) = server.default.events()
        server.account().batch(*({"event": "E", "userId": "u", "distinctId": name} for name in "ab"))
        assert server.default.debug("summary", account="default")["newest_event"] == event["id"]
        assert server.default.events(account="default") == []


def test_the_oldest_go_some_at_a_time_where_many_are_kept(database: str) -> None:
    with serving(database=database, keep=800) as server:
        rows = [{"event": "E", "userId": "u", "distinctId": str(number)} for number in range(802)]
        server.default.batch(*rows)
        page = server.default.debug("events")
        assert (page["total"], page["evicted"]) == (802, 0)
        server.default.track(userId="u")
        page = server.default.debug("events")
        assert (page["total"], page["evicted"]) == (800, 3)


def test_of_a_batch_larger_than_what_is_kept_the_last_rows_are_kept(database: str) -> None:
    with serving(database=database, keep=10) as server:
        rows = [{"event": f"E{number}", "userId": "u", "distinctId": str(number)} for number in range(25)]
        assert server.default.batch(*rows).json()["accepted"] == 25
        assert server.default.visitor()["event_count"] == 25
        assert sorted(item["event"] for item in server.default.events()) == [f"E{number}" for number in range(15, 25)]
        (request,) = server.default.debug("requests")["items"]
        assert request["receipts"] == 25
        assert len(server.default.debug(f"requests/{request['id']}")["events"]) == 10


@pytest.mark.rule("dedup")
def test_a_distinct_id_outlives_its_event(database: str) -> None:
    with serving(database=database, keep=10) as server:
        server.default.track(event="first", userId="u", distinctId="1")
        for _ in range(12):
            server.default.track(userId="v")
        assert server.default.events(event="first") == []
        server.default.track(event="first", userId="u", distinctId="1")
        (duplicate,) = server.default.events(outcome="duplicate")
        assert (duplicate["event"], duplicate["visitor_id"]) == ("first", None)
        assert server.default.visitor(user_id="u")["event_count"] == 1


def test_evicted_rows_are_counted_for_their_accounts(database: str) -> None:
    with serving(database=database, keep=10) as server:
        one, two = named(server, "one"), named(server, "two")
        for number in range(8):
            one.track(event=f"E{number}", userId="u")
        for _ in range(7):
            two.track(userId="u")
        for name in ("events", "requests"):
            assert [account.debug(name)["evicted"] for account in (one, two, server.default)] == [5, 0, 5]
            assert [account.debug(name)["total"] for account in (one, two, server.default)] == [3, 7, 10]
        assert one.debug("visitors/u/events")["evicted"] == 5
        one.post("/debug/reset", {})
        assert [account.debug("events")["evicted"] for account in (one, two, server.default)] == [0, 0, 0]


def test_after_a_restart_what_is_gone_is_still_counted(database: str) -> None:
    with serving(database=database, keep=10) as server:
        for _ in range(14):
            server.default.track(userId="u")
    with serving(database=database, keep=5) as server:
        assert server.default.debug("events")["evicted"] == 4
        server.default.track(event="last", userId="u")
        page = server.default.debug("events")
        assert (page["total"], page["evicted"], page["items"][0]["event"]) == (5, 10, "last")


def test_a_store_that_somebody_else_locks_is_answered_500_once_for_all_and_works_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(files, "BUSY_SECONDS", 1)
    with serving(database=path) as server, closing(sqlite3.connect(path, isolation_level=None)) as foreign:
        account = server.default
        foreign.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(16) as pool:
            sent = [pool.submit(account.track, userId=f"u{number}") for number in range(16)]
            assert {future.result().status_code for future in sent} == {500}
        # One complaint for all that waited together: they did not wait one after the other.
        assert 1 <= len(caplog.records) < 16
        foreign.execute("ROLLBACK")
        assert account.track(userId="u").status_code == 200
        assert [event["visitor_id"] for event in account.events(outcome="any")] == ["u"]


@pytest.mark.parametrize("table", ["receipts", "requests", "visitors"])
def test_a_damaged_database_is_one_clear_line_and_leaves_no_lock(path: Path, table: str) -> None:
    with serving(database=path) as server:
        server.default.track(userId="u", eventProperties={"text": "x" * 50_000})
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    whole = path.read_bytes()
    path.write_bytes(whole[: (root - 1) * size] + b"\xff" * size + whole[root * size :])
    with pytest.raises(StoreError) as refused, serving(database=path):
        pass
    assert "\n" not in str(refused.value)
    path.write_bytes(whole)
    with serving(database=path) as server:
        assert len(server.default.events()) == 1


def test_bodies_are_kept_within_their_bound(database: str) -> None:
    with serving(database=database, keep_body_bytes=1000) as server:
        for number in range(20):
            server.default.track(event=f"E{number}", userId="u", eventProperties={"text": "x" * 150})
        page = server.default.debug("requests")
        kept = sum(item["body_bytes"] for item in page["items"])
        size = page["items"][0]["body_bytes"]
        assert 1000 - size < kept <= 1000
        assert page["total"] + page["evicted"] == 20
        newest = server.default.debug(f"requests/{page['items'][0]['id']}")
        assert json.loads(newest["body"])["event"] == "E19"
        events = server.default.debug("events")
        assert (events["total"], events["evicted"]) == (20, 0)


def test_a_body_over_the_bound_is_not_kept_but_its_events_are(database: str) -> None:
    with serving(database=database, keep_body_bytes=10) as server:
        assert server.default.track(userId="u").status_code == 200
        page = server.default.debug("requests")
        assert (page["total"], page["evicted"]) == (0, 1)
        assert server.default.debug("events")["total"] == 1


def arrive(account: Account) -> httpx.Response:
    return account.track(userId="same", email="e@x.co")


def test_many_accounts_are_kept_apart_and_covered_together(database: str) -> None:
    with serving(database=database) as server:
        accounts = [named(server, f"a{number}") for number in range(150)]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(arrive, accounts))
        assert all(answer.status_code == 200 for answer in answers)
        assert server.default.debug("summary")["visitors"] == 150
        assert {item["account"] for item in server.default.events(visitor_id="same", limit=1000)} == {
            f"a{number}" for number in range(150)
        }
        assert len(server.default.visitors(email="e@x.co", limit=1000)) == 150
        assert all(account.visitor()["event_count"] == 1 for account in accounts[::30])
        assert accounts[3].post("/debug/reset", {}).json()["receipts"] == 1
        assert server.default.debug("summary")["visitors"] == 149
        assert server.default.post("/debug/reset", {"all": True}).json()["visitors"] == 149


def test_the_accounts_1_and_11_are_not_mixed_up_by_a_reset(database: str) -> None:
    with serving(database=database) as server:
        accounts = [named(server, f"a{number}") for number in range(12)]
        for account in accounts:
            account.track(userId="u", distinctId="1")
        accounts[0].post("/debug/reset", {})
        for account in accounts[1:]:
            account.track(userId="u", distinctId="1")
            assert account.debug("summary")["outcomes"]["duplicate"] == 1
            assert account.visitor(user_id="u")["event_count"] == 1


# What cannot be opened


def unusable(path: Path) -> str:
    """Return what is said of *path*, which must be left as it was."""
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StoreError) as caught:
        create_app(load({"database": path, "log_format": "none"}))
    assert (path.read_bytes() if path.is_file() else None) == before
    said = str(caught.value)
    assert said.startswith(f"{path} ")
    assert "\n" not in said
    return said


@pytest.mark.parametrize("content", [b"hello " * 1000, b"my notes", b"SQLite format 3\x00" + b"\xff" * 4000])
def test_a_file_that_is_no_database_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert "database" in unusable(path)


def test_a_database_of_something_else_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (id)")
    assert unusable(path) == f"{path} is a database of another program; use another file"


def test_an_empty_database_that_something_else_has_marked_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 7")
    assert unusable(path) == f"{path} is a database of another program; use another file"


@pytest.mark.parametrize(
    ("version", "why"),
    [
        (0, f"has store version 0, which cannot be migrated to {SCHEMA_VERSION}; use a new file"),
        (1, f"has store version 1, which cannot be migrated to {SCHEMA_VERSION}; use a new file"),
        (
            SCHEMA_VERSION + 1,
            f"has store version {SCHEMA_VERSION + 1}, but this program supports at most {SCHEMA_VERSION}; "
            "use a newer ours-emulator",
        ),
    ],
)
def test_a_store_that_is_newer_or_too_old_to_be_migrated_is_refused(path: Path, version: int, why: str) -> None:
    with serving(database=path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    assert unusable(path) == f"{path} {why}"


def test_a_directory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "directory"
    path.mkdir()
    assert "cannot be opened" in unusable(path)


def test_a_file_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "cannot be opened" in unusable(tmp_path / "file" / "store.db")


def test_a_store_in_use_is_refused_until_it_is_free(path: Path) -> None:
    with serving(database=path) as server:
        server.default.track(userId="u")
        with pytest.raises(StoreError) as caught:
            create_app(load({"database": path}))
        assert str(caught.value) == f"{path} is in use by another emulator; stop that one or use another file"
        assert server.default.track(userId="u").status_code == 200
    with serving(database=path) as server:
        assert server.default.visitor()["event_count"] == 2


@pytest.mark.parametrize("kind", ["symlink", "dots"])
def test_a_store_in_use_is_refused_under_another_name_too(path: Path, kind: str) -> None:
    other = path.with_name("other.db")
    with serving(database=path):
        if kind == "symlink":
            other.symlink_to(path)
        else:
            (path.parent / "sub").mkdir()
            other = path.parent / "sub" / ".." / path.name
        with pytest.raises(StoreError, match="in use by another emulator"):
            StoreFile(other).open()


@pytest.mark.parametrize(
    "url", ["mysql://ann:secret@db/store", "sqlite://secret@/store.db", "sqlite://", "sqlite:///", "SQLITE://x/y"]
)
def test_a_url_of_something_else_is_refused_without_telling_its_password(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        create_app(load({"database": url}))
    scheme = url.partition(":")[0]
    assert str(caught.value) == (
        f"{scheme}://… is not a database this program can open; use a path, sqlite:///path or postgresql://user@host/name"
    )


def test_a_database_may_be_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for url, name in ((f"sqlite:///{tmp_path}/absolute.db", "absolute.db"), ("sqlite:///relative.db", "relative.db")):
        with serving(database=url) as server:
            assert server.default.track(userId="u").status_code == 200
            assert server.default.debug("settings")["database"]["value"] == url
        assert (tmp_path / name).is_file()


@pytest.mark.skipif(os.name != "posix", reason="no modes")
def test_what_is_made_is_private_to_its_user(path: Path) -> None:
    with serving(database=path) as server:
        server.default.track(userId="u")
        server.default.debug("events")
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(("store.db", "store.db-wal", "store.db-shm", "store.db.lock"), 0o600)


def test_what_was_refused_can_be_opened_once_it_is_right(path: Path) -> None:
    path.write_bytes(b"no database " * 100)
    file = StoreFile(path)
    with pytest.raises(StoreError):
        file.open()
    path.unlink()
    with file.open() as connection:
        assert connection.execute("PRAGMA application_id").fetchall() == [(APPLICATION_ID,)]
    file.close()


def test_a_temporary_store_goes_with_the_emulator() -> None:
    file = StoreFile(None)
    file.open()
    assert file.path.is_file()
    assert not file.kept
    file.close()
    assert not file.path.parent.exists()


def test_readers_can_not_write(path: Path) -> None:
    file = StoreFile(path)
    file.open()

    async def write() -> None:
        engine = read_only_engine(path, 1, 0)
        try:
            async with engine.connect() as reading:
                await reading.execute(sa.text("DELETE FROM visitors"))
        finally:
            await engine.dispose()

    with pytest.raises(OperationalError, match="readonly"):
        asyncio.run(write())
    file.close()


def test_a_probe_does_not_queue_behind_the_reads_of_others(path: Path) -> None:
    with serving(database=path) as server:
        for _ in range(3):
            server.default.batch(*({"event": "E", "userId": "u", "distinctId": str(uuid4())} for _ in range(100)))

    async def answered_before_the_probe(reads: int) -> int:
        reader = SqliteReader(file)
        waiting = [
            asyncio.create_task(reader.latest_arrivals(None, EventFilter(outcome=None), 0, 300)) for _ in range(reads)
        ]
        await asyncio.sleep(0)
        await reader.ping()
        answered = sum(task.done() for task in waiting)
        await asyncio.gather(*waiting)
        await reader.close()
        return answered

    with closing(StoreFile(path)) as file:
        file.open()
        assert asyncio.run(answered_before_the_probe(60)) < 30


# A write that fails

BOOM = "CREATE TRIGGER boom BEFORE INSERT ON {table} {when} BEGIN SELECT RAISE({kind}, 'boom'); END"
BATCH = {"token": "t", "events": [{"event": "Boom", "userId": "boom", "distinctId": "b"}]}
FAILURES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("/track", {"token": "t", "event": "Boom", "userId": "boom"}, {"success": False}),
    ("/identify", {"token": "t", "userId": "boom", "userProperties": {}}, {"success": False}),
    ("/batch", BATCH, {"success": False, "error": "the event could not be stored", "retryable": True}),
]


@contextmanager
def broken(path: Path, table: str, when: str = "", kind: str = "ABORT") -> Generator[None]:
    """Make every insert into *table* fail."""
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        connection.execute(BOOM.format(table=table, when=when, kind=kind))
        yield
        connection.execute("DROP TRIGGER boom")


@pytest.mark.rule("429-500")
@pytest.mark.parametrize("kind", ["ABORT", "ROLLBACK", "FAIL"])
def test_what_could_not_be_stored_is_answered_500_and_nothing_of_it_is_kept(path: Path, kind: str) -> None:
    with serving(database=path) as server:
        server.default.track(event="before", userId="u", distinctId="1")
        for table in ("requests", "receipts", "visitors", "identifiers", "accounts"):
            before = state(server.default)
            account = named(server, table)
            with broken(path, table, kind=kind):
                for endpoint, body, answer in FAILURES:
                    response = account.post(endpoint, body)
                    assert (response.status_code, response.json()) == (500, answer), table
                    assert response.headers["content-type"] == "application/json"
                assert state(server.default) == before
            for endpoint, body, _ in FAILURES:
                assert account.post(endpoint, body).status_code == 200
            assert account.visitor()["event_count"] == 3
            assert account.debug("summary")["outcomes"]["accepted"] == 3


@pytest.mark.rule("dedup")
def test_a_message_that_could_not_be_stored_does_not_use_up_its_distinct_id(path: Path) -> None:
    with serving(database=path) as server:
        with broken(path, "visitors"):
            assert server.default.track(userId="u", distinctId="1").status_code == 500
        assert server.default.track(userId="u", distinctId="1").status_code == 200
        assert [event["outcome"] for event in server.default.events(outcome="any")] == ["accepted"]


def test_one_message_that_can_not_be_stored_spoils_no_other(path: Path) -> None:
    def status(name: str) -> int:
        return server.default.track(event=name, userId="u").status_code

    with serving(database=path) as server, broken(path, "receipts", "WHEN NEW.event = 'Boom'"):
        names = ["Boom" if number % 5 == 0 else "Fine" for number in range(60)]
        with ThreadPoolExecutor(12) as pool:
            found = list(pool.map(status, names))
        assert found == [500 if name == "Boom" else 200 for name in names]
        assert server.default.debug("summary")["events"] == {"Fine": 48}
        assert server.default.visitor()["event_count"] == 48


def test_a_reset_that_fails_says_so_as_any_debug_call_and_forgets_nothing(path: Path) -> None:
    with serving(database=path) as server:
        server.default.track(userId="u")
        before = state(server.default)
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            connection.execute("CREATE TRIGGER boom BEFORE DELETE ON requests BEGIN SELECT RAISE(ABORT, 'boom'); END")
            response = server.default.post("/debug/reset", {"all": True})
            connection.execute("DROP TRIGGER boom")
        assert response.status_code == 500
        assert response.headers["content-type"] == "application/json"
        assert list(response.json()) == ["error"]
        assert state(server.default) == before
        assert server.default.post("/debug/reset", {"all": True}).json()["receipts"] == 1


class Bounded(StoreFile):
    """A store whose disk can be made full."""

    def open(self) -> sqlite3.Connection:
        self.connection = super().open()
        return self.connection

    def most_pages(self, pages: int) -> None:
        """Let the database have no more than *pages*, or as many as it has now."""
        self.connection.execute(f"PRAGMA max_page_count = {pages}").fetchall()


def test_a_full_disk_is_answered_500_until_there_is_room_again(path: Path) -> None:
    file = Bounded(path)
    contract = IngestContract(Limits())
    accounts = Accounts(AccountConfig("default", revision()))
    pipeline = Pipeline(SqliteWriter(file, Retention()), dict.fromkeys(INGEST_NAMES, contract), accounts, Feed())
    log = RequestLog("none", io.StringIO())
    track = Endpoint(EndpointParts(pipeline, contract, accounts, log, Preflights(log), 5_000_000))
    app = Front(Response(), Served(Guard((), None), {"track": track}, log, 5_000_000, accounts))
    large = {"text": "x" * 200_000}

    async def story() -> None:
        reader = SqliteReader(file)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as http:

            async def track(user: str, **fields: Any) -> int:
                body = {"token": "t", "event": "E", "userId": user, **fields}
                return (await http.post("/track", json=body)).status_code

            async def counts() -> tuple[int, int, int]:
                visitors = await reader.visitors(None, VisitorFilter(), 10, None)
                events = await reader.events(None, EventFilter(outcome=None), 10, None)
                requests = await reader.requests(None, RequestFilter(), 10, None)
                return visitors.total, events.total, requests.total

            assert await track("u") == 200
            file.most_pages(1)
            assert await track("large", eventProperties=large, distinctId="1") == 500
            assert await counts() == (1, 1, 1)
            file.most_pages(100_000)
            assert await track("large", eventProperties=large, distinctId="1") == 200
            assert await counts() == (2, 2, 2)
        await reader.close()
        await asyncio.to_thread(pipeline.close)

    asyncio.run(story())


@pytest.mark.parametrize("endpoint", ["batch", "client/events"])
def test_the_number_of_reads_does_not_grow_with_the_number_of_events(path: Path, endpoint: str) -> None:
    counted: list[int] = []

    class Counting(StoreFile):
        def open(self) -> sqlite3.Connection:
            self.connection = super().open()
            return self.connection

    file = Counting(path)
    contracts: dict[str, Contract] = {"batch": IngestContract(Limits()), "client/events": ClientContract()}
    pipeline = Pipeline(
        SqliteWriter(file, Retention()), contracts, Accounts(AccountConfig("default", revision())), Feed()
    )

    def body(count: int) -> object:
        rows = [{"event": "E", "userId": f"{count}-{at}", "distinctId": f"{count}-{at}"} for at in range(count)]
        items = [{"name": "E", "anonymous_id": f"{count}-{at}", "user": {"email": f"{at}"}} for at in range(count)]
        return {"token": "t", "events": rows} if endpoint == "batch" else items

    async def story() -> None:
        for count in (2, 200):
            statements: list[str] = []
            # Each row of an executemany is told as a statement of its own, so only reads can be counted.
            file.connection.set_trace_callback(statements.append)
            request = request_to(endpoint, body(count), received_at=1, authorization="Bearer pk_1")
            exchange = await pipeline.submit(request)
            assert isinstance(exchange, Exchange)
            assert {it.outcome for it in exchange.receipts} == {"accepted"}
            counted.append(sum(it.lstrip().startswith("SELECT") for it in statements))

    asyncio.run(story())
    pipeline.close()
    assert counted[0] == counted[1] > 0


def test_what_killed_emulators_left_behind_is_removed_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with closing(StoreFile(None)) as running, closing(StoreFile(None)) as starting:
        running.open()
        dead, foreign, kept = (tmp_path / f"ours-emulator-{name}" for name in ("dead", "notes", "kept"))
        for directory, name in ((dead, running.path.name), (foreign, "notes.txt"), (kept, "store.db")):
            directory.mkdir()
            for ending in ("", "-wal", ".lock"):
                directory.joinpath(name + ending).write_text("ann@example.com")
            os.utime(directory, (1, 1))
        os.utime(running.path.parent, (1, 1))
        starting.path.with_name(f"{starting.path.name}.lock").touch()
        with closing(StoreFile(None)):
            assert not dead.exists()
            for file in (running.path, starting.path.parent, foreign / "notes.txt", kept / "store.db"):
                assert file.exists()


@pytest.mark.skipif(not hasattr(os, "link"), reason="no hard links")
def test_a_file_with_two_names_is_refused_as_each_has_a_lock_of_its_own(path: Path, tmp_path: Path) -> None:
    with serving(database=path) as server:
        server.default.track(userId="u")
    os.link(path, tmp_path / "other.db")
    for name in (path, tmp_path / "other.db"):
        with pytest.raises(StoreError, match="has hard links"):
            StoreFile(name).open()


# How it reads


def test_calls_the_latest_event_and_events_by_name_are_found_by_indexes(path: Path) -> None:
    statements: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith("SELECT"):
            statements.append((statement, parameters))

    async def read() -> None:
        store = open_store(str(path), Retention())
        await store.open_reader().calls("default", 100, None)
        await store.open_reader().latest_event("default", EventFilter())
        await store.open_reader().arrivals("default", EventFilter(event="E"), 0, 100)
        await store.open_reader().events_of("default", [1, 2, 3])
        await store.close()

    with serving(database=path) as server:
        # Several, as a single id is compared in another way than a list of them.
        for _ in range(3):
            server.default.track(userId="u")
    event.listen(Engine, "before_cursor_execute", note)
    try:
        asyncio.run(read())
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert len(statements) > 5
    with closing(sqlite3.connect(path)) as connection:
        for statement, parameters in statements:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
            # The index of further attempts is small.
            scans = [
                step for step in plan if re.match("SCAN (requests|receipts)(?! USING INDEX requests_by_call)", step)
            ]
            assert not scans + [step for step in plan if "AUTOMATIC" in step], statement


# How it starts


def test_the_statements_are_generated_from_the_tables() -> None:
    command = [sys.executable, "scripts/generate_table_sql.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr


def test_a_server_answers_before_what_only_reads_need_is_imported() -> None:
    script = """
import sys
from ours_emulator.app import create_standalone
from ours_emulator.settings import load
create_standalone(load({}))
late = {"fastapi", "sqlalchemy", "aiosqlite", "re2", "jsonschema_rs", "yaml", "prometheus_client", "psycopg",
    "ours_emulator.store.postgresql", "ours_emulator.contract.experiments", "ours_emulator.contract.tracking_plan"}
print(late & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout == "set()\n"


def test_a_sqlite_file_is_read_without_the_dialect_of_another_database() -> None:
    """Importing that takes as long as reading the first page."""
    script = "import sys, ours_emulator.openapi.app, ours_emulator.store.sqlite.reader; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert [name for name in done.stdout.split() if "postgresql" in name] == []
