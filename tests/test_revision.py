"""A revision of the contract as a value: what another one may change, and that two live in one server."""

import json
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from ours_emulator.accounts import Accounts
from ours_emulator.app import create_app
from ours_emulator.contract.account import AccountConfig
from ours_emulator.contract.revision import (
    IdentityOrder,
    Normalisation,
    identifier_kinds,
    revision,
    revisions,
)
from ours_emulator.model import DEFAULT_REVISION, REVISIONS, Claim, Properties
from ours_emulator.records import Rule
from ours_emulator.settings import load
from serving import Account, Server, listening_server

ADDED = {"type": "string", "nullable": True, "maxLength": 10}
RULE = Rule(
    id="upper-case",
    text="Event names are converted to upper case.",
    basis="assumed",
    source="this test",
    revisions=REVISIONS,
)


def document_with_one_more_property() -> bytes:
    """Return the document of 2026-05 with `favourite_colour` among the user properties of all endpoints."""
    document: dict[str, Any] = json.loads(revision().document)
    for operations in document["paths"].values():
        body = operations["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
        sent = body["events"]["items"]["properties"] if "events" in body else body
        sent["userProperties"]["properties"]["favourite_colour"] = ADDED
    return json.dumps(document).encode()


def upper_case(endpoint: str, body: Properties) -> Properties:
    event = body.get("event")
    return {**body, "event": event.upper()} if endpoint in ("track", "row") and isinstance(event, str) else body


NEXT = replace(
    revision(),
    name="2027-01",
    document=document_with_one_more_property(),
    identity=IdentityOrder(
        top_level=(("userId", "user_id"), ("email", "email"), ("externalId", "external_id")),
        user_properties=(("email", "email"),),
        falls_through=True,
    ),
    load_rules=lambda: (*revision().rules, RULE),
    normalisations=(Normalisation("upper-case", upper_case),),
    window_ms=60_000,
)


@pytest.fixture(scope="module")
def two_revisions() -> Iterator[Server]:
    """A server whose accounts have revision 2026-05, except five that have the made-up one."""
    with serving_with_accounts("one", "two", "three", "four", "five") as server:
        yield server


@contextmanager
def serving_with_accounts(*names: str) -> Generator[Server]:
    accounts = Accounts(AccountConfig("default", revision()))
    for name in names:
        accounts.configure(AccountConfig(name, NEXT))
    with ExitStack() as stack:
        url = stack.enter_context(listening_server(create_app(load({"log_format": "none"}), accounts=accounts)))
        yield Server(url, stack.enter_context(httpx.Client(timeout=30, trust_env=False)))


def next_account(server: Server, name: str) -> Account:
    return Account(f"{server.url}/accounts/{name}", server.http)


def test_the_revision_is_2026_05_unless_another_one_is_named() -> None:
    assert tuple(revisions()) == REVISIONS
    assert all(name == each.name for name, each in revisions().items())
    assert revision() is revision("2026-05") is revision(DEFAULT_REVISION)
    with pytest.raises(KeyError):
        revision("2026-09")


def test_a_revision_is_compiled_once_and_another_one_does_not_share_it() -> None:
    assert revision().bodies is revision().bodies
    assert revision().strict_bodies is not revision().bodies
    assert NEXT.bodies is not revision().bodies
    assert NEXT.bodies.row.shape.closed["userProperties"].known > (
        revision().bodies.row.shape.closed["userProperties"].known
    )


@pytest.mark.rule("identifier", "identity-order")
def test_the_order_of_identifiers_is_the_one_of_the_revision() -> None:
    body = {"email": "e", "externalId": "x", "userProperties": {"email": "inner", "external_id": "inner"}}
    external, email = Claim("external_id", "x", "externalId"), Claim("email", "e", "email")
    assert revision().identity.claims(body) == (external, email)
    assert NEXT.identity.claims(body) == (email, external)
    del body["email"], body["externalId"]
    inner = [
        Claim("external_id", "inner", "userProperties.external_id"),
        Claim("email", "inner", "userProperties.email"),
    ]
    assert revision().identity.claims(body) == tuple(inner)
    assert NEXT.identity.claims(body) == (inner[1],)


def test_normalisations_are_applied_in_their_order() -> None:
    def add(letter: str) -> Normalisation:
        return Normalisation(letter, lambda _, body: {**body, "event": f"{body['event']}{letter}"})

    made_up = replace(NEXT, normalisations=(add("a"), *NEXT.normalisations, add("b")))
    assert made_up.normalised("track", {"event": "x"}) == {"event": "XAb"}
    assert revision().normalised("track", {"event": "x"}) == {"event": "x"}


@pytest.mark.rule("openapi")
def test_each_account_serves_the_document_of_its_revision(two_revisions: Server) -> None:
    for path in ("/openapi", "/api/v1/openapi"):
        served = two_revisions.http.get(f"{two_revisions.url}/accounts/one{path}")
        assert served.content == NEXT.document
        assert two_revisions.http.get(f"{two_revisions.url}/accounts/other{path}").content == revision().document
        assert two_revisions.http.get(two_revisions.url + path).content == revision().document


@pytest.mark.parametrize("endpoint", ["track", "batch"])
def test_a_property_and_a_normalisation_count_only_in_their_revision(two_revisions: Server, endpoint: str) -> None:
    ours, old = next_account(two_revisions, "two"), two_revisions.account()
    sent = {"event": "purchase", "userId": endpoint, "userProperties": {"favourite_colour": "green"}}
    hints: list[str | None] = []
    for account in (ours, old):
        answer = account.track(**sent) if endpoint == "track" else account.batch({**sent, "distinctId": "d"})
        assert answer.status_code == 200
        hints.append(answer.headers.get("x-emulator-hints"))
    row = "/events/0" if endpoint == "batch" else ""
    assert hints == [None, f"unknown-keys {row}/userProperties/favourite_colour"]
    assert [account.events(visitor_id=endpoint)[0]["event"] for account in (ours, old)] == ["PURCHASE", "purchase"]
    kept = [account.visitor(user_id=endpoint)["properties"] for account in (ours, old)]
    assert kept == [{"favourite_colour": "green"}, {}]


def test_a_value_is_checked_by_the_document_of_the_revision(two_revisions: Server) -> None:
    too_long = {"favourite_colour": "x" * 11}
    refused = next_account(two_revisions, "three").identify(userId="u", userProperties=too_long)
    assert (refused.status_code, refused.content) == (400, b'{"success":false}')
    assert refused.headers["x-emulator-reason"] == "schema /userProperties/favourite_colour"
    assert two_revisions.account().identify(userId="u", userProperties=too_long).status_code == 200


@pytest.mark.rule("identity-order")
@pytest.mark.parametrize(
    ("email", "external_id", "expected"),
    [
        ("known@x.co", "known", "by-email"),
        ("unknown@x.co", "known", "by-external-id"),
        ("known@x.co", "unknown", "by-email"),
    ],
)
def test_an_identifier_falls_through_in_the_order_of_the_revision(
    two_revisions: Server, email: str, external_id: str, expected: str
) -> None:
    account = next_account(two_revisions, "four")
    account.http.post(f"{account.url}/debug/reset", json={"account": "four"}).raise_for_status()
    account.track(userId="by-email", email="known@x.co")
    account.track(userId="by-external-id", externalId="known")
    account.track(email=email, externalId=external_id, distinctId="d")
    assert account.events(distinct_id="d")[0]["visitor_id"] == expected


@pytest.mark.rule("time-window")
def test_the_time_window_is_the_one_of_the_revision(two_revisions: Server) -> None:
    for account, reason in (
        (next_account(two_revisions, "four"), "time-window /time"),
        (two_revisions.account(), None),
    ):
        an_hour_ago = account.debug("clock")["now_ms"] - 3_600_000
        assert account.track(userId="u", time=an_hour_ago).headers.get("x-emulator-reason") == reason


def test_the_debug_api_shows_the_revision_of_the_account(two_revisions: Server) -> None:
    ours = next_account(two_revisions, "five")
    assert ours.debug("health")["revision"] == "2027-01"
    assert ours.debug("rules")["items"][-1]["id"] == RULE.id
    for account in (two_revisions.default, two_revisions.account()):
        assert account.debug("health")["revision"] == "2026-05"
        assert RULE.id not in [rule["id"] for rule in account.debug("rules")["items"]]


@pytest.mark.rule("identifier")
def test_the_kind_of_an_identifier_follows_from_the_name_that_any_revision_gives_it() -> None:
    for each in revisions().values():
        top_level = {name: "x" for name, _ in each.identity.top_level}
        inside = {"userProperties": {name: "x" for name, _ in each.identity.user_properties}}
        claims = [*each.identity.claims(top_level), *each.identity.claims(inside)]
        assert len(claims) == len(top_level) + len(inside["userProperties"])
        assert {claim.given_as: claim.kind for claim in claims}.items() <= identifier_kinds().items()
