"""Group commit: what waits at the same moment is done together, in order, and nobody waits for ever."""

import asyncio
import threading

import pytest

from ours_emulator.worker import GroupWorker, StoppedError


def test_what_waits_while_a_group_is_done_is_done_together_and_in_order() -> None:
    groups: list[list[int]] = []
    first_begun, may_go_on = threading.Event(), threading.Event()

    def work(jobs: list[int]) -> list[int]:
        groups.append(jobs)
        first_begun.set()
        may_go_on.wait(5)
        return [job * 10 for job in jobs]

    async def use() -> list[int]:
        worker = GroupWorker(work, lambda _: 1, most=64)
        first = worker.submit(0)
        await asyncio.to_thread(first_begun.wait, 5)
        rest = [worker.submit(number) for number in range(1, 100)]
        may_go_on.set()
        results = list(await asyncio.gather(first, *rest))
        worker.stop()
        return results

    assert asyncio.run(use()) == [number * 10 for number in range(100)]
    assert groups == [[0], list(range(1, 65)), list(range(65, 100))]


def test_one_job_may_fail_beside_another() -> None:
    def work(jobs: list[int]) -> list[int | Exception]:
        return [ValueError(str(job)) if job % 2 else job for job in jobs]

    async def use() -> None:
        worker = GroupWorker(work, lambda _: 1, most=8)
        even, odd = worker.submit(2), worker.submit(3)
        assert await even == 2
        with pytest.raises(ValueError, match="3"):
            await odd
        worker.stop()

    asyncio.run(use())


def test_an_error_in_tidying_up_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def tidy() -> None:
        raise OSError("no such device")

    async def use() -> None:
        worker: GroupWorker[int, int] = GroupWorker(lambda jobs: jobs, lambda _: 1, most=8, tidy=tidy)
        assert await worker.submit(1) == 1
        assert await worker.submit(2) == 2
        worker.stop()

    asyncio.run(use())
    assert [record.getMessage() for record in caplog.records] == ["tidying up failed"] * 2


def test_stopping_finishes_what_was_submitted() -> None:
    async def use() -> list[int]:
        worker: GroupWorker[int, int] = GroupWorker(lambda jobs: jobs, lambda _: 1, most=3)
        waiting = [worker.submit(number) for number in range(20)]
        await asyncio.to_thread(worker.stop)
        return list(await asyncio.gather(*waiting))

    assert asyncio.run(use()) == list(range(20))


def test_loops_that_went_away_and_jobs_nobody_waits_for_harm_nobody() -> None:
    worker: GroupWorker[int, int] = GroupWorker(lambda jobs: jobs, lambda _: 1, most=8)

    async def leave() -> None:
        worker.submit(1).cancel()
        worker.submit(2)

    async def stay() -> int:
        return await worker.submit(3)

    asyncio.run(leave())
    assert asyncio.run(stay()) == 3
    worker.stop()


def test_a_heavy_job_ends_its_group() -> None:
    groups: list[list[int]] = []
    begun, may_go_on = threading.Event(), threading.Event()

    def work(jobs: list[int]) -> list[int]:
        groups.append(jobs)
        begun.set()
        may_go_on.wait(5)
        return jobs

    async def use() -> None:
        worker = GroupWorker(work, lambda job: job, most=10)
        first = worker.submit(1)
        await asyncio.to_thread(begun.wait, 5)
        rest = [worker.submit(number) for number in (3, 4, 5, 100, 1)]
        may_go_on.set()
        await asyncio.gather(first, *rest)
        worker.stop()

    asyncio.run(use())
    assert groups == [[1], [3, 4, 5], [100], [1]]


def test_after_the_end_a_job_is_refused_at_once() -> None:
    worker: GroupWorker[int, int] = GroupWorker(lambda jobs: jobs, lambda _: 1, most=8)
    worker.stop()
    worker.stop()

    async def use() -> None:
        with pytest.raises(StoppedError):
            worker.submit(1)

    asyncio.run(use())


@pytest.mark.parametrize("wrong", [[], [1, 2]])
def test_work_that_breaks_its_word_answers_everybody_and_the_thread_lives_on(wrong: list[int]) -> None:
    results = iter([wrong, [7]])
    worker: GroupWorker[int, int] = GroupWorker(lambda _: next(results), lambda _: 1, most=8)

    async def use() -> None:
        with pytest.raises(RuntimeError):
            await worker.submit(1)
        assert await worker.submit(1) == 7

    asyncio.run(use())
    worker.stop()
