"""The other server: requests over the network, with TLS, proxies and certificates as httpx takes them from the system.

Whatever a server does is a ServerAnswer or a NoAnswer, within the time limit: it may hang, send without end, or send no
HTTP.
"""

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from email.utils import parsedate_to_datetime
from functools import cache
from time import time
from types import MappingProxyType
from urllib.parse import SplitResult, urlsplit

import httpx

from ours_emulator import __version__
from ours_emulator.contract.paths import INGEST_BASE
from ours_emulator.errors import why
from ours_emulator.fidelity.answers import NoAnswer, ServerAnswer
from ours_emulator.fidelity.preparation import OutgoingRequest
from ours_emulator.http.routes import CLIENT_BASE

MAX_ANSWER_BYTES = 1024 * 1024
USER_AGENT = f"ours-emulator/{__version__}"
_HEADERS = MappingProxyType({"user-agent": USER_AGENT, "accept": "*/*", "accept-encoding": "identity"})
_LOST: Mapping[type[Exception], str] = {
    httpx.ReadError: "the connection was lost before the answer was complete",
    httpx.WriteError: "the connection was lost before the request was sent",
    httpx.ConnectError: "no connection",
}
"""What errors mean whose text is empty."""
# Many servers close a connection after 5 s without a request, just when the next one may be sent over it.
_LIMITS = httpx.Limits(keepalive_expiry=2.0)


class AddressError(ValueError):
    """An address that nothing can be sent to; the message is one line for the user."""


def parts_of(url: str) -> SplitResult:
    """Return the parts of *url*. Raises AddressError, without the URL, which may have a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise AddressError(f"not a valid URL: {error}") from None
    return parts


def base_of(url: str) -> str:
    """Return *url*, the base URL of either API or of the server, as the URL that both APIs are below.

    Raises AddressError.
    """
    address = parts_of(url)
    if address.username is not None or address.query or address.fragment:
        raise AddressError("the URL must have no user, query or fragment; leave them out")
    if address.scheme not in ("http", "https") or not address.hostname or address.port == 0:
        raise AddressError("not a valid URL; use one like https://api.example.com/api/v1")
    base = url.rstrip("/")
    for path in (INGEST_BASE, CLIENT_BASE):
        base = base.removesuffix(path)
    return base


def host_of(url: str) -> str:
    """Return the host and port that *url* has."""
    return urlsplit(url).netloc


class Server:
    """Sends requests to one server, each within a time limit from its beginning to the last byte of its answer."""

    def __init__(self, base: str, client: httpx.AsyncClient, seconds: float) -> None:
        self._base = base
        self._client = client
        self._seconds = seconds

    async def send(self, request: OutgoingRequest) -> ServerAnswer | NoAnswer:
        """Return the answer to *request*; a redirect is one, and is not followed."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._answer(request)
        except TimeoutError:
            return NoAnswer(f"no complete answer within {self._seconds:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return NoAnswer(why(error) if str(error) else _LOST.get(type(error), why(error)))

    async def _answer(self, request: OutgoingRequest) -> ServerAnswer | NoAnswer:
        url = self._base + request.path
        sent = self._client.build_request(request.method, url, content=request.body, headers=request.headers)
        answer = await self._client.send(sent, stream=True)
        try:
            return await _read(answer)
        finally:
            await answer.aclose()


@asynccontextmanager
async def connected(base: str, seconds: float) -> AsyncGenerator[Server]:
    """Give the server at *base* until the block ends; *seconds* is its time limit. Raises AddressError."""
    async with client_for(base) as client:
        yield Server(base, client, seconds)


def client_for(url: str, redirects: int = 0) -> httpx.AsyncClient:
    """Return a client that reaches *url* as the environment says, and follows so many *redirects*.

    Raises AddressError if the proxy of the environment is not valid.
    """
    try:
        return httpx.AsyncClient(
            verify=tls(),
            headers=_HEADERS,
            timeout=None,
            limits=_LIMITS,
            mounts=without_proxy(url),
            follow_redirects=redirects > 0,
            max_redirects=redirects,
        )
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise AddressError(f"the proxy of the environment cannot be used: {why(error)}") from None


# Reading the certificates takes longer than most requests.
@cache
def tls() -> ssl.SSLContext:
    """Return what trusts the certificates that httpx trusts and those of the system, such as a company's own."""
    context = httpx.create_ssl_context()
    with suppress(ssl.SSLError):
        context.load_default_certs()
    return context


def without_proxy(url: str) -> Mapping[str, None]:
    """Return what makes a client reach *url* directly if it is on this machine."""
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        if host == "localhost" or ipaddress.ip_address(host).is_loopback:
            return {f"all://{f'[{host}]' if ':' in host else host}": None}
    return {}


def retry_after(answer: ServerAnswer) -> float | None:
    """Return how many seconds *answer* asks to wait; None if it does not, or what it asks cannot be read."""
    text = answer.headers.get("retry-after", "")
    if text.isascii() and text.isdigit():
        return float(text[:9])
    with suppress(ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    return None


async def _read(answer: httpx.Response) -> ServerAnswer | NoAnswer:
    body = bytearray()
    # Raw, because a few bytes can be unpacked to more than the memory holds. No coding was accepted anyway.
    async for part in answer.aiter_raw():
        body += part
        if len(body) > MAX_ANSWER_BYTES:
            return NoAnswer(f"its answer ({answer.status_code}) is larger than {MAX_ANSWER_BYTES} bytes")
    return ServerAnswer(answer.status_code, bytes(body), {name.lower(): text for name, text in answer.headers.items()})
