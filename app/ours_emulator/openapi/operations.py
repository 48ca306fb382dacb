"""What the operations of both emulated APIs have in common."""

from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
"""A JSON object of an OpenAPI document."""


def operation_id(path: str) -> str:
    """Return an id for the operation at *path*: `api_v1_track`, and `track` for the same endpoint at the root."""
    return path.removeprefix("/").replace("/", "_")
