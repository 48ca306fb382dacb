"""Emulators that share a PostgreSQL database, and its server, killed under load: nothing answered is missing."""

import http.client
import random
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from databases import PostgresqlServer, running_server
from test_cli import Running
from test_kill import Acknowledged, bodies, check, started
from waiting import until

PATHS = ("/track", "/track", "/track", "/batch")
KILLS = 4


class Sender:
    """Sends one request after the other, wherever *url* leads, until it is stopped; 500 acknowledges nothing."""

    def __init__(self, path: str, url: Callable[[], str]) -> None:
        self.acknowledged = Acknowledged()
        self.stopped = threading.Event()
        self._path = path
        self._url = url
        self.thread = threading.Thread(target=self._send)
        self.thread.start()

    def _send(self) -> None:
        sender, number = f"{self._path[1:]}{uuid4().hex[:8]}", 0
        while not self.stopped.is_set():
            with closing(http.client.HTTPConnection(urlsplit(self._url()).netloc, timeout=40)) as connection:
                try:
                    while not self.stopped.is_set():
                        ids, body = bodies(self._path, sender, number)
                        self.acknowledged.sent.update(ids)
                        number += 1
                        connection.request("POST", self._path, body, {"content-type": "application/json"})
                        answer = connection.getresponse()
                        answer.read()
                        assert answer.status in (200, 500)
                        if answer.status == 200:
                            self.acknowledged.ids.update(ids)
                except (OSError, http.client.HTTPException):
                    continue

    def stop(self) -> Acknowledged:
        """Stop, and return what was sent."""
        self.stopped.set()
        self.thread.join(60)
        assert not self.thread.is_alive()
        return self.acknowledged


@contextmanager
def load(*urls: Callable[[], str]) -> Generator[list[Sender]]:
    """Send to each of *urls* from several clients until the block ends."""
    senders = [Sender(path, url) for url in urls for path in PATHS]
    try:
        yield senders
    finally:
        for sender in senders:
            sender.stopped.set()


def all_of(senders: list[Sender]) -> Acknowledged:
    """Stop the *senders*, and return what all of them sent."""
    found = [sender.stop() for sender in senders]
    return Acknowledged({id_ for it in found for id_ in it.ids}, {id_ for it in found for id_ in it.sent})


def answered_more(senders: list[Sender]) -> None:
    """Wait until each sender had further answers."""
    before = [len(sender.acknowledged.ids) for sender in senders]
    until(lambda: all(len(one.acknowledged.ids) > count for one, count in zip(senders, before, strict=True)))


def test_what_any_of_two_answered_survives_when_either_is_killed(postgresql: PostgresqlServer, tmp_path: Path) -> None:
    url, chance = postgresql.schema(), random.Random(1)
    with started(tmp_path, 0, url) as survivor:
        victim: list[Running] = []
        with load(lambda: survivor.url, lambda: victim[-1].url if victim else survivor.url) as senders:
            for number in range(1, KILLS + 1):
                with started(tmp_path, number, url) as running:
                    victim.append(running)
                    answered_more(senders)
                    # At any moment after that.
                    threading.Event().wait(chance.random() / 5)
                    running.process.send_signal(signal.SIGKILL)
                    assert running.process.wait(10) == -signal.SIGKILL
                    victim.append(survivor)
                    answered_more(senders)
            assert check(url, all_of(senders)) == set()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_what_two_answered_survives_when_the_server_is_stopped(tmp_path: Path, how: signal.Signals) -> None:
    chance = random.Random(2)
    with running_server() as server:
        url = server.schema()
        with (
            started(tmp_path, 0, url) as one,
            started(tmp_path, 1, url) as two,
            load(lambda: one.url, lambda: two.url) as senders,
        ):
            for _ in range(KILLS // 2):
                answered_more(senders)
                threading.Event().wait(chance.random() / 5)
                server.stop(how)
                server.start()
                answered_more(senders)
            assert check(url, all_of(senders)) == set()
