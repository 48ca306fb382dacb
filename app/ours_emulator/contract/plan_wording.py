"""The differences between a value and a schema: the place, what was expected and what came. Pure rules."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from pydantic import JsonValue

from ours_emulator.contract.hints import close_name
from ours_emulator.jsontext import same
from ours_emulator.wording import and_more, cut, plural, shortened, suggested

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

Path: TypeAlias = tuple[str | int, ...]
Difference: TypeAlias = tuple[Path, str]
"""A place, and what is otherwise there."""
MISSING = "required, but missing"
_EMPTY = '[""]'
_MAX_SHOWN = 60
_MAX_OPTIONS = 10
_encode = json.JSONEncoder(ensure_ascii=False).encode
_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "an integer",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}
_EXPECTED: Mapping[str, Callable[[Any], str]] = {
    "const": lambda value: shown(value),
    "contains": lambda _: "a list with an item that the plan asks for",
    "enum": lambda options: _alternatives(options),
    "exclusiveMaximum": lambda limit: f"less than {shown(limit)}",
    "exclusiveMinimum": lambda limit: f"more than {shown(limit)}",
    "format": lambda name: f"the format {name}",
    "maxItems": lambda limit: f"at most {plural(limit, 'item')}",
    "maxLength": lambda limit: f"at most {plural(limit, 'character')}",
    "maxProperties": lambda limit: f"at most {_properties(limit)}",
    "maximum": lambda limit: f"at most {shown(limit)}",
    "minItems": lambda limit: f"at least {plural(limit, 'item')}",
    "minLength": lambda limit: f"at least {plural(limit, 'character')}",
    "minProperties": lambda limit: f"at least {_properties(limit)}",
    "minimum": lambda limit: f"at least {shown(limit)}",
    "multipleOf": lambda step: f"a multiple of {shown(step)}",
    "not": lambda _: "something that the plan does not exclude",
    "pattern": lambda pattern: f"text that matches {cut(str(pattern))}",
    "type": lambda types: " or ".join(_TYPES[name] for name in types),
    "uniqueItems": lambda _: "items that differ",
}
"""What is expected, by the keyword and its value."""
_COUNTED: Mapping[str | int, str] = {"maxContains": "at most", "minContains": "at least"}
_MORE = ("additionalProperties", "unevaluatedProperties")


def differences(error: "ValidationError", sent: JsonValue, schema: JsonValue = None) -> Iterator[Difference]:
    """Yield where *sent* is otherwise than *error* says that it should be, and how.

    *schema* is the whole schema, for the names of properties that may be meant.
    """
    path, keyword, value = place_of(error), error.kind.name, error.kind.value
    if keyword in _MORE:
        names = _names(schema, tuple(error.schema_path[:-1]))
        yield from (((*path, name), f"not in the plan{suggested(close_name(names, name))}") for name in value)
    elif keyword == "required":
        yield (*path, value), MISSING
    elif keyword == "propertyNames":
        yield (*path, value.instance), "has a name that the plan does not allow"
    elif keyword == "unevaluatedItems":
        yield from (((*path, index), "not in the plan") for index in _indices(value, at(sent, path)))
    elif keyword == "contains" and error.schema_path[-1] in _COUNTED:
        yield path, f"{_counted(error, schema)}, got {shown(at(sent, path))}"
    elif keyword in ("anyOf", "oneOf"):
        yield from _of_alternatives(error, sent, schema)
    else:
        yield path, _sentence(keyword, value, at(sent, path))


def _names(schema: JsonValue, path: Path) -> frozenset[str]:
    """Return the names of the properties in the schema at *path*."""
    here = _in_schema(schema, path)
    properties = here.get("properties") if isinstance(here, dict) else None
    return frozenset(properties) if isinstance(properties, dict) else frozenset()


def _counted(error: "ValidationError", schema: JsonValue) -> str:
    """Return how many items of a list should match `contains`."""
    limit = _in_schema(schema, tuple(error.schema_path))
    count = plural(limit, "item") if isinstance(limit, int) else f"{limit} items"
    return f"expected {_COUNTED[error.schema_path[-1]]} {count} that the plan asks for"


def _in_schema(schema: JsonValue, path: Path) -> JsonValue:
    """Return what is at *path* in *schema*, if it can be found: the engine leaves empty names out of the path."""
    try:
        return at(schema, path)
    except (LookupError, TypeError):
        return None


def place_of(error: "ValidationError") -> Path:
    """Return where *error* is in what was sent."""
    # The engine leaves empty names out of the path, but not out of its text, which has them as `[""]`.
    text = error.verbose_message[len(error.message) :].rpartition("\n\nOn instance")[2]
    if _EMPTY not in text:
        return tuple(error.instance_path)
    path: Path = ()
    for part in error.instance_path:
        empty, text = _empty_names(text)
        path = (*path, *empty, part)
        text = text[len(_in_text(part)) :]
    return (*path, *_empty_names(text)[0])


def _indices(texts: Sequence[str], items: JsonValue) -> Sequence[int]:
    """Return where in *items* those are that the engine names by their *texts*, in JSON."""
    found: list[int] = []
    remaining = [*texts]
    # From the end: what is not in the plan comes last, and equal items may be before it.
    for index, item in reversed([*enumerate(items if isinstance(items, list) else ())]):
        if remaining and same(json.loads(remaining[-1]), item):
            remaining.pop()
            found.append(index)
    return found[::-1]


def _empty_names(text: str) -> tuple[Path, str]:
    """Return the empty names with which *text* begins, and the rest."""
    rest = text
    while rest.startswith(_EMPTY):
        rest = rest[len(_EMPTY) :]
    return ("",) * ((len(text) - len(rest)) // len(_EMPTY)), rest


def _in_text(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    escaped = part.replace("~", "~0").replace("/", "~1")
    return f'["{escaped}"]'


def at(value: JsonValue, path: Path) -> JsonValue:
    """Return what is at *path* in *value*."""
    here: Any = value
    for part in path:
        here = here[part]
    return cast(JsonValue, here)


def shown(value: JsonValue) -> str:
    """Return *value* as a sentence can have it: what is long is cut, and containers are only counted."""
    if isinstance(value, dict):
        return f"an object with {_properties(len(value))}"
    if isinstance(value, list):
        return f"a list of {plural(len(value), 'item')}"
    text = _encode(value[: 2 * _MAX_SHOWN] if isinstance(value, str) else value)
    return text if len(text) <= _MAX_SHOWN + 2 else shortened(text, _MAX_SHOWN)


def _properties(count: int) -> str:
    return f"{count} {'property' if count == 1 else 'properties'}"


def _sentence(keyword: str, value: Any, came: JsonValue) -> str:
    if keyword in _EXPECTED and value != []:
        return f"expected {_EXPECTED[keyword](value)}, got {shown(came)}"
    return f"not allowed by the plan, got {shown(came)}"


def _of_alternatives(error: "ValidationError", sent: JsonValue, schema: JsonValue) -> Iterator[Difference]:
    """Yield the differences from the alternative that is probably meant; else that *sent* fits none, or several."""
    path = place_of(error)
    branches: Sequence[Sequence[ValidationError]] = error.kind.value
    came = shown(at(sent, path))
    if not all(branches):
        yield path, f"fits more than one alternative of the plan, but must fit only one, got {came}"
        return
    types = [_only_types(branch, len(path)) for branch in branches]
    if all(types):
        yield path, f"expected {_EXPECTED['type'](dict.fromkeys(chain(*types)))}, got {came}"
        return
    distances = [_distance(branch, len(path)) for branch in branches]
    nearest = min(distances)
    if distances.count(nearest) > 1:
        yield path, f"fits none of the {len(branches)} alternatives of the plan, got {came}"
        return
    for one in branches[distances.index(nearest)]:
        yield from differences(one, sent, schema)


def _only_types(branch: "Sequence[ValidationError]", depth: int) -> Sequence[str]:
    """Return which types *branch* takes, if that is all that is wrong."""
    [first, *others] = branch
    if others or first.kind.name != "type" or len(first.instance_path) > depth:
        return ()
    types: Sequence[str] = first.kind.value
    return types


def _distance(branch: "Sequence[ValidationError]", depth: int) -> int:
    """Return how unlikely it is that *branch* is meant: another type, or another constant, means another one."""
    return sum(_weight(error.kind.name, len(error.instance_path) - depth) for error in branch)


def _weight(keyword: str, levels: int) -> int:
    if keyword == "type":
        return 1 if levels else 1000
    return 1 if keyword not in ("const", "enum") else 10 if levels else 100


def _alternatives(options: Sequence[JsonValue]) -> str:
    texts = [shown(option) for option in options[:_MAX_OPTIONS]]
    more = and_more(len(options) - len(texts))
    return " ".join(filter(None, ("one of" if len(options) > 1 else "", ", ".join(texts), more)))
