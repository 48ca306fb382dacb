"""`ours-emulator compare`: does another server answer as the emulator does?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ours_emulator.cli.numbers import Number
from ours_emulator.cli.options import format_option, revision_option
from ours_emulator.model import MAX_TOKEN_LENGTH, TEST_PREFIX

if TYPE_CHECKING:
    from ours_emulator.fidelity.formats import Format

_KEYS = ("pk_", "sk_")


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
    format_: Format,
    yes: bool,
) -> None:
    """Send the requests of FILE to another server and to an emulator, and report per rule what differs.

    FILE is what `export` writes. It is compared with a new emulator of --revision, not with the answers in FILE. Tokens
    and keys are replaced, times are moved to now, and distinctIds are made new. Exit code 1 if anything differs.
    """
    from ours_emulator.cli import comparison

    if (file is None) != suite:
        raise click.UsageError("use either FILE or --suite")
    _check_token(token, allow_live_data)
    _check_key(key, allow_live_data)
    base = comparison.base_url(url)
    credentials = comparison.Credentials(token, key)
    options = comparison.Options(file, base, credentials, revision, rate, timeout, asks=not yes)
    sys.exit(comparison.run(options, format_))


def _check_token(token: str, allow_live_data: bool) -> None:
    """Raise UsageError for a token that no source has, or one of live data. The message never contains it."""
    if not token.removeprefix(TEST_PREFIX).strip() or len(token) > MAX_TOKEN_LENGTH or token != token.strip():
        raise click.UsageError(f"--token must have 1 to {MAX_TOKEN_LENGTH} characters, without space around it")
    if not token.startswith(TEST_PREFIX) and not allow_live_data:
        raise click.UsageError(
            f"--token does not begin with {TEST_PREFIX}, so it may write live data; use the Test Mode key of the "
            "source, or add --allow-live-data"
        )


def _check_key(key: str | None, allow_live_data: bool) -> None:
    """Raise UsageError for a key that is not valid, or not allowed. The message never contains it."""
    if key is None:
        return
    if not key.startswith(_KEYS) or not key[3:] or not all("!" <= char <= "~" for char in key):
        raise click.UsageError("--public-key must begin with pk_ or sk_ and have only visible ASCII characters")
    if not allow_live_data:
        raise click.UsageError(
            "--public-key writes live data, as the Client API has no Test Mode; omit it, or add --allow-live-data"
        )
