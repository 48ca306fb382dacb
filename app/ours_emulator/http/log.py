"""One line in the log for each request: what arrived, what became of it, and why."""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Literal, TextIO

from ours_emulator.contract.paths import account_at
from ours_emulator.http.line_writer import LineWriter
from ours_emulator.http.redaction import Redactor
from ours_emulator.http.wire import hints, message_at, outcome, reasons
from ours_emulator.jsontext import json_text
from ours_emulator.model import Answer, Exchange, Message, Properties, Receipt, Rejection, Request
from ours_emulator.records import iso
from ours_emulator.terminal import printable
from ours_emulator.wording import first_of, plural

LogFormat = Literal["human", "json", "none"]
Level = Literal["info", "warning", "error"]
_MAX_SHOWN = 3
_MAX_LISTED = 20
_SERVER_ERROR = 500


class RequestLog:
    """Writes one line for each request to *stream*, in the format *form*, with secrets masked by *redactor*.

    It never waits for who reads *stream* (see `LineWriter`); None is a closed one. The logging module is not used: it
    takes three times as long as the line itself.
    """

    def __init__(self, form: LogFormat, stream: TextIO | None, redactor: Redactor | None = None) -> None:
        self.redactor = redactor or Redactor()
        """What masks secrets in each line."""
        self._form = form
        formats: dict[LogFormat, Callable[[Exchange], str]] = {"human": human_line, "json": json_line}
        self._line = formats.get(form)
        self._writer = LineWriter(stream, self._notice)

    def ready(self, banner: str, message: str, fields: Properties) -> None:
        """Write that the emulator serves: the *banner*, or for programs *message* and *fields*."""
        self._writer.write(_record("info", message, fields) if self._form == "json" else banner)

    def exchange(self, exchange: Exchange) -> None:
        """Write what became of a request."""
        if self._line is not None:
            self._write(self._line(exchange), exchange.request.account)

    def failure(self, request: Request, answer: Answer, error: str) -> None:
        """Write that nothing of a request was kept, and why."""
        text = f"FAILED {answer.status} {request.method} {request.path} {error}"
        problem = _problem(
            "failed", answer.status, request.method, request.path, duration_ms=_elapsed_ms(request.started)
        )
        fields: Properties = {"account": request.account, **problem, "error": error}
        self._write_record("error", text, fields, request.account)

    def refusal(self, status: int, method: str, path: str, rule: str, message: str) -> None:
        """Write that the guard refused a request, which then takes no time."""
        fields: Properties = {**_problem("refused", status, method, path), "reasons": [rule]}
        text = f"REFUSED {status} {method} {path} {message} [{rule}]"
        self._write_record("warning", text, fields, account_at(path))

    def unread(self, status: int | None, method: str, path: str, error: str) -> None:
        """Write that a request could not be read, and why; without *status*, it was cut off and not answered.

        *method* and *path* are empty if even they are not known.
        """
        result = "incomplete" if status is None else "failed" if status >= _SERVER_ERROR else "refused"
        parts = (result.upper(), str(status or "---"), method, path, error)
        fields: Properties = {**_problem(result, status, method or None, path or None), "error": error}
        level: Level = "error" if result == "failed" else "warning"
        self._write_record(level, " ".join(filter(None, parts)), fields, account_at(path))

    def note(self, message: str, account: str) -> None:
        """Write something that is worth knowing about *account*, once."""
        text = message if self._form == "json" else f"NOTE account {account}: {message}"
        self._write_record("info", text, {"account": account}, account)

    def close(self) -> None:
        """Write what is pending, for at most 1 s. Later lines are ignored."""
        self._writer.close()

    def _write_record(self, level: Level, message: str, fields: Properties, account: str | None = None) -> None:
        if self._form != "none":
            text = printable(message)
            self._write(_record(level, text, fields) if self._form == "json" else text, account)

    def _write(self, line: str, account: str | None = None) -> None:
        self._writer.write(self.redactor(line, account))

    def _notice(self, count: int) -> str:
        message = f"{plural(count, 'line')} of the log dropped: the output did not take them"
        return _record("warning", message, {"dropped": count}) if self._form == "json" else f"WARNING {message}"


def _problem(
    result: str, status: int | None, method: str | None, path: str | None, duration_ms: float | None = None
) -> Properties:
    """Return the fields that every request has of which nothing was kept."""
    return {
        "outcome": result,
        "status": status,
        "method": method,
        "path": path,
        "event_ids": [],
        "duration_ms": duration_ms,
    }


class WarningHandler(logging.Handler):
    """Writes what libraries and the emulator itself log to standard error, which nobody may be reading either.

    The text of an error may have in it what a client sent: *redactor* masks secrets.
    """

    def __init__(self, redactor: Redactor | None = None) -> None:
        super().__init__(logging.WARNING)
        self.redactor = redactor or Redactor()
        """What masks secrets in each message."""
        self.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        self._writer = LineWriter(sys.stderr, lambda count: f"WARNING: {plural(count, 'message')} dropped")

    def emit(self, record: logging.LogRecord) -> None:
        """Write *record*."""
        self._writer.write(self.redactor(self.format(record)))

    def flush(self) -> None:
        """Write what is pending, for at most 1 s. It is the end: later messages are ignored."""
        self._writer.close()


def human_line(exchange: Exchange) -> str:
    """Return the line for people: `ACCEPTED 200 POST /track #17 Purchase visitor=user123`."""
    request, receipts = exchange.request, exchange.receipts
    words = [outcome(receipts).upper(), str(exchange.answer.status or "---"), request.method, request.path]
    first = receipts[0]
    if first.arrival.batch_index is not None:
        words += [plural(len(receipts), "event"), _event_ids(receipts)]
    else:
        words.append(_event_ids(receipts))
        words.append(first.arrival.event or "")
        words.append("" if first.visitor_id is None else f"visitor={first.visitor_id}")
    is_test, refusals, hints = _remarks(receipts)
    words.append("[test]" if is_test else "")
    words += first_of(refusals, _MAX_SHOWN, "refusal")
    if exchange.fault is not None and not exchange.fault.replaces:
        words.append(f"[fault {exchange.fault.name}]")
    words += first_of(hints, _MAX_SHOWN, "hint")
    return printable(" ".join([word for word in words if word]))


def _remarks(receipts: Sequence[Receipt]) -> tuple[bool, list[str], list[str]]:
    """Return whether any of *receipts* is of a test event, why some were refused, and the hints."""
    is_test = False
    refusals: list[str] = []
    hints: list[str] = []
    for receipt in receipts:
        arrival = receipt.arrival
        if isinstance(arrival, Message):
            is_test = is_test or arrival.test
        elif isinstance(arrival, Rejection):
            refusals.append(f"{arrival.sentence} [{arrival.reason.rule}]")
        hints += [f"hint: {message_at(arrival, hint.path, hint.message)} [{hint.rule}]" for hint in receipt.hints]
    return is_test, refusals, hints


def json_line(exchange: Exchange) -> str:
    """Return the line for programs: a JSON object. Its lists have at most 20 items; `events` counts all of them."""
    request, receipts = exchange.request, exchange.receipts
    first = receipts[0]
    rejected = any(receipt.outcome == "rejected" for receipt in receipts)
    return _record(
        "warning" if rejected else "info",
        human_line(exchange),
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
            "event_ids": [receipt.id for receipt in receipts[:_MAX_LISTED]],
            "event": first.arrival.event,
            "visitor_id": first.visitor_id,
            "duration_ms": _elapsed_ms(request.started),
            "reasons": [*reasons(receipts)[:_MAX_LISTED]],
            "hints": [*hints(receipts)[:_MAX_LISTED]],
        },
    )


def _record(level: Level, message: str, fields: Properties) -> str:
    """Return a line for programs. Its time is that of the machine, as in other logs, not that of an account's clock."""
    return json_text({"time": iso(datetime.now(UTC)), "level": level, "message": message, **fields})


def _elapsed_ms(started: float) -> float:
    """Return the milliseconds since *started*, a `time.perf_counter()`."""
    return round((time.perf_counter() - started) * 1000, 3)


def _event_ids(receipts: Sequence[Receipt]) -> str:
    """Return how the events of *receipts* are named elsewhere: `#17`, or `#17-#19`."""
    first, last = receipts[0].id, receipts[-1].id
    return f"#{first}" if first == last else f"#{first}-#{last}"
