"""`ours-emulator compare`: does another server answer as the emulator does?"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ours_emulator.cli.numbers import Number
from ours_emulator.cli.reports import format_option, revision_option
from ours_emulator.cli.target import NOT_MET
from ours_emulator.errors import SettingsError, StoreError, file_problem, why
from ours_emulator.wording import plural

if TYPE_CHECKING:
    from ours_emulator.fidelity.forms import Format
    from ours_emulator.fidelity.found import Found
    from ours_emulator.fidelity.plan import Plan
    from ours_emulator.fidelity.preparation import Credentials
    from ours_emulator.fidelity.report import Report

_TEST = "test_"
_KEYS = ("pk_", "sk_")
_MAX_TOKEN = 250
INTERRUPTED = 130
"""The exit code of a command that Ctrl-C ended."""


@dataclass(frozen=True)
class _Options:
    """What the user wants."""

    file: Path | None
    url: str
    base: str
    credentials: Credentials
    revision: str
    rate: float
    timeout: float


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--suite", is_flag=True, help="Send requests made for this instead of FILE.")
@click.option("--against", "url", required=True, metavar="URL", help="Base URL of the server, with or without /api/v1.")
@click.option("--token", required=True, help="Token to send: the Test Mode key of a source, which begins with test_.")
@click.option("--public-key", "key", help="Key of the Client API to send. [default: nothing is sent to that API]")
@click.option("--allow-live-data", is_flag=True, help="Allow a token without test_, or a key: they write live data.")
@revision_option("Of the emulator.")
@click.option("--rate", default=5.0, show_default=True, type=Number(0.01, 10_000), help="Most requests per second.")
@click.option("--timeout", default=10.0, show_default=True, type=Number(0.01, 600), help="Seconds for one answer.")
@format_option
@click.option("--yes", is_flag=True, help="Do not ask before sending.")
def compare(
    file: Path | None,
    suite: bool,
    url: str,
    token: str,
    key: str | None,
    allow_live_data: bool,
    revision: str,
    rate: float,
    timeout: float,
    form: Format,
    yes: bool,
) -> None:
    """Send the requests of FILE to another server and to an emulator, and report per rule what differs.

    FILE is what `export` writes. It is compared with a new emulator of --revision, not with the answers in FILE. Tokens
    and keys are replaced, times are moved to now, and distinctIds are made new. Exit code 1 if anything differs.
    """
    if (file is None) != suite:
        raise click.UsageError("use either FILE or --suite")
    options = _options(file, url, (token, key), allow_live_data, revision, (rate, timeout))
    _run(options, form, yes)


def _options(
    file: Path | None,
    url: str,
    secrets: tuple[str, str | None],
    allow_live_data: bool,
    revision: str,
    pace: tuple[float, float],
) -> _Options:
    from ours_emulator.fidelity.preparation import Credentials
    from ours_emulator.fidelity.server import AddressError, base_of

    token, key = secrets
    _check_token(token, allow_live_data)
    if key is not None:
        _check_key(key, allow_live_data)
    try:
        base = base_of(url)
    except AddressError as error:
        raise click.UsageError(f"--against: {error}") from None
    return _Options(file, url, base, Credentials(token, key), revision, *pace)


def _check_token(token: str, allow_live_data: bool) -> None:
    """Raise UsageError for a token that no source has, or one of live data. The message never contains it."""
    if not token.removeprefix(_TEST).strip() or len(token) > _MAX_TOKEN or token != token.strip():
        raise click.UsageError(f"--token must have 1 to {_MAX_TOKEN} characters, without space around it")
    if not token.startswith(_TEST) and not allow_live_data:
        raise click.UsageError(
            "--token does not begin with test_, so it may write live data; use the Test Mode key of the source, or add "
            "--allow-live-data"
        )


def _check_key(key: str, allow_live_data: bool) -> None:
    if not key.startswith(_KEYS) or not key[3:] or not all("!" <= char <= "~" for char in key):
        raise click.UsageError("--public-key must begin with pk_ or sk_ and have only visible ASCII characters")
    if not allow_live_data:
        raise click.UsageError(
            "--public-key writes live data, as the Client API has no Test Mode; leave it out, or add --allow-live-data"
        )


def _run(options: _Options, form: Format, yes: bool) -> None:
    """Send everything, print the report, and exit with its code."""
    from ours_emulator.debug.journal_format import LineError
    from ours_emulator.emulator import EmulatorError
    from ours_emulator.emulator.transport import TransportError
    from ours_emulator.fidelity.found import Found
    from ours_emulator.fidelity.server import AddressError

    found = Found()
    try:
        with _plan(options) as plan:
            _confirm(options, plan, yes)
            interrupted = _is_interrupted(partial(_send, options, plan, found), found)
    except LineError as error:
        raise click.ClickException(f"{options.file}: {error}") from None
    except (AddressError, EmulatorError, TransportError, SettingsError, StoreError, OSError) as error:
        raise click.ClickException(why(error)) from None
    click.echo(_report(options, plan, found).text(form), nl=False)
    sys.exit(INTERRUPTED if interrupted else 0 if found.is_same else NOT_MET)


@contextmanager
def _plan(options: _Options) -> Generator[Plan]:
    """Give the plan to send what the user wants; the file is open until the block ends."""
    from ours_emulator.fidelity.plan import plan_of_export, plan_of_suite

    if options.file is None:
        yield plan_of_suite(options.credentials, _now)
        return
    try:
        file = options.file.open("rb")
    except OSError as error:
        raise click.ClickException(file_problem(options.file, "read", error)) from None
    with file:
        yield plan_of_export(file, options.credentials, options.revision, _now)


def _confirm(options: _Options, plan: Plan, yes: bool) -> None:
    """Say what will be sent where, and ask. Raises UsageError if nobody can be asked."""
    from ours_emulator.fidelity.server import host_of
    from ours_emulator.http.redaction import masked

    key = options.credentials.key
    keys = f" and key {masked(key)}" if key else ""
    client = f", {plan.client} of them to the Client API," if plan.client else ""
    left_out = f"; {plural(plan.left_out, 'request')} cannot be sent" if plan.left_out else ""
    click.echo(
        f"ours-emulator: sends {plural(plan.count, 'request')}{client} to {host_of(options.base)} with token "
        f"{masked(options.credentials.token)}{keys}, at most {options.rate:g} per second (about "
        f"{plan.count / options.rate:.0f} s){left_out}",
        err=True,
    )
    if plan.count == 0:
        raise click.UsageError("there is nothing to send")
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked whether to send this; add --yes")
    if not click.confirm("Send them?", err=True):
        raise click.UsageError("nothing was sent")


def _is_interrupted(send: Callable[[], None], found: Found) -> bool:
    """Send, and tell whether Ctrl-C ended that; what was found by then is reported all the same."""
    try:
        send()
    except KeyboardInterrupt:
        found.stopped = "interrupted"
        return True
    return False


def _send(options: _Options, plan: Plan, found: Found) -> None:
    from ours_emulator.emulator import run_emulator

    credentials = options.credentials
    keys = [credentials.key] if credentials.key else []
    accepted = {"tokens": [credentials.live_token], "public_keys": keys}
    with run_emulator(revision=options.revision, **accepted) as emulator:
        asyncio.run(_compare(options, plan, found, emulator.url))


async def _compare(options: _Options, plan: Plan, found: Found, emulator_url: str) -> None:
    from ours_emulator.fidelity.comparison import Comparison
    from ours_emulator.fidelity.server import connected

    async with connected(options.base, options.timeout) as server:
        await Comparison(server, emulator_url, options.rate, found).run(plan.made())


def _report(options: _Options, plan: Plan, found: Found) -> Report:
    from ours_emulator.fidelity.report import Report
    from ours_emulator.fidelity.server import host_of
    from ours_emulator.http.redaction import Redactor

    redactor = Redactor(plan.secrets)
    return Report(found, host_of(options.base), options.revision, options.file is None, plan.count, redactor)


def _now() -> int:
    return int(time.time() * 1000)
