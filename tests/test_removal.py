"""Accounts with much in them that are reset or closed: gone at once for everybody, and from the file bit by bit."""

import itertools
import json
import signal
import sqlite3
import sys
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from databases import queried
from ours_emulator.store import Retention
from ours_emulator.store.sqlite.file import StoreFile
from ours_emulator.store.sqlite.writer import SqliteWriter
from ours_emulator.store.sqlite.writing_connection import WritingConnection
from ours_emulator.store.tables import metadata
from ours_emulator.store.writing import table_sql
from ours_emulator.store.writing.counters import Counters
from ours_emulator.store.writing.removal import Removal
from serving import Account, Server, serving
from test_cli import serving as process
from waiting import NO_TLS, until

ROWS = 3000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def fill(account: Account, rows: int = ROWS) -> None:
    """Store *rows* events of 500 visitors, one of whom has many versions."""
    events = [
        {
            "event": f"E{number % 7}",
            "userId": f"u{number % 500}" if number % 2 else "often",
            "distinctId": f"d{number}",
            "userProperties": {"first_name": f"N{number}"},
        }
        for number in range(rows)
    ]
    for first in range(0, rows, 1000):
        answer = account.post("/batch", {"token": "t", "events": events[first : first + 1000]})
        assert answer.status_code == 200


def rows(database: Path | str) -> dict[str, int]:
    """Return how many rows each table has that has any."""
    counts = {
        table.name: queried(database, f"SELECT count(*) FROM {table.name}")[0][0] for table in metadata.tables.values()
    }
    return {table: count for table, count in counts.items() if count}


def pages(path: Path) -> int:
    """Return the size of the database with its log, in pages."""
    with closing(sqlite3.connect(path)) as connection:
        count: int = connection.execute("PRAGMA page_count").fetchone()[0]
    return count


def named(server: Server, name: str) -> Account:
    return Account(f"{server.url}/accounts/{name}", server.http)


def test_what_was_reset_is_gone_at_once_and_from_the_file_soon(database: str) -> None:
    with serving(database=database) as server:
        fill(server.default)
        before = server.default.debug("summary")
        cleared = server.default.post("/debug/reset", {"account": "default"}).json()
        assert cleared == {"account": "default", "visitors": 251, "receipts": ROWS, "requests": ROWS // 1000}
        assert before["outcomes"]["accepted"] == ROWS
        for account in (server.default, Account(server.url, server.http)):
            summary = account.debug("summary")
            assert (summary["visitors"], summary["requests"], summary["events"]) == (0, 0, {})
            assert (account.debug("events", outcome="any")["total"], account.debug("calls")["total"]) == (0, 0)
            assert account.debug("visitors")["items"] == []
        # The same ids are new ones: nothing of before is found.
        server.default.track(userId="u1", event="E1", distinctId="d1")
        event = server.default.debug("events/latest")
        assert (event["outcome"], event["resolution"]["created"]) == ("accepted", True)
        assert event["id"] > ROWS
        until(lambda: rows(database).get("receipts") == 1)
        until(lambda: rows(database)["accounts"] == 1)
        assert rows(database) == {
            "accounts": 1,
            "distinct_ids": 1,
            "identifiers": 1,
            "marks": 3,
            "receipt_counts": 1,
            "receipts": 1,
            "requests": 1,
            "visitor_versions": 1,
            "visitors": 1,
        }


def test_another_account_keeps_what_it_has_while_one_is_removed(database: str) -> None:
    with serving(database=database, keep=ROWS + 10) as server:
        other = named(server, "other")
        fill(other, 5)
        fill(server.default)
        assert server.http.delete(f"{server.url}/debug/accounts/default").status_code == 200
        fill(other, 5)
        fill(named(server, "third"), 1500)
        until(lambda: rows(database)["accounts"] == 2)
        assert other.debug("events", outcome="any")["total"] == 10
        assert other.debug("events")["evicted"] == 0
        assert named(server, "third").debug("events")["total"] == 1500


def test_the_room_of_what_was_removed_is_used_again(path: Path) -> None:
    sizes: list[int] = []
    with serving(database=path) as server:
        for _ in range(4):
            fill(server.default)
            server.default.post("/debug/reset", {"all": True})
            until(lambda: "receipts" not in rows(path))
            sizes.append(pages(path))
    assert sizes[-1] < 1.5 * sizes[0]


def test_bounds_in_bytes_go_by_what_is_left_after_a_removal(database: str) -> None:
    with serving(database=database, keep_event_bytes=4 << 20) as server:
        for _ in range(3):
            fill(server.default)
            assert server.default.debug("events")["evicted"] == 0
            server.default.post("/debug/reset", {"all": True})
            until(lambda: "receipts" not in rows(database))


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_start_goes_on_with_what_a_crash_left(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    with process(tmp_path, "--database", "store.db", "--log-format", "none") as running:
        with httpx.Client(base_url=running.url, trust_env=False, verify=NO_TLS, timeout=60) as http:
            fill(Account(running.url, http), 20_000)
            assert http.post("/debug/reset", json={"account": "default"}).json()["receipts"] == 20_000
        running.process.send_signal(signal.SIGKILL)
        running.process.wait()
    (tmp_path / "port").unlink()
    left = rows(database)
    assert left["accounts"] == 2
    assert left["receipts"] > 0
    with process(tmp_path, "--database", "store.db", "--log-format", "none") as running:
        accounts = httpx.get(f"{running.url}/debug/accounts", trust_env=False, verify=NO_TLS).json()
        assert [account["account"] for account in accounts["items"]] == ["default"]
        until(lambda: rows(database) == {"accounts": 1, "marks": 3})


def test_many_events_arrive_while_accounts_are_reset_again_and_again(database: str) -> None:
    with serving(database=database) as server:
        fill(server.default)

        def send(number: int) -> None:
            server.default.track(userId=f"u{number % 20}", event="E", distinctId=f"new{number}")

        with ThreadPoolExecutor(4) as pool:
            sent = pool.map(send, range(300))
            fill(named(server, "a"))
            named(server, "a").post("/debug/reset", {"account": "a"})
            fill(named(server, "b"))
            server.http.delete(f"{server.url}/debug/accounts/b")
            list(sent)
        assert server.default.debug("events", event="E")["total"] == 300
        until(lambda: rows(database)["receipts"] == ROWS + 300)
        counts: dict[str, Any] = server.default.debug("summary")
        assert counts["outcomes"]["accepted"] == ROWS + 300
        assert json.dumps(counts["events"]).count("E") == 8


def test_the_kept_counts_are_those_of_the_rows(database: str) -> None:
    kinds = """
        SELECT account_id, outcome, endpoint, coalesce('"' || event || '"', 'null'), test, count(*), max(id)
        FROM receipts GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
    """
    with serving(database=database, keep=100) as server:
        for number in range(150):
            server.default.track(event=f'"{number % 11}\\', userId="u", distinctId=f"d{number % 140}")
            named(server, "other").identify(userId=f"u{number}")
        server.default.post("/track", {"event": None})
    kept = queried(database, "SELECT * FROM receipt_counts ORDER BY 1, 2, 3, 4, 5")
    assert kept == queried(database, kinds)
    assert len(kept) > 5


def test_ids_are_never_used_again_though_what_had_them_was_evicted(database: str) -> None:
    settings: dict[str, Any] = {
        "database": database,
        "allowed_events": ["Kept"],
        "keep_event_bytes": 100_000,
        "keep_body_bytes": 1,
    }
    with serving(**settings) as server:
        for number in range(3):
            large = {"text": "x" * 200_000}
            named(server, "a").track(event="Other", userId="u", distinctId=f"x{number}", eventProperties=large)
        assert server.default.debug("summary")["newest_event"] == 3
    with serving(**settings) as server:
        named(server, "b").track(event="Kept", userId="bob", distinctId="k")
        event = named(server, "b").debug("events/latest")
        assert (event["id"], event["request_id"]) == (4, 4)


def test_what_was_evicted_before_a_mark_is_no_reason_to_doubt(database: str) -> None:
    with serving(database=database, keep=5) as server:
        first, second = named(server, "first"), named(server, "second")
        for number in range(3):
            first.track(event="E", userId="u", distinctId=f"a{number}")
        for number in range(10):
            second.track(event="E", userId="u", distinctId=f"b{number}")
        newest = first.debug("summary")["newest_event"]
        assert newest == 3
        none = {"match": {"event": "X"}, "mode": "none"}
        assert first.post("/debug/verify", {**none, "after": newest}).status_code == 200
        assert first.post("/debug/verify", none).json()["evicted"] == 3
        second.post("/debug/reset", {"account": "second"})
        everything = Account(server.url, server.http)
        assert everything.post("/debug/verify", {**none, "after": 1000}).status_code == 200


def test_many_small_accounts_are_not_all_deleted_at_once(database: str) -> None:
    with serving(database=database) as server:
        for number in range(5):
            fill(named(server, f"a{number}"), 400)
        cleared = server.http.post(f"{server.url}/debug/reset", json={"all": True}).json()
        assert (cleared["receipts"], cleared["requests"]) == (2000, 5)
        until(lambda: "receipts" not in rows(database))
        until(lambda: rows(database)["accounts"] == 5)


def test_what_a_small_account_had_is_deleted_in_the_same_transaction(path: Path) -> None:
    with serving(database=path) as server:
        fill(named(server, "a"), 50)
        fill(named(server, "b"), 50)
    writer = SqliteWriter(StoreFile(path), Retention())
    with suppress(CancelledError), writer.transaction():
        writer.delete_account("a")
        raise CancelledError
    with writer.transaction():
        assert writer.delete_account("a").receipts == 50
        assert writer.delete_account("a").receipts == 0
    assert (rows(path)["accounts"], rows(path)["receipts"]) == (1, 50)
    with writer.transaction():
        assert writer.reset("b").receipts == 50
    writer.close()
    assert rows(path) == {"accounts": 1, "marks": 3}


def test_a_slice_of_names_is_bounded_though_many_visitors_share_one(path: Path) -> None:
    database = WritingConnection(StoreFile(path))
    database.begin()
    database.write(table_sql.INSERT_IDENTIFIERS, [("7:shared", pk) for pk in range(20_000)])
    database.run(table_sql.INSERT_ACCOUNTS, 7, "/7", 0, 0, 0)
    removal = Removal(Counters())
    removal.account_ids.append(7)
    left = [20_000]
    while removal.account_ids:
        removal.delete_slice(database)
        left += database.run("SELECT count(*) FROM identifiers")[0]
    assert max(before - after for before, after in itertools.pairwise(left)) <= 4000
    assert (left[-1], database.run("SELECT count(*) FROM accounts")) == (0, [(0,)])
    database.roll_back()
    database.close()


class FullDisk(StoreFile):
    """A store on a disk that is nearly full, until there is room again."""

    room = False

    @property
    def has_room(self) -> bool:
        return self.room


def test_on_a_disk_that_is_nearly_full_a_removal_waits_and_the_oldest_go_as_ever(path: Path) -> None:
    with serving(database=path) as server:
        fill(named(server, "a"))
    file = FullDisk(path)
    writer = SqliteWriter(file, Retention())
    with writer.transaction():
        assert writer.reset("a").receipts == ROWS
    assert not writer.tidy()
    assert rows(path)["receipts"] == ROWS
    file.room = True
    while writer.tidy():
        pass
    assert rows(path) == {"accounts": 1, "marks": 3}
    writer.close()
