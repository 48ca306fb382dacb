"""Rules: GET /debug/rules, and how often each of them was met."""

import asyncio
from collections import Counter

from fastapi import HTTPException, Request
from starlette.responses import Response

from ours_emulator.contract.rules import Rule, load_rules
from ours_emulator.debug.params import Account, Needs, Reader, account_of, answer, debug_router
from ours_emulator.records import Page, RuleCount
from ours_emulator.store import StoreReader

_SECONDS = 20.0
"""How long one count may take. The command line and the handle wait for 30 seconds."""
router = debug_router()


@router.get("/rules", response_model=Page[Rule])
async def rules(request: Request, parts: Needs) -> Response:
    """List every rule, its basis and the revisions it holds in; of an account, the rules of its revision."""
    account = account_of(request, None)
    items = load_rules() if account is None else parts.accounts.revision(account).rules
    return answer(Page(items, len(items)))


@router.get("/rules/counts", response_model=Page[RuleCount])
async def rule_counts(reader: Reader, account: Account) -> Response:
    """Count the events that met each rule, the rule that most met first.

    `hinted` counts the events with a hint of the rule, whatever their outcome, and `refused` those that it refused.
    Rules that none met are left out.
    """
    counts = await counted_rules(reader, account)
    return answer(Page(tuple(counts), len(counts)))


async def counted_rules(reader: StoreReader, account: str | None, seconds: float = _SECONDS) -> list[RuleCount]:
    """Return how often each rule was met, counted in slices. What takes longer than *seconds* is refused."""
    hinted, refused = Counter[str](), Counter[str]()
    deadline = asyncio.get_running_loop().time() + seconds
    last: int | None = 0
    while last is not None:
        some, last = await reader.rule_counts(account, last)
        hinted.update({count.rule: count.hinted for count in some})
        refused.update({count.rule: count.refused for count in some})
        if last is not None and asyncio.get_running_loop().time() > deadline:
            raise HTTPException(400, f"counting takes longer than {seconds:g} s; keep fewer events with --keep")
    counts = [RuleCount(rule=rule, hinted=hinted[rule], refused=refused[rule]) for rule in hinted | refused]
    return sorted(counts, key=lambda count: (-count.hinted - count.refused, count.rule))
