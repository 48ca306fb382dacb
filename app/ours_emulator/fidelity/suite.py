"""Requests that show by their answers which rules a server follows, above all those that the emulator only assumes.

They are the same in every revision. What each one is answered is not written here: an emulator of the revision says so.
Each names the rules it is about, of which the first that the revision has is meant.
"""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ours_emulator.fidelity.preparation import CLIENT, Credentials, Outgoing

EVENT = "ours_emulator_compare"
"""The name of all events, so that they can be found and left out in the vendor's dashboard."""
_UNKNOWN = "ours-emulator-unknown"
_DAY_MS = 24 * 60 * 60 * 1000
_HOUR_MS = 60 * 60 * 1000
_ROW_BYTES = 1024 * 1024
_MAX_LEVELS = 200
_ORIGIN = "https://shop.example"


def suite(credentials: Credentials, run: str, now: int) -> Iterator[Outgoing]:
    """Yield the requests of the suite, with the digits of *run* in each id, at the moment *now* in milliseconds.

    Without a key those to the Client API are left out.
    """
    made = _Requests(credentials.token, run)
    for part in (_bodies, _tokens, _http, _identity, _values, _open_objects, _batches):
        yield from part(made)
    yield from _times(made, now)
    if credentials.key is not None:
        yield from _client(made, f"Bearer {credentials.key}")


class _Requests:
    """Makes requests with one token and ids of one run."""

    def __init__(self, token: str, run: str) -> None:
        self.token = token
        self.id = f"ours-emulator-{run}"

    def track(self, label: str, *rules: str, **fields: Any) -> Outgoing:
        """Return an event; a field that is `...` is left out."""
        return self.post("track", label, rules, {"token": self.token, "event": EVENT, "userId": self.id, **fields})

    def identify(self, label: str, *rules: str, **fields: Any) -> Outgoing:
        """Return a call of identify."""
        return self.post("identify", label, rules, {"token": self.token, "userId": self.id, **fields})

    def batch(self, label: str, *rules: str, rows: Sequence[Mapping[str, Any]], **fields: Any) -> Outgoing:
        """Return a batch with the event, visitor and distinctId of each of *rows* filled in."""
        filled = [
            {"event": EVENT, "userId": self.id, "distinctId": f"{self.id}-{label}-{at}", **row}
            for at, row in enumerate(rows)
        ]
        return self.post("batch", label, rules, {"token": self.token, "events": filled, **fields})

    def post(self, endpoint: str, label: str, rules: Sequence[str], body: Mapping[str, Any]) -> Outgoing:
        """Return a POST of JSON to the Ingest API."""
        sent = {name: value for name, value in body.items() if value is not ...}
        return self.raw("POST", f"/api/v1/{endpoint}", label, rules, json.dumps(sent).encode("ascii"))

    def raw(
        self, method: str, path: str, label: str, rules: Sequence[str], body: bytes = b"", **headers: str
    ) -> Outgoing:
        """Return any request; its content type is JSON unless *headers* say something else."""
        content_type = {"content-type": "application/json"} if body else {}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return Outgoing(label, method, path, body, {**content_type, **given}, tuple(rules))

    def encoded(self, label: str, rule: str, **headers: str) -> Outgoing:
        """Return an event with these *headers*, and so with the body that its coding has."""
        body = json.dumps({"token": self.token, "event": EVENT, "userId": self.id}).encode("ascii")
        packed = gzip.compress(body, mtime=0) if headers.get("content_encoding") == "x-gzip" else body
        return self.raw("POST", "/api/v1/track", label, [rule], packed, **headers)


def _bodies(made: _Requests) -> Iterator[Outgoing]:
    # The first one is what nothing is wrong with: if it is refused, so is everything else.
    yield made.track("accepted", "schema")
    yield made.identify("identify", "identify-body", userProperties={})
    yield made.identify("identify-null", "identify-body", userProperties=None)
    yield made.track("event-missing", "schema", event=...)
    yield made.track("event-number", "schema", event=5)
    yield made.track("unknown-key", "unknown-keys", coupon="SUMMER")
    yield made.track("number-in-properties", "any-json", eventProperties={"amount": 10, "paid": True})
    yield made.track("identity-context-null", "identity-context", identityContext=None)
    yield made.track("identity-context-half", "identity-context", identityContext={"ip": "192.0.2.1"})
    deep: list[Any] = []
    for _ in range(_MAX_LEVELS):
        deep = [deep]
    yield made.track("nested", "nesting", eventProperties={"deep": deep})
    marked = b"\xef\xbb\xbf" + made.track("", "").body
    yield made.raw("POST", "/api/v1/track", "byte-order-mark", ["byte-order-mark"], marked)
    yield made.raw("POST", "/api/v1/track", "malformed", ["malformed"], b'{"event":')


def _tokens(made: _Requests) -> Iterator[Outgoing]:
    yield made.track("token-missing", "missing-token", token=...)
    yield made.batch("batch-token-missing", "missing-token", rows=[{}], token=...)
    yield made.track("token-before-schema", "check-order", token=..., event=...)
    yield made.track("schema-before-token", "check-order", token=_UNKNOWN, event=...)
    yield made.track("token-unknown", "401", token=_UNKNOWN)


def _http(made: _Requests) -> Iterator[Outgoing]:
    body = made.track("", "").body
    for label, method, path in (
        ("put", "PUT", "track"),
        ("unknown-path", "POST", _UNKNOWN),
        ("trailing-slash", "POST", "track/"),
    ):
        yield made.raw(method, f"/api/v1/{path}", label, ["methods"], body)
    asked = {"origin": _ORIGIN, "access-control-request-method": "POST"}
    header = ("access-control-allow-origin",)
    yield Outgoing("preflight", "OPTIONS", "/api/v1/track", b"", asked, ("cors",), header)
    origin = {"origin": _ORIGIN, "content-type": "application/json"}
    yield Outgoing("other-origin", "POST", "/api/v1/track", body, origin, ("cors",), header)
    yield made.raw("GET", "/api/v1/openapi", "openapi", ["openapi"])
    yield made.encoded("text-plain", "content-type", content_type="text/plain")
    yield made.encoded("x-gzip", "encoding", content_encoding="x-gzip")
    yield made.encoded("gzip-invalid", "encoding", content_encoding="gzip")
    yield made.encoded("brotli", "encoding", content_encoding="br")


def _identity(made: _Requests) -> Iterator[Outgoing]:
    def nobody(label: str, *rules: str, **properties: Any) -> Outgoing:
        return made.track(label, *rules, userId=..., userProperties=properties)

    yield nobody("no-identifier", "identifier")
    yield nobody("phone-only", "identifier", phone_number="+1 555 0100")
    yield nobody("phone-without-digits", "phone-form", "identifier", phone_number="none")
    yield nobody("external-id-in-properties", "identity-fallback", external_id=made.id)
    yield nobody("email-in-properties", "identity-fallback", email=f"{made.id}@example.com")
    yield made.track("user-id-empty", "empty-identifier", userId="")
    yield made.track("external-id-number", "to-text", "schema", externalId=5)
    yield made.track("external-id-list", "to-text-form", "schema", externalId=[])
    yield made.track("distinct-id-first", "dedup", distinctId=made.id)
    yield made.track("distinct-id-again", "dedup", distinctId=made.id)


def _values(made: _Requests) -> Iterator[Outgoing]:
    # To JavaScript U+FEFF is white space and U+001C is not; to Python it is the other way round.
    yield made.track("byte-order-mark-as-event", "trimmed-characters", "schema", event="\ufeff")
    yield made.track("file-separator-as-event", "trimmed-characters", "schema", event="\x1c")
    yield made.track("new-name-too-long", "new-lengths", "unknown-keys", userProperties={"graid": "x" * 2001})
    yield made.track("new-name-without-limit", "new-lengths", "unknown-keys", userProperties={"ylpcid": "x" * 2001})
    yield made.track("name-too-long", "schema", userProperties={"first_name": "x" * 2001})


def _open_objects(made: _Requests) -> Iterator[Outgoing]:
    def properties(label: str, rule: str, value: Mapping[str, Any]) -> Outgoing:
        return made.track(label, rule, "any-json", eventProperties=value)

    keys = {f"key_{at}": at for at in range(200)}
    yield properties("keys-inside", "open-object-count", {**keys, "key_0": {"one": 1, "two": 2}})
    yield properties("key-empty", "open-object-count", {**keys, "": 0})
    yield properties("levels-in-list", "open-object-count", {"list": [_levels(6)]})
    yield properties("keys-201", "open-object-limits", {**keys, "one_more": 0})
    yield properties("levels-6", "open-object-limits", _levels(6))


def _levels(count: int) -> Mapping[str, Any]:
    return {"level": _levels(count - 1)} if count > 1 else {"level": count}


def _batches(made: _Requests) -> Iterator[Outgoing]:
    same = f"{made.id}-twice"
    yield made.batch("rows-with-one-distinct-id", "batch-repeats", rows=[{"distinctId": same}, {"distinctId": same}])
    yield made.batch("some-rows-invalid", "batch-answers", rows=[{}, {"event": ""}])
    yield made.batch("all-rows-invalid", "batch-answers", rows=[{"event": ""}])
    yield made.batch("no-rows", "batch-events", rows=[])
    yield made.batch("row-with-other-token", "batch-token", rows=[{"token": _UNKNOWN}])
    yield made.batch("row-too-large", "batch-row-size", rows=[{"eventProperties": {"text": "x" * _ROW_BYTES}}])


def _times(made: _Requests, now: int) -> Iterator[Outgoing]:
    # An hour from the ends of the window, because the clock of another server is not that of this machine.
    yield made.track("time-null", "time-window", time=None)
    yield made.track("time-in-window", "time-window", time=now - _DAY_MS)
    yield made.track("time-in-future", "time-window", time=now + _HOUR_MS)
    yield made.track("time-too-old", "time-window", time=now - 7 * _DAY_MS - _HOUR_MS)


def _client(made: _Requests, key: str) -> Iterator[Outgoing]:
    def post(endpoint: str, label: str, rule: str, body: bytes, **headers: str) -> Outgoing:
        return made.raw("POST", f"/api/{CLIENT}{endpoint}", label, [rule], body, **{"authorization": key, **headers})

    visitor = json.dumps({"external_id": made.id}).encode("ascii")
    yield post("identify", "client-accepted", "client-success", visitor)
    yield post("identify", "client-text-plain", "client-content-type", visitor, content_type="text/plain")
    yield post("identify", "client-byte-order-mark", "byte-order-mark", b"\xef\xbb\xbf" + visitor)
    yield post("identify", "client-key-unknown", "client-open-keys", visitor, authorization=f"Bearer pk_{_UNKNOWN}")
    yield post("identify", "client-no-bearer", "client-key", visitor, authorization="Basic none")
    yield post("identify", "client-number", "client-unreadable", b"5")
    yield post("alias", "client-alias-half", "client-validation", visitor)
    yield post("identify", "client-timezone", "client-timezone", visitor[:-1] + b',"timezone":"Nowhere"}')
