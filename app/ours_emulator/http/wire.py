"""ASGI in and out for the emulated endpoints: requests are read up to a limit, answers sent with an explanation."""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import cast
from urllib.parse import quote

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from ours_emulator.clock import real_now
from ours_emulator.http.routes import Route
from ours_emulator.jsontext import json_text
from ours_emulator.model import DEFAULT_ACCOUNT, Answer, Arrival, Exchange, Properties, Receipt, Rejection, Request
from ours_emulator.records import sentence
from ours_emulator.wording import first_of

_HTML = "text/html"
_JSON = "application/json"
_WEIGHT = re.compile(r"(?:^|;)\s*q=([01](?:\.[0-9]{0,3})?)\s*(?:;|$)")
_RETRY_COUNT = b"x-stainless-retry-count"
_SDK_LANGUAGE = b"x-stainless-lang"
_SDK_VERSION = b"x-stainless-package-version"
_MAX_IN_HEADER = 10
_DRAIN_BYTES = 64 * 1024 * 1024
_CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"*"),
)
NOSNIFF = (b"x-content-type-options", b"nosniff")
"""Tells browsers to believe the content type: what is answered may be what somebody sent."""
PREFLIGHT_METHODS = ("GET", "POST", "OPTIONS")
"""The methods that pages on other origins may use."""
ENDLESS = "ours_emulator.endless"
"""The ASGI extension by which an app says that its answer has no end: a callable without arguments or result. The
answer then ends when the client closes its half of the connection."""
_PREFLIGHT = (
    *_CORS,
    (b"access-control-allow-methods", ", ".join(PREFLIGHT_METHODS).encode()),
    (b"access-control-allow-headers", b"*, Authorization"),
    (b"access-control-max-age", b"86400"),
)


async def read_request(scope: Scope, receive: Receive, route: Route, limit: int) -> Request:
    """Return the request for *route*. No more than *limit* bytes of its body are kept.

    Raises ClientDisconnect if the client left before the body was complete.
    """
    headers = _joined_headers(scope["headers"])
    started = time.perf_counter()
    body, oversized = await read_body(receive, limit)
    return request_of(route, scope["method"], headers, body, started, oversized=oversized)


def request_of(
    route: Route,
    method: str,
    headers: Mapping[bytes, bytes],
    body: bytes,
    started: float,
    *,
    oversized: bool = False,
) -> Request:
    """Return the request for *route* with these *headers* and this *body*, received at the real time."""
    return Request(
        account=route.account or DEFAULT_ACCOUNT,
        endpoint=route.endpoint,
        method=method,
        path=route.called,
        content_type=headers.get(b"content-type", b"").decode("latin-1"),
        content_encoding=headers.get(b"content-encoding", b"").decode("latin-1"),
        authorization=headers.get(b"authorization", b"").decode("latin-1"),
        body=body,
        oversized=oversized,
        attempt=attempt_number(headers.get(_RETRY_COUNT, b"0").decode("latin-1")),
        sdk_counts=_RETRY_COUNT in headers,
        received_at=real_now(),
        started=started,
        python_sdk=_python_sdk(headers) if _SDK_LANGUAGE in headers else "",
    )


def _python_sdk(headers: Mapping[bytes, bytes]) -> str:
    return headers.get(_SDK_VERSION, b"").decode("latin-1") if headers[_SDK_LANGUAGE] == b"python" else ""


def attempt_number(retries: str) -> int:
    """Return which attempt a request is, if its SDK says it was sent *retries* times before; 1 if that is no number."""
    return int(retries) + 1 if retries.isascii() and retries.isdigit() and len(retries) < 4 else 1


def _joined_headers(pairs: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return the headers by name; the values of a repeated one are joined by commas (RFC 9110, 5.3)."""
    headers = dict(pairs)
    if len(headers) < len(pairs):
        for name in headers:
            headers[name] = b", ".join(value for other, value in pairs if other == name)
    return headers


async def send_answer(send: Send, answer: Answer, exchange: Exchange | None = None, reason: str | None = None) -> None:
    """Send *answer*; *reason* is the rule because of which there is no *exchange*."""
    headers = answer_headers(answer, exchange)
    if reason is not None:
        headers.append((b"x-emulator-reason", reason.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def answer_headers(answer: Answer, exchange: Exchange | None) -> list[tuple[bytes, bytes]]:
    """Return the headers of *answer*: readable from any origin (rule cors), and what became of the request."""
    return [*common_headers(answer.media_type, len(answer.body)), *special_headers(answer, exchange)]


def common_headers(media_type: str | None, length: int) -> Sequence[tuple[bytes, bytes]]:
    """Return the first headers of an answer: those of CORS, then the length and type of its body, if it has one."""
    # A 204 has neither of the two (RFC 9110, 8.6).
    if media_type is None:
        return _CORS
    return (*_CORS, (b"content-length", str(length).encode()), (b"content-type", media_type.encode()))


def special_headers(answer: Answer, exchange: Exchange | None) -> list[tuple[bytes, bytes]]:
    """Return the rest of the headers of *answer*: its own, and what became of the request."""
    headers = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
    if exchange is not None:
        headers += _explanation(exchange)
    return headers


def with_nosniff(send: Send) -> Send:
    """Return *send* with a header that every answer has."""

    async def send_with_nosniff(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), NOSNIFF]
        await send(message)

    return send_with_nosniff


async def send_json(send: Send, status: int, body: Properties, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Send the JSON *body*, to callers on the same origin only."""
    content = json_text(body).encode("ascii")
    own = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*own, *headers]})
    await send({"type": "http.response.body", "body": content})


def extension(scope: Scope, name: str) -> Callable[[], None] | None:
    """Return what the server, if it is ours, offers for *scope* by that *name*."""
    return cast(dict[str, Callable[[], None]], scope.get("extensions") or {}).get(name)


def mark_endless(scope: Scope) -> None:
    """Tell the server, if it is ours, that the answer to *scope* has no end."""
    endless = extension(scope, ENDLESS)
    if endless is not None:
        endless()


def wants_html(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether *headers* ask for a page: they name HTML with a larger weight than JSON, or before it.

    A wildcard does not name it, so that only browsers get a page.
    """
    accepted = b",".join(value for name, value in headers if name == b"accept").decode("latin-1").lower()
    ranges = (one.partition(";") for one in accepted.split(","))  # RFC 9110, 12.5.1.
    named = [(_weight(parameters), media_type.strip()) for media_type, _, parameters in ranges]
    weight, best = max((one for one in named if one[1] in (_HTML, _JSON)), key=itemgetter(0), default=(0.0, ""))
    return best == _HTML and weight > 0


def _weight(parameters: str) -> float:
    found = _WEIGHT.search(parameters)
    return 1.0 if found is None else float(found[1])


async def send_redirect(send: Send, location: str, query: bytes) -> None:
    """Redirect a browser to *location*, with the same *query*."""
    target = location.encode() + (b"?" + query if query else b"")
    headers = [(b"location", target), (b"vary", b"Accept"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 307, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def send_preflight(send: Send) -> None:
    """Answer a CORS preflight: any origin and any header are allowed (rule cors)."""
    await send({"type": "http.response.start", "status": 204, "headers": list(_PREFLIGHT)})
    await send({"type": "http.response.body", "body": b""})


def outcome(receipts: Sequence[Receipt]) -> str:
    """Return the outcome of one receipt, or how many there are of each: `accepted=999, rejected=1`."""
    if len(receipts) == 1:
        return receipts[0].outcome
    counts: dict[str, int] = {}
    for receipt in receipts:
        counts[receipt.outcome] = counts.get(receipt.outcome, 0) + 1
    if counts.keys() == {"accepted"}:
        return "accepted"
    return ", ".join(f"{name}={count}" for name, count in counts.items())


def reasons(receipts: Iterable[Receipt]) -> list[str]:
    """Return rule and path of each refusal, without values, in ASCII as headers need it."""
    arrivals = (receipt.arrival for receipt in receipts if receipt.outcome == "rejected")
    rejections = (arrival for arrival in arrivals if isinstance(arrival, Rejection))
    return [_rule_at(rejection.reason.rule, rejection.reason.path, rejection) for rejection in rejections]


def hints(receipts: Iterable[Receipt]) -> list[str]:
    """Return rule and path of each hint, without values, in ASCII as headers need it."""
    return [_rule_at(hint.rule, hint.path, receipt.arrival) for receipt in receipts for hint in receipt.hints]


async def read_body(receive: Receive, limit: int) -> tuple[bytes, bool]:
    """Return the body and False, or no bytes and True if it exceeds *limit*. Raises ClientDisconnect if it is cut off.

    The rest of a large body is read and discarded: a client still sending would see a reset instead of the answer.
    """
    body = bytearray()  # A list would have an object for each of a million tiny chunks.
    size = 0
    more = True
    while more and size <= limit + _DRAIN_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(part)
        if size == len(part) <= limit and not more:
            return part, False
        if size <= limit:
            body += part
        else:
            body.clear()
    return (bytes(body), False) if size <= limit else (b"", True)


def _explanation(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"x-emulator-request-id", str(exchange.id).encode()),
        (b"x-emulator-outcome", outcome(exchange.receipts).encode()),
    ]
    for name, texts in ((b"x-emulator-reason", reasons), (b"x-emulator-hints", hints)):
        parts = texts(exchange.receipts)
        if parts:
            headers.append((name, _joined(parts)))
    if exchange.fault is not None:
        headers.append((b"x-emulator-fault", quote(exchange.fault.name).encode()))
    return headers


def _joined(parts: list[str]) -> bytes:
    return "; ".join(first_of(parts, _MAX_IN_HEADER)).encode("ascii")


def _rule_at(rule: str, path: str, arrival: Arrival) -> str:
    shown = (_row_path(arrival) + path)[:200]
    return f"{rule} {quote(shown, safe='/~$@', errors='backslashreplace')}".rstrip()


def message_at(arrival: Arrival, path: str, message: str) -> str:
    """Return *message* after its place in the whole request: `events.3.foo: dropped`."""
    return sentence(_row_path(arrival) + path, message)


def _row_path(arrival: Arrival) -> str:
    """Return the path of *arrival*: rows of /batch are in `events`; on the Client API the body itself is the array."""
    if arrival.batch_index is None:
        return ""
    return f"{'/events' if arrival.endpoint == 'batch' else ''}/{arrival.batch_index}"
