"""Keeps tests from the real API: while it is blocked, looking up its host or connecting to it fails with advice."""

import os
import socket
from collections.abc import Callable
from typing import Any, Protocol, cast

from ours_emulator.emulator.handle import quiet_imports, without_proxies
from ours_emulator.variables import BASE_URL_VARIABLE

HOST = "api.oursprivacy.com"
ADVICE = (
    f"a test tried to reach {HOST}, the real API; set {BASE_URL_VARIABLE} before the app reads it "
    f"(the ours_emulator fixture does), or give the app the emulator's ingest_url"
)
ADVICE_FOR_EARLY_CLIENT = (
    f"a test tried to reach {HOST}, the real API; the client was made before {BASE_URL_VARIABLE} was set for this "
    f"test, or with another base URL; make it in the test or in a fixture, or use "
    f"client.with_options(base_url=ours_emulator.ingest_url)"
)


class ProductionBlockedError(ConnectionError):
    """A test tried to reach the real API."""


class Patch(Protocol):
    """The part of pytest's MonkeyPatch that is used here."""

    def setattr(self, target: Any, name: str, value: Any) -> None:
        """Set an attribute until the patch is undone."""

    def setenv(self, name: str, value: str) -> None:
        """Set an environment variable until the patch is undone."""


def block(patch: Patch, attempts: list[str]) -> None:
    """Make every connection to the host fail until *patch* is undone. *attempts* gets the advice, once."""

    def check(host: object) -> None:
        if _host_name(host) == HOST:
            if not attempts:
                attempts.append(ADVICE_FOR_EARLY_CLIENT if os.environ.get(BASE_URL_VARIABLE) else ADVICE)
            raise ProductionBlockedError(attempts[0])

    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "create_connection"):
        patch.setattr(socket, name, _checked(getattr(socket, name), check))
    for name in ("connect", "connect_ex"):
        patch.setattr(socket.socket, name, _checked_connect(getattr(socket.socket, name), check))
    _block_uvloop(patch, check)
    for name, value in without_proxies(os.environ, HOST).items():
        patch.setenv(name, value)


def _host_name(host: object) -> str:
    """Return the name of *host*, which may be an address of host and port."""
    name = next(iter(cast(tuple[object, ...], host)), "") if isinstance(host, tuple) else host
    text = name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)
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
    """Do the same for uvloop, which calls the C library instead of the module `socket`."""
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
