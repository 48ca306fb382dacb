"""What arrived, in words: the timeline and the counts of a failed test, and what a strict test objects to."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from ours_emulator.records import Event, RequestRecord
from ours_emulator.terminal import printable
from ours_emulator.wording import (
    first_of,
    hints_beside,
    name_of,
    outcome_of,
    plural,
    rules_against,
    why_not_accepted,
    with_rule,
)

_MAX_REQUESTS = 50
_MAX_ROWS = 5
_INDENT = " " * 11


def timeline(requests: Sequence[RequestRecord], events: Iterable[Event]) -> list[str]:
    """Return one line for each of *requests*, the oldest first, with outcome, reason and hints of its *events*."""
    events_of: dict[int, list[Event]] = defaultdict(list)
    for event in events:
        events_of[event.request_id].append(event)
    shown = requests[-_MAX_REQUESTS:]
    lines = [f"({len(requests) - len(shown)} earlier ones are left out)"] if len(shown) < len(requests) else []
    for request in shown:
        lines += _request_lines(request, requests[0], events_of[request.id])
    return [printable(line) for line in lines]


def counts(requests: Sequence[RequestRecord], events: Sequence[Event]) -> str:
    """Return `3 requests, 2 events accepted, 1 rejected, 1 hint`."""
    outcomes = Counter[str](event.outcome for event in events)
    return counted(len(requests), outcomes, sum(len(event.hints) for event in events))


def counted(requests: int, outcomes: Mapping[str, int], hints: int) -> str:
    """Return what `counts` does, of what was counted before; *outcomes* has how many events there are of each."""
    parts = [plural(requests, "request"), f"{plural(outcomes.get('accepted', 0), 'event')} accepted"]
    parts += [f"{outcomes[name]} {name}" for name in ("rejected", "dropped", "duplicate") if name in outcomes]
    return ", ".join([*parts, *([plural(hints, "hint")] if hints else [])])


def problems(events: Iterable[Event], ignored: Collection[str] = ()) -> list[str]:
    """Return a line for each of *events* that was rejected or dropped, and each hint, but not of *ignored* rules."""
    return [printable(line) for event in events for line in _problems(event, ignored)]


def hint_lines(events: Iterable[Event], ignored: Collection[str] = ()) -> list[str]:
    """Return a line for each hint of *events*, except those of the rules *ignored*."""
    return [
        printable(f"{name_of(event)}: {with_rule(hint)}")
        for event in events
        for hint in event.hints
        if hint.rule not in ignored
    ]


def _request_lines(request: RequestRecord, first: RequestRecord, events: Sequence[Event]) -> Iterator[str]:
    is_alone = len(events) == 1 and events[0].batch_index is None
    yield _request_line(request, first, events) + (f" {_event_words(events[0])}" if is_alone else "")
    rows = () if is_alone else events
    lines = [f"{row.outcome} row {row.batch_index}: {_event_words(row)}" for row in rows]
    yield from (f"{_INDENT}{line}" for line in first_of(lines, _MAX_ROWS))
    yield from (f"{_INDENT}hint {with_rule(hint)}" for event in events for hint in hints_beside(event))


def _request_line(request: RequestRecord, first: RequestRecord, events: Sequence[Event]) -> str:
    seconds = (request.received_at - first.received_at).total_seconds()
    status = "unanswered" if request.status is None else str(request.status)
    path = request.path.removeprefix(f"/accounts/{request.account}")
    words = [f"+{seconds:.3f} s ", _common_outcome(events).upper(), status, request.method, path]
    if request.attempt > 1:
        words.append(f"(attempt {request.attempt} of request {request.call_id})")
    if request.fault is not None and all(event.reason is None for event in events):
        words.append(f"(fault {request.fault.name})")
    return " ".join(word for word in words if word)


def _event_words(event: Event) -> str:
    visitor = "" if event.visitor_id is None else f"visitor={event.visitor_id}"
    words = (f"#{event.id}", event.event or "", visitor, why_not_accepted(event))
    return " ".join(word for word in words if word)


def _common_outcome(events: Sequence[Event]) -> str:
    outcomes = {event.outcome for event in events}
    return outcomes.pop() if len(outcomes) == 1 else "mixed" if outcomes else ""


def _problems(event: Event, ignored: Collection[str]) -> Iterator[str]:
    if event.outcome in ("rejected", "dropped") and not any(rule in ignored for rule in rules_against(event)):
        yield f"{name_of(event)} {outcome_of(event)}"
    yield from (f"{name_of(event)}: {with_rule(hint)}" for hint in hints_beside(event) if hint.rule not in ignored)
