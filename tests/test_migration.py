"""Database files that earlier programs left: opened, they hold what they held, and what comes later goes by it."""

import asyncio
import gzip
import itertools
import json
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from data.debug_answers import NOW, answer, differences
from ours_emulator.records import Event, VisitorVersion
from ours_emulator.store import EventFilter, Retention, open_store
from ours_emulator.store.sqlite.file import StoreFile
from ours_emulator.store.sqlite.migration import SCHEMA_VERSION
from recordings.exchange import Exchange, exchange
from recordings.record import difference
from serving import Account, Server, serving
from waiting import NO_TLS

DATA = Path(__file__).with_name("data")
STORES = sorted(it.name.removesuffix(".db.gz") for it in DATA.glob("*.db.gz"))
EACH_STORE = pytest.mark.parametrize("store", STORES)
MOST_SHOWN = 20


def unpacked(store: str, directory: Path) -> tuple[Path, dict[str, Any]]:
    """Return a copy of the database file, and what the program that left it said of it."""
    database = directory / "store.db"
    database.write_bytes(gzip.decompress((DATA / f"{store}.db.gz").read_bytes()))
    said: dict[str, Any] = json.loads(gzip.decompress((DATA / f"{store}.json.gz").read_bytes()))
    return database, said


def changed(server: Server, answers: dict[str, Any]) -> list[str]:
    """Return where the debug API of *server* does not say what it said before."""
    found: list[str] = []
    with httpx.Client(base_url=server.url, timeout=30, trust_env=False, verify=NO_TLS) as http:
        for path, then in answers.items():
            try:
                found += [f"{path}: {place}" for place in differences(then, answer(http, path))]
            except (AssertionError, httpx.HTTPError) as error:
                found.append(f"{path}: {error}")
    return found


def fail_over(found: list[str]) -> None:
    if found:
        pytest.fail("\n".join([f"{len(found)} places differ:", *found[:MOST_SHOWN]]), pytrace=False)


def test_there_is_a_file_of_each_earlier_version() -> None:
    assert [f"store-v{number}" for number in range(2, SCHEMA_VERSION)] == STORES


@EACH_STORE
def test_everything_is_there_that_was_there(store: str, tmp_path: Path) -> None:
    database, said = unpacked(store, tmp_path)
    assert len(said["answers"]) > 100
    # Opened once more, one that was migrated is as any other.
    for _ in range(2 if store == STORES[0] else 1):
        with serving(database=str(database), now=NOW) as server:
            fail_over(changed(server, said["answers"]))


def dump(database: Path, *tables: str) -> list[tuple[str, list[Any]]]:
    """Return what is in the *tables* of *database*, or in all of them, after checking that it is whole."""
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        return [
            (name, connection.execute(f"SELECT * FROM {name}").fetchall())
            for (name,) in found
            if not tables or name in tables
        ]


def version(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        found: int = connection.execute("PRAGMA user_version").fetchone()[0]
        return found


def migrated(database: Path) -> None:
    with closing(StoreFile(database)) as file:
        file.open().close()


def schema(database: Path) -> list[Any]:
    """Return the columns of every table, and of every index."""
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT name, type FROM sqlite_master ORDER BY name").fetchall()
        return [
            (name, connection.execute(f"PRAGMA {kind}_info({name})").fetchall())
            for name, kind in found
            if not name.startswith("sqlite_")
        ]


def test_a_migrated_file_has_the_tables_of_a_new_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    database, _ = unpacked("store-v2", tmp_path)
    new = tmp_path / "new.db"
    for path in (database, new):
        migrated(path)
    assert schema(database) == schema(new)
    assert version(database) == version(new) == SCHEMA_VERSION
    begun, line = [message for message in caplog.messages if message.startswith("store: migrat")]
    assert begun == f"store: migrating {database} from version 2 to {SCHEMA_VERSION}"
    assert line.startswith(f"store: migrated {database} from version 2 to {SCHEMA_VERSION} (")
    assert line.endswith(" events)")


KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from ours_emulator.store.sqlite.file import StoreFile

left = int(sys.argv[2])

def count(statement):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if statement == "COMMIT":
        left = 0

class Counting(sqlite3.Connection):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        # Pages are written to the log before the transaction ends, as in a large file.
        self.execute("PRAGMA cache_size = 1")
        self.set_trace_callback(count)

connect = sqlite3.connect
sqlite3.connect = lambda *arguments, **options: connect(*arguments, factory=Counting, **options)
StoreFile(Path(sys.argv[1])).open()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_migration_killed_at_any_statement_leaves_the_old_file(tmp_path: Path) -> None:
    database, _ = unpacked("store-v2", tmp_path)
    before, whole = dump(database), database.read_bytes()
    migrated(database)
    after, killed = dump(database), list[int]()
    for statement in itertools.count(1, 9):
        database.write_bytes(whole)
        done = subprocess.run([sys.executable, "-c", KILLED, str(database), str(statement)], timeout=30)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        killed.append(statement)
        assert (version(database), dump(database)) == (2, before)
        migrated(database)
        assert dump(database) == after
    assert len(killed) > 2


def test_a_visitor_at_an_event_before_the_migration_is_known_as_far_as_it_was_recorded(tmp_path: Path) -> None:
    database, _ = unpacked("store-v2", tmp_path)
    store = open_store(f"sqlite:///{database}", Retention())

    async def versions() -> list[tuple[Event, VisitorVersion | None]]:
        page = await store.open_reader().events(None, EventFilter(outcome=None), 1000, None)
        found = [(event, await store.open_reader().visitor_version(None, event.id)) for event in page.items]
        await store.close()
        return found

    unknown = Counter[tuple[str, ...]]()
    for event, found in asyncio.run(versions()):
        assert (found is None) == (event.visitor_properties is None)
        if found is not None:
            unknown[found.unknown] += 1
            assert event.visitor_id == found.visitor_id == found.identifiers.user_id
            assert (found.data is None, found.devices is None) == (bool(found.unknown), bool(found.unknown))
            shown = {**found.properties}
            if found.custom_properties:
                shown["custom_properties"] = found.custom_properties
            if found.consent is not None:
                shown["consent"] = found.consent
            assert shown == event.visitor_properties
    assert unknown.keys() == {(), ("data", "devices", "identifiers.anonymous_id")}
    assert all(count > 10 for count in unknown.values())


@EACH_STORE
def test_what_comes_later_goes_by_what_was_there(store: str, tmp_path: Path) -> None:
    database, said = unpacked(store, tmp_path)
    found: list[str] = []
    with serving(database=str(database), now=NOW) as server:
        url = urlsplit(server.url)
        assert url.hostname is not None
        assert url.port is not None
        for recorded in map(Exchange.read, said["exchanges"]):
            now = Exchange(recorded.name, recorded.request, exchange((url.hostname, url.port), recorded.request))
            if now != recorded:
                found += difference(recorded.name, recorded, now)
        fail_over(found + changed(server, said["answers_after"]))


def test_what_a_file_of_version_2_never_recorded_is_unknown(tmp_path: Path) -> None:
    database, _ = unpacked("store-v2", tmp_path)
    with serving(database=str(database), now=NOW) as server:
        events = server.default.events(outcome="accepted", limit=1000)
        versions = [
            server.default.debug(f"events/{event['id']}/visitor") for event in events if event["visitor_properties"]
        ]
        older = [version for version in versions if version["unknown"]]
        assert older
        assert len(older) < len(versions)
        for version in older:
            assert version["unknown"] == ["data", "devices", "identifiers.anonymous_id"]
            assert (version["data"], version["devices"]) == (None, None)
            assert version["identifiers"]["anonymous_id"] is None


def test_a_visitor_whose_receipts_are_all_evicted_is_migrated_as_stored(tmp_path: Path) -> None:
    database, said = unpacked("store-v2", tmp_path)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM receipts")
    visitors = {path: then for path, then in said["answers"].items() if path.startswith("/debug/visitors?")}
    assert len(visitors) > 5
    with serving(database=str(database), now=NOW, keep=2) as server:
        fail_over(changed(server, visitors))
        shop = Account(f"{server.url}/accounts/shop", server.http)
        before = shop.visitors()[0]
        user, large = before["visitor_id"], {f"key_{number}": "x" * 200 for number in range(30)}
        for number in range(5):
            # Large, so that later versions are patches of earlier ones; the oldest ones are evicted again.
            changes = {"custom_properties": {**large, "number": number}}
            assert shop.track(userId=user, userProperties=changes).json() == {"success": True}
            after = shop.visitor(user_id=user)
            assert after["event_count"] == before["event_count"] + number + 1
            assert after["custom_properties"] == {**before["custom_properties"], **large, "number": number}
            assert after["properties"] == before["properties"]
        known = shop.visitors()
    with serving(database=str(database), now=NOW, keep=2) as server:
        assert Account(f"{server.url}/accounts/shop", server.http).visitors() == known
