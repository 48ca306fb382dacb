"""One OpenAPI document for everything that is served: Ingest API, Client API and debug API."""

from ours_emulator import __version__
from ours_emulator.model import ACCOUNT_NAME
from ours_emulator.openapi import client, ingest
from ours_emulator.openapi.operations import Json

_DEBUG_TAG = "Debug API"
_ADMIN = "adminToken"
_HEALTH = "/debug/health"
_TAGS = (
    (ingest.TAG, ingest.DESCRIPTION),
    (client.TAG, client.DESCRIPTION),
    (_DEBUG_TAG, "What arrived and what became of it, also per account. Lists cover all accounts without one."),
)
_DESCRIPTION = """\
The Ours Privacy Ingest API and Client API on your own machine, and the debug API that shows what arrived.

Every path may be prefixed by `/accounts/{account}`: it then works in that account, which is made on first use."""


def whole_document(debug: Json, vendor: bytes) -> Json:
    """Return the document of all APIs: *debug* is that of the debug API, *vendor* the vendor's of the Ingest API."""
    return {
        "openapi": debug["openapi"],
        "info": {"title": "ours-emulator", "version": __version__, "description": _DESCRIPTION},
        "servers": servers("", None),
        "tags": [{"name": name, "description": description} for name, description in _TAGS],
        "paths": {**ingest.paths(vendor), **client.paths(), **_debug_paths(debug)},
        "components": {
            **debug["components"],
            "securitySchemes": {
                client.KEY: client.SECURITY_SCHEME,
                _ADMIN: {"type": "http", "scheme": "bearer", "description": "The admin_token, if one is set."},
            },
        },
    }


def servers(root: str, account: str | None) -> list[Json]:
    """Return where the paths are served: below *root*, where those of any account are too, unless it is an *account*'s.

    *root* is a path without a trailing slash.
    """
    here: Json = {"url": root or "/"}
    if account is not None:
        return [here]
    name = {"default": "default", "description": f"A name of the form `{ACCOUNT_NAME.pattern}`."}
    return [
        here,
        {"url": f"{root}/accounts/{{account}}", "description": "In an account", "variables": {"account": name}},
    ]


def _debug_paths(debug: Json) -> Json:
    """Return the operations of the debug API. They need the admin token if one is set."""
    return {
        path: {
            method: {**operation, "tags": [_DEBUG_TAG], "security": [] if path == _HEALTH else [{}, {_ADMIN: []}]}
            for method, operation in operations.items()
        }
        for path, operations in debug["paths"].items()
    }
