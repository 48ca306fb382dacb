"""The vendor's own SDK against a live emulator: its own suite, and what its users do, sync and async."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx2 as httpx
import ours_privacy
import pytest
from ours_privacy import AsyncOursPrivacy, OursPrivacy

from serving import Account, serving

HERE = Path(__file__).parent
SUITE = Path(sys.prefix) / "sdk-suite"
SKIPPED = {"fails because of a memory leak that started from 3.12": 2}
"""How many tests of its suite the SDK skips, by the reason that it has: both are about the SDK alone."""
GOOD: Any = {"event": "E", "distinct_id": "d1", "user_id": "u", "event_properties": {"amount": "9"}}
BAD: Any = {"event": "E", "distinct_id": "d2"}


def good(distinct_id: str) -> Any:
    return {**GOOD, "distinct_id": distinct_id}


@pytest.mark.slow
@pytest.mark.rule("root-path", "experiment-paths")
def test_the_whole_suite_of_the_sdk_passes_and_only_what_is_about_the_sdk_alone_is_skipped(tmp_path: Path) -> None:
    results = tmp_path / "results.xml"
    options = ("-p", "sdk_suite_hooks", "-p", "no:cacheprovider", "-n", "0", "-q", "--junitxml", results)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    # Its bodies have no identifier, or the time 0.
    with serving(revision="2026-10", require_identifier=False, now="1970-01-01T00:00:01Z") as server:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options],
            env={
                **environment,
                "TEST_API_BASE_URL": server.url,
                "PYTHONPATH": os.pathsep.join(map(str, (SUITE / "needs", HERE))),
            },
            cwd=SUITE / "source",
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
        )
        sent = {request["endpoint"]: request["status"] for request in server.default.debug("requests")["items"]}
    assert done.returncode == 0, done.stdout + done.stderr
    cases = list(ElementTree.parse(results).iter("testcase"))
    reasons = [skipped.get("message") for case in cases for skipped in case.iter("skipped")]
    assert {reason: reasons.count(reason) for reason in reasons} == SKIPPED
    assert len(cases) > 580
    assert sent == dict.fromkeys(("track", "identify", "batch", "assignments", "personalization"), 200)


@pytest.fixture(params=["", "/api/v1"])
def base_url(request: pytest.FixtureRequest, account: Account) -> str:
    return account.url + str(request.param)


@pytest.fixture
def client(base_url: str) -> Iterator[OursPrivacy]:
    with OursPrivacy(base_url=base_url, _strict_response_validation=True) as client:
        yield client


def test_the_variable_of_the_banner_points_an_unchanged_app_here(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS_PRIVACY_BASE_URL", f"{account.url}/api/v1")
    with OursPrivacy() as client:
        assert client.track.event(token="t", event="Purchase", user_id="u").success is True
    assert account.events()[0]["event"] == "Purchase"


def test_track_identify_and_batch(client: OursPrivacy, account: Account) -> None:
    assert client.track.event(token="t", event="Purchase", external_id="x", email="a@b.co").success is True
    assert client.visitor.upsert(token="t", external_id="x", user_properties={"first_name": "Ann"}).success is True
    batch = client.batch.create(token="t", events=[GOOD, good("d3")])
    assert (batch.success, batch.accepted, batch.failed) == (True, 2, 0)
    assert [event["event"] for event in reversed(account.events())] == ["Purchase", "$identify", "E", "E"]
    visitor = account.visitor(external_id="x")
    assert visitor["properties"] == {"external_id": "x", "email": "a@b.co", "first_name": "Ann"}


@pytest.mark.rule("batch-answers")
def test_a_batch_with_a_bad_row_says_which(client: OursPrivacy) -> None:
    batch = client.batch.create(token="t", events=[GOOD, BAD])
    assert (batch.success, batch.accepted, batch.failed) == (False, 1, 1)
    assert [(result.index, result.success) for result in batch.results] == [(0, True), (1, False)]


def test_a_refusal_raises_the_sdks_own_errors(client: OursPrivacy, account: Account) -> None:
    with pytest.raises(ours_privacy.BadRequestError) as refused:
        client.track.event(token="t", event="E")
    assert refused.value.body == {"success": False}
    assert refused.value.response.headers["x-emulator-reason"] == "identifier"
    with pytest.raises(ours_privacy.AuthenticationError):
        client.track.event(token="", event="E", user_id="u")
    with pytest.raises(ours_privacy.BadRequestError) as all_bad:
        client.batch.create(token="t", events=[BAD])
    body: Any = all_bad.value.body
    assert body.keys() == {"success", "error"}
    assert account.visitors() == []


class LosingTransport(httpx.HTTPTransport):
    """A network that delivers every request but loses the first answers."""

    def __init__(self, losses: int) -> None:
        super().__init__()
        self._losses = losses

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if self._losses:
            self._losses -= 1
            response.close()
            raise httpx.ReadError("the answer was lost", request=request)
        return response


@pytest.mark.parametrize("distinct_id", ["order-1", None])
def test_retries_are_attempts_of_one_call_in_the_journal(account: Account, distinct_id: str | None) -> None:
    account.track(userId="somebody before")
    network = httpx.Client(transport=LosingTransport(2))
    with OursPrivacy(base_url=account.url, http_client=network, max_retries=2) as client:
        sent: Any = {} if distinct_id is None else {"distinct_id": distinct_id}
        assert client.track.event(token="t", event="Paid", user_id="u", **sent).success is True
        client.track.event(token="t", event="Paid", user_id="u", **sent)
    journal = list(reversed(account.debug("requests")["items"]))
    first = journal[1]["id"]
    assert [line["attempt"] for line in journal] == [1, 1, 2, 3, 1]
    assert [line["call_id"] for line in journal[1:4]] == [first] * 3
    assert journal[4]["call_id"] == journal[4]["id"]
    # The lesson the journal teaches: without a distinct id, a lost answer is a doubled event.
    assert len(account.events(event="Paid")) == (1 if distinct_id else 4)


def test_the_async_client(account: Account) -> None:
    async def use() -> None:
        async with AsyncOursPrivacy(base_url=account.url, _strict_response_validation=True) as client:
            sent = [client.track.event(token="t", event="E", external_id="x", distinct_id=f"d{n}") for n in range(20)]
            assert all(answer.success for answer in await asyncio.gather(*sent))
            await client.visitor.upsert(token="t", external_id="x", user_properties={"city": "Bern"})
            batch = await client.batch.create(token="t", events=[good("b1"), BAD])
            assert (batch.accepted, batch.failed) == (1, 1)
            with pytest.raises(ours_privacy.BadRequestError):
                await client.track.event(token="t", event="E")

    asyncio.run(use())
    assert account.visitor(external_id="x")["event_count"] == 21
    assert account.visitor(external_id="x")["properties"]["city"] == "Bern"


@pytest.mark.rule("property-null", "property-absent")
def test_none_clears_and_not_given_leaves(client: OursPrivacy, account: Account) -> None:
    client.visitor.upsert(token="t", user_id="u", user_properties={"gclid": "g1", "city": "Bern"})
    client.visitor.upsert(token="t", user_id="u", user_properties={"city": "Basel"})
    assert account.visitor()["properties"] == {"gclid": "g1", "city": "Basel"}
    client.visitor.upsert(token="t", user_id="u", user_properties={"gclid": None})
    assert account.visitor()["properties"] == {"city": "Basel"}
