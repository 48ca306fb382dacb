"""Rules: GET /debug/rules, and how often each of them was met."""

from collections import Counter
from collections.abc import Iterable
from functools import partial

from fastapi import Request
from starlette.responses import Response

from ours_emulator.accounts import Accounts
from ours_emulator.contract.rules import load_rules
from ours_emulator.debug.params import Account, Needs, Reader, complete_list, debug_router
from ours_emulator.records import Page, Rule, RuleCount

_TOO_LONG = "counting takes longer than 20 s; keep fewer events with --keep"
router = debug_router()


@router.get("/rules", response_model=Page[Rule])
async def rules(parts: Needs, account: Account) -> Response:
    """List every rule, its basis and the revisions it holds in; of an account, the rules of its revision."""
    return complete_list(rules_of(parts.accounts, account))


def rules_of(accounts: Accounts, account: str | None) -> tuple[Rule, ...]:
    """Return the rules of the revision that *account* has; those of all revisions if it is None."""
    return load_rules() if account is None else accounts.revision(account).rules


@router.get("/rules/counts", response_model=Page[RuleCount])
async def rule_counts(request: Request, parts: Needs, reader: Reader, account: Account) -> Response:
    """Count the events that each rule applied to, the rule with most of them first.

    `hinted` counts the events with a hint of the rule, whatever their outcome, and `refused` those that it refused.
    Rules without events are left out.
    """
    slices = parts.scans.slices(partial(reader.rule_counts, account), 0, request.is_disconnected, _TOO_LONG)
    return complete_list(_summed([count async for part in slices for count in part]))


def _summed(parts: Iterable[RuleCount]) -> tuple[RuleCount, ...]:
    """Return the sum of the counts of each rule, the largest first."""
    hinted, refused = Counter[str](), Counter[str]()
    for part in parts:
        hinted[part.rule] += part.hinted
        refused[part.rule] += part.refused
    counts = [RuleCount(rule=rule, hinted=hinted[rule], refused=refused[rule]) for rule in hinted]
    return tuple(sorted(counts, key=lambda count: (-count.hinted - count.refused, count.rule)))
