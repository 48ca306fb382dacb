"""One line in the log for each request: what arrived, what became of it, and why."""

from collections.abc import Callable
from contextlib import suppress
from typing import Literal, TextIO

from ours_emulator.http.redaction import Redactor
from ours_emulator.http.wire import hints, outcome, place, reasons
from ours_emulator.jsontext import json_text
from ours_emulator.model import Answer, Exchange, Message, Properties, Rejection, Request
from ours_emulator.terminal import printable
from ours_emulator.wording import first_of, plural

LogFormat = Literal["human", "json", "none"]
_MAX_SHOWN = 3


class RequestLog:
    """Writes one line for each request to *stream*, in the format *form*, with secrets masked by *redactor*.

    The logging module is not used: it takes three times as long as the line itself.
    """

    def __init__(self, form: LogFormat, stream: TextIO, redactor: Redactor | None = None) -> None:
        self._redacted = redactor or Redactor()
        formats: dict[LogFormat, Callable[[Exchange], str]] = {"human": human, "json": machine}
        self._line = formats.get(form)
        self._stream = stream

    def exchange(self, exchange: Exchange) -> None:
        """Write what became of a request."""
        if self._line is not None:
            self._write(self._line(exchange), exchange.request.account)

    def failure(self, request: Request, answer: Answer, error: str) -> None:
        """Write that nothing of a request was kept, and why."""
        if self._line is human:
            self._write(printable(f"FAILED {answer.status} {request.method} {request.path} {error}"), request.account)
        elif self._line is machine:
            fields: Properties = {
                "account": request.account,
                "outcome": "failed",
                "status": answer.status,
                "method": request.method,
                "path": request.path,
                "error": error,
            }
            self._write(json_text(fields), request.account)

    def refusal(self, status: int, method: str, path: str, rule: str, message: str) -> None:
        """Write that the guard refused a request."""
        if self._line is human:
            self._write(printable(f"REFUSED {status} {method} {path} {message} [{rule}]"))
        elif self._line is machine:
            fields: Properties = {"outcome": "refused", "status": status, "method": method, "path": path}
            self._write(json_text({**fields, "reasons": [rule]}))

    def _write(self, line: str, account: str | None = None) -> None:
        line = self._redacted(line, account)
        try:
            self._stream.write(line + "\n")
        except UnicodeEncodeError:
            self._stream.write(line.encode("ascii", "backslashreplace").decode("ascii") + "\n")
        except (OSError, ValueError):
            return  # The reader has closed the stream; requests are answered all the same.
        with suppress(OSError, ValueError):
            self._stream.flush()


def human(exchange: Exchange) -> str:
    """Return the line for people: `ACCEPTED 200 POST /track Purchase visitor=user123`."""
    request, receipts = exchange.request, exchange.receipts
    words = [outcome(receipts).upper(), str(exchange.answer.status or "---"), request.method, request.path]
    first = receipts[0]
    if first.arrival.batch_index is not None:
        words.append(plural(len(receipts), "event"))
    else:
        words.append(first.arrival.event or "")
        words.append("" if first.visitor_id is None else f"visitor={first.visitor_id}")
    if any(isinstance(receipt.arrival, Message) and receipt.arrival.test for receipt in receipts):
        words.append("[test]")
    refused = [receipt.arrival for receipt in receipts if isinstance(receipt.arrival, Rejection)]
    refusals = [f"{rejection.sentence} [{rejection.reason.rule}]" for rejection in refused]
    words += first_of(refusals, _MAX_SHOWN, "refusal")
    if exchange.fault is not None and not exchange.fault.replaces:
        words.append(f"[fault {exchange.fault.name}]")
    hinted = [(receipt.arrival, hint) for receipt in receipts for hint in receipt.hints]
    remarks = [f"hint: {place(arrival, hint.path, hint.message)} [{hint.rule}]" for arrival, hint in hinted]
    words += first_of(remarks, _MAX_SHOWN, "hint")
    return printable(" ".join(word for word in words if word))


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
            "fault": exchange.fault.name if exchange.fault else None,
            "method": request.method,
            "path": request.path,
            "attempt": exchange.attempt.number,
            "events": len(receipts),
            "event": first.arrival.event,
            "visitor_id": first.visitor_id,
            "reasons": reasons(receipts)[:20],
            "hints": hints(receipts)[:20],
        }
    )
