"""What a kept store is worth when its disk is full, its file is gone, or everybody writes at once."""

import json
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving import Account, serving
from test_cli import Running, complaint
from test_cli import serving as process
from waiting import NO_TLS, until

KEY = {"authorization": "Bearer pk_k"}
UNREADABLE = {"status": "error", "error": "An error occurred with this request."}
LIMITED = pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process")


def post(running: Running, path: str, body: Any) -> httpx.Response:
    return httpx.post(running.url + path, json=body, headers=KEY, trust_env=False, verify=NO_TLS, timeout=30)


def counts(running: Running) -> tuple[int, int, Counter[str]]:
    summary = httpx.get(running.url + "/debug/summary", trust_env=False, verify=NO_TLS).json()
    return summary["visitors"], summary["requests"], Counter(summary["outcomes"])


@LIMITED
@pytest.mark.rule("429-500", "client-trouble")
def test_a_full_disk_is_told_to_every_client_until_there_is_room_again(tmp_path: Path) -> None:
    text = {"text": "x" * 300_000}
    calls: list[tuple[str, Any, int, Any]] = [
        ("/track", {"token": "t", "event": "E", "userId": "u", "eventProperties": text}, 500, {"success": False}),
        (
            "/batch",
            {"token": "t", "events": [{"event": "E", "userId": "u", "distinctId": "d", "eventProperties": text}]},
            500,
            {"success": False, "error": "the event could not be stored", "retryable": True},
        ),
        ("/api/client/events", [{"external_id": "x", "name": "E", "data": text}], 400, UNREADABLE),
    ]
    with process(tmp_path, "--database", "store.db", "--log-format", "none") as running:
        assert post(running, "/track", {"token": "t", "event": "E", "userId": "u"}).status_code == 200
        before = counts(running)
        # No file may grow beyond what they are now.
        limit = max(file.stat().st_size for file in tmp_path.glob("store.db*"))
        prlimit = resource.prlimit
        unlimited = prlimit(running.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        for path, body, status, said in calls:
            answer = post(running, path, body)
            assert (answer.status_code, answer.json()) == (status, said), path
        assert counts(running) == before
        assert httpx.get(running.url + "/debug/health", trust_env=False, verify=NO_TLS).status_code == 200
        prlimit(running.process.pid, resource.RLIMIT_FSIZE, unlimited)
        for path, body, _, _ in calls:
            assert post(running, path, body).status_code in (200, 204), path
        assert counts(running)[1] == 4
        # One line for each, without a trace of the program.
        until(lambda: len(running.complained().splitlines()) == len(calls))
        assert "Traceback" not in running.complained()


def removed(database: Path) -> None:
    database.unlink()


def replaced(database: Path) -> None:
    shutil.copy(database, database.with_name("copy"))
    database.with_name("copy").replace(database)


def moved(database: Path) -> None:
    database.rename(database.with_name("elsewhere.db"))


@pytest.mark.rule("429-500")
@pytest.mark.parametrize("lose", [removed, replaced, moved])
def test_a_file_that_is_gone_is_noticed_and_not_written_into(tmp_path: Path, lose: Callable[[Path], None]) -> None:
    database = tmp_path / "store.db"
    with process(tmp_path, "--database", str(database), "--log-format", "none") as running:
        assert post(running, "/track", {"token": "t", "event": "E", "userId": "u"}).status_code == 200
        lose(database)
        for _ in range(2):
            assert post(running, "/track", {"token": "t", "event": "E", "userId": "u"}).status_code == 500
        assert post(running, "/api/client/events", [{"external_id": "x"}]).json() == UNREADABLE
        health = httpx.get(running.url + "/debug/health", trust_env=False, verify=NO_TLS)
        assert (health.status_code, health.json().keys()) == (503, {"error"})
        assert database.exists() is (lose is replaced)
        until(lambda: len(running.complained().splitlines()) == 3)
        lines = running.complained().splitlines()
        for line in (*lines, health.json()["error"]):
            assert str(database) in line
            assert "restart the emulator" in line
        running.end(signal.SIGTERM)


def test_a_file_that_comes_back_is_written_again(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    with serving(database=database) as server:
        database.rename(tmp_path / "elsewhere.db")
        assert server.default.track(userId="u").status_code == 500
        (tmp_path / "elsewhere.db").rename(database)
        assert server.default.track(userId="u").status_code == 200


# Root may write anything. Whoever is not root may be unable to read Python itself, so all of it is loaded before.
READ_ONLY = """
import asyncio, encodings.idna, os, resource, sys
from ours_emulator import app, cli, settings
from ours_emulator.http import server
asyncio.run(app.create_app(settings.load()).aclose())
if os.getuid() == 0:
    os.setuid(65534)
sys.argv[0] = "ours-emulator"
cli.main()
"""


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_store_that_may_not_be_written_is_one_clear_line(tmp_path: Path, what: str) -> None:
    # Pytest's own directories are open to nobody else.
    for directory in (tmp_path, *tmp_path.parents):
        if Path(tempfile.gettempdir()) in directory.parents:
            directory.chmod(0o755)
    folder = tmp_path / "data"
    folder.mkdir()
    database = folder / "store.db"
    with serving(database=database) as server:
        server.default.track(userId="u")
    (folder / "store.db.lock").touch()
    (folder / "store.db.lock").chmod(0o666)
    (database if what == "file" else folder).chmod(0o444 if what == "file" else 0o555)
    try:
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, "serve", "--port", "0", "--database", str(database)],
            capture_output=True,
            text=True,
            timeout=30,
        )
    finally:
        folder.chmod(0o755)
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"ours-emulator: {database} cannot be opened: ")


@pytest.mark.rule("dedup")
def test_of_eight_clients_at_one_visitor_nothing_is_lost_and_nothing_is_there_twice(tmp_path: Path) -> None:
    def hammer(account: Account, client: int) -> list[int]:
        own, shared = f"{client}-{{}}", "shared-{}"
        with httpx.Client(trust_env=False, verify=NO_TLS, timeout=30) as http:
            mine = Account(account.url, http)
            return [
                mine.track(
                    userId="one", distinctId=name.format(number), userProperties={"custom_properties": {own: number}}
                ).status_code
                for number in range(50)
                for name in (own, shared)
            ]

    with serving(database=tmp_path / "store.db") as server:
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(hammer, [server.default] * 8, range(8)))
        assert statuses == [[200] * 100] * 8
        assert server.default.debug("summary")["outcomes"] | {"dropped": 0} == {
            "accepted": 8 * 50 + 50,
            "duplicate": 7 * 50,
            "dropped": 0,
            "rejected": 0,
        }
        visitor = server.default.visitor()
        assert visitor["event_count"] == 8 * 50 + 50
        assert len(visitor["custom_properties"]) == 8
        ids = [event["distinct_id"] for event in server.default.events(limit=1000)]
        assert len(ids) == len(set(ids)) == 450


def test_two_emulators_on_one_file_are_one_too_many(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    (tmp_path / "first").mkdir()
    with process(tmp_path / "first", "--database", str(database), "--log-format", "none") as running:
        arguments = ("serve", "--port", "0", "--database", str(database))
        with ThreadPoolExecutor(4) as pool:
            lines = [pool.submit(complaint, tmp_path, *arguments) for _ in range(4)]
        assert {line.result() for line in lines} == {
            f"ours-emulator: {database} is in use by another emulator; stop that one or use another file"
        }
        assert post(running, "/track", {"token": "t", "event": "E", "userId": "u"}).status_code == 200
        running.process.kill()
        running.process.wait()
    # Whoever is killed leaves no lock.
    (tmp_path / "second").mkdir()
    with process(tmp_path / "second", "--database", str(database)) as running:
        until(lambda: counts(running)[1] == 1)
        assert json.loads(httpx.get(running.url + "/debug/events", trust_env=False, verify=NO_TLS).text)["total"] == 1
