"""How large a visitor is, in bytes of JSON, kept as a running sum (rule visitor-size).

Encoding the whole visitor for each message would take longer than everything else, so only what changes is encoded.
"""

from pydantic import JsonValue

from ours_emulator.decide.identity import KnownVisitor
from ours_emulator.decide.properties import CUSTOM
from ours_emulator.jsontext import json_length
from ours_emulator.model import UNKNOWN, Change, Properties, VisitorState


def grow(visitor: KnownVisitor, change: Change, limit: int) -> bool:
    """Count what *change* adds to *visitor*; False, and nothing is counted, if they would exceed *limit* bytes.

    What makes a visitor smaller always fits.
    """
    growth = growth_of(visitor.state, change)
    if visitor.size + growth > limit and not visitor.measured:
        visitor.size, visitor.measured = size_of(visitor.state), True
    if growth > 0 and visitor.size + growth > limit:
        return False
    visitor.size += growth
    return True


def size_of(state: VisitorState) -> int:
    """Return the size of *state*."""
    return growth_of(UNKNOWN, Change(state.properties, state.data, state.devices))


def growth_of(state: VisitorState, change: Change) -> int:
    """Return how much larger *change* makes *state*; a negative number if it makes it smaller."""
    growth = _growth(state.data, change.data) if change.data else 0
    if change.devices is not None:
        growth += _size_of_devices(change.devices) - _size_of_devices(state.devices)
    custom = change.properties.get(CUSTOM)
    if not isinstance(custom, dict):
        return growth + _growth(state.properties, change.properties)
    # Only the custom properties that change are in a change; each of them counts by itself.
    before = state.properties.get(CUSTOM)
    known = before if isinstance(before, dict) else {}
    others = {name: value for name, value in change.properties.items() if name != CUSTOM}
    new = 0 if CUSTOM in state.properties else _entry(CUSTOM, {})
    return growth + new + _growth(known, custom) + _growth(state.properties, others)


def _growth(before: Properties, change: Properties) -> int:
    growth = 0
    for name, value in change.items():
        if value is not None:
            growth += _entry(name, value)
        if name in before:
            growth -= _entry(name, before[name])
    return growth


def _entry(name: str, value: JsonValue) -> int:
    return json_length(name) + json_length(value) + len(":,")


def _size_of_devices(devices: tuple[Properties, ...]) -> int:
    return sum(json_length(device) + len(",") for device in devices)
