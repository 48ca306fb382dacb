"""`ours-emulator doctor`: what runs, whether the variables lead to it, what arrived last, and what is wrong."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ours_emulator.cli.target import NOT_MET, debug_command, json_option, url_option
from ours_emulator.terminal import columns
from ours_emulator.wording import plural

if TYPE_CHECKING:
    from ours_emulator.cli.findings import Finding


@debug_command()
@url_option
@json_option
def doctor(url: str | None, as_json: bool) -> None:
    """Check why nothing might arrive: which emulators run, where the variables of this shell lead, what arrived last.

    Exit code 1 if something is wrong.
    """
    # Imported here because the other commands, and --help, need none of it.
    from ours_emulator.cli.findings import findings_of

    findings = list(findings_of(url, os.environ))
    if as_json:
        for finding in findings:
            click.echo(json.dumps(asdict(finding)))
    else:
        _show(findings)
    if any(finding.advice for finding in findings):
        sys.exit(NOT_MET)


def _show(findings: Sequence["Finding"]) -> None:
    for line in columns([(finding.subject, finding.text) for finding in findings]):
        click.echo(line)
    problems = [finding for finding in findings if finding.advice]
    click.echo(f"\n{plural(len(problems), 'problem')}" + (":" if problems else ""))
    for number, problem in enumerate(problems, 1):
        click.echo(f"{number}. {problem.subject}: {problem.text}")
        for line in problem.advice:
            click.echo(f"   - {line}")
