"""The Client API's paths."""

from starlette.types import ASGIApp

from ours_emulator.api.emulated import Emulated, Endpoint
from ours_emulator.contract.client import ENDPOINTS, PREFIX

BASE_PATH = "/api/client"
UNKNOWN = PREFIX + "unknown"
NAMES = (*ENDPOINTS, UNKNOWN)
SHORT = {"/devices": PREFIX + "devices", "/events": PREFIX + "events"}
"""Two endpoints are headed so in the vendor's page, though its examples have the whole path."""


def endpoints(parts: Emulated) -> dict[str, ASGIApp]:
    """Return the paths of the Client API, under /api/client and, two of them, at the root (rule client-paths)."""
    found = {name: Endpoint(name, parts) for name in ENDPOINTS}
    paths = {f"{BASE_PATH}/{name.removeprefix(PREFIX)}": name for name in ENDPOINTS} | SHORT
    return {path: found[name] for path, name in paths.items()}
