"""What `compare` does with its options: count what will be sent, ask, send it, and report."""

import asyncio
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import click

from ours_emulator.cli.target import INTERRUPTED, NOT_MET, NotMetError
from ours_emulator.debug.journal_format import LineError
from ours_emulator.emulator import Emulator, EmulatorError, run_emulator
from ours_emulator.emulator.operations import ExperimentPlan, set_experiment
from ours_emulator.errors import SettingsError, StoreError, file_problem, why
from ours_emulator.fidelity.comparison import Comparison
from ours_emulator.fidelity.comparison_report import ComparisonReport
from ours_emulator.fidelity.formats import Format, text_of
from ours_emulator.fidelity.plan import Plan, plan_of_export, plan_of_suite
from ours_emulator.fidelity.preparation import Credentials as Credentials
from ours_emulator.fidelity.results import Results, reasons
from ours_emulator.fidelity.server import AddressError, base_of, connected, host_of
from ours_emulator.http.redaction import Redactor, masked
from ours_emulator.wording import plural


@dataclass(frozen=True)
class Options:
    """What the user wants. Without a `file` it is the suite; `timeout` is in seconds."""

    file: Path | None
    base: str
    credentials: Credentials
    revision: str
    rate: float
    timeout: float
    asks: bool
    """Whether to ask before anything is sent."""


def base_url(url: str) -> str:
    """Return the URL that both APIs are below, of the URL that --against has. Raises UsageError."""
    try:
        return base_of(url)
    except AddressError as error:
        raise click.UsageError(f"--against: {error}") from None


def run(options: Options, format_: Format) -> int:
    """Send everything, print the report, and return the exit code."""
    try:
        with _plan(options) as plan:
            _confirm(options, plan)
            results = Results(plan.count)
            interrupted = _send_until_interrupted(options, plan, results)
    except LineError as error:
        raise click.ClickException(f"{options.file}: {error}") from None
    except (AddressError, EmulatorError, SettingsError, StoreError, OSError) as error:
        raise click.ClickException(why(error)) from None
    host, redactor = host_of(options.base), Redactor(plan.secrets)
    report = ComparisonReport(results, host, options.revision, options.file is None, redactor)
    click.echo(text_of(report, format_), nl=False)
    return INTERRUPTED if interrupted else 0 if results.is_same else NOT_MET


@contextmanager
def _plan(options: Options) -> Generator[Plan]:
    """Give the plan to send what the user wants; the file is open until the block ends."""
    if options.file is None:
        yield plan_of_suite(options.credentials, _now)
        return
    try:
        file = options.file.open("rb")
    except OSError as error:
        raise click.ClickException(file_problem(options.file, "read", error)) from None
    with file:
        yield plan_of_export(file, options.credentials, options.revision, _now)


def _confirm(options: Options, plan: Plan) -> None:
    """Say what will be sent where, and ask. Raises ClickException if nothing can be sent, or the answer is no."""
    if plan.count == 0:
        why_not = "; ".join(reasons(plan.not_sent, Redactor(plan.secrets))) or "the file has no requests"
        raise click.UsageError(f"there is nothing to send: {why_not}")
    click.echo(f"ours-emulator: {_announcement(options, plan)}", err=True)
    if not options.asks:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("confirmation needs a terminal; add --yes to send without asking")
    if not click.confirm("Send them?", err=True):
        raise NotMetError("nothing was sent")


def _announcement(options: Options, plan: Plan) -> str:
    key = options.credentials.key
    keys = f" and key {masked(key)}" if key else ""
    client = f", {plan.client} of them to the Client API," if plan.client else ""
    not_sent = f"; {plural(len(plan.not_sent), 'request')} cannot be sent" if plan.not_sent else ""
    return (
        f"about to send {plural(plan.count, 'request')}{client} to {host_of(options.base)} with token "
        f"{masked(options.credentials.token)}{keys}, at most {options.rate:g} per second (about "
        f"{plan.count / options.rate:.0f} s){not_sent}"
    )


def _send_until_interrupted(options: Options, plan: Plan, results: Results) -> bool:
    """Send, and return whether Ctrl-C ended that; the results so far are reported all the same."""
    try:
        _send(options, plan, results)
    except KeyboardInterrupt:
        results.stopped = "interrupted"
        return True
    return False


def _send(options: Options, plan: Plan, results: Results) -> None:
    credentials = options.credentials
    keys = [credentials.key] if credentials.key else []
    accepted = {"tokens": [credentials.live_token], "public_keys": keys}
    with run_emulator(revision=options.revision, **accepted) as emulator:
        for key, experiment in plan.experiments.items():
            emulator.perform(set_experiment(key, cast(ExperimentPlan, experiment)))
        asyncio.run(_compare(options, plan, results, emulator))


async def _compare(options: Options, plan: Plan, results: Results, emulator: Emulator) -> None:
    async with connected(options.base, options.timeout) as server:
        await Comparison(server, emulator.url, options.rate, results).run(plan.requests())


def _now() -> int:
    return int(time.time() * 1000)
