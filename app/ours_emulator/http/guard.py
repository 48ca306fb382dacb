"""The guard before everything else: who may talk to the emulator. No page of the web may, whatever name it gives it."""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from ours_emulator.http import client_paths
from ours_emulator.http.log import RequestLog
from ours_emulator.http.routes import Front, is_own
from ours_emulator.http.wire import read_body, within_account
from ours_emulator.jsontext import json_text

IMPORT_PATH = "/debug/import"
_HEALTH = "/debug/health"
_READING = ("GET", "HEAD", "OPTIONS")
_JSON = (b"application/json",)
_LINES = (*_JSON, b"application/jsonl", b"application/x-ndjson")
_PORTS = {b"http": 80, b"https": 443}
_MOST_KNOWN = 1000
_MOST_SHOWN = 100
_AUTHORITY = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z_.-]+))(?::(\d{0,5}))?")
_LABEL = "[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_LOCAL = re.compile(rf"{_LABEL}|(?:{_LABEL}\.)+(?:localhost|internal|test)")


class Authority(NamedTuple):
    """A host, in lower case and without the dot at its end, and a port."""

    host: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request gets no further: the HTTP status, the rule, a sentence, and headers beside the usual ones."""

    status: int
    rule: str
    message: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Guard:
    """Let pass to *front* what may pass, and refuse the rest (rules host, origin, admin-token, debug-json).

    *allowed_hosts* are names of this emulator beside the local ones; `*.` at the beginning stands for any labels.
    *limit* bounds the body of a debug call in bytes. An import is read line by line, and bounded where it is read.
    """

    def __init__(
        self, front: Front, log: RequestLog, allowed_hosts: Sequence[str], admin_token: str | None, limit: int
    ) -> None:
        self._front = front
        self._log = log
        self._names = frozenset(name for name in allowed_hosts if not name.startswith("*."))
        self._endings = tuple(name[1:] for name in allowed_hosts if name.startswith("*."))
        self._admin_token = None if admin_token is None else admin_token.encode()
        self._limit = limit
        self._known: dict[bytes, bool] = {}

    async def aclose(self) -> None:
        """Finish what is being written and close the store. Doing it twice is doing it once."""
        await self._front.aclose()

    def stop(self) -> None:
        """End what would go on without end: waits and streams. From any thread."""
        self._front.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or a message of the server's lifespan. There are no web sockets."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http":
            path = within_account(scope["path"])[1]
            own = is_own(path)
            refusal = self._stranger(scope) or (self._trespass(scope, path) if own else None)
            if refusal is None and own and scope["method"] not in _READING and path != IMPORT_PATH:
                try:
                    body, oversized = await read_body(receive, self._limit)
                except ClientDisconnect:
                    return
                receive = _again(body, receive)
                if oversized:
                    refusal = Refusal(413, "size", f"the body is larger than {self._limit} bytes")
            if refusal is not None:
                await self._refuse(scope, send, path, refusal)
                return
        await self._front(scope, receive, send)

    def _stranger(self, scope: Scope) -> Refusal | None:
        """Refuse a request for anybody else: a name that is not ours may be a web site's own (rule host)."""
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) == 1:
            known = self._known.get(hosts[0])
            if known or (known is None and self._learn(hosts[0])):
                return None
            shown = hosts[0][:_MOST_SHOWN].decode("latin-1")
            return Refusal(403, "host", f"{shown!r} is no name of this emulator; allow it by allowed_hosts")
        return Refusal(403, "host", f"there must be one Host header, not {len(hosts)}")

    def _learn(self, host: bytes) -> bool:
        found = authority(host)
        allowed = found is not None and (is_local(found.host) or self._configured(found.host))
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        if len(host) <= _MOST_SHOWN:
            self._known[host] = allowed
        return allowed

    def _configured(self, host: str) -> bool:
        return host in self._names or host.endswith(self._endings)

    def _trespass(self, scope: Scope, path: str) -> Refusal | None:
        """Refuse what may not look in or change anything: other web pages, and whoever has not the token."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value)
        if not self._from_here(headers):
            return Refusal(403, "origin", "web pages of another origin may not look in here")
        if not self._authorized(headers, path):
            wanted = "this needs `Authorization: Bearer` and the emulator's admin_token"
            return Refusal(401, "admin-token", wanted, ((b"www-authenticate", b'Bearer realm="ours-emulator"'),))
        taken = _LINES if path == IMPORT_PATH else _JSON
        if scope["method"] not in _READING and not _says_json(scope["method"], headers, taken):
            named = " or ".join(kind.decode() for kind in taken)
            return Refusal(415, "debug-json", f"the content type must be {named}")
        return None

    def _from_here(self, headers: dict[bytes, list[bytes]]) -> bool:
        """Tell whether no page sent this, or our own one, or a page of a host that is configured (rule origin)."""
        origins = headers.get(b"origin", [])
        if not origins:
            return not _embedded(headers)
        if len(origins) > 1:
            return False
        scheme, _, rest = origins[0].lower().partition(b"://")
        page, mine, default = authority(rest), authority(headers[b"host"][0]), _PORTS.get(scheme)
        if page is None or mine is None or default is None:
            return False
        same = (page.host, page.port or default) == (mine.host, mine.port or default)
        return same or self._configured(page.host)

    def _authorized(self, headers: dict[bytes, list[bytes]], path: str) -> bool:
        if self._admin_token is None or path == _HEALTH or not f"{path}/".startswith("/debug/"):
            return True
        scheme, _, token = b", ".join(headers.get(b"authorization", [])).partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._admin_token)

    async def _refuse(self, scope: Scope, send: Send, path: str, refusal: Refusal) -> None:
        """Answer in the shape of what was called."""
        body = _body(path, refusal.message).encode("ascii")
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"x-emulator-reason", refusal.rule.encode()),
            *refusal.headers,
        ]
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self._log.refusal(refusal.status, scope["method"], scope["path"], refusal.rule, refusal.message)


def authority(value: bytes) -> Authority | None:
    """Return host and port of a Host header or an Origin; None if it is none."""
    found = _AUTHORITY.fullmatch(value.strip())
    if found is None:
        return None
    port = int(found[3]) if found[3] else None
    if port is not None and port > 65535:
        return None
    if found[1] is None:
        return Authority(found[2].decode("ascii").lower().removesuffix("."), port)
    try:
        return Authority(str(ip_address(found[1].decode("ascii"))), port)
    except ValueError:
        return None


def is_local(host: str) -> bool:
    """Tell whether no web site can have the name *host*: an address, one label, or below localhost, internal, test."""
    if _LOCAL.fullmatch(host) is not None:
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _embedded(headers: dict[bytes, list[bytes]]) -> bool:
    """Tell whether a page of another site loads this as a part of itself; a link to here is none."""
    if headers.get(b"sec-fetch-site") != [b"cross-site"]:
        return False
    return (headers.get(b"sec-fetch-mode"), headers.get(b"sec-fetch-dest")) != ([b"navigate"], [b"document"])


def _says_json(method: str, headers: dict[bytes, list[bytes]], taken: Sequence[bytes]) -> bool:
    """Tell whether a page of another site would have had to ask before it could send this (rule debug-json)."""
    kinds = headers.get(b"content-type", [])
    if not kinds:
        # No page can send a DELETE without asking first, and it has no body to speak of.
        return method == "DELETE" and b"transfer-encoding" not in headers and headers.get(b"content-length") in _EMPTY
    return len(kinds) == 1 and kinds[0].partition(b";")[0].strip().lower() in taken


_EMPTY = (None, [b"0"])


def _body(path: str, message: str) -> str:
    """Return the JSON of a refusal at *path*; that of /track and /identify says nothing more (rule bodies)."""
    if is_own(path):
        return json_text({"error": message})
    if path.startswith(client_paths.BASE_PATH + "/") or path in client_paths.PATHS:
        return json_text({"status": "error", "error": message})
    if path.rstrip("/").endswith("/batch"):
        return json_text({"success": False, "error": message})
    return json_text({"success": False})


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a receive that gives *body* once more, and then what *receive* gives."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_again
