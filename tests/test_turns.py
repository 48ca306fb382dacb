"""Turns at searching with regular expressions: fair to calls, not to slices."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from ours_emulator.debug.turns import QUICK_STEPS, Turns
from ours_emulator.patterns import Budget

COSTLY = QUICK_STEPS + 1


def with_held_threads(asked: Callable[[Turns], list[Coroutine[Any, Any, object]]]) -> None:
    """Let all that is *asked* for queue up while both threads are busy, then have it done."""

    async def run() -> None:
        turns, gate = Turns(), threading.Event()
        holding = [asyncio.create_task(turns.take(Budget(), steps, gate.wait)) for steps in (0, COSTLY)]
        waiting = [asyncio.create_task(one) for one in asked(turns)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*holding, *waiting)

    asyncio.run(run())


def test_a_quick_slice_does_not_wait_for_costly_ones_that_came_first() -> None:
    async def run() -> None:
        turns, quick_is_done = Turns(), threading.Event()
        costly = [asyncio.create_task(turns.take(Budget(), COSTLY, quick_is_done.wait)) for _ in range(8)]
        await asyncio.sleep(0)
        await turns.take(Budget(), QUICK_STEPS, quick_is_done.set)
        await asyncio.gather(*costly)

    asyncio.run(run())


@pytest.mark.parametrize("steps", [1, COSTLY])
def test_the_call_that_has_asked_for_least_comes_first(steps: int) -> None:
    order: list[str] = []
    greedy, modest = Budget(), Budget()
    with_held_threads(
        lambda turns: [
            *(turns.take(greedy, steps, order.append, f"greedy {number}") for number in range(3)),
            *(turns.take(modest, steps, order.append, f"modest {number}") for number in range(2)),
        ]
    )
    assert order == ["greedy 0", "modest 0", "greedy 1", "modest 1", "greedy 2"]


def test_an_error_of_a_slice_goes_to_the_call_that_asked_and_stops_no_other() -> None:
    async def run() -> None:
        turns = Turns()
        with pytest.raises(ZeroDivisionError):
            await turns.take(Budget(), 0, divmod, 1, 0)
        assert await turns.take(Budget(), 0, divmod, 7, 2) == (3, 1)

    asyncio.run(run())


def test_a_slice_that_nobody_waits_for_any_more_is_left_out() -> None:
    order: list[str] = []

    async def run() -> None:
        turns, gate = Turns(), threading.Event()
        holding = asyncio.create_task(turns.take(Budget(), 0, gate.wait))
        gone = asyncio.create_task(turns.take(Budget(), 0, order.append, "gone"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        gate.set()
        await holding
        await turns.take(Budget(), 0, order.append, "there")

    asyncio.run(run())
    assert order == ["there"]
