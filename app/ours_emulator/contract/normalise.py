"""How a body is normalised before it is checked, as the keywords of a derived document say."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import TypeAlias

from pydantic import JsonValue

from ours_emulator.contract.compile import Schema, request_schemas
from ours_emulator.javascript import WHITE_SPACE, number_text
from ours_emulator.model import Properties

Step: TypeAlias = Callable[[JsonValue], JsonValue]


def by_keywords(document: bytes) -> Callable[[str, Properties], Properties]:
    """Return the normalisation that the keywords of *document* describe: of an endpoint's body, or of a `row`."""

    def normalised(endpoint: str, body: Properties) -> Properties:
        return _object(_steps(document)[endpoint], body)

    return normalised


def trimmed(value: JsonValue) -> JsonValue:
    """Return *value*; a string without the white space at both ends (rule trimming)."""
    return value.strip(WHITE_SPACE) if isinstance(value, str) else value


def as_text(value: JsonValue) -> JsonValue:
    """Return *value*; a number or boolean as a string (rule to-text)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return number_text(value) if isinstance(value, int | float) else value


# When the first body is normalised: most emulators never have an account of such a revision.
@cache
def _steps(document: bytes) -> Mapping[str, Mapping[str, Step]]:
    schemas = request_schemas(document)
    steps = {name: _inner_steps(schema) for name, schema in schemas.items()}
    row = schemas["batch"].properties["events"].items
    # A row may repeat the token of its batch.
    return {**steps, "row": {**steps["batch"], **(_inner_steps(row) if row else {})}}


def _inner_steps(schema: Schema) -> Mapping[str, Step]:
    steps = {name: _step(inner) for name, inner in schema.properties.items()}
    return {name: step for name, step in steps.items() if step is not None}


def _step(schema: Schema) -> Step | None:
    """Return what normalises a value of *schema*; None if nothing has to."""
    if schema.open_object is not None:
        return schema.open_object.tidied
    if schema.to_text:
        return (lambda value: trimmed(as_text(value))) if schema.trim else as_text
    if schema.trim:
        return trimmed
    steps = _inner_steps(schema)
    return (lambda value: _object(steps, value) if isinstance(value, dict) else value) if steps else None


def _object(steps: Mapping[str, Step], value: Properties) -> Properties:
    return {name: steps[name](item) if name in steps else item for name, item in value.items()}
