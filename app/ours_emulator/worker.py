"""One thread that works for everybody: what waits at the same moment is done together (group commit)."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Job = TypeVar("Job")
Done = TypeVar("Done")


class StoppedError(Exception):
    """The worker has been stopped and takes no more jobs."""


class GroupWorker(Generic[Job, Done]):
    """Hand jobs from any event loop to one thread, which does what waits in one call of *work*.

    *work* gets a group in order of arrival and returns one result, or one exception, for each job. A group ends when
    the *weight* of its jobs reaches *most*.
    """

    def __init__(
        self, work: Callable[[list[Job]], Sequence[Done | Exception]], weight: Callable[[Job], int], most: int
    ) -> None:
        self._work = work
        self._weight = weight
        self._most = most
        self._waiting: SimpleQueue[tuple[Job, asyncio.Future[Done]] | None] = SimpleQueue()
        self._stopped = False
        self._stopping = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="ours-emulator-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> asyncio.Future[Done]:
        """Queue *job*; the future has its result when the whole group is done. Raises StoppedError after `stop`."""
        future: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        with self._stopping:
            if self._stopped:
                raise StoppedError
            self._waiting.put((job, future))
        return future

    def stop(self) -> None:
        """Finish what was submitted, then end the thread. Doing it twice is doing it once."""
        with self._stopping:
            if not self._stopped:
                self._stopped = True
                self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            group = [first]
            weight = self._weight(first[0])
            ended = False
            while weight < self._most and not ended:
                try:
                    item = self._waiting.get_nowait()
                except Empty:
                    break
                if item is None:
                    ended = True
                else:
                    group.append(item)
                    weight += self._weight(item[0])
            results = self._results([job for job, _ in group])
            _deliver([(future, result) for (_, future), result in zip(group, results, strict=True)])
            if ended:
                return

    def _results(self, jobs: list[Job]) -> Sequence[Done | Exception]:
        """Do *jobs*; whatever happens, this thread lives on and everybody is answered."""
        try:
            results = self._work(jobs)
        except Exception as error:
            return [error] * len(jobs)
        if len(results) != len(jobs):
            return [RuntimeError(f"{len(results)} results for {len(jobs)} jobs")] * len(jobs)
        return results


def _deliver(results: list[tuple[asyncio.Future[Done], Done | Exception]]) -> None:
    """Wake every event loop that waits for one of *results*, each once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Done], Done | Exception]]] = {}
    for result in results:
        by_loop.setdefault(result[0].get_loop(), []).append(result)
    for loop, mine in by_loop.items():
        # A loop that was closed meanwhile has nobody waiting.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve, mine)


def _resolve(results: list[tuple[asyncio.Future[Done], Done | Exception]]) -> None:
    for future, result in results:
        if future.cancelled():
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
