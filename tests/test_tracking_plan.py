"""Tracking plans: what differs from one gets a hint, whatever is sent and however the plan is given."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from looping import case
from ours_emulator.app import message_readers
from ours_emulator.cli.main import commands, main
from ours_emulator.contract.plan_checks import RULE
from ours_emulator.contract.plan_inference import inferred_plan
from ours_emulator.contract.tracking_plan import TrackingPlan, read_file
from ours_emulator.emulator import Emulator
from ours_emulator.model import Message
from ours_emulator.settings import SettingsError
from ours_emulator.wording import plain
from requesting import request_to
from serving import Account, Server, serving

EPOCH = 1767225600000
PAID: Any = {"events": {"Paid": {"properties": {"amount": {"type": "number"}}, "required": ["amount"]}}}


def read(plan: Any, path: str, body: Any) -> list[Message]:
    """Return the messages that *body* has under *plan*."""
    accounts, contracts = message_readers()
    account = replace(accounts.config("default"), tracking_plan=TrackingPlan.model_validate(plan))
    request = request_to(path, body, received_at=EPOCH, authorization="Bearer pk_1")
    return [one for one in contracts[path].read(request, account).arrivals if isinstance(one, Message)]


def differences(plan: Any, *events: Any, path: str = "track") -> list[str]:
    """Return what *events*, each with a name and properties, have otherwise than *plan*."""
    bodies = [{"token": "t", "userId": "u", "event": name, "eventProperties": sent} for name, sent in events]
    return [line for body in bodies for line in lines(plan, path, body)]


def lines(plan: Any, path: str, body: Any) -> list[str]:
    """Return the hints of *body* about *plan*, as a person reads them."""
    return [hint.sentence for message in read(plan, path, body) for hint in message.hints if hint.rule == RULE]


def refusal(plan: Any) -> str:
    """Return why *plan* is refused."""
    with pytest.raises(ValidationError) as caught:
        TrackingPlan.model_validate(plan)
    return plain(caught.value.errors()[0])


# Ten plans, and what a person would name


SHOP = """
$defs:
  money:
    type: object
    properties:
      amount: {type: number, minimum: 0}
      currency: {enum: [USD, EUR]}
    required: [amount, currency]
    additionalProperties: false
events:
  Order Completed:
    properties:
      order_id: {type: string, pattern: '^ord_[0-9]+$'}
      total: {$ref: '#/$defs/money'}
      coupon: {type: [string, 'null']}
      items:
        type: array
        minItems: 1
        items:
          properties:
            sku: {type: string, minLength: 1}
            price: {$ref: '#/$defs/money'}
            quantity: {type: integer, minimum: 1}
          required: [sku, price]
    required: [order_id, total, items]
    additionalProperties: false
"""
ORDER: Any = {
    "order_id": "ord_1",
    "total": {"amount": 9.5, "currency": "USD"},
    "coupon": None,
    "items": [{"sku": "a", "price": {"amount": 9.5, "currency": "USD"}, "quantity": 1.0}],
}
SUBSCRIPTIONS: Any = {
    "events": {
        "Subscribed": {
            "properties": {
                "plan": {"enum": ["free", "pro"]},
                "interval": {"const": "month"},
                "seats": {"type": "integer", "minimum": 1, "maximum": 100, "multipleOf": 5},
                "price": {"exclusiveMinimum": 0, "exclusiveMaximum": 1000},
            },
            "required": ["plan"],
        }
    }
}
FORMATS: Any = {
    "events": {
        "Booked": {
            "properties": {
                "at": {"format": "date-time"},
                "day": {"format": "date"},
                "contact": {"format": "email"},
                "page": {"format": "uri"},
                "id": {"format": "uuid"},
                "address": {"format": "ipv4"},
            }
        }
    }
}
CLOSED: Any = {
    "events": {
        "Searched": {
            "properties": {
                "query": {"type": "string", "minLength": 2, "maxLength": 5},
                "filters": {"type": "object", "maxProperties": 1, "additionalProperties": {"type": "boolean"}},
                "tags": {"type": "array", "uniqueItems": True, "maxItems": 3, "contains": {"const": "web"}},
                "ssn": False,
            },
            "patternProperties": {"^utm_": {"type": "string"}},
            "additionalProperties": False,
        }
    }
}
PAYMENTS: Any = {
    "events": {
        "Paid": {
            "properties": {
                "method": {
                    "oneOf": [
                        {
                            "properties": {"type": {"const": "card"}, "last4": {"type": "string", "minLength": 4}},
                            "required": ["type", "last4"],
                        },
                        {"properties": {"type": {"const": "paypal"}, "email": {}}, "required": ["type", "email"]},
                    ]
                },
                "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "ref": {"oneOf": [{"type": "number"}, {"type": "integer"}]},
                "age": {"not": {"type": "string"}},
            }
        }
    }
}
CONDITIONS: Any = {
    "events": {
        "Shipped": {
            "properties": {"country": {"type": "string"}},
            "if": {"properties": {"country": {"const": "US"}}, "required": ["country"]},
            "then": {"required": ["state"]},
            "else": {"properties": {"state": False}},
            "dependentRequired": {"carrier": ["tracking_number"]},
            "propertyNames": {"pattern": "^[a-z_0-9]+$"},
        }
    }
}
TREE: Any = {
    "$defs": {
        "node": {
            "properties": {"label": {"type": "string"}, "children": {"items": {"$ref": "#/$defs/node"}}},
            "required": ["label"],
            "unevaluatedProperties": False,
        }
    },
    "events": {"Menu Opened": {"$ref": "#/$defs/node"}},
}
INHERITED: Any = {
    "$defs": {"base": {"properties": {"page": {"type": "string"}}, "required": ["page"]}},
    "events": {
        "Clicked": {
            "allOf": [{"$ref": "#/$defs/base"}],
            "properties": {"button": {"type": "string"}},
            "unevaluatedProperties": False,
        },
        "Page Viewed": {"$ref": "#/$defs/base"},
        "Like Page Viewed": {"$ref": "#/events/Page Viewed"},
    },
}
ALONE: Any = {
    "events": {
        "Sent": {
            "properties": {
                "from": {"properties": {"to": {}}, "unevaluatedProperties": False},
                "to": {"properties": {"from": {}}, "unevaluatedProperties": False},
            }
        }
    }
}
LISTS: Any = {
    "events": {
        "Moved": {"properties": {"point": {"prefixItems": [{"type": "number"}, {"type": "number"}], "items": False}}}
    }
}
LOOSE: Any = {"allow_unplanned": True, "events": {"Paid": {"required": ["amount"]}}}

CASES: list[tuple[Any, str, Any, list[str]]] = [
    (SHOP, "Order Completed", ORDER, []),
    (
        SHOP,
        "Order Completed",
        {**ORDER, "order_id": "1", "total": {"amount": -1, "currency": "usd"}, "coupon": 5},
        [
            'eventProperties.order_id: expected text that matches ^ord_[0-9]+$, got "1"',
            "eventProperties.total.amount: expected at least 0, got -1",
            'eventProperties.total.currency: expected one of "USD", "EUR", got "usd"',
            "eventProperties.coupon: expected null or a string, got 5",
        ],
    ),
    (
        SHOP,
        "Order Completed",
        {"order_id": "ord_1", "total": {"amount": 1}, "items": [{"sku": "", "quantity": 1.5}], "totl": 3},
        [
            "eventProperties.total.currency: required, but missing",
            "eventProperties.items.0.price: required, but missing",
            'eventProperties.items.0.sku: expected at least 1 character, got ""',
            "eventProperties.items.0.quantity: expected an integer, got 1.5",
            "eventProperties.totl: not in the plan; did you mean total?",
        ],
    ),
    (
        SHOP,
        "Order Completed",
        {**ORDER, "items": []},
        ["eventProperties.items: expected at least 1 item, got a list of 0 items"],
    ),
    (SHOP, "order completed", ORDER, ["event: not in the plan; did you mean Order Completed?"]),
    (SHOP, "Signed Up", {}, ["event: not in the plan"]),
    (SHOP, "$pageview", {}, []),
    (SUBSCRIPTIONS, "Subscribed", {"plan": "pro", "interval": "month", "seats": 5, "price": 9}, []),
    (
        SUBSCRIPTIONS,
        "Subscribed",
        {"plan": "Pro", "interval": "year", "seats": 101, "price": 0},
        [
            'eventProperties.plan: expected one of "free", "pro", got "Pro"',
            'eventProperties.interval: expected "month", got "year"',
            "eventProperties.seats: expected at most 100, got 101",
            "eventProperties.seats: expected a multiple of 5, got 101",
            "eventProperties.price: expected more than 0, got 0",
        ],
    ),
    (
        SUBSCRIPTIONS,
        "Subscribed",
        {"seats": "5", "price": 1000},
        [
            "eventProperties.plan: required, but missing",
            'eventProperties.seats: expected an integer, got "5"',
            "eventProperties.price: expected less than 1000, got 1000",
        ],
    ),
    (
        FORMATS,
        "Booked",
        {
            "at": "2026-01-01T00:00:00Z",
            "day": "2026-02-28",
            "contact": "a@b.co",
            "page": "https://a.co/b",
            "id": "123e4567-e89b-12d3-a456-426614174000",
            "address": "1.2.3.4",
        },
        [],
    ),
    (
        FORMATS,
        "Booked",
        {"at": "2026-01-01", "day": "2026-02-30", "contact": "a", "page": "/b", "id": "1", "address": "1.2.3.400"},
        [
            'eventProperties.at: expected the format date-time, got "2026-01-01"',
            'eventProperties.day: expected the format date, got "2026-02-30"',
            'eventProperties.contact: expected the format email, got "a"',
            'eventProperties.page: expected the format uri, got "/b"',
            'eventProperties.id: expected the format uuid, got "1"',
            'eventProperties.address: expected the format ipv4, got "1.2.3.400"',
        ],
    ),
    (CLOSED, "Searched", {"query": "shoe", "filters": {"new": True}, "tags": ["web"], "utm_source": "x"}, []),
    (
        CLOSED,
        "Searched",
        {"query": "s", "filters": {"new": 1, "old": True}, "tags": ["a", "a"], "ssn": "1", "utm_x": 1, "page/x": 1},
        [
            'eventProperties.query: expected at least 2 characters, got "s"',
            "eventProperties.filters.new: expected true or false, got 1",
            "eventProperties.filters: expected at most 1 property, got an object with 2 properties",
            "eventProperties.tags: expected items that differ, got a list of 2 items",
            "eventProperties.tags: expected a list with an item that the plan asks for, got a list of 2 items",
            'eventProperties.ssn: not allowed by the plan, got "1"',
            "eventProperties.utm_x: expected a string, got 1",
            "eventProperties.page/x: not in the plan",
        ],
    ),
    (PAYMENTS, "Paid", {"method": {"type": "card", "last4": "1234"}, "note": None, "ref": 1.5, "age": 5}, []),
    (
        PAYMENTS,
        "Paid",
        {"method": {"type": "card", "last4": "1"}, "note": 5, "ref": 1, "age": "5"},
        [
            'eventProperties.method.last4: expected at least 4 characters, got "1"',
            "eventProperties.note: expected a string or null, got 5",
            "eventProperties.ref: fits more than one alternative of the plan, but must fit only one, got 1",
            'eventProperties.age: expected something that the plan does not exclude, got "5"',
        ],
    ),
    (
        PAYMENTS,
        "Paid",
        {"method": {"type": "cash"}},
        ["eventProperties.method: fits none of the 2 alternatives of the plan, got an object with 1 property"],
    ),
    (CONDITIONS, "Shipped", {"country": "US", "state": "TX"}, []),
    (
        CONDITIONS,
        "Shipped",
        {"country": "US", "carrier": "ups", "Weight": 1},
        [
            "eventProperties.state: required, but missing",
            "eventProperties.tracking_number: required, but missing",
            "eventProperties.Weight: has a name that the plan does not allow",
        ],
    ),
    (
        CONDITIONS,
        "Shipped",
        {"country": "DE", "state": "x"},
        ['eventProperties.state: not allowed by the plan, got "x"'],
    ),
    (TREE, "Menu Opened", {"label": "a", "children": [{"label": "b", "children": []}]}, []),
    (
        TREE,
        "Menu Opened",
        {"label": "a", "children": [{"children": [{"label": 5, "icon": "x"}]}]},
        [
            "eventProperties.children.0.label: required, but missing",
            "eventProperties.children.0.children.0.label: expected a string, got 5",
            "eventProperties.children.0.children.0.icon: not in the plan",
        ],
    ),
    (INHERITED, "Clicked", {"page": "/", "button": "buy"}, []),
    (
        INHERITED,
        "Clicked",
        {"page": 5, "buton": "buy"},
        [
            "eventProperties.page: expected a string, got 5",
            "eventProperties.buton: not in the plan; did you mean button?",
        ],
    ),
    (INHERITED, "Like Page Viewed", {}, ["eventProperties.page: required, but missing"]),
    (
        ALONE,
        "Sent",
        {"from": {"from": 1}, "to": {"to": 1}},
        ["eventProperties.from.from: not in the plan", "eventProperties.to.to: not in the plan"],
    ),
    (LISTS, "Moved", {"point": [1, 2]}, []),
    (
        LISTS,
        "Moved",
        {"point": [1, "2", 3]},
        [
            'eventProperties.point.1: expected a number, got "2"',
            "eventProperties.point.2: not allowed by the plan, got 3",
        ],
    ),
    (LOOSE, "Anything", {"a": 1}, []),
    (LOOSE, "Paid", {}, ["eventProperties.amount: required, but missing"]),
]


@pytest.mark.rule("tracking-plan")
def test_ten_plans_give_the_differences_that_a_person_would_name() -> None:
    for plan, name, sent, expected in CASES:
        with case(name, sent):
            assert sorted(differences(plan, (name, sent))) == sorted(expected)


def test_the_alternative_that_is_nearest_is_the_one_whose_differences_are_named() -> None:
    schema = {
        "type": "object",
        "properties": {"kind": {"const": "a"}, "n": {"type": "number"}},
        "required": ["kind", "n"],
    }
    other = {"type": "object", "properties": {"kind": {"const": "b"}}, "required": ["kind", "x", "y", "z"]}
    plan = {"events": {"E": {"properties": {"v": {"anyOf": [{"type": "null"}, other, schema]}}}}}
    assert differences(plan, ("E", {"v": {"kind": "a"}})) == ["eventProperties.v.n: required, but missing"]
    assert differences(plan, ("E", {"v": 5})) == ["eventProperties.v: expected null or an object, got 5"]
    only = {"events": {"E": {"properties": {"v": {"anyOf": [{"minimum": 5}]}, "w": {"oneOf": [{"maxLength": 1}]}}}}}
    assert sorted(differences(only, ("E", {"v": 1, "w": "ab"}))) == [
        "eventProperties.v: expected at least 5, got 1",
        'eventProperties.w: expected at most 1 character, got "ab"',
    ]
    mixed = {"events": {"E": {"properties": {"v": {"anyOf": [{"type": ["string", "null"]}, {"minimum": 5}]}}}}}
    assert differences(mixed, ("E", {"v": 1})) == ["eventProperties.v: expected at least 5, got 1"]


def test_what_came_is_shown_in_one_short_line() -> None:
    plan = {"events": {"E": {"properties": {"a": {"type": "boolean"}}}}}
    cases: list[tuple[Any, str]] = [
        ("x" * 1000, '"' + "x" * 59 + "…"),
        ("a\nb", '"a\\nb"'),
        ("Zoë \ud800", '"Zoë \ufffd"'),
        ({"a": 1}, "an object with 1 property"),
        ([], "a list of 0 items"),
        (1e300, "1e+300"),
        (None, "null"),
    ]
    for sent, got in cases:
        with case(sent):
            assert differences(plan, ("E", {"a": sent})) == [f"eventProperties.a: expected true or false, got {got}"]


def test_at_most_twenty_differences_of_a_message_are_listed() -> None:
    plan = {"events": {"E": {"properties": {"a": {"items": {"type": "string"}}}}}}
    found = differences(plan, ("E", {"a": list(range(20))}))
    assert len(found) == 20
    found = differences(plan, ("E", {"a": list(range(30))}))
    assert (len(found), found[-1]) == (21, "eventProperties: differs from the plan in more than 20 places")


def test_empty_names_of_properties_are_named() -> None:
    inner: Any = {"properties": {"b": {"type": "string"}}}
    plan = {
        "events": {"E": {"properties": {"": inner, "b": {}, "list": {"items": {"anyOf": [inner, {"type": "null"}]}}}}}
    }
    for sent, expected in (
        ({"": {"b": 5}, "b": "fine"}, "/eventProperties//b: expected a string, got 5"),
        ({"": {"b": 5}}, "/eventProperties//b: expected a string, got 5"),
        ({"list": [1, {"": {"": 5}, "b": 1}]}, "/eventProperties/list/1/b: expected a string, got 1"),
    ):
        with case(sent):
            body = {"token": "t", "userId": "u", "event": "E", "eventProperties": sent}
            hints = [hint for message in read(plan, "track", body) for hint in message.hints]
            assert expected in [f"{hint.path}: {hint.message}" for hint in hints]
    texts: Any = {"additionalProperties": {"type": "string"}}
    many: Any = {"additionalProperties": texts}
    body = {"token": "t", "userId": "u", "event": "E", "eventProperties": {'a"b~/\n é': {"": 5}, "": {"": 1}}}
    assert [hint.path for message in read({"events": {"E": many}}, "track", body) for hint in message.hints] == [
        '/eventProperties/a"b~0~1\n é/',
        "/eventProperties//",
    ]
    body = {"token": "t", "userId": "u", "event": "E", "userProperties": {"custom_properties": {"": 5}}}
    visitor = {"allow_unplanned": True, "visitor": {"properties": {"custom_properties": texts}}}
    hints = [hint for message in read(visitor, "identify", body) for hint in message.hints if hint.rule == RULE]
    assert [hint.path for hint in hints] == ["/userProperties/custom_properties/"]


def test_what_a_plan_excludes_altogether_is_named_one_by_one() -> None:
    cases: list[tuple[Any, list[str]]] = [
        ({"additionalProperties": False}, ["a", "sorce"]),
        ({"propertyNames": False}, ["a", "sorce"]),
        ({"properties": {"a": {"unevaluatedItems": False, "prefixItems": [{}]}}}, ["a.1"]),
        ({"properties": {"a": {"unevaluatedItems": False}}}, ["a.0", "a.1"]),
    ]
    for schema, names in cases:
        with case(schema):
            said = [
                line.partition(": ")[0]
                for line in differences({"events": {"E": schema}}, ("E", {"a": [{"b": 2.5}, {"b": 2.5}], "sorce": 1}))
            ]
            assert sorted(said) == [f"eventProperties.{name}" for name in names]
    closed = {"allow_unplanned": True, "visitor": {"additionalProperties": False}}
    body = {"token": "t", "userId": "u", "userProperties": {"first_name": "Ann"}}
    assert lines(closed, "identify", body) == ["userProperties.first_name: not in the plan"]


@pytest.mark.parametrize(
    ("schema", "sent", "said"),
    [
        (
            {"contains": {"type": "string"}, "maxContains": 1},
            ["a", "b"],
            "expected at most 1 item that the plan asks for",
        ),
        ({"contains": {"type": "string"}, "minContains": 2}, ["a"], "expected at least 2 items that the plan asks for"),
        ({"enum": []}, 1, "not allowed by the plan, got 1"),
        ({"minimum": 10**400}, 1, f"expected at least 1{'0' * 59}…, got 1"),
        ({"$ref": "#/$defs/Item #1"}, 1, "expected a string, got 1"),
        ({"$ref": "#/$defs/100%"}, 1, "expected a string, got 1"),
        ({"$ref": "#/$defs/100%25"}, 1, "expected a string, got 1"),
        ({"$ref": "#/$defs/a%20b"}, 1, "expected null, got 1"),
        ({"const": {"$ref": "a b"}}, {"$ref": "a b"}, ""),
    ],
)
def test_references_and_rare_keywords_mean_what_they_say(schema: Any, sent: Any, said: str) -> None:
    text = {"type": "string"}
    plan = {
        "events": {"E": {"properties": {"a": schema}}},
        "$defs": {"Item #1": text, "100%": text, "a b": {"type": "null"}, "a%20b": text},
    }
    [found] = differences(plan, ("E", {"a": sent})) or [""]
    assert found.removeprefix("eventProperties.a: ").startswith(said)
    assert bool(found) == bool(said)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (
            {"anyOf": [{"type": "object", "minProperties": 5}]},
            "expected at least 5 properties, got an object with 1 property",
        ),
        ({"oneOf": [{"required": ["a"]}]}, "a: required, but missing"),
        ({"oneOf": [{"$ref": "#/$defs/a"}]}, "a: required, but missing"),
        ({"oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}, "fits none of the 2 alternatives of the plan"),
    ],
)
def test_alternatives_of_events_and_visitors_are_named_however_few(schema: Any, said: str) -> None:
    plan = {"events": {"E": schema}, "visitor": schema, "$defs": {"a": {"required": ["a"]}}}
    body = {
        "token": "t",
        "userId": "u",
        "event": "E",
        "userProperties": {"last_name": "x"},
        "eventProperties": {"b": 1},
    }
    found = lines(plan, "track", body)
    assert [said in line for line in found] == [True, True]


def test_a_fault_of_the_checks_loses_no_message(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # No such fault is known, so a limit that is not a number has to stand for it.
    plan = TrackingPlan.model_validate(PAID)
    monkeypatch.setattr("ours_emulator.contract.plan_checks.MAX_LISTED", None)
    row = {"event": "Paid", "userId": "u"}
    body = {"token": "t", "events": [{**row, "distinctId": str(number)} for number in range(3)]}
    assert [hint.message for message in read(plan, "batch", body) for hint in message.hints if hint.rule == RULE] == [
        "not checked: internal error: TypeError; please report it"
    ] * 3
    assert len(caplog.records) == 1


# Visitors, both APIs and both revisions


VISITOR: Any = {
    "allow_unplanned": True,
    "visitor": {
        "properties": {
            "first_name": {"type": "string"},
            "phone_number": {"pattern": "^[+]"},
            "custom_properties": {"properties": {"plan": {"enum": ["free", "pro"]}}},
            "data": {"properties": {"level": {"type": "integer"}}},
        },
        "additionalProperties": False,
    },
}


@pytest.mark.rule("tracking-plan")
def test_the_properties_of_visitors_are_checked_as_far_as_they_are_sent() -> None:
    sent = {"first_name": None, "last_name": "B", "custom_properties": {"plan": "Pro"}}
    wrong = 'userProperties.custom_properties.plan: expected one of "free", "pro", got "Pro"'
    for path in ("track", "identify"):
        body = {"token": "t", "userId": "u", "event": "E", "userProperties": sent}
        assert sorted(lines(VISITOR, path, body)) == [wrong, "userProperties.last_name: not in the plan"]
        assert lines(VISITOR, path, {"token": "t", "userId": "u", "event": "E"}) == []


@pytest.mark.rule("tracking-plan")
def test_a_removed_property_is_not_compared_unless_it_is_further_inside_or_required() -> None:
    inside: Any = {"properties": {"plan": {"type": "string"}}}
    required = ["first_name", "last_name"]
    visitor = {"required": required, "properties": {"first_name": {"type": "string"}, "custom_properties": inside}}
    body = {"token": "t", "userId": "u", "userProperties": {"first_name": None, "custom_properties": {"plan": None}}}
    assert sorted(lines({"visitor": visitor}, "identify", body)) == [
        "userProperties.custom_properties.plan: expected a string, got null",
        "userProperties.first_name: required, but removed with null",
        "userProperties.last_name: required, but missing",
    ]


@pytest.mark.rule("tracking-plan")
def test_the_client_api_is_checked_at_the_places_of_its_own_bodies() -> None:
    who = {"anonymous_id": "a", "phone": "5", "email": "a@b.co", "data": {"level": "x"}}
    wrong = [
        'data.level: expected an integer, got "x"',
        "email: not in the plan",
        'phone: expected text that matches ^[+], got "5"',
    ]
    assert sorted(lines(VISITOR, "client/identify", who)) == wrong
    item = {"name": "E", "anonymous_id": "a", "user": {key: who[key] for key in ("phone", "email", "data")}}
    assert sorted(lines(VISITOR, "client/events", [item])) == [f"user.{line}" for line in wrong]
    paid = [{"name": "Paid", "anonymous_id": "a", "data": {"amount": "5"}}, {"name": "paid", "anonymous_id": "a"}]
    assert lines(PAID, "client/events", paid) == [
        'data.amount: expected a number, got "5"',
        "name: not in the plan; did you mean Paid?",
    ]
    assert lines(PAID, "client/alias", {"external_id": "e", "anonymous_id": "a"}) == []


def test_numbers_and_texts_that_the_engine_cannot_have_are_checked_all_the_same(account: Account) -> None:
    account.configure(revision="2026-10", tracking_plan=PAID)
    for sent in ('{"amount": 1, "a": {"b": 12345678901234567890.5}}', '{"amount": "\\ud800", "\\udfff": 1}'):
        body = f'{{"token": "t", "userId": "u", "event": "Paid", "eventProperties": {sent}}}'
        assert account.post("/track", body.encode()).status_code == 200
    messages = [[hint["message"] for hint in event["hints"]] for event in account.events()]
    assert messages == [['expected a number, got "\ufffd"'], []]


# A plan that is not valid


WRONG: list[tuple[Any, str]] = [
    (
        {"events": {"A": {"propertis": {}}}},
        "events.A.propertis: is not a keyword of JSON Schema; did you mean properties?",
    ),
    (
        {"events": {"A": {"total": {"type": "number"}}}},
        "events.A.total: is not a keyword of JSON Schema; put properties into `properties`, and begin remarks with x-",
    ),
    (
        {"events": {"A": {"definitions": {}}}},
        "events.A.definitions: is not a keyword of JSON Schema; use $defs, at the top of the plan",
    ),
    (
        {"events": {"A": {"type": "str"}}},
        'events.A.type: expected one of "array", "boolean", "integer", "null", "number", "object", "string", got "str"',
    ),
    ({"events": {"A": {"required": "a"}}}, 'events.A.required: expected a list, got "a"'),
    ({"visitor": {"minProperties": -1}}, "visitor.minProperties: expected at least 0, got -1"),
    ({"$defs": {"a": {"minimum": "1"}}}, '$defs.a.minimum: expected a number, got "1"'),
    ({"visitor": {"format": "datetime"}}, "visitor.format: 'datetime' is not a format; did you mean date-time?"),
    (
        {"visitor": {"pattern": "(?=a)"}},
        "visitor.pattern: look-ahead (?= at position 0 is not supported",
    ),
    (
        {"visitor": {"patternProperties": {"(a": {}}}},
        r"visitor.patternProperties: ( at position 0 is never closed; write \( for the character",
    ),
    (
        {"visitor": {"pattern": "[ab]{0,900}[ab]{0,900}c"}},
        "visitor.pattern: the regular expression is too large; use smaller counts, or fewer of them",
    ),
    (
        {"visitor": {"$ref": "#/$defs/mony"}, "$defs": {"money": {}}},
        "visitor.$ref: #/$defs/mony is not a schema of the plan; did you mean #/$defs/money?",
    ),
    (
        {"visitor": {"$defs": {"a": {}}, "$ref": "#/$defs/a"}},
        "visitor.$ref: #/$defs/a is not a schema of the plan; define it in $defs, at the top of the plan",
    ),
    *(
        ({"visitor": {"$ref": there}}, "visitor.$ref: leads out of the plan; use a place in it, such as #/$defs/money")
        for there in ("https://example.com/schema", "file:///etc/passwd", "other.yaml#/a", "#", 5)
    ),
    (
        {"visitor": {"$id": "https://example.com/schema"}},
        "visitor.$id: is not a keyword of JSON Schema; use $ref with a place in the plan, such as #/$defs/money",
    ),
    (
        {"visitor": {"$schema": "http://json-schema.org/draft-07/schema#"}},
        "visitor.$schema: must be https://json-schema.org/draft/2020-12/schema, or omitted",
    ),
    (
        {"visitor": {"$ref": "#/$defs/a"}, "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}},
        "$defs.a: refers to itself without going into a property or an item, which never ends",
    ),
    ("events:\n  A:\n  - b\n c", "line 4: expected <block end>, but found '<scalar>'"),
    ("events: {A: {enum: [.nan]}}", "the plan has nan, which is not a JSON number"),
    ("events: {404: {}}", "the plan has the name 404, which is not text; put it in quotes"),
    ("a: &a [*a]", "the plan is nested deeper than 100 levels"),
    ("[" * 1000, "nested too deep"),
    ('{"a":' * 100_000, "nested too deep"),
    ("events:\n  Paid: {}\n  Other: {}\n  Paid: {required: [a]}", "line 4: 'Paid' is there twice; keep one"),
    ('{"events": {"Paid": {}, "Paid": {"required": ["a"]}}}', "'Paid' is there twice; keep one"),
    ("{events: {A: [}}", "line 1: expected the node content, but found '}'"),
    ({"visitor": {"const": "a\ud800"}}, "the plan has a lone surrogate in the text a\\ud800; remove it"),
    ({"events": {"\udfff": {}}}, "the plan has a lone surrogate in the text \\udfff; remove it"),
    ({"events": {"A": {"enum": list(range(100_000))}}}, "the plan has more than 100000 values"),
    ("x" * (4 * 1024 * 1024 + 1), "longer than 4194304 characters"),
    ({"events": {"A": 5}}, "must be an object"),
    ([], "must be an object"),
]


@pytest.mark.parametrize(("plan", "error"), WRONG, ids=range(len(WRONG)))
def test_an_error_in_a_plan_is_one_clear_line(plan: Any, error: str) -> None:
    assert refusal(plan) == error


def test_aliases_of_yaml_do_not_fill_the_memory() -> None:
    text = "a0: &a0 [1,2]\n" + "".join(f"a{i}: &a{i} [*a{i - 1},*a{i - 1}]\n" for i in range(1, 60))
    assert refusal(text) == "the plan has more than 100000 values"


def test_schemas_that_would_check_a_value_very_often_are_refused() -> None:
    twice: Any = {f"a{i}": {"anyOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(30)}
    again: Any = {"a0": {"allOf": [{"properties": {"b": {"$ref": "#/$defs/a0"}}}] * 2}}
    for definitions in (twice | {"a30": {}}, again):
        said = refusal({"visitor": {"$ref": "#/$defs/a0"}, "$defs": definitions})
        assert said.endswith("one value checked more than 1000 times; use fewer alternatives and references"), said
    tree: Any = {"a0": {"properties": {name: {"$ref": "#/$defs/a0"} for name in ("left", "right")}}}
    wide: Any = {
        f"a{i}": {"properties": {name: {"$ref": f"#/$defs/a{i + 1}"} for name in "xyz"}, "items": {"type": "string"}}
        for i in range(40)
    }
    for definitions in (tree, wide | {"a40": {}}):
        TrackingPlan.model_validate({"visitor": {"$ref": "#/$defs/a0"}, "$defs": definitions})


def test_dates_of_yaml_are_texts_and_an_event_without_schema_is_planned() -> None:
    plan = TrackingPlan.model_validate("events:\n  A: {const: 2026-01-01}\n  B:\n")
    assert plan.document["events"] == {"A": {"const": "2026-01-01"}, "B": {}}


def test_yaml_has_the_numbers_and_booleans_of_json_and_all_else_is_text() -> None:
    values = "[NO, yes, on, True, 12:30:45, 010, +1, .5, true, false, -1, 0, 1.5, 2e3, null, ~]"
    text = ["NO", "yes", "on", "True", "12:30:45", "010", "+1", ".5"]
    read = TrackingPlan.model_validate("events: {A: {enum: " + values + "}}")
    assert read.events["A"]["enum"] == [*text, True, False, -1, 0, 1.5, 2000.0, None, None]


def test_flow_yaml_may_begin_as_json_does_and_merged_names_may_be_overridden() -> None:
    assert TrackingPlan.model_validate("{events: {A: {required: [x]}}}").events == {"A": {"required": ["x"]}}
    text = "events:\n  A: &a {required: [x]}\n  B: &b {<<: *a, required: [y]}\n  C: {<<: *b, type: object}"
    assert TrackingPlan.model_validate(text).events["C"] == {"required": ["y"], "type": "object"}


# What it may cost


def test_large_messages_and_costly_patterns_take_a_bounded_time() -> None:
    costly = {"events": {"E": {"properties": {"a": {"pattern": "(a|b|ab){0,200}c"}}}}}
    every = {"events": {"E": {"properties": {"a": {"items": {"anyOf": [{"type": "string"}] * 300}}}}}}
    started = time.thread_time()
    found = differences(costly, ("E", {"a": "ab" * 400_000}))
    assert found == ["eventProperties: not checked: too long for the patterns of the plan"]
    assert differences(every, ("E", {"a": list(range(50_000))})) == [
        "eventProperties.a.0: expected a string, got 0",
    ]
    assert time.thread_time() - started < 3


LONG: list[tuple[Any, Any, str]] = [
    ({"enum": [{"k": number} for number in range(20_000)]}, [{"k": -1}] * 100, "too many values for an enum"),
    ({"enum": [number + 0.5 for number in range(20_000)]}, [0.1] * 100, "too many values for an enum"),
    ({"enum": [f"s{number}" for number in range(20_000)]}, ["q"] * 1000, "expected one of"),
    ({"required": [f"p{number}" for number in range(20_000)]}, [{}] * 100, "required, but missing"),
    ({"const": {"k": ["x"] * 20_000}}, [1] * 1000, "expected an object with 1 property, got 1"),
    ({"anyOf": [{"const": number} for number in range(900)]}, [-1] * 1000, "fits none of the 900 alternatives"),
]


@pytest.mark.parametrize(("schema", "sent", "said"), LONG)
def test_what_the_engine_says_of_a_long_list_of_values_takes_a_bounded_time(schema: Any, sent: Any, said: str) -> None:
    plan = TrackingPlan.model_validate({"events": {"E": {"properties": {"a": {"items": schema}}}}})
    started = time.thread_time()
    found = differences(plan, ("E", {"a": sent}))
    assert time.thread_time() - started < 0.5
    assert len(found) == 1
    assert said in found[0]


def test_alternatives_of_a_large_list_take_a_bounded_time() -> None:
    either = {"anyOf": [{"items": {"type": "string"}}, {"items": {"type": "null"}}]}
    plan = {"events": {"E": {"properties": {"a": either}}}}
    assert differences(plan, ("E", {"a": [1] * 35_000})) == [
        "eventProperties: differs from the plan; too large to say where"
    ]


def test_a_plan_whose_events_share_schemas_is_read_in_a_time_that_grows_with_its_size() -> None:
    names = range(1000)
    shared = {
        "events": {f"e{n}": {"$ref": f"#/$defs/d{n}"} for n in names},
        "$defs": {f"d{n}": {"required": ["a"]} for n in names},
    }
    started = time.thread_time()
    assert differences(TrackingPlan.model_validate(shared), ("e999", {})) == [
        "eventProperties.a: required, but missing"
    ]
    assert time.thread_time() - started < 1


def test_the_messages_of_one_request_take_a_second_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ours_emulator.contract.plan_checks._MAX_SECONDS", 0.0)
    row = {"event": "Paid", "userId": "u", "eventProperties": {"amount": 5}}
    rows = [{**row, "distinctId": str(number)} for number in range(3)]
    found = lines(PAID, "batch", {"token": "t", "events": rows})
    assert found == ["not checked: the messages before it took 0 s of CPU time"] * 2


# How it is set


@pytest.mark.rule("tracking-plan")
def test_a_difference_changes_neither_the_answer_nor_what_is_stored(account: Account, server: Server) -> None:
    other = server.account()
    account.configure(tracking_plan=PAID)
    for one in (account, other):
        assert one.track(event="Paid", userId="u", eventProperties={"amount": "5"}).content == b'{"success":true}'
    [planned], [unplanned] = account.events(), other.events()
    assert planned["hints"] == [
        {"rule": RULE, "path": "/eventProperties/amount", "message": 'expected a number, got "5"'}
    ]
    same = ("event", "outcome", "visitor_id", "event_properties", "visitor_properties")
    assert [planned[name] for name in same] == [unplanned[name] for name in same]
    assert account.events(hint=RULE) == [planned]


def test_a_plan_is_set_shown_and_removed_for_one_account(account: Account, server: Server) -> None:
    url = f"{account.url}/debug/tracking-plan"
    name = account.url.rpartition("/")[2]
    missing = account.http.get(url)
    assert (missing.status_code, missing.json()) == (404, {"error": f"account {name} has no tracking plan"})
    shown = account.http.put(url, json=PAID).json()
    assert shown == {**PAID, "visitor": None, "allow_unplanned": False, "$defs": {}}
    assert account.debug("tracking-plan") == shown
    assert account.http.put(url, json="events: {A: {}, B: {}}").json()["events"] == {"A": {}, "B": {}}
    assert account.debug(f"accounts/{name}")["planned_events"] == ["A", "B"]
    refused = account.http.put(url, json={"events": {"A": {"typ": 5}}})
    assert refused.status_code == 400
    assert refused.json()["error"] == "events.A.typ: is not a keyword of JSON Schema; did you mean type?"
    assert account.http.put(url, json={"event": {}}).json()["error"] == "event: unknown field; did you mean events?"
    twice = account.http.put(
        url, content=b'{"events": {"A": {}, "A": {}}}', headers={"Content-Type": "application/json"}
    )
    assert (twice.status_code, twice.json()) == (
        400,
        {"error": "the body is not valid JSON: 'A' is there twice; keep one"},
    )
    deep = account.http.put(url, json='{"a":' * 100_000)
    assert (deep.status_code, deep.json()) == (400, {"error": "nested too deep"})
    account.post("/debug/reset", {})
    assert account.http.delete(url).json()["events"] == {"A": {}, "B": {}}
    assert account.debug(f"accounts/{name}")["planned_events"] is None
    assert server.account().http.get(url).status_code == 404


@pytest.mark.parametrize(("name", "text"), [("plan.yaml", SHOP), ("plan.json", json.dumps(PAID)), ("plan", "\ufeff{}")])
def test_the_file_sets_the_plan_of_every_account(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text, "utf-8")
    with serving(tracking_plan=file) as server:
        account = server.account()
        account.track(event="Other", userId="u")
        assert [hint["message"] for hint in account.events()[0]["hints"]] == ["not in the plan"]
        account.configure(tracking_plan=None)
        account.track(event="Other", userId="u")
        assert account.events(hint=RULE, order="arrival")[0]["id"] != account.events(order="arrival")[0]["id"]


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("a.yaml", None, "a.yaml cannot be read: No such file or directory; check the path"),
        ("a.yaml", "a: [", "a.yaml is not valid YAML: line 1: "),
        ("a.json", "{", "a.json is not valid JSON: "),
        ("a.json", "[" * 100_000, "a.json is not valid JSON: nested too deep"),
        ("a.json", '{"events": {"A": {}, "A": {}}}', "a.json is not valid JSON: 'A' is there twice; keep one"),
        ("a.yaml", "events:\n- \udcff", "a.yaml is not UTF-8; save it in that encoding"),
        ("a.yaml", "- a", "a.yaml: must be an object"),
        ("a.yaml", "events: {A: {typ: string}}", "a.yaml: events.A.typ: is not a keyword of JSON Schema"),
        ("a.yaml", "event: {}", "a.yaml: event: unknown field"),
    ],
)
def test_a_file_that_is_not_valid_is_refused_in_one_line(
    tmp_path: Path, name: str, text: str | None, error: str
) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SettingsError) as caught:
        read_file(file)
    assert error in str(caught.value)
    assert "\n" not in str(caught.value)


WITHOUT_EXTRA = """
import sys
sys.modules["jsonschema_rs"] = sys.modules["yaml"] = None
from pathlib import Path
from ours_emulator.errors import SettingsError
from ours_emulator.contract.tracking_plan import TrackingPlan, read_file
for plan in ({"events": {}}, "events: {}", "{"):
    try:
        TrackingPlan.model_validate(plan)
    except ValueError as error:
        print(error.errors()[0]["ctx"]["error"])
try:
    read_file(Path("a.yaml"))
except SettingsError as error:
    print(error)
"""


def test_without_the_extra_one_line_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("events: {}")
    command = [sys.executable, "-c", WITHOUT_EXTRA]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=True)
    assert done.stdout.splitlines() == [
        "tracking plans need jsonschema-rs; run: pip install 'ours-emulator[plan]'",
        "YAML needs PyYAML; run: pip install 'ours-emulator[plan]', or use JSON",
        "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        "a.yaml: YAML needs PyYAML; run: pip install 'ours-emulator[plan]', or use JSON",
    ]


def test_others_are_answered_while_a_large_plan_is_read(server: Server) -> None:
    planned, other = server.account(), server.account()
    text = "events:\n" + "".join(f"  event {n}: {{properties: {{x: {{type: string}}}}}}\n" for n in range(4000))
    with ThreadPoolExecutor() as threads:
        setting = threads.submit(planned.http.put, f"{planned.url}/debug/tracking-plan", json=text)
        answered = 0
        while not setting.done():
            other.track(event="Other", userId="u")
            answered += 1
        assert setting.result().status_code == 200
    assert answered > 10


# The commands


def run(*arguments: str) -> tuple[int, str, str]:
    """Return exit code, standard output and standard error of `ours-emulator plan`."""
    done = CliRunner().invoke(commands, ["plan", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_a_plan_is_inferred_from_what_arrived_and_fits_it(server: Server, tmp_path: Path) -> None:
    account = server.account()
    account.track(event="Order", userId="u", eventProperties=ORDER)
    account.track(event="Order", userId="u", eventProperties={**ORDER, "at": "2026-01-01T00:00:00Z"})
    account.identify(userId="u", userProperties={"first_name": "Ann"})
    code, text, _ = run("infer", "--url", account.url)
    assert code == 0
    plan = TrackingPlan.model_validate(text)
    order = plan.events["Order"]
    assert order["required"] == ["coupon", "items", "order_id", "total"]
    assert order["properties"]["at"] == {"type": "string", "format": "date-time"}
    assert plan.visitor == {
        "type": "object",
        "properties": {"first_name": {"type": "string"}},
        "additionalProperties": False,
    }
    export, file = tmp_path / "export.jsonl", tmp_path / "plan.yaml"
    export.write_bytes(account.http.get(f"{account.url}/debug/export").content)
    file.write_text(text)
    assert run("infer", str(export)) == (0, text, "")
    assert json.loads(run("infer", str(export), "--format", "json")[1]) == plan.model_dump(exclude_unset=True)
    assert run("check", str(export), "--tracking-plan", str(file)) == (
        0,
        f"3 messages checked; none differs from {file}\n",
        "",
    )


def test_an_export_that_differs_from_a_plan_is_listed_and_fails(tmp_path: Path, account: Account) -> None:
    account.configure(tokens=["t"], tracking_plan=PAID)
    good: Any = {"event": "Paid", "userId": "u", "distinctId": "1", "eventProperties": {"amount": 5}}
    account.batch(good, {"event": "paid", "userId": "u", "distinctId": "2"})
    account.track(event="Paid", userId="u", eventProperties={"amount": "5"})
    account.track(event="Refused", userId="u", token="other")
    export, file = tmp_path / "export.jsonl", tmp_path / "plan.json"
    export.write_bytes(account.http.get(f"{account.url}/debug/export").content)
    file.write_text(json.dumps({"events": {"Paid": {"properties": {"amount": {"type": "number"}}}}}))
    code, text, error = run("check", str(export), "--tracking-plan", str(file))
    assert (code, error) == (1, f"ours-emulator: 2 of 3 messages differ from {file}\n")
    assert text.splitlines() == [
        "line 2: paid: event: not in the plan; did you mean Paid?",
        'line 3: Paid: eventProperties.amount: expected a number, got "5"',
    ]


def test_an_export_without_messages_does_not_pass_and_may_come_from_standard_input(
    tmp_path: Path, account: Account, capsys: pytest.CaptureFixture[str]
) -> None:
    account.track(event="Paid", userId="u")
    plan, empty = tmp_path / "plan.json", tmp_path / "empty.jsonl"
    plan.write_text(json.dumps(PAID))
    empty.touch()
    with pytest.raises(SystemExit) as ended:
        main(["plan", "check", str(empty), "--tracking-plan", str(plan)])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"ours-emulator: {empty} has no messages to check; export some first\n"
    exported = account.http.get(f"{account.url}/debug/export").content
    done = CliRunner().invoke(commands, ["plan", "check", "-", "--tracking-plan", str(plan)], input=exported)
    assert (done.exit_code, done.stderr) == (1, f"ours-emulator: 1 of 1 message differs from {plan}\n")


def test_an_inferred_plan_requires_nothing_of_visitors_and_leaves_out_what_no_plan_can_have() -> None:
    sent = {"custom_properties": {"plan": "pro"}, "first_name": "Ann"}
    body = {"token": "t", "userId": "u", "userProperties": sent}
    assert "required" not in json.dumps(inferred_plan(read({}, "identify", body)))
    body = {"token": "t", "userId": "u", "event": "E", "eventProperties": {"a": {"\ud800": 1}, "b": 1}}
    left_out: set[str] = set()
    plan = inferred_plan(read({}, "track", body), left_out)
    assert left_out == {"\ud800"}
    assert TrackingPlan.model_validate(plan).events["E"]["required"] == ["a", "b"]


def test_an_inferred_plan_is_valid_yaml_whatever_the_names_and_dates_are(account: Account) -> None:
    odd: Any = {
        "\x85": 1,
        "": 1,
        "a\u2028b": 1,
        "on": 1,
        "<<": 1,
        "=": 1,
        "\x00": 1,
        "Zoë": 1,
        "\ufeff": 1,
        "\x85 b": 1,
    }
    moments = ["2026-01-01T00:00:00+24:00", "٢026-01-01", "2026-01-01T24:00:00Z", "0000-01-01", "2026-01-01T00:00:00Z"]
    sent = {**odd, "moments": {str(number): text for number, text in enumerate(moments)}}
    account.track(event="E", userId="u", eventProperties=sent)
    code, text, _ = run("infer", "--url", account.url)
    assert code == 0
    assert differences(text, ("E", sent)) == []
    assert TrackingPlan.model_validate(text).events["E"]["properties"].keys() == sent.keys()


def test_commands_about_plans_say_what_is_wrong_in_one_line(tmp_path: Path, account: Account) -> None:
    bad, good, missing = tmp_path / "bad", tmp_path / "good.json", tmp_path / "missing"
    bad.write_text("{")
    good.write_text("{}")
    for arguments, said in (
        (
            ["check", str(good), "--tracking-plan", str(missing)],
            "cannot be read: No such file or directory; check the path",
        ),
        (
            ["check", str(missing), "--tracking-plan", str(good)],
            "cannot be read: No such file or directory; check the path",
        ),
        (["check", str(bad), "--tracking-plan", str(good)], "line 1: not JSON: "),
        (["infer", str(missing)], "cannot be read: No such file or directory; check the path"),
        (["infer", "--url", account.url], "no accepted events to make a plan from; send some first"),
    ):
        with case(arguments):
            code, text, error = run(*arguments)
            assert (code > 0, text, said in error, error.count("\n")) == (True, "", True, 1), error


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "at"]), JSON_VALUES, max_size=3), min_size=1, max_size=4))
def test_what_a_plan_was_inferred_from_fits_it(sent: list[Any]) -> None:
    bodies = [{"token": "t", "userId": "u", "event": "E", "eventProperties": one} for one in sent]
    messages = [message for body in bodies for message in read({}, "track", body)]
    plan = inferred_plan(messages)
    assert [line for body in bodies for line in lines(plan, "track", body)] == []


def test_the_handle_sets_and_removes_a_plan_and_opens_accounts_with_one(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("events:\n  Paid:\n")
    with Emulator(server.url) as emulator:
        account = emulator.open_account(tracking_plan=file)
        assert account.remove_tracking_plan()["events"] == {"Paid": {}}
        other = tmp_path / "other.yaml"
        other.write_bytes(b"events:\n  Zo\xeb:\n")
        with pytest.raises(ValueError, match=r"other\.yaml is not UTF-8; save it in that encoding"):
            account.set_tracking_plan(other)
        assert account.set_tracking_plan(file) == account.set_tracking_plan({"events": {"Paid": {}}})


def test_the_document_has_a_plan_as_text_too_and_events_without_a_schema(account: Account) -> None:
    document = account.http.get(f"{account.url}/debug/openapi.json").json()
    schemas = document["components"]["schemas"]
    content = document["paths"]["/debug/tracking-plan"]["put"]["requestBody"]["content"]["application/json"]
    for plan in (content["schema"], schemas["AccountBody"]["properties"]["tracking_plan"]):
        text = json.dumps(plan)
        assert "#/components/schemas/TrackingPlan" in text
        assert '"type": "string"' in text
    event = schemas["TrackingPlan"]["properties"]["events"]["additionalProperties"]
    assert {"type": "null"} in event["anyOf"]
