"""What the marker `@pytest.mark.ours_emulator(…)` and the ini file say about a test."""

from collections.abc import Sequence
from typing import Any

import pytest

from ours_emulator.emulator.operations import AccountPlan

MARKER = "ours_emulator"
OF_ACCOUNT = frozenset(AccountPlan.__optional_keys__)
_KNOWN = OF_ACCOUNT | {"strict", "strict_ignore", "clock", "seed"}


def options_of(test: pytest.Item) -> dict[str, Any]:
    """Return the options that the markers of *test* set; the closest marker wins. Fails the test for unknown ones."""
    options: dict[str, Any] = {}
    for marker in test.iter_markers(MARKER):
        unknown = sorted(marker.kwargs.keys() - _KNOWN)
        if marker.args or unknown:
            what = unknown[0] if unknown else repr(marker.args[0])
            pytest.fail(f"@pytest.mark.{MARKER}: {what} is none of {', '.join(sorted(_KNOWN))}", pytrace=False)
        options = {**marker.kwargs, **options}
    return options


def is_strict(test: pytest.Item) -> bool:
    """Whether *test* fails if the emulator refuses something or gives a hint."""
    return bool(options_of(test).get("strict", test.config.getini("ours_emulator_strict")))


def ignored_rules(test: pytest.Item) -> frozenset[str]:
    """Return the rules that *test*, if it is strict, does not fail on."""
    configured: list[str] = test.config.getini("ours_emulator_strict_ignore")
    rules: str | Sequence[str] = options_of(test).get("strict_ignore", ())
    return frozenset((*configured, *((rules,) if isinstance(rules, str) else rules)))
