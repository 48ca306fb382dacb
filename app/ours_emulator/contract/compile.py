"""From the vendor's OpenAPI document to validators: read once at start, no property name typed in Python."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any, TypeAlias, cast

from pydantic import JsonValue
from pydantic_core import SchemaValidator, ValidationError
from pydantic_core import core_schema as core

REVISION = "2026-05"
Valid: TypeAlias = dict[str, Any]
"""A body with only the names the document has, each with a value of the type it says."""
_KEYWORDS = frozenset(("type", "nullable", "properties", "required", "additionalProperties", "items", "description"))
_BOUNDS = frozenset(("minLength", "maxLength", "minItems", "maxItems"))


@dataclass(frozen=True)
class Schema:
    """The part of OpenAPI 3.0's schema object that the document uses."""

    type: str
    nullable: bool
    any_json: bool
    """Written *nullable* first, then *string*, no length: the document's artefact for "any JSON" (rule any-json)."""
    properties: Mapping[str, "Schema"]
    required: frozenset[str]
    values: "Schema | None"
    """What an object with free names holds."""
    items: "Schema | None"
    min_length: int
    max_length: int | None
    max_items: int | None

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> "Schema":
        """Return the schema that *raw* is, in the document's JSON. Raises ValueError if it says more than we read."""
        unread = raw.keys() - _KEYWORDS - _BOUNDS
        if unread:
            raise ValueError(f"the document has keywords this program does not know: {sorted(unread)}")
        values, items = raw.get("additionalProperties"), raw.get("items")
        return cls(
            type=raw["type"],
            nullable=raw.get("nullable", False),
            any_json=next(iter(raw)) == "nullable" and raw["type"] == "string" and "maxLength" not in raw,
            properties={name: cls.read(inner) for name, inner in raw.get("properties", {}).items()},
            required=frozenset(raw.get("required", ())),
            values=None if values is None else cls.read(values),
            items=None if items is None else cls.read(items),
            min_length=raw.get("minLength", 0),
            max_length=raw.get("maxLength"),
            max_items=raw.get("maxItems"),
        )


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
        """Every name one level down, with the first inner object it lives in."""
        inner_first = reversed([*self.closed.items()])
        return {name: inner for inner, shape in inner_first for name in shape.known}


@dataclass(frozen=True)
class Problem:
    """Where a value breaks its schema, as a JSON pointer, and how; never with the value itself."""

    path: str
    message: str


@dataclass(frozen=True)
class Body:
    """One request body of the document, compiled."""

    shape: Shape
    validator: SchemaValidator

    def check(self, value: JsonValue) -> Valid | Problem:
        """Return *value* with only the names the document has, or its first problem."""
        try:
            return cast(Valid, self.validator.validate_python(value))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            path = pointer(*first["loc"])
            if first["type"] == "missing":
                return Problem(path, "required")
            wanted = first["msg"] if first["type"] == "schema" else "must be an object"
            return Problem(path, f"{wanted}, got {_kind(first['input'])}")


def document() -> bytes:
    """Return the bundled OpenAPI document, byte for byte (rule openapi)."""
    return (files("ours_emulator.contract") / "documents" / f"{REVISION}.json").read_bytes()


def request_schemas() -> dict[str, Schema]:
    """Return the schema of the body that is posted to each endpoint of the document, by the endpoint's name."""
    paths: dict[str, Any] = json.loads(document())["paths"]
    return {
        path.removeprefix("/"): Schema.read(operations["post"]["requestBody"]["content"]["application/json"]["schema"])
        for path, operations in paths.items()
    }


def compile_body(schema: Schema, *, strict_openapi: bool) -> Body:
    """Compile *schema*; unless *strict_openapi*, the any-json places accept any JSON."""
    return Body(_shape(schema), SchemaValidator(_core(schema, strict_openapi)))


def pointer(*parts: str | int) -> str:
    """Return the JSON pointer (RFC 6901) that names *parts*."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _shape(schema: Schema) -> Shape:
    inner = schema.properties
    return Shape(
        known=frozenset(inner),
        closed={name: _shape(it) for name, it in inner.items() if it.properties},
        free=frozenset(name for name, it in inner.items() if it.values is not None),
        loose=frozenset(name for name, it in inner.items() if it.any_json),
    )


def _core(schema: Schema, strict: bool) -> core.CoreSchema:
    if schema.any_json and not strict:
        return core.any_schema()
    inner = _object(schema, strict) if schema.type == "object" else _leaf(schema)
    return core.nullable_schema(inner) if schema.nullable else inner


def _object(schema: Schema, strict: bool) -> core.CoreSchema:
    if schema.values is not None:
        return core.dict_schema(core.any_schema(), _core(schema.values, strict), strict=True)
    fields = {
        name: core.typed_dict_field(_core(inner, strict), required=name in schema.required)
        for name, inner in schema.properties.items()
    }
    return core.typed_dict_schema(fields, extra_behavior="ignore", strict=True)


def _leaf(schema: Schema) -> core.CoreSchema:
    inner: core.CoreSchema
    if schema.type == "string":
        inner, wanted = _string(schema)
    elif schema.type == "number":
        integer, real = core.int_schema(strict=True), core.float_schema(strict=True)
        inner, wanted = core.union_schema([integer, real], mode="left_to_right"), "a number"
    elif schema.type == "boolean":
        inner, wanted = core.bool_schema(strict=True), "a boolean"
    else:
        raise ValueError(f"the document has a schema this program does not know: {schema}")
    orelse = " or null" if schema.nullable else ""
    return core.custom_error_schema(inner, "schema", custom_error_message=f"must be {wanted}{orelse}")


def _string(schema: Schema) -> tuple[core.CoreSchema, str]:
    low, high = schema.min_length, schema.max_length
    if not low and high is None:
        return core.str_schema(strict=True), "a string"

    def measured(value: object) -> object:
        # Strings with a lone surrogate are valid JSON, but pydantic-core cannot measure them.
        if not isinstance(value, str) or len(value) < low or (high is not None and len(value) > high):
            raise ValueError
        return value

    fast = core.str_schema(strict=True, min_length=low, max_length=high)
    either = core.union_schema([fast, core.no_info_plain_validator_function(measured)], mode="left_to_right")
    return either, f"a string of {low} to {high} characters" if high else f"a string of {low} characters or more"


def _kind(value: object) -> str:
    """Describe *value* without showing it."""
    match value:
        case str():
            return f"{len(value)} characters"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return "null"
