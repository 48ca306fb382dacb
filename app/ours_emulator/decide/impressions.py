"""Which variants of experiments a visitor was recorded in, and what follows from that; pure rules on plain values."""

from typing import TypeAlias, cast

from ours_emulator.model import Assigned, Properties, Traits

ASSIGNMENTS = "experiment_assignments"
"""The visitor's property that has their variants, by experiment (rule experiment-impression)."""


def assignments(stored: Properties, assigned: Assigned) -> Properties:
    """Return the property after *assigned*, if that changes it: the first impression of a variant stays."""
    before = _assignments(stored)
    new = {key: entry for key, entry in assigned.items() if _variant(before, key) != entry["variant_id"]}
    return {ASSIGNMENTS: {**before, **new}} if new else {}


def personalization(stored: Properties, traits: Traits) -> Properties:
    """Return the properties of the variants that a visitor was recorded in, those of later *traits* over others."""
    before = _assignments(stored)
    joined: Properties = {}
    for key, by_variant in traits.items():
        joined |= by_variant.get(_variant(before, key) or "", {})
    return joined


_Stored: TypeAlias = dict[str, Properties]


def _assignments(stored: Properties) -> _Stored:
    return cast(_Stored, stored.get(ASSIGNMENTS, {}))


def _variant(before: _Stored, key: str) -> str | None:
    return cast(str, before[key]["variant_id"]) if key in before else None
