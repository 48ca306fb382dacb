"""The Ingest API in OpenAPI 3.1, from the vendor's own document in 3.0."""

import json
from typing import Any, cast

from ours_emulator.http.routes import INGEST_PATHS
from ours_emulator.openapi.operations import Json, operation_id

TAG = "Ingest API"
DESCRIPTION = (
    "As the vendor's document describes it (`GET /api/v1/openapi`), under `/api/v1` and at the root. A value that it "
    "types as a nullable string without a length may be any JSON (rule any-json)."
)


def paths(document: bytes) -> dict[str, Json]:
    """Return the operations at each path of the Ingest API; *document* is the vendor's."""
    operations = {path.removeprefix("/"): item for path, item in json.loads(document)["paths"].items()}
    operations["openapi"] = {"get": _DOCUMENT}
    return {
        path: {method: _operation(path, operation) for method, operation in operations[name].items()}
        for path, name in INGEST_PATHS.items()
    }


def _operation(path: str, operation: Json) -> Json:
    """Return the vendor's *operation* as it is served at *path*, by this server and without the vendor's extensions."""
    kept = {key: value for key, value in operation.items() if key != "servers" and not key.startswith("x-")}
    return {**cast(Json, _modern(kept)), "operationId": operation_id(path), "tags": [TAG], "security": []}


def _modern(node: object) -> object:
    """Return *node* of a document in OpenAPI 3.0 as 3.1 writes it: `nullable` is one of the types there."""
    if isinstance(node, list):
        return [_modern(item) for item in cast(list[object], node)]
    if not isinstance(node, dict):
        return node
    inner = {key: _modern(value) for key, value in cast(Json, node).items()}
    # A property may have that name too; its value is a schema.
    if isinstance(inner.get("nullable"), bool) and inner.pop("nullable"):
        inner["type"] = [inner["type"], "null"]
    return inner


_DOCUMENT: dict[str, Any] = {
    "summary": "The vendor's document",
    "description": "The OpenAPI document of the Ingest API, byte for byte as the vendor publishes it.",
    "responses": {
        "200": {"description": "The document.", "content": {"application/json": {"schema": {"type": "object"}}}}
    },
}
