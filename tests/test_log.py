"""The line in the log: what it says, and that one request is always one line."""

import asyncio
import io
import json
from datetime import datetime
from typing import Any

import pytest

from ours_emulator.http.log import LogFormat, RequestLog, human_line, json_line
from ours_emulator.http.preflights import Preflights
from ours_emulator.http.routes import find_route
from ours_emulator.model import Answer, Arrival, Attempt, Exchange, Message, Receipt, Rejection
from ours_emulator.records import Hint, Outcome, Reason
from requesting import request_to
from waiting import until

NASTY = [
    "new\nline",
    "carriage\rreturn",
    "\x1b[2J\x1b[31mred",
    "\x9b31m",
    "\x00\x07\x08\x7f",
    "vertical\x0btab\x0cfeed",
    "\x85next line",
    "line\u2028separator\u2029",
    "bidi \u202e\u2066 override",
    "zero\u200bwidth",
    "\ud800 half",
    "tab\tstop",
    "\ufeffmark",
]


def message(event: str = "Purchase", index: int | None = None, hints: tuple[Hint, ...] = ()) -> Message:
    return Message(
        endpoint="track" if index is None else "batch",
        batch_index=index,
        event=event,
        identity=(),
        distinct_id="d",
        time=None,
        test=False,
        event_properties={},
        default_properties={},
        identity_context=None,
        user_properties={},
        hints=hints,
    )


def rejection(
    path: str = "/event",
    said: str = "required",
    rule: str = "schema",
    index: int | None = None,
    event: str | None = None,
) -> Rejection:
    return Rejection("track" if index is None else "batch", index, Reason(rule, path, said, 400), event=event)


def receipt(arrival: Arrival, outcome: Outcome | None = None, visitor_id: str | None = "user123") -> Receipt:
    number = 1 + (arrival.batch_index or 0)
    if isinstance(arrival, Rejection):
        return Receipt(number, arrival, "rejected", arrival.hints)
    return Receipt(number, arrival, outcome or "accepted", arrival.hints, visitor_id=visitor_id)


def exchange(*receipts: Receipt, status: int | None = 200, path: str = "/track", method: str = "POST") -> Exchange:
    request = request_to("track", method=method, path=path, attempt=2)
    return Exchange(17, Attempt(16, 2), 1, request, receipts, Answer(status, b"", {}))


def written(form: LogFormat, *exchanges: Exchange) -> list[str]:
    stream = io.StringIO()
    log = RequestLog(form, stream)
    for it in exchanges:
        log.exchange(it)
    text = stream.getvalue()
    assert text == "" or text.endswith("\n")
    return text.splitlines()


def test_an_accepted_event_is_told_with_its_name_and_visitor() -> None:
    assert human_line(exchange(receipt(message()))) == "ACCEPTED 200 POST /track #1 Purchase visitor=user123"


def test_a_refusal_is_told_with_place_reason_and_rule() -> None:
    assert (
        human_line(exchange(receipt(rejection()), status=400)) == "REJECTED 400 POST /track #1 event: required [schema]"
    )


def test_a_refusal_of_no_place_is_told_with_reason_and_rule() -> None:
    line = human_line(exchange(receipt(rejection("", "the body is not JSON", "malformed")), status=400))
    assert line == "REJECTED 400 POST /track #1 the body is not JSON [malformed]"


def test_the_place_of_a_refusal_is_told_with_dots() -> None:
    line = human_line(exchange(receipt(rejection("/userProperties/email", "too long")), status=400))
    assert line == "REJECTED 400 POST /track #1 userProperties.email: too long [schema]"


@pytest.mark.parametrize("outcome", ["duplicate", "dropped"])
def test_what_was_not_kept_says_so(outcome: Outcome) -> None:
    line = human_line(exchange(receipt(message(), outcome, visitor_id=None)))
    assert line == f"{outcome.upper()} 200 POST /track #1 Purchase"


def test_a_batch_is_told_by_its_counts_and_refusals() -> None:
    rows = [receipt(message(index=0)), receipt(rejection(index=1)), receipt(rejection("", "other", index=2))]
    line = human_line(exchange(*rows, status=207, path="/batch"))
    refusals = "events.1.event: required [schema] events.2: other [schema]"
    assert line == f"ACCEPTED=1, REJECTED=2 207 POST /batch 3 events #1-#3 {refusals}"


def test_of_many_refusals_three_are_told_and_the_rest_counted() -> None:
    line = human_line(exchange(*(receipt(rejection("", "no", index=index)) for index in range(5)), path="/batch"))
    assert line.endswith("events.2: no [schema] and 2 more refusals")


def test_a_batch_of_which_everything_was_accepted_says_just_that() -> None:
    rows = [receipt(message(index=index)) for index in range(3)]
    assert human_line(exchange(*rows, path="/batch")) == "ACCEPTED 200 POST /batch 3 events #1-#3"


def test_a_hint_of_a_row_says_which_row() -> None:
    hint = Hint("unknown-keys", "/foo", "dropped")
    line = human_line(exchange(receipt(message(index=0)), receipt(message(index=1, hints=(hint,))), path="/batch"))
    assert line.endswith("2 events #1-#2 hint: events.1.foo: dropped [unknown-keys]")


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 23])
def test_three_hints_are_told_and_the_rest_counted(count: int) -> None:
    hints = tuple(Hint("unknown-keys", f"/k{number}", "dropped") for number in range(count))
    line = human_line(exchange(receipt(message(hints=hints))))
    shown = " ".join(f"hint: k{number}: dropped [unknown-keys]" for number in range(min(count, 3)))
    more = {4: " and 1 more hint", 5: " and 2 more hints", 23: " and 20 more hints"}.get(count, "")
    assert line == f"ACCEPTED 200 POST /track #1 Purchase visitor=user123 {shown}{more}"


@pytest.mark.parametrize("text", NASTY, ids=ascii)
def test_one_request_is_one_printable_line_whatever_it_says(text: str) -> None:
    hint = Hint("unknown-keys", f"/{text}", text)
    lines = [
        exchange(receipt(message(text))),
        exchange(receipt(message(), visitor_id=text)),
        exchange(receipt(message()), path=f"/{text}"),
        exchange(receipt(message()), method=text),
        exchange(receipt(message(hints=(hint,)))),
        exchange(receipt(rejection(f"/{text}", text, event=text)), status=400),
        exchange(receipt(rejection(f"/{text}", text, index=0)), status=400),
    ]
    for form in ("human", "json"):
        found = written(form, *lines)
        assert len(found) == len(lines)
        assert all(line.isprintable() for line in found)
        for line in found:
            line.encode()


@pytest.mark.parametrize(
    ("event", "shown"),
    [("a\nb", "a\\nb"), ("\x1b[31m", "\\x1b[31m"), ("\u202e", "\\u202e"), ("\ud800", "\\ud800"), ("Zoë ✓", "Zoë ✓")],
)
def test_control_characters_are_escaped_and_text_is_left(event: str, shown: str) -> None:
    assert human_line(exchange(receipt(message(event)))) == f"ACCEPTED 200 POST /track #1 {shown} visitor=user123"


def test_the_line_for_programs_is_an_object() -> None:
    hint = Hint("unknown-keys", "/properties", "dropped")
    line = json.loads(json_line(exchange(receipt(message("Zoë\n", hints=(hint,))))))
    assert datetime.fromisoformat(line.pop("time")).tzinfo
    assert line.pop("duration_ms") > 0
    assert line == {
        "level": "info",
        "message": "ACCEPTED 200 POST /track #1 Zoë\\n visitor=user123 hint: properties: dropped [unknown-keys]",
        "event_ids": [1],
        "request_id": 17,
        "account": "default",
        "outcome": "accepted",
        "status": 200,
        "fault": None,
        "method": "POST",
        "path": "/track",
        "attempt": 2,
        "events": 1,
        "event": "Zoë\n",
        "visitor_id": "user123",
        "reasons": [],
        "hints": ["unknown-keys /properties"],
    }


def test_a_request_that_a_fault_left_unanswered_has_no_status() -> None:
    unanswered = exchange(receipt(rejection("", "planned fault 'busy': no answer", "429-500")), status=None)
    assert json.loads(json_line(unanswered))["status"] is None
    assert human_line(unanswered).startswith("REJECTED --- POST /track ")


def test_the_line_for_programs_says_why_a_row_was_refused() -> None:
    rows = [receipt(message(index=0)), receipt(rejection(index=1))]
    line: dict[str, Any] = json.loads(json_line(exchange(*rows, status=207, path="/batch")))
    assert (line["outcome"], line["status"], line["events"]) == ("accepted=1, rejected=1", 207, 2)
    assert line["reasons"] == ["schema /events/1/event"]


def test_the_line_for_programs_has_a_bound() -> None:
    rows = [receipt(rejection("/" + "x" * 1000, index=index)) for index in range(1000)]
    line = json_line(exchange(*rows, status=400, path="/batch"))
    assert len(json.loads(line)["reasons"]) == 20
    assert len(line) < 10_000


def test_without_a_form_nothing_is_written() -> None:
    assert written("none", exchange(receipt(message()))) == []


def test_a_stream_without_a_file_gets_every_line_at_once() -> None:
    stream = io.StringIO()
    log = RequestLog("human", stream)
    for count in (1, 2, 3):
        log.exchange(exchange(receipt(message())))
        assert stream.getvalue().count("\n") == count


def test_a_stream_that_nobody_reads_any_more_does_no_harm() -> None:
    stream = io.StringIO()
    log = RequestLog("human", stream)
    stream.close()
    log.exchange(exchange(receipt(message())))


def test_a_stream_that_cannot_say_everything_still_gets_its_line() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    RequestLog("human", stream).exchange(exchange(receipt(message("Zoë"))))
    assert raw.getvalue().startswith(b"ACCEPTED 200 POST /track #1 Zo")
    assert raw.getvalue().count(b"\n") == 1


def test_preflights_of_loops_that_have_ended_leave_room_for_later_ones() -> None:
    stream = io.StringIO()
    preflights = Preflights(RequestLog("human", stream))

    def preflight(number: int) -> None:
        headers = [(b"origin", b"http://%d.example" % number), (b"access-control-request-method", b"POST")]
        preflights.answered({"headers": headers}, find_route("/track"))

    async def preflights_from(first: int) -> None:
        for number in range(first, first + 100):
            preflight(number)

    async def last() -> None:
        preflight(1000)
        await asyncio.to_thread(until, lambda: "http://1000.example" in stream.getvalue())

    for first in range(0, 1000, 100):
        asyncio.run(preflights_from(first))
    asyncio.run(last())
    assert stream.getvalue().count("\n") == 1
