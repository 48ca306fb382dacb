"""ASGI in and out for the emulated endpoints: a request read within its bound, an answer sent and explained."""

import time
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import quote

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from ours_emulator.http.routes import Route
from ours_emulator.model import DEFAULT_ACCOUNT, Answer, Arrival, Exchange, Receipt, Rejection, Request
from ours_emulator.records import sentence

_RETRY_COUNT = b"x-stainless-retry-count"
_MOST_IN_HEADER = 10
_DRAIN_BYTES = 64 * 1024 * 1024
_CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"*"),
)
_PREFLIGHT = (
    *_CORS,
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (b"access-control-allow-headers", b"*, Authorization"),
    (b"access-control-max-age", b"86400"),
)


async def read_request(scope: Scope, receive: Receive, route: Route, limit: int, now: Callable[[str], int]) -> Request:
    """Return the request for *route*. No more than *limit* bytes of its body are kept; *now* is the time in an account.

    Raises ClientDisconnect if the client left before the body was complete.
    """
    headers = _joined_headers(scope["headers"])
    started = time.perf_counter()
    body, oversized = await read_body(receive, limit)
    account = route.account or DEFAULT_ACCOUNT
    return Request(
        account=account,
        endpoint=route.endpoint,
        method=scope["method"],
        path=route.called,
        content_type=headers.get(b"content-type", b"").decode("latin-1"),
        content_encoding=headers.get(b"content-encoding", b"").decode("latin-1"),
        authorization=headers.get(b"authorization", b"").decode("latin-1"),
        body=body,
        oversized=oversized,
        attempt=attempt_number(headers.get(_RETRY_COUNT, b"0").decode("latin-1")),
        sdk_counts=_RETRY_COUNT in headers,
        received_at=now(account),
        started=started,
    )


def attempt_number(retries: str) -> int:
    """Return which attempt a request is whose SDK says it was sent *retries* times before; 1 if that is nonsense."""
    return int(retries) + 1 if retries.isascii() and retries.isdigit() and len(retries) < 4 else 1


def _joined_headers(pairs: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return the headers by name; one that was sent several times says all of it (RFC 9110)."""
    headers = dict(pairs)
    if len(headers) < len(pairs):
        for name in headers:
            headers[name] = b", ".join(value for other, value in pairs if other == name)
    return headers


async def send_answer(send: Send, answer: Answer, exchange: Exchange | None = None, reason: str | None = None) -> None:
    """Send *answer*, readable from any origin (rule cors), with what became of the request in X-Emulator headers.

    *reason* is the rule that kept it from becoming an exchange.
    """
    headers = list(_CORS)
    # A 204 has neither (RFC 9110, 8.6).
    if answer.media_type is not None:
        headers.append((b"content-length", str(len(answer.body)).encode()))
        headers.append((b"content-type", answer.media_type.encode()))
    headers += [(name.encode(), value.encode()) for name, value in answer.headers.items()]
    if exchange is not None:
        headers += _explanation(exchange)
    if reason is not None:
        headers.append((b"x-emulator-reason", reason.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def send_preflight(send: Send) -> None:
    """Answer a CORS preflight: any origin, any header (rule cors)."""
    await send({"type": "http.response.start", "status": 204, "headers": list(_PREFLIGHT)})
    await send({"type": "http.response.body", "body": b""})


def outcome(receipts: Iterable[Receipt]) -> str:
    """Return the outcome of one receipt, or how many there are of each: `accepted=999, rejected=1`."""
    counts: dict[str, int] = {}
    for receipt in receipts:
        counts[receipt.outcome] = counts.get(receipt.outcome, 0) + 1
    if counts.keys() == {"accepted"}:
        return "accepted"
    if sum(counts.values()) == 1:
        return next(iter(counts))
    return ", ".join(f"{name}={count}" for name, count in counts.items())


def reasons(receipts: Iterable[Receipt]) -> list[str]:
    """Return rule and place of each refusal: no values, ASCII, fit for a header."""
    refused = (receipt.arrival for receipt in receipts if receipt.outcome == "rejected")
    return [_rule_at(it.reason.rule, it.reason.path, it) for it in refused if isinstance(it, Rejection)]


def hints(receipts: Iterable[Receipt]) -> list[str]:
    """Return rule and place of each hint: no values, ASCII, fit for a header."""
    return [_rule_at(it.rule, it.path, receipt.arrival) for receipt in receipts for it in receipt.hints]


async def read_body(receive: Receive, limit: int) -> tuple[bytes, bool]:
    """Return the body, or nothing and True if it is larger than *limit*. Raises ClientDisconnect if it never ends.

    The rest of a large body is read and thrown away: a client still sending would see a reset instead of the answer.
    """
    parts: list[bytes] = []
    size = 0
    more = True
    while more and size <= limit + _DRAIN_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(part)
        if size <= limit:
            parts.append(part)
        else:
            parts.clear()
    return (b"".join(parts), False) if size <= limit else (b"", True)


def _explanation(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"x-emulator-request-id", str(exchange.id).encode()),
        (b"x-emulator-outcome", outcome(exchange.receipts).encode()),
    ]
    why, hinted = reasons(exchange.receipts), hints(exchange.receipts)
    if why:
        headers.append((b"x-emulator-reason", _joined(why)))
    if hinted:
        headers.append((b"x-emulator-hints", _joined(hinted)))
    if exchange.fault is not None:
        headers.append((b"x-emulator-fault", quote(exchange.fault.name).encode()))
    return headers


def _joined(parts: list[str]) -> bytes:
    more = f"; and {len(parts) - _MOST_IN_HEADER} more" if len(parts) > _MOST_IN_HEADER else ""
    return ("; ".join(parts[:_MOST_IN_HEADER]) + more).encode("ascii")


def _rule_at(rule: str, path: str, arrival: Arrival) -> str:
    shown = (_row(arrival) + path)[:200]
    return f"{rule} {quote(shown, safe='/~$@', errors='backslashreplace')}".rstrip()


def place(arrival: Arrival, path: str, message: str) -> str:
    """Return *message* after the place in the whole request that it is about: `events.3.foo: dropped`."""
    return sentence(_row(arrival) + path, message)


def _row(arrival: Arrival) -> str:
    """Return where *arrival* is: rows of /batch are in `events`, those of the Client API are the body itself."""
    if arrival.batch_index is None:
        return ""
    return f"{'/events' if arrival.endpoint == 'batch' else ''}/{arrival.batch_index}"
