"""Requests that show by their answers which rules a server follows, above all those that the emulator only assumes.

They are the same in every revision. What each one is answered is not written here: an emulator of the revision says so.
Each names the rules it is about, of which the first that the revision has is meant.
"""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ours_emulator.contract.paths import INGEST_BASE
from ours_emulator.fidelity.preparation import Credentials, OutgoingRequest
from ours_emulator.http.routes import CLIENT_BASE

EVENT = "ours_emulator_compare"
"""The name of all events, so that they can be found and left out in the vendor's dashboard."""
_UNKNOWN = "ours-emulator-unknown"
_DAY_MS = 24 * 60 * 60 * 1000
_HOUR_MS = 60 * 60 * 1000
_ROW_BYTES = 1024 * 1024
_MAX_LEVELS = 200
_ORIGIN = "https://shop.example"
_TRACK = f"{INGEST_BASE}/track"


def suite(credentials: Credentials, run: str, now: Callable[[], int]) -> Iterator[OutgoingRequest]:
    """Yield the requests of the suite, with the digits of *run* in each id; *now* is the time in milliseconds.

    Without a key those to the Client API are left out.
    """
    requests = _Requests(credentials.token, run)
    for part in (_bodies, _tokens, _http, _identity, _values, _open_objects, _batches, _experiments):
        yield from part(requests)
    yield from _times(requests, now)
    if credentials.key is not None:
        yield from _client(requests, f"Bearer {credentials.key}")


class _Requests:
    """Makes requests with one token and ids of one run."""

    def __init__(self, token: str, run: str) -> None:
        self.token = token
        self.id = f"ours-emulator-{run}"

    def track(self, label: str, *rules: str, **fields: Any) -> OutgoingRequest:
        """Return an event; a field that is `...` is left out."""
        return self.post("track", label, rules, {"token": self.token, "event": EVENT, "userId": self.id, **fields})

    def identify(self, label: str, *rules: str, **fields: Any) -> OutgoingRequest:
        """Return a call of identify."""
        return self.post("identify", label, rules, {"token": self.token, "userId": self.id, **fields})

    def batch(self, label: str, *rules: str, rows: Sequence[Mapping[str, Any]], **fields: Any) -> OutgoingRequest:
        """Return a batch with the event, visitor and distinctId of each of *rows* filled in."""
        filled = [
            {"event": EVENT, "userId": self.id, "distinctId": f"{self.id}-{label}-{at}", **row}
            for at, row in enumerate(rows)
        ]
        return self.post("batch", label, rules, {"token": self.token, "events": filled, **fields})

    def post(self, endpoint: str, label: str, rules: Sequence[str], body: Mapping[str, Any]) -> OutgoingRequest:
        """Return a POST of JSON to the Ingest API."""
        sent = {name: value for name, value in body.items() if value is not ...}
        return self.raw("POST", f"{INGEST_BASE}/{endpoint}", label, rules, json.dumps(sent).encode("ascii"))

    def raw(
        self, method: str, path: str, label: str, rules: Sequence[str], body: bytes = b"", **headers: str
    ) -> OutgoingRequest:
        """Return any request; its content type is JSON unless *headers* say something else."""
        content_type = {"content-type": "application/json"} if body else {}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return OutgoingRequest(label, method, path, body, {**content_type, **given}, tuple(rules))

    def encoded(self, label: str, rule: str, **headers: str) -> OutgoingRequest:
        """Return an event with these *headers*, and so with the body that its coding has."""
        body = json.dumps({"token": self.token, "event": EVENT, "userId": self.id}).encode("ascii")
        packed = gzip.compress(body, mtime=0) if headers.get("content_encoding") == "x-gzip" else body
        return self.raw("POST", _TRACK, label, [rule], packed, **headers)


def _bodies(requests: _Requests) -> Iterator[OutgoingRequest]:
    # The first one is what nothing is wrong with: if it is refused, so is everything else.
    yield requests.track("accepted", "schema")
    yield requests.identify("identify", "identify-body", userProperties={})
    yield requests.identify("identify-null", "identify-body", userProperties=None)
    yield requests.track("event-missing", "schema", event=...)
    yield requests.track("event-number", "schema", event=5)
    yield requests.track("unknown-key", "unknown-keys", coupon="SUMMER")
    yield requests.track("number-in-properties", "any-json", eventProperties={"amount": 10, "paid": True})
    yield requests.track("identity-context-null", "identity-context", identityContext=None)
    yield requests.track("identity-context-half", "identity-context", identityContext={"ip": "192.0.2.1"})
    deep: list[Any] = []
    for _ in range(_MAX_LEVELS):
        deep = [deep]
    yield requests.track("nested", "nesting", eventProperties={"deep": deep})
    marked = b"\xef\xbb\xbf" + requests.track("", "").body
    yield requests.raw("POST", _TRACK, "byte-order-mark", ["byte-order-mark"], marked)
    yield requests.raw("POST", _TRACK, "malformed", ["malformed"], b'{"event":')


def _tokens(requests: _Requests) -> Iterator[OutgoingRequest]:
    yield requests.track("token-missing", "missing-token", token=...)
    yield requests.batch("batch-token-missing", "missing-token", rows=[{}], token=...)
    yield requests.track("token-before-schema", "check-order", token=..., event=...)
    yield requests.track("schema-before-token", "check-order", token=_UNKNOWN, event=...)
    yield requests.track("token-unknown", "401", token=_UNKNOWN)


def _http(requests: _Requests) -> Iterator[OutgoingRequest]:
    body = requests.track("", "").body
    for label, method, path in (
        ("put", "PUT", "track"),
        ("unknown-path", "POST", _UNKNOWN),
        ("trailing-slash", "POST", "track/"),
    ):
        yield requests.raw(method, f"{INGEST_BASE}/{path}", label, ["methods"], body)
    asked = {"origin": _ORIGIN, "access-control-request-method": "POST"}
    header = ("access-control-allow-origin",)
    yield OutgoingRequest("preflight", "OPTIONS", _TRACK, b"", asked, ("cors",), header)
    origin = {"origin": _ORIGIN, "content-type": "application/json"}
    yield OutgoingRequest("other-origin", "POST", _TRACK, body, origin, ("cors",), header)
    yield requests.raw("GET", f"{INGEST_BASE}/openapi", "openapi", ["openapi"])
    yield requests.encoded("text-plain", "content-type", content_type="text/plain")
    yield requests.encoded("x-gzip", "encoding", content_encoding="x-gzip")
    yield requests.encoded("gzip-invalid", "encoding", content_encoding="gzip")
    yield requests.encoded("brotli", "encoding", content_encoding="br")


def _identity(requests: _Requests) -> Iterator[OutgoingRequest]:
    def nobody(label: str, *rules: str, **properties: Any) -> OutgoingRequest:
        return requests.track(label, *rules, userId=..., userProperties=properties)

    yield nobody("no-identifier", "identifier")
    yield nobody("phone-only", "identifier", phone_number="+1 555 0100")
    yield nobody("phone-without-digits", "phone-form", "identifier", phone_number="none")
    yield nobody("external-id-in-properties", "identity-fallback", external_id=requests.id)
    yield nobody("email-in-properties", "identity-fallback", email=f"{requests.id}@example.com")
    yield requests.track("user-id-empty", "empty-identifier", userId="")
    yield requests.track("external-id-number", "to-text", "schema", externalId=5)
    yield requests.track("external-id-list", "to-text-form", "schema", externalId=[])
    yield requests.track("distinct-id-first", "dedup", distinctId=requests.id)
    yield requests.track("distinct-id-again", "dedup", distinctId=requests.id)


def _values(requests: _Requests) -> Iterator[OutgoingRequest]:
    # To JavaScript U+FEFF is white space and U+001C is not; to Python it is the other way round.
    yield requests.track("byte-order-mark-as-event", "trimmed-characters", "schema", event="\ufeff")
    yield requests.track("file-separator-as-event", "trimmed-characters", "schema", event="\x1c")
    yield requests.track("new-name-too-long", "new-lengths", "unknown-keys", userProperties={"graid": "x" * 2001})
    yield requests.track("new-name-without-limit", "new-lengths", "unknown-keys", userProperties={"ylpcid": "x" * 2001})
    yield requests.track("name-too-long", "schema", userProperties={"first_name": "x" * 2001})


def _open_objects(requests: _Requests) -> Iterator[OutgoingRequest]:
    def properties(label: str, rule: str, value: Mapping[str, Any]) -> OutgoingRequest:
        return requests.track(label, rule, "any-json", eventProperties=value)

    keys = {f"key_{at}": at for at in range(200)}
    yield properties("keys-inside", "open-object-count", {**keys, "key_0": {"one": 1, "two": 2}})
    yield properties("key-empty", "open-object-count", {**keys, "": 0})
    yield properties("levels-in-list", "open-object-count", {"list": [_levels(6)]})
    yield properties("keys-201", "open-object-limits", {**keys, "one_more": 0})
    yield properties("levels-6", "open-object-limits", _levels(6))


def _levels(count: int) -> Mapping[str, Any]:
    return {"level": _levels(count - 1)} if count > 1 else {"level": count}


def _batches(requests: _Requests) -> Iterator[OutgoingRequest]:
    same = f"{requests.id}-twice"
    yield requests.batch(
        "rows-with-one-distinct-id", "batch-repeats", rows=[{"distinctId": same}, {"distinctId": same}]
    )
    yield requests.batch("some-rows-invalid", "batch-answers", rows=[{}, {"event": ""}])
    yield requests.batch("all-rows-invalid", "batch-answers", rows=[{"event": ""}])
    yield requests.batch("no-rows", "batch-events", rows=[])
    yield requests.batch("row-with-other-token", "batch-token", rows=[{"token": _UNKNOWN}])
    yield requests.batch("row-too-large", "batch-row-size", rows=[{"eventProperties": {"text": "x" * _ROW_BYTES}}])


def _experiments(requests: _Requests) -> Iterator[OutgoingRequest]:
    path = f"experiments/assignments/{_UNKNOWN}"
    visitor = {"token": requests.token, "visitor_id": requests.id}
    yield requests.post(path, "experiment-unknown", ["experiment-unknown", "methods"], visitor)
    yield requests.post(path, "experiment-token-missing", ["experiment-refusals", "methods"], {**visitor, "token": ...})


def _times(requests: _Requests, now: Callable[[], int]) -> Iterator[OutgoingRequest]:
    # An hour from the ends of the window, because the clock of another server is not that of this machine.
    yield requests.track("time-null", "time-window", time=None)
    yield requests.track("time-in-window", "time-window", time=now() - _DAY_MS)
    yield requests.track("time-in-future", "time-window", time=now() + _HOUR_MS)
    yield requests.track("time-too-old", "time-window", time=now() - 7 * _DAY_MS - _HOUR_MS)


def _client(requests: _Requests, key: str) -> Iterator[OutgoingRequest]:
    def post(endpoint: str, label: str, rule: str, body: bytes, **headers: str) -> OutgoingRequest:
        return requests.raw(
            "POST", f"{CLIENT_BASE}/{endpoint}", label, [rule], body, **{"authorization": key, **headers}
        )

    visitor = json.dumps({"external_id": requests.id}).encode("ascii")
    yield post("identify", "client-accepted", "client-success", visitor)
    yield post("identify", "client-text-plain", "client-content-type", visitor, content_type="text/plain")
    yield post("identify", "client-byte-order-mark", "byte-order-mark", b"\xef\xbb\xbf" + visitor)
    yield post("identify", "client-key-unknown", "client-open-keys", visitor, authorization=f"Bearer pk_{_UNKNOWN}")
    yield post("identify", "client-no-bearer", "client-key", visitor, authorization="Basic none")
    yield post("identify", "client-number", "client-unreadable", b"5")
    yield post("alias", "client-alias-half", "client-validation", visitor)
    yield post("identify", "client-timezone", "client-timezone", visitor[:-1] + b',"timezone":"Nowhere"}')
