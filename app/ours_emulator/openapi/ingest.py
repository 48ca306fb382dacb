"""The Ingest API in OpenAPI 3.1, from the vendor's own document in 3.0."""

import json

from pydantic import JsonValue

from ours_emulator.http.routes import INGEST_BASES
from ours_emulator.openapi.operations import Json, examples, operation_id

TAG = "Ingest API"
DESCRIPTION = (
    "As the vendor's document describes it (`GET /api/v1/openapi`), under `/api/v1` and at the root. A value that it "
    "types as a nullable string without a length may be any JSON (rule any-json)."
)
_DOCUMENT: Json = {
    "summary": "The vendor's document",
    "description": "The OpenAPI document of the Ingest API in the account's revision: of 2026-05 byte for byte as "
    "the vendor publishes it; of 2026-10 derived from that, as its info says.",
    "responses": {
        "200": {"description": "The document.", "content": {"application/json": {"schema": {"type": "object"}}}}
    },
}


def paths(document: bytes) -> dict[str, Json]:
    """Return the operations at each path of the Ingest API; *document* is the vendor's."""
    paths = {**json.loads(document)["paths"], "/openapi": {"get": _DOCUMENT}}
    return {
        base + path: {method: _operation(base, path, operation) for method, operation in operations.items()}
        for base in INGEST_BASES
        for path, operations in paths.items()
    }


def _operation(base: str, path: str, operation: Json) -> Json:
    """Return the vendor's *operation* at *path* as this server has it below *base*, with a body to try it out."""
    kept = {key: value for key, value in operation.items() if key != "servers" and not key.startswith("x-")}
    served = _modern_object(kept)
    if "requestBody" in served:
        served["requestBody"]["content"]["application/json"]["example"] = examples("ingest")[path.removeprefix("/")]
    return {**served, "operationId": operation_id(base + path), "tags": [TAG], "security": []}


def _modern_object(node: Json) -> Json:
    """Return *node* of a document in OpenAPI 3.0 as 3.1 writes it: `nullable` is one of the types there."""
    modern = {key: _modern(value) for key, value in node.items()}
    # A property may have that name too; its value is a schema.
    if isinstance(modern.get("nullable"), bool) and modern.pop("nullable"):
        modern["type"] = [modern["type"], "null"]
    return modern


def _modern(node: JsonValue) -> JsonValue:
    if isinstance(node, dict):
        return _modern_object(node)
    return [_modern(item) for item in node] if isinstance(node, list) else node
