"""OpenAPI documents of anybody: read within bounds, references resolved. Nothing here uses the network.

A document may be hostile: large, deep, cyclic, or of other types than it should be. What is not as it should be counts
as empty, and what would take without end raises DocumentError.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from ours_emulator.jsontext import strict_json

MAX_BYTES = 32 * 1024 * 1024
_MAX_STEPS = 500_000
_MAX_DEPTH = 100
_NULL = "null"
_VARIANTS = ("anyOf", "oneOf")

Node: TypeAlias = Mapping[str, Any]


class DocumentError(ValueError):
    """What was read is not a document that can be compared; the message is one line for the user."""


def read_document(content: bytes) -> Node:
    """Return the OpenAPI document that *content* is. Raises DocumentError."""
    if len(content) > MAX_BYTES:
        raise DocumentError(f"larger than {MAX_BYTES} bytes, so not a document of this API")
    try:
        document = node(strict_json(content))
    except RecursionError:
        raise DocumentError("nested too deeply") from None
    except UnicodeDecodeError:
        raise DocumentError("not JSON: it is not UTF-8") from None
    except ValueError as error:
        raise DocumentError(f"not JSON: {error}{_yaml_advice(content)}") from None
    if not node(document.get("paths")):
        raise DocumentError("not an OpenAPI document: it has no object `paths`")
    if not str(document.get("openapi")).startswith("3."):
        raise DocumentError("not an OpenAPI 3 document: its `openapi` is not a version such as 3.0.0")
    return document


def node(value: object) -> Node:
    """Return *value* if it is an object, else an empty one."""
    return cast(Node, value) if isinstance(value, dict) else {}


def items(value: object) -> Sequence[Any]:
    """Return *value* if it is a list, else an empty one."""
    return cast(Sequence[Any], value) if isinstance(value, list) else ()


class Resolver:
    """Resolves what one document refers to, in a bounded number of steps."""

    def __init__(self, document: Node) -> None:
        self._document = document
        self._schemas: dict[str, Node] = {}
        self._steps = 0

    def resolved(self, value: object) -> Node:
        """Return the object that *value* is or refers to. Raises DocumentError for a reference that leads nowhere."""
        for _ in range(_MAX_DEPTH):
            reference, rest = _reference(value)
            if reference is None:
                return rest
            value = {**node(self._target(reference)), **rest}
        raise DocumentError("a $ref refers to itself")

    def schema(self, value: object, depth: int = 0) -> Node:
        """Return the schema that *value* is or refers to, as OpenAPI 3.0 has it: `allOf` merged, null as nullable."""
        if depth > _MAX_DEPTH:
            raise DocumentError("a schema refers to itself, or is nested too deeply")
        reference, schema = _reference(value)
        if reference is not None:
            # Kept, because two references to what has two references, and so on, would double with each level.
            if reference not in self._schemas:
                self._schemas[reference] = self.schema(self._target(reference), depth + 1)
            schema = {**self._schemas[reference], **schema}
        parts = items(schema.get("allOf"))
        if parts:
            rest = {key: part for key, part in schema.items() if key != "allOf"}
            schema = self._merged([*(self.schema(part, depth + 1) for part in parts), rest])
        return self._without_null(_with_one_type(schema), depth)

    def _without_null(self, schema: Node, depth: int) -> Node:
        """Return *schema*; a choice between null and one other schema as that one, nullable."""
        for keyword in _VARIANTS:
            variants = items(schema.get(keyword))
            if len(variants) != 2:
                continue
            others = [variant for variant in variants if self.resolved(variant).get("type") != _NULL]
            if len(others) == 1:
                rest = {key: part for key, part in schema.items() if key != keyword}
                # The type first: nullable before it would mean any JSON (rule any-json).
                return {**self.schema(others[0], depth + 1), **rest, "nullable": True}
        return schema

    def _merged(self, parts: Sequence[Node]) -> Node:
        """Return one schema of *parts*: later keywords win, properties and required names are added up."""
        merged: dict[str, Any] = {}
        properties: dict[str, Any] = {}
        required: list[Any] = []
        for part in parts:
            properties |= node(part.get("properties"))
            required += items(part.get("required"))
            merged |= part
            self._steps += 1 + len(node(part.get("properties"))) + len(items(part.get("required")))
            if self._steps > _MAX_STEPS:
                raise DocumentError("too large once its references are resolved")
        if properties:
            merged["properties"] = properties
        if required:
            merged["required"] = required
        return merged

    def _target(self, reference: str) -> object:
        if not reference.startswith("#/"):
            raise DocumentError(f"it refers to another document, {reference[:80]!r}; resolve its references first")
        target: object = self._document
        for part in reference[2:].split("/"):
            target = node(target).get(part.replace("~1", "/").replace("~0", "~"))
        if target is None:
            raise DocumentError(f"it has nothing at {reference[:80]!r}, which it refers to")
        return target


def _reference(value: object) -> tuple[str | None, Node]:
    """Return what *value* refers to, if it does, and the rest of it."""
    schema = node(value)
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return None, schema
    return reference, {key: part for key, part in schema.items() if key != "$ref"}


def _with_one_type(schema: Node) -> Node:
    """Return *schema*; types as a list with null in it, as OpenAPI 3.1 has them, as one type that is nullable."""
    types = items(schema.get("type"))
    if not types:
        return schema
    others = [name for name in types if name != _NULL]
    one = others[0] if len(others) == 1 else others
    return {**schema, "type": one, **({"nullable": True} if len(others) < len(types) else {})}


def _yaml_advice(content: bytes) -> str:
    begins = content[:200].lstrip()
    return (
        "; it looks like YAML, so convert it to JSON"
        if begins.startswith((b"openapi:", b"---", b"#", b"info:"))
        else ""
    )
