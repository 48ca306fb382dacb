"""SIGKILL under load: what was answered is there afterwards, and a batch is there whole or not at all."""

import http.client
import json
import random
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from test_cli import Running, serving
from waiting import until

ROWS = 20
TRACKING, BATCHING = 5, 3
KILLS = 3
HASTY = [sys.executable, str(Path(__file__).with_name("hasty.py"))]


@dataclass
class Acknowledged:
    """The distinct ids that were answered with success, and those that were sent and perhaps not answered."""

    ids: set[str] = field(default_factory=set[str])
    sent: set[str] = field(default_factory=set[str])


def bodies(path: str, sender: str, number: int) -> tuple[list[str], bytes]:
    """Return the distinct ids of a request that nobody sent before, and its body. Everybody is one of ten visitors."""
    ids = [f"{sender}-{number}-{row}" for row in range(ROWS if path == "/batch" else 1)]
    rows = [{"event": "E", "distinctId": it, "userId": f"user-{hash(it) % 10}"} for it in ids]
    return ids, json.dumps({"token": "t", **({"events": rows} if path == "/batch" else rows[0])}).encode()


def send(url: str, path: str, acknowledged: Acknowledged) -> None:
    """Send one request after the other until the server is gone."""
    sender, number = f"{path[1:]}{uuid4().hex[:8]}", 0
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)) as connection:
        while True:
            ids, body = bodies(path, sender, number)
            acknowledged.sent.update(ids)
            number += 1
            try:
                connection.request("POST", path, body, {"content-type": "application/json"})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                return
            assert answer.status == 200
            acknowledged.ids.update(ids)


def kill_under_load(running: Running, seconds: float) -> Acknowledged:
    """Send from several connections, kill the server so long after its first answer, and return all it had answered."""
    found = [Acknowledged() for _ in range(TRACKING + BATCHING)]
    paths = ["/track"] * TRACKING + ["/batch"] * BATCHING
    senders = [threading.Thread(target=send, args=(running.url, *it)) for it in zip(paths, found, strict=True)]
    for sender in senders:
        sender.start()
    until(lambda: any(it.ids for it in found))
    # At any moment after that.
    time.sleep(seconds)
    running.process.send_signal(signal.SIGKILL)
    for sender in senders:
        sender.join(30)
    assert running.process.wait(10) == -signal.SIGKILL
    return Acknowledged({id_ for it in found for id_ in it.ids}, {id_ for it in found for id_ in it.sent})


def kept(database: Path) -> list[tuple[str, str]]:
    """Return the distinct id and the visitor of every accepted event, after checking what must be so in any case."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute(
            "SELECT distinct_id, visitor_id FROM receipts JOIN visitors ON pk = visitor_pk WHERE outcome = 'accepted'"
        ).fetchall()
        counts = connection.execute("SELECT visitor_id, event_count FROM visitors").fetchall()
        used = connection.execute("SELECT count(*) FROM distinct_ids").fetchone()[0]
        requests = connection.execute("SELECT sum(receipt_count) FROM requests").fetchone()[0]
    assert Counter(visitor for _, visitor in rows) == dict(counts)
    assert len(rows) == used == (requests or 0)
    return rows


def check(database: Path, acknowledged: Acknowledged) -> set[str]:
    """Return which of the *acknowledged* ids are missing, after checking that nothing is there in part, or twice."""
    ids = [distinct_id for distinct_id, _ in kept(database)]
    assert len(ids) == len(set(ids))
    rows = Counter(it.rpartition("-")[0] for it in acknowledged.sent.intersection(ids))
    assert {(name[:5], count) for name, count in rows.items()} <= {("batch", ROWS), ("track", 1)}
    return acknowledged.ids.difference(ids)


@contextmanager
def started(tmp_path: Path, number: int, command: Sequence[str] = ()) -> Generator[Running]:
    """Run a server on the one database of *tmp_path*."""
    directory = tmp_path / str(number)
    directory.mkdir()
    flags = ("--database", str(tmp_path / "store.db"), "--log-format", "none")
    with serving(directory, *flags, command=command) as running:
        yield running


@pytest.mark.parametrize("case", range(2))
def test_what_was_answered_survives_being_killed_at_any_moment(tmp_path: Path, case: int) -> None:
    chance = random.Random(case)
    acknowledged = Acknowledged()
    for number in range(KILLS + 1):
        with started(tmp_path, number) as running:
            assert check(tmp_path / "store.db", acknowledged) == set()
            assert running.complained() == ""
            if number < KILLS:
                acknowledged = kill_under_load(running, chance.uniform(0, 0.3))
                assert acknowledged.ids


def test_a_server_that_answers_before_it_commits_is_found_out(tmp_path: Path) -> None:
    with started(tmp_path, 0, HASTY) as running:
        acknowledged = kill_under_load(running, 0.4)
    assert acknowledged.ids
    with started(tmp_path, 1):
        assert check(tmp_path / "store.db", acknowledged)
