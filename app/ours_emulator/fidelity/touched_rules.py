"""The rules that a difference between two OpenAPI documents may touch. The tables are in touched_rules.toml."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from ours_emulator.contract.rules import rules_of
from ours_emulator.fidelity.change import ANY_JSON, Change


@dataclass(frozen=True, slots=True)
class TouchedRules:
    """The rules of a name in a body, of a keyword of a schema, and of a status."""

    name: Mapping[str, Sequence[str]]
    keyword: Mapping[str, Sequence[str]]
    status: Mapping[str, Sequence[str]]


@cache
def touched_rules() -> TouchedRules:
    """Return the tables."""
    text = (files("ours_emulator.fidelity") / "touched_rules.toml").read_text("utf-8")
    return TouchedRules(**tomllib.loads(text))


def with_rules(change: Change, revision: str) -> Change:
    """Return *change* with the rules of *revision* that it may touch."""
    known = _known(revision)
    return replace(change, rules=tuple(rule for rule in dict.fromkeys(_touched(change)) if rule in known))


@cache
def _known(revision: str) -> frozenset[str]:
    return frozenset(rule.id for rule in rules_of(revision))


def _touched(change: Change) -> Iterator[str]:
    """Yield the rules that *change* may touch, those of any revision."""
    if change.where == "document":
        yield "base-path" if change.what == "servers" else "openapi"
    elif change.place == "endpoint":
        yield from ("base-path", "methods") if not change.what else ()
    elif change.place.startswith("response "):
        yield from touched_rules().status.get(change.place.split(" ")[1].split(".")[0], ())
    else:
        yield from _touched_in_body(change)


def _touched_in_body(change: Change) -> Iterator[str]:
    if change.what:
        yield from touched_rules().keyword.get(change.what, ("schema",))
    else:
        yield from ("schema", "unknown-keys")
    if ANY_JSON in change.before + change.after:
        yield "any-json"
    yield from touched_rules().name.get(change.place.removesuffix(".*"), ())
