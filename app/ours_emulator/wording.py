"""An event in words, the same wherever it is told of: failed expectations, timelines, the command line."""

from ours_emulator.records import Event, Hint, Reason

_DROPPED = "allow-list"


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


def number(count: int, noun: str) -> str:
    """Return `1 hint`, or `2 hints`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
