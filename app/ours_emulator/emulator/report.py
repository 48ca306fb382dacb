"""What arrived, in words: the explanation of a failed expectation and the timeline of a failed test."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ours_emulator.records import Event, Hint, Miss, NearMiss, RequestRecord
from ours_emulator.terminal import printable

_MOST_EVENTS = 10
_MOST_REQUESTS = 50
_MOST_IN_BATCH = 5
_DROPPED = "allow-list"


def explain(
    wish: str, found: str, matching: Sequence[Event], candidates: Sequence[NearMiss], near: Sequence[NearMiss]
) -> str:
    """Return why *wish* is not met: what did match, what was refused though it would have, what nearly matched."""
    lines = [text for text in (wish, found) if text]
    if matching:
        lines += ["these matched:", *(f"  {_named(event)}" for event in matching[:_MOST_EVENTS])]
        lines += _more(len(matching) - _MOST_EVENTS)
    lines += _candidates("would", [one for one in candidates if not _unknown(one)])
    lines += _candidates("may", [one for one in candidates if _unknown(one)])
    if near:
        lines += ["the nearest ones:", *(line for one in near for line in _near(one.event, one.misses))]
    return "\n".join(printable(line) for text in lines for line in text.split("\n"))


def timeline(requests: Sequence[RequestRecord], events: Iterable[Event]) -> list[str]:
    """Return one line for each of *requests*, the oldest first, with outcome, reason and hints of its *events*."""
    inside: dict[int, list[Event]] = defaultdict(list)
    for event in events:
        inside[event.request_id].append(event)
    shown = requests[-_MOST_REQUESTS:]
    lines = [f"({len(requests) - len(shown)} earlier ones are left out)"] if len(shown) < len(requests) else []
    for request in shown:
        lines += _exchange(request, requests[0], inside[request.id])
    return [printable(line) for line in lines]


def counts(requests: Sequence[RequestRecord], events: Sequence[Event]) -> str:
    """Return `3 requests, 2 events accepted, 1 rejected, 1 hint`."""
    outcomes = Counter[str](event.outcome for event in events)
    return counted(len(requests), outcomes, sum(len(event.hints) for event in events))


def counted(requests: int, outcomes: Mapping[str, int], hints: int) -> str:
    """Return what `counts` does, of what was counted before; *outcomes* has how many events there are of each."""
    found = [number(requests, "request"), f"{number(outcomes.get('accepted', 0), 'event')} accepted"]
    found += [f"{outcomes[name]} {name}" for name in ("rejected", "dropped", "duplicate") if name in outcomes]
    return ", ".join([*found, *([number(hints, "hint")] if hints else [])])


def objections(events: Iterable[Event], ignore: Iterable[str] = ()) -> list[str]:
    """Return a line for each of *events* that was refused or dropped, and for each hint but of *ignore*d rules."""
    return [printable(line) for event in events for line in _objections(event, frozenset(ignore))]


def hint_lines(events: Iterable[Event], ignore: Iterable[str] = ()) -> list[str]:
    """Return a line for each hint of *events*, but of the rules in *ignore*."""
    left_out = frozenset(ignore)
    return [
        printable(f"{_named(event)}: {_hint(hint)}")
        for event in events
        for hint in event.hints
        if hint.rule not in left_out
    ]


def number(count: int, word: str) -> str:
    """Return `1 hint`, or `2 hints`."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def _exchange(request: RequestRecord, first: RequestRecord, events: Sequence[Event]) -> Iterator[str]:
    seconds = (request.received_at - first.received_at).total_seconds()
    status = "unanswered" if request.status is None else str(request.status)
    words = [f"+{seconds:.3f} s ", _outcome(events).upper(), status, request.method]
    words.append(_path(request))
    if request.attempt > 1:
        words.append(f"(attempt {request.attempt} of request {request.call_id})")
    if request.fault is not None and all(event.reason is None for event in events):
        words.append(f"(fault {request.fault.name})")
    alone = len(events) == 1 and events[0].batch_index is None
    if alone:
        words.append(_told(events[0]))
    yield " ".join(word for word in words if word)
    rows = events if not alone else ()
    for event in rows[:_MOST_IN_BATCH]:
        yield f"           {event.outcome} row {event.batch_index}: {_told(event)}"
    yield from (f"           {line.strip()}" for line in _more(len(rows) - _MOST_IN_BATCH))
    yield from (f"           hint {_hint(hint)}" for event in events for hint in _hints(event))


def _told(event: Event) -> str:
    visitor = "" if event.visitor_id is None else f"visitor={event.visitor_id}"
    return " ".join(word for word in (f"#{event.id}", event.event or "", visitor, _why(event)) if word)


def _outcome(events: Sequence[Event]) -> str:
    outcomes = {event.outcome for event in events}
    return outcomes.pop() if len(outcomes) == 1 else "mixed" if outcomes else ""


def _path(request: RequestRecord) -> str:
    return request.path.removeprefix(f"/accounts/{request.account}")


def _objections(event: Event, ignore: frozenset[str]) -> Iterator[str]:
    if event.outcome in ("rejected", "dropped"):
        yield f"{_named(event)} {_became(event)}"
    yield from (f"{_named(event)}: {_hint(hint)}" for hint in _hints(event) if hint.rule not in ignore)


def _named(event: Event) -> str:
    name = event.endpoint if event.event is None else repr(event.event)
    who = "" if event.visitor_id is None else f" visitor={event.visitor_id}"
    return f"#{event.id} {name}{who}"


def _became(event: Event) -> str:
    why = _why(event)
    return event.outcome + (f": {why}" if why else "")


def _candidates(verb: str, those: Sequence[NearMiss]) -> list[str]:
    heading = [f"these {verb} have matched, but were not accepted:"] if those else []
    return heading + [line for one in those for line in _near(one.event, _unknown(one))]


def _unknown(one: NearMiss) -> list[Miss]:
    """Return what is not known of a candidate, as it was not accepted."""
    return [miss for miss in one.misses if miss.path != "outcome"]


def _near(event: Event, misses: Iterable[Miss]) -> list[str]:
    return [f"  {_named(event)} {_became(event)}", *map(_miss, misses)]


def _miss(miss: Miss) -> str:
    why = "" if miss.why in ("", "another value") else f" ({miss.why})"
    return f"    {miss.path}: expected {miss.expected!r}, got {miss.actual!r}{why}"


def _why(event: Event) -> str:
    """Return why *event* was not accepted, if it was not."""
    if event.reason is not None:
        return f"{_at(event.reason.path, event.reason.message)} [{event.reason.rule}]"
    if event.outcome == "duplicate":
        return "its distinct id was used before [dedup]"
    return "; ".join(_hint(hint) for hint in event.hints if hint.rule == _DROPPED)


def _hints(event: Event) -> list[Hint]:
    """Return the hints of *event*, but the one that says why it was dropped."""
    return [hint for hint in event.hints if hint.rule != _DROPPED]


def _hint(hint: Hint) -> str:
    return f"{_at(hint.path, hint.message)} [{hint.rule}]"


def _at(path: str, message: str) -> str:
    dotted = path[1:].replace("/", ".").replace("~1", "/").replace("~0", "~")
    return f"{dotted}: {message}" if dotted else message


def _more(count: int) -> list[str]:
    return [f"  and {count} more"] if count > 0 else []
