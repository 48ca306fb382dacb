"""What the marker `@pytest.mark.ours_emulator(…)` and the ini file say about a test."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest

from ours_emulator.emulator.operations import AccountPlan
from ours_emulator.wording import did_you_mean

MARKER = "ours_emulator"
IGNORED = "strict_ignore"
INI_IGNORED = f"{MARKER}_{IGNORED}"
INI_REVISION = f"{MARKER}_revision"
OF_ACCOUNT = frozenset(AccountPlan.__optional_keys__)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_list(value: object) -> bool:
    """Whether *value* has several strings; one string is none of these, though it has characters."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Collection):
        return False
    return all(isinstance(item, str) for item in cast(Collection[object], value))


def _is_list_or_none(value: object) -> bool:
    return value is None or _is_list(value)


def _is_list_or_one(value: object) -> bool:
    return isinstance(value, str) or _is_list(value)


def _is_moment(value: object) -> bool:
    return value is None or (isinstance(value, str | int | datetime) and not _is_bool(value))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_path(value: object) -> bool:
    return isinstance(value, str | Path)


def _is_plan(value: object) -> bool:
    return value is None or _is_mapping(value) or _is_path(value)


_OPTIONS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "allowed_events": (_is_list_or_none, "a list of names, such as ['Paid']"),
    "clock": (_is_moment, "a datetime, ISO 8601, or milliseconds since the epoch"),
    "experiments": (_is_mapping, "a dict, such as {'checkout': {'variants': [{'id': 'green'}]}}"),
    "public_keys": (_is_list, "a list of keys, such as ['pk_123']"),
    "require_identifier": (_is_bool, "True or False"),
    "revision": (_is_text, "the name of a revision, such as '2026-10'"),
    "seed": (_is_path, "the path of a file"),
    "strict": (_is_bool, "True or False"),
    IGNORED: (_is_list_or_one, "a list of rules, such as ['unknown-keys']"),
    "strict_openapi": (_is_bool, "True or False"),
    "tracking_plan": (_is_plan, "a dict, such as {'events': {'Paid': {}}}, or the path of a file"),
    "tokens": (_is_list, "a list of tokens, such as ['live_123']"),
}
"""Which values each option takes, and that in words."""
_NOT_EMPTY = ("tokens", "public_keys")
"""An empty list would accept every one, the opposite of what it looks like."""


def wrong(problem: str) -> BaseException:
    """Return the error of a marker: what every one of them looks like."""
    return pytest.fail.Exception(f"marker {MARKER}: {problem}", pytrace=False)


def options_of(test: pytest.Item) -> dict[str, Any]:
    """Return the options that the markers of *test* set; the closest marker wins. Fails the test for wrong ones."""
    options: dict[str, Any] = {}
    for marker in test.iter_markers(MARKER):
        _check(marker)
        options = {**marker.kwargs, **options}
    return options


def is_strict(test: pytest.Item) -> bool:
    """Whether *test* fails if the emulator refuses something or gives a hint."""
    return bool(options_of(test).get("strict", test.config.getini("ours_emulator_strict")))


def settings_of_ini(config: pytest.Config) -> dict[str, str]:
    """Return the options of accounts that the ini file sets."""
    revision: str = config.getini(INI_REVISION)
    return {"revision": revision} if revision else {}


def ignored_by_marker(test: pytest.Item) -> frozenset[str]:
    """Return the rules that the marker of *test* ignores."""
    rules: str | Collection[str] = options_of(test).get(IGNORED, ())
    return frozenset((rules,) if isinstance(rules, str) else rules)


def ignored_by_ini(test: pytest.Item) -> frozenset[str]:
    """Return the rules that the ini file ignores."""
    configured: list[str] = test.config.getini(INI_IGNORED)
    return frozenset(configured)


def ignored_rules(test: pytest.Item) -> frozenset[str]:
    """Return the rules that *test*, if it is strict, does not fail on."""
    return ignored_by_ini(test) | ignored_by_marker(test)


def _check(marker: pytest.Mark) -> None:
    known = f"use {', '.join(_OPTIONS)}"
    if marker.args:
        raise wrong(f"it takes keyword arguments only, such as strict=True; got {marker.args[0]!r}")
    for name, value in marker.kwargs.items():
        if name not in _OPTIONS:
            raise wrong(f"unknown option {name}{did_you_mean(name, _OPTIONS) or f'; {known}'}")
        if problem := problem_of(name, value):
            raise wrong(problem)
        if name in _NOT_EMPTY and not value:
            raise wrong(f"{name} must not be empty; omit it to use the default")


def problem_of(name: str, value: object) -> str:
    """Return what is wrong with the *value* of the option *name*: `strict must be True or False, not 1`; or ""."""
    fits, expected = _OPTIONS[name]
    return "" if fits(value) else f"{name} must be {expected}, not {value!r}"
