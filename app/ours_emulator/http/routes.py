"""The route table: what a path names, looked up once for each request and used by everything after that."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from starlette.types import Scope

from ours_emulator.contract import client, ingest
from ours_emulator.contract.experiment_endpoints import (
    ASSIGNMENTS,
    ASSIGNMENTS_PATH,
    EXPERIMENT_ENDPOINTS,
    PERSONALIZATION,
    PERSONALIZATION_PATH,
    experiment_endpoint,
)
from ours_emulator.contract.paths import ACCOUNTS_PATH, INGEST_BASE, within_account
from ours_emulator.contract.revision import Revision
from ours_emulator.model import ACCOUNT_NAME, ACCOUNT_NAME_FORM
from ours_emulator.wording import cut

Owner: TypeAlias = Literal["ingest", "client", "debug", "docs", "probe"]

INGEST_BASES = (INGEST_BASE, "")
"""Where the Ingest API is served: under /api/v1 and at the root (rules base-path, root-path)."""
CLIENT_BASE = "/api/client"
INGEST_UNKNOWN = "unknown"
CLIENT_UNKNOWN = client.PREFIX + "unknown"
INGEST_PATHS: Mapping[str, str] = {
    f"{base}/{name}": name for base in INGEST_BASES for name in (*ingest.ENDPOINTS, "openapi")
}
"""The endpoint at each path of the Ingest API: under /api/v1 and at the root (rules base-path, root-path)."""
EXPERIMENT_PATHS: Mapping[str, str] = {
    base + path: name
    for path, name in ((ASSIGNMENTS_PATH.removesuffix("/"), ASSIGNMENTS), (PERSONALIZATION_PATH, PERSONALIZATION))
    for base in INGEST_BASES
}
"""The endpoint at each path below /experiments, without the key of an experiment (rule experiment-paths)."""
CLIENT_PATHS: Mapping[str, str] = {
    **{f"{CLIENT_BASE}/{name.removeprefix(client.PREFIX)}": name for name in client.ENDPOINTS},
    # The vendor's page heads two endpoints like this, though its examples have the whole path.
    "/devices": client.PREFIX + "devices",
    "/events": client.PREFIX + "events",
}
"""The endpoint at each path of the Client API (rule client-paths)."""
INGEST_NAMES = (*dict.fromkeys(INGEST_PATHS.values()), *EXPERIMENT_ENDPOINTS, INGEST_UNKNOWN)
CLIENT_NAMES = (*dict.fromkeys(CLIENT_PATHS.values()), CLIENT_UNKNOWN)
"""The names of an API's endpoints, with the one for all its unknown paths."""


class Target(NamedTuple):
    """Who answers a path, and the name of the emulated endpoint; "" for what is not emulated."""

    owner: Owner
    endpoint: str = ""


class Route(NamedTuple):
    """What a path names."""

    called: str
    """The path as it was called, below the app's root: with its account."""
    account: str | None
    """The account that the path names (rule accounts)."""
    path: str
    """The path within the account."""
    owner: Owner
    endpoint: str
    """The name of the emulated endpoint; "" for what is not emulated."""


PROBES: Mapping[str, str] = {"/livez": "alive", "/readyz": "ready", "/healthz": "ready", "/health": "ready"}
"""The probe at each path of the root: whether the process answers, or whether it can also read its store."""
_DEBUG = Target("debug")
_DOCS = Target("docs")
_NOT_EMULATED: Mapping[str, Target] = {
    "/": _DEBUG,
    "/favicon.ico": _DEBUG,
    "/debug": _DEBUG,
    "/metrics": _DEBUG,
    "/docs": _DOCS,
    "/openapi.json": _DOCS,
    **{path: Target("probe", name) for path, name in PROBES.items()},
}
_NOT_EMULATED_BELOW: Mapping[str, Target] = {"/debug/": _DEBUG, "/docs/": _DOCS, "/inspector/": _DOCS}
# A trailing slash changes nothing on an emulated path (rule methods).
_EMULATED: Mapping[str, Target] = {
    path + slash: target
    for target, path in (
        *((Target("ingest", name), path) for path, name in INGEST_PATHS.items()),
        *((Target("client", name), path) for path, name in CLIENT_PATHS.items()),
    )
    for slash in ("", "/")
}


def find_route(called: str) -> Route:
    """Return what the path *called* names in the newest revision: `route_of_revision` says what it is in another one.

    Every path names something: an unknown one is refused by one of the APIs.
    """
    account, path = within_account(called)
    target = _EMULATED.get(path) or _not_emulated(path) or _misnamed(path) or _emulated_at(path)
    return Route(called, account, path, target.owner, target.endpoint)


def route_of_revision(route: Route, revision: Revision) -> Route:
    """Return *route* as it is in *revision*, which may not have its endpoint."""
    return route._replace(endpoint=_endpoint_of_revision(route.endpoint, revision))


def emulated_at(path: str, revision: Revision) -> Target:
    """Return the emulated endpoint of *revision* at *path*, or the one that refuses unknown paths there."""
    target = _emulated_at(path)
    return target._replace(endpoint=_endpoint_of_revision(target.endpoint, revision))


def _endpoint_of_revision(endpoint: str, revision: Revision) -> str:
    return INGEST_UNKNOWN if endpoint in EXPERIMENT_ENDPOINTS and not revision.experiments else endpoint


def _emulated_at(path: str) -> Target:
    target = _EMULATED.get(path)
    if target is not None:
        return target
    experiment = experiment_endpoint(path)
    if experiment is not None:
        return Target("ingest", experiment)
    # The path of `OPTIONS *` does not begin with a slash.
    if f"/{path.removeprefix('/')}/".startswith(CLIENT_BASE + "/"):
        return Target("client", CLIENT_UNKNOWN)
    return Target("ingest", INGEST_UNKNOWN)


def is_sent_as(route: Route, sent: str) -> bool:
    """Whether the path as it was *sent*, percent-encoded, names the same account and owner as *route*.

    The guard judges the decoded path, but the app is given the path as it was sent. With an encoded slash the two may
    differ: `/accounts/a%2Fdocs/debug/events` is decoded to a path of the docs, which need no token.
    """
    account, path = within_account(sent)
    own = _not_emulated(path)
    return account == route.account and own is not None and own.owner == route.owner


def no_such_path(route: Route) -> str:
    """Return why *route*, which is none of the emulator's own, does not exist."""
    name = route.path.removeprefix(ACCOUNTS_PATH).partition("/")[0]
    if not route.path.startswith(ACCOUNTS_PATH):
        return "there is no such path; GET /debug lists every call"
    return f"{cut(name)!r} is not a valid account name; use {ACCOUNT_NAME_FORM}"


def _not_emulated(path: str) -> Target | None:
    """Return who answers *path*, if that is one of the emulator's own."""
    return _NOT_EMULATED.get(path) or _NOT_EMULATED_BELOW.get(path[: path.find("/", 1) + 1])


def _misnamed(path: str) -> Target | None:
    """Return the debug API if *path* names it below an account that can have no such name: it says what is wrong."""
    below = path.removeprefix(ACCOUNTS_PATH).partition("/")[2]
    return _DEBUG if path.startswith(ACCOUNTS_PATH) and f"{below}/".startswith("debug/") else None


def called_path(scope: Scope) -> str:
    """Return the decoded path of *scope* below the root path: below the prefix that the app is mounted at."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    # A proxy may have removed the root path already.
    return (path[len(root) :] or "/") if root and f"{path}/".startswith(root + "/") else path


def named_account(route: Route) -> str | None:
    """Return the account whose page `/accounts/NAME` would be, had it the slash at its end."""
    name = route.path.removeprefix(ACCOUNTS_PATH)
    return name if route.path.startswith(ACCOUNTS_PATH) and ACCOUNT_NAME.fullmatch(name) else None
