"""Runs a command and passes on to it the signals that this process gets."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

_KILLED_BY_SIGNAL = 128
_SIGNAL_SECONDS = 0.2
_FORWARDED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
_FROM_TERMINAL = ("SIGINT", "SIGQUIT")


def exit_code(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run *command* and return its exit code; as with a shell, 128 and the number of the signal that killed it.

    Raises OSError if it cannot be run.
    """
    with _forwarding() as forwarding:
        process = subprocess.Popen(command, env=environment)
        forwarding.begin(process)
        # Waited for in a thread, and joined for a short time at once: a signal that arrives just before a blocking
        # wait would be handled only after it.
        waiting = threading.Thread(target=process.wait)
        waiting.start()
        while waiting.is_alive():
            waiting.join(_SIGNAL_SECONDS)
    code = process.returncode
    return code if code >= 0 else _KILLED_BY_SIGNAL - code


class _Forwarding:
    """Passes signals on to a command instead of ending because of them."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def begin(self, process: subprocess.Popen[bytes]) -> None:
        """Pass signals on to *process*, and those that came while it was started."""
        self._process = process
        for number in self._early:
            process.send_signal(number)

    def forward(self, number: int, _: FrameType | None) -> None:
        """Pass a signal on, unless the terminal has sent it to the command as well."""
        if self._process is None:
            self._early.append(number)
        elif signal.Signals(number).name not in _FROM_TERMINAL or not _in_foreground():
            self._process.send_signal(number)


@contextmanager
def _forwarding() -> Generator[_Forwarding]:
    forwarding = _Forwarding()
    numbers = [getattr(signal, name) for name in _FORWARDED if hasattr(signal, name)]
    before = [(number, signal.signal(number, forwarding.forward)) for number in numbers]
    try:
        yield forwarding
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _in_foreground() -> bool:
    """Whether a terminal sends its signals to this process, and so to the command as well."""
    try:
        return os.tcgetpgrp(sys.__stderr__.fileno()) == os.getpgrp() if sys.__stderr__ else False
    except (OSError, ValueError, AttributeError):
        return False
