"""Group commit: what waits at the same moment is done together, in order, and nobody waits for ever."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from ours_emulator.worker import GroupWorker, StoppedError
from waiting import PATIENCE, until


def test_what_waits_while_a_group_is_done_is_done_together_and_in_order() -> None:
    groups: list[list[int]] = []
    first_begun, may_go_on = threading.Event(), threading.Event()

    def work(jobs: list[int]) -> list[int]:
        groups.append(jobs)
        first_begun.set()
        may_go_on.wait(5)
        return [job * 10 for job in jobs]

    async def use() -> list[int]:
        worker = GroupWorker(work, lambda _: 1, max_weight=64)
        first = worker.submit(0)
        await asyncio.to_thread(first_begun.wait, 5)
        rest = [worker.submit(number) for number in range(1, 100)]
        may_go_on.set()
        results = list(await asyncio.gather(first, *rest))
        worker.stop()
        return results

    assert asyncio.run(use()) == [number * 10 for number in range(100)]
    assert groups == [[0], list(range(1, 65)), list(range(65, 100))]


def test_what_comes_while_the_thread_waits_for_others_is_in_the_group() -> None:
    groups: list[list[int]] = []
    waits, may_go_on = threading.Event(), threading.Event()

    def work(jobs: list[int]) -> list[int]:
        groups.append(jobs)
        return jobs

    def reserve() -> None:
        waits.set()
        may_go_on.wait(5)

    async def use() -> None:
        worker = GroupWorker(work, lambda _: 1, max_weight=64, reserve=reserve)
        first = worker.submit(0)
        await asyncio.to_thread(waits.wait, 5)
        rest = [worker.submit(number) for number in range(1, 10)]
        may_go_on.set()
        await asyncio.gather(first, *rest)
        worker.stop()

    asyncio.run(use())
    assert groups == [list(range(10))]


def test_clients_that_began_at_different_times_come_to_share_groups() -> None:
    sizes: list[int] = []
    begun, may_go_on = threading.Event(), threading.Event()

    def work(jobs: list[int]) -> list[int]:
        sizes.append(len(jobs))
        begun.set()
        may_go_on.wait(5)
        time.sleep(0.001)  # The disk.
        return jobs

    async def use() -> None:
        worker = GroupWorker(work, lambda _: 1, max_weight=64)

        async def client() -> None:
            for job in range(50):
                await worker.submit(job)

        first = [asyncio.create_task(client()) for _ in range(8)]
        await asyncio.to_thread(begun.wait, 5)
        second = [asyncio.create_task(client()) for _ in range(8)]
        await asyncio.sleep(0)
        may_go_on.set()
        await asyncio.gather(*first, *second)
        worker.stop()

    asyncio.run(use())
    assert sum(sizes) == 16 * 50
    # If the two halves took turns, there would be a hundred groups.
    assert len(sizes) < 75


def test_one_job_may_fail_beside_another() -> None:
    def work(jobs: list[int]) -> list[int | Exception]:
        return [ValueError(str(job)) if job % 2 else job for job in jobs]

    async def use() -> None:
        worker = GroupWorker(work, lambda _: 1, max_weight=8)
        even, odd = worker.submit(2), worker.submit(3)
        assert await even == 2
        with pytest.raises(ValueError, match="3"):
            await odd
        worker.stop()

    asyncio.run(use())


def test_an_error_in_tidying_up_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def tidy() -> bool:
        raise OSError("no such device")

    async def use() -> None:
        worker: GroupWorker[int, int] = GroupWorker(lambda jobs: jobs, lambda _: 1, max_weight=8, tidy=tidy)
        assert await worker.submit(1) == 1
        assert await worker.submit(2) == 2
        worker.stop()

    asyncio.run(use())
    assert [record.getMessage() for record in caplog.records] == ["tidying up failed"] * 3


def test_what_is_left_to_tidy_up_is_done_between_groups_and_while_there_is_none() -> None:
    done: list[str] = []
    finished = threading.Event()

    def work(jobs: list[int]) -> list[int]:
        done.extend(f"job {job}" for job in jobs)
        return jobs

    def tidy() -> bool:
        done.append("tidied")
        if done.count("tidied") == 1000:
            finished.set()
        return done.count("tidied") < 1000

    async def use() -> None:
        worker: GroupWorker[int, int] = GroupWorker(work, lambda _: 1, max_weight=8, tidy=tidy)
        for number in range(3):
            assert await worker.submit(number) == number
        assert await asyncio.to_thread(finished.wait, 30)
        worker.stop()

    asyncio.run(use())
    assert [entry for entry in done if entry != "tidied"] == ["job 0", "job 1", "job 2"]


def test_stopping_finishes_what_was_submitted() -> None:
    async def use() -> list[int]:
        worker: GroupWorker[int, int] = GroupWorker(lambda jobs: jobs, lambda _: 1, max_weight=3)
        waiting = [worker.submit(number) for number in range(20)]
        await asyncio.to_thread(worker.stop)
        return list(await asyncio.gather(*waiting))

    assert asyncio.run(use()) == list(range(20))


def test_loops_that_went_away_and_jobs_nobody_waits_for_harm_nobody() -> None:
    worker: GroupWorker[int, int] = GroupWorker(lambda jobs: jobs, lambda _: 1, max_weight=8)

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
        worker = GroupWorker(work, lambda job: job, max_weight=10)
        first = worker.submit(1)
        await asyncio.to_thread(begun.wait, 5)
        rest = [worker.submit(number) for number in (3, 4, 5, 100, 1)]
        may_go_on.set()
        await asyncio.gather(first, *rest)
        worker.stop()

    asyncio.run(use())
    assert groups == [[1], [3, 4, 5], [100], [1]]


def test_after_the_end_a_job_is_refused_at_once() -> None:
    worker: GroupWorker[int, int] = GroupWorker(lambda jobs: jobs, lambda _: 1, max_weight=8)
    worker.stop()
    worker.stop()

    async def use() -> None:
        with pytest.raises(StoppedError):
            worker.submit(1)

    asyncio.run(use())


@pytest.mark.parametrize("wrong", [[], [1, 2]])
def test_work_that_breaks_its_word_answers_everybody_and_the_thread_lives_on(wrong: list[int]) -> None:
    results = iter([wrong, [7]])
    worker: GroupWorker[int, int] = GroupWorker(lambda _: next(results), lambda _: 1, max_weight=8)

    async def use() -> None:
        with pytest.raises(RuntimeError):
            await worker.submit(1)
        assert await worker.submit(1) == 7

    asyncio.run(use())
    worker.stop()


def noted(groups: list[tuple[list[int], int]]) -> Callable[[list[int]], list[int]]:
    """Return work whose results are its jobs, and which adds to *groups* what it did together, and on which thread."""

    def work(jobs: list[int]) -> list[int]:
        groups.append((jobs, threading.get_ident()))
        return jobs

    return work


def test_a_few_small_jobs_are_done_together_on_the_loop_they_came_from() -> None:
    groups: list[tuple[list[int], int]] = []
    work = noted(groups)

    async def use() -> None:
        worker: GroupWorker[int, int] = GroupWorker(work, lambda _: 1, max_weight=256, small=lambda job: job < 100)
        assert await asyncio.gather(*map(worker.submit, range(5))) == [0, 1, 2, 3, 4]
        assert groups == [([0, 1, 2, 3, 4], threading.get_ident())]
        # What is not small goes to the thread, with those before it; so do many.
        assert await asyncio.gather(*map(worker.submit, (5, 6, 100, 7))) == [5, 6, 100, 7]
        assert await asyncio.gather(*map(worker.submit, range(10, 90))) == list(range(10, 90))
        assert worker_thread(groups, 100) == worker_thread(groups, 15) != threading.get_ident()
        await asyncio.to_thread(worker.stop)
        with pytest.raises(StoppedError):
            worker.submit(1)

    asyncio.run(use())


def test_none_is_done_on_a_loop_that_may_do_none() -> None:
    groups: list[tuple[list[int], int]] = []
    work = noted(groups)

    async def use() -> None:
        worker: GroupWorker[int, int] = GroupWorker(
            work, lambda _: 1, max_weight=256, small=lambda _: True, on_loop=False
        )
        for count in (1, 5, 40):
            assert await asyncio.gather(*map(worker.submit, range(count))) == list(range(count))
        assert threading.get_ident() not in {thread for _, thread in groups}
        assert [job for jobs, _ in groups for job in jobs] == [*range(1), *range(5), *range(40)]
        await asyncio.to_thread(worker.stop)

    asyncio.run(use())


def worker_thread(groups: list[tuple[list[int], int]], job: int) -> int:
    """Return the thread that did *job*."""
    [thread] = {thread for jobs, thread in groups if job in jobs}
    return thread


def test_jobs_of_several_loops_are_done_one_group_at_a_time_and_tidied_up_after() -> None:
    busy, tidied, counts = threading.Lock(), list[int](), list[int]()

    def work(jobs: list[int]) -> list[int]:
        assert busy.acquire(blocking=False)
        try:
            counts.extend(jobs)
        finally:
            busy.release()
        return jobs

    def tidy() -> bool:
        tidied.append(len(counts))
        return False

    worker: GroupWorker[int, int] = GroupWorker(
        work, lambda _: 1, max_weight=256, tidy=tidy, small=lambda job: job % 7 != 0
    )

    async def use(begin: int) -> None:
        for number in range(begin, begin + 500):
            assert await worker.submit(number) == number

    def run(begin: int) -> None:
        asyncio.run(use(begin))

    with ThreadPoolExecutor() as pool:
        list(pool.map(run, (0, 1000, 2000)))
    worker.stop()
    assert sorted(counts) == [*range(500), *range(1000, 1500), *range(2000, 2500)]
    assert tidied


def test_what_was_gathered_is_done_though_its_loop_has_ended() -> None:
    done: list[int] = []

    def work(jobs: list[int]) -> list[int]:
        done.extend(jobs)
        return jobs

    worker: GroupWorker[int, int] = GroupWorker(work, lambda _: 1, max_weight=8, small=lambda _: True)

    async def leave() -> None:
        worker.submit(1).cancel()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    loop.close()
    worker.stop()
    assert done == [1]


def test_what_was_passed_on_is_not_done_by_the_loop_it_came_from_nor_by_another() -> None:
    threads: dict[int, int] = {}

    def work(jobs: list[int]) -> list[int]:
        threads.update(dict.fromkeys(jobs, threading.get_ident()))
        return jobs

    worker: GroupWorker[int, int] = GroupWorker(work, lambda _: 1, max_weight=8, small=lambda _: True)
    done: list[int] = []

    async def use(job: int) -> None:
        done.append(await worker.submit(job))

    # The first loop has gathered its job, and gets no turn while a second one submits.
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    waiting = first.create_task(use(1))
    first.call_soon(first.stop)
    first.run_forever()
    waiting_too = second.create_task(use(2))
    second.call_soon(second.stop)
    second.run_forever()
    until(lambda: 1 in threads or done == [1])
    first.run_until_complete(waiting)
    assert 2 not in threads
    second.run_until_complete(waiting_too)
    first.close()
    second.close()
    worker.stop()
    assert sorted(done) == [1, 2]


def test_stopping_waits_for_a_group_in_progress_on_a_loop() -> None:
    begun, may_go_on, stopped = threading.Event(), threading.Event(), threading.Event()

    def work(jobs: list[int]) -> list[int]:
        begun.set()
        assert may_go_on.wait(PATIENCE)
        assert not stopped.is_set()
        return jobs

    before = set(threading.enumerate())
    worker: GroupWorker[int, int] = GroupWorker(work, lambda _: 1, max_weight=8, small=lambda _: True)
    [thread] = [thread for thread in set(threading.enumerate()) - before if thread.name == "ours-emulator-writer"]

    async def use() -> int:
        return await worker.submit(5)

    def stop() -> None:
        worker.stop()
        stopped.set()

    with ThreadPoolExecutor() as pool:
        used = pool.submit(asyncio.run, use())
        assert begun.wait(PATIENCE)
        ending = pool.submit(stop)
        # The thread of the worker ends before the group does.
        thread.join(PATIENCE)
        may_go_on.set()
        assert used.result() == 5
        ending.result()


def test_after_a_group_that_took_long_the_next_ones_are_done_on_the_thread() -> None:
    threads: list[int] = []

    def work(jobs: list[int]) -> list[int]:
        threads.append(threading.get_ident())
        until_then = time.perf_counter() + max(jobs) / 1000
        while time.perf_counter() < until_then:
            pass
        return jobs

    async def use() -> None:
        worker: GroupWorker[int, int] = GroupWorker(work, lambda _: 1, max_weight=8, small=lambda _: True)
        for milliseconds in (0, 50, 0, 0):
            assert await worker.submit(milliseconds) == milliseconds
        await asyncio.to_thread(worker.stop)

    asyncio.run(use())
    here = threading.get_ident()
    assert [thread == here for thread in threads] == [True, True, False, False]
