"""Connections that a server which no longer answers does not hold up.

A paused server still confirms what TCP sends it, so neither TCP nor a timeout of the server ends the wait. The driver
does not call back while nothing comes before its version 3.2.13: up to 3.2.10, this waited for ever.
"""

import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq.abc import PGconn

T = TypeVar("T")


class WritingSession(psycopg.Connection[tuple[Any, ...]]):
    """A connection that is closed, with an OperationalError, after *patience* seconds without an answer."""

    patience: float

    def wait(self, gen: PQGen[T], *args: Any, **kwargs: Any) -> T:
        """Return what *gen* does, which the connection runs."""
        return super().wait(_limited(gen, self.pgconn, self.patience), *args, **kwargs)


class ReadingSession(psycopg.AsyncConnection[tuple[Any, ...]]):
    """The same for an event loop."""

    patience: float

    async def wait(self, gen: PQGen[T], *args: Any, **kwargs: Any) -> T:
        """Return what *gen* does, which the connection runs."""
        return await super().wait(_limited(gen, self.pgconn, self.patience), *args, **kwargs)


def _limited(gen: PQGen[T], connection: PGconn, patience: float) -> PQGen[T]:
    """Run *gen*, which asks for the readiness of the *connection*; the driver sends 0 each 0.1 s that it is not."""
    silent_since: float | None = None
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if ready:
                silent_since = None
            elif silent_since is None:
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since > patience:
                connection.finish()
                raise psycopg.OperationalError(f"the server has not answered for {patience:g} s")
            wanted = gen.send(ready)
    except StopIteration as done:
        result: T = done.value
        return result
