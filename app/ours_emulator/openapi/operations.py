"""What the operations of both emulated APIs have in common."""

import json
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
"""A JSON object of an OpenAPI document."""


def operation_id(path: str) -> str:
    """Return an id for the operation at *path*: `api_v1_track`, and `track` for the same endpoint at the root."""
    return path.removeprefix("/").replace("/", "_").translate({ord("{"): None, ord("}"): None})


@cache
def examples(api: str) -> Json:
    """Return a body to try out for each endpoint of an *api*, `ingest` or `client`."""
    bodies: Json = json.loads((files("ours_emulator.openapi") / "examples.json").read_text("utf-8"))[api]
    return bodies
