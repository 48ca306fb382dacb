"""The Ingest API's paths, and its document."""

from starlette.types import ASGIApp, Receive, Scope, Send

from ours_emulator.contract.ingest import ENDPOINTS
from ours_emulator.http.endpoint import Emulated, Endpoint
from ours_emulator.http.wire import send_answer
from ours_emulator.model import DEFAULT_ACCOUNT, Answer

BASE_PATH = "/api/v1"
UNKNOWN = "unknown"
NAMES = (*ENDPOINTS, "openapi", UNKNOWN)
PATHS = {f"{base}/{name}": name for base in ("", BASE_PATH) for name in (*ENDPOINTS, "openapi")}
"""The endpoint at each path: under /api/v1 and at the root (rule base-path)."""


class Document:
    """GET /openapi: the document of the account's revision, byte for byte (rule openapi)."""

    def __init__(self, parts: Emulated) -> None:
        self._accounts = parts.accounts
        self._otherwise = Endpoint("openapi", parts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the document."""
        if scope["method"] in ("GET", "HEAD"):
            revision = self._accounts.revision(scope.get("account", DEFAULT_ACCOUNT))
            await send_answer(send, Answer(200, revision.document, {}))
        else:
            await self._otherwise(scope, receive, send)


def endpoints(parts: Emulated) -> dict[str, ASGIApp]:
    """Return what answers at each path of the Ingest API."""
    found: dict[str, ASGIApp] = {name: Endpoint(name, parts) for name in ENDPOINTS}
    found["openapi"] = Document(parts)
    return {path: found[name] for path, name in PATHS.items()}
