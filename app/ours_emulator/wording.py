"""Wording that is the same everywhere: events, counts, shortened lists, suggestions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from ours_emulator.records import Event, Hint, Imported, Reason
from ours_emulator.stable import UUID

MAX_LISTED = 20
"""How many names one hint lists, and how many hints about names there are."""
_MAX_LENGTH = 100
_UUID_LENGTH = 36
_DROPPED = "allow-list"
_INTEGER = "must be an integer"
_NUMBER = "must be a number"
_BOOLEAN = "must be true or false"
_LIST = "must be a list"
_OBJECT = "must be an object"
_PLAIN: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "unknown field",
    "int_type": _INTEGER,
    "int_parsing": _INTEGER,
    "int_parsing_size": _INTEGER,
    "int_from_float": _INTEGER,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "must be a finite number",
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "string_type": "must be a string",
    "string_unicode": "must not contain lone surrogates",
    "string_sub_type": "must be a string",
    "path_type": "must be a path",
    "list_type": _LIST,
    "tuple_type": _LIST,
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} items",
    "none_required": "must be null",
    "json_invalid": "not valid JSON: {error}",
}
"""What is wrong with a value, for each kind of error that pydantic has. Its own words are those of Python."""
_EMPTY = ("string_too_short", "too_short")


def name_of(event: Event) -> str:
    """Return `#17 'Purchase' visitor=u1`; what has no name is called by its endpoint."""
    name = event.endpoint if event.event is None else repr(event.event)
    visitor = "" if event.visitor_id is None else f" visitor={event.visitor_id}"
    return f"#{event.id} {name}{visitor}"


def outcome_of(event: Event) -> str:
    """Return the outcome, and if the event was not accepted, why: `rejected: time: in the future [time-window]`."""
    why = why_not_accepted(event)
    return f"{event.outcome}: {why}" if why else event.outcome


def why_not_accepted(event: Event) -> str:
    """Return why *event* was not accepted; nothing if it was."""
    if event.reason is not None:
        return with_rule(event.reason)
    if event.outcome == "duplicate":
        return "its distinctId was used before [dedup]"
    return "; ".join(with_rule(hint) for hint in event.hints if hint.rule == _DROPPED)


def rules_against(event: Event) -> list[str]:
    """Return the rules by which *event* was rejected or dropped."""
    dropped = [hint.rule for hint in event.hints if hint.rule == _DROPPED]
    return dropped if event.reason is None else [event.reason.rule]


def hints_beside(event: Event) -> list[Hint]:
    """Return the hints of *event* except the one that says why it was dropped."""
    return [hint for hint in event.hints if hint.rule != _DROPPED]


def with_rule(remark: Hint | Reason) -> str:
    """Return a hint or a reason as the log has it: `properties: dropped [unknown-keys]`."""
    return f"{remark.sentence} [{remark.rule}]"


def plural(count: int, noun: str) -> str:
    """Return `1 hint`, or `2 hints`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def and_more(count: int, noun: str = "") -> str:
    """Return `and 2 more`, or `and 2 more hints`; an empty string if *count* is not positive."""
    return f"and {plural(count, f'more {noun}') if noun else f'{count} more'}" if count > 0 else ""


def first_of(lines: Sequence[str], limit: int, noun: str = "") -> list[str]:
    """Return the first *limit* of *lines* and, if there are others, a line that says how many."""
    more = and_more(len(lines) - limit, noun)
    return [*lines[:limit], *([more] if more else [])]


def cut(name: str) -> str:
    """Return *name*, cut if it is longer than a hint should be."""
    return name if len(name) <= _MAX_LENGTH else shortened(name, _MAX_LENGTH)


def shortened(text: str, limit: int) -> str:
    """Return *text*, cut after *limit* characters, or before a UUID that is there: a part of one has no stable form."""
    near = UUID.finditer(text, max(0, limit - _UUID_LENGTH), limit + _UUID_LENGTH)
    return text[: next((one.start() for one in near if one.start() < limit < one.end()), limit)] + "…"


def listed(names: Sequence[str], limit: int = MAX_LISTED) -> str:
    """Return the first *limit* of *names* in one line, each cut if it is long, and how many more there are."""
    return " ".join(filter(None, (", ".join(map(cut, names[:limit])), and_more(len(names) - limit))))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean NAME?` with the one of *known* that is most like *word*; else an empty string."""
    return suggested(nearest(word, known))


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the one of *known* that is most like *word*, if one is like it: 1 as *cutoff* takes only the same."""
    # The time that it takes grows with the square of the length, and a client chooses *word*.
    close = get_close_matches(word[:_MAX_LENGTH], list(known), n=1, cutoff=cutoff)
    return close[0] if close else None


def suggested(name: str | None) -> str:
    """Return `; did you mean NAME?`; an empty string for None."""
    return f"; did you mean {name}?" if name else ""


def plain(error: Mapping[str, Any]) -> str:
    """Return what is wrong with a value, of an *error* of pydantic: `must be an integer`."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in _EMPTY and context["min_length"] == 1:
        return "must not be empty"
    if kind in _PLAIN:
        return _PLAIN[kind].format_map(context)
    if kind == "literal_error":
        return f"must be {context['expected'].replace('True', 'true')}"
    return str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "must be", 1)


def settings_kept(account: str) -> str:
    """Return what is said of an *account* that keeps settings other than the recorded ones."""
    return f"account {account} has settings of its own and keeps them; those in the file differ"


def replay_notes(imported: Imported) -> Iterator[str]:
    """Yield in what a replay differs from what was recorded."""
    yield from map(settings_kept, imported.kept_settings)
    if imported.differing_total:
        yield f"{plural(imported.differing_total, 'request')} answered with another status than when recorded"
    for line in imported.differing:
        yield f"line {line.line}: answered {line.now or 'nothing'}, but {line.recorded or 'nothing'} when recorded"
