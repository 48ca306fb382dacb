"""Visitors that are kept from one group of requests to the next are those that the store would load."""

import asyncio
import json
import random
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import pytest

from ours_emulator.accounts import Accounts
from ours_emulator.contract.account import AccountConfig
from ours_emulator.contract.client import ClientContract
from ours_emulator.contract.ingest import IngestContract, Limits
from ours_emulator.contract.revision import revision
from ours_emulator.decide.identity import KnownVisitor, Name
from ours_emulator.feed import Feed
from ours_emulator.http.routes import CLIENT_NAMES, INGEST_NAMES
from ours_emulator.model import UNKNOWN, Change, Exchange, Request, RevisionName, Version, VisitorState
from ours_emulator.pipeline import Contract, Pipeline
from ours_emulator.store import Retention, open_store
from ours_emulator.store.versions import Keyframe
from ours_emulator.store.writing.recent_visitors import (
    MOST_BYTES_OF_ONE,
    MOST_VISITORS,
    RecentVisitors,
)
from ours_emulator.store.writing.rows import note_saved
from requesting import request_to

USERS = ("u1", "u2", "u3")
EXTERNALS = ("x1", "x2", "x3")
EMAILS = ("a@x.io", "b@x.io")
ANONYMOUS = ("n1", "n2")
DEVICE = {"device_id": "1", "os": "iOS", "model": "m", "app_build": "1", "app_version": "1.0"}
CLIENT = ("alias", "identify", "devices", "events")
PHONES = ("+49 30 1", "0049301", "5")
ROWS = {
    "visitors": "SELECT pk, version_id, event_count, first_seen, last_seen FROM visitors",
    "names": "SELECT visitor_pk, count(*) FROM identifiers GROUP BY visitor_pk",
    "shared": "SELECT digest, count(*) FROM identifiers GROUP BY digest HAVING count(*) > 1",
    "versions": "SELECT * FROM visitor_versions",
    "pending": "SELECT * FROM pending_devices",
}


def pipeline_on(path: Path, name: RevisionName) -> Pipeline:
    """A pipeline on the store at *path*, whose account has the revision *name*."""
    contracts: dict[str, Contract] = {
        **dict.fromkeys(INGEST_NAMES, IngestContract(Limits())),
        **dict.fromkeys(CLIENT_NAMES, ClientContract()),
    }
    accounts = Accounts(AccountConfig("default", revision(name), max_visitor_bytes=5300))
    return Pipeline(open_store(str(path), Retention(rows=40)).writer, contracts, accounts, Feed())


def request(endpoint: str, body: object) -> Request:
    return request_to(endpoint, body, received_at=1000, authorization="Bearer pk_1")


def some(choice: random.Random, values: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Half of *values*, of each one of those that it may have."""
    return {name: choice.choice(each) for name, each in values.items() if choice.random() < 0.5}


def message(choice: random.Random) -> dict[str, Any]:
    """A message of the Ingest API: mostly with an identifier, often with another one in its properties."""
    ids = {"userId": USERS, "externalId": EXTERNALS, "email": EMAILS}
    properties = {
        "external_id": (*EXTERNALS, None, ""),
        "email": (*EMAILS, None),
        "phone_number": (*PHONES, None),
        "first_name": ("Ann", "Bea", "x" * 200, "x" * 5000),
        "last_name": ("Bell", "y" * 300),
    }
    return {**some(choice, ids), "userProperties": some(choice, properties)}


def sent(choice: random.Random) -> tuple[str, object]:
    """Any request that is about visitors."""
    ids = {"external_id": EXTERNALS, "anonymous_id": ANONYMOUS}
    match choice.choice(("track", "track", "identify", "batch", "identify-client", "alias", "devices", "events")):
        case "batch":
            rows = [{"event": "E", "distinctId": f"{choice.random()}", **message(choice)} for _ in range(3)]
            return "batch", {"token": "t", "events": rows}
        case "identify-client":
            return "client/identify", {**some(choice, ids), **some(choice, {"email": EMAILS})}
        case "alias":
            return "client/alias", {"external_id": choice.choice(EXTERNALS), "anonymous_id": choice.choice(ANONYMOUS)}
        case "devices":
            return "client/devices", {**some(choice, ids), **DEVICE, "device_id": choice.choice("12")}
        case "events":
            items = [{"name": "E", **some(choice, ids), "user": some(choice, {"email": EMAILS})} for _ in range(2)]
            return "client/events", items
        case endpoint:
            event = {"event": "E"} if endpoint == "track" else {}
            return endpoint, {"token": "t", **event, **message(choice)}


def decided(exchange: object) -> list[tuple[Any, ...]]:
    """What became of a request, but for ids that are random."""
    assert isinstance(exchange, Exchange)
    return [
        (one.id, one.outcome, one.visitor_pk, one.resolution, one.hints, one.version and (one.version.id, one.content))
        for one in exchange.receipts
    ]


def rows_in(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What a store has of visitors, but for the ids of theirs that are random."""
    with closing(sqlite3.connect(path)) as connection:
        return {what: sorted(connection.execute(statement), key=repr) for what, statement in ROWS.items()}


@pytest.mark.parametrize("name", ["2026-05", "2026-10"])
def test_whoever_is_kept_makes_no_difference_to_any_request(tmp_path: Path, name: RevisionName) -> None:
    """One pipeline gets all requests; the other is opened anew for every two, and has to load every visitor."""
    choice = random.Random(3)
    requests = [request(*sent(choice)) for _ in range(120)]
    kept, loaded = tmp_path / "kept.db", tmp_path / "loaded.db"

    async def exchanges(pipelines: Callable[[], Pipeline], *, close_each: bool) -> list[object]:
        answers: list[object] = []
        pipeline = pipelines()
        for at in range(0, len(requests), 2):
            # Two at once may become a group.
            answers += await asyncio.gather(*map(pipeline.submit, requests[at : at + 2]))
            if at == len(requests) // 2:
                await pipeline.reset("default")
            if close_each:
                await asyncio.to_thread(pipeline.close)
                pipeline = pipelines()
        await asyncio.to_thread(pipeline.close)
        return answers

    ones = asyncio.run(exchanges(lambda: pipeline_on(kept, name), close_each=False))
    others = asyncio.run(exchanges(lambda: pipeline_on(loaded, name), close_each=True))
    for one, other, what in zip(ones, others, requests, strict=True):
        assert decided(one) == decided(other), what
    assert rows_in(kept) == rows_in(loaded)
    accepted = {one.arrival.endpoint for it in ones for one in cast(Exchange, it).receipts if one.outcome == "accepted"}
    assert accepted >= {"track", "identify", "batch", *(f"client/{name}" for name in CLIENT)}
    assert len(rows_in(kept)["visitors"]) > 3


def known(pk: int, *names: Name, size: int = 100) -> tuple[KnownVisitor, Keyframe]:
    return KnownVisitor(pk, 1, f"v{pk}", VisitorState(), stored_names=names, names_changed=False, size=size), Keyframe()


def name_of(value: str) -> Name:
    return (1, "email", value)


def found_in(recent: RecentVisitors, *names: Name) -> list[int]:
    return list(recent.find(names)[0])


def test_a_visitor_is_found_only_by_a_name_that_no_other_has() -> None:
    recent = RecentVisitors()
    own, shared = name_of("own"), name_of("shared")
    one, other = known(1, own, shared), known(2, shared)
    recent.note_loaded([own, shared], [one[0], other[0]])
    recent.keep([one, other], set())
    assert recent.find([own, shared]) == ({1: one}, [shared])


def test_who_got_or_lost_a_name_is_not_found_by_it() -> None:
    recent = RecentVisitors()
    first, second = name_of("first"), name_of("second")
    one = known(1, first, second)
    recent.note_loaded([first, second], [one[0]])
    recent.keep([one], {second})
    assert found_in(recent, first, second) == [1]
    assert found_in(recent, second) == []
    recent.keep([], {first})
    assert found_in(recent, first) == []


def test_what_was_loaded_for_one_group_is_not_kept_by_another() -> None:
    recent = RecentVisitors()
    name = name_of("a")
    recent.note_loaded([name], [known(1, name)[0]])
    recent.keep([], set())
    recent.keep([known(1, name)], set())
    assert found_in(recent, name) == []


def test_a_decision_changes_a_copy() -> None:
    recent = RecentVisitors()
    name = name_of("a")
    recent.note_loaded([name], [known(1, name)[0]])
    recent.keep([known(1, name)], set())
    recent.find([name])[0][1][0].event_count = 5
    assert recent.find([name])[0][1][0].event_count == 0


@pytest.mark.parametrize(("count", "size"), [(MOST_VISITORS, 0), (8, MOST_BYTES_OF_ONE)])
def test_those_who_were_saved_last_are_kept(count: int, size: int) -> None:
    recent = RecentVisitors()
    names = [name_of(str(pk)) for pk in range(count + 1)]
    for pk in range(count):
        recent.note_loaded([names[pk]], [known(pk, names[pk], size=size)[0]])
        recent.keep([known(pk, names[pk], size=size)], set())
    assert found_in(recent, *names) == list(range(count))
    recent.keep([known(0, names[0], size=size)], set())
    recent.note_loaded([names[count]], [known(count, names[count], size=size)[0]])
    recent.keep([known(count, names[count], size=size)], set())
    assert found_in(recent, *names) == [0, *range(2, count + 1)]
    assert recent.find([names[1]])[1] == [names[1]]


def test_a_large_visitor_is_not_kept_and_drives_nobody_out() -> None:
    recent = RecentVisitors()
    small, large = name_of("small"), name_of("large")
    recent.note_loaded([small, large], [known(1, small)[0], known(2, large)[0]])
    recent.keep([known(1, small), known(2, large)], set())
    assert found_in(recent, small, large) == [1, 2]
    recent.keep([known(2, large, size=MOST_BYTES_OF_ONE + 1)], set())
    assert found_in(recent, small, large) == [1]


def test_a_visitor_who_grows_and_shrinks_is_counted_as_they_are_now() -> None:
    recent = RecentVisitors()
    names = [name_of(str(pk)) for pk in range(8)]
    visitors = [known(pk, name) for pk, name in enumerate(names)]
    recent.note_loaded(names, [visitor for visitor, _ in visitors])
    for size in (100, MOST_BYTES_OF_ONE, 100, MOST_BYTES_OF_ONE):
        recent.keep([known(pk, name, size=size) for pk, name in enumerate(names)], set())
        assert found_in(recent, *names) == list(range(8))


def test_a_copy_is_the_same_visitor() -> None:
    name = name_of("a")
    state, change = VisitorState({"a": 1}), Change({"a": 1})
    visitor = KnownVisitor(1, 2, "v", state, Version(3, 1, state, change), 4, 5, 6, (name,), False, change, 7, True)
    default = KnownVisitor(0, 0, "")
    differing = [
        field.name for field in fields(visitor) if getattr(visitor, field.name) != getattr(default, field.name)
    ]
    assert differing == [field.name for field in fields(visitor)]
    assert visitor.copy() == visitor


def test_the_size_of_who_was_saved_is_the_one_of_who_is_loaded() -> None:
    """Large anonymous ids are no part of the size that a visitor may have, but of what is kept."""
    visitor = KnownVisitor(1, 1, "v", version=Version(1, 1, UNKNOWN, Change(anonymous_id="x" * 900)), measured=True)
    assert visitor.version
    keyframe = Keyframe()
    keyframe.add(visitor.version)
    note_saved(visitor, keyframe)
    assert visitor.size > 900
    assert not visitor.measured


def test_what_a_failed_transaction_made_of_a_visitor_is_not_kept(tmp_path: Path) -> None:
    """The last of what the second change writes fails; the third is the same again, and has to be a change again."""
    path = tmp_path / "store.db"
    pipeline = pipeline_on(path, "2026-05")

    async def track(**fields: str) -> object:
        properties = {"first_name": "Bea" if fields else "Ann"}
        body = {"token": "t", "event": "E", "userId": "u", **fields, "userProperties": properties}
        return await pipeline.submit(request("track", body))

    async def story() -> None:
        await pipeline.submit(request("client/devices", {"external_id": "x", **DEVICE}))
        for _ in range(3):
            assert isinstance(await track(), Exchange)
        with closing(sqlite3.connect(path)) as connection:
            failing = "BEFORE DELETE ON pending_devices BEGIN SELECT RAISE(ABORT, 'not written'); END"
            connection.execute(f"CREATE TRIGGER boom {failing}")
            assert await track(externalId="x") is None
            connection.execute("DROP TRIGGER boom")
        assert isinstance(await track(externalId="x"), Exchange)
        await asyncio.to_thread(pipeline.close)

    asyncio.run(story())
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT content FROM visitor_versions ORDER BY id").fetchall()
        counts = connection.execute("SELECT event_count FROM visitors").fetchall()
    assert [json.loads(content)["properties"]["first_name"] for (content,) in rows] == ["Ann", "Bea"]
    assert counts == [(4,)]
