"""The experiments of an account: set, shown and removed under /debug/experiments."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, TypeAlias

from fastapi import Path
from starlette.responses import Response

from ours_emulator.contract.account import experiments_note
from ours_emulator.contract.experiments import Experiment, Experiments, Key
from ours_emulator.debug.names import ValidName
from ours_emulator.debug.params import NOT_FOUND, AsciiJSON, Needs, OneAccount, complete_list, debug_router, found
from ours_emulator.debug.parts import Parts
from ours_emulator.model import Properties
from ours_emulator.records import Page

ExperimentKey: TypeAlias = Annotated[ValidName, Path(description="The key of the experiment.")]
router = debug_router()


class ExperimentState(Experiment):
    """An experiment of an account, with its key. `note` says why it assigns nobody; null if it does."""

    key: str
    account: str
    note: str | None


@router.get("/experiments", response_model=Page[ExperimentState])
async def experiments(parts: Needs, account: OneAccount) -> Response:
    """List the account's experiments, in the order in which they were added."""
    configured = parts.shown(account).config.experiments
    return complete_list(_shown(parts, account, key, one) for key, one in configured.items())


@router.get("/experiments/{experiment_key}", response_model=ExperimentState, responses=NOT_FOUND)
async def experiment(parts: Needs, account: OneAccount, experiment_key: ExperimentKey) -> Response:
    """Show an experiment."""
    shown = _found(parts.shown(account).config.experiments, experiment_key)
    return AsciiJSON(_shown(parts, account, experiment_key, shown))


@router.put("/experiments/{experiment_key}", response_model=ExperimentState, responses=NOT_FOUND)
async def set_experiment(
    parts: Needs, account: OneAccount, experiment_key: ExperimentKey, body: Experiment
) -> Response:
    """Set an experiment, instead of the one with that key. Only revision 2026-10 assigns visitors to it."""

    def change() -> None:
        _configure(parts, account, {**parts.opened(account).config.experiments, experiment_key: body})

    await parts.pipeline.change(change)
    return AsciiJSON(_shown(parts, account, experiment_key, body))


@router.delete("/experiments/{experiment_key}", response_model=ExperimentState, responses=NOT_FOUND)
async def remove_experiment(parts: Needs, account: OneAccount, experiment_key: ExperimentKey) -> Response:
    """Remove an experiment and show it. Visitors keep what they were assigned to."""

    def change() -> Experiment:
        before = parts.shown(account).config.experiments
        removed = _found(before, experiment_key)
        _configure(parts, account, {name: one for name, one in before.items() if name != experiment_key})
        return removed

    return AsciiJSON(_shown(parts, account, experiment_key, await parts.pipeline.change(change)))


def _configure(parts: Parts, account: str, changed: Experiments) -> None:
    parts.accounts.configure(replace(parts.opened(account).config, experiments=changed))


def _found(known: Mapping[Key, Experiment], key: str) -> Experiment:
    return found(known.get(key), f"there is no experiment {key}")


def _shown(parts: Parts, account: str, key: str, experiment: Experiment) -> Properties:
    """Return *experiment* as JSON, with what it has by default."""
    note = experiments_note(parts.shown(account).config) or None
    return {"key": key, "account": account, "note": note, **experiment.model_dump(mode="json")}
