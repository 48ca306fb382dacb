"""Keeps tests away from the real API: while it is blocked, looking up its host fails with advice."""

import os
import socket
from collections.abc import Callable
from typing import Any, Protocol, cast

from ours_emulator.emulator.handle import BASE_URL_VARIABLE, quiet_imports, without_proxies

HOST = "api.oursprivacy.com"
ADVICE = (
    f"a test tried to reach {HOST}, the real API; set {BASE_URL_VARIABLE} before the app reads it "
    f"(the ours_emulator fixture does), or give the app the emulator's ingest_url"
)


class ProductionBlockedError(ConnectionError):
    """A test tried to reach the real API."""


class Patch(Protocol):
    """The part of pytest's MonkeyPatch that is needed."""

    def setattr(self, target: Any, name: str, value: Any) -> None:
        """Set an attribute for a while."""

    def setenv(self, name: str, value: str) -> None:
        """Set a variable for a while."""


def block(patch: Patch, attempts: list[str]) -> None:
    """Let every look-up of the host fail until *patch* is undone; *attempts* gets the advice, if it is empty."""

    def check(host: object) -> None:
        if _name(host) == HOST:
            if not attempts:
                attempts.append(ADVICE)
            raise ProductionBlockedError(ADVICE)

    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "create_connection"):
        patch.setattr(socket, name, _checked(getattr(socket, name), check))
    for name in ("connect", "connect_ex"):
        patch.setattr(socket.socket, name, _checked_connect(getattr(socket.socket, name), check))
    _block_uvloop(patch, check)
    for name, value in without_proxies(os.environ, HOST).items():
        patch.setenv(name, value)


def _name(host: object) -> str:
    """Return the name of a host, or of an address of host and port."""
    named = next(iter(cast(tuple[object, ...], host)), "") if isinstance(host, tuple) else host
    text = named.decode("ascii", "replace") if isinstance(named, bytes) else str(named)
    return text.lower().rstrip(".")


def _checked(function: Callable[..., Any], check: Callable[[object], None]) -> Callable[..., Any]:
    def checked(*args: Any, **kwargs: Any) -> Any:
        check(args[0] if args else kwargs.get("host", kwargs.get("address")))
        return function(*args, **kwargs)

    return checked


def _checked_connect(function: Callable[..., Any], check: Callable[[object], None]) -> Callable[..., Any]:
    def connect(self: Any, address: Any) -> Any:
        check(address)
        return function(self, address)

    return connect


def _block_uvloop(patch: Patch, check: Callable[[object], None]) -> None:
    """Do the same for uvloop, which asks the C library itself."""
    try:
        with quiet_imports():
            import uvloop
    except ImportError:
        return
    resolve, connect = uvloop.Loop.getaddrinfo, uvloop.Loop.create_connection

    async def getaddrinfo(self: Any, host: Any, *args: Any, **kwargs: Any) -> Any:
        check(host)
        return await resolve(self, host, *args, **kwargs)

    async def create_connection(self: Any, factory: Any, host: Any = None, *args: Any, **kwargs: Any) -> Any:
        check(host)
        return await connect(self, factory, host, *args, **kwargs)

    patch.setattr(uvloop.Loop, "getaddrinfo", getaddrinfo)
    patch.setattr(uvloop.Loop, "create_connection", create_connection)
