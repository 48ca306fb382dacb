"""The match grammar: what a test says of the events it means, compiled once and asked of many. Rules only."""

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher, get_close_matches
from enum import Enum
from functools import lru_cache
from typing import Literal, Protocol, TypeAlias

import regex
from pydantic import JsonValue

from ours_emulator.jsontext import same
from ours_emulator.records import Miss

MOST_LEVELS = 64
MOST_CONDITIONS = 1000
_MOST_COMPARED = 200
_MOST_SHOWN = 100
_REGEX_SECONDS = 0.1
_MOST_NAMES = 10
_SURE = 0.85
_NOT_THERE = "not there"


class MatchError(ValueError):
    """A match that can't be meant so; the message is one sentence that begins with the place."""


class _Nothing(Enum):
    NOTHING = "nothing"


_NOTHING: Literal[_Nothing.NOTHING] = _Nothing.NOTHING
Found: TypeAlias = JsonValue | Literal[_Nothing.NOTHING]
"""What stands at a place, which is not the same as null."""
Problem: TypeAlias = Callable[[Found], str | None]
"""Says in a few words why something is not what was asked for; None if it is."""
Shape: TypeAlias = Mapping[str, "Shape | None"]
"""The fields of a thing, each with its own fields: none if it is a plain value, None if it may have any."""
PLAIN: Shape = {}
"""The shape of a plain value."""


class _Test(Protocol):
    def misses(self, found: Found) -> Iterator[Miss]: ...


class Match:
    """A compiled match. Made by `compiled`."""

    def __init__(self, test: "_Object") -> None:
        self._test = test

    @property
    def fields(self) -> frozenset[str]:
        """The names of the fields that the match asks for, without what is inside them."""
        return frozenset(field.parts[0] for field in self._test.fields)

    def text(self, field: str) -> str | None:
        """Return the string that *field* must be; None if the match asks for something else, or does not."""
        for it in self._test.fields:
            if it.parts == (field,) and isinstance(it.test, _Leaf) and isinstance(it.test.expected, str):
                return it.test.expected
        return None

    def misses(self, view: Mapping[str, JsonValue]) -> list[Miss]:
        """Return everything in which *view* is not what the match asks for: nothing if it fits."""
        return list(self._test.misses(dict(view)))

    def fits(self, view: dict[str, JsonValue]) -> bool:
        """Whether *view* is what the match asks for."""
        return next(self._test.misses(view), None) is None


def compiled(match: JsonValue, shape: Shape, root: str = "match") -> Match:
    """Return *match*, asked of things of that *shape*. Raises MatchError with the place, which begins with *root*.

    A match is an object of fields. Their names may lead into objects, and by number into lists, by dots. What they
    should be is a value (of an object: some of its fields; of a list: all of it, in order) or an object of operators.
    """
    if not isinstance(match, dict):
        raise MatchError(f"{root}: not an object of fields")
    return Match(_Compiler(root).object((), match, shape, 0))


def closest(misses: Sequence[Miss]) -> tuple[int, float]:
    """Return by what to sort things that have these *misses*, the nearest first."""
    return len(misses), -sum(map(_closeness, misses))


def _closeness(miss: Miss) -> float:
    """Return how near the actual value comes to the expected one: 0 not at all, 1 almost."""
    expected, actual = miss.expected, miss.actual
    if isinstance(expected, str) and isinstance(actual, str):
        return _likeness(expected[:_MOST_COMPARED].casefold().strip(), actual[:_MOST_COMPARED].casefold().strip())
    return 0.9 if str(expected) == str(actual) else 0.0


def advice(word: str, known: Iterable[str]) -> str:
    """Return what was probably meant by *word*, after a semicolon; else nothing."""
    close = get_close_matches(word[:_MOST_SHOWN], list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def advised(miss: Miss, view: Mapping[str, JsonValue]) -> Miss:
    """Return *miss* with what *view* has instead, if it has nothing by that name."""
    if miss.why != _NOT_THERE:
        return miss
    here: JsonValue = dict(view)
    for part in miss.path.split("."):
        if not isinstance(here, dict):
            return miss
        if part not in here:
            names = [name[:_MOST_SHOWN] for name in here]
            more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
            listed = f"; there are {', '.join(names[:_MOST_NAMES])}{more}" if names else ""
            return replace(miss, why=miss.why + (advice(part, names) or listed))
        here = here[part]
    return miss


def _instead(word: str, shape: Shape, *, outermost: bool) -> str:
    """Return what was probably meant by *word*: a field of that *shape*, or what is inside one that may have any."""
    known = f"; there are {', '.join(shape)}"
    free = next((name for name, inner in shape.items() if inner is None), None)
    sure = get_close_matches(word[:_MOST_SHOWN], shape, n=1, cutoff=_SURE)
    if not outermost or free is None or sure or not 0 < len(word) < _MOST_SHOWN:
        return advice(word, shape) or known
    close = get_close_matches(word, shape, n=1)
    inside = f"{free}.{word}"
    return f"; did you mean {close[0]}, or {inside}?" if close else f"{known}; or did you mean {inside}?"


@lru_cache(2048)
def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One value, or one operator, at one place. *known*: a field of ours, which is null when there is nothing."""

    path: str
    expected: JsonValue
    known: bool
    problem: Problem

    def misses(self, found: Found) -> Iterator[Miss]:
        if self.known and found is None and self.expected is not None:
            found = _NOTHING
        elif self.known and found is _NOTHING and self.expected is None:
            found = None
        why = self.problem(found)
        if why is not None:
            yield _miss(self.path, self.expected, found, why)


@dataclass(frozen=True, slots=True)
class _All:
    """Several operators at one place."""

    tests: Sequence[_Test]

    def misses(self, found: Found) -> Iterator[Miss]:
        for test in self.tests:
            yield from test.misses(found)


@dataclass(frozen=True, slots=True)
class _Field:
    parts: tuple[str, ...]
    test: _Test


@dataclass(frozen=True, slots=True)
class _Object:
    """Some fields of an object; those not mentioned may be anything."""

    path: str
    fields: Sequence[_Field]

    def misses(self, found: Found) -> Iterator[Miss]:
        if not self.fields and not isinstance(found, dict):
            yield _miss(self.path, {}, found, _difference({}, found))
        for field in self.fields:
            yield from field.test.misses(_looked_up(found, field.parts))


@dataclass(frozen=True, slots=True)
class _List:
    """The items of a list, each one and no more."""

    path: str
    expected: list[JsonValue]
    items: Sequence[_Test]

    def misses(self, found: Found) -> Iterator[Miss]:
        if not isinstance(found, list):
            yield _miss(self.path, self.expected, found, _difference(self.expected, found))
        elif len(found) != len(self.items):
            yield _miss(self.path, self.expected, found, f"{len(found)} items, not {len(self.items)}")
        else:
            for test, item in zip(self.items, found, strict=True):
                yield from test.misses(item)


class _Compiler:
    def __init__(self, root: str) -> None:
        self._root = root
        self._conditions = 0

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
        return _Field(parts, self._test((*path, *parts), expected, shape, level + len(parts), known=known))

    def _inside(self, path: tuple[str, ...], part: str, shape: Shape) -> Shape | None:
        if part in shape:
            return shape[part]
        if not shape:
            raise self._error(path, f"{path[-2]} is a plain value with nothing inside")
        raise self._error(path, "there is no such field" + _instead(part, shape, outermost=len(path) == 1))

    def _test(
        self, path: tuple[str, ...], expected: JsonValue, shape: Shape | None, level: int, *, known: bool
    ) -> _Test:
        self._conditions += 1
        self._check(path, level)
        if isinstance(expected, dict) and any(key.startswith("$") for key in expected):
            return self._operators(path, expected, known=known)
        if isinstance(expected, dict | list) and shape is not None and not shape:
            raise self._error(path, f"{path[-1]} is a plain value, never {_KINDS[_kind(expected)]}")
        if isinstance(expected, dict):
            return self.object(path, expected, shape, level)
        if isinstance(expected, list):
            items = [
                self._test((*path, str(number)), item, None, level + 1, known=False)
                for number, item in enumerate(expected)
            ]
            return _List(".".join(path), expected, items)
        if isinstance(expected, float) and not math.isfinite(expected):
            raise self._error(path, f"{expected} is no JSON number")
        return _Leaf(".".join(path), expected, known, _equal(expected))

    def _operators(self, path: tuple[str, ...], expected: Mapping[str, JsonValue], *, known: bool) -> _Test:
        tests: list[_Test] = []
        for name, operand in expected.items():
            place = (*path, name)
            if name not in _OPERATORS:
                said = "there is no such operator" if name.startswith("$") else "a field beside operators"
                instead = advice(name, _OPERATORS) or f"; there are {', '.join(_OPERATORS)}"
                raise self._error(place, f"{said}{instead}")
            try:
                problem = _OPERATORS[name](operand)
            except ValueError as error:
                raise self._error(place, str(error)) from None
            tests.append(_Leaf(".".join(path), {name: operand}, known, problem))
        return _All(tests) if len(tests) > 1 else tests[0]

    def _check(self, path: tuple[str, ...], level: int) -> None:
        if level > MOST_LEVELS:
            raise self._error(path, f"nested deeper than {MOST_LEVELS} levels")
        if self._conditions > MOST_CONDITIONS:
            raise self._error((), f"asks for more than {MOST_CONDITIONS} things")

    def _error(self, path: Iterable[str], problem: str) -> MatchError:
        place = ".".join((self._root, *path))
        return MatchError(f"{place if len(place) <= _MOST_SHOWN else place[:_MOST_SHOWN] + '…'}: {problem}")


def _miss(path: str, expected: JsonValue, found: Found, why: str) -> Miss:
    return Miss(path, expected, None if found is _NOTHING else found, why)


def _looked_up(found: Found, parts: Sequence[str]) -> Found:
    """Return what *parts* lead to. A name may have dots itself, so the longer names are tried after the shorter."""
    if not parts:
        return found
    if isinstance(found, list):
        index = parts[0]
        inside = index.isascii() and index.isdecimal() and len(index) < 10 and int(index) < len(found)
        return _looked_up(found[int(index)], parts[1:]) if inside else _NOTHING
    if isinstance(found, dict):
        for length in range(1, len(parts) + 1):
            key = ".".join(parts[:length])
            if key in found and (there := _looked_up(found[key], parts[length:])) is not _NOTHING:
                return there
    return _NOTHING


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


def _difference(expected: JsonValue, found: Found) -> str:
    if found is _NOTHING:
        return _NOT_THERE
    if _kind(expected) != _kind(found):
        return f"{_KINDS[_kind(found)]}, not {_KINDS[_kind(expected)]}"
    if isinstance(expected, str) and isinstance(found, str):
        if expected.casefold() == found.casefold():
            return "differs only in upper and lower case"
        if expected.strip() == found.strip():
            return "differs only in the spaces around it"
    return "another value"


def _equal(expected: JsonValue) -> Problem:
    def problem(found: Found) -> str | None:
        return None if found is not _NOTHING and same(found, expected) else _difference(expected, found)

    return problem


def _regex(operand: JsonValue) -> Problem:
    if not isinstance(operand, str):
        raise ValueError("takes a regular expression, which is a string")
    try:
        pattern = regex.compile(operand)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"no regular expression: {error}") from None

    def problem(found: Found) -> str | None:
        if not isinstance(found, str):
            return _difference("", found)
        try:
            return None if pattern.search(found, timeout=_REGEX_SECONDS) else "does not match"
        except TimeoutError:
            raise MatchError(f"the regular expression {operand[:_MOST_SHOWN]} takes too long") from None

    return problem


def _any(operand: JsonValue) -> Problem:
    if operand is not True:
        raise ValueError("takes true only; what must not be there is $absent")
    return lambda found: _NOT_THERE if found is _NOTHING else None


def _absent(operand: JsonValue) -> Problem:
    if operand is not True:
        raise ValueError("takes true only; what must be there is $any")
    return lambda found: None if found is _NOTHING else "is there"


def _ordered(compare: Callable[[float | str, float | str], bool], otherwise: str) -> Callable[[JsonValue], Problem]:
    def made(operand: JsonValue) -> Problem:
        if isinstance(operand, bool) or not isinstance(operand, int | float | str):
            raise ValueError("takes a number or a string")
        _check(operand)

        def problem(found: Found) -> str | None:
            if found is _NOTHING or isinstance(found, bool) or not isinstance(found, int | float | str):
                return _difference(operand, found)
            if _kind(found) != _kind(operand):
                return _difference(operand, found)
            return None if compare(found, operand) else otherwise

        return problem

    return made


def _unequal(operand: JsonValue) -> Problem:
    _check(operand)
    return lambda found: "equal" if same(None if found is _NOTHING else found, operand) else None


def _among(operand: JsonValue) -> Problem:
    if not isinstance(operand, list) or not operand:
        raise ValueError("takes a list of values")
    _check(operand)

    def problem(found: Found) -> str | None:
        value = None if found is _NOTHING else found
        if any(same(value, it) for it in operand):
            return None
        return _NOT_THERE if found is _NOTHING else "not among them"

    return problem


def _check(operand: JsonValue, level: int = 0) -> None:
    """Raise ValueError if *operand* is nested too deep or has a number that JSON has not."""
    if level > MOST_LEVELS:
        raise ValueError(f"nested deeper than {MOST_LEVELS} levels")
    if isinstance(operand, float) and not math.isfinite(operand):
        raise ValueError(f"{operand} is no JSON number")
    inside = operand.values() if isinstance(operand, dict) else operand if isinstance(operand, list) else ()
    for value in inside:
        _check(value, level + 1)


_OPERATORS: Mapping[str, Callable[[JsonValue], Problem]] = {
    "$regex": _regex,
    "$any": _any,
    "$absent": _absent,
    "$gt": _ordered(operator.gt, "not greater"),
    "$gte": _ordered(operator.ge, "less"),
    "$lt": _ordered(operator.lt, "not less"),
    "$lte": _ordered(operator.le, "greater"),
    "$ne": _unequal,
    "$in": _among,
}
