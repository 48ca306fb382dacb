"""The file that a new store begins with."""

import logging
from collections.abc import Sequence
from pathlib import Path

from ours_emulator.accounts import Accounts
from ours_emulator.debug.account_settings import give_settings
from ours_emulator.debug.journal_format import Line, LineError, SettingsLine, read_all
from ours_emulator.errors import SettingsError, file_problem
from ours_emulator.model import Request
from ours_emulator.wording import settings_kept

_log = logging.getLogger(__name__)


def read_seed(file: Path, accounts: Accounts) -> Sequence[Request]:
    """Return the requests in *file*, after *accounts* got the settings in it. Raises SettingsError."""
    try:
        with file.open("rb") as opened:
            lines = [line for _, line in read_all(opened)]
    except OSError as error:
        # A relative path begins at the directory that the emulator was started in.
        raise SettingsError(f"seed {file_problem(Path.cwd() / file, 'read', error)}") from None
    except LineError as error:
        raise SettingsError(f"{file}, {error}") from None
    for line in lines:
        if isinstance(line, SettingsLine) and give_settings(accounts, line.account, line.settings):
            _log.warning("seed %s: %s", file, settings_kept(line.account))
    return [line.request(accounts.revision(line.account)) for line in lines if isinstance(line, Line)]
