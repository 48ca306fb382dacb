"""The feed: what is committed comes to whoever listens, once, in order, as the reader has it."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ours_emulator.accounts import Accounts
from ours_emulator.contract.account import AccountConfig
from ours_emulator.contract.ingest import IngestContract, Limits
from ours_emulator.contract.revision import revision
from ours_emulator.event_view import EventView
from ours_emulator.feed import Feed, FeedClosedError
from ours_emulator.jsontext import json_text
from ours_emulator.model import Request
from ours_emulator.pipeline import Pipeline
from ours_emulator.store import EventFilter, Retention, open_store
from waiting import PATIENCE


class Emulator:
    """A pipeline with a feed and a reader, without HTTP."""

    def __init__(self, path: Path) -> None:
        self.feed = Feed()
        contract = IngestContract(Limits(100_000, 100_000))
        contracts = {"track": contract, "batch": contract}
        store = open_store(str(path), Retention())
        self.pipeline = Pipeline(store.writer, contracts, Accounts(AccountConfig("x", revision())), self.feed)
        self.reader = store.open_reader()

    async def post(self, body: object, account: str = "a", endpoint: str = "track") -> None:
        text = json_text(body).encode()
        request = Request(account, endpoint, "POST", f"/{endpoint}", "application/json", "", text, False, 1, 1000, 0.0)
        assert await self.pipeline.submit(request) is not None

    async def track(self, event: str, account: str = "a", **fields: object) -> None:
        await self.post({"token": "t", "event": event, "userId": "u", **fields}, account)

    async def close(self) -> None:
        self.feed.close()
        await self.reader.close()
        await asyncio.to_thread(self.pipeline.close)


Scenario = Callable[[Emulator], Coroutine[Any, Any, None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scenario], None]:
    """Run a scenario with an emulator of its own."""

    async def played(scenario: Scenario) -> None:
        emulator = Emulator(tmp_path / "store.db")
        try:
            await asyncio.wait_for(scenario(emulator), 2 * PATIENCE)
        finally:
            await emulator.close()

    return lambda scenario: asyncio.run(played(scenario))


def names(views: Sequence[EventView] | None) -> list[str | None] | None:
    return None if views is None else [view.event.event for view in views]


def test_an_event_is_handed_over_as_the_reader_returns_it(play: Callable[[Scenario], None]) -> None:
    async def scenario(emulator: Emulator) -> None:
        with emulator.feed.listen("a") as listener:
            await emulator.track("Zoë \ud800 \x00", distinctId="d", eventProperties={"n": 1.5})
            await emulator.track("Zoë \ud800 \x00", distinctId="d")
            await emulator.post({"token": "t", "event": "nobody"})
            heard = [view.event for _ in range(3) for view in await listener.next(5) or ()]
        part = await emulator.reader.arrivals("a", EventFilter(outcome=None), 0, 10)
        assert [event.outcome for event in heard] == ["accepted", "duplicate", "rejected"]
        # A repeat is counted on the event that was handed over before.
        assert [replace(event, repeats=0) for event in part.items] == heard

    play(scenario)


def test_a_listener_hears_its_account_and_event_only(play: Callable[[Scenario], None]) -> None:
    async def scenario(emulator: Emulator) -> None:
        listen = emulator.feed.listen
        with listen("a") as a, listen(None) as every, listen("a", "X") as x, listen(None, "X") as every_x:
            await emulator.track("X", "a")
            await emulator.track("X", "b")
            await emulator.track("Y", "a")
            for listener, expected in ((a, "XY"), (every, "XXY"), (x, "X"), (every_x, "XX")):
                assert [names(await listener.next(5)) for _ in expected] == [[name] for name in expected]
                assert await listener.next(0.01) is None

    play(scenario)


def test_a_batch_comes_in_one_piece_and_in_order(play: Callable[[Scenario], None]) -> None:
    async def scenario(emulator: Emulator) -> None:
        rows = [{"event": f"E{number}", "userId": "u", "distinctId": str(number)} for number in range(100)]
        with emulator.feed.listen("a") as listener:
            await emulator.post({"token": "t", "events": rows}, endpoint="batch")
            assert names(await listener.next(5)) == [row["event"] for row in rows]

    play(scenario)


def test_a_commit_is_handed_over_before_it_is_answered(play: Callable[[Scenario], None]) -> None:
    async def scenario(emulator: Emulator) -> None:
        with emulator.feed.listen("a") as listener:
            for _ in range(200):
                await emulator.track("X")
                assert names(await listener.next(0)) == ["X"]

    play(scenario)


def test_who_listens_before_reading_misses_nothing_and_what_is_read_can_be_told_by_its_id(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(emulator: Emulator) -> None:
        posting = asyncio.gather(*(emulator.track("X") for _ in range(300)))
        # In the middle of it.
        while not (await emulator.reader.arrivals("a", EventFilter(), 0, 1)).items:
            pass
        with emulator.feed.listen("a") as listener:
            part = await emulator.reader.arrivals("a", EventFilter(), 0, 1000)
            ids = {event.id for event in part.items}
            await posting
            # A commit is handed over before it is answered, so all of them are.
            while (rows := await listener.next(0)) is not None:
                ids |= {view.event.id for view in rows}
        assert ids == set(range(1, 301))

    play(scenario)


def test_what_was_posted_is_there_every_time_without_a_pause(play: Callable[[Scenario], None]) -> None:
    async def scenario(emulator: Emulator) -> None:
        for number in range(500):
            await emulator.track("X", f"a{number % 7}", distinctId=str(number))
            where = EventFilter("X", distinct_id=str(number))
            part = await emulator.reader.arrivals(f"a{number % 7}", where, 0, 10)
            assert [event.id for event in part.items] == [number + 1]

    play(scenario)


def test_a_reset_is_heard_as_no_rows_by_those_it_concerns(play: Callable[[Scenario], None]) -> None:
    async def scenario(emulator: Emulator) -> None:
        listen = emulator.feed.listen
        with listen("a") as a, listen("b") as b, listen(None) as every, listen("a", "X") as x:
            await emulator.pipeline.reset("a")
            assert [await it.next(5) for it in (a, every, x)] == [(), (), ()]
            assert await b.next(0.01) is None
            await emulator.pipeline.reset(None)
            assert [await it.next(5) for it in (a, b, every, x)] == [(), (), (), ()]

    play(scenario)


def test_all_that_listen_get_the_same_rows(play: Callable[[Scenario], None]) -> None:
    async def scenario(emulator: Emulator) -> None:
        with emulator.feed.listen("a") as one, emulator.feed.listen(None, "X") as other:
            await emulator.track("X")
            mine, theirs = await one.next(5), await other.next(5)
            assert mine is not None
            assert theirs is not None
            assert mine[0] is theirs[0]

    play(scenario)


def test_closing_ends_those_who_listen_and_those_who_come_later(play: Callable[[Scenario], None]) -> None:
    async def scenario(emulator: Emulator) -> None:
        with emulator.feed.listen("a") as listener:
            waiting = asyncio.create_task(listener.next(None))
            await asyncio.sleep(0)
            await asyncio.to_thread(emulator.feed.close)
            for _ in range(2):
                with pytest.raises(FeedClosedError):
                    await waiting
                waiting = asyncio.create_task(listener.next(None))
            waiting.cancel()
        with emulator.feed.listen("a") as late, pytest.raises(FeedClosedError):
            await late.next(None)
        emulator.feed.close()

    play(scenario)


def test_a_listener_whose_loop_is_gone_harms_nobody(play: Callable[[Scenario], None]) -> None:
    async def scenario(emulator: Emulator) -> None:
        async def listen_for_ever() -> None:
            emulator.feed.listen("a").__enter__()

        thread = threading.Thread(target=lambda: asyncio.run(listen_for_ever()))
        thread.start()
        await asyncio.to_thread(thread.join)
        with emulator.feed.listen("a") as listener:
            await emulator.track("X")
            assert names(await listener.next(5)) == ["X"]

    play(scenario)


def test_listeners_on_several_loops_are_all_woken(play: Callable[[Scenario], None]) -> None:
    async def scenario(emulator: Emulator) -> None:
        ready = threading.Barrier(4)
        heard: list[list[str | None] | None] = []

        async def listen() -> None:
            with emulator.feed.listen("a") as listener:
                ready.wait()
                heard.append(names(await listener.next(10)))

        threads = [threading.Thread(target=lambda: asyncio.run(listen())) for _ in range(3)]
        for thread in threads:
            thread.start()
        await asyncio.to_thread(ready.wait)
        await emulator.track("X")
        for thread in threads:
            await asyncio.to_thread(thread.join)
        assert heard == [["X"]] * 3

    play(scenario)


def test_who_takes_what_came_just_after_the_feed_ended_hears_of_the_end_too(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(emulator: Emulator) -> None:
        with emulator.feed.listen("a") as listener:
            emulator.feed.close()
            await asyncio.sleep(0)
            assert names(listener.take()) == []
            with pytest.raises(FeedClosedError):
                await listener.woken(None)

    play(scenario)
