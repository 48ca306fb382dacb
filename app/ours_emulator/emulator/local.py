"""Runs an emulator for the length of a block: in a child process, on a free port."""

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from ours_emulator.emulator._async import AsyncEmulator
from ours_emulator.emulator._sync import Emulator
from ours_emulator.emulator.transport import in_thread
from ours_emulator.handshake import Order
from ours_emulator.parent_process import Child


@contextmanager
def run_emulator(*, command: Sequence[str] | None = None, **settings: Any) -> Generator[Emulator]:
    """Run an emulator until the block ends, and give its handle. It listens already, on a port of its own.

    *settings* are those of `ours-emulator serve` (`allowed_events=["Purchase"]`); those of the environment are ignored.
    *command* starts `ours-emulator`, by default the one of this environment (`["uvx", "ours-emulator"]`).
    Raises SettingsError, StoreError or OSError if it cannot run with them, and EmulatorError if it does not start.
    """
    __tracebackhide__ = True
    with running_in(Child(command or ()), settings) as emulator:
        yield emulator


@asynccontextmanager
async def run_emulator_async(*, command: Sequence[str] | None = None, **settings: Any) -> AsyncGenerator[AsyncEmulator]:
    """Do what `run_emulator` does, for coroutines."""
    __tracebackhide__ = True
    block = run_emulator(command=command, **settings)
    emulator = await in_thread(block.__enter__)
    try:
        yield AsyncEmulator.beside(emulator)
    finally:
        await in_thread(lambda: block.__exit__(None, None, None))


@contextmanager
def running_in(child: Child, settings: Mapping[str, Any]) -> Generator[Emulator]:
    """Do what `run_emulator` does, in *child*."""
    __tracebackhide__ = True
    with child.running(Order({"port": 0, "log_format": "none", **settings})):
        yield handle_of(child)


def handle_of(child: Child) -> Emulator:
    """Return the handle of the emulator in *child*. Raises EmulatorError if it was not started."""
    ready = child.ready
    return Emulator(ready.url, token=ready.token, public_key=ready.public_key, admin_token=ready.admin_token)
