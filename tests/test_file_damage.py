"""Files of a kept store that another program removes, replaces or cuts while a real server has them open."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from ours_emulator.store import StoreError, StoreLostError
from ours_emulator.store.sqlite.file import StoreFile
from ours_emulator.store.sqlite.migration import SCHEMA_VERSION
from test_cli import Running, complaint
from test_cli import serving as process
from test_migration import unpacked
from waiting import NO_TLS, until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="open files can be removed on POSIX only")


def log_of(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


def cut(file: Path, share: float) -> None:
    os.truncate(file, int(file.stat().st_size * share))


def replace_with_copy(file: Path) -> None:
    shutil.copy(file, file.with_name("copy"))
    file.with_name("copy").replace(file)


def remove_both(database: Path) -> None:
    log_of(database).unlink()
    database.unlink()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "log removed": (lambda database: log_of(database).unlink(), "store.db-wal is gone"),
    "log replaced": (lambda database: replace_with_copy(log_of(database)), "store.db-wal was replaced"),
    "log emptied": (lambda database: cut(log_of(database), 0), "store.db-wal was truncated"),
    # Behind the pages of this round there may be old ones, which nobody would miss.
    "log cut to a page": (lambda database: os.truncate(log_of(database), 5000), "store.db-wal was truncated"),
    "database emptied": (lambda database: cut(database, 0), "store.db was truncated"),
    "database cut in half": (lambda database: cut(database, 0.5), "store.db was truncated"),
    "database removed": (lambda database: database.unlink(), "store.db is gone"),
    "database replaced": (replace_with_copy, "store.db was replaced"),
    "database moved": (lambda database: database.rename(database.with_name("elsewhere.db")), "store.db is gone"),
    "both removed": (remove_both, "store.db is gone"),
}
EACH_DAMAGE = pytest.mark.parametrize(("damage", "what"), DAMAGES.values(), ids=DAMAGES.keys())


@contextmanager
def kept(tmp_path: Path, name: str = "server") -> Generator[Running]:
    """Run a server on the one database of *tmp_path*."""
    directory = tmp_path / name
    directory.mkdir()
    with process(directory, "--database", str(tmp_path / "store.db"), "--log-format", "none") as running:
        yield running


def track(running: Running, distinct_id: str) -> int:
    body = {"token": "t", "event": "E", "userId": "u", "distinctId": distinct_id}
    return httpx.post(running.url + "/track", json=body, trust_env=False, verify=NO_TLS, timeout=30).status_code


def acknowledged(running: Running, name: str, count: int = 20) -> set[str]:
    """Send some events, and return the distinct ids of those that were acknowledged."""
    ids = [f"{name}-{number}" for number in range(count)]
    return {id_ for id_ in ids if track(running, id_) == 200}


def stored(running: Running) -> set[str]:
    answer = httpx.get(running.url + "/debug/events?limit=1000", trust_env=False, verify=NO_TLS, timeout=30)
    assert answer.status_code == 200, answer.text
    return {event["distinct_id"] for event in answer.json()["items"]}


def get(running: Running, path: str) -> httpx.Response:
    return httpx.get(running.url + path, trust_env=False, verify=NO_TLS, timeout=30)


@EACH_DAMAGE
def test_from_a_damage_on_nothing_is_acknowledged_and_everything_says_why(
    tmp_path: Path, damage: Callable[[Path], object], what: str
) -> None:
    with kept(tmp_path) as running:
        assert len(acknowledged(running, "before")) == 20
        damage(tmp_path / "store.db")
        # Health knows before any event comes.
        for path in ("/debug/health", "/readyz", "/debug/summary", "/debug/events", "/debug/visitors", "/debug/calls"):
            answer = get(running, path)
            assert answer.status_code == 503, path
            assert what in answer.json()["error"], path
        assert acknowledged(running, "after", 5) == set()
        reset = httpx.post(running.url + "/debug/reset", json={"all": True}, trust_env=False, verify=NO_TLS)
        assert reset.status_code == 500
        assert what in reset.json()["error"]
        assert get(running, "/debug/health").status_code == 503
        for line in running.complained().splitlines():
            assert what in line
            assert "internal error" not in line
        assert running.end(signal.SIGTERM) == -signal.SIGTERM


@dataclass
class Sender:
    """Sends events without a pause; notes which were acknowledged, and which of them were sent after the damage."""

    running: Running
    name: str
    damaged: threading.Event
    acknowledged: list[str] = field(default_factory=list[str])
    after_damage: list[str] = field(default_factory=list[str])
    refused: bool = False

    def send(self) -> None:
        with httpx.Client(base_url=self.running.url, trust_env=False, verify=NO_TLS, timeout=30) as http:
            while not self.refused and len(self.after_damage) < 300:
                after, id_ = self.damaged.is_set(), f"{self.name}-{len(self.acknowledged)}"
                body = {"token": "t", "event": "E", "userId": self.name, "distinctId": id_}
                self.refused = http.post("/track", json=body).status_code == 500
                if not self.refused:
                    self.acknowledged.append(id_)
                    self.after_damage += [id_] * after


@pytest.mark.parametrize(("damage", "what"), [*DAMAGES.values()][::2], ids=[*DAMAGES][::2])
def test_under_load_nothing_is_acknowledged_after_a_damage_that_would_be_lost(
    tmp_path: Path, damage: Callable[[Path], object], what: str
) -> None:
    damaged = threading.Event()
    with kept(tmp_path) as running:
        senders = [Sender(running, f"sender-{number}", damaged) for number in range(4)]
        threads = [threading.Thread(target=sender.send) for sender in senders]
        for thread in threads:
            thread.start()
        # Until the log was copied into the database and begun anew: then the database has something to lose.
        until(lambda: sum(len(sender.acknowledged) for sender in senders) > 400)
        damage(tmp_path / "store.db")
        damaged.set()
        for thread in threads:
            thread.join()
        refused = {sender.refused for sender in senders}
        if refused == {True}:
            assert [sender.after_damage for sender in senders] == [[]] * 4
            assert what in get(running, "/debug/health").json()["error"]
        running.end(signal.SIGKILL)
    if refused != {True}:
        # A log that is cut in the moment when all of it was copied is no loss.
        with kept(tmp_path, "second") as running:
            count = sum(len(sender.acknowledged) for sender in senders)
            assert get(running, "/debug/summary").json()["requests"] == count


def test_a_database_that_another_program_compacts_is_not_taken_for_damaged(tmp_path: Path) -> None:
    with kept(tmp_path) as running:
        assert len(acknowledged(running, "before", 300)) == 300
        assert (
            httpx.post(running.url + "/debug/reset", json={"all": True}, trust_env=False, verify=NO_TLS).status_code
            == 200
        )
        with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        ids = acknowledged(running, "after")
        assert len(ids) == 20
        assert get(running, "/debug/health").status_code == 200
        assert stored(running) == ids


def test_a_database_that_grows_while_it_is_looked_at_is_not_taken_for_damaged(tmp_path: Path) -> None:
    with closing(StoreFile(tmp_path / "store.db")) as file, closing(file.open()) as connection:
        cursor, written = connection.cursor(), threading.Event()
        cursor.execute("CREATE TABLE filler (text)")
        alarms: list[str] = []

        def look() -> None:
            while not written.is_set():
                try:
                    file.check()
                except StoreLostError as error:
                    alarms.append(str(error))

        lookers = [threading.Thread(target=look) for _ in range(2)]
        for looker in lookers:
            looker.start()
        for _ in range(500):
            cursor.execute("INSERT INTO filler VALUES (?)", ("x" * 60_000,))
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.fetchall()
            file.committed()
        written.set()
        for looker in lookers:
            looker.join()
        assert alarms == []


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_acknowledged_before_the_log_was_removed_is_there_after_a_restart(
    tmp_path: Path, end: signal.Signals
) -> None:
    with kept(tmp_path) as running:
        ids = acknowledged(running, "before")
        log_of(tmp_path / "store.db").unlink()
        if end == signal.SIGKILL:
            # The server notices when the next event comes.
            assert track(running, "after") == 500
        running.end(end)
    with kept(tmp_path, "second") as running:
        assert stored(running) == ids
        assert len(ids) == 20


def test_a_database_that_was_moved_is_complete_where_it_is_now(tmp_path: Path) -> None:
    with kept(tmp_path) as running:
        ids = acknowledged(running, "before")
        (tmp_path / "store.db").rename(tmp_path / "elsewhere.db")
        assert track(running, "after") == 500
        running.end(signal.SIGKILL)
    (tmp_path / "elsewhere.db").rename(tmp_path / "store.db")
    log_of(tmp_path / "store.db").unlink()
    with kept(tmp_path, "second") as running:
        assert stored(running) == ids


def test_a_log_is_not_applied_to_another_database_at_its_path(tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    assert refusal_of_new(backup) is None
    with kept(tmp_path) as running:
        acknowledged(running, "before")
        backup.replace(tmp_path / "store.db")
        assert track(running, "after") == 500
        running.end(signal.SIGKILL)
    with kept(tmp_path, "second") as running:
        assert stored(running) == set()


@pytest.mark.skipif(sys.platform != "linux", reason="needs locks that only Linux has")
@pytest.mark.parametrize("share", [0.5, 0.97])
def test_what_is_left_of_a_log_that_was_cut_is_left_alone(tmp_path: Path, share: float) -> None:
    database = tmp_path / "store.db"
    with kept(tmp_path) as running:
        acknowledged(running, "before")
        cut(log_of(database), share)
        before = database.read_bytes(), log_of(database).read_bytes()
        assert track(running, "after") == 500
        assert running.end(signal.SIGTERM) == -signal.SIGTERM
    assert (database.read_bytes(), log_of(database).read_bytes()) == before
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.skipif(sys.platform != "linux", reason="needs locks that only Linux has")
def test_a_second_server_does_not_start_though_the_lock_was_removed(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    with kept(tmp_path) as running:
        Path(f"{database}.lock").unlink()
        assert complaint(tmp_path, "serve", "--port", "0", "--database", str(database)) == (
            f"ours-emulator: {database} is in use by another emulator; stop that one or use another file"
        )
        # Nor does the attempt take anything from the first one.
        ids = acknowledged(running, "after")
        assert stored(running) == ids
        running.end(signal.SIGKILL)
    with kept(tmp_path, "second") as running:
        assert stored(running) == ids
        assert len(ids) == 20


def test_an_emptied_database_with_a_log_is_refused_and_both_are_left_alone(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    with kept(tmp_path) as running:
        acknowledged(running, "before")
        running.end(signal.SIGKILL)
    cut(database, 0)
    log = log_of(database).read_bytes()
    line = complaint(tmp_path, "serve", "--port", "0", "--database", str(database))
    assert line.startswith(f"ours-emulator: {database} is empty, but {database}-wal is not; ")
    assert (database.read_bytes(), log_of(database).read_bytes()) == (b"", log)


@pytest.mark.parametrize(("share", "open_elsewhere"), [(0.97, True), (0.97, False), (0.5, False), (0, True)])
def test_a_log_that_was_cut_after_a_kill_is_refused_and_can_be_given_up(
    tmp_path: Path, share: float, open_elsewhere: bool
) -> None:
    database = tmp_path / "store.db"
    with kept(tmp_path) as running:
        acknowledged(running, "before")
        running.end(signal.SIGKILL)
    with closing(sqlite3.connect(database)) as other:
        if open_elsewhere:
            assert other.execute("SELECT count(*) FROM receipts").fetchone() == (20,)
        cut(log_of(database), share)
        line = complaint(tmp_path, "serve", "--port", "0", "--database", str(database))
        assert line == (
            f"ours-emulator: {database}-wal was truncated by another program, so events are lost; "
            f"close whatever has {database} open, then restore both from a backup, "
            f"or remove {database}-shm to start with what is left"
        )
    Path(f"{database}-shm").unlink(missing_ok=True)
    with kept(tmp_path, "second") as running:
        assert len(stored(running)) < 20


def test_a_log_of_which_only_what_was_copied_was_cut_is_no_damage(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    with kept(tmp_path) as running:
        ids = acknowledged(running, "before")
        with closing(sqlite3.connect(database)) as other:
            other.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
        running.end(signal.SIGKILL)
    cut(log_of(database), 0)
    with kept(tmp_path, "second") as running:
        assert stored(running) == ids


# The schema


def refusal(database: Path) -> str | None:
    """Return why *database* cannot be opened, after checking that this changed nothing."""
    before, why = database.read_bytes(), None
    try:
        with closing(StoreFile(database)) as file:
            file.open().close()
    except StoreError as error:
        why = str(error)
    assert why is None or database.read_bytes() == before
    return why


def refusal_of_new(database: Path) -> str | None:
    database.touch(0o600)
    return refusal(database)


def names(database: Path, kind: str) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = ? AND sql IS NOT NULL ORDER BY name"
        return [name for (name,) in connection.execute(query, (kind,))]


def test_a_store_that_lacks_a_table_an_index_or_a_column_is_refused_by_its_name(tmp_path: Path) -> None:
    whole = tmp_path / "whole.db"
    assert refusal_of_new(whole) is None
    changes = {f"DROP INDEX {name}": f"index {name} is missing" for name in names(whole, "index")}
    for table in names(whole, "table"):
        changes[f"DROP TABLE {table}"] = f"table {table} is missing"
        with closing(sqlite3.connect(whole)) as connection:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        for column in columns:
            changes[f"ALTER TABLE {table} RENAME COLUMN {column} TO other"] = f"column {table}.{column} is missing"
    changes["ALTER TABLE receipts ADD COLUMN mood TEXT NOT NULL DEFAULT ''"] = "column receipts.mood is unknown"
    changes["DROP INDEX receipts_by_time; CREATE UNIQUE INDEX receipts_by_time ON receipts (account_id, time)"] = (
        "index receipts_by_time is not as it was created"
    )
    assert len(changes) > 60
    for change, what in changes.items():
        database = tmp_path / "store.db"
        shutil.copy(whole, database)
        with closing(sqlite3.connect(database)) as connection:
            connection.executescript(change)
        expected = f"{database} is damaged: {what}; restore it from a backup or use a new file"
        assert refusal(database) == expected, change


def test_what_others_add_to_a_store_is_no_damage(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    assert refusal_of_new(database) is None
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript("CREATE TABLE mine (id); CREATE INDEX mine_too ON receipts (outcome); ANALYZE")
    assert refusal(database) is None


def test_a_damaged_store_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    assert refusal_of_new(database) is None
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("ALTER TABLE receipts DROP COLUMN repeats")
    line = complaint(tmp_path, "serve", "--port", "0", "--database", str(database))
    assert line == (
        f"ours-emulator: {database} is damaged: column receipts.repeats is missing; "
        "restore it from a backup or use a new file"
    )


# What others may read


def test_a_database_that_others_can_read_is_left_so_with_a_warning(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    database.touch()
    for mode, warned in ((0o644, True), (0o640, True), (0o600, False)):
        database.chmod(mode)
        with kept(tmp_path, oct(mode)) as running:
            assert track(running, oct(mode)) == 200
            lines = [line for line in running.complained().splitlines() if "chmod 600" in line]
            assert len(lines) == warned
            assert database.stat().st_mode & 0o777 == mode


def test_a_migration_is_told_before_and_after(tmp_path: Path) -> None:
    database, _ = unpacked("store-v2", tmp_path)
    database.chmod(0o600)
    with process(tmp_path, "--database", str(database), "--log-format", "none") as running:
        until(lambda: len(running.complained().splitlines()) == 2)
        before, after = running.complained().splitlines()
        assert before.endswith(f"store: migrating {database} from version 2 to {SCHEMA_VERSION}")
        assert after.endswith(" events)")


def test_a_password_in_a_url_is_shown_nowhere(tmp_path: Path) -> None:
    for url in ("postgresql://u:secret@h/db", "u:secret://h"):
        done = subprocess.run(
            [sys.executable, "-m", "ours_emulator", "serve", "--port", "0", "--database", url],
            capture_output=True,
            text=True,
            timeout=30,
            cwd=tmp_path,
        )
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert "secret" not in done.stdout + done.stderr + json.dumps([path.name for path in tmp_path.iterdir()])
