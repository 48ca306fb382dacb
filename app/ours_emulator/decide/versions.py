"""How one state of a visitor becomes another: changes are applied, joined and found by comparing; pure rules."""

from ours_emulator.decide.properties import differs, joined, merged
from ours_emulator.model import UNCHANGED, Change, Properties, Version, VisitorState


def patched(state: VisitorState, change: Change) -> VisitorState:
    """Return *state* after *change*."""
    if change is UNCHANGED:
        return state
    return VisitorState(
        merged(state.properties, change.properties) if change.properties else state.properties,
        state.data | change.data if change.data else state.data,
        state.devices if change.devices is None else change.devices,
        state.anonymous_id if change.anonymous_id is None else change.anonymous_id,
    )


def combined(first: Change, second: Change) -> Change:
    """Return the one change that does what *first* and then *second* do."""
    return Change(
        joined(first.properties, second.properties),
        first.data | second.data,
        first.devices if second.devices is None else second.devices,
        first.anonymous_id if second.anonymous_id is None else second.anonymous_id,
    )


def state_of(version: Version) -> VisitorState:
    """Return the visitor's state in *version*."""
    changes = [version.change]
    before = version.before
    while isinstance(before, Version):
        changes.append(before.change)
        before = before.before
    change = changes.pop()
    while changes:
        change = combined(change, changes.pop())
    return patched(before, change)


def data_changes(stored: Properties, sent: Properties) -> Properties:
    """Return what of *sent* is not yet so in *stored*."""
    return {key: value for key, value in sent.items() if key not in stored or differs(stored[key], value)}
