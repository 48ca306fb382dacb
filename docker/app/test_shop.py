"""The shop's tests: order something, and look at what arrived in the emulator."""

import json
import os
import unittest
from typing import Any
from urllib.request import Request, urlopen
from uuid import uuid4

SHOP = os.environ.get("SHOP_URL", "http://127.0.0.1:8000")
EMULATOR = os.environ.get("OURS_EMULATOR_URL", "http://127.0.0.1:4010")


def call(url: str, body: object = None) -> Any:
    """Return the JSON that *url* returns, to a POST of *body* if there is one."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, {"Content-Type": "application/json"}), timeout=10) as answer:
        return json.load(answer)


class Orders(unittest.TestCase):
    """What an order means for the customer's profile."""

    def setUp(self) -> None:
        """Send a new order twice."""
        self.number = f"order-{uuid4()}"
        self.customer = f"customer-{uuid4()}"
        # A second customer with the same email would get a hint: the emulator keeps the first one.
        self.email = f"{uuid4()}@example.com"
        order = {"number": self.number, "customer": self.customer, "email": self.email, "amount": "99.90"}
        call(f"{SHOP}/orders", order)
        call(f"{SHOP}/orders", order)

    def test_an_order_is_one_event_even_if_it_is_sent_twice(self) -> None:
        """The shop answered, so the event is there: no waiting."""
        events = call(f"{EMULATOR}/debug/events?distinct_id={self.number}")
        self.assertEqual(events["total"], 1)
        (event,) = events["items"]
        self.assertEqual(event["event"], "Order Completed")
        self.assertEqual(event["event_properties"], {"amount": "99.90", "currency": "EUR"})
        self.assertEqual(event["hints"], [])

    def test_the_customer_knows_their_last_order(self) -> None:
        """The visitor has what the shop sent about the customer."""
        (visitor,) = call(f"{EMULATOR}/debug/visitors?external_id={self.customer}")["items"]
        self.assertEqual(visitor["identifiers"]["email"], self.email)
        self.assertEqual(visitor["custom_properties"], {"last_order": self.number})


if __name__ == "__main__":
    unittest.main()
