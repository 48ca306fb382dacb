"""Why an expectation is not met: the one place where that is put into words, for programs and for people."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydantic import JsonValue

from ours_emulator.debug.match_progress import (
    NOT_KNOWN,
    Diagnosis,
    MatchProgress,
    SequenceProgress,
    Terms,
    became,
    shown_of,
)
from ours_emulator.matching import NOT_THERE
from ours_emulator.records import Event, Miss, NearMiss, Unmet
from ours_emulator.terminal import printable
from ours_emulator.wording import cut, first_of, name_of, outcome_of, plural, why_not_accepted

_MAX_EVENTS = 10
_MAX_VALUE = 1000


def unmet(
    progress: MatchProgress,
    terms: Terms,
    wish: str,
    diagnosis: Diagnosis | None,
    elsewhere: str,
    timeout_ms: int | None,
) -> Unmet:
    """Return why *terms* are not met. *wish* is what was expected, in words; *timeout_ms* is None without a wait.

    *diagnosis* explains what is missing, if there are too few; *elsewhere* that it went to another account.
    """
    count = len(progress.ids)
    counted = f"{plural(count, 'event') if count else 'no events'} matched"
    in_time = "" if timeout_ms is None or count >= terms.count else f" within {timeout_ms} ms"
    doubt = "" if terms.exceeded(count) else _doubt(progress)
    why = Unmet(
        error=f"{counted}{in_time}; expected {terms}",
        found=f"{counted}{in_time}{elsewhere}",
        mode=terms.mode,
        expected=terms.count,
        count=count,
        items=progress.arrived,
        near_misses=diagnosis.near.near_misses if diagnosis else (),
        evicted=progress.evicted,
    )
    return _explained(why, wish, diagnosis, elsewhere, doubt)


def unmet_sequence(
    progress: SequenceProgress, wish: str, diagnosis: Diagnosis | None, expected: int, evicted: int, *, incomplete: bool
) -> Unmet:
    """Return why a sequence is not met; *diagnosis* explains the step that is missing, if one is."""
    items = shown_of(progress.matched)
    found = "the whole sequence matched" if diagnosis is None else f"no event matched {progress.missing}"
    if diagnosis is not None and progress.matched:
        found += f" after event {name_of(progress.matched[-1].event)}"
        found += f"; event {diagnosis.fitting[-1]} matched before it" if diagnosis.fitting else ""
    why = Unmet(
        error=found,
        found=found,
        mode="sequence",
        expected=expected,
        count=len(progress.matched),
        items=items,
        near_misses=progress.near.near_misses,
        evicted=evicted,
    )
    return _explained(why, wish, diagnosis, "", _evicted(evicted) if incomplete else "")


def _explained(unmet: Unmet, wish: str, diagnosis: Diagnosis | None, elsewhere: str, doubt: str) -> Unmet:
    """Return *unmet* with the reason: the best one there is ends its sentence, all of them are in its explanation."""
    if diagnosis:
        candidates, unread, last = diagnosis.candidates.near_misses, diagnosis.unread, diagnosis.last_unread
        unmet = replace(unmet, candidates=candidates, unread=unread, last_unread=last)
    because = _because(unmet) or elsewhere
    why = replace(unmet, error=f"{unmet.error}{because}{doubt}", found=unmet.found + doubt)
    return replace(why, explanation=_explanation(wish, why))


def wish_of(match: Mapping[str, JsonValue], terms: Terms, outcome: str | None) -> str:
    """Return what is expected, in words: `expected at least 1 event 'Purchase' email='ann@example.com'`."""
    number = "no" if terms.mode == "none" else str(terms)
    kind = "" if outcome in (None, "any") else f"{outcome} "
    plural = "" if terms.mode == "none" or terms.count == 1 else "s"
    return f"expected {number} {kind}event{plural} {_match_words(match)}"


def wish_of_sequence(matches: Sequence[Mapping[str, JsonValue]]) -> str:
    """Return what is expected of a sequence, in words."""
    return "expected in this order: " + ", ".join(map(_match_words, matches))


def _match_words(match: Mapping[str, JsonValue]) -> str:
    named = isinstance(match.get("event"), str)
    words = [_short(match["event"])] if named else []
    words += [f"{cut(key)}={_short(value)}" for key, value in match.items() if key != "event" or not named]
    return " ".join(words) or "at all"


def _because(unmet: Unmet) -> str:
    """Return the best explanation there is, as the end of a sentence."""
    candidates, near, last = unmet.candidates, unmet.near_misses, unmet.last_unread
    if candidates:
        event, (first, *others) = candidates[0].event, candidates[0].misses
        would = "may" if others else "would"
        return f"; event {event.id} {would} have matched, but was {became(event)}: {first.why}"
    if near:
        event, first = near[0].event, near[0].misses[0]
        return f"; nearest is event {event.id}: {first.path[:100]}: {first.why}"
    return f"; {_unread(unmet.unread)}, the last one is {last.id}: {why_not_accepted(last)}" if last else ""


def _unread(count: int) -> str:
    return f"{plural(count, 'refused request')} whose event is not known"


def _doubt(progress: MatchProgress) -> str:
    """Return what keeps the count from being sure, as the end of a sentence."""
    doubt = _evicted(progress.evicted) if progress.incomplete else ""
    if progress.searched_to is not None:
        doubt += f"; timed out after searching stored events up to #{progress.searched_to}: set a longer timeout"
    return doubt


def _evicted(evicted: int) -> str:
    return f"; {plural(evicted, 'event')} evicted that may have matched: set a larger --keep"


def _explanation(wish: str, unmet: Unmet) -> str:
    """Return the whole explanation, on several lines, as a failing test prints it."""
    items, candidates, near = unmet.items, unmet.candidates, unmet.near_misses
    lines = [wish, unmet.found]
    if items:
        first = first_of([name_of(event) for event in items], _MAX_EVENTS)
        lines += ["these events matched:", *(f"  {line}" for line in first)]
    lines += _candidate_lines("would", [one for one in candidates if not _unknown(one)])
    lines += _candidate_lines("may", [one for one in candidates if _unknown(one)])
    if near:
        lines += ["the nearest events:", *(line for one in near for line in _lines_of(one.event, one.misses))]
    if unmet.last_unread:
        last = unmet.last_unread
        lines += [_unread(unmet.unread), f"  the last one: {name_of(last)} {outcome_of(last)}"]
    # Each line is made printable as a whole: a name that a client sent must not begin a line of its own.
    return "\n".join(map(printable, lines))


def _candidate_lines(verb: str, candidates: Sequence[NearMiss]) -> list[str]:
    heading = [f"these {verb} have matched, but were not accepted:"] if candidates else []
    return heading + [line for one in candidates for line in _lines_of(one.event, _unknown(one))]


def _unknown(candidate: NearMiss) -> list[Miss]:
    """Return what is not known of a candidate, because it was not accepted."""
    return [miss for miss in candidate.misses if miss.path != "outcome"]


def _lines_of(event: Event, misses: Sequence[Miss]) -> list[str]:
    outcome = outcome_of(event)
    others = [miss for miss in misses if miss.path != "outcome" or miss.why not in outcome]
    return [f"  {name_of(event)} {outcome}", *map(_miss_line, others)]


def _miss_line(miss: Miss) -> str:
    place = f"    {cut(miss.path)}: expected {_short(miss.expected)}"
    if miss.actual is None and miss.why.startswith(NOT_KNOWN):
        return f"{place}; {cut(miss.why)}"
    nothing = miss.actual is None and miss.why.startswith(NOT_THERE)
    why = miss.why.removeprefix(NOT_THERE).removeprefix("; ") if nothing else miss.why
    remark = "" if why in ("", "another value") else f" ({cut(why)})"
    return f"{place}, got {'nothing' if nothing else _short(miss.actual)}{remark}"


def _short(value: JsonValue) -> str:
    """Return *value* as text, of a very long one the beginning; the answer has all of it in `near_misses`."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _MAX_VALUE else text[:_MAX_VALUE] + "…"
