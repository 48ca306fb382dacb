"""Tracking plans: what differs from one gets a hint, whatever is sent and however the plan is given."""

import json
import subprocess
import sys
import time
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
from ours_emulator.cli.main import commands
from ours_emulator.cli.plan_inference import inferred_plan
from ours_emulator.contract.plan_checks import RULE
from ours_emulator.contract.tracking_plan import TrackingPlan, read_file
from ours_emulator.emulator import Emulator
from ours_emulator.model import Message, Request
from ours_emulator.settings import SettingsError
from ours_emulator.wording import plain
from serving import Account, Server, serving

EPOCH = 1767225600000
PAID: Any = {"events": {"Paid": {"properties": {"amount": {"type": "number"}}, "required": ["amount"]}}}


def read(plan: Any, path: str, body: Any, revision: str | None = None) -> list[Message]:
    """Return the messages that *body* has under *plan*."""
    accounts, contracts = message_readers()
    account = replace(accounts.config("default"), tracking_plan=TrackingPlan.model_validate(plan))
    request = Request(
        account="default",
        endpoint=path,
        method="POST",
        path=f"/{path}",
        content_type="application/json",
        content_encoding="",
        body=json.dumps(body).encode(),
        oversized=False,
        attempt=1,
        received_at=EPOCH,
        started=0.0,
        authorization="Bearer pk_1",
    )
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
