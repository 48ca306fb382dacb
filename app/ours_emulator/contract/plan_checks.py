"""What a message has otherwise than its tracking plan: the compiled schemas of a plan, and how much they may cost."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property, lru_cache, partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote, unquote

from pydantic import JsonValue

from ours_emulator.contract.client import PREFIX, PROFILE
from ours_emulator.contract.compile import pointer
from ours_emulator.contract.hints import close_name
from ours_emulator.contract.plan_schemas import INSTALL, Cost, Place, PlanError, check_schemas
from ours_emulator.contract.plan_wording import Difference, differences
from ours_emulator.model import Message, Properties
from ours_emulator.records import Hint
from ours_emulator.values import value
from ours_emulator.wording import MAX_LISTED, cut, suggested

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

    from ours_emulator.contract.tracking_plan import TrackingPlan

T = TypeVar("T")
RULE = "tracking-plan"
_UNEVALUATED = "unevaluatedProperties"
_VENDORS = "$"
"""How the names of the vendor's own events begin: they need not be in a plan."""
_SURROGATES = re.compile("[\ud800-\udfff]")
_MAX_STEPS = 500_000_000
"""Instructions of the largest pattern times characters, for each check. Most patterns take a hundredth of 1 ns each."""
_MAX_DIFFERENCES = 50_000
"""Values times checks of which all differences are collected: the engine takes 20 µs for each one."""
_MAX_SECONDS = 1.0
"""Time of the processor for the messages of one request."""


@value
class _Places:
    """Where a body has the name and the properties of an event, and those of a visitor, as JSON pointers."""

    name: str
    event: str
    visitor: str
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    """The names of visitor properties in the body, where they differ from those that are stored."""


_SENT_AS = {stored: name for name, stored in PROFILE.items()}
_INGEST = _Places("/event", "/eventProperties", "/userProperties")
_CLIENT_EVENT = _Places("/name", "/data", "/user", _SENT_AS)
_CLIENT_IDENTIFY = _Places("", "", "", _SENT_AS)


class RequestChecks:
    """The checks of the messages of one request, whose body has *size* bytes: together they take a bounded time."""

    def __init__(self, plan: Checks, size: int) -> None:
        self._plan = plan
        self._size = size
        self._seconds = 0.0

    def hints(self, message: Message) -> Sequence[Hint]:
        """Return a hint for each difference between *message* and the plan."""
        places = _places(message)
        if self._seconds > _MAX_SECONDS:
            return [Hint(RULE, "", f"not checked: the messages before it took {_MAX_SECONDS:g} s of CPU time")]
        started = time.thread_time()
        found = [*self._about_event(message, places), *self._about_visitor(message, places)]
        self._seconds += time.thread_time() - started
        return found

    def _about_event(self, message: Message, places: _Places) -> Sequence[Hint]:
        event, plan = message.event, self._plan
        if event is None:
            return ()
        check = plan.events.get(event)
        if check is not None:
            return check.hints(message.event_properties, places.event, self._size)
        if plan.allow_unplanned or event.startswith(_VENDORS):
            return ()
        return [Hint(RULE, places.name, plan.unplanned(event))]

    def _about_visitor(self, message: Message, places: _Places) -> Iterator[Hint]:
        check = self._plan.visitor
        if check is None or not (message.user_properties or message.data):
            return
        for hint in check.hints(sent_about_visitor(message), "", self._size):
            _, first, *rest = hint.path.split("/", 2) if hint.path else ("", "")
            name = places.names.get(first, first)
            path = "/".join(("", name, *rest)) if name else ""
            yield Hint(RULE, places.visitor + path, hint.message)


def sent_about_visitor(message: Message) -> Properties:
    """Return the properties of the visitor in *message*, without those that it removes; `data` is one of them."""
    sent: Properties = {name: given for name, given in message.user_properties.items() if given is not None}
    return {**sent, "data": message.data} if message.data else sent


def _places(message: Message) -> _Places:
    if not message.endpoint.startswith(PREFIX):
        return _INGEST
    return _CLIENT_IDENTIFY if message.event is None else _CLIENT_EVENT


class Checks:
    """A plan, compiled. Raises ValueError if one of its schemas is not valid, or if the engine is not installed."""

    def __init__(self, plan: TrackingPlan) -> None:
        compiler = _Compiler(plan)
        self.allow_unplanned = plan.allow_unplanned
        self.events = {name: compiler.check("events", name) for name in plan.events}
        self.visitor = None if plan.visitor is None else compiler.check("visitor")
        # Those that nobody refers to have to be valid too.
        for name in plan.definitions:
            compiler.check("$defs", name)
        self.unplanned = lru_cache(4096)(partial(_unplanned, frozenset(plan.events)))


def _unplanned(names: frozenset[str], event: str) -> str:
    return f"not in the plan{suggested(close_name(names, event))}"


class _Check:
    """The compiled schema of one kind of event, or of visitors."""

    def __init__(self, validator: Validator, error: type[ValidationError], schema: JsonValue, cost: Cost) -> None:
        self._validator = validator
        self._schema = schema
        self._error = error
        self._checks = cost.checks
        self._steps = cost.checks * cost.program

    def hints(self, sent: Properties, path: str, size: int) -> Sequence[Hint]:
        """Return a hint for each of the first differences of *sent*, which is at *path*, and one for the others.

        *sent* is in a body of *size* bytes.
        """
        if self._steps * size > _MAX_STEPS and self._steps * _length(sent) > _MAX_STEPS:
            return [Hint(RULE, path, "not checked: too long for the patterns of the plan")]
        try:
            if self._validator.is_valid(sent):
                return ()
            return self._hints(self._errors(sent), sent, path)
        except ValueError:
            # Lone surrogates, or numbers that know their digits, neither of which the engine can have.
            comparable = _plain(sent)
            return self._hints(self._errors(comparable), comparable, path)

    def _hints(self, errors: Sequence[ValidationError], sent: JsonValue, path: str) -> list[Hint]:
        found = list(islice(_distinct(self._differences(errors, sent)), MAX_LISTED + 1))
        hints = [Hint(RULE, path + pointer(*map(_cut, at)), message) for at, message in found[:MAX_LISTED]]
        if len(found) > MAX_LISTED:
            hints.append(Hint(RULE, path, f"differs from the plan in more than {MAX_LISTED} places"))
        return hints

    def _differences(self, errors: Sequence[ValidationError], sent: Any) -> Iterator[Difference]:
        failed = _failed(errors)
        for error in errors:
            # A schema that fails counts none of its properties as evaluated: they are in the plan all the same.
            is_consequence = error.kind.name == _UNEVALUATED and tuple(error.instance_path) in failed
            for path, message in differences(error, sent, self._schema):
                if not is_consequence or path[-1] not in self._names:
                    yield path, message

    @cached_property
    def _names(self) -> frozenset[str]:
        """The names of all properties in the schema and what it may refer to."""
        named = (inner.get("properties") for inner in _values(self._schema) if isinstance(inner, dict))
        return frozenset(name for properties in named if isinstance(properties, dict) for name in properties)

    def _errors(self, sent: Any) -> Sequence[ValidationError]:
        """Return the errors of *sent*; only the first one if they may be very many: the engine makes all at once."""
        if not _more_values_than(_MAX_DIFFERENCES // self._checks, sent):
            return list(self._validator.iter_errors(sent))
        try:
            self._validator.validate(sent)
        except self._error as error:
            return [error]
        return ()


def _failed(errors: Sequence[ValidationError]) -> frozenset[Place]:
    """Return the places of what has other *errors* than properties that are not evaluated, or has them inside."""
    if all(error.kind.name != _UNEVALUATED for error in errors):
        return frozenset()
    paths = [tuple(error.instance_path) for error in errors if error.kind.name != _UNEVALUATED]
    return frozenset(path[:length] for path in paths for length in range(len(path) + 1))


class _Compiler:
    """Compiles the schemas of a plan, each at its place."""

    def __init__(self, plan: TrackingPlan) -> None:
        parts: Mapping[str, Mapping[str, Any]] = {"$defs": plan.definitions, "events": plan.events}
        self._roots: dict[Place, Any] = {
            (part, name): schema for part, schemas in parts.items() for name, schema in schemas.items()
        }
        if plan.visitor is not None:
            self._roots["visitor",] = plan.visitor
        used, self._costs = check_schemas(self._roots)
        self._shared = {part: schema for part, schema in plan.document.items() if part in used}
        try:
            import jsonschema_rs
        except ImportError:
            raise ValueError(f"tracking plans need jsonschema-rs; run: {INSTALL}") from None
        self._engine = jsonschema_rs

    def check(self, *place: str) -> _Check:
        """Return the compiled schema at *place*."""
        # As the only one of allOf: what it has by itself stays apart from what references are about.
        whole = cast(Properties, _with_encoded_references({"allOf": [self._roots[place]], **self._shared}))
        patterns = self._engine.RegexOptions()
        try:
            validator = self._engine.Draft202012Validator(
                whole, validate_formats=True, pattern_options=patterns, retriever=_refuse_to_load
            )
        except self._engine.ValidationError as error:
            raise _schema_problem(error, place, whole) from None
        return _Check(validator, self._engine.ValidationError, whole, self._costs[place])


def _schema_problem(error: ValidationError, place: tuple[str, ...], whole: Properties) -> PlanError:
    path, message = next(differences(error, whole))
    return PlanError((*place, *path[2:]) if path[:1] == ("allOf",) else path, message)


def _with_encoded_references(schema: JsonValue) -> JsonValue:
    """Return *schema* with references as the engine takes them: names of events may have spaces."""
    if isinstance(schema, list):
        return [_with_encoded_references(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    encoded = {name: _with_encoded_references(inner) for name, inner in schema.items()}
    reference = schema.get("$ref")
    return {**encoded, "$ref": quote(unquote(reference), safe="#/~$")} if isinstance(reference, str) else encoded


def _refuse_to_load(address: str) -> Any:
    raise ValueError(f"{cut(address)} leads out of the plan")


def _distinct(items: Iterable[T]) -> Iterator[T]:
    """Yield each of *items* once."""
    seen: set[T] = set()
    for item in items:
        if item not in seen:
            seen.add(item)
            yield item


def _cut(part: str | int) -> str | int:
    return cut(part) if isinstance(part, str) else part


def _levels(sent: JsonValue) -> Iterator[Sequence[JsonValue]]:
    """Yield *sent*, then all values in it, then all values in these, and so on."""
    level = [sent]
    while level:
        yield level
        containers = (
            here.values() if isinstance(here, dict) else here for here in level if isinstance(here, dict | list)
        )
        level = [inner for values in containers for inner in values]


def _values(sent: JsonValue) -> Iterator[JsonValue]:
    """Yield *sent* and each value in it."""
    return chain.from_iterable(_levels(sent))


def _more_values_than(limit: int, sent: JsonValue) -> bool:
    count = 0
    for level in _levels(sent):
        count += len(level)
        if count > limit:
            return True
    return False


def _length(sent: JsonValue) -> int:
    """Return how many characters the texts and names in *sent* have."""
    texts = sum(len(inner) for inner in _values(sent) if isinstance(inner, str))
    return texts + sum(len(name) for inner in _values(sent) if isinstance(inner, dict) for name in inner)


def _plain(sent: JsonValue) -> JsonValue:
    """Return *sent* with another character for each lone surrogate, and with numbers that are nothing else."""
    if isinstance(sent, str):
        return _SURROGATES.sub("\ufffd", sent)
    if isinstance(sent, dict):
        return {_SURROGATES.sub("\ufffd", name): _plain(inner) for name, inner in sent.items()}
    if isinstance(sent, list):
        return [_plain(inner) for inner in sent]
    return float(sent) if isinstance(sent, float) else sent
