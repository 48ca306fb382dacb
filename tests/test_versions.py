"""Versions of visitors: stored once, small when little changed, whole again when read."""

import asyncio
import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from databases import queried
from ours_emulator.accounts import Accounts
from ours_emulator.contract.account import AccountConfig
from ours_emulator.contract.client import ClientContract
from ours_emulator.contract.ingest import IngestContract, Limits
from ours_emulator.contract.revision import revision
from ours_emulator.decide.properties import changes
from ours_emulator.decide.versions import combined, patched, state_of
from ours_emulator.feed import Feed
from ours_emulator.jsontext import json_text
from ours_emulator.model import UNCHANGED, UNKNOWN, Change, Exchange, Properties, Version
from ours_emulator.pipeline import Contract, Pipeline
from ours_emulator.records import Identifiers, VisitorVersion
from ours_emulator.store import EventFilter, Retention, Store, VisitorFilter, open_store
from ours_emulator.store.versions import SMALL, Keyframe, change_in, state_in, stored_state, text_of
from requesting import request_to

MIB = 1024 * 1024
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts what a process writes")

# Changes and their texts

SOON = settings(deadline=None)

TEXT = st.text(st.characters(codec=None, categories=None), max_size=3)
VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
NAMES = st.sampled_from(["email", "first_name", "consent", "\x00", "\ud800", "a.b"])
OBJECTS = st.dictionaries(NAMES, VALUES)
CUSTOM: st.SearchStrategy[Properties] = st.fixed_dictionaries({}, optional={"custom_properties": OBJECTS})
SENT = st.tuples(OBJECTS, CUSTOM).map(lambda parts: parts[0] | parts[1])
DEVICE: st.SearchStrategy[Properties] = st.fixed_dictionaries({"device_id": TEXT})
DEVICES = st.none() | st.lists(DEVICE, min_size=1, max_size=2).map(tuple)


@st.composite
def histories(draw: st.DrawFn) -> list[Change]:
    """Changes as messages make them, one after the other, of a visitor of whom nothing was known."""
    state, history = UNKNOWN, list[Change]()
    for _ in range(draw(st.integers(1, 5))):
        properties = changes(state.properties, draw(SENT))
        change = Change(properties, draw(OBJECTS), draw(DEVICES), draw(st.none() | TEXT.filter(bool)))
        state = patched(state, change)
        history.append(change)
    return history


@SOON
@given(histories())
def test_changes_together_do_what_they_do_one_after_the_other(history: list[Change]) -> None:
    state, all_of_them = UNKNOWN, UNCHANGED
    for change in history:
        state, all_of_them = patched(state, change), combined(all_of_them, change)
    assert patched(UNKNOWN, all_of_them) == state
    version = Version(0, 1, UNKNOWN, UNCHANGED)
    for number, change in enumerate(history):
        version = Version(number + 1, 1, version, change)
    assert state_of(version) == state


@SOON
@given(histories(), st.integers(0, 200))
def test_every_version_is_read_as_it_was_written_from_two_rows_at_most(history: list[Change], filler: int) -> None:
    history = [Change({"filler": "x" * filler * 100}), *history]
    keyframe, state, rows = Keyframe(), UNKNOWN, dict[int, tuple[int | None, int, str]]()
    for number, change in enumerate(history, 1):
        state = patched(state, change)
        rows[number] = keyframe.add(Version(number, 1, UNKNOWN, change))
        base_id, _, content = rows[number]
        base = None if base_id is None else rows[base_id]
        assert base is None or base[0] is None
        assert json_text(sorted_state(content, base and base[2])) == json_text(sorted_text(text_of(state)))
        content.encode("ascii")


def sorted_state(content: str, base: str | None) -> Any:
    return sorted_text(text_of(stored_state(content, base)))


def sorted_text(text: str) -> Any:
    """Return what is in *text*; the order of keys says nothing, and 1 is not 1.0."""
    return json.loads(json.dumps(json.loads(text), sort_keys=True))


@SOON
@given(histories())
def test_states_and_changes_survive_being_text(history: list[Change]) -> None:
    change = UNCHANGED
    for more in history:
        change = combined(change, more)
        state = patched(UNKNOWN, change)
        assert text_of(state_in(text_of(state))) == text_of(state)
        assert text_of(change_in(text_of(change))) == text_of(change)


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (1, True), (0, False), ([1], [True]), ({"a": 0}, {"a": -0.0})])
def test_numbers_that_python_takes_for_equal_are_changes(one: JsonValue, other: JsonValue) -> None:
    custom: Properties = {"custom_properties": {"key": other}}
    assert changes({"key": one}, {"key": other}) == {"key": other}
    assert changes({"custom_properties": {"key": one}}, custom) == custom
    assert changes({"key": one, **custom}, {"key": one, **custom}) == {}


def test_small_versions_are_whole_and_large_ones_patches_until_these_are_larger_together() -> None:
    keyframe = Keyframe()
    assert keyframe.add(Version(1, 1, UNKNOWN, Change({"first_name": "Ann"})))[0] is None
    assert keyframe.add(Version(2, 1, UNKNOWN, Change({"first_name": "Bea"})))[0] is None
    assert keyframe.add(Version(3, 1, UNKNOWN, Change({"last_name": "x" * 2 * SMALL})))[0] is None
    written = [keyframe.add(Version(4 + n, 1, UNKNOWN, Change({"city": "x" * (n + 1)}))) for n in range(200)]
    bases = [base_id for base_id, _, _ in written]
    assert set(bases) > {3, None}
    first = bases.index(None)
    patches = sum(len(text) for _, _, text in written[:first])
    assert keyframe.size / 2 < patches <= keyframe.size
    assert bases[first + 1] == 4 + first


# What is written


class Emulator:
    """A pipeline on a store of its own, without HTTP."""

    def __init__(self, store: Store) -> None:
        contract, client = IngestContract(Limits(body=16 * MIB, row=8 * MIB)), ClientContract()
        contracts: dict[str, Contract] = dict.fromkeys(("track", "identify", "batch"), contract)
        contracts |= dict.fromkeys(("client/identify", "client/devices", "client/events", "client/alias"), client)
        self.reader = store.open_reader()
        self.pipeline = Pipeline(store.writer, contracts, Accounts(AccountConfig("x", revision())), Feed())

    async def post(self, endpoint: str, body: dict[str, Any] | list[dict[str, Any]]) -> list[int]:
        """Send *body* and return the ids of its receipts."""
        content = json_text(body if isinstance(body, list) else {"token": "t", **body}).encode()
        key = "Bearer pk_1" if endpoint.startswith("client/") else ""
        request = request_to(endpoint, content, account="a", received_at=1000, authorization=key)
        exchange = await self.pipeline.submit(request)
        assert isinstance(exchange, Exchange)
        outcomes = {receipt.outcome for receipt in exchange.receipts}
        assert outcomes == {"accepted"}, [getattr(receipt.arrival, "sentence", None) for receipt in exchange.receipts]
        return [receipt.id for receipt in exchange.receipts]

    async def names(self, text: str) -> list[str]:
        """Return the ids of the visitors of whom *text* is known."""
        page = await self.reader.visitors("a", VisitorFilter(text=text), 10, None)
        assert page.total == len(page.items)
        return [visitor.visitor_id for visitor in page.items]

    async def version(self, event_id: int) -> VisitorVersion:
        found = await self.reader.visitor_version("a", event_id)
        assert found is not None
        return found


@contextmanager
def emulator(database: Path | str, **retention: int) -> Generator[tuple[asyncio.Runner, Emulator]]:
    with asyncio.Runner() as runner:
        store = open_store(str(database), Retention(**retention))
        emulator = Emulator(store)
        try:
            yield runner, emulator
        finally:
            runner.run(store.open_reader().close())
            emulator.pipeline.close()


def written() -> int:
    """Return how many bytes this process has written so far."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["wchar"])


LARGE: dict[str, dict[str, Any]] = {
    "one value": {"text": "x" * 2 * MIB},
    "2,000 values": {f"key {n}": "x" * 1024 for n in range(2000)},
    "200,000 values": {f"k{n:06}": n for n in range(200_000)},
}


@ON_LINUX
@pytest.mark.parametrize(
    ("kind", "batch"), [("one value", True), ("2,000 values", False), ("200,000 values", True), ("one value", False)]
)
def test_100_small_changes_of_a_large_visitor_write_little(tmp_path: Path, kind: str, batch: bool) -> None:
    large = LARGE[kind]
    path = tmp_path / "store.db"
    events = [
        {
            "event": "E",
            "userId": "u",
            "distinctId": f"{n}",
            "userProperties": {"city": f"city {n}", "custom_properties": {f"small {n}": n}},
        }
        for n in range(100)
    ]
    with emulator(path) as (runner, one):
        (first_id,) = runner.run(one.post("identify", {"userId": "u", "userProperties": {"custom_properties": large}}))
        before = written()
        if batch:
            runner.run(one.post("batch", {"events": events}))
        else:
            for event in events:
                runner.run(one.post("track", event))
        size = written() - before
        assert size < 20 * MIB
        last_id = first_id + 100
        version = runner.run(one.version(last_id))
        custom = version.custom_properties
        assert (version.properties, len(custom)) == (
            {"city": "city 99"},
            len(large) + 100,
        )
        version = runner.run(one.version(last_id - 50))
        assert (version.properties["city"], "small 49" in version.custom_properties) == ("city 49", True)
        assert "small 50" not in version.custom_properties
    assert queried(path, "SELECT count(*), count(base_id) FROM visitor_versions") == [(101, 100)]


def test_a_version_is_stored_when_something_has_changed_and_referred_to_until_it_changes_again(database: str) -> None:

    def event(**properties: object) -> dict[str, Any]:
        return {"event": "E", "userId": "u", "userProperties": properties}

    sent = [event(city="A"), event(city="A"), event(), event(city="B"), event(zip="1"), event(zip="1"), event(zip="2")]
    with emulator(database) as (runner, one):
        for body in sent:
            runner.run(one.post("track", body))
        runner.run(one.post("batch", {"events": [{**body, "distinctId": str(n)} for n, body in enumerate(sent)]}))
    versions = [1, 1, 1, 4, 5, 5, 7, 8, 8, 8, 11, 12, 12, 14]
    found = [row[0] for row in queried(database, "SELECT version_id FROM receipts ORDER BY id")]
    assert found == versions
    assert [row[0] for row in queried(database, "SELECT id FROM visitor_versions ORDER BY id")] == sorted(set(versions))
    assert queried(database, "SELECT version_id FROM visitors") == [(14,)]


# What is read

PHONE: Properties = {
    **dict.fromkeys(("app_name", "app_version", "app_build", "os", "model", "manufacturer"), "text"),
    "device_id": "phone",
}


def test_a_version_shows_everything_that_is_known_of_the_visitor_then(database: str) -> None:
    user = {"email": "a@b.co", "data": {"n": 1}}
    known = {"consent": {"ads": True}, "custom_properties": {"plan": "pro"}}
    with emulator(database) as (runner, one):
        post = one.post
        made, named = runner.run(post("client/events", [{"anonymous_id": "anon", "name": "E", "user": user}]))
        (described,) = runner.run(post("identify", {"email": "a@b.co", "userProperties": known}))
        (aliased,) = runner.run(post("client/alias", {"anonymous_id": "anon", "external_id": "X"}))
        (registered,) = runner.run(post("client/devices", {"external_id": "X", **PHONE}))
        (cleared,) = runner.run(post("identify", {"externalId": "X", "userProperties": {"consent": None}}))
        assert runner.run(one.version(named)) == runner.run(one.version(made))
        versions = [runner.run(one.version(id_)) for id_ in (made, described, aliased, registered, cleared)]
        assert runner.run(one.reader.visitor_version("other", made)) is None
        assert runner.run(one.reader.visitor_version(None, made)) == versions[0]
        assert runner.run(one.reader.visitor_version("a", 1000)) is None
    visitor_id = versions[0].visitor_id
    anonymous = Identifiers(user_id=visitor_id, email="a@b.co", anonymous_id="anon")
    start = VisitorVersion(
        version=made,
        visitor_id=visitor_id,
        account="a",
        identifiers=anonymous,
        properties={"email": "a@b.co"},
        custom_properties={},
        data={"n": 1},
        devices=(),
    )
    filled = replace(start, version=described, custom_properties={"plan": "pro"}, consent={"ads": True})
    alias = replace(
        filled,
        version=aliased,
        identifiers=replace(anonymous, external_id="X"),
        properties={"email": "a@b.co", "external_id": "X"},
    )
    with_phone = replace(alias, version=registered, devices=versions[3].devices)
    assert versions == [start, filled, alias, with_phone, replace(with_phone, version=cleared, consent=None)]
    assert [device["device_id"] for device in with_phone.devices or ()] == ["phone"]


def test_what_is_no_version_of_its_own_is_left_by_the_one_before_and_a_duplicate_leaves_none(database: str) -> None:
    event = {"event": "E", "userId": "u", "distinctId": "1"}
    with emulator(database) as (runner, one):
        (first,) = runner.run(one.post("track", event))
        (alias,) = runner.run(one.post("client/alias", {"anonymous_id": "nobody", "external_id": "nor them"}))
        assert runner.run(one.reader.visitor_version("a", alias)) is None
        (same,) = runner.run(one.post("identify", {"userId": "u", "userProperties": {}}))
        assert runner.run(one.version(same)).version == first
        with pytest.raises(AssertionError, match="duplicate"):
            runner.run(one.post("track", event))
        assert runner.run(one.reader.visitor_version("a", same + 1)) is None


@pytest.mark.parametrize("large", [False, True], ids=["whole", "a patch"])
def test_visitors_are_found_by_what_they_are_now_and_not_by_what_they_were(database: str, large: bool) -> None:
    first = {"first_name": "Ann", "custom_properties": {"pet": "Rex", "text": "x" * SMALL * large}}
    second = {"first_name": "Zoë", "custom_properties": {"pet": {"name": "Tom"}, "n": 4711}}
    with emulator(database) as (runner, one):
        runner.run(one.post("identify", {"userId": "u", "email": "ann@b.co", "userProperties": first}))
        runner.run(one.post("identify", {"userId": "u", "userProperties": second}))
        runner.run(one.post("client/devices", {"external_id": "u", **PHONE}))
        for text in ("Zoë", "tom", "4711", "ann@b.co"):
            assert runner.run(one.names(text)) == ["u"], text
        for text in ("Ann,", "Rex", "devices", "Zoë%"):
            assert runner.run(one.names(text)) == [], text
        page = runner.run(one.reader.events("a", EventFilter(endpoint="identify"), 10, None))
        assert [(event.visitor_properties or {})["first_name"] for event in page.items] == ["Zoë", "Ann"]
    assert queried(database, "SELECT count(*), count(base_id) FROM visitor_versions") == [(2, int(large))]


# What is deleted


def test_versions_go_with_the_last_receipt_that_needs_them(database: str) -> None:
    with emulator(database, rows=10) as (runner, one):
        for number in range(5):
            runner.run(one.post("identify", {"userId": "idle", "userProperties": {"city": f"{number}"}}))
        runner.run(
            one.post(
                "identify", {"userId": "large", "userProperties": {"custom_properties": {"text": "x" * 2 * SMALL}}}
            )
        )
        for number in range(30):
            runner.run(one.post("identify", {"userId": "large", "userProperties": {"zip": f"{number}"}}))
            runner.run(one.post("identify", {"userId": "small", "userProperties": {"zip": f"{number}"}}))
            (oldest,) = queried(database, "SELECT min(id) FROM receipts")[0]
            for pk, size in ((2, 7), (3, 6)):
                kept = [row[0] for row in queried(database, f"SELECT id FROM visitor_versions WHERE visitor_pk = {pk}")]
                # The large visitor has its keyframe beside.
                assert len(kept) <= size + 1
                if number > 10:
                    assert sum(id_ < oldest for id_ in kept) == (2 if pk == 2 else 1)
        page = runner.run(one.reader.events("a", EventFilter(endpoint="identify"), 20, None))
        assert {(event.visitor_properties or {})["zip"] for event in page.items} == {f"{n}" for n in range(25, 30)}
        assert len(queried(database, "SELECT id FROM visitor_versions WHERE visitor_pk = 1")) == 1
        runner.run(one.post("track", {"event": "E", "userId": "idle"}))
        version = runner.run(one.version(runner.run(one.reader.newest_event())))
        assert version.properties == {"city": "4"}


def test_no_version_is_left_of_what_was_reset(database: str) -> None:
    with emulator(database) as (runner, one):
        runner.run(one.post("identify", {"userId": "u", "userProperties": {"city": "A"}}))
        assert runner.run(one.pipeline.reset("a")).visitors == 1
        assert queried(database, "SELECT * FROM visitor_versions") == []
        (event_id,) = runner.run(one.post("identify", {"userId": "u", "userProperties": {"city": "B"}}))
        assert runner.run(one.version(event_id)).version == event_id
        runner.run(one.pipeline.close_account("a"))
        assert queried(database, "SELECT * FROM visitor_versions") == []
