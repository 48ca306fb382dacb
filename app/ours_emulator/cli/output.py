"""What the commands print: tables, details and JSON."""

import json
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar

import click

from ours_emulator.errors import file_problem
from ours_emulator.records import (
    Event,
    EventDetail,
    Json,
    RequestDetail,
    RequestRecord,
    Reset,
    Rule,
    Visitor,
    VisitorChange,
    iso,
    to_json,
    utc,
)
from ours_emulator.terminal import columns, printable
from ours_emulator.wording import MAX_LISTED, first_of, hints_beside, name_of, outcome_of, with_rule

R = TypeVar("R", Event, Visitor, RequestRecord, Rule)
VISITOR_HEADS = ("ACCOUNT", "VISITOR", "EXTERNAL ID", "EMAIL", "ANONYMOUS ID", "EVENTS", "LAST SEEN")
EVENT_HEADS = ("ACCOUNT", "ID", "TIME", "OUTCOME", "ENDPOINT", "EVENT", "VISITOR", "PROPERTIES", "WHY")
REQUEST_HEADS = ("ACCOUNT", "ID", "TIME", "METHOD", "PATH", "STATUS", "ATTEMPT", "EVENTS", "MS", "FAULT")
RULE_HEADS = ("RULE", "BASIS", "REVISIONS", "TEXT")
_MAX_SHORT = 60
_MAX_BODY = 2000
"""Characters of a body that are shown."""


def show(
    items: Iterable[R], as_json: bool, account: str | None, heads: Sequence[str], row: Callable[[R], Sequence[object]]
) -> int:
    """Print *items* as JSON, or as a table; return their number.

    The first column is the account, left out if *account* names it.
    """
    if as_json:
        return sum(_show_json(item) for item in items)
    left_out: int = 1 if account else 0
    rows: list[Sequence[object]] = [row(item)[left_out:] for item in items]
    for line in columns([heads[left_out:], *rows]):
        click.echo(line)
    return len(rows)


def show_one(item: object, as_json: bool) -> None:
    """Print a record as JSON, or its fields one per line, except for those that are empty."""
    if as_json:
        _show_json(item)
    else:
        _show_fields(to_json(item))


def show_event(event: EventDetail, as_json: bool) -> None:
    """Print all of *event*, its time as the tables have it, and each change of its visitor in one line."""
    if as_json:
        _show_json(event)
    else:
        _show_fields({**to_json(event), "time": iso(utc(int(event.time))), "changes": ""})
        _show_lines("changes", columns(map(_change_row, event.changes)))


def _change_row(change: VisitorChange) -> Sequence[str]:
    before, after = (_cut_value(json.dumps(value, ensure_ascii=False)) for value in (change.before, change.after))
    values = {"added": after, "changed": f"{before} → {after}", "removed": before, "ignored": "", "unchanged": after}
    return (change.action, change.path, values[change.action], change.why or "")


def _cut_value(text: str) -> str:
    return text if len(text) <= _MAX_SHORT else f"{text[:_MAX_SHORT]}…"


def show_request(request: RequestDetail, as_json: bool) -> None:
    """Print *request*, each of its events with its hints, and its body and answer, cut if they are long."""
    if as_json:
        _show_json(request)
        return
    _show_fields({**to_json(request), "events": "", "body": "", "body_base64": "", "answer": ""})
    _show_lines("events", first_of([line for event in request.events for line in _event_lines(event)], MAX_LISTED))
    _show_lines("body", _cut_body(request.body or "").splitlines())
    _show_lines("body in base64", [_cut_body(request.body_base64 or "")])
    if request.answer is not None:
        headers = [f"{name}: {value}" for name, value in request.answer.headers.items()]
        _show_lines("answer", [str(request.status), *headers, *_cut_body(request.answer.body).splitlines()])


def _event_lines(event: Event) -> Iterator[str]:
    """Yield what the headers of the answer said of *event*: its outcome and reason, and its hints."""
    yield f"{name_of(event)} {outcome_of(event)}"
    yield from (f"  hint {with_rule(hint)}" for hint in hints_beside(event))


def _show_fields(fields: Json) -> None:
    shown = [(name, value) for name, value in fields.items() if value not in (None, {}, [], "")]
    rows = [(name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)) for name, value in shown]
    for line in columns(rows):
        click.echo(line)


def _show_lines(heading: str, lines: Sequence[str]) -> None:
    if any(lines):
        click.echo("\n".join(["", f"{heading}:", *map(printable, lines)]))


def _cut_body(body: str) -> str:
    more = len(body) - _MAX_BODY
    return body if more <= 0 else f"{body[:_MAX_BODY]}…\n({more} more characters: --json)"


def visitor_row(visitor: Visitor) -> Sequence[object]:
    """Return the columns of VISITOR_HEADS."""
    ids = visitor.identifiers
    known = (ids.external_id, ids.email, ids.anonymous_id)
    return (visitor.account, visitor.visitor_id, *known, visitor.event_count, iso(visitor.last_seen))


def rule_row(rule: Rule) -> Sequence[object]:
    """Return the columns of RULE_HEADS."""
    return (rule.id, rule.basis, ", ".join(rule.revisions), rule.text)


def event_row(event: Event) -> Sequence[object]:
    """Return the columns of EVENT_HEADS."""
    why = [] if event.reason is None else [with_rule(event.reason)]
    why += [f"hint: {with_rule(hint)}" for hint in event.hints]
    what = (event.outcome, event.endpoint, event.event, event.visitor_id, short(event.event_properties))
    return (event.account, event.id, iso(event.received_at), *what, "; ".join(why))


def request_row(request: RequestRecord) -> Sequence[object]:
    """Return the columns of REQUEST_HEADS."""
    what = (request.method, request.path, request.status, request.attempt, request.receipts)
    fault = "" if request.fault is None else request.fault.name
    return (request.account, request.id, iso(request.received_at), *what, round(request.duration_ms, 1), fault)


def short(properties: Json) -> str | None:
    """Return *properties* in one short text, `plan=pro amount=10`; None if there are none."""
    text = ""
    for name, value in properties.items():
        text += f"{' ' if text else ''}{name}={value if isinstance(value, str) else json.dumps(value)}"
        if len(text) > _MAX_SHORT:
            return text[:_MAX_SHORT] + "…"
    return text or None


def tail_line(event: Event | Reset, as_json: bool) -> str:
    """Return the line of one event of a stream, or of a reset."""
    if isinstance(event, Reset):
        account = "all accounts" if event.account is None else f"account {event.account}"
        return json.dumps({"reset": True, "account": event.account}) if as_json else f"--- reset of {account} ---"
    return json.dumps(to_json(event)) if as_json else columns([event_row(event)])[0]


@contextmanager
def writing(path: Path | None) -> Generator[IO[bytes]]:
    """Give a file to write to, or standard output. A file appears whole or not at all."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise click.ClickException(file_problem(path, "write", error)) from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _show_json(item: object) -> int:
    click.echo(json.dumps(to_json(item)))
    return 1
