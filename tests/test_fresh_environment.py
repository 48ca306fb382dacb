"""What users get: the wheel in a fresh virtual environment, beside a project that has a package called `app`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NEEDS = ("pytest", "pytest-xdist", "httpx2")
"""What the project's tests need: httpx2 is what FastAPI's TestClient asks for."""
APP = '''
"""A user's own package."""

import os

import httpx2 as httpx
from fastapi import FastAPI


def create_app() -> FastAPI:
    app = FastAPI()

    def call(name: str, visitor: str) -> dict:
        return {
            "url": os.environ["OURS_PRIVACY_BASE_URL"] + "/track",
            "json": {"token": "t", "event": name, "userId": visitor},
        }

    @app.get("/sync/{visitor}")
    def sync(visitor: str) -> int:
        with httpx.Client() as http:
            return http.post(**call("Sync", visitor)).status_code

    @app.get("/async/{visitor}")
    async def asynchronous(visitor: str) -> int:
        async with httpx.AsyncClient() as http:
            return (await http.post(**call("Async", visitor))).status_code

    return app
'''
TESTS = """
import asyncio

import httpx2 as httpx
import pytest
from fastapi.testclient import TestClient

import app.main


@pytest.fixture(scope="session")
def anyio_backend():
    return "asyncio"


@pytest.mark.parametrize("visitor", range(20))
def test_sync(ours_emulator, visitor):
    with TestClient(app.main.create_app()) as client:
        assert client.get(f"/sync/{visitor}").json() == 200
        assert client.get(f"/async/{visitor}").json() == 200
    ours_emulator.assert_sequence("Sync", "Async", strict=True)
    ours_emulator.assert_none(match={"user_id": {"$ne": str(visitor)}})


@pytest.mark.anyio
@pytest.mark.parametrize("visitor", range(20))
async def test_async(ours_emulator_async, visitor):
    transport = httpx.ASGITransport(app=app.main.create_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
        async with ours_emulator_async.expect("Async", user_id=str(visitor)):
            answers = await asyncio.gather(*[client.get(f"/async/{visitor}") for _ in range(5)])
    assert [answer.json() for answer in answers] == [200] * 5
    assert (await ours_emulator_async.visitor()).event_count == 5
"""


def run(*command: object, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OURS_", "PYTEST_", "PYTHON"))}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_wheel_serves_a_project_that_has_a_package_called_app(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    run(sys.executable, "-m", "venv", "venv", cwd=tmp_path)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    (wheel,) = tmp_path.glob("*.whl")
    run(python, "-m", "pip", "install", "-q", "--prefer-binary", wheel, *NEEDS, cwd=tmp_path)
    project = tmp_path / "project"
    (project / "app").mkdir(parents=True)
    (project / "app" / "__init__.py").write_text("")
    (project / "app" / "main.py").write_text(APP)
    (project / "test_app.py").write_text(TESTS)
    told = run(python, "-m", "pytest", "-n", "4", "-W", "error", "-p", "no:cacheprovider", cwd=project)
    assert "40 passed" in told
    assert "warning" not in told
