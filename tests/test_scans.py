"""Matches without a name, which look at every stored event: they find what a look at each record would find."""

import asyncio
import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from ours_emulator.debug.explain import unmet
from ours_emulator.debug.match_progress import MatchProgress, Scope, Terms, fitting
from ours_emulator.debug.search import evaluated_in_slices, stored_matches
from ours_emulator.event_view import MATCH_SHAPE, EventView, with_identifiers
from ours_emulator.matching import compiled
from ours_emulator.model import Properties
from ours_emulator.records import Event, to_json
from ours_emulator.store import EventFilter, Retention, open_store
from serving import Account, serving
from waiting import until

NAMES = ["plan", "", "a.b", 'q"q', "back\\slash", "é", "😀", "a\0b", "\ud800", "$x", "[0]", "0"]
VALUES: list[Any] = [
    "rare", "", "true", "1", "null", '"rare"', "é😀", "a\0b", "\ud800", "x" * 3000, True, False, 1, 1.0, -1, 0, 2**53,
    2**53 + 1, 2**63, -(2**63), 10**30, 0.1, 1e300, 123456789.123456789, None, [1], {"plan": "rare"}, {}, [],
]  # fmt: skip


ALL = {"mode": "at_most", "count": 10**6}


def ascii_json(body: object) -> bytes:
    """Return *body* as JSON in ASCII, which may have lone surrogates."""
    return json.dumps(body).encode()


def row(number: int) -> dict[str, Any]:
    """Return a row of a batch."""
    return {"event": "E", "userId": f"u{number % 5}", "distinctId": f"d{number}"}


def fill(account: Account) -> None:
    """Store an event for each name and value, and some of every other kind."""
    events = [
        {**row(number), "event": f"E{number % 3}", "eventProperties": {name: value, "also": number}}
        for number, (name, value) in enumerate(itertools.product(NAMES, VALUES))
    ]
    assert account.post("/batch", ascii_json({"token": "t", "events": events})).json()["success"]
    account.track(event="Twice", distinctId="d", email="a@example.com", userId=None)
    account.track(event="Twice", distinctId="d", email="a@example.com", userId=None)
    account.identify(userId="u1", userProperties={"external_id": "x", "email": "b@example.com", "first_name": "Ann"})
    account.post("/track", {"token": "t", "event": "", "userId": "u"})
    account.post("/api/client/alias", {"anonymous_id": "anon", "external_id": "x9"}, {"authorization": "Bearer pk_k"})
    account.track(event="Test", test=True, time=1_700_000_000_000)


def events_in(database: str) -> list[Event]:
    """Return all events that are stored, by id."""

    async def read() -> list[Event]:
        store = open_store(database, Retention())
        part = await store.open_reader().arrivals(None, EventFilter(outcome=None), 0, 10_000)
        await store.close()
        return list(part.items)

    return asyncio.run(read())


def matches() -> list[dict[str, Any]]:
    """Return matches of all kinds."""
    made: list[dict[str, Any]] = [
        {"event_properties": {name: value}}
        for number, (name, value) in enumerate(itertools.product(NAMES, VALUES))
        if name != "$x" and (name in NAMES[:2] or number % 4 == 0)
    ]
    made += [{f"event_properties.{name}": value} for name in ("é", "$x") for value in VALUES]
    made += [{"event_properties.a.b": value} for value in VALUES]
    made += [{"event_properties.also": number, "event": "E1"} for number in range(10)]
    made += [
        {"email": "a@example.com"},
        {"user_id": "u1", "event_properties.plan": "rare"},
        {"external_id": "x"},
        {"anonymous_id": "anon"},
        {"identity.userId": "u2", "outcome": "accepted"},
        {"visitor_properties.first_name": "Ann"},
        {"outcome": "duplicate"},
        {"outcome": "rejected", "reason.status": 400},
        {"resolution.created": True},
        {"hints": []},
        {"received_at": {"$any": True}, "time": 1_700_000_000_000},
        {"default_properties.received_at": {"$any": True}, "test": True},
        {"event_properties.plan": {"$in": ["rare", 1]}},
        {"event_properties.plan": {"$regex": "^r"}},
        {"event_properties.plan": {"$absent": True}},
        {"endpoint": "identify"},
        {},
    ]
    return made


def test_a_match_finds_among_stored_events_what_a_look_at_each_would_find(database: str) -> None:
    wrong: list[object] = []
    with serving(database=database, public_keys=["pk_k"], tokens=["t"]) as server:
        fill(server.default)
        found = [
            server.default.post("/debug/verify", ascii_json({"match": match, "outcome": "any", **ALL}))
            for match in matches()
        ]
    views = [EventView(event) for event in events_in(database)]
    assert len(views) > len(NAMES) * len(VALUES)
    for match, response in zip(matches(), found, strict=True):
        test = compiled(match, MATCH_SHAPE)
        fitting = [view.event for view in views if test.fits(view.fields)]
        answer = response.json()
        ids = [item["id"] for item in answer["items"]]
        if (answer["count"], ids) != (len(fitting), [event.id for event in fitting]):
            wrong.append((match, ids, [event.id for event in fitting]))
    assert not wrong


def test_an_excerpt_has_what_the_event_has(database: str) -> None:
    with serving(database=database, public_keys=["pk_k"], tokens=["t"]) as server:
        fill(server.default)
    names = sorted(to_json(events_in(database)[0]))
    wanted = [{name} for name in names] + [set(pair) for pair in itertools.pairwise(names)] + [set(names), set[str]()]

    async def read() -> None:
        store = open_store(database, Retention())
        events = (await store.open_reader().arrivals(None, EventFilter(outcome=None), 0, 10_000)).items
        for fields in wanted:
            part = await store.open_reader().excerpts(None, EventFilter(outcome=None), fields, 0, 10_000)
            for event, (event_id, excerpt) in zip(events, part.items, strict=True):
                assert event_id == event.id
                assert excerpt == {name: to_json(event)[name] for name in fields}
        await store.close()

    asyncio.run(read())


def test_identifiers_follow_from_an_excerpt() -> None:
    event: dict[str, JsonValue] = {
        "visitor_id": "v",
        "visitor_properties": {"email": "a@example.com"},
        "identity": {"userId": "u"},
    }
    known = {"user_id": "u", "email": "a@example.com", "external_id": None, "anonymous_id": None}
    assert with_identifiers(event) == {**event, **known}


def test_a_search_that_could_not_look_at_all_in_time_says_so(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    asked: dict[str, Any] = {"match": {"event_properties.plan": {"$regex": "x"}}, "mode": "none"}
    match = compiled(asked["match"], MATCH_SHAPE)
    with serving(database=database) as server:
        for first in range(0, 5000, 1000):
            assert server.default.batch(*map(row, range(first, first + 1000))).status_code == 200
            # What is stored is searched in any case, for a second beside the time that is given.
            if first == 0:
                assert server.default.post("/debug/wait", {**asked, "timeout_ms": 0}).status_code == 200
        assert server.default.post("/debug/wait", {**asked, "timeout_ms": 30_000}).status_code == 200

    async def search(deadline: float | None) -> MatchProgress:
        store = open_store(str(database), Retention())
        progress = await stored_matches(store.open_reader(), Scope(None, "accepted", True, 0), match, deadline)
        await store.close()
        return progress

    progress = asyncio.run(search(0.0))
    assert (progress.searched_to, progress.uncertain) == (4000, True)
    why = unmet(progress, Terms("none", 0), "", None, "", 0)
    assert "; timed out after searching stored events up to #4000: set a longer timeout" in why.error
    assert not asyncio.run(search(None)).uncertain


def test_what_a_search_finds_is_of_one_moment_though_accounts_are_reset_meanwhile() -> None:
    wrong: list[object] = []
    stop = threading.Event()

    def verify(account: Account) -> None:
        while not stop.is_set():
            answer = account.post("/debug/verify", {"match": {"user_id": {"$any": True}}, **ALL}).json()
            if answer["count"] not in (0, 3000) or (answer["count"] > 0) != bool(answer["items"]):
                wrong.append(answer["count"])

    with serving() as server, ThreadPoolExecutor(2) as pool:
        for _ in range(4):
            for first in range(0, 3000, 1000):
                assert server.default.batch(*map(row, range(first, first + 1000))).status_code == 200
            stop.clear()
            searches = [pool.submit(verify, server.default) for _ in range(2)]
            server.default.post("/debug/reset", {"all": True})
            until(lambda: server.default.debug("summary")["outcomes"]["accepted"] == 0)
            stop.set()
            for search in searches:
                search.result()
    assert not wrong


@pytest.mark.parametrize("count", [900, 985, 999])
def test_a_match_of_many_properties_is_answered(count: int) -> None:
    properties = {f"k{number}": "v" for number in range(count)}
    with serving() as server:
        server.default.track(userId="u", eventProperties=properties)
        server.default.track(userId="u", eventProperties={**properties, "k0": "w"})
        response = server.default.post("/debug/verify", {"match": {"event_properties": properties}})
        assert (response.status_code, response.json()["count"]) == (200, 1)


@pytest.mark.parametrize("rows", [5, 20_500])
def test_a_match_of_one_account_passes_over_the_events_of_others(rows: int) -> None:
    with serving() as server:
        own, other = (Account(f"{server.url}/accounts/{name}", server.http) for name in ("own", "other"))
        for first in range(0, rows, 1000):
            assert own.batch(*map(row, range(first, min(first + 1000, rows)))).status_code == 200
            assert other.batch(row(first)).status_code == 200
        answer = own.post("/debug/verify", {"match": {"user_id": {"$any": True}}, **ALL}).json()
        assert answer["count"] == rows
        assert len(answer["items"]) == min(rows, 1000)


def test_each_event_that_is_searched_adds_to_the_cpu_time_that_a_call_may_take() -> None:
    match = compiled({"event": {"$regex": "-9$"}}, MATCH_SHAPE)
    wanted, other = Properties(event="A-9"), Properties(event="A-8")
    excerpts = [(1, wanted), *[(2, other)] * 4999]
    match.budget.seconds = 2.0  # As much as it may take on no events at all.
    parts = asyncio.run(evaluated_in_slices(match, partial(fitting, match), excerpts, itemgetter(1)))
    assert list(itertools.chain(*parts)) == [1]
