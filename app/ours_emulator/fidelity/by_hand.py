"""What no answer shows: which assumed rules somebody has to look up by hand, and how. The texts are in by_hand.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ours_emulator.contract.rules import rules_of


@dataclass(frozen=True, slots=True)
class ByHand:
    """An assumed rule and what to look up, or why there is nothing to look up: `is_emulators_own`."""

    rule: str
    text: str
    is_emulators_own: bool


@cache
def by_hand() -> Mapping[str, ByHand]:
    """Return them by the ids of their rules."""
    text = (files("ours_emulator.fidelity") / "by_hand.toml").read_text("utf-8")
    return {
        rule: ByHand(rule, fields.get("dashboard") or fields["only"], "only" in fields)
        for rule, fields in tomllib.loads(text).items()
    }


def by_hand_of(revision: str) -> tuple[ByHand, ...]:
    """Return those of the assumed rules of *revision*, in the order of the rules."""
    known = by_hand()
    return tuple(known[rule.id] for rule in rules_of(revision) if rule.basis == "assumed" and rule.id in known)
