"""The Client API's paths."""

from starlette.types import ASGIApp

from ours_emulator.contract.client import ENDPOINTS, PREFIX
from ours_emulator.http.endpoint import Emulated, Endpoint

BASE_PATH = "/api/client"
UNKNOWN = PREFIX + "unknown"
NAMES = (*ENDPOINTS, UNKNOWN)
PATHS = {f"{BASE_PATH}/{name.removeprefix(PREFIX)}": name for name in ENDPOINTS} | {
    # Two endpoints are headed so in the vendor's page, though its examples have the whole path.
    "/devices": PREFIX + "devices",
    "/events": PREFIX + "events",
}
"""The endpoint at each path: under /api/client and, two of them, at the root (rule client-paths)."""


def endpoints(parts: Emulated) -> dict[str, ASGIApp]:
    """Return what answers at each path of the Client API."""
    found = {name: Endpoint(name, parts) for name in ENDPOINTS}
    return {path: found[name] for path, name in PATHS.items()}
