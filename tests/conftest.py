"""Fixtures: one live emulator for the whole run, and a fresh account of it for each test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from databases import DATABASES, MISSING, PostgresqlServer, programs, running_server
from serving import Account, Server, serving

pytest_plugins = ("browsing",)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked so with an emulator of each kind of database."""
    if "server" in metafunc.fixturenames and metafunc.definition.get_closest_marker("each_database"):
        metafunc.parametrize("server", DATABASES, indirect=True, scope="session")


@pytest.fixture(scope="session")
def sqlite_emulator() -> Iterator[Server]:
    """A live emulator with default settings."""
    with serving() as running:
        yield running


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Server:
    """A live emulator with default settings, but perhaps for its database."""
    emulator: Server = request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_emulator")
    return emulator


@pytest.fixture
def account(server: Server) -> Account:
    """A fresh account of the live emulator."""
    return server.account()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server for the whole run of a worker."""
    if programs() is None:
        assert os.environ.get("CI", "").lower() != "true", MISSING
        pytest.skip(MISSING)
    with running_server() as running:
        yield running


@pytest.fixture(scope="session")
def postgresql_emulator(postgresql: PostgresqlServer) -> Iterator[Server]:
    """A live emulator with default settings, but for its database."""
    with serving(database=postgresql.schema()) as running:
        yield running


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new database of each kind, as `--database` names it."""
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    return server.schema()
