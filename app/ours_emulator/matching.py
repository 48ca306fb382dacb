"""The match grammar: conditions on the fields of an event, compiled once and applied to many. Pure rules."""

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from enum import Enum
from functools import lru_cache
from typing import Literal, Protocol, TypeAlias, TypeGuard

from pydantic import JsonValue

from ours_emulator.jsontext import Shape, same
from ours_emulator.pattern_syntax import PatternError
from ours_emulator.patterns import Budget, Pattern
from ours_emulator.records import Miss
from ours_emulator.wording import did_you_mean, listed, nearest

MAX_LEVELS = 64
MAX_CONDITIONS = 1000
_MAX_PATTERNS_SIZE = 300_000
"""Instructions of all regular expressions of a match together; 16 bytes each, and some milliseconds for 10,000."""
_LARGEST_EXACT = 2**53
"""The largest integer up to which each is a double too."""
_MAX_COMPARED = 200
_MAX_SHOWN = 100
_MAX_NAMES = 10
_CLOSE_CUTOFF = 0.85
NOT_THERE = "not there"
"""What the reason of a miss begins with if there is no value."""


class MatchError(ValueError):
    """A match that is not valid. The message is one line that begins with the place."""


class _Missing(Enum):
    MISSING = "missing"


_MISSING: Literal[_Missing.MISSING] = _Missing.MISSING
Actual: TypeAlias = JsonValue | Literal[_Missing.MISSING]
"""The value at a place. Null is a value; a place without one is missing."""
Problem: TypeAlias = Callable[[Actual], str | None]
"""Return in a few words why a value does not match; None if it does."""
_Missed: TypeAlias = tuple[str, JsonValue, Actual, str]
"""What a `Miss` is made of if it is asked for: the path, what is expected there, the value, and why not that."""


class _Test(Protocol):
    def misses(self, actual: Actual) -> Iterator[_Missed]: ...

    def steps(self, actual: Actual) -> int: ...


class Match:
    """A compiled match; `compiled` makes it."""

    def __init__(self, test: "_Object", budget: Budget, *, searches: bool) -> None:
        self._test = test
        self.budget = budget
        """What its regular expressions have cost so far, together with others of the same call."""
        self.searches = searches
        """Whether there is a regular expression in it: such a match belongs off the event loop."""

    @property
    def fields(self) -> frozenset[str]:
        """The names of the outermost fields that the match has conditions on."""
        return frozenset(field.parts[0] for field in self._test.fields)

    def text(self, field: str) -> str | None:
        """Return the string that *field* must equal; None if the match has no such condition."""
        for condition in self._test.fields:
            test = condition.test
            if condition.parts == (field,) and isinstance(test, _Leaf) and isinstance(test.expected, str):
                return test.expected
        return None

    @property
    def event_properties(self) -> Mapping[str, str | bool | int]:
        """The values that event properties must have, but for those that a database may compare otherwise."""
        return dict(_simple_values(self._test, ("event_properties",)))

    def misses(self, view: Mapping[str, JsonValue]) -> list[Miss]:
        """Return every condition that *view* does not meet; none if it matches."""
        return [
            Miss(path, expected, None if actual is _MISSING else actual, why)
            for path, expected, actual, why in self._test.misses(dict(view))
        ]

    def steps(self, view: Mapping[str, JsonValue]) -> int:
        """Return how many steps its regular expressions may take on *view*, about."""
        return self._test.steps(dict(view))

    def fits(self, view: dict[str, JsonValue]) -> bool:
        """Whether *view* meets every condition."""
        return next(self._test.misses(view), None) is None


def compiled(match: JsonValue, shape: Shape, root: str = "match", budget: Budget | None = None) -> Match:
    """Return *match* compiled for objects of *shape*. Raises MatchError with the place, which begins with *root*.

    A match is an object of fields. A name may be a path with dots, into objects by name and into lists by number. Each
    field has the expected value (of an object, some of its fields; of a list, all items in order) or operators.
    """
    if not isinstance(match, dict):
        raise MatchError(f"{root}: must be an object of fields")
    compiler = _Compiler(root, budget or Budget())
    return Match(compiler.object((), match, shape, 0), compiler.budget, searches=compiler.patterns_size > 0)


def _simple_values(test: "_Object", place: tuple[str, ...]) -> Iterator[tuple[str, str | bool | int]]:
    """Yield the names and values that *test* demands in the object at *place*."""
    for condition in test.fields:
        inner = condition.test
        if condition.parts == place and isinstance(inner, _Object):
            yield from _simple_values(inner, ())
        elif condition.parts[:-1] == place and isinstance(inner, _Leaf):
            name, value = condition.parts[-1], inner.expected
            if name.isprintable() and _is_simple(value):
                yield name, value


def _is_simple(value: JsonValue) -> TypeGuard[str | bool | int]:
    """Whether every database compares *value* as this program does: not NUL, lone surrogates and long numbers."""
    if isinstance(value, str):
        return value.isprintable()
    return isinstance(value, int) and abs(value) <= _LARGEST_EXACT


def closest(misses: Sequence[Miss]) -> tuple[int, float]:
    """Return the sort key of an event with these *misses*: the nearest event comes first."""
    return len(misses), -sum(map(_closeness, misses))


def _closeness(miss: Miss) -> float:
    """Return how near the actual value comes to the expected one: 0 not at all, 1 almost."""
    expected, actual = miss.expected, miss.actual
    if isinstance(expected, str) and isinstance(actual, str):
        return _likeness(expected[:_MAX_COMPARED].casefold().strip(), actual[:_MAX_COMPARED].casefold().strip())
    return 0.9 if str(expected) == str(actual) else 0.0


def advised(miss: Miss, view: Mapping[str, JsonValue]) -> Miss:
    """Return *miss*; if the field is missing, with a similar name that *view* has, or all its names."""
    if miss.why != NOT_THERE:
        return miss
    here: JsonValue = dict(view)
    for part in miss.path.split("."):
        if not isinstance(here, dict):
            return miss
        if part not in here:
            names = [name[:_MAX_SHOWN] for name in here]
            known = f"; present: {listed(names, _MAX_NAMES)}" if names else ""
            return replace(miss, why=miss.why + (did_you_mean(part, names) or known))
        here = here[part]
    return miss


def _instead(word: str, shape: Shape, *, outermost: bool) -> str:
    """Return what *word* probably means: a field of *shape*, or one inside an open object."""
    known = f"; use one of {', '.join(shape)}"
    open_field = next((name for name, inner in shape.items() if inner is None), None)
    sure = nearest(word, shape, _CLOSE_CUTOFF)
    if not outermost or open_field is None or sure or not 0 < len(word) < _MAX_SHOWN:
        return did_you_mean(word, shape) or known
    close = nearest(word, shape)
    inside = f"{open_field}.{word}"
    return f"; did you mean {close}, or {inside}?" if close else f"{known}; or did you mean {inside}?"


@lru_cache(2048)
def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One value, or one operator, at one place. A *known* field belongs to the shape: there, null means missing."""

    path: str
    expected: JsonValue
    known: bool
    problem: Problem
    pattern: Pattern | None = None

    def steps(self, actual: Actual) -> int:
        return self.pattern.steps(actual) if self.pattern and isinstance(actual, str) else 0

    def misses(self, actual: Actual) -> Iterator[_Missed]:
        if self.known and actual is None and self.expected is not None:
            actual = _MISSING
        elif self.known and actual is _MISSING and self.expected is None:
            actual = None
        why = self.problem(actual)
        if why is not None:
            yield self.path, self.expected, actual, why


@dataclass(frozen=True, slots=True)
class _All:
    """Several operators at one place."""

    tests: Sequence[_Test]

    def steps(self, actual: Actual) -> int:
        return sum(test.steps(actual) for test in self.tests)

    def misses(self, actual: Actual) -> Iterator[_Missed]:
        for test in self.tests:
            yield from test.misses(actual)


@dataclass(frozen=True, slots=True)
class _Field:
    parts: tuple[str, ...]
    test: _Test


@dataclass(frozen=True, slots=True)
class _Object:
    """Some fields of an object; others are ignored."""

    path: str
    fields: Sequence[_Field]

    def steps(self, actual: Actual) -> int:
        return sum(field.test.steps(_looked_up(actual, field.parts)) for field in self.fields)

    def misses(self, actual: Actual) -> Iterator[_Missed]:
        if not self.fields and not isinstance(actual, dict):
            yield self.path, {}, actual, _difference({}, actual)
        for field in self.fields:
            yield from field.test.misses(_looked_up(actual, field.parts))


@dataclass(frozen=True, slots=True)
class _List:
    """The items of a list, all of them in order."""

    path: str
    expected: list[JsonValue]
    items: Sequence[_Test]

    def steps(self, actual: Actual) -> int:
        items = actual if isinstance(actual, list) else ()
        return sum(test.steps(item) for test, item in zip(self.items, items, strict=False))

    def misses(self, actual: Actual) -> Iterator[_Missed]:
        if not isinstance(actual, list):
            yield self.path, self.expected, actual, _difference(self.expected, actual)
        elif len(actual) != len(self.items):
            yield self.path, self.expected, actual, f"{len(actual)} items, not {len(self.items)}"
        else:
            for test, item in zip(self.items, actual, strict=True):
                yield from test.misses(item)


class _Compiler:
    def __init__(self, root: str, budget: Budget) -> None:
        self._root = root
        self.budget = budget
        self._conditions = 0
        self.patterns_size = 0

    def object(
        self, path: tuple[str, ...], expected: Mapping[str, JsonValue], shape: Shape | None, level: int
    ) -> _Object:
        fields = [self._field(path, key, value, shape, level) for key, value in expected.items()]
        return _Object(".".join(path), fields)

    def _field(self, path: tuple[str, ...], key: str, expected: JsonValue, shape: Shape | None, level: int) -> _Field:
        known = False
        parts = tuple(key.split("."))
        self._check((*path, *parts), level + len(parts))
        for number, part in enumerate(parts):
            known = shape is not None
            if shape is not None:
                shape = self._inside((*path, *parts[: number + 1]), part, shape)
        if not path and "" in parts:
            # Inside an object, what looks so may be the whole name of a property, such as `etc.`.
            advice = f'remove a dot; a name that has such dots goes inside: {{"{parts[0]}": {{"NAME": …}}}}'
            raise self._error(parts, f"empty name in path; {advice}")
        return _Field(parts, self._test((*path, *parts), expected, shape, level + len(parts), known=known))

    def _inside(self, path: tuple[str, ...], part: str, shape: Shape) -> Shape | None:
        if part in shape:
            return shape[part]
        if not shape:
            raise self._error(path, f"{path[-2]} is a plain value with nothing inside")
        raise self._error(path, "unknown field" + _instead(part, shape, outermost=len(path) == 1))

    def _test(
        self, path: tuple[str, ...], expected: JsonValue, shape: Shape | None, level: int, *, known: bool
    ) -> _Test:
        self._conditions += 1
        self._check(path, level)
        if isinstance(expected, dict) and any(key.startswith("$") for key in expected):
            return self._operators(path, expected, known=known)
        if isinstance(expected, dict | list) and shape is not None and not shape:
            raise self._error(path, f"{path[-1]} is a plain value, not {_KINDS[_kind(expected)]}")
        if isinstance(expected, dict):
            return self.object(path, expected, shape, level)
        if isinstance(expected, list):
            items = [
                self._test((*path, str(number)), item, None, level + 1, known=False)
                for number, item in enumerate(expected)
            ]
            return _List(".".join(path), expected, items)
        if isinstance(expected, float) and not math.isfinite(expected):
            raise self._error(path, f"{expected} is not a JSON number")
        return _Leaf(".".join(path), expected, known, _equal(expected))

    def _operators(self, path: tuple[str, ...], expected: Mapping[str, JsonValue], *, known: bool) -> _Test:
        tests: list[_Test] = []
        for name, operand in expected.items():
            place = (*path, name)
            if name not in _NAMES:
                problem = "unknown operator" if name.startswith("$") else "fields and operators cannot be mixed"
                instead = did_you_mean(name, _NAMES) or f"; use one of {', '.join(_NAMES)}"
                raise self._error(place, problem + instead)
            try:
                pattern = self._regex(operand) if name == "$regex" else None
                check = _searched(pattern) if pattern else _OPERATORS[name](operand)
            except ValueError as error:
                raise self._error(place, str(error)) from None
            tests.append(_Leaf(".".join(path), {name: operand}, known, check, pattern))
        return _All(tests) if len(tests) > 1 else tests[0]

    def _regex(self, operand: JsonValue) -> Pattern:
        if not isinstance(operand, str):
            raise ValueError("must be a regular expression, as a string")
        pattern = Pattern(operand, self.budget)
        self.patterns_size += pattern.size
        if self.patterns_size > _MAX_PATTERNS_SIZE:
            raise ValueError("the regular expressions of the match are too large together; use fewer or shorter ones")
        return pattern

    def _check(self, path: tuple[str, ...], level: int) -> None:
        if level > MAX_LEVELS:
            raise self._error(path, f"nested deeper than {MAX_LEVELS} levels")
        if self._conditions > MAX_CONDITIONS:
            raise self._error((), f"has more than {MAX_CONDITIONS} conditions")

    def _error(self, path: Iterable[str], problem: str) -> MatchError:
        place = ".".join((self._root, *path))
        return MatchError(f"{place if len(place) <= _MAX_SHOWN else place[:_MAX_SHOWN] + '…'}: {problem}")


def _looked_up(actual: Actual, parts: Sequence[str]) -> Actual:
    """Return the value at the path *parts*. A name may contain dots: shorter names are tried before longer ones."""
    here = actual
    for part in parts:
        if not isinstance(here, dict) or part not in here:
            return _looked_up_by_any_name(actual, parts)
        here = here[part]
    return here


def _looked_up_by_any_name(actual: Actual, parts: Sequence[str]) -> Actual:
    if not parts:
        return actual
    if isinstance(actual, list):
        index = parts[0]
        inside = index.isascii() and index.isdecimal() and len(index) < 10 and int(index) < len(actual)
        return _looked_up(actual[int(index)], parts[1:]) if inside else _MISSING
    if isinstance(actual, dict):
        for length in range(1, len(parts) + 1):
            key = ".".join(parts[:length])
            if key in actual and (there := _looked_up(actual[key], parts[length:])) is not _MISSING:
                return there
    return _MISSING


_KINDS: Mapping[str, str] = {
    "null": "null",
    "boolean": "a boolean",
    "number": "a number",
    "string": "a string",
    "list": "a list",
    "object": "an object",
}


def _kind(value: JsonValue) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "list" if isinstance(value, list) else "object"


def _difference(expected: JsonValue, actual: Actual) -> str:
    if actual is _MISSING:
        return NOT_THERE
    if _kind(expected) != _kind(actual):
        return f"{_KINDS[_kind(actual)]}, not {_KINDS[_kind(expected)]}"
    if isinstance(expected, str) and isinstance(actual, str):
        if expected.casefold() == actual.casefold():
            return "differs only in upper and lower case"
        if expected.strip() == actual.strip():
            return "differs only in the spaces around it"
    return "another value"


def _equal(expected: JsonValue) -> Problem:
    def problem(actual: Actual) -> str | None:
        return None if actual is not _MISSING and same(actual, expected) else _difference(expected, actual)

    return problem


def _searched(pattern: Pattern) -> Problem:
    def problem(actual: Actual) -> str | None:
        if not isinstance(actual, str):
            return _difference("", actual)
        try:
            return None if pattern.matches(actual) else "does not match"
        except PatternError as error:
            raise MatchError(str(error)) from None

    return problem


def _any(operand: JsonValue) -> Problem:
    if operand is not True:
        raise ValueError("must be true; use $absent for a field that must be missing")
    return lambda actual: NOT_THERE if actual is _MISSING else None


def _absent(operand: JsonValue) -> Problem:
    if operand is not True:
        raise ValueError("must be true; use $any for a field that must be there")
    return lambda actual: None if actual is _MISSING else "is there"


def _ordered(compare: Callable[[float | str, float | str], bool], otherwise: str) -> Callable[[JsonValue], Problem]:
    def made(operand: JsonValue) -> Problem:
        if isinstance(operand, bool) or not isinstance(operand, int | float | str):
            raise ValueError("must be a number or a string")
        _check(operand)

        def problem(actual: Actual) -> str | None:
            if actual is _MISSING or isinstance(actual, bool) or not isinstance(actual, int | float | str):
                return _difference(operand, actual)
            if _kind(actual) != _kind(operand):
                return _difference(operand, actual)
            return None if compare(actual, operand) else otherwise

        return problem

    return made


def _unequal(operand: JsonValue) -> Problem:
    _check(operand)
    return lambda actual: "equal" if same(None if actual is _MISSING else actual, operand) else None


def _among(operand: JsonValue) -> Problem:
    if not isinstance(operand, list) or not operand:
        raise ValueError("must be a list of values")
    _check(operand)

    def problem(actual: Actual) -> str | None:
        value = None if actual is _MISSING else actual
        if any(same(value, option) for option in operand):
            return None
        return NOT_THERE if actual is _MISSING else "not one of them"

    return problem


def _check(operand: JsonValue, level: int = 0) -> None:
    """Raise ValueError if *operand* is nested too deep or has a number that is not valid JSON."""
    if level > MAX_LEVELS:
        raise ValueError(f"nested deeper than {MAX_LEVELS} levels")
    if isinstance(operand, float) and not math.isfinite(operand):
        raise ValueError(f"{operand} is not a JSON number")
    inside = operand.values() if isinstance(operand, dict) else operand if isinstance(operand, list) else ()
    for value in inside:
        _check(value, level + 1)


_OPERATORS: Mapping[str, Callable[[JsonValue], Problem]] = {
    "$any": _any,
    "$absent": _absent,
    "$gt": _ordered(operator.gt, "not greater"),
    "$gte": _ordered(operator.ge, "less"),
    "$lt": _ordered(operator.lt, "not less"),
    "$lte": _ordered(operator.le, "greater"),
    "$ne": _unequal,
    "$in": _among,
}
OPERATORS: Mapping[str, str] = {
    "$regex": "text that contains a match of a pattern; anchor it with `^` and `$`",
    "$any": "with `true`: a value that is present",
    "$absent": "with `true`: a value that is not present",
    "$gt": "a number or a text that is greater than one of the same type",
    "$gte": "one that is greater or equal",
    "$lt": "one that is less",
    "$lte": "one that is less or equal",
    "$ne": "any value but this one; a value that is not present counts as null",
    "$in": "one of the values in a list; a value that is not present counts as null",
}
"""What each operator matches."""
_NAMES = tuple(OPERATORS)
