"""What no answer shows: which assumed rules somebody has to check by hand, and how. They are in manual_checks.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ours_emulator.contract.rules import rules_of


@dataclass(frozen=True, slots=True)
class ManualCheck:
    """An assumed rule and how to check it; if it is about the emulator only, why there is nothing to check."""

    rule: str
    text: str
    emulator_only: bool


@cache
def manual_checks() -> Mapping[str, ManualCheck]:
    """Return them by the ids of their rules."""
    text = (files("ours_emulator.fidelity") / "manual_checks.toml").read_text("utf-8")
    return {
        rule: ManualCheck(rule, fields.get("check") or fields["emulator_only"], "emulator_only" in fields)
        for rule, fields in tomllib.loads(text).items()
    }


def manual_checks_of(revision: str) -> tuple[ManualCheck, ...]:
    """Return those of the assumed rules of *revision*, in the order of the rules."""
    known = manual_checks()
    return tuple(known[rule.id] for rule in rules_of(revision) if rule.basis == "assumed" and rule.id in known)
