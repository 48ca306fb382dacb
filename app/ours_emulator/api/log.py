"""One line in the log for each request: what came, what became of it, and why."""

from collections.abc import Callable
from contextlib import suppress
from typing import Literal, TextIO

from ours_emulator.api.wire import hints, outcome, reasons
from ours_emulator.jsontext import json_text
from ours_emulator.messages import Exchange, Rejection

LogFormat = Literal["human", "json", "none"]
Log = Callable[[Exchange], None]
_MOST_HINTS = 3


def request_log(form: LogFormat, stream: TextIO) -> Log:
    """Return what writes one line for each request to *stream*, as *form* says.

    Written by hand: the logging module takes three times as long as the line itself.
    """
    lines: dict[LogFormat, Callable[[Exchange], str]] = {"human": human, "json": machine}
    line = lines.get(form)
    if line is None:
        return _nothing

    def log(exchange: Exchange) -> None:
        # Nobody may be reading any more; that is no reason to fail.
        with suppress(OSError, ValueError):
            stream.write(line(exchange) + "\n")
            stream.flush()

    return log


def human(exchange: Exchange) -> str:
    """Return the line for people: `ACCEPTED 200 POST /track Purchase visitor=user123`."""
    request, receipts = exchange.request, exchange.receipts
    words = [outcome(receipts).upper(), str(exchange.answer.status), request.method, request.path]
    first = receipts[0]
    if first.arrival.batch_index is None and first.outcome != "rejected":
        words.append(first.arrival.event or "")
        words.append("" if first.visitor_id is None else f"visitor={first.visitor_id}")
    refused = [receipt.arrival for receipt in receipts if isinstance(receipt.arrival, Rejection)]
    words += [_refusal(it) for it in refused[:1]]
    found = [hint for receipt in receipts for hint in receipt.hints]
    words += [f"hint: {hint.sentence} [{hint.rule}]" for hint in found[:_MOST_HINTS]]
    if len(found) > _MOST_HINTS:
        words.append(f"and {len(found) - _MOST_HINTS} more hints")
    return _printable(" ".join(word for word in words if word))


def machine(exchange: Exchange) -> str:
    """Return the line for programs: a JSON object."""
    request, receipts = exchange.request, exchange.receipts
    first = receipts[0]
    return json_text(
        {
            "request_id": exchange.id,
            "account": request.account,
            "outcome": outcome(receipts),
            "status": exchange.answer.status,
            "method": request.method,
            "path": request.path,
            "attempt": request.attempt,
            "events": len(receipts),
            "event": first.arrival.event,
            "visitor_id": first.visitor_id,
            "reasons": reasons(receipts)[:20],
            "hints": hints(receipts)[:20],
        }
    )


def _nothing(_: Exchange) -> None:
    pass


def _refusal(rejection: Rejection) -> str:
    reason = rejection.reason
    row = "" if rejection.batch_index is None else f"events.{rejection.batch_index}: "
    return f"{row}{reason.sentence} [{reason.rule}]"


def _printable(text: str) -> str:
    """Escape what could move a terminal's cursor or forge a second line."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)
