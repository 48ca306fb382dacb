"""The rules of the contract as data: the id, the text and the basis of each one. They are in rules.toml."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from ours_emulator.model import REVISIONS
from ours_emulator.records import Rule


# Only the debug API shows them, and parsing takes longer than the rest of the revision: not at start.
@cache
def load_rules() -> tuple[Rule, ...]:
    """Return the rules of all revisions, with those of the Client API and of the emulator, in order."""
    text = (files("ours_emulator.contract") / "rules.toml").read_text("utf-8")
    return tuple(_rule(key, fields) for key, fields in tomllib.loads(text).items())


def rules_of(revision: str) -> tuple[Rule, ...]:
    """Return the rules that hold in *revision*."""
    return tuple(rule for rule in load_rules() if revision in rule.revisions)


def _rule(key: str, fields: dict[str, Any]) -> Rule:
    revisions = tuple(fields.pop("revisions", REVISIONS))
    return Rule(id=fields.pop("id", key), revisions=revisions, **fields)
