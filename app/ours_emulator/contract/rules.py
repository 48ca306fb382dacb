"""The rules of the contract as data: the id, the text and the basis of each one. They are in rules.toml."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, TypeAlias

from ours_emulator.model import REVISIONS, RevisionName

Basis: TypeAlias = Literal["documented", "observed", "assumed"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the contract.

    `basis`: the vendor documents it, another public source of the vendor shows it, or it is our choice. `source` says
    where. `revisions` are those it holds in; in another one, a rule with the same id may say something else.
    """

    id: str
    text: str
    basis: Basis
    source: str
    revisions: tuple[RevisionName, ...] = REVISIONS


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
