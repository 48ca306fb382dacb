"""`create_app()` as users of FastAPI run it, and the command line's app: the same, without waiting for FastAPI."""

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import ours_emulator.main
from ours_emulator.app import create_app
from ours_emulator.debug import events, metrics, wait
from ours_emulator.settings import SettingsError, load
from serving import listening_server
from test_cli import environment
from test_cli import serving as process
from test_recording import RECORDINGS, differences
from waiting import PATIENCE, until

EVENT = {"token": "t", "event": "E", "userId": "u"}
QUIET = {"log_format": "none"}


def client(url: str = "") -> httpx.Client:
    return httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE)


def test_the_old_import_is_the_same() -> None:
    assert ours_emulator.main.create_app is create_app


def test_it_is_a_fastapi_app_that_answers_in_process() -> None:
    async def story() -> None:
        app = create_app(load(QUIET))
        assert isinstance(app, FastAPI)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://emulator.test") as http:
            assert (await http.post("/track", json=EVENT)).json() == {"success": True}
            assert (await http.get("/debug/events")).json()["total"] == 1
            assert (await http.post("/track", json=EVENT, headers={"host": "evil.example"})).status_code == 403
        app.stop()
        await app.aclose()
        await app.aclose()

    asyncio.run(story())


def test_its_routes_are_those_that_were_made_by_the_import_so_the_first_call_makes_none() -> None:
    app = create_app(load(QUIET))
    made = {id(route) for router in (events.router, wait.router, metrics.router) for route in router.routes}
    assert made <= {id(route) for route in app.routes}
    asyncio.run(app.aclose())


def test_settings_are_keywords_and_the_others_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS_EMULATOR_TOKENS", "of-the-environment")
    monkeypatch.setenv("OURS_EMULATOR_ALLOWED_EVENTS", "Refund")
    with TestClient(create_app(log_format="none", allowed_events=["Purchase"])) as http:
        settings = http.get("/debug/settings").json()
        assert settings["allowed_events"] == {"value": ["Purchase"], "origin": "flag"}
        assert settings["tokens"]["origin"] == "environment"
    with pytest.raises(SettingsError, match=r"^alowed_events: unknown setting; did you mean allowed_events"):
        create_app(alowed_events=["Purchase"])
    with pytest.raises(TypeError, match="omit it, or tokens"):
        create_app(load(QUIET), tokens=["t"])


def test_the_test_client_runs_its_lifespan(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    with TestClient(create_app(load({**QUIET, "database": str(database)}))) as http:
        assert http.post("/api/v1/track", json=EVENT).json() == {"success": True}
        assert http.get("/accounts/a/debug/events").json()["total"] == 0
    # The lifespan has closed the store: another emulator may open it.
    with TestClient(create_app(load({**QUIET, "database": str(database)}))) as http:
        assert http.get("/debug/events").json()["total"] == 1


def test_a_web_socket_is_refused() -> None:
    for path in ("/track", "/debug", "/nowhere"):
        with (
            TestClient(create_app(load(QUIET))) as http,
            pytest.raises(WebSocketDisconnect) as refused,
            http.websocket_connect(path),
        ):
            pass
        assert refused.value.code == 1008


def test_a_fault_that_resets_cuts_the_call_also_without_a_socket() -> None:
    with TestClient(create_app(load(QUIET)), raise_server_exceptions=False) as http:
        fault = {"match": {"path": "/track"}, "answer": {"connection": "reset"}}
        assert http.put("/debug/faults/cut", json=fault).status_code == 200
        answer = http.post("/track", json=EVENT)
        assert "internal error" not in answer.text


@contextmanager
def uvicorn(tmp_path: Path, factory: str, *flags: str) -> Generator[httpx.Client]:
    """Run *factory* under uvicorn as it comes, in a process of its own, and end it by SIGTERM."""
    command = [sys.executable, "-m", "uvicorn", "--factory", factory, "--port", "0", *flags]
    log = tmp_path / "log"
    with log.open("wb") as err:
        running = subprocess.Popen(command, stdout=err, stderr=err, cwd=tmp_path, env=environment(tmp_path))
    try:
        until(lambda: b"Uvicorn running on" in log.read_bytes() or running.poll() is not None)
        address = re.search(r"running on (http://[\d.:]+)", log.read_text())
        assert address, log.read_text()
        with client(address[1]) as http:
            yield http
        running.send_signal(signal.SIGTERM)
        running.wait(PATIENCE)
    finally:
        running.kill()
        running.wait()
    assert "Traceback" not in log.read_text()
    assert "Application shutdown complete" in log.read_text()
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("factory", ["ours_emulator.app:create_app", "ours_emulator.main:create_app"])
@pytest.mark.parametrize("http_flag", ["h11", "httptools"])
def test_uvicorn_runs_it_from_its_factory(tmp_path: Path, factory: str, http_flag: str) -> None:
    with uvicorn(tmp_path, factory, "--http", http_flag) as http:
        assert http.post("/api/v1/track", json=EVENT).json() == {"success": True}
        assert http.get("/debug/events").json()["total"] == 1
        assert http.head("/openapi").status_code == 200
        assert http.options("/track").status_code == 204
        assert http.get("/docs").status_code == 200


@pytest.mark.rule("accounts")
def test_uvicorn_may_have_a_root_path(tmp_path: Path) -> None:
    # A proxy at /ours removes that before it passes a request on.
    with uvicorn(tmp_path, "ours_emulator.app:create_app", "--root-path", "/ours") as http:
        assert http.post("/track", json=EVENT).json() == {"success": True}
        assert http.post("/accounts/a/track", json=EVENT).json() == {"success": True}
        assert http.get("/accounts/a/debug/events").json()["total"] == 1
        assert http.get("/openapi.json").json()["servers"][0] == {"url": "/ours"}
        assert http.get("/accounts/a/openapi.json").json()["servers"] == [{"url": "/ours/accounts/a"}]


@pytest.mark.rule("accounts", "host", "origin", "base-path", "client-paths")
def test_it_works_mounted_under_a_prefix() -> None:
    emulator = create_app(load(QUIET))
    other = FastAPI()
    other.mount("/ours", emulator)
    with listening_server(other) as url, client(url) as http:
        assert http.post("/ours/api/v1/track", json={**EVENT, "userId": "a/b"}).json() == {"success": True}
        assert http.post("/ours/accounts/shop/track", json=EVENT).json() == {"success": True}
        key = {"authorization": "Bearer pk_key"}
        assert http.post("/ours/api/client/events", json=[{"anonymous_id": "a"}], headers=key).status_code == 204
        assert http.post("/track", json=EVENT).status_code == 404
        # The journal has paths below the mount, so that it can be replayed elsewhere.
        paths = [request["path"] for request in http.get("/ours/debug/requests").json()["items"]]
        assert paths == ["/api/client/events", "/accounts/shop/track", "/api/v1/track"]
        assert http.get("/ours/accounts/shop/debug/summary").json()["requests"] == 1
        assert http.get("/ours/debug/visitors/a%2Fb").json()["visitor_id"] == "a/b"
        assert http.get("/ours/accounts/shop/debug/openapi.json").json()["servers"] == [{"url": "/ours/accounts/shop"}]
        assert http.get("/ours/openapi.json").json()["servers"][0] == {"url": "/ours"}
        assert http.get("/ours/").json()["name"] == "ours-emulator"
        assert http.get("/ours/docs/init.js").status_code == 200
        assert http.get("/ours/debug/health", headers={"origin": "http://evil.example"}).status_code == 403
        assert http.get("/ours/debug/health", headers={"origin": url}).status_code == 200
        assert http.post("/ours/track", json=EVENT, headers={"host": "evil.example"}).status_code == 403
    asyncio.run(emulator.aclose())


@pytest.mark.parametrize("name", list(RECORDINGS))
def test_both_ways_answer_the_same(name: str) -> None:
    # `test_recording` asks the command line's app.
    recording = RECORDINGS[name]
    with listening_server(create_app(load({**QUIET, **recording.settings}))) as url:
        address = urlsplit(url)
        assert differences(recording, [(address.hostname or "", address.port or 0)]) == []


HOLDING = '''
import sys
import time
from importlib.abc import MetaPathFinder
from pathlib import Path


class Holding(MetaPathFinder):
    """Lets nobody import FastAPI before the file `go` exists."""

    def find_spec(self, name, path, target=None):
        if name == "fastapi":
            Path("held").touch()
            while not Path("go").exists():
                time.sleep(0.01)


sys.meta_path.insert(0, Holding())
from ours_emulator.cli import main

main()
'''


def test_events_are_answered_while_fastapi_is_imported(tmp_path: Path) -> None:
    script = tmp_path / "holding.py"
    script.write_text(HOLDING)
    with (
        process(tmp_path, command=[sys.executable, str(script)]) as running,
        client(running.url) as http,
        ThreadPoolExecutor(1) as thread,
    ):
        # Nobody has called the debug API yet; the import begins all the same.
        until((tmp_path / "held").exists)
        assert http.post("/track", json=EVENT).status_code == 200
        summary = thread.submit(httpx.get, running.url + "/debug/summary", trust_env=False, timeout=PATIENCE)
        for _ in range(20):
            assert http.post("/track", json=EVENT).status_code == 200
        assert not summary.done()
        (tmp_path / "go").touch()
        assert summary.result().json()["requests"] == 21


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 0)])
def test_ending_while_fastapi_is_imported_is_clean(tmp_path: Path, number: int, code: int) -> None:
    script = tmp_path / "holding.py"
    script.write_text(HOLDING)
    with process(tmp_path, command=[sys.executable, str(script)]) as running:
        until((tmp_path / "held").exists)
        running.process.send_signal(number)
        (tmp_path / "go").touch()
        assert running.process.wait(PATIENCE) == code
        assert running.complained() == ""
    assert list((tmp_path / "tmp").iterdir()) == []
