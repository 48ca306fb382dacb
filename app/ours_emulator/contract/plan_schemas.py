"""Which schemas a tracking plan may have, so that no message can stop or fill the emulator. Pure rules.

The engine finds what is not valid by JSON Schema. Here is what that allows: typos, references that lead elsewhere,
schemas that never end or are checked very often, and patterns that are too costly.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from itertools import chain
from typing import Any, TypeAlias, cast
from urllib.parse import quote, unquote

from pydantic import JsonValue

from ours_emulator.contract.body import MAX_DEPTH
from ours_emulator.contract.compile import pointer
from ours_emulator.contract.hints import close_name
from ours_emulator.patterns import Pattern
from ours_emulator.wording import cut, did_you_mean, suggested

INSTALL = "pip install 'ours-emulator[plan]'"
SURROGATES = re.compile("[\ud800-\udfff]")
Place: TypeAlias = tuple[str | int, ...]
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FORMATS = _words(
    "date date-time duration email hostname idn-email idn-hostname ipv4 ipv6 iri iri-reference json-pointer regex "
    "relative-json-pointer time uri uri-reference uri-template uuid"
)
_MAX_CHECKS = 1000
"""How often one value may be checked: by the branches of anyOf, say, and by the schemas that these refer to."""
_MAX_PROGRAM = 2000
"""Instructions of a compiled pattern. A search takes time in proportion to them, and to the length of the text."""

# Which keywords have a schema, several, or some by name. Those in _IN_PLACE are about the same value.
_ONE = _words(
    "additionalProperties contains contentSchema else if items not propertyNames then unevaluatedItems "
    "unevaluatedProperties"
)
_SEVERAL = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
_NAMED = frozenset(("$defs", "dependentSchemas", "patternProperties", "properties"))
_ALTERNATIVES = frozenset(("anyOf", "oneOf"))
_IN_PLACE = frozenset(("allOf", "anyOf", "dependentSchemas", "else", "if", "not", "oneOf", "then"))
_KNOWN = _words(
    "$comment $ref $schema const contentEncoding contentMediaType default dependentRequired deprecated "
    "description enum example examples exclusiveMaximum exclusiveMinimum format maxContains maxItems maxLength "
    "maxProperties maximum minContains minItems minLength minProperties minimum multipleOf pattern readOnly required "
    "title type uniqueItems writeOnly"
) | (_ONE | _SEVERAL | _NAMED)
_INSTEAD = {
    "definitions": "use $defs, at the top of the plan",
    "dependencies": "use dependentRequired or dependentSchemas",
    "additionalItems": "use items, and prefixItems for the first ones",
    "nullable": 'use a list of types, such as ["string", "null"]',
    **dict.fromkeys(
        ("$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef", "$vocabulary"),
        "use $ref with a place in the plan, such as #/$defs/money",
    ),
}


class PlanError(ValueError):
    """What is wrong with a plan; the message is one sentence that begins with the place."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(f"{cut('.'.join(map(str, place)))}: {message}" if place else message)


@dataclass
class _Node:
    """One schema: the places of those that check the same value, and of those that check what is in it."""

    place: Place
    same: list[str] = field(default_factory=list[str])
    inner: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """By keyword."""
    alternatives: list[str] = field(default_factory=list[str])
    """Those of `same` that are in anyOf or oneOf: the engine finds all differences from each."""
    errors: int = 1
    """How much it takes to name all differences of one value."""
    compared: int = 0
    """With how many other values one value is compared, and a number with a fraction counts as five."""

    @property
    def used(self) -> Iterator[str]:
        """All of them."""
        return chain(self.same, *self.inner.values())


@dataclass(frozen=True)
class Cost:
    """What a schema may cost, at most."""

    checks: int
    """How often it checks one value."""
    program: int
    """How many instructions the largest pattern of the plan has."""
    errors: int
    """How many differences one value may have."""
    compared: int
    """With how many values of an `enum` one value is compared."""
    is_nested: bool
    """Whether the first difference of a value may have all those in it, as alternatives of objects and lists have."""


@dataclass(frozen=True)
class Schemas:
    """What is known of the schemas of a plan: what each of *costs*, by place, and where references lead."""

    costs: Mapping[Place, Cost]
    targets: Mapping[str, str]
    """Where each reference leads, as a JSON pointer into the plan."""
    reached: Mapping[Place, frozenset[Place]]
    """To which others the references in a schema lead."""


def check_schemas(roots: Mapping[Place, JsonValue]) -> Schemas:
    """Check the schemas of a plan, *roots*, by their places. Raises PlanError."""
    nodes: dict[str, _Node] = {}
    references: dict[Place, str] = {}
    waiting = list(roots.items())
    program = 0
    while waiting:
        place, schema = waiting.pop()
        node = nodes[pointer(*place)] = _Node(place)
        if not isinstance(schema, dict):
            continue
        _check_keywords(place, schema)
        node.errors, node.compared = _size_of_errors(schema), _compared(schema)
        program = max(program, *_programs(place, schema), 0)
        for keyword, at, inner in _inner(place, schema):
            (node.same if keyword in _IN_PLACE else node.inner.setdefault(keyword, [])).append(pointer(*at))
            if keyword in _ALTERNATIVES:
                node.alternatives.append(pointer(*at))
            waiting.append((at, inner))
        if "$ref" in schema:
            references[place] = _reference((*place, "$ref"), schema["$ref"])
    targets = {reference: _target(place, reference, nodes) for place, reference in references.items()}
    for place, reference in references.items():
        nodes[pointer(*place)].same.append(targets[reference])
    roots_by_pointer = {pointer(*place): place for place in roots}
    reached: dict[Place, set[Place]] = {place: set() for place in roots}
    for place, reference in references.items():
        reached[_root(place)].add(roots_by_pointer[_root_pointer(targets[reference])])
    return Schemas(_all_costs(roots, nodes, program), targets, {at: frozenset(to) for at, to in reached.items()})


def _root(place: Place) -> Place:
    """Return the place of the schema of the plan that *place* is in."""
    return place[:1] if place[0] == "visitor" else place[:2]


def _root_pointer(target: str) -> str:
    parts = target.split("/")
    return "/".join(parts[:2] if parts[1] == "visitor" else parts[:3])


def _all_costs(roots: Mapping[Place, JsonValue], nodes: Mapping[str, _Node], program: int) -> Mapping[Place, Cost]:
    checks = _costs(nodes, dict.fromkeys(nodes, 1), _check)
    errors = _costs(nodes, {at: node.errors for at, node in nodes.items()}, _unchecked)
    compared = max((node.compared for node in nodes.values()), default=0)
    is_nested = _has_nested_alternatives(nodes)
    return {
        place: Cost(checks[at], program, errors[at], compared * checks[at], is_nested)
        for place, at in ((place, pointer(*place)) for place in roots)
    }


def _has_nested_alternatives(nodes: Mapping[str, _Node]) -> bool:
    """Tell whether an alternative is about what is in a value, too."""
    waiting = [at for node in nodes.values() for at in node.alternatives]
    seen: set[str] = set()
    while waiting:
        at = waiting.pop()
        if nodes[at].inner:
            return True
        waiting += [inner for inner in nodes[at].same if inner not in seen]
        seen.add(at)
    return False


def _size_of_errors(schema: Mapping[str, JsonValue]) -> int:
    """Return what it takes to name all differences of one value from *schema*: the engine copies what it expects."""
    dependent = schema.get("dependentRequired")
    lists = [schema.get("required"), *(dependent.values() if isinstance(dependent, dict) else ())]
    names = sum(len(names) for names in lists if isinstance(names, list))
    return 1 + names + sum(_count(schema.get(keyword)) for keyword in ("enum", "const")) // 10


def _count(value: JsonValue | None) -> int:
    return 1 + sum(map(_count, _values(value)))


def _compared(schema: Mapping[str, JsonValue]) -> int:
    """Return with how many values one value is compared. The engine looks up texts, and compares with all others."""
    options = schema.get("enum")
    return sum(map(_comparisons, options)) if isinstance(options, list) else 0


def _comparisons(value: JsonValue) -> int:
    own = 5 if isinstance(value, float) else 0 if isinstance(value, str) else 1
    return own + sum(map(_comparisons, _values(value)))


def _inner(place: Place, schema: Mapping[str, JsonValue]) -> Iterator[tuple[str, Place, JsonValue]]:
    """Yield the schemas in *schema*: the keyword, the place, the schema. `$defs` are no part of it by themselves."""
    for keyword, value in schema.items():
        if keyword in _ONE:
            yield keyword, (*place, keyword), value
        elif keyword in _SEVERAL and isinstance(value, list):
            yield from ((keyword, (*place, keyword, index), inner) for index, inner in enumerate(value))
        elif keyword in _NAMED and isinstance(value, dict):
            yield from ((keyword, (*place, keyword, name), inner) for name, inner in value.items())


def _check_keywords(place: Place, schema: Mapping[str, JsonValue]) -> None:
    for keyword in schema:
        if keyword not in _KNOWN and not keyword.startswith("x-"):
            raise PlanError((*place, keyword), f"is not a keyword of JSON Schema; {_keyword_advice(keyword)}")
    if schema.get("$schema", DIALECT) not in (DIALECT, DIALECT + "#"):
        raise PlanError((*place, "$schema"), f"must be {DIALECT}, or omitted")
    named = schema.get("format")
    if isinstance(named, str) and named not in FORMATS:
        advice = did_you_mean(named, FORMATS) or f"; use one of {', '.join(sorted(FORMATS))}"
        raise PlanError((*place, "format"), f"{cut(named)!r} is not a format{advice}")


def _programs(place: Place, schema: Mapping[str, JsonValue]) -> Iterator[int]:
    """Yield the size of each pattern of *schema*."""
    if isinstance(schema.get("pattern"), str):
        yield _program((*place, "pattern"), str(schema["pattern"]))
    by_pattern = schema.get("patternProperties")
    for pattern in by_pattern if isinstance(by_pattern, dict) else ():
        yield _program((*place, "patternProperties"), pattern)


def _keyword_advice(keyword: str) -> str:
    near = suggested(close_name(_KNOWN, keyword)).removeprefix("; ")
    return _INSTEAD.get(keyword) or near or "put properties into `properties`, and begin remarks with x-"


def _program(place: Place, source: str) -> int:
    """Return how many instructions the pattern *source* has."""
    try:
        # What the engine has: classes of ECMA-262 are those of ASCII.
        program = Pattern(source).ascii_size
    except ValueError as error:
        raise PlanError(place, str(error)) from None
    if program > _MAX_PROGRAM:
        raise PlanError(place, "the regular expression is too large; use smaller counts, or fewer of them")
    return program


def _reference(place: Place, reference: JsonValue) -> str:
    if not isinstance(reference, str) or not unquote(reference).startswith("#/"):
        raise PlanError(place, "leads out of the plan; use a place in it, such as #/$defs/money")
    return reference


def _target(place: Place, reference: str, nodes: Mapping[str, _Node]) -> str:
    """Return what *reference*, at *place*, points to. A name may be written as it is, or percent-encoded."""
    decoded, as_written = unquote(reference)[1:], reference[1:]
    if decoded in nodes:
        return decoded
    if as_written in nodes:
        return as_written
    raise PlanError((*place, "$ref"), f"#{cut(decoded)} is not a schema of the plan{_advice(decoded, nodes)}")


def for_engine(schema: JsonValue, targets: Mapping[str, str] | None) -> JsonValue:
    """Return *schema* as the engine takes it, with references to *targets*; without references if that is None.

    It means the same. The engine names more of what differs from what is returned than from what is written.
    """
    if not isinstance(schema, dict):
        return schema
    changed = {keyword: _inside(keyword, value, targets) for keyword, value in schema.items()}
    if changed.get("additionalProperties") is False:
        changed.setdefault("properties", {})
    if changed.get("propertyNames") is False:
        changed["propertyNames"] = {"not": {}}
    reference = changed.pop("$ref", None)
    if targets is not None and isinstance(reference, str):
        changed["$ref"] = "#" + quote(targets[reference], safe="/~$")
    return changed


def _inside(keyword: str, value: JsonValue, targets: Mapping[str, str] | None) -> JsonValue:
    if keyword in _ONE:
        return for_engine(value, targets)
    if keyword in _SEVERAL and isinstance(value, list):
        return [for_engine(inner, targets) for inner in value]
    if keyword in _NAMED and isinstance(value, dict):
        return {name: for_engine(inner, targets) for name, inner in value.items()}
    return value


def _advice(target: str, nodes: Mapping[str, _Node]) -> str:
    """Return what *target* may be meant to be, of the schemas that have a name."""
    named = ["#" + place for place, node in nodes.items() if len(node.place) == 2]
    return did_you_mean("#" + target, named) or "; define it in $defs, at the top of the plan"


def _costs(
    nodes: Mapping[str, _Node], own: Mapping[str, int], check: Callable[[Mapping[str, _Node], Mapping[str, int]], None]
) -> Mapping[str, int]:
    """Return what each schema costs for one value; by itself, what *own* says: 1 to count checks.

    Raises PlanError if a schema is about the same value as itself, or as *check* does.
    """
    try:
        order = list(TopologicalSorter({at: node.same for at, node in nodes.items()}).static_order())
    except CycleError as error:
        place = nodes[error.args[1][0]].place
        raise PlanError(place, "refers to itself without going into a property or an item, which never ends") from None
    costs, recursive = _costs_without_recursion(nodes, own)
    check(nodes, costs)
    remaining = [at for at in order if at in recursive]
    before = {**costs, **dict.fromkeys(recursive, 0)}
    # A value is as deep as a body may be; each level costs what the level below it costs.
    for _ in range(MAX_DEPTH if remaining else 0):
        now = dict(before)
        for at in remaining:
            now[at] = _cost(nodes[at], own[at], now, before)
        check(nodes, now)
        before = now
    return before


def _costs_without_recursion(
    nodes: Mapping[str, _Node], own: Mapping[str, int]
) -> tuple[dict[str, int], frozenset[str]]:
    """Return what each schema costs from which no recursion is reached, and the other ones."""
    users: dict[str, list[str]] = {at: [] for at in nodes}
    missing = {at: sum(1 for _ in node.used) for at, node in nodes.items()}
    for at, node in nodes.items():
        for used in node.used:
            users[used].append(at)
    ready = [at for at, count in missing.items() if not count]
    costs: dict[str, int] = {}
    while ready:
        at = ready.pop()
        costs[at] = _cost(nodes[at], own[at], costs, costs)
        for user in users[at]:
            missing[user] -= 1
            if not missing[user]:
                ready.append(user)
    return costs, frozenset(nodes.keys() - costs.keys())


def _cost(node: _Node, own: int, same: Mapping[str, int], inner: Mapping[str, int]) -> int:
    """Return what *node* costs for one value, or for one of those in it, whichever is more."""

    def of(*keywords: str) -> list[int]:
        return [inner[at] for keyword in keywords for at in node.inner.get(keyword, ())]

    named = max(of("properties"), default=0) + sum(of("patternProperties"))
    others = of("additionalProperties", "unevaluatedProperties", "propertyNames")
    items = max(of("items", "prefixItems", "unevaluatedItems"), default=0) + sum(of("contains"))
    return own + sum(same[at] for at in node.same) + max(named, items, *others)


def _check(nodes: Mapping[str, _Node], costs: Mapping[str, int]) -> None:
    for at, cost in costs.items():
        if cost > _MAX_CHECKS:
            text = f"would have one value checked more than {_MAX_CHECKS} times; use fewer alternatives and references"
            raise PlanError(nodes[at].place, text)


def _unchecked(_nodes: Mapping[str, _Node], _costs: Mapping[str, int]) -> None:
    """Costs that follow from those that were checked are bounded with them."""


def json_problem(value: Any, limit: int) -> str:
    """Return why *value*, as a parser of YAML may return it, is not JSON of at most *limit* values; "" if it is."""
    waiting: list[tuple[Any, int]] = [(value, 0)]
    for count in range(limit + 1):
        if not waiting:
            return ""
        here, depth = waiting.pop()
        if depth > _MAX_LEVELS:
            return f"is nested deeper than {_MAX_LEVELS} levels"
        if problem := _scalar_problem(here):
            return problem
        waiting += [(inner, depth + 1) for inner in _values(here)]
        if count + len(waiting) > limit:
            break
    return f"has more than {limit} values"


_MAX_LEVELS = 100


def _values(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return list(cast(dict[object, Any], value).values())
    return cast(Sequence[Any], value) if isinstance(value, list) else ()


def _scalar_problem(value: Any) -> str:
    if isinstance(value, dict):
        if bad := next(filter(_is_surrogate, cast(dict[object, Any], value)), None):
            return _surrogate_problem(bad)
        other = next((name for name in cast(dict[object, Any], value) if not isinstance(name, str)), None)
        return "" if other is None else f"has the name {other!r}, which is not text; put it in quotes"
    if _is_surrogate(value):
        return _surrogate_problem(value)
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return f"has {value}, which is not a JSON number"
    if isinstance(value, str | int | float | list | None):
        return ""
    return f"has {cut(str(value))}, which JSON cannot have; put it in quotes"


def _is_surrogate(value: object) -> bool:
    """Tell whether *value* is a text with a lone surrogate, which the engine cannot have."""
    return isinstance(value, str) and SURROGATES.search(value) is not None


def _surrogate_problem(text: object) -> str:
    shown = cut(str(text)).encode("ascii", "backslashreplace").decode()
    return f"has a lone surrogate in the text {shown}; remove it"
