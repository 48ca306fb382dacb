"""From the vendor's OpenAPI document to validators: read once at start, no property name typed in Python."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import TypedDict, cast

from pydantic import JsonValue
from pydantic_core import SchemaValidator, ValidationError
from pydantic_core import core_schema as core

from ours_emulator.messages import Properties

REVISION = "2026-05"


class Schema(TypedDict, total=False):
    """The part of OpenAPI 3.0's schema object that the document uses."""

    type: str
    nullable: bool
    properties: "dict[str, Schema]"
    required: list[str]
    additionalProperties: "Schema"
    items: "Schema"
    minLength: int
    maxLength: int
    maxItems: int


@dataclass(frozen=True)
class Shape:
    """Which names an object of the document has, for telling what was dropped and why."""

    known: frozenset[str]
    closed: Mapping[str, "Shape"]
    """The inner objects with fixed names."""
    free: frozenset[str]
    """The inner objects with free names, whose values may be any JSON (rule any-json)."""
    loose: frozenset[str]
    """The single names whose value may be any JSON (rule any-json)."""

    @cached_property
    def homes(self) -> dict[str, str]:
        """Every name one level down, with the inner object it lives in."""
        return {name: inner for inner, shape in self.closed.items() for name in shape.known}


@dataclass(frozen=True)
class Body:
    """One request body of the document, compiled."""

    shape: Shape
    validator: SchemaValidator

    def problem(self, value: JsonValue) -> tuple[str, str] | Properties:
        """Return *value* with only the names the document has, or where it breaks the schema and how."""
        try:
            return cast(Properties, self.validator.validate_python(value))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            path = pointer(*first["loc"])
            if first["type"] == "missing":
                return path, "required"
            wanted = first["msg"] if first["type"] == "schema" else "must be an object"
            return path, f"{wanted}, got {_kind(first['input'])}"


def document() -> bytes:
    """Return the bundled OpenAPI document, byte for byte (rule openapi)."""
    return (files(__package__) / f"{REVISION}.json").read_bytes()


def request_schema(path: str) -> Schema:
    """Return the schema of the body that is posted to *path*, as the document has it."""
    paths = json.loads(document())["paths"]
    return cast(Schema, paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"])


def compile_body(schema: Schema, *, strict_openapi: bool) -> Body:
    """Compile *schema*; unless *strict_openapi*, the any-json places accept any JSON."""
    return Body(_shape(schema), SchemaValidator(_core(schema, _any_json if not strict_openapi else _never)))


def pointer(*parts: str | int) -> str:
    """Return the JSON pointer (RFC 6901) that names *parts*."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _any_json(schema: Schema) -> bool:
    """Tell the document's artefact for "any JSON": *nullable* written first, then *string*, no length."""
    return next(iter(schema)) == "nullable" and schema.get("type") == "string" and "maxLength" not in schema


def _never(_: Schema) -> bool:
    return False


def _shape(schema: Schema) -> Shape:
    properties = schema.get("properties", {})
    return Shape(
        known=frozenset(properties),
        closed={name: _shape(inner) for name, inner in properties.items() if "properties" in inner},
        free=frozenset(name for name, inner in properties.items() if "additionalProperties" in inner),
        loose=frozenset(name for name, inner in properties.items() if _any_json(inner)),
    )


def _core(schema: Schema, loose: Callable[[Schema], bool]) -> core.CoreSchema:
    if loose(schema):
        return core.any_schema()
    inner = _object(schema, loose) if schema.get("type") == "object" else _leaf(schema)
    return core.nullable_schema(inner) if schema.get("nullable") else inner


def _object(schema: Schema, loose: Callable[[Schema], bool]) -> core.CoreSchema:
    if "additionalProperties" in schema:
        values = _core(schema["additionalProperties"], loose)
        return core.dict_schema(core.any_schema(), values, strict=True)
    required = schema.get("required", [])
    fields = {
        name: core.typed_dict_field(_core(inner, loose), required=name in required)
        for name, inner in schema.get("properties", {}).items()
    }
    return core.typed_dict_schema(fields, extra_behavior="ignore", strict=True)


def _leaf(schema: Schema) -> core.CoreSchema:
    orelse = " or null" if schema.get("nullable") else ""
    if schema.get("type") == "string":
        inner, wanted = _string(schema)
    elif schema.get("type") == "number":
        numbers: list[core.CoreSchema] = [core.int_schema(strict=True), core.float_schema(strict=True)]
        inner, wanted = core.union_schema(list(numbers), mode="left_to_right"), "a number"
    elif schema.get("type") == "boolean":
        inner, wanted = core.bool_schema(strict=True), "a boolean"
    else:
        raise ValueError(f"the document has a schema this program does not know: {schema}")
    return core.custom_error_schema(inner, "schema", custom_error_message=f"must be {wanted}{orelse}")


def _string(schema: Schema) -> tuple[core.CoreSchema, str]:
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    if high is None:
        return core.str_schema(strict=True), "a string"

    def measured(value: object) -> object:
        # Strings with a lone surrogate are valid JSON, but pydantic-core cannot measure them.
        if not isinstance(value, str) or not low <= len(value) <= high:
            raise ValueError
        return value

    fast = core.str_schema(strict=True, min_length=low, max_length=high)
    either = core.union_schema([fast, core.no_info_plain_validator_function(measured)], mode="left_to_right")
    return either, f"a string of {low} to {high} characters"


def _kind(value: object) -> str:
    """Describe *value* without showing it."""
    if isinstance(value, str):
        return f"{len(value)} characters"
    names = {bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), "null")
