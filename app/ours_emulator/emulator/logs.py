"""Keeps the logs of an emulator that runs in a test's process out of what the test captures."""

import logging
from collections.abc import Generator
from contextlib import contextmanager

SERVER_THREAD = "ours-emulator-server"
_LOGGERS = ("uvicorn.error", "asyncio", "aiosqlite")


@contextmanager
def without_server_logs() -> Generator[None]:
    """Drop what the server's thread logs below a warning."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    for logger in loggers:
        logger.addFilter(_is_kept)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_is_kept)


def _is_kept(record: logging.LogRecord) -> bool:
    return record.threadName != SERVER_THREAD or record.levelno >= logging.WARNING
