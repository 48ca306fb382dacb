"""A small shop that sends every order to Ours Privacy: the app under test of ../compose.yaml."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import Request, urlopen

PORT = int(os.environ.get("PORT", "8000"))
TRACK = os.environ.get("OURS_PRIVACY_BASE_URL", "http://127.0.0.1:4010/api/v1") + "/track"
TOKEN = os.environ.get("OURS_PRIVACY_TOKEN", "shop-token")


def send(order: dict[str, Any]) -> None:
    """Send the order as an event. Its number is the distinct id, so that sending it twice counts once."""
    event = {
        "token": TOKEN,
        "event": "Order Completed",
        "externalId": order["customer"],
        "email": order["email"],
        "distinctId": order["number"],
        "eventProperties": {"amount": order["amount"], "currency": "EUR"},
        "userProperties": {"custom_properties": {"last_order": order["number"]}},
    }
    with urlopen(
        Request(TRACK, json.dumps(event).encode(), {"Content-Type": "application/json"}), timeout=10
    ) as answer:
        answer.read()


class Shop(BaseHTTPRequestHandler):
    """POST /orders takes an order; GET / says that the shop is open."""

    def do_GET(self) -> None:
        """Say that the shop is open."""
        self._answer(200, {"open": True})

    def do_POST(self) -> None:
        """Take an order, and send its event."""
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        send(order)
        self._answer(201, {"number": order["number"]})

    def _answer(self, status: int, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    if "--check" in sys.argv:
        with urlopen(f"http://127.0.0.1:{PORT}/", timeout=5):
            sys.exit(0)
    ThreadingHTTPServer(("", PORT), Shop).serve_forever()
