"""The emulator's process in a run of pytest. It can begin before its settings are known.

This module imports little: while the process imports what it needs, the run imports the rest of the plugin.
"""

import os
import shlex
from collections.abc import Generator, Sequence
from contextlib import contextmanager

import pytest

from ours_emulator.parent_process import Child
from ours_emulator.variables import COMMAND_VARIABLE, URL_VARIABLE

_PREPARED = pytest.StashKey[Child]()


@contextmanager
def prepared_child(config: pytest.Config) -> Generator[None]:
    """Begin the process, unless the emulator of the run is at a URL. It ends after the block if nobody has taken it."""
    if configured_url(config)[0]:
        yield
        return
    child = Child(configured_command(config)[0])
    child.prepare()
    config.stash[_PREPARED] = child
    try:
        yield
    finally:
        if config.stash.get(_PREPARED, None) is not None:
            del config.stash[_PREPARED]
            child.stop()


def child_of_run(config: pytest.Config, command: Sequence[str]) -> Child:
    """Take the process that was prepared, if it is of that *command*; otherwise return a new one."""
    child = config.stash.get(_PREPARED, None)
    if child is None or child.command != command:
        return Child(command)
    del config.stash[_PREPARED]
    return child


def configured_url(config: pytest.Config) -> tuple[str, str]:
    """Return the URL that the emulator has, and the words that say where that is configured; or two empty strings."""
    places = {
        "--ours-emulator-url": config.getoption("--ours-emulator-url"),
        URL_VARIABLE: os.environ.get(URL_VARIABLE),
        "ours_emulator_url in the ini file": config.getini("ours_emulator_url"),
    }
    return next(((url, f" (the URL is that of {place})") for place, url in places.items() if url), ("", ""))


def configured_command(config: pytest.Config) -> tuple[Sequence[str], str]:
    """Return the command that starts the emulator, and where that is configured; by default an empty one."""
    places = {
        "--ours-emulator-command": shlex.split(config.getoption("--ours-emulator-command") or ""),
        COMMAND_VARIABLE: shlex.split(os.environ.get(COMMAND_VARIABLE, "")),
        "ours_emulator_command in the ini file": config.getini("ours_emulator_command"),
    }
    given = ((command, f" (the command is that of {place})") for place, command in places.items() if command)
    return next(given, ((), ""))
