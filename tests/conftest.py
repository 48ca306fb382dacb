"""Fixtures: one live emulator for the whole run, and a fresh account of it for each test."""

from collections.abc import Iterator

import pytest

from serving import Account, Server, serving

pytest_plugins = ("browsing",)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A live emulator with default settings."""
    with serving() as running:
        yield running


@pytest.fixture
def account(server: Server) -> Account:
    """A fresh account of the live emulator."""
    return server.account()
