"""The tests of the app: the fixture comes with `pip install ours-emulator`, there is nothing to start."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from ours_emulator.emulator import Emulator
from signup import create_app


@pytest.fixture
def client(ours_emulator: Emulator) -> Iterator[TestClient]:
    with TestClient(create_app(ours_emulator.token)) as client:
        yield client


@pytest.mark.ours_emulator(strict=True)
def test_a_signup_is_tracked(client: TestClient, ours_emulator: Emulator) -> None:
    with ours_emulator.expect("Signed Up", email="ann@example.com") as expected:
        assert client.post("/signup", json={"email": "ann@example.com", "plan": "pro"}).status_code == 201
    assert expected.event.event_properties == {"plan": "pro"}
    assert ours_emulator.visitor(email="ann@example.com").event_count == 1


def test_a_refusal_explains_itself(client: TestClient, ours_emulator: Emulator) -> None:
    assert client.post("/signup", json={"email": ""}).status_code == 502
    [refused] = ours_emulator.events(outcome="rejected")
    assert refused.reason is not None
    assert refused.reason.path == "/email"
    with pytest.raises(AssertionError, match=r"rejected: email: .* \[schema\]"):
        ours_emulator.assert_tracked("Signed Up")


def test_the_sdk_tries_again_when_told_to_wait(client: TestClient, ours_emulator: Emulator) -> None:
    with ours_emulator.fault(path="/track", status=429, retry_after=0.01, times=2) as fault:
        assert client.post("/signup", json={"email": "ann@example.com"}).status_code == 201
    assert fault.hits == 2
    assert [request.status for request in ours_emulator.requests()] == [429, 429, 200]
    ours_emulator.assert_tracked("Signed Up", count=1)


@pytest.mark.parametrize("send_nulls", [False, True])
def test_null_wipes_the_click_id(ours_emulator: Emulator, send_nulls: bool) -> None:
    # null clears a property, and an absent one stays: an app that sends every field of a form loses attribution.
    with TestClient(create_app(ours_emulator.token, send_nulls=send_nulls)) as client:
        client.post("/signup", json={"email": "ann@example.com", "gclid": "click-1"})
        client.post("/profile/ann@example.com", json={"city": "Bern"})
    properties = ours_emulator.visitor(email="ann@example.com").properties
    assert properties["city"] == "Bern"
    assert properties.get("gclid") == (None if send_nulls else "click-1")
