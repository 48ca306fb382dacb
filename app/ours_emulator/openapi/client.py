"""The Client API in OpenAPI 3.1, from the shapes that its bodies are checked by."""

from collections.abc import Mapping

from ours_emulator.contract.client import PREFIX, SHAPES, Field, Shape
from ours_emulator.http.routes import CLIENT_PATHS
from ours_emulator.openapi.operations import Json, examples, operation_id

TAG = "Client API"
DESCRIPTION = (
    "For mobile SDKs, under `/api/client`; devices and events also at the root. The key is sent as a bearer "
    "token and begins with `pk_` or `sk_`."
)
KEY = "clientKey"
SECURITY_SCHEME: Json = {"type": "http", "scheme": "bearer", "description": "A key that begins with pk_ or sk_."}
_SUMMARIES: Mapping[str, str] = {
    "alias": "Give an anonymous visitor an external id",
    "identify": "Set or update properties of a visitor",
    "devices": "Register a device of a visitor",
    "events": "Record events",
}
_REFUSALS: Mapping[str, str] = {
    "400": "The body cannot be read: not JSON, too large, or bad gzip.",
    "401": "The Authorization header has no valid key.",
    "422": "The body breaks its schema; the message is about the first problem.",
}
_ERROR: Json = {
    "type": "object",
    "properties": {"status": {"const": "error"}, "error": {"type": "string"}, "code": {"type": "integer"}},
    "required": ["status", "error"],
}


def paths() -> dict[str, Json]:
    """Return the operations at each path of the Client API."""
    return {path: {"post": _operation(path, endpoint)} for path, endpoint in CLIENT_PATHS.items()}


def _operation(path: str, endpoint: str) -> Json:
    name = endpoint.removeprefix(PREFIX)
    schema = _object(SHAPES[endpoint])
    if name == "events":
        schema = {"type": "array", "minItems": 1, "items": schema}
    return {
        "summary": _SUMMARIES[name],
        "operationId": operation_id(path),
        "tags": [TAG],
        "security": [{KEY: []}],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": examples("client")[name]}},
        },
        "responses": {"204": {"description": "Accepted; the body is empty."}, **_refusals()},
    }


def _refusals() -> dict[str, Json]:
    content = {"application/json": {"schema": _ERROR}}
    return {status: {"description": text, "content": content} for status, text in _REFUSALS.items()}


def _object(shape: Shape) -> Json:
    schema = _properties(shape.fields)
    if shape.required:
        schema["required"] = list(shape.required)
    if shape.needs_id:
        schema["anyOf"] = [{"required": ["anonymous_id"]}, {"required": ["external_id"]}]
    if shape.closed:
        schema["additionalProperties"] = False
    return schema


def _properties(fields: Mapping[str, Field]) -> Json:
    return {"type": "object", "properties": {name: _field(field) for name, field in fields.items()}}


def _field(field: Field) -> Json:
    schema: Json = {"type": [field.type, "null"] if field.nullable else field.type}
    return schema if field.fields is None else {**_properties(field.fields), **schema}
