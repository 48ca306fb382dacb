"""The emulator as the child process of a test run, whose other end is `parent_process`; see `handshake`."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from ours_emulator import __version__
from ours_emulator.app import create_standalone
from ours_emulator.handshake import Failed, Order, ProtocolError, Ready, failure, read_order
from ours_emulator.http.log import WarningHandler
from ours_emulator.http.server import Server, prepare_process, standalone_server
from ours_emulator.http.sockets import listen
from ours_emulator.locator import url_of
from ours_emulator.settings import Loaded, Settings, load

if TYPE_CHECKING:
    from ours_emulator.arrivals import ArrivalCounts

_FAILED = 2
_PARENT_SECONDS = 1.0
_END_SECONDS = 8.0
"""Longer than the server takes to cut off what is stuck, shorter than the parent waits for the end."""


def main() -> None:
    """Serve as the parent orders on standard input, until it closes the pipe or ends."""
    with open(os.dup(1), "wb", buffering=0) as answers:
        # What anybody prints from now on goes to standard error, and is not read as an answer.
        with suppress(OSError):
            os.dup2(2, 1)
        warnings = prepare_process()
        line = sys.stdin.buffer.readline()
        # Without its end the order is not complete: the parent ended before it had written it.
        if line.endswith(b"\n"):
            _obey(line, answers, warnings)


def _obey(line: bytes, answers: BinaryIO, warnings: WarningHandler) -> None:
    """Serve as the order in *line* says. If the server cannot start, the error is the answer."""
    try:
        _serve(read_order(line), answers, warnings)
    except ProtocolError:
        _answer(answers, Failed(__version__, "ProtocolError", ()).line())
        sys.exit(_FAILED)
    except Exception as error:
        refusal = failure(__version__, error)
        _answer(answers, refusal.line())
        if refusal.error() is None:
            raise
        sys.exit(_FAILED)


def _serve(order: Order, answers: BinaryIO, warnings: WarningHandler) -> None:
    loaded = load(order.settings, environment=False, keywords=True)
    if order.origins is not None:
        loaded = Loaded(loaded.settings, order.origins)
    counts = _counts() if order.arrivals else None
    with listen(loaded.settings.host, loaded.settings.port) as listening:
        app = create_standalone(loaded, None if counts is None else counts.add)
        url = url_of(loaded.settings.host, listening.getsockname()[1])

        def started() -> None:
            _answer(answers, _ready(loaded.settings, url).line())

        server = standalone_server(app, warnings, started, app.stop)
        threading.Thread(target=_end_with_parent, args=(server,), daemon=True).start()
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listening])
    if counts is not None:
        _answer(answers, counts.arrivals().line())


def _answer(answers: BinaryIO, line: bytes) -> None:
    """Write *line*, unless the parent has ended: then nobody reads it, and this process ends too."""
    with suppress(BrokenPipeError):
        answers.write(line)


def _counts() -> ArrivalCounts:
    # Imported here because only `exec` wants them, and test runs start sooner without.
    from ours_emulator.arrivals import ArrivalCounts

    return ArrivalCounts()


def _ready(settings: Settings, url: str) -> Ready:
    token, key = next(iter(settings.tokens), None), next(iter(settings.public_keys), None)
    return Ready(__version__, url, token, key, settings.admin_token)


def _end_with_parent(server: Server) -> None:
    """End *server* when the parent has closed the pipe or ended. The pipe says both, unless a fork keeps it open."""
    parent = os.getppid()
    while os.getppid() == parent and not _is_pipe_closed():
        pass
    server.should_exit = True
    time.sleep(_END_SECONDS)
    os._exit(1)


def _is_pipe_closed() -> bool:
    """Wait for the end of standard input: a second, or on Windows, where no pipe is waited for, as long as needed."""
    if sys.platform != "win32" and not select.select([0], [], [], _PARENT_SECONDS)[0]:
        return False
    return not os.read(0, 4096)
