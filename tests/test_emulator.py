"""The handles, sync and async, and the emulators they run: in a thread, in this process, in an event loop."""

import asyncio
import inspect
import io
import os
import re
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from fastapi.testclient import TestClient

from ours_emulator import parent_process
from ours_emulator.app import create_app
from ours_emulator.emulator import (
    AsyncEmulator,
    Emulator,
    EmulatorError,
    ExpectationError,
    Hint,
    Resolution,
    Step,
    run_emulator,
    run_emulator_async,
)
from ours_emulator.emulator.local import handle_of
from ours_emulator.handshake import Order
from ours_emulator.records import Event, Reset, RuleCount, SentAnswer, VisitorChange, from_json
from ours_emulator.settings import SettingsError, load
from ours_emulator.store import StoreError
from serving import Account, Server, serving
from waiting import is_running, until

ROOT = Path(__file__).parent.parent
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def emulator(account: Account) -> Iterator[Emulator]:
    with Emulator(account.url) as handle:
        yield handle


async def awaited(thing: Any) -> Any:
    """Return a result, which the asynchronous handle has to be awaited for."""
    return await thing if inspect.isawaitable(thing) else thing


@asynccontextmanager
async def entered(block: Any) -> AsyncGenerator[Any]:
    """Enter a block of either handle."""
    if hasattr(block, "__enter__"):
        with block as given:
            yield given
    else:
        async with block as given:
            yield given


async def listed(items: Any) -> list[Any]:
    """Return what either handle yields."""
    return [item async for item in items] if hasattr(items, "__aiter__") else list(items)


async def first_of(items: Any) -> Any:
    """Return the first thing that either handle yields, and close the rest."""
    if not hasattr(items, "__aiter__"):
        with closing(items):
            return next(items)
    async with aclosing(items):
        return await anext(items)


def later(do: Callable[[], object]) -> threading.Timer:
    """Do something soon, in another thread."""
    timer = threading.Timer(0.05, do)
    timer.start()
    return timer


def test_addresses_follow_from_the_url() -> None:
    handle = Emulator("http://127.0.0.1:4010/")
    assert (handle.url, handle.account) == ("http://127.0.0.1:4010", None)
    assert handle.ingest_url == "http://127.0.0.1:4010/api/v1"
    account = Emulator("http://127.0.0.1:4010/accounts/a.b/api/v1")
    assert (account.url, account.account) == ("http://127.0.0.1:4010/accounts/a.b", "a.b")
    assert account.client_url == "http://127.0.0.1:4010/accounts/a.b/api/client"
    assert account.env == {
        "OURS_PRIVACY_BASE_URL": account.ingest_url,
        "OURS_EMULATOR_URL": account.url,
        "OURS_EMULATOR_CLIENT_URL": account.client_url,
        "OURS_EMULATOR_TOKEN": account.token,
        "OURS_EMULATOR_PUBLIC_KEY": account.public_key,
    }


@pytest.mark.parametrize("url", ["127.0.0.1:4010", "ftp://h", "http://h/debug", "http://", ""])
def test_what_is_not_an_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not the address of an emulator"):
        Emulator(url)


def test_an_address_that_is_no_text_is_refused() -> None:
    number: Any = 5
    with pytest.raises(TypeError, match=r"^5 is not the address of an emulator; use one like http"):
        Emulator(number)


def test_results_have_attributes(emulator: Emulator, account: Account) -> None:
    account.track(event="Paid", userId="u", email="a@b.co", eventProperties={"plan": "pro"}, properties={})
    [event] = emulator.events()
    assert (event.event, event.visitor_id, event.outcome, event.account) == ("Paid", "u", "accepted", emulator.account)
    assert event.event_properties["plan"] == "pro"
    assert event.received_at.tzinfo is not None
    assert event.hints == (Hint("unknown-keys", "/properties", "dropped; did you mean eventProperties?"),)
    steps = (Step("userId", "u", "not_found"), Step("email", "a@b.co", "skipped"))
    assert event.resolution == Resolution("userId", True, steps).explained()
    shown = emulator.event(event.id)
    assert [getattr(shown, it.name) for it in fields(Event)] == [getattr(event, it.name) for it in fields(Event)]
    assert shown.changes[1] == VisitorChange(path="identifiers.email", action="added", after="a@b.co")
    visitor = emulator.visitor(email="a@b.co")
    assert (visitor.visitor_id, visitor.identifiers.email, visitor.event_count) == ("u", "a@b.co", 1)
    [request] = emulator.requests()
    assert (request.method, request.endpoint, request.status, request.fault) == ("POST", "track", 200, None)
    detail = emulator.request(request.id)
    assert detail.events == (event,)
    assert '"Paid"' in (detail.body or "")
    assert emulator.summary().events == {"Paid": 1}
    account.track(event="Refused")
    refused, hinted = RuleCount(rule="identifier", refused=1), RuleCount(rule="unknown-keys", hinted=1)
    assert emulator.rule_counts() == [refused, hinted]
    assert [event.event for event in emulator.events(reason="identifier")] == ["Refused"]


def test_a_refusal_has_its_reason(emulator: Emulator, account: Account) -> None:
    account.track()
    assert emulator.events() == []
    [event] = emulator.events(outcome="rejected")
    assert event.reason is not None
    assert (event.reason.rule, event.reason.status) == ("identifier", 400)


def test_lists_are_whole_and_begin_with_the_oldest(emulator: Emulator, account: Account) -> None:
    rows = [{"event": "E", "userId": "u", "distinctId": str(number)} for number in range(1000)]
    assert account.batch(*rows).status_code == 200
    account.track(userId="u", distinctId="last")
    events = emulator.events()
    assert [event.distinct_id for event in events] == [*map(str, range(1000)), "last"]
    assert events.evicted == 0
    assert [request.endpoint for request in emulator.requests()] == ["batch", "track"]


def test_parameters_go_to_the_debug_api(emulator: Emulator, account: Account) -> None:
    account.track(userId="u", token="test_t")
    account.track(userId="v")
    assert [event.visitor_id for event in emulator.events(test=True)] == ["u"]
    assert emulator.events(since=datetime(2199, 1, 1, tzinfo=UTC)) == []
    with pytest.raises(EmulatorError, match="unknown parameter tset; did you mean test"):
        emulator.events(tset=True)


def test_keys_of_a_newer_server_are_left_out(emulator: Emulator, account: Account) -> None:
    account.track(userId="u", properties={})
    shown: Any = account.events()[0]
    newer = {**shown, "mood": "good", "hints": [{**shown["hints"][0], "severity": 3}]}
    assert from_json(Event, newer) == emulator.events()[0]


def test_a_visitor_that_is_not_there_is_reported_with_those_that_are(emulator: Emulator, account: Account) -> None:
    with pytest.raises(ExpectationError, match="there is no visitor; there are no visitors"):
        emulator.visitor()
    account.track(userId="u", email="a@b.co")
    with pytest.raises(ExpectationError, match=r"there is no visitor with email='b@b.co'; there are:\n  u: email='a@b"):
        emulator.visitor(email="b@b.co")
    account.track(userId="v")
    with pytest.raises(ExpectationError, match="expected one visitor, but there are 2"):
        emulator.visitor()


def test_waiting_ends_when_the_event_arrives(emulator: Emulator, account: Account) -> None:
    timer = later(lambda: account.track(event="Signed Up", email="a@b.co", eventProperties={"plan": {"name": "pro"}}))
    event = emulator.wait_for("Signed Up", email="a@b.co", match={"event_properties.plan.name": {"$regex": "^p"}})
    timer.join()
    assert event == emulator.events()[0]
    assert emulator.last_miss is None


def test_a_failed_wait_explains_itself_property_by_property(emulator: Emulator, account: Account) -> None:
    account.track(event="Signed Up", email="b@b.co", eventProperties={"plan": "free"})
    account.track(event="Signed Up", eventProperties={"plan": "pro"})
    with pytest.raises(ExpectationError) as failed:
        emulator.wait_for("Signed Up", email="a@b.co", event_properties={"plan": "pro"}, timeout=0.01)
    message = str(failed.value)
    assert message.startswith(
        "expected at least 1 event 'Signed Up' email='a@b.co' event_properties={\"plan\": \"pro\"}\n"
    )
    assert "    email: expected 'a@b.co', got 'b@b.co'" in message
    assert "    event_properties.plan: expected 'pro', got 'free'" in message
    refused = message.index("rejected: needs one of userId, externalId and email [identifier]")
    assert refused < message.index("got 'b@b.co'")
    assert [one.event.outcome for one in failed.value.candidates] == ["rejected"]
    assert [miss.path for miss in failed.value.near_misses[0].misses] == ["email", "event_properties.plan"]
    assert emulator.last_miss is failed.value


def test_a_wait_for_several_needs_them_all(emulator: Emulator, account: Account) -> None:
    account.track(userId="u", distinctId="1")
    with pytest.raises(ExpectationError, match="expected at least 2 events 'Test'"):
        emulator.wait_for("Test", count=2, timeout=0.01)
    account.track(userId="u", distinctId="2")
    assert emulator.wait_for("Test", count=2).distinct_id == "2"


def test_expect_counts_only_what_its_block_brings(emulator: Emulator, account: Account) -> None:
    account.track(userId="u", distinctId="before")
    with emulator.expect("Test") as expected:
        timer = later(lambda: account.track(userId="u", distinctId="inside"))
    timer.join()
    assert expected.event.distinct_id == "inside"
    with emulator.expect("Test", mode="none", settle=0.01):
        pass
    with pytest.raises(ExpectationError), emulator.expect("Test", timeout=0.01):
        pass
    with pytest.raises(KeyError), emulator.expect("Test", timeout=0.01):
        raise KeyError


def test_assertions_look_at_what_is_there(emulator: Emulator, account: Account) -> None:
    account.track(event="Viewed", userId="u")
    account.track(event="Paid", userId="u", eventProperties={"amount": 9})
    assert emulator.assert_tracked("Paid", event_properties={"amount": 9}).event == "Paid"
    emulator.assert_tracked(count=2, user_id="u")
    emulator.assert_none("Refunded")
    assert [event.event for event in emulator.assert_sequence("Viewed", {"event": "Paid"})] == ["Viewed", "Paid"]
    with pytest.raises(ExpectationError, match="expected at least 1 event 'Refunded'"):
        emulator.assert_tracked("Refunded")
    with pytest.raises(ExpectationError, match="expected exactly 2 events 'Paid'"):
        emulator.assert_tracked("Paid", count=2)
    with pytest.raises(ExpectationError, match="expected no event 'Paid'"):
        emulator.assert_none("Paid")
    with pytest.raises(ExpectationError, match="expected in this order: 'Paid', 'Viewed'"):
        emulator.assert_sequence("Paid", "Viewed")
    with pytest.raises(ValueError, match="assert_none"):
        emulator.assert_tracked("Paid", count=0)


def test_the_last_event_to_arrive_is_returned_however_many_match(emulator: Emulator, account: Account) -> None:
    with emulator.expect("Test", count=1500) as expected:
        for first in (0, 750):
            account.batch(*({"event": "Test", "userId": "u", "distinctId": str(first + n)} for n in range(750)))
    assert emulator.wait_for("Test").distinct_id == "1499"
    assert emulator.assert_tracked("Test", count=1500).distinct_id == "1499"
    assert (expected.event.distinct_id, len(expected.events)) == ("1499", 1000)


def test_an_expectation_needs_no_journal() -> None:
    with serving(keep_body_bytes=0) as server, Emulator(server.url) as emulator:
        assert server.default.track(event="Before", userId="u").status_code == 200
        with pytest.raises(ExpectationError, match="no events matched"), emulator.expect("Before", timeout=0.01):
            pass


def test_an_expectation_of_nothing_has_no_event(emulator: Emulator) -> None:
    with emulator.expect("Test", mode="none") as expected:
        pass
    assert expected.events == []
    with pytest.raises(ValueError, match="there is no event"):
        _ = expected.event


def test_a_mistake_in_a_match_is_no_failed_expectation(emulator: Emulator) -> None:
    with pytest.raises(EmulatorError, match="did you mean event"):
        emulator.assert_none(match={"evnt": "x"})


def test_a_timeout_in_the_spelling_of_the_debug_api_names_the_right_argument(emulator: Emulator) -> None:
    wrong: Any = {"timeout_ms": 1}
    also_wrong: Any = {"settle_ms": 1}
    with pytest.raises(TypeError, match=r"^timeout_ms is not a field of an event; use timeout=, in seconds$"):
        emulator.wait_for("E", **wrong)
    with pytest.raises(TypeError, match="use settle="):
        emulator.expect("E", **also_wrong)


@pytest.mark.parametrize(
    ("timeout", "kind", "said"),
    [
        ("5", TypeError, "timeout must be a number of seconds, not '5'"),
        (None, TypeError, "timeout must be a number of seconds, not None"),
        (100, ValueError, "timeout must be from 0 to 55 seconds, not 100"),
        (-0.5, ValueError, "timeout must be from 0 to 55 seconds, not -0.5"),
        (float("nan"), ValueError, "timeout must be from 0 to 55 seconds, not nan"),
    ],
)
def test_a_timeout_that_is_none_is_told_in_seconds(
    emulator: Emulator, timeout: Any, kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=f"^{re.escape(said)}$"):
        emulator.wait_for("E", timeout=timeout)
    with pytest.raises(kind, match=f"^{re.escape(said)}$"):
        emulator.expect("E", timeout=timeout)
    with pytest.raises(kind, match="settle"):
        emulator.expect("E", settle=timeout)


def test_the_times_of_a_wait_that_are_too_long_together_are_told_in_seconds(emulator: Emulator) -> None:
    told = "timeout and settle together must be from 0 to 55 seconds, not 70"
    with pytest.raises(ValueError, match=f"^{told}$"):
        emulator.expect("E", timeout=40, settle=30)


def test_a_timeout_of_readiness_has_no_upper_limit_but_must_be_a_number(emulator: Emulator) -> None:
    wrong: Any = "5"
    emulator.wait_ready(timeout=100)
    for call in (emulator.wait_ready, emulator.version, partial(emulator.replay, "")):
        with pytest.raises(TypeError, match=r"^timeout must be a number of seconds, not '5'$"):
            call(timeout=wrong)
    with pytest.raises(ValueError, match=r"^timeout must be at least 0 seconds, not -1$"):
        emulator.wait_ready(-1)


def test_a_step_of_the_clock_that_is_none_says_what_one_is(emulator: Emulator) -> None:
    wrong: Any = 8
    misspelt: Any = {"dayz": 8}
    with pytest.raises(TypeError, match=r"^advance takes a timedelta, or parts of one such as days=8, not 8$"):
        emulator.clock.advance(wrong)
    with pytest.raises(TypeError, match=r"^dayz is not a timedelta part; did you mean days\?$"):
        emulator.clock.advance(**misspelt)


def test_a_step_of_the_clock_that_is_too_long_or_no_number_is_refused(emulator: Emulator) -> None:
    days: Any = "1"
    with pytest.raises(TypeError, match=r"^days must be a number, not '1'$"):
        emulator.clock.advance(days=days)
    for much in (10**9, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=rf"^the clock cannot be advanced by {{'days': {much}}}; use at most "):
            emulator.clock.advance(days=much)


def test_a_limit_that_is_no_integer_is_refused_at_once(emulator: Emulator) -> None:
    limit: Any = "5"
    for latest in (emulator.latest_events, emulator.latest_visitors, emulator.latest_requests):
        with pytest.raises(TypeError, match=r"^limit must be an integer, not '5'$"):
            latest(limit)


def test_replay_takes_lines_of_text_and_refuses_what_is_none(emulator: Emulator, server: Server) -> None:
    for number in range(2):
        httpx.post(f"{emulator.ingest_url}/track", json={"token": "t", "event": "E", "userId": "u", "x": number})
    text = emulator.export()
    for lines in (text.splitlines(), text.splitlines(keepends=True), iter(text.splitlines()), io.StringIO(text)):
        assert Emulator(server.account().url).replay(lines).imported == 2
    for given in ([{"a": 1}], {"a": 1}, 5, iter([5])):
        wrong: Any = given
        with pytest.raises(TypeError, match=r"^replay takes JSON Lines as text, bytes, or several lines, not "):
            emulator.replay(wrong)


@pytest.mark.parametrize("at", [1.5, datetime(2026, 1, 1, tzinfo=UTC).date(), timedelta(days=8)], ids=repr)
def test_a_time_of_the_clock_that_is_none_says_what_one_is(emulator: Emulator, at: Any) -> None:
    for change in (emulator.clock.freeze, emulator.clock.set):
        with pytest.raises(TypeError, match=r"^a time must be a datetime, ISO 8601, or milliseconds since the epoch, "):
            change(at)


def test_an_unknown_option_of_a_fault_is_told_with_the_nearest_one(emulator: Emulator) -> None:
    misspelt: Any = {"statuss": 429}
    with pytest.raises(TypeError, match=r"^statuss is not a fault option; did you mean status\?$"):
        emulator.fault(**misspelt)
    with pytest.raises(
        ValueError, match=r"^the fault has no effect; give status, delay_ms, connection, code, sequence or"
    ):
        emulator.fault(path="/batch", times=2)
    as_in_the_debug_api: Any = {"answer": {"status": 429}, "match": {"path": "/batch"}}
    with emulator.fault(**as_in_the_debug_api) as fault:
        assert fault.hits == 0


def test_hints_are_asserted_to_be_none(emulator: Emulator, account: Account) -> None:
    account.track(userId="u")
    emulator.assert_no_hints()
    account.track(userId="u", properties={})
    with pytest.raises(ExpectationError, match=r"there are 1; fix .*:\n.*did you mean eventProperties"):
        emulator.assert_no_hints()
    emulator.assert_no_hints(ignore=["unknown-keys"])
    emulator.assert_no_hints(ignore="unknown-keys")


def test_a_rule_to_ignore_that_does_not_exist_is_refused_with_the_nearest_one(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match=r"^ignore: unknown rule 'unknwn-keys'; did you mean unknown-keys\?"):
        emulator.assert_no_hints(ignore=["unknwn-keys"])


def test_a_match_with_an_empty_name_in_a_path_is_refused_and_a_property_so_named_is_found(
    emulator: Emulator, account: Account
) -> None:
    account.track(userId="u", eventProperties={"": 1, "etc.": 2})
    emulator.assert_tracked("Test", match={"event_properties": {"": 1, "etc.": 2}})
    with pytest.raises(EmulatorError, match="empty name in path"):
        emulator.assert_none("Test", match={"event_properties.": 1})


def test_a_count_that_contradicts_its_mode_or_is_no_number_is_refused(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match=r"^count is 3, but mode none expects no event; omit count$"):
        emulator.expect("Test", mode="none", count=3)
    two: Any = "2"
    for refused in (emulator.wait_for, emulator.expect, emulator.assert_tracked):
        with pytest.raises(TypeError, match=r"^count must be an integer, not '2'$"):
            refused("Test", count=two)


def test_a_match_that_is_no_dict_is_refused(emulator: Emulator) -> None:
    name: Any = "Paid"
    for refused in (emulator.wait_for, emulator.expect, emulator.assert_tracked, emulator.assert_none):
        with pytest.raises(TypeError, match=r"^match must be a dict, such as .*, not 'Paid'$"):
            refused(match=name)


@pytest.mark.parametrize(
    ("value", "described"),
    [
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ({"pro"}, "{'pro'}"),
        (len, "<built-in function len>"),
        (b"pro", "b'pro'"),
        (Decimal(1), "Decimal('1')"),
    ],
)
def test_a_value_in_a_match_that_json_does_not_have_is_refused_with_its_field(
    emulator: Emulator, value: object, described: str
) -> None:
    told = f"is {re.escape(described)}, which JSON does not have; use text, a finite number, "
    plan = {"plan": [1, {"name": value}]}
    for refused in (emulator.wait_for, emulator.expect, emulator.assert_tracked, emulator.assert_none):
        with pytest.raises(TypeError, match=rf"^event_properties\.plan\.1\.name {told}"):
            refused("Paid", event_properties=plan)
        with pytest.raises(TypeError, match=rf"^event_properties\.plan {told}"):
            refused("Paid", match={"event_properties.plan": value})
    with pytest.raises(TypeError, match=rf"^matches\.1\.event {told}"):
        emulator.assert_sequence("Paid", {"event": value})


def test_a_number_that_json_does_not_have_is_refused_in_a_fault_too(emulator: Emulator) -> None:
    with pytest.raises(ValueError, match=r"delay_ms.*cannot be written as JSON"):
        emulator.fault(delay_ms=float("nan"))


def test_a_step_that_is_no_match_is_refused_with_its_number(emulator: Emulator) -> None:
    missing: Any = None
    with pytest.raises(TypeError, match=r"^matches\.1 must be the name of an event or a dict, not None$"):
        emulator.assert_sequence("Paid", missing)


def test_a_field_that_is_given_twice_is_refused(emulator: Emulator, account: Account) -> None:
    account.track(userId="u")
    with pytest.raises(TypeError, match=r"^user_id is given twice, by itself and in match; give it once$"):
        emulator.wait_for("Test", user_id="nobody", match={"user_id": "u"})
    with pytest.raises(TypeError, match=r"^event is given twice"):
        emulator.assert_tracked("Paid", match={"event": "Test"})


def test_a_filter_that_is_none_or_no_text_is_refused(emulator: Emulator, account: Account) -> None:
    account.track(userId="u")
    wrong: list[Any] = [None, ["u"], {"$regex": "u"}, float("nan"), len]
    for value in wrong:
        for refused in (emulator.visitor, emulator.visitors):
            with pytest.raises(TypeError, match=r"^email is .*; use text, a number, a bool or a datetime, or omit it$"):
                refused(email=value)
        for listed in (emulator.events, emulator.requests):
            with pytest.raises(TypeError, match=r"^since is "):
                listed(since=value)


def test_a_fault_lasts_as_long_as_its_block_and_counts_its_hits(emulator: Emulator, account: Account) -> None:
    with emulator.fault(status=429, retry_after=1, path="/track", times=2) as fault:
        assert fault.hits == 0
        assert account.track(userId="u").headers["retry-after"] == "1"
        assert fault.hits == 1
        assert account.identify(userId="u", userProperties={}).status_code == 200
        assert [account.track(userId="u").status_code for _ in range(2)] == [429, 200]
    assert fault.hits == 2
    assert account.track(userId="u").status_code == 200
    assert [request.fault is not None for request in emulator.requests()] == [True, False, True, False, False]


@pytest.mark.parametrize("kind", [Emulator, AsyncEmulator])
def test_the_hits_of_a_fault_are_right_inside_and_after_its_block(
    account: Account, kind: type[Emulator] | type[AsyncEmulator]
) -> None:
    async def use() -> None:
        async with entered(kind(account.url).fault(status=503)) as fault:
            assert fault.hits == 0
            account.track(userId="u")
            assert fault.hits == 1
            account.track(userId="u")
            assert await awaited(fault.look()) == 2
            assert fault.hits == 2
            account.track(userId="u")
        assert fault.hits == 3
        assert await awaited(fault.look()) == 3

    asyncio.run(use())


@pytest.mark.parametrize("kind", [Emulator, AsyncEmulator])
def test_what_the_command_line_uses_is_there_for_tests_too(
    account: Account, kind: type[Emulator] | type[AsyncEmulator], tmp_path: Path
) -> None:
    async def use() -> None:
        emulator = kind(account.url)
        await awaited(emulator.wait_ready(10))
        for name in ("a", "b", "c"):
            account.track(event=name, userId=name)
        assert [event.event for event in await listed(emulator.latest_events(2))] == ["c", "b"]
        assert [event.event for event in await listed(emulator.latest_events(5, "a"))] == ["a"]
        assert [visitor.visitor_id for visitor in await listed(emulator.latest_visitors(1, user_id="b"))] == ["b"]
        assert await listed(emulator.latest_visitors(0)) == []
        async with entered(emulator.stream_export(redact=True)) as export:
            (tmp_path / "journal.jsonl").write_bytes(b"".join(await listed(export.parts)))
            assert export.evicted == 0
        assert (tmp_path / "journal.jsonl").read_text() == await awaited(emulator.export(redact=True))
        copy = await awaited(emulator.open_account())
        with (tmp_path / "journal.jsonl").open("rb") as file:
            assert (await awaited(copy.replay(file))).imported == 3
        stream = emulator.tail("b", after=0)
        assert (await first_of(stream)) == (await listed(emulator.latest_events(1, "b")))[0]

    asyncio.run(use())


def test_an_emulator_that_is_not_ready_in_time_is_reported() -> None:
    with pytest.raises(EmulatorError, match="no emulator answers"):
        Emulator("http://127.0.0.1:9").wait_ready(0.01)


def test_events_are_found_by_text_hint_and_request_in_either_order(emulator: Emulator, account: Account) -> None:
    now = account.debug("clock")["now_ms"]
    for name, ago in (("a", 2000), ("b", 3000), ("c", 1000)):
        account.track(event=name, userId="u", time=now - ago, **({"properties": {}} if name == "b" else {}))
    assert [event.event for event in emulator.events()] == ["b", "a", "c"]
    assert [event.event for event in emulator.events(order="arrival")] == ["a", "b", "c"]
    assert [event.event for event in emulator.latest_events(2, order="arrival")] == ["c", "b"]
    assert [event.event for event in emulator.events(q="U", hint="unknown-keys")] == ["b"]
    (last, *_) = emulator.latest_requests(1)
    assert [event.event for event in emulator.events(request_id=last.id)] == ["c"]
    assert next(emulator.tail(visitor_id="u", after=0)) == emulator.events(order="arrival")[0]
    with pytest.raises(EmulatorError, match="hint: x is not a rule"):
        emulator.events(hint="x")


def test_a_request_has_the_answer_that_it_got(emulator: Emulator, account: Account) -> None:
    sent = account.track(userId="u")
    (request,) = emulator.requests()
    answer = emulator.request(request.id).answer
    assert isinstance(answer, SentAnswer)
    assert (answer.body, answer.headers["content-type"]) == (sent.text, "application/json")


def test_a_refused_stream_is_an_error_with_its_reason(emulator: Emulator) -> None:
    with pytest.raises(EmulatorError, match="outcome") as failed:
        next(emulator.tail(outcome="lost"))
    assert failed.value.status == 400


def test_a_reset_is_part_of_the_stream(emulator: Emulator, account: Account) -> None:
    account.track(userId="u")
    stream = emulator.tail(after=0)
    assert isinstance(next(stream), Event)
    emulator.reset()
    account.track(userId="v")
    assert next(stream) == Reset(account=emulator.account)
    later = next(stream)
    assert isinstance(later, Event)
    assert later.visitor_id == "v"


def test_the_synchronous_handle_is_generated_from_the_asynchronous_one() -> None:
    pytest.importorskip("unasync", reason="installed by `make check`")
    command = [sys.executable, "scripts/generate_sync.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["ours_emulator.emulator", "ours_emulator.pytest_support.accounts"])
def test_the_handle_imports_nothing_but_the_standard_library_and_the_records(module: str) -> None:
    script = f"import sys, pytest; before = set(sys.modules); import {module}; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=True)
    loaded = set(done.stdout.split())
    assert {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names == {"ours_emulator"}
    rooms = {name.split(".")[1] for name in loaded if name.startswith("ours_emulator.")}
    assert rooms - {"pytest_support"} == {
        "emulator",
        "errors",
        "handshake",
        "parent_process",
        "records",
        "stable",
        "terminal",
        "values",
        "variables",
        "wording",
    }


def test_a_reset_ends_a_fault(emulator: Emulator, account: Account) -> None:
    with emulator.fault(status=503) as fault:
        assert account.track(userId="u").status_code == 503
        assert fault.hits == 1
        emulator.reset()
        assert account.track(userId="u").status_code == 200
        fault.drop()
    assert fault.hits == 1


def test_the_clock_is_frozen_moved_and_let_go(emulator: Emulator, account: Account) -> None:
    assert emulator.clock.freeze(MOMENT).now == MOMENT
    assert account.track(userId="u", time=1_767_225_600_000 - 6 * 86_400_000).status_code == 200
    assert emulator.clock.advance(days=2, hours=1).now == MOMENT + timedelta(days=2, hours=1)
    assert account.track(userId="u", time=1_767_225_600_000 - 6 * 86_400_000).status_code == 400
    assert emulator.clock.advance(timedelta(minutes=-1)).now == MOMENT + timedelta(days=2, minutes=59)
    assert emulator.clock.set("2026-02-01").now.month == 2
    assert emulator.clock.freeze().state == "frozen"
    assert emulator.clock.resume().state == "real"
    assert emulator.clock.now() > MOMENT


def test_reset_forgets_this_account_only(emulator: Emulator, account: Account, server: Server) -> None:
    other = server.account()
    account.track(userId="u")
    other.track(userId="u")
    cleared = emulator.reset()
    assert (cleared.visitors, cleared.receipts, cleared.requests) == (1, 1, 1)
    assert (emulator.events(), len(other.events())) == ([], 1)


def test_what_is_exported_is_replayed_elsewhere(emulator: Emulator, account: Account) -> None:
    account.track(userId="u", email="a@b.co")
    account.track()
    lines = emulator.export()
    assert len(lines.splitlines()) == 2
    other = emulator.open_account()
    assert other.replay(lines).outcomes == {"accepted": 1, "rejected": 1}
    assert other.visitor(email="a@b.co").visitor_id == "u"
    assert '"t"' not in emulator.export(redact=True)


def test_a_wait_in_a_closed_account_says_that_it_is_closed(emulator: Emulator) -> None:
    other = emulator.open_account()
    other.close_account()
    body = {"token": "t", "event": "Paid", "userId": "u"}
    assert httpx.post(other.ingest_url + "/track", json=body, trust_env=False).status_code == 410
    told = rf"no events matched.*; account {other.account} is closed, and 1 request came after that"
    with pytest.raises(ExpectationError, match=told):
        other.wait_for("Paid", timeout=0)
    with pytest.raises(ExpectationError, match=told):
        other.assert_tracked("Paid")


def test_an_account_is_opened_as_planned_and_closed(emulator: Emulator) -> None:
    strict = emulator.open_account(tokens=["secret"], public_keys=["pk_secret"], allowed_events=["Paid"])
    assert (strict.token, strict.public_key) == ("secret", "pk_secret")
    body = {"token": "t", "event": "Paid", "userId": "u"}
    assert httpx.post(strict.ingest_url + "/track", json=body, trust_env=False).status_code == 401
    strict.close_account()
    assert httpx.post(strict.ingest_url + "/track", json=body, trust_env=False).status_code == 410
    with pytest.raises(EmulatorError, match="has no account to close"):
        Emulator(emulator.server_url).close_account()


def test_the_timeline_tells_what_became_of_each_request(emulator: Emulator, account: Account) -> None:
    account.track(userId="u", event="\x1b[2J", properties={})
    account.batch({"event": "A", "userId": "u", "distinctId": "1"}, {"event": "B", "distinctId": "2"})
    with emulator.fault("outage", status=503):
        account.track(userId="u")
    odd, first, second = [event.id for event in emulator.events(outcome="any")][:3]
    lines = emulator.timeline().splitlines()
    assert lines[0] == f"+0.000 s  ACCEPTED 200 POST /track #{odd} \\x1b[2J visitor=u"
    assert lines[1].strip() == "hint properties: dropped; did you mean eventProperties? [unknown-keys]"
    assert " MIXED 207 POST /batch" in lines[2]
    assert lines[3].strip() == f"accepted row 0: #{first} A visitor=u"
    assert lines[4].strip() == f"rejected row 1: #{second} B needs one of userId, externalId and email [identifier]"
    assert "REJECTED 503 POST /track" in lines[5]
    assert "outage" in lines[5]


def test_what_was_dropped_or_sent_twice_is_reported_with_its_reason(emulator: Emulator) -> None:
    other = emulator.open_account(allowed_events=["Paid"])
    for event, distinct_id in (("Paid", "1"), ("Paid", "1"), ("Lost", "2")):
        body = {"token": other.token, "event": event, "userId": "u", "distinctId": distinct_id}
        assert httpx.post(other.ingest_url + "/track", json=body, trust_env=False).status_code == 200
    paid, again, lost = [event.id for event in other.events(outcome="any")]
    used, unlisted = "its distinctId was used before [dedup]", "not on the account's list of allowed events; dropped"
    timeline = other.timeline()
    assert f"#{again} Paid visitor=u {used}" in timeline
    assert f"#{lost} Lost event: {unlisted} [allow-list]" in timeline
    assert timeline.count("[allow-list]") == 1
    with pytest.raises(ExpectationError) as failed:
        other.assert_tracked("Paid", count=2)
    assert f"these events matched:\n  #{paid} 'Paid' visitor=u\n" in str(failed.value)
    assert f"  #{again} 'Paid' visitor=u duplicate: {used}" in str(failed.value)
    with pytest.raises(ExpectationError) as failed:
        other.assert_tracked("Else", outcome="any")
    assert f"  #{lost} 'Lost' dropped: event: {unlisted} [allow-list]" in str(failed.value)


def test_a_failed_expectation_says_each_thing_once(emulator: Emulator, account: Account) -> None:
    account.track(event="Paid")
    with pytest.raises(ExpectationError) as failed:
        emulator.wait_for("Paid", timeout=0.01)
    (event,) = emulator.events(outcome="rejected")
    assert str(failed.value).splitlines() == [
        "expected at least 1 event 'Paid'",
        "no events matched within 10 ms",
        "these would have matched, but were not accepted:",
        f"  #{event.id} 'Paid' rejected: needs one of userId, externalId and email [identifier]",
    ]


def test_what_is_not_known_of_a_refused_event_only_may_have_matched(emulator: Emulator, account: Account) -> None:
    account.track(event="Paid", eventProperties={"amount": 9})
    with pytest.raises(ExpectationError) as failed:
        emulator.assert_tracked("Paid", user_id="u", event_properties={"amount": 9})
    assert "these may have matched, but were not accepted:" in str(failed.value)
    assert "would have matched" not in str(failed.value)


def test_a_refused_event_that_would_not_have_matched_says_what_its_request_had(
    emulator: Emulator, account: Account
) -> None:
    account.track(event="Paid", eventProperties={"amount": 9})
    with pytest.raises(ExpectationError) as failed:
        emulator.assert_tracked("Paid", event_properties={"amount": 10})
    (event,) = emulator.events(outcome="rejected")
    assert str(failed.value).splitlines()[2:] == [
        "the nearest events:",
        f"  #{event.id} 'Paid' rejected: needs one of userId, externalId and email [identifier]",
        "    event_properties.amount: expected 10, got 9",
    ]


def test_what_was_evicted_is_reported_once() -> None:
    with serving(keep=1) as server, Emulator(server.url) as emulator:
        for _ in range(2):
            assert server.default.track(event="Paid", userId="u").status_code == 200
        with pytest.raises(ExpectationError) as failed:
            emulator.assert_tracked("Paid", count=2)
    lines = str(failed.value).splitlines()
    assert lines[1] == "1 event matched; 1 event evicted that may have matched: set a larger --keep"


def test_nobody_there_is_reported() -> None:
    with (
        Emulator("http://127.0.0.1:9") as emulator,
        pytest.raises(EmulatorError, match=r"no emulator answers at http://127\.0\.0\.1:9: "),
    ):
        emulator.events()


def test_an_emulator_runs_for_the_length_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS_EMULATOR_TOKENS", "of the shell")
    before = set(threading.enumerate())
    with run_emulator(allowed_events=["Paid"]) as emulator:
        body = {"token": emulator.token, "event": "Other", "userId": "u"}
        assert httpx.post(emulator.ingest_url + "/track", json=body, trust_env=False).status_code == 200
        assert [event.outcome for event in emulator.events(outcome="any")] == ["dropped"]
    with pytest.raises(EmulatorError):
        emulator.events()
    assert set(threading.enumerate()) <= before


def test_an_emulator_that_cannot_run_says_why(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^keep: must be at least 1$"), run_emulator(keep=0):
        pass
    with pytest.raises(StoreError), run_emulator(database=tmp_path):
        pass


def test_an_emulator_whose_port_is_taken_says_so(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match=r"^cannot listen on 127\.0\.0\.1:\d+: Address already in use; .*use another port"),
        run_emulator(port=taken.getsockname()[1], database=tmp_path / "store.db"),
    ):
        pass
    with run_emulator(database=tmp_path / "store.db") as emulator:
        assert emulator.version()


def test_an_emulator_that_does_not_end_is_killed_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent_process, "_STOP_SECONDS", 0)
    with pytest.warns(RuntimeWarning, match="did not end within 0 s and was killed"), run_emulator():
        pass


def test_an_emulator_that_does_not_end_is_stopped_before_the_warning_is_raised_as_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(parent_process, "_STOP_SECONDS", 0)
    others = list(parent_process.CHILDREN)
    child = parent_process.Child()
    child.start(Order({"port": 0, "log_format": "none"}))
    pid = child.pid
    with warnings.catch_warnings(action="error"), pytest.raises(RuntimeWarning, match="was killed"):
        child.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert others == parent_process.CHILDREN


def test_a_command_that_never_reads_its_settings_is_given_up_and_killed_with_what_it_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(parent_process, "_START_SECONDS", 0.2)
    command = ["sh", "-c", f"sleep 40 & echo $! >{tmp_path}/pid; wait"]
    names = [f"Event {number}" for number in range(20_000)]
    with pytest.raises(EmulatorError, match=r"did not start the emulator within 0\.2 s"):
        run_emulator(command=command, allowed_events=names).__enter__()
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not is_running(pid))


@pytest.mark.parametrize("when", ["", "read order; "])
def test_what_a_command_left_running_is_killed_when_the_command_has_ended(tmp_path: Path, when: str) -> None:
    command = ["sh", "-c", f"{when}sleep 40 & echo $! >>{tmp_path}/pids"]
    with pytest.raises(EmulatorError, match="ended before the emulator was ready"):
        run_emulator(command=command).__enter__()
    (pid,) = (tmp_path / "pids").read_text().split()
    until(lambda: not is_running(pid))


def test_what_a_prepared_command_left_running_is_killed_with_its_stop(tmp_path: Path) -> None:
    child = parent_process.Child(["sh", "-c", f"sleep 40 & echo $! >{tmp_path}/pid"])
    child.prepare()
    until(lambda: bool(child.end()))
    child.stop()
    pid = (tmp_path / "pid").read_text().strip()
    until(lambda: not is_running(pid))


def test_settings_of_any_length_reach_the_emulator() -> None:
    names = [f"Event {number}" for number in range(20_000)]
    with run_emulator(allowed_events=names) as emulator:
        assert emulator.version()


def test_a_child_that_was_not_started_has_no_handle() -> None:
    with pytest.raises(EmulatorError, match=r"has no emulator yet; call start\(\) first"):
        handle_of(parent_process.Child())


async def use(emulator: AsyncEmulator, post: Callable[..., Awaitable[httpx.Response]]) -> None:
    """Do with an asynchronous handle what there is to do."""
    url = emulator.ingest_url + "/track"
    body = {"token": emulator.token, "event": "Signed Up", "userId": "u", "email": "a@b.co"}
    async with emulator.expect("Signed Up", email="a@b.co") as expected:
        waiting = asyncio.create_task(emulator.wait_for("Signed Up", timeout=5))
        await post(url, json=body)
    assert expected.event == await waiting
    assert (await emulator.assert_tracked("Signed Up", count=1)).visitor_id == "u"
    with pytest.raises(ExpectationError, match="expected no event"):
        await emulator.assert_none("Signed Up")
    with pytest.raises(ExpectationError):
        await emulator.wait_for("Other", timeout=0.01)
    assert emulator.last_miss is not None
    await emulator.assert_sequence("Signed Up")
    await emulator.assert_no_hints()
    async with emulator.fault(status=503, times=1) as fault:
        assert (await post(url, json=body)).status_code == 503
        assert await fault.look() == 1
        assert fault.hits == 1
    assert fault.hits == 1
    assert (await emulator.clock.freeze(MOMENT)).now == MOMENT
    assert (await emulator.clock.advance(days=1)).now == await emulator.clock.now()
    assert (await emulator.clock.set(MOMENT)).now == MOMENT
    assert (await emulator.clock.resume()).state == "real"
    assert (await emulator.visitor(email="a@b.co")).event_count == 1
    assert [request.status for request in await emulator.requests()] == [200, 503]
    assert (await emulator.summary()).requests == 2
    assert "Signed Up" in await emulator.timeline()
    other = await emulator.open_account(tokens=["secret"])
    await other.replay(await emulator.export())
    assert (await other.events(outcome="rejected"))[0].reason is not None
    assert (await other.event((await other.events(outcome="any"))[0].id)).account == other.account
    await other.close_account()
    assert (await emulator.reset()).requests >= 2
    assert await emulator.events() == []
    assert await emulator.version()


def test_the_asynchronous_handle_does_the_same() -> None:
    async def main() -> None:
        async with run_emulator_async() as emulator, httpx.AsyncClient(trust_env=False) as http:
            await use(emulator, http.post)

    asyncio.run(main())


def test_the_app_runs_in_this_process_without_a_server() -> None:
    async def main() -> None:
        app = create_app(load({"log_format": "none"}))
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport) as http:
            await use(AsyncEmulator("http://emulator.test", http=http), http.post)
        await app.aclose()

    asyncio.run(main())


def test_a_debug_api_that_asks_for_a_token_gets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with run_emulator(admin_token="secret") as emulator:
        assert emulator.events() == []
        assert emulator.open_account().events() == []
        assert emulator.env["OURS_EMULATOR_ADMIN_TOKEN"] == "secret"
        with Emulator(emulator.url) as stranger, pytest.raises(EmulatorError, match="admin token"):
            stranger.events()
        monkeypatch.setenv("OURS_EMULATOR_ADMIN_TOKEN", "secret")
        with Emulator(emulator.url) as friend:
            assert friend.events() == []


def test_a_fault_acts_at_once_and_until_it_is_dropped(account: Account, emulator: Emulator) -> None:
    fault = emulator.fault(status=503, times=1)
    assert [account.track(userId="u").status_code for _ in range(2)] == [503, 200]
    assert fault.hits == 1
    other = emulator.fault(status=500)
    other.drop()
    assert account.track(userId="u").status_code == 200


def test_an_asynchronous_fault_acts_once_it_is_awaited(account: Account) -> None:
    async def main() -> None:
        fault = await AsyncEmulator(account.url).fault(status=503)
        assert account.track(userId="u").status_code == 503
        assert await fault.look() == 1
        await fault.drop()

    asyncio.run(main())


def test_an_asynchronous_fault_that_never_acts_is_warned_of() -> None:
    with pytest.warns(RuntimeWarning, match="fault 'busy' never acted; use `async with"):
        AsyncEmulator("http://127.0.0.1:9").fault("busy", status=503)


def test_a_test_client_is_used_without_a_warning() -> None:
    app = create_app(load({"log_format": "none"}))
    with TestClient(app) as http:
        emulator = Emulator("http://localhost", http=cast(httpx.Client, http))
        http.post(f"{emulator.ingest_url}/track", json={"token": "t", "event": "Paid", "userId": "u"})
        assert emulator.wait_for("Paid").visitor_id == "u"
        with emulator.stream_export() as export:
            assert b"Paid" in b"".join(export.parts)
