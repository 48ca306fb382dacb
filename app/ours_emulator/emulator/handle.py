"""What both handles know without asking the emulator: addresses, account, tokens, and how an operation is sent."""

import os
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, Self, TypeVar
from urllib.parse import urlencode, urlsplit

from ours_emulator.emulator.errors import EmulatorError, ExpectationError
from ours_emulator.emulator.operations import GONE, Operation
from ours_emulator.emulator.transport import Request, TransportError, pause
from ours_emulator.parent_process import ENDED
from ours_emulator.variables import ADMIN_TOKEN_VARIABLE, BASE_URL_VARIABLE, URL_VARIABLE

INGEST_PATH = "/api/v1"
_LOOKS = 10
_LOOK_SECONDS = 0.01
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ADDRESS = re.compile(r"(?P<server>https?://[^/?#\s]+)(?:/accounts/(?P<account>[^/?#]+))?/?")


class Handle:
    """Where an emulator is, and which of its accounts is meant: *url* alone for all of them, else `…/accounts/NAME`.

    *token* and *public_key* are what the app under test should send; any will do, unless the account has a list.
    *admin_token* is what the debug API asks for, if it does; by default that of OURS_EMULATOR_ADMIN_TOKEN is sent.
    """

    def __init__(
        self, url: str, *, token: str | None = None, public_key: str | None = None, admin_token: str | None = None
    ) -> None:
        address = _address(url)
        self.server_url: str = address["server"]
        self.account: str | None = address["account"]
        self.url = self.server_url + ("" if self.account is None else f"/accounts/{self.account}")
        self.token = token or f"token-{self.account or 'default'}"
        self.public_key = public_key or f"pk_{self.account or 'default'}"
        self.admin_token = admin_token or os.environ.get(ADMIN_TOKEN_VARIABLE) or None
        self.opened: list[str] = []
        """The accounts that were opened without a name, from here or from one of them."""
        self.last_miss: ExpectationError | None = None
        """Why the last `wait_for` or `expect` failed; None if it did not."""

    @property
    def ingest_url(self) -> str:
        """The base URL of the Ingest API: what OURS_PRIVACY_BASE_URL is set to."""
        return self.url + INGEST_PATH

    @property
    def client_url(self) -> str:
        """The base URL of the Client API."""
        return f"{self.url}/api/client"

    @property
    def env(self) -> dict[str, str]:
        """Variables for a subprocess: with them an app that uses the vendor's SDK talks to this emulator."""
        return {
            BASE_URL_VARIABLE: self.ingest_url,
            URL_VARIABLE: self.url,
            "OURS_EMULATOR_CLIENT_URL": self.client_url,
            "OURS_EMULATOR_TOKEN": self.token,
            "OURS_EMULATOR_PUBLIC_KEY": self.public_key,
            **({} if self.admin_token is None else {ADMIN_TOKEN_VARIABLE: self.admin_token}),
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    def _remember(self, name: str, opened: "Handle") -> None:
        """Note the new account *name*, and from now on what its handle, *opened*, opens."""
        self.opened.append(name)
        opened.opened = self.opened

    def _request(self, operation: Operation[Any]) -> Request:
        # Accounts belong to the server: a closed one refuses everything under its own prefix.
        base = self.server_url if operation.path.partition("/")[0] == "accounts" else self.url
        query = f"?{urlencode(operation.params)}" if operation.params else ""
        admin = {} if self.admin_token is None else {"authorization": f"Bearer {self.admin_token}"}
        return Request(
            operation.method,
            f"{base}/debug/{operation.path}{query}",
            {**operation.headers, **admin},
            operation.content,
            operation.seconds,
        )

    @contextmanager
    def _reaching(self) -> Generator[None]:
        """Raise EmulatorError if the emulator cannot be reached."""
        __tracebackhide__ = True
        try:
            yield
        except TransportError as error:
            ended = self.ended(patiently=True)
            why = f"{error} ({ended})" if ended else error
            raise EmulatorError(f"no emulator answers at {self.server_url}: {why}") from None

    def ended(self, *, patiently: bool = False) -> str:
        """Return how the emulator ended if this process started it: `its process 7 was killed by SIGKILL`; else "".

        *patiently*: look again for a tenth of a second, because its connections end a moment before it does.
        """
        look = ENDED.get(self.server_url, str)
        how = look()
        for _ in range(_LOOKS if patiently and self.server_url in ENDED else 0):
            if not how:
                pause(_LOOK_SECONDS)
                how = look()
        return how


class FaultState:
    """What a handle knows of a fault: how many requests it had hit, and whether it was begun and is over."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._hits = 0
        self._begun = False
        self._over = False

    @contextmanager
    def _ends_if_gone(self) -> Generator[None]:
        """Note that the fault is over if the emulator has none: a reset, or the end of the account, ended it."""
        try:
            yield
        except EmulatorError as error:
            if error.status not in GONE:
                raise
            self._over = True


class AsyncFaultState(FaultState, ABC):
    """The same of a fault that only acts once it is awaited, which is easily forgotten."""

    @abstractmethod
    async def begin(self) -> Self:
        """Plan the fault, unless that was done before."""

    def __await__(self) -> Generator[Any, Any, Self]:
        return self.begin().__await__()

    def __del__(self) -> None:
        if not getattr(self, "_begun", True):
            message = f"fault {self.name!r} never acted; use `async with emulator.fault(...)`, or await it"
            warnings.warn(message, RuntimeWarning, stacklevel=2, source=self)


class _Beginning(Protocol):
    def begin(self) -> object:
        """Plan the fault."""


F = TypeVar("F", bound=_Beginning)


def planned_now(fault: F) -> F:
    """Return *fault*, which acts from now on."""
    fault.begin()
    return fault


def planned_later(fault: F) -> F:
    """Return *fault*, which acts once it is awaited."""
    return fault


def without_proxies(environment: Mapping[str, str], *hosts: str) -> dict[str, str]:
    """Return the variables that make clients reach this machine, and *hosts*, without a proxy."""
    if not any(environment.get(name) or environment.get(name.upper()) for name in _PROXIES):
        return {}
    return {
        name: ",".join(part for part in (environment.get(name), *_LOOPBACK, *hosts) if part)
        for name in ("no_proxy", "NO_PROXY")
    }


@contextmanager
def quiet_imports() -> Generator[None]:
    """Keep warnings of what is imported here from failing a test run under -W error: they are not the user's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _address(url: object) -> re.Match[str]:
    """Return the parts of *url*. Raises TypeError or ValueError if it is no address."""
    problem = f"{url!r} is not the address of an emulator; use one like http://127.0.0.1:4010"
    if not isinstance(url, str):
        raise TypeError(problem)
    address = _ADDRESS.fullmatch(url.rstrip("/").removesuffix(INGEST_PATH))
    if address is None or not _has_valid_port(address["server"]):
        raise ValueError(problem)
    return address


def _has_valid_port(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False
