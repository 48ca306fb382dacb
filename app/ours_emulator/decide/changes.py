"""The changes of a message to its visitor, value by value, and why what it sent is not what is stored; pure rules."""

from collections.abc import Collection, Iterator, Mapping
from typing import TypeAlias

from pydantic import JsonValue

from ours_emulator.decide.properties import CUSTOM, NAMING_PROPERTIES, differs
from ours_emulator.model import Identifier, Properties, VisitorState
from ours_emulator.records import ChangeAction, VisitorChange
from ours_emulator.values import value

PARTS = ("identifiers", "properties", CUSTOM, "consent", "data", "devices")
"""The parts of a visitor, with which the paths of changes begin."""
_GROUPS: Mapping[ChangeAction, int] = {"ignored": 1, "unchanged": 2}
"""The order of a list: first what changed."""
_Values: TypeAlias = dict[str, JsonValue]
"""What is known of a visitor, each value by its path."""
_Whys: TypeAlias = Iterator[tuple[str, str | None]]
"""Paths of values that were sent, each with why the value is not stored; None if it is."""


@value
class Sent:
    """What an accepted message says about its visitor."""

    identity: Mapping[Identifier, str]
    properties: Properties
    """As userProperties has them."""
    data: Properties
    device: Properties | None
    claims_stored: bool
    """As `ApiSemantics` has it: the message came over the Ingest API."""
    names_event: bool
    """It is an event, or an identify call of the Ingest API."""
    is_alias: bool
    unlinked: Collection[str]
    """The identifiers that a hint says are another visitor's."""


def visitor_changes(
    sent: Sent,
    visitor_id: str,
    before: VisitorState | None,
    after: VisitorState,
    unknown: Collection[str] = (),
) -> tuple[VisitorChange, ...]:
    """Return what changed between *before* (None if the message created the visitor) and *after*, then what did not:
    what was ignored, and what is stored already.

    What is under one of the paths *unknown*, of which not both states are known, is left out.
    """
    old = {} if before is None else _values(visitor_id, before, after)
    new = _values(visitor_id, after, after)
    changed: dict[str, ChangeAction] = {
        path: action for path in (*new, *old) if (action := _action(path, old, new)) is not None
    }
    whys = _whys(sent, old, new, changed)
    untouched: dict[str, ChangeAction] = {
        path: "unchanged" if why is None else "ignored" for path, why in whys.items() if path not in changed
    }
    entries = [
        VisitorChange(path=path, action=action, before=old.get(path), after=new.get(path), why=whys.get(path))
        for path, action in (changed | untouched).items()
        if not _under(path, unknown)
    ]
    return tuple(sorted(entries, key=lambda entry: (_GROUPS.get(entry.action, 0), _part(entry.path))))


def _values(visitor_id: str, state: VisitorState, after: VisitorState) -> _Values:
    """Return the values of *state*. A device keeps its place, and is called as it is *after*: its id may change."""
    properties, custom = state.properties, state.properties.get(CUSTOM)
    return {
        "identifiers.user_id": visitor_id,
        **{f"identifiers.{name}": properties[name] for name in NAMING_PROPERTIES if name in properties},
        **({} if state.anonymous_id is None else {"identifiers.anonymous_id": state.anonymous_id}),
        **{_path(name): value for name, value in properties.items() if name not in (*NAMING_PROPERTIES, CUSTOM)},
        **{f"{CUSTOM}.{name}": value for name, value in (custom if isinstance(custom, dict) else {}).items()},
        **{f"data.{name}": value for name, value in state.data.items()},
        **{_device(later): device for device, later in zip(state.devices, after.devices, strict=False)},
    }


def _path(name: str) -> str:
    """Return where a visitor has the property *name* of a message."""
    if name in NAMING_PROPERTIES:
        return f"identifiers.{name}"
    return name if name in (CUSTOM, "consent") else f"properties.{name}"


def _device(device: Properties) -> str:
    return f"devices.{device['device_id']}"


def _action(path: str, old: _Values, new: _Values) -> ChangeAction | None:
    if path not in old:
        return "added"
    if path not in new:
        return "removed"
    return "changed" if differs(old[path], new[path]) else None


def _under(path: str, unknown: Collection[str]) -> bool:
    return path in unknown or path.partition(".")[0] in unknown


def _part(path: str) -> int:
    return PARTS.index(path.partition(".")[0])


def _whys(sent: Sent, old: _Values, new: _Values, changed: Collection[str]) -> dict[str, str | None]:
    """Return why values that were sent are not stored, None for those stored already, and why unsent ones changed.

    An identifier that was also sent as a property has the reason why the property won.
    """
    whys: dict[str, str | None] = {}
    for path, why in (*_of_identity(sent, new), *_of_properties(sent, old, new), *_of_data_and_device(sent)):
        if why is not None or path not in changed:
            whys.setdefault(path, why)
    return whys | {path: why for path in changed if (why := _why_unsent(sent, path)) is not None}


def _of_identity(sent: Sent, new: _Values) -> _Whys:
    for kind, claimed in sent.identity.items():
        stored = new.get(f"identifiers.{kind}")
        if stored == claimed:
            why = None
        elif sent.claims_stored:
            given = "is null, which clears it" if stored is None else "has another value, which is stored"
            why = f"userProperties.{kind} {given}"
        else:
            why = _why_unlinked(sent, kind, stored)
        yield f"identifiers.{kind}", why


def _why_unlinked(sent: Sent, kind: Identifier, stored: JsonValue) -> str:
    """Return why an id of the Client API is not on the visitor (rules client-identify, client-alias)."""
    if sent.device is not None:
        return "a device gives a visitor no ids"
    if kind == "external_id":
        only = "only an alias gives a visitor that exists an external_id"
        return only if stored is None else "the visitor has another external_id, which is never replaced"
    if sent.is_alias:
        return "an alias gives a visitor only an external_id"
    if kind in sent.unlinked or not sent.names_event:
        return "another visitor has it, and visitors are never merged"
    return "an event without `user` gives a visitor that exists no ids"


def _of_properties(sent: Sent, old: _Values, new: _Values) -> _Whys:
    for name, given in sent.properties.items():
        if name == CUSTOM and isinstance(given, dict):
            for key, inner in given.items():
                yield f"{CUSTOM}.{key}", _why_custom_ignored(inner)
        elif name == CUSTOM:
            yield CUSTOM, "null is ignored here; nothing is cleared"
        elif given == "" and sent.claims_stored:
            yield _path(name), "empty text is ignored"
        else:
            path = _path(name)
            yield path, "is not set, so there is nothing to clear" if given is None and path not in old | new else None


def _why_custom_ignored(given: JsonValue) -> str | None:
    if given is None:
        return f"null is ignored inside {CUSTOM}"
    return f"empty text is ignored inside {CUSTOM}" if given == "" else None


def _of_data_and_device(sent: Sent) -> _Whys:
    yield from ((f"data.{name}", None) for name in sent.data)
    if sent.device is not None:
        yield _device(sent.device), None


def _why_unsent(sent: Sent, path: str) -> str | None:
    if path == "identifiers.user_id" and "user_id" not in sent.identity:
        return "generated for the new visitor"
    if path.startswith("devices.") and sent.device is None:
        return "was kept until a visitor with one of its ids appeared"
    return None
