"""Does all waiting jobs together (group commit), on a thread or, if they are few, on their event loop."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Generic, TypeAlias, TypeVar

_log = logging.getLogger(__name__)
Job = TypeVar("Job")
Result = TypeVar("Result")
_MOST_ON_LOOP = 64
"""Jobs. So many events take 5 to 20 ms, depending on the machine, and meanwhile the loop does nothing else."""
_GROUPS_BEFORE_TIDYING = 16
_SLOW_SECONDS = 0.04
_GROUPS_AFTER_SLOW = 64
_DELIVERY_SECONDS = 0.005
"""The longest that the thread waits until a loop has delivered results: a busy loop does not hold up the next group."""


@dataclass(slots=True)
class _Submitted(Generic[Job, Result]):
    """A job, and whom to tell of its result, on which loop."""

    job: Job
    loop: asyncio.AbstractEventLoop
    on_done: Callable[[Result | Exception], None]


_Results: TypeAlias = list[tuple[_Submitted[Job, Result], Result | Exception]]


class StoppedError(Exception):
    """The worker has been stopped and takes no more jobs."""


class GroupWorker(Generic[Job, Result]):
    """Takes jobs from any event loop and does all that wait in one call of *work*, one call at a time.

    *work* gets a group in order of arrival and returns one result, or one exception, for each job. A group is complete
    when the sum of the *weight* of its jobs reaches *max_weight*. It is done on a thread. But jobs that are *small* are
    gathered until the event loop that they came from has run all that was ready. If they are few, they are then done
    *on_loop*, which saves the way there and back. Otherwise they go to the thread together, which does not compete with
    the loop before. After a group of several jobs the thread waits briefly until their results are delivered, so that
    their senders can join the next group. Otherwise the senders would take turns by halves, in twice as many groups.
    *reserve* is called on the thread before a group is taken, and may wait for others: what comes meanwhile is in the
    group. *tidy* is called on the thread at its start, after each of its groups, when the results are delivered, and
    again while it returns that there is more to do and no job is waiting; an error in it is logged.
    """

    def __init__(
        self,
        work: Callable[[list[Job]], Sequence[Result | Exception]],
        weight: Callable[[Job], int],
        max_weight: int,
        tidy: Callable[[], bool] = lambda: False,
        small: Callable[[Job], bool] = lambda _: False,
        on_loop: bool = True,
        reserve: Callable[[], None] = lambda: None,
    ) -> None:
        self._work = work
        self._weight = weight
        self._max_weight = max_weight
        self._tidy = tidy
        self._small = small
        self._most_on_loop = _MOST_ON_LOOP if on_loop else 0
        self._reserve = reserve
        self._waiting: SimpleQueue[_Submitted[Job, Result] | None] = SimpleQueue()
        self._gathered: list[_Submitted[Job, Result]] = []
        self._left_to_thread = 0
        """Jobs that the thread has not done yet."""
        self._groups_on_loops = 0
        self._groups_for_thread = 0
        """How many of the next groups the thread gets, because one took long on a loop."""
        self._stopped = False
        self._changing = threading.Lock()
        self._working = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="ours-emulator-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> asyncio.Future[Result]:
        """Queue *job*; its future is done when the whole group is. Raises StoppedError after `stop`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self.enqueue(job, loop, partial(_settle, future))
        return future

    def enqueue(self, job: Job, loop: asyncio.AbstractEventLoop, on_done: Callable[[Result | Exception], None]) -> None:
        """Queue *job*; *on_done* is called on *loop*, the running one, with its result once its group is done.

        Cheaper than `submit`, which makes a future and looks the loop up: that is a system call. Raises as it does.
        """
        small = self._small(job)
        submitted: _Submitted[Job, Result] = _Submitted(job, loop, on_done)
        with self._changing:
            if self._stopped:
                raise StoppedError
            if not small or not self._has_gathered(loop):
                self._pass_on()
            if small:
                if not self._gathered:
                    loop.call_soon(self._do_gathered, loop)
                self._gathered.append(submitted)
            else:
                self._leave_to_thread(submitted)

    def stop(self) -> None:
        """Finish the submitted jobs, then end the thread. May be called several times."""
        with self._changing:
            if not self._stopped:
                self._stopped = True
                self._pass_on()
                self._waiting.put(None)
        self._thread.join()
        with self._working:
            pass  # A group may still be in progress on an event loop.

    def _has_gathered(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether there is something gathered, and *loop* has done so."""
        return bool(self._gathered) and self._gathered[0].loop is loop

    def _pass_on(self) -> None:
        """Leave to the thread what was gathered, if anything was."""
        for submitted in self._gathered:
            self._leave_to_thread(submitted)
        self._gathered = []

    def _leave_to_thread(self, submitted: _Submitted[Job, Result]) -> None:
        self._left_to_thread += 1
        self._waiting.put(submitted)

    def _do_gathered(self, loop: asyncio.AbstractEventLoop) -> None:
        """Do what *loop* gathered, unless that is too much, or the thread has something to do: then that does it."""
        with self._changing:
            if not self._has_gathered(loop):
                return  # Passed on meanwhile; what is gathered now has a callback of its own.
            if not (self._may_be_on_loop() and self._working.acquire(blocking=False)):
                self._pass_on()
                return
            group, self._gathered = self._gathered, []
        started = time.perf_counter()
        try:
            results = self._results([submitted.job for submitted in group])
        finally:
            self._working.release()
        if time.perf_counter() - started > _SLOW_SECONDS:
            self._groups_for_thread = _GROUPS_AFTER_SLOW
        _run_callbacks(list(zip(group, results, strict=True)))

    def _may_be_on_loop(self) -> bool:
        if len(self._gathered) > self._most_on_loop:
            return False
        if self._groups_for_thread:
            self._groups_for_thread -= 1
            return False
        # Now and then the thread gets a group even so, and tidies up.
        self._groups_on_loops = (self._groups_on_loops + 1) % _GROUPS_BEFORE_TIDYING
        return self._groups_on_loops != 0 and not self._left_to_thread

    def _run(self) -> None:
        more = True
        while (group := self._next_group(wait=not more)) is not None:
            with self._working:
                delivered = self._do_left(group) if group else None
                more = self._tidy_up()
            if delivered is not None and len(group) > 1:
                delivered.wait(_DELIVERY_SECONDS)

    def _do_left(self, group: list[_Submitted[Job, Result]]) -> threading.Event:
        results = self._results([submitted.job for submitted in group])
        with self._changing:
            self._left_to_thread -= len(group)
        return _deliver(list(zip(group, results, strict=True)))

    def _next_group(self, *, wait: bool) -> list[_Submitted[Job, Result]] | None:
        """Return the jobs of one group; none if there is none and nobody should *wait* for it, None once stopped."""
        group: list[_Submitted[Job, Result]] = []
        weight = 0
        try:
            submitted = self._waiting.get(block=wait)
            if submitted is not None:
                self._reserve()
            while submitted is not None:
                group.append(submitted)
                weight += self._weight(submitted.job)
                if weight >= self._max_weight:
                    return group
                submitted = self._waiting.get_nowait()
        except Empty:
            return group
        if not group:
            return None
        self._waiting.put(None)  # For the next call.
        return group

    def _tidy_up(self) -> bool:
        try:
            return self._tidy()
        except Exception:
            _log.exception("tidying up failed")
            return False

    def _results(self, jobs: list[Job]) -> Sequence[Result | Exception]:
        """Return a result for each of *jobs*. An error in *work* is the result of all; the thread goes on."""
        try:
            results = self._work(jobs)
        except Exception as error:
            return [error] * len(jobs)
        if len(results) != len(jobs):
            return [RuntimeError(f"{len(results)} results for {len(jobs)} jobs")] * len(jobs)
        return results


def _deliver(results: _Results[Job, Result]) -> threading.Event:
    """Hand *results* to the event loops that wait for them; each loop is woken once.

    Return an event that is set once the first of them has run the callbacks and read its sockets again.
    """
    delivered = threading.Event()
    by_loop: dict[asyncio.AbstractEventLoop, _Results[Job, Result]] = {}
    for result in results:
        by_loop.setdefault(result[0].loop, []).append(result)
    for loop, its_results in by_loop.items():
        # The loop may be closed by now; then nobody waits for the result.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_run_and_report, loop, its_results, delivered)
    return delivered


def _run_and_report(
    loop: asyncio.AbstractEventLoop, results: _Results[Job, Result], delivered: threading.Event
) -> None:
    _run_callbacks(results)
    # A loop calls the first one before the readers that its next poll wakes, and the second one after those.
    loop.call_soon(loop.call_soon, delivered.set)


def _run_callbacks(results: _Results[Job, Result]) -> None:
    for submitted, result in results:
        try:
            submitted.on_done(result)
        except Exception:
            _log.exception("a result callback failed")


def _settle(future: asyncio.Future[Result], result: Result | Exception) -> None:
    if future.cancelled():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
