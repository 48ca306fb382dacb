"""The differences between a message and a tracking plan: the compiled schemas, and how much they may cost."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cached_property, lru_cache, partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import JsonValue

from ours_emulator.contract.client import PREFIX, PROFILE
from ours_emulator.contract.compile import pointer
from ours_emulator.contract.hints import close_name
from ours_emulator.contract.plan_compiler import Compiler
from ours_emulator.contract.plan_schemas import SURROGATES, Cost, Place
from ours_emulator.contract.plan_wording import MISSING, Difference, differences, place_of
from ours_emulator.model import Message, Properties
from ours_emulator.records import Hint
from ours_emulator.values import value
from ours_emulator.wording import MAX_LISTED, cut, suggested

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

    from ours_emulator.contract.tracking_plan import TrackingPlan

T = TypeVar("T")
_log = logging.getLogger(__name__)
RULE = "tracking-plan"
_UNEVALUATED = "unevaluatedProperties"
REMOVED = "required, but removed with null"
_VENDORS = "$"
"""How the names of the vendor's own events begin: they need not be in a plan."""
_MAX_STEPS = 500_000_000
"""Instructions of the largest pattern times characters, for each check. Most patterns take a hundredth of 1 ns each."""
_MAX_DIFFERENCES = 30_000
"""How many differences may be collected: the engine takes 15 µs for each one, and makes all at once."""
_MAX_COMPARED = 1_000_000
"""How many comparisons with the values of an `enum` a message may take: each one takes up to 0.5 µs."""
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

    def with_hints(self, message: Message) -> Message:
        """Return *message* with a hint for each of its differences from the plan."""
        return replace(message, hints=(*message.hints, *self._hints(message)))

    def _hints(self, message: Message) -> Sequence[Hint]:
        places = _places(message)
        if self._seconds > _MAX_SECONDS:
            return [Hint(RULE, "", f"not checked: the messages before it took {_MAX_SECONDS:g} s of CPU time")]
        started = time.thread_time()
        found = self._found(message, places)
        self._seconds += time.thread_time() - started
        return found

    def _found(self, message: Message, places: _Places) -> Sequence[Hint]:
        try:
            return [*self._about_event(message, places), *self._about_visitor(message, places)]
        except Exception as error:
            # Ours, and no reason to lose a message that the contract accepts.
            self._plan.report(error)
            return [Hint(RULE, "", f"not checked: internal error: {type(error).__name__}; please report it")]

    def _about_event(self, message: Message, places: _Places) -> Sequence[Hint]:
        event, plan = message.event, self._plan
        if event is None:
            return ()
        check = plan.events.get(event)
        if check is not None:
            return check.hints(message.event_properties, places.event, self._size)
        if plan.allow_unplanned or event.startswith(_VENDORS):
            return ()
        return [Hint(RULE, places.name, plan.unplanned(cut(event)))]

    def _about_visitor(self, message: Message, places: _Places) -> Iterator[Hint]:
        check = self._plan.visitor
        if check is None or not (message.user_properties or message.data):
            return
        removed = {pointer(name) for name, given in message.user_properties.items() if given is None}
        for hint in check.hints(sent_about_visitor(message), "", self._size):
            is_removed = hint.message == MISSING and hint.path in removed
            yield Hint(RULE, places.visitor + _as_sent(hint.path, places), REMOVED if is_removed else hint.message)


def sent_about_visitor(message: Message) -> Properties:
    """Return the properties of the visitor in *message*, without those that it removes; `data` is one of them."""
    sent: Properties = {name: given for name, given in message.user_properties.items() if given is not None}
    return {**sent, "data": message.data} if message.data else sent


def _as_sent(path: str, places: _Places) -> str:
    """Return *path* in the stored properties of a visitor as a path in what was sent."""
    if not path:
        return path
    _, first, *rest = path.split("/", 2)
    return "/".join(("", places.names.get(first, first), *rest))


def _places(message: Message) -> _Places:
    if not message.endpoint.startswith(PREFIX):
        return _INGEST
    return _CLIENT_IDENTIFY if message.event is None else _CLIENT_EVENT


class Checks:
    """A plan, compiled. Raises ValueError if one of its schemas is not valid, or if the engine is not installed."""

    def __init__(self, plan: TrackingPlan) -> None:
        compiler = Compiler(plan)
        self.allow_unplanned = plan.allow_unplanned
        self.events = {name: _Check(compiler, "events", name) for name in plan.events}
        self.visitor = None if plan.visitor is None else _Check(compiler, "visitor")
        self.unplanned = lru_cache(4096)(partial(_unplanned, frozenset(plan.events)))
        self._is_reported = False

    def report(self, error: Exception) -> None:
        """Log *error*, which is ours, the first time."""
        if not self._is_reported:
            self._is_reported = True
            _log.error("internal error while a message was compared with its tracking plan", exc_info=error)


def _unplanned(names: frozenset[str], event: str) -> str:
    return f"not in the plan{suggested(close_name(names, event))}"


class _Check:
    """The schema of one kind of event, or of visitors, compiled for the first message."""

    def __init__(self, compiler: Compiler, *place: str) -> None:
        self._compiler = compiler
        self._place = place
        self._cost: Cost = compiler.costs[place]
        self._steps = self._cost.checks * self._cost.program

    @cached_property
    def _schema(self) -> Properties:
        return self._compiler.whole(*self._place)

    @cached_property
    def _validator(self) -> Validator:
        return self._compiler.compiled(self._schema)

    def hints(self, sent: Properties, path: str, size: int) -> Sequence[Hint]:
        """Return a hint for each of the first differences of *sent*, which is at *path*, and one for the others.

        *sent* is in a body of *size* bytes.
        """
        if too_costly := self._too_costly(sent, size):
            return [Hint(RULE, path, f"not checked: {too_costly}")]
        try:
            return () if self._validator.is_valid(sent) else self._differing(sent, path)
        except ValueError:
            # Lone surrogates, or numbers that know their digits, neither of which the engine can have.
            return self._differing(_plain(sent), path)

    def _differing(self, sent: JsonValue, path: str) -> Sequence[Hint]:
        errors = self._errors(sent)
        if errors is None:
            return [Hint(RULE, path, "differs from the plan; too large to say where")]
        return self._hints(errors, sent, path)

    def _too_costly(self, sent: Properties, size: int) -> str:
        """Return why it would take too long to check *sent*; "" if it would not."""
        if self._steps * size > _MAX_STEPS and self._steps * _length(sent) > _MAX_STEPS:
            return "too long for the patterns of the plan"
        compared = self._cost.compared
        if compared and _more_values_than(_MAX_COMPARED // compared, sent):
            return "too many values for an enum of the plan"
        return ""

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
            is_consequence = error.kind.name == _UNEVALUATED and place_of(error) in failed
            for path, message in differences(error, sent, self._schema):
                if not is_consequence or path[-1] not in self._names:
                    yield path, message

    @cached_property
    def _names(self) -> frozenset[str]:
        """The names of all properties in the schema and what it may refer to."""
        named = (inner.get("properties") for inner in _values(self._schema) if isinstance(inner, dict))
        return frozenset(name for properties in named if isinstance(properties, dict) for name in properties)

    def _errors(self, sent: Any) -> Sequence[ValidationError] | None:
        """Return the errors of *sent*; only the first one if they may be very many; None if that one may be, too."""
        if not _more_values_than(_MAX_DIFFERENCES // self._cost.errors, sent):
            return list(self._validator.iter_errors(sent))
        if self._cost.is_nested:
            return () if self._validator.is_valid(sent) else None
        return self._compiler.first_error(self._validator, sent)


def _failed(errors: Sequence[ValidationError]) -> frozenset[Place]:
    """Return the places of what has other *errors* than properties that are not evaluated, or has them inside."""
    if all(error.kind.name != _UNEVALUATED for error in errors):
        return frozenset()
    paths = [place_of(error) for error in errors if error.kind.name != _UNEVALUATED]
    return frozenset(path[:length] for path in paths for length in range(len(path) + 1))


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
        return SURROGATES.sub("\ufffd", sent)
    if isinstance(sent, dict):
        return {SURROGATES.sub("\ufffd", name): _plain(inner) for name, inner in sent.items()}
    if isinstance(sent, list):
        return [_plain(inner) for inner in sent]
    return float(sent) if isinstance(sent, float) else sent
