"""Keeps what the emulator does inside a test run out of the log that the tests of others capture."""

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

SERVER_THREAD = "ours-emulator-server"
_OF_SERVER = ("uvicorn.error", "asyncio", "aiosqlite")


@contextmanager
def server_unheard() -> Generator[None]:
    """Drop what the server's thread logs below a warning."""

    def others(record: logging.LogRecord) -> bool:
        return record.threadName != SERVER_THREAD or record.levelno >= logging.WARNING

    with _filtered(_OF_SERVER, others):
        yield


@contextmanager
def debug_calls_unheard(server_url: str) -> Generator[None]:
    """Drop what httpx logs of calls of the debug API at *server_url*: they are the tests' and not the app's."""

    def others(record: logging.LogRecord) -> bool:
        said = record.args if isinstance(record.args, tuple) else ()
        return not any(str(part).startswith(server_url) and "/debug/" in str(part) for part in said)

    with _filtered(("httpx",), others):
        yield


@contextmanager
def _filtered(names: Sequence[str], heard: Callable[[logging.LogRecord], bool]) -> Generator[None]:
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addFilter(heard)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(heard)
