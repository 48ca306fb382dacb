"""From the vendor's OpenAPI document to validators; no property name of the document is typed in Python.

The validators also drop what the document does not have, in `_object_without_unknown_keys`; `hints` reports it
(rule unknown-keys).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias, cast

from pydantic import JsonValue
from pydantic_core import PydanticCustomError, SchemaValidator, ValidationError
from pydantic_core import core_schema as core

from ours_emulator.contract.open_object import OpenObject
from ours_emulator.wording import cut

Valid: TypeAlias = dict[str, Any]
"""A body with only the names that the document has, each with a value of the documented type."""
_KEYWORDS = frozenset(("type", "nullable", "properties", "required", "additionalProperties", "items", "description"))
_BOUNDS = frozenset(("minLength", "maxLength", "minItems", "maxItems"))
_TRIM, _TO_TEXT, _OPEN_OBJECT = "x-trim", "x-to-text", "x-open-object"
NORMALISING = frozenset((_TRIM, _TO_TEXT, _OPEN_OBJECT))
"""What a derived document says beside the schema: how a value is normalised before it is checked."""
_ANY = "any"
_LIMITS_RULE = "open-object-limits"


@dataclass(frozen=True)
class Schema:
    """The part of OpenAPI 3.0's schema object that the document uses."""

    type: str
    """`any` if the document gives none."""
    nullable: bool
    any_json: bool
    """Written *nullable* first, then *string*, no length: the document's artefact for "any JSON" (rule any-json)."""
    properties: Mapping[str, "Schema"]
    required: frozenset[str]
    values: "Schema | None"
    """The schema of each value of an object with free names."""
    items: "Schema | None"
    min_length: int
    max_length: int | None
    max_items: int | None
    trim: bool
    to_text: bool
    open_object: OpenObject | None

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> "Schema":
        """Return the schema in *raw*, a part of the document's JSON. Raises ValueError for an unsupported keyword."""
        unsupported = raw.keys() - _KEYWORDS - _BOUNDS - NORMALISING
        if unsupported:
            raise ValueError(f"the document has unsupported keywords: {sorted(unsupported)}")
        values, items = raw.get("additionalProperties"), raw.get("items")
        return cls(
            type=raw.get("type", _ANY),
            nullable=raw.get("nullable", False),
            any_json=next(iter(raw)) == "nullable" and raw["type"] == "string" and "maxLength" not in raw,
            properties={name: cls.read(inner) for name, inner in raw.get("properties", {}).items()},
            required=frozenset(raw.get("required", ())),
            values=None if values is None else cls.read(values),
            items=None if items is None else cls.read(items),
            min_length=raw.get("minLength", 0),
            max_length=raw.get("maxLength"),
            max_items=raw.get("maxItems"),
            trim=raw.get(_TRIM, False),
            to_text=raw.get(_TO_TEXT, False),
            open_object=OpenObject.read(raw[_OPEN_OBJECT]) if _OPEN_OBJECT in raw else None,
        )


@dataclass(frozen=True)
class Shape:
    """The names of one object of the document: what hints about dropped names need."""

    known: frozenset[str]
    closed: Mapping[str, "Shape"]
    """The inner objects with fixed names."""

    @cached_property
    def homes(self) -> dict[str, str]:
        """Every name one level down, with the first inner object that has it."""
        last_first = reversed([*self.closed.items()])
        return {name: inner for inner, shape in last_first for name in shape.known}

    @cached_property
    def pointers(self) -> frozenset[str]:
        """Every name, and every name in the inner objects, as JSON pointers."""
        inner = (pointer(name) + rest for name, shape in self.closed.items() for rest in shape.pointers)
        return frozenset((*map(pointer, self.known), *inner))


@dataclass(frozen=True)
class Problem:
    """Where a value breaks its schema, as a JSON pointer, and how. The message never contains the value."""

    path: str
    message: str
    rule: str = "schema"


@dataclass(frozen=True)
class Body:
    """One request body of the document, compiled."""

    shape: Shape
    validator: SchemaValidator

    def check(self, value: JsonValue) -> Valid | Problem:
        """Return *value* with only the names that the document has, or its first problem."""
        try:
            return cast(Valid, self.validator.validate_python(value))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            path = pointer(*first["loc"])
            if first["type"] == _LIMITS_RULE:
                return Problem(path + pointer(*map(cut, first.get("ctx", {})["inner"])), first["msg"], _LIMITS_RULE)
            if first["type"] == "missing":
                return Problem(path, "required")
            expected = first["msg"] if first["type"] == "schema" else "must be an object"
            return Problem(path, f"{expected}, got {_kind(first['input'])}")


@dataclass(frozen=True)
class RequestBodies:
    """The request bodies of a document, compiled."""

    single: Mapping[str, Body]
    """The bodies that are one message, by endpoint."""
    envelope: Body
    """The body of /batch; its rows are not checked with it."""
    row: Body
    max_rows: int


def request_bodies(document: bytes, *, strict_openapi: bool) -> RequestBodies:
    """Compile the request bodies of *document*. Raises ValueError if it is not like the vendor's."""
    schemas = request_schemas(document)
    batch = schemas["batch"].properties
    events = batch["events"]
    if events.items is None or events.max_items is None:
        raise ValueError("the document has no list of events with a largest number of items")
    row = compile_body(events.items, strict_openapi=strict_openapi)
    envelope = compile_body(
        replace(schemas["batch"], properties={"token": batch["token"]}), strict_openapi=strict_openapi
    )
    single = {name: schema for name, schema in schemas.items() if name != "batch"}
    return RequestBodies(
        {name: compile_body(schema, strict_openapi=strict_openapi) for name, schema in single.items()},
        replace(envelope, shape=replace(envelope.shape, known=frozenset(batch))),
        # A row may repeat the token of its batch, so that name is not unknown (rule batch-token).
        replace(row, shape=replace(row.shape, known=row.shape.known | {"token"})),
        events.max_items,
    )


def body_shapes(document: bytes) -> dict[str, Shape]:
    """Return the shape of each body of *document*, and of a `row`, without compiling what checks them."""
    schemas = request_schemas(document)
    row = schemas["batch"].properties["events"].items
    return {name: _shape(schema) for name, schema in (*schemas.items(), ("row", row)) if schema is not None}


def request_schemas(document: bytes) -> dict[str, Schema]:
    """Return the schema of the POST body of each endpoint in *document*, by the endpoint's name."""
    paths: dict[str, Any] = json.loads(document)["paths"]
    return {
        endpoint_at(path): Schema.read(operations["post"]["requestBody"]["content"]["application/json"]["schema"])
        for path, operations in paths.items()
    }


def endpoint_at(path: str) -> str:
    """Return the name of the endpoint at *path* of a document: its last part that is no parameter."""
    return [part for part in path.split("/") if not part.startswith("{")][-1]


def compile_body(schema: Schema, *, strict_openapi: bool) -> Body:
    """Compile *schema*. Unless *strict_openapi*, the places of rule any-json accept any JSON."""
    return Body(_shape(schema), SchemaValidator(_core(schema, strict_openapi)))


def pointer(*parts: str | int) -> str:
    """Return *parts* as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def _shape(schema: Schema) -> Shape:
    inner = schema.properties
    return Shape(
        known=frozenset(inner),
        closed={name: _shape(field) for name, field in inner.items() if field.properties},
    )


def _core(schema: Schema, strict: bool) -> core.CoreSchema:
    if schema.type == _ANY or (schema.any_json and not strict):
        return core.any_schema()
    inner = _object_without_unknown_keys(schema, strict) if schema.type == "object" else _leaf(schema)
    return core.nullable_schema(inner) if schema.nullable else inner


def _object_without_unknown_keys(schema: Schema, strict: bool) -> core.CoreSchema:
    if schema.values is not None:
        free = core.dict_schema(core.any_schema(), _core(schema.values, strict), strict=True)
        return free if schema.open_object is None else _bounded(schema.open_object, free)
    fields = {
        name: core.typed_dict_field(_core(inner, strict), required=name in schema.required)
        for name, inner in schema.properties.items()
    }
    # Unknown keys are dropped here (rule unknown-keys).
    return core.typed_dict_schema(fields, extra_behavior="ignore", strict=True)


def _bounded(limits: OpenObject, inner: core.CoreSchema) -> core.CoreSchema:
    def checked(value: Valid) -> Valid:
        problem = limits.problem(value)
        if problem is not None:
            raise PydanticCustomError(_LIMITS_RULE, "{message}", problem._asdict())
        return value

    return core.no_info_after_validator_function(checked, inner)


def _leaf(schema: Schema) -> core.CoreSchema:
    inner: core.CoreSchema
    if schema.type == "string":
        inner, expected = _string(schema)
    elif schema.type == "number":
        integer, real = core.int_schema(strict=True), core.float_schema(strict=True)
        inner, expected = core.union_schema([integer, real], mode="left_to_right"), "a number"
    elif schema.type == "boolean":
        inner, expected = core.bool_schema(strict=True), "a boolean"
    else:
        raise ValueError(f"the document has an unsupported schema: {schema}")
    or_null = " or null" if schema.nullable else ""
    return core.custom_error_schema(inner, "schema", custom_error_message=f"must be {expected}{or_null}")


def _string(schema: Schema) -> tuple[core.CoreSchema, str]:
    low, high = schema.min_length, schema.max_length
    if not low and high is None:
        return core.str_schema(strict=True), "a string"

    def measured(value: object) -> object:
        # A string with a lone surrogate is valid JSON, but pydantic-core cannot measure it.
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
