"""The guard: decides who may talk to the emulator. Web pages on other origins are refused under any host name."""

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple, TypeAlias

from ours_emulator.http.routes import Route

IMPORT_PATH = "/debug/import"
_HEALTH = "/debug/health"
_METRICS = "/metrics"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_JSON = (b"application/json",)
_JSON_LINES = (*_JSON, b"application/jsonl", b"application/x-ndjson")
_PORTS = {b"http": 80, b"https": 443}
_EMPTY = (None, [b"0"])
_MAX_CHECKED_HOSTS = 1000
_MAX_SHOWN = 100
_AUTHORITY = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z_.-]+))(?::(\d{0,5}))?")
_LABEL = "[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_LOCAL = re.compile(rf"{_LABEL}|(?:{_LABEL}\.)+(?:localhost|local|internal|test|svc)")


Headers: TypeAlias = Sequence[tuple[bytes, bytes]]
HeaderLists: TypeAlias = Mapping[bytes, list[bytes]]


class Authority(NamedTuple):
    """A host, in lower case and without a trailing dot, and a port."""

    host: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused: the HTTP status, the rule, a sentence, and additional headers of the answer."""

    status: int
    rule: str
    message: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Guard:
    """Decides which requests are refused (rules host, origin, admin-token, debug-json).

    *allowed_hosts* are names of this emulator beside the local ones; a leading `*.` stands for any labels.
    """

    def __init__(self, allowed_hosts: Sequence[str], admin_token: str | None) -> None:
        self._names = frozenset(name for name in allowed_hosts if not name.startswith("*."))
        self._endings = tuple(name[1:] for name in allowed_hosts if name.startswith("*."))
        self._admin_token = None if admin_token is None else admin_token.encode()
        # Whether each Host header seen so far is allowed. Parsing it again for each request would take longer than
        # the rest of the guard.
        self._checked_hosts: dict[bytes, bool] = {}

    def refusal(self, method: str, headers: Headers, route: Route) -> Refusal | None:
        """Return why the request for *route* is refused; None if it may pass."""
        return self._host_refusal(headers) or (
            None if route.endpoint else self._own_path_refusal(method, headers, route)
        )

    def _host_refusal(self, headers: Headers) -> Refusal | None:
        """Refuse a request to another host: a name that is not ours may be that of a web site (rule host)."""
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1:
            return Refusal(403, "host", f"a request needs one Host header; this one has {len(hosts)}")
        allowed = self._checked_hosts.get(hosts[0])
        if allowed or (allowed is None and self._check_host(hosts[0])):
            return None
        shown = hosts[0][:_MAX_SHOWN].decode("latin-1")
        return Refusal(403, "host", f"host {shown!r} is not allowed; add it to --allowed-hosts")

    def _check_host(self, host: bytes) -> bool:
        parsed = authority(host)
        allowed = parsed is not None and (is_local(parsed.host) or self._is_configured(parsed.host))
        if len(self._checked_hosts) >= _MAX_CHECKED_HOSTS:
            self._checked_hosts.clear()
        if len(host) <= _MAX_SHOWN:
            self._checked_hosts[host] = allowed
        return allowed

    def _is_configured(self, host: str) -> bool:
        return host in self._names or host.endswith(self._endings)

    def _own_path_refusal(self, method: str, headers: Headers, route: Route) -> Refusal | None:
        """Refuse web pages on other origins and callers without the token, on the paths that are not emulated."""
        by_name: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            by_name.setdefault(name, []).append(value)
        if not self._same_origin(by_name, route):
            return Refusal(403, "origin", "web pages on other origins are refused; add their host to --allowed-hosts")
        if not self._authorized(by_name, route):
            message = "the admin token is required; send it as `Authorization: Bearer`"
            return Refusal(401, "admin-token", message, ((b"www-authenticate", b'Bearer realm="ours-emulator"'),))
        accepted = _JSON_LINES if route.path == IMPORT_PATH else _JSON
        if method not in SAFE_METHODS and not _has_accepted_type(method, by_name, accepted):
            types = " or ".join(media_type.decode() for media_type in accepted)
            return Refusal(415, "debug-json", f"the content type must be {types}")
        return None

    def _same_origin(self, headers: HeaderLists, route: Route) -> bool:
        """Tell whether no page sent this, or one of our own, or one on a configured host (rule origin)."""
        origins = headers.get(b"origin", [])
        if not origins:
            return not _sent_by_page(headers, route)
        if len(origins) > 1:
            return False
        scheme, _, rest = origins[0].lower().partition(b"://")
        page, called, default = authority(rest), authority(headers[b"host"][0]), _PORTS.get(scheme)
        if page is None or called is None or default is None:
            return False
        same = (page.host, page.port or default) == (called.host, called.port or default)
        return same or self._is_configured(page.host)

    def _authorized(self, headers: HeaderLists, route: Route) -> bool:
        if self._admin_token is None or not _needs_token(route.path):
            return True
        scheme, _, token = b", ".join(headers.get(b"authorization", [])).partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._admin_token)


def _needs_token(path: str) -> bool:
    return path == _METRICS or (path != _HEALTH and f"{path}/".startswith("/debug/"))


def authority(value: bytes) -> Authority | None:
    """Return host and port of a Host header or an Origin; None if it is malformed."""
    match = _AUTHORITY.fullmatch(value.strip())
    if match is None:
        return None
    port = int(match[3]) if match[3] else None
    if port is not None and port > 65535:
        return None
    if match[1] is None:
        return Authority(match[2].decode("ascii").lower().removesuffix("."), port)
    try:
        return Authority(str(ip_address(match[1].decode("ascii"))), port)
    except ValueError:
        return None


def is_local(host: str) -> bool:
    """Tell whether *host* cannot be that of a web site: an address, one label, or a name of local networks."""
    if _LOCAL.fullmatch(host) is not None:
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _sent_by_page(headers: HeaderLists, route: Route) -> bool:
    """Tell whether a page of another origin loads this, as a part of itself or as a new page.

    Browsers send no Origin for images, frames and links, but since 2023 all of them say where those come from. A link
    may lead to a page of ours, but not to what was stored: another site of the same host could put that into a frame.
    """
    if headers.get(b"sec-fetch-site", [b"none"]) in ([b"same-origin"], [b"none"]):
        return False
    is_link = (headers.get(b"sec-fetch-mode"), headers.get(b"sec-fetch-dest")) == ([b"navigate"], [b"document"])
    return not is_link or f"{route.path}/".startswith("/debug/")


def _has_accepted_type(method: str, headers: HeaderLists, accepted: Sequence[bytes]) -> bool:
    """Tell whether the content type is one of *accepted*: a page on another origin cannot send those unasked."""
    media_types = headers.get(b"content-type", [])
    if not media_types:
        # No page can send a DELETE without a preflight, and it needs no body.
        return method == "DELETE" and b"transfer-encoding" not in headers and headers.get(b"content-length") in _EMPTY
    return len(media_types) == 1 and media_types[0].partition(b";")[0].strip().lower() in accepted
