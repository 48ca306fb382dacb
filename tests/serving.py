"""A live emulator for the tests: the real app under the real server, on a free port of this machine."""

import asyncio
import faulthandler
import socket
import threading
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp

from ours_emulator.app import create_standalone
from ours_emulator.http.server import Server as Uvicorn
from ours_emulator.openapi.app import EmulatorApp
from ours_emulator.settings import load
from waiting import NO_TLS, PATIENCE

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Account:
    """One account of a live emulator; a fresh one makes a test alone."""

    url: str
    http: httpx.Client

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Post *body* as JSON; as it is, if it is bytes."""
        if isinstance(body, bytes):
            return self.http.post(self.url + path, content=body, headers={**JSON, **(headers or {})})
        return self.http.post(self.url + path, json=body, headers=headers)

    def track(self, **fields: Any) -> httpx.Response:
        """Post an event."""
        return self.post("/track", {"token": "t", "event": "Test", **fields})

    def identify(self, **fields: Any) -> httpx.Response:
        """Post a visitor."""
        return self.post("/identify", {"token": "t", **fields})

    def batch(self, *events: Any, **fields: Any) -> httpx.Response:
        """Post a batch of rows."""
        return self.post("/batch", {"token": "t", "events": list(events), **fields})

    def configure(self, **accepts: Any) -> None:
        """Let the account, which is not the default one, accept something else."""
        name = self.url.rpartition("/")[2]
        response = self.http.put(f"{self.url}/debug/accounts/{name}", json=accepts)
        assert response.status_code == 200, response.text

    def debug(self, path: str, **params: Any) -> Any:
        """Return what the debug API says at *path*."""
        response = self.http.get(f"{self.url}/debug/{path}", params=params)
        assert response.status_code == 200, response.text
        return response.json()

    def events(self, **params: Any) -> list[dict[str, Any]]:
        """Return the events, the latest first."""
        items: list[dict[str, Any]] = self.debug("events", **params)["items"]
        return items

    def visitors(self, **params: Any) -> list[dict[str, Any]]:
        """Return the visitors, the newest first."""
        items: list[dict[str, Any]] = self.debug("visitors", **params)["items"]
        return items

    def visitor(self, **params: Any) -> dict[str, Any]:
        """Return the only visitor there is for *params*."""
        (found,) = self.visitors(**params)
        return found


@dataclass(frozen=True)
class Server:
    """A live emulator."""

    url: str
    http: httpx.Client

    @property
    def default(self) -> Account:
        """The account without a prefix."""
        return Account(self.url, self.http)

    def account(self) -> Account:
        """Return an account nobody has used."""
        return Account(f"{self.url}/accounts/{uuid4()}", self.http)


@contextmanager
def serving(**settings: object) -> Generator[Server]:
    """Run an emulator with *settings* in a thread until the block ends."""
    with serving_at(0, **settings) as server:
        yield server


@contextmanager
def serving_at(port: int, **settings: object) -> Generator[Server]:
    """Do so on that *port*."""
    app = create_standalone(load({"log_format": "none", **settings}))
    with listening_server(app, port) as url, httpx.Client(timeout=30, trust_env=False, verify=NO_TLS) as http:
        yield Server(url, http)


def mounted(emulator: EmulatorApp) -> FastAPI:
    """Mount *emulator* at /ours of an app that closes it: a server runs the lifespan of the outer app only."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        yield
        await emulator.aclose()

    app = FastAPI(lifespan=lifespan)
    app.mount("/ours", emulator)
    return app


def stacks() -> str:
    """Return where each thread is."""
    with TemporaryFile("w+") as file:
        faulthandler.dump_traceback(file)
        file.seek(0)
        return file.read()


@contextmanager
def listening_server(app: ASGIApp, port: int = 0) -> Generator[str]:
    """Run *app* in a thread until the block ends; yield its URL."""
    # With protocol 0 asyncio leaves Nagle on, and every answer waits 40 ms for an acknowledgement.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    listening.listen(1024)
    server = Uvicorn(app, stopping=getattr(app, "stop", None))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listening.close()
    assert not thread.is_alive(), stacks()
