"""Waiting for a condition, never for a time. The limits here only end a test that waits in vain."""

import http.client
import json
import select
import ssl
import subprocess
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

PATIENCE = 90
"""Seconds after which a test is ended."""
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of httpx: each would read all certificates of this machine, which takes longer than most tests."""
_ROUNDS = 5
_POLL_SECONDS = 0.01


def until(ready: Callable[[], object]) -> None:
    """Return as soon as *ready* says so."""
    deadline = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(_POLL_SECONDS)


def is_running(pid: object) -> bool:
    """Whether there is such a process; one that ended, and that nobody waits for, is none."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout
    return state.strip() != "" and not state.startswith("Z")


def catch_up(url: str) -> None:
    """Return when the emulator at *url* has got on with what it was sent before.

    It takes turns: while it answers a series of requests, each of which waits for its database, it has read what came
    before them and begun with it. However slow the machine is, this takes as many turns.
    """
    address = urlsplit(url)
    with httpx.Client(trust_env=False, verify=NO_TLS, timeout=PATIENCE) as client:
        for _ in range(_ROUNDS):
            assert client.get(f"{address.scheme}://{address.netloc}/debug/health").status_code == 200


@dataclass(frozen=True)
class Sent:
    """A request that was sent whole, and whose answer was not read yet."""

    connection: http.client.HTTPConnection

    def answered(self) -> bool:
        """Tell whether an answer has come."""
        return bool(select.select([self.connection.sock], [], [], 0)[0])

    def answer(self) -> httpx.Response:
        """Return the answer, once it comes."""
        response = self.connection.getresponse()
        return httpx.Response(response.status, headers=response.getheaders(), content=response.read())


@contextmanager
def sending(url: str, body: object, headers: Mapping[str, str] | None = None) -> Generator[Sent]:
    """Post *body* as JSON to *url* over a connection of its own, and let the emulator begin with it."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=PATIENCE)
    try:
        said = {"content-type": "application/json", **(headers or {})}
        connection.request("POST", address.path, json.dumps(body).encode("ascii"), said)
        catch_up(url)
        yield Sent(connection)
    finally:
        connection.close()
