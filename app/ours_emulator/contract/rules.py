"""The rules of the contract as data: the id, the text and the basis of each one. They are in rules.toml."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, TypeAlias

Basis: TypeAlias = Literal["documented", "observed", "assumed"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the contract.

    `basis`: the vendor documents it, another public source of the vendor shows it, or it is our choice. `source` says
    where.
    """

    id: str
    text: str
    basis: Basis
    source: str


# Only the debug API shows them, and parsing takes longer than the rest of the revision: not at start.
@cache
def load_rules() -> tuple[Rule, ...]:
    """Return the rules of revision 2026-05, with those of the Client API and of the emulator, in order."""
    text = (files("ours_emulator.contract") / "rules.toml").read_text("utf-8")
    return tuple(Rule(id=id_, **fields) for id_, fields in tomllib.loads(text).items())
