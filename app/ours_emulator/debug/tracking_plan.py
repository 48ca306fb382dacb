"""The tracking plan of an account: set, shown and removed under /debug/tracking-plan."""

from dataclasses import replace
from functools import partial

from starlette.responses import Response

from ours_emulator.contract.tracking_plan import GivenPlan, TrackingPlan
from ours_emulator.debug.params import NOT_FOUND, AsciiJSON, Needs, OneAccount, debug_router, found
from ours_emulator.debug.parts import Parts

router = debug_router()


@router.get("/tracking-plan", response_model=TrackingPlan, responses=NOT_FOUND)
async def tracking_plan(parts: Needs, account: OneAccount) -> Response:
    """Show the account's tracking plan."""
    return AsciiJSON(_planned(parts, account).document)


@router.put("/tracking-plan", response_model=TrackingPlan)
async def set_tracking_plan(parts: Needs, account: OneAccount, body: GivenPlan) -> Response:
    """Set the account's tracking plan. Each difference of a message gets a hint; answers stay the same."""
    await parts.pipeline.change(partial(_configure, parts, account, body))
    return AsciiJSON(body.document)


@router.delete("/tracking-plan", response_model=TrackingPlan, responses=NOT_FOUND)
async def remove_tracking_plan(parts: Needs, account: OneAccount) -> Response:
    """Remove the account's tracking plan and show it."""

    def change() -> TrackingPlan:
        removed = _planned(parts, account)
        _configure(parts, account, None)
        return removed

    return AsciiJSON((await parts.pipeline.change(change)).document)


def _planned(parts: Parts, account: str) -> TrackingPlan:
    return found(parts.shown(account).config.tracking_plan, f"account {account} has no tracking plan")


def _configure(parts: Parts, account: str, plan: TrackingPlan | None) -> None:
    parts.accounts.configure(replace(parts.opened(account).config, tracking_plan=plan))
