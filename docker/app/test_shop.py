"""The shop's tests: order something, and look at what the emulator was told."""

import json
import os
import unittest
from typing import Any
from urllib.request import Request, urlopen
from uuid import uuid4

SHOP = os.environ.get("SHOP_URL", "http://127.0.0.1:8000")
EMULATOR = os.environ.get("OURS_EMULATOR_URL", "http://127.0.0.1:4010")


def call(url: str, body: object = None) -> Any:
    """Return the JSON that *url* answers, to a POST of *body* if there is one."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, {"Content-Type": "application/json"}), timeout=10) as answer:
        return json.load(answer)


class Orders(unittest.TestCase):
    """What an order means for the customer's profile."""

    def setUp(self) -> None:
        """Order something that nobody ordered before."""
        self.number = f"order-{uuid4()}"
        self.customer = f"customer-{uuid4()}"
        order = {"number": self.number, "customer": self.customer, "email": "ann@example.com", "amount": "99.90"}
        call(f"{SHOP}/orders", order)
        call(f"{SHOP}/orders", order)

    def test_an_order_is_one_event_even_if_it_is_told_twice(self) -> None:
        """The shop answered, so the event is there: no waiting."""
        events = call(f"{EMULATOR}/debug/events?distinct_id={self.number}")
        assert events["total"] == 1
        (event,) = events["items"]
        assert event["event"] == "Order Completed"
        assert event["event_properties"] == {"amount": "99.90", "currency": "EUR"}
        assert event["hints"] == []

    def test_the_customer_knows_their_last_order(self) -> None:
        """What the shop says of the customer is on the visitor."""
        (visitor,) = call(f"{EMULATOR}/debug/visitors?external_id={self.customer}")["items"]
        assert visitor["identifiers"]["email"] == "ann@example.com"
        assert visitor["custom_properties"] == {"last_order": self.number}


if __name__ == "__main__":
    unittest.main()
