"""The real API is out of reach of tests, whatever they connect with."""

import asyncio
import json
import os
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvloop
from ours_privacy import APIConnectionError, AsyncOursPrivacy, OursPrivacy

from ours_emulator.pytest_support.network_guard import ADVICE, HOST, ProductionBlockedError, block
from serving import Account

URL = f"https://{HOST}/api/v1"


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    block(monkeypatch, found)
    return found


def test_the_host_is_the_one_of_the_document() -> None:
    document = json.loads((Path(__file__).parent.parent / "openapi.json").read_text("utf-8"))
    url: str = document["servers"][0]["url"]
    assert urlsplit(url).hostname == HOST


CONNECT: list[Callable[[], object]] = [
    lambda: socket.getaddrinfo(HOST, 443),
    lambda: socket.getaddrinfo(HOST.upper().encode(), 443),
    lambda: socket.getaddrinfo(host=f"{HOST}.", port=443),
    lambda: socket.gethostbyname(HOST),
    lambda: socket.gethostbyname_ex(HOST),
    lambda: socket.create_connection((HOST, 443)),
    lambda: socket.create_connection(address=(HOST, 443), timeout=1),
    lambda: urllib.request.urlopen(URL),
    lambda: httpx.get(URL),
]


@pytest.mark.parametrize("connect", CONNECT)
def test_every_way_to_connect_is_blocked_with_advice(attempts: list[str], connect: Callable[[], object]) -> None:
    with pytest.raises(OSError if connect in CONNECT[:-1] else httpx.ConnectError, match="OURS_PRIVACY_BASE_URL"):
        connect()
    assert attempts == [ADVICE]


@pytest.mark.parametrize("name", ["connect", "connect_ex"])
def test_a_socket_that_connects_by_name_is_blocked(attempts: list[str], name: str) -> None:
    with socket.socket() as plain, pytest.raises(ProductionBlockedError):
        getattr(plain, name)((HOST, 443))
    assert attempts == [ADVICE]


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_event_loops_are_blocked(attempts: list[str], new_loop: Any) -> None:
    async def connect() -> None:
        for host in (HOST, HOST.title()):
            with pytest.raises(ProductionBlockedError):
                await asyncio.open_connection(host, 443)
        with pytest.raises(ProductionBlockedError):
            await asyncio.get_running_loop().getaddrinfo(HOST, 443)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(connect())
    assert attempts == [ADVICE]


def test_the_sdk_without_a_base_url_is_blocked(attempts: list[str]) -> None:
    with OursPrivacy(max_retries=0) as client, pytest.raises(APIConnectionError) as failed:
        client.track.event(token="t", event="E", user_id="u")
    causes = [failed.value.__cause__, failed.value.__cause__ and failed.value.__cause__.__cause__]
    assert any("OURS_PRIVACY_BASE_URL" in str(cause) for cause in causes)

    async def use() -> None:
        async with AsyncOursPrivacy(max_retries=0) as client:
            with pytest.raises(APIConnectionError):
                await client.track.event(token="t", event="E", user_id="u")

    asyncio.run(use())
    assert attempts == [ADVICE]


def test_other_hosts_are_not_blocked(attempts: list[str], account: Account) -> None:
    assert socket.getaddrinfo("127.0.0.1", 80)
    with OursPrivacy(base_url=account.url) as client:
        assert client.track.event(token="t", event="E", user_id="u").success
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        async def connect() -> None:
            _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(account.url).port)
            writer.close()
            await writer.wait_closed()

        runner.run(connect())
    assert attempts == []


def test_all_is_as_before_afterwards() -> None:
    def state() -> list[object]:
        names = ("getaddrinfo", "gethostbyname", "create_connection")
        loop = [uvloop.Loop.__dict__.get(name) for name in ("getaddrinfo", "create_connection")]
        return [*(getattr(socket, name) for name in names), socket.socket.__dict__.get("connect"), *loop]

    before = state()
    with pytest.MonkeyPatch.context() as patch:
        block(patch, [])
        assert state() != before
    assert state() == before


def test_proxies_of_the_environment_are_passed_by(monkeypatch: pytest.MonkeyPatch, account: Account) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "intranet")
    block(monkeypatch, [])
    assert os.environ["no_proxy"].split(",")[0] == "intranet"
    assert httpx.get(f"{account.url}/debug/health").status_code == 200
    with pytest.raises(httpx.ConnectError, match="OURS_PRIVACY_BASE_URL"):
        httpx.get(URL)
