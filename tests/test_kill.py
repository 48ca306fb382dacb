"""SIGKILL under load: what was answered is there afterwards, and a batch is there whole or not at all."""

import http.client
import json
import random
import signal
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

from databases import is_postgresql, queried
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


def kept(database: str) -> list[tuple[str, str]]:
    """Return the distinct id and the visitor of every accepted event, after checking what must be so in any case."""
    if not is_postgresql(database):
        assert queried(database, "PRAGMA integrity_check") == [("ok",)]
    joined = "receipts JOIN visitors ON pk = visitor_pk"
    rows = queried(database, f"SELECT distinct_id, visitor_id FROM {joined} WHERE outcome = 'accepted'")
    counts = queried(database, "SELECT visitor_id, event_count FROM visitors")
    ((used,),) = queried(database, "SELECT count(*) FROM distinct_ids")
    ((requests,),) = queried(database, "SELECT sum(receipt_count) FROM requests")
    assert Counter(visitor for _, visitor in rows) == dict(counts)
    assert len(rows) == used == (requests or 0)
    return rows


def check(database: str, acknowledged: Acknowledged) -> set[str]:
    """Return which of the *acknowledged* ids are missing, after checking that nothing is there in part, or twice."""
    ids = [distinct_id for distinct_id, _ in kept(database)]
    assert len(ids) == len(set(ids))
    rows = Counter(it.rpartition("-")[0] for it in acknowledged.sent.intersection(ids))
    assert {(name[:5], count) for name, count in rows.items()} <= {("batch", ROWS), ("track", 1)}
    return acknowledged.ids.difference(ids)


@contextmanager
def started(tmp_path: Path, number: int, database: str, command: Sequence[str] = ()) -> Generator[Running]:
    """Run a server on a *database*."""
    directory = tmp_path / str(number)
    directory.mkdir()
    flags = ("--database", database, "--log-format", "none")
    with serving(directory, *flags, command=command) as running:
        yield running


@pytest.mark.parametrize("case", range(2))
def test_what_was_answered_survives_being_killed_at_any_moment(tmp_path: Path, database: str, case: int) -> None:
    chance = random.Random(case)
    acknowledged = Acknowledged()
    for number in range(KILLS + 1):
        with started(tmp_path, number, database) as running:
            assert check(database, acknowledged) == set()
            assert running.complained() == ""
            if number < KILLS:
                acknowledged = kill_under_load(running, chance.uniform(0, 0.3))
                assert acknowledged.ids


def test_a_server_that_answers_before_it_commits_is_found_out(tmp_path: Path) -> None:
    database = str(tmp_path / "store.db")
    with started(tmp_path, 0, database, HASTY) as running:
        acknowledged = kill_under_load(running, 0.4)
    assert acknowledged.ids
    with started(tmp_path, 1, database):
        assert check(database, acknowledged)
