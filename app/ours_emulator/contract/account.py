"""What an account accepts."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from ours_emulator.contract.revision import Revision
from ours_emulator.values import value

if TYPE_CHECKING:
    from ours_emulator.contract.experiments import Experiment, Experiments
    from ours_emulator.contract.tracking_plan import TrackingPlan


@value
class AccountConfig:
    """The configuration of an account, the unit of isolation. An empty set of tokens, or keys, accepts any of them."""

    name: str
    revision: Revision
    tokens: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    allowed_events: frozenset[str] | None = None
    """Event names, trimmed and case-folded; None if the account has no allow-list."""
    require_identifier: bool = True
    strict_openapi: bool = False
    """A value that the document literally types as string must be a string (rule any-json)."""
    experiments: Experiments = field(default_factory=dict[str, "Experiment"])
    tracking_plan: TrackingPlan | None = None
    """What events and visitors should have (rule tracking-plan)."""
    max_visitor_bytes: int = 16 * 1024 * 1024
    """The largest visitor, in bytes of JSON (rule visitor-size)."""


def experiments_note(account: AccountConfig) -> str:
    """Return a note that *account* has experiments that its revision does not know; "" if there are none."""
    revision = account.revision
    if revision.experiments or not account.experiments:
        return ""
    return (
        f"the account has experiments, but its revision {revision.name} answers /experiments with 404 "
        f"(--revision {revision.newer} changes that)"
    )
