"""Devices, of visitors and of nobody yet: the rules on plain values."""

import pytest

from ours_emulator.decide.devices import PendingDevice, PendingDevices, registered
from ours_emulator.decide.identity import Name
from ours_emulator.model import Properties

ANN: Name = (1, "external_id", "ann")
ANON: Name = (1, "anonymous_id", "ann")
BOB: Name = (1, "external_id", "bob")


def device(id_: str, token: str | None = None, **more: str | None) -> Properties:
    return {"device_id": id_, "token": token, **more}


@pytest.mark.rule("client-devices")
@pytest.mark.parametrize(
    ("known", "new", "expected"),
    [
        ([], device("a"), [device("a")]),
        ([device("a")], device("b"), [device("a"), device("b")]),
        ([device("a", os="1")], device("a", os="2"), [device("a", os="2")]),
        ([device("a", os="1")], device("a"), [device("a", os="1")]),
        ([device("a", "t")], device("a", None), [device("a", None)]),
        ([device("a", "t")], device("b", "t"), [device("b", "t")]),
        ([device("a", None)], device("b", None), [device("a", None), device("b", None)]),
        ([device("a", "")], device("b", ""), [device("a", ""), device("b", "")]),
        ([device("a", "t"), device("b")], device("b", "t"), [device("a", "t"), device("b", "t")]),
        ([device("a", "t"), device("b", "t")], device("c", "t"), [device("c", "t"), device("b", "t")]),
    ],
    ids=[
        "the first one",
        "another one is added",
        "the same id is updated",
        "what is not said stays",
        "null clears the token",
        "the same token is the same device",
        "no token is no likeness",
        "an empty token is no likeness either",
        "the id counts before the token",
        "of several with the token the first",
    ],
)
def test_a_device_is_added_or_updated(known: list[Properties], new: Properties, expected: list[Properties]) -> None:
    before = [dict(it) for it in known]
    assert list(registered(known, new)) == expected
    assert known == before


@pytest.mark.rule("client-devices-wait")
def test_a_device_leaves_with_the_first_of_its_names_that_appears() -> None:
    pending = PendingDevices([], 1)
    pending.add((ANN, ANON), device("a"))
    assert pending.take([BOB]) == []
    assert pending.take([ANON]) == [device("a")]
    assert pending.take([ANN]) == []
    assert (pending.changed, pending.removed) == ({}, {1})


@pytest.mark.rule("client-devices-wait")
def test_the_same_device_is_pending_once_and_is_updated() -> None:
    pending = PendingDevices([PendingDevice(4, (ANN,), device("a", os="1", model="m"))], 5)
    pending.add((ANN,), device("a", os="2"))
    pending.add((ANN,), device("b"))
    assert sorted(pending.changed) == [4, 5]
    assert pending.take([ANN]) == [device("a", os="2", model="m"), device("b")]
    assert (pending.changed, pending.removed) == ({}, {4, 5})


@pytest.mark.rule("client-devices-wait")
def test_the_same_device_of_other_names_is_pending_apart() -> None:
    pending = PendingDevices([], 1)
    pending.add((ANN,), device("a"))
    pending.add((BOB,), device("a"))
    assert [pending.take([name]) for name in (ANN, BOB)] == [[device("a")], [device("a")]]
