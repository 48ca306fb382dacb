"""Turns at searching with regular expressions: a call that asks for little never waits for those that ask for much."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import count
from queue import PriorityQueue
from typing import ParamSpec, TypeVar

from ours_emulator.patterns import Budget

QUICK_STEPS = 10_000_000
"""What a slice of a search may cost without waiting for costly ones: some 40 ms."""
_P = ParamSpec("_P")
_T = TypeVar("_T")


class Turns:
    """Two threads, one for quick slices and one for costly ones.

    Each runs the waiting slice of the call that has used the fewest steps, so a costly search never delays a quick one.
    """

    def __init__(self) -> None:
        self._quick, self._costly = _Lane("matching"), _Lane("matching-costly")

    async def take(
        self, budget: Budget, steps: int, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """Call *function*, a slice that costs that many *steps* of the *budget*, off the event loop in its turn."""
        budget.steps += steps
        lane = self._quick if steps <= QUICK_STEPS else self._costly
        return await asyncio.wrap_future(lane.submit(budget.steps, partial(function, *args, **kwargs)))


class _Lane:
    """One thread; the slice with the lowest rank is next, and of two with the same the one that came first."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting = PriorityQueue[tuple[int, int, Callable[[], None]]]()
        self._numbers = count()

    def submit(self, rank: int, function: Callable[[], _T]) -> Future[_T]:
        future = Future[_T]()
        self._waiting.put((rank, next(self._numbers), partial(_run, future, function)))
        self._thread.submit(self._run_next)
        return future

    def _run_next(self) -> None:
        *_, run = self._waiting.get()
        run()


def _run(future: Future[_T], function: Callable[[], _T]) -> None:
    """Settle *future* with the result of *function*, unless nobody waits for it any more."""
    if future.set_running_or_notify_cancel():
        try:
            future.set_result(function())
        except Exception as error:
            future.set_exception(error)
