"""Events with something to find in each part of them, and texts that are in some of them."""

import json
from typing import Any

from serving import Account

KEY = {"authorization": "Bearer pk_k"}
LONG = "x" * 50_000 + "needle" + "x" * 50_000
TEXTS = [
    ("name-1", "Name-1"),
    ("kauf", "Name-1"),
    ("GROSSER", "Name-1"),
    ("promo code", "key"),
    ("zÜrich", "value"),
    ("😀", "value"),
    ("99.99", "number"),
    ("TRUE", "number"),
    ("null", "number"),
    ("bonn", "visitor"),
    ("plan", "visitor"),
    ('y "hi"\\', "visitor"),
    ("ann@example", "email"),
    ("home p", "default"),
    ("10.1.2.3", "context"),
    ("before\0after", "nul"),
    ("\0", "nul"),
    ("needle", "long"),
    (LONG[49_500:50_500], "long"),
    ("one\ntwo", "line"),
    ("kelvin", "line"),
    ("<B ONCLICK", "markup"),
    ("</script", "markup"),
    ("%", ""),
    ("pl_n", ""),
    ("secret-token", ""),
    ("event_properties", ""),
    ("userid", ""),
    ("u00", ""),
    ("\u03bf\u03b4\u03bf\u03c2-", "cases"),
    ("\u0394\u039f\u03a3", "cases"),
    ("\u0131\u015f", "cases"),
    ("i\u015f", ""),
    ("1.0", "cases"),
    ("12345678901234567890", "cases"),
    ("nowhere", ""),
]
"""Texts, with the distinct ids of the accepted events that have them."""


def post(account: Account, path: str, body: Any) -> None:
    """Send *body* in ASCII, which may have lone surrogates."""
    response = account.post(path, json.dumps(body).encode("ascii"), KEY)
    assert response.status_code in (200, 204, 207), response.text


def send_searched(account: Account) -> None:
    """Send events with something to find in each part."""
    rows: list[dict[str, Any]] = [
        {"distinctId": "Name-1", "event": "Großer KAUF"},
        {"distinctId": "key", "eventProperties": {"Promo Code": 1}},
        {"distinctId": "value", "eventProperties": {"deep": [{"a": "Zürich 😀"}]}},
        {"distinctId": "number", "eventProperties": {"amount": 99.99, "paid": True, "gift": None}},
        {"distinctId": "visitor", "userProperties": {"city": "Bonn", "custom_properties": {"Plan": 'say "hi"\\'}}},
        {"distinctId": "email", "email": "Ann@Example.com"},
        {"distinctId": "default", "defaultProperties": {"title": "Home Page"}},
        {"distinctId": "context", "identityContext": {"ip": "10.1.2.3", "userAgent": "Mozilla"}},
        {"distinctId": "nul", "eventProperties": {"a": "before\0after", "b": "\ud800lone"}},
        {"distinctId": "long", "eventProperties": {"a": LONG}},
        {"distinctId": "line", "eventProperties": {"a": "one\ntwo", "b": "\u212aelvin"}},
        {
            "distinctId": "cases",
            "eventProperties": {
                "a": "\u039f\u0394\u039f\u03a3-\u0131\u015e\u0131",
                "b": 1.0,
                "c": 12345678901234567890,
            },
        },
        {"distinctId": "markup", "eventProperties": {"<b onclick=alert(1)>": "</script>"}},
    ]
    token, event = {"token": "secret-token"}, {"event": "E", "userId": "u-1"}
    post(account, "/batch", {**token, "events": [{**event, **row} for row in rows]})
    account.track(event="Refused one", distinctId="refused")
    post(account, "/track", {**token, **event, "distinctId": "key"})
    device = dict.fromkeys(("os", "model", "app_build", "app_version"), "x")
    post(account, "/api/client/devices", {"external_id": "x-9", **device, "device_id": "Pixel 8"})
    post(account, "/api/client/identify", {"external_id": "x-9", "data": {"Loyalty": "gold"}})
