"""Fixtures: one live emulator for the whole run, and a fresh account of it for each test."""

from collections.abc import Iterator

import pytest

from serving import Account, Running, serving


@pytest.fixture(scope="session")
def server() -> Iterator[Running]:
    """A live emulator with default settings."""
    with serving() as running:
        yield running


@pytest.fixture
def account(server: Running) -> Account:
    """A fresh account of the live emulator."""
    return server.account()
