"""Visitor versions as text: whole, or as a patch of an earlier one of the same visitor that is stored whole.

The text is a JSON object with the keys of `VisitorState`. A whole version has all four, unless it was migrated: what
the file never recorded is missing there. A patch has only those of a `Change` that are not empty.
"""

import json
from dataclasses import dataclass
from typing import Any, cast

from ours_emulator.decide.versions import combined, patched
from ours_emulator.jsontext import json_text
from ours_emulator.model import Change, Version, VisitorState

SMALL = 4096
"""A version of so many bytes is always stored whole: a patch would save less than it costs to read two rows."""
UNCHANGED = Change()
_NOTHING = VisitorState()


def whole_text(state: VisitorState) -> str:
    """Return *state* as text."""
    return json_text(
        {
            "properties": state.properties,
            "data": state.data,
            "devices": state.devices,
            "anonymous_id": state.anonymous_id,
        }
    )


def patch_text(change: Change) -> str:
    """Return *change* as text."""
    parts: dict[str, Any] = {"properties": change.properties, "data": change.data}
    parts = {key: part for key, part in parts.items() if part}
    if change.devices is not None:
        parts["devices"] = change.devices
    if change.anonymous_id is not None:
        parts["anonymous_id"] = change.anonymous_id
    return json_text(parts)


def state_in(whole: str) -> VisitorState:
    """Return the state in the text of a whole version."""
    parts = _parts(whole)
    devices = tuple(parts.get("devices", ()))
    return VisitorState(parts["properties"], parts.get("data", {}), devices, parts.get("anonymous_id"))


def change_in(patch: str) -> Change:
    """Return the change in the text of a patch."""
    parts = _parts(patch)
    devices = tuple(parts["devices"]) if "devices" in parts else None
    return Change(parts.get("properties", {}), parts.get("data", {}), devices, parts.get("anonymous_id"))


def stored_state(content: str, base: str | None) -> VisitorState:
    """Return the state of a version: *content* is whole, or a patch if there is a *base*."""
    return state_in(content) if base is None else patched(state_in(base), change_in(content))


def unknown_in(content: str, base: str | None) -> frozenset[str]:
    """Return the keys of `VisitorState` that the version never recorded."""
    recorded = _parts(content).keys() | (_parts(base).keys() if base else ())
    return frozenset(("properties", "data", "devices", "anonymous_id")) - recorded


@dataclass(slots=True)
class StoredVersion:
    """What is written of one version. *patched* counts the bytes of patches since the base, this one included."""

    base_id: int | None
    patched: int
    text: str


@dataclass(slots=True)
class Keyframe:
    """The version of a visitor last stored whole, and the patch that makes the latest version out of it.

    Each patch is relative to the keyframe, so two rows are enough to read any version. Patches grow as changes add up;
    when all of them together are larger than the keyframe, the next version is stored whole and becomes the keyframe,
    so that no more than twice of what is needed is ever written.
    """

    id: int = 0
    state: VisitorState = _NOTHING
    size: int = 0
    patch: Change = UNCHANGED
    patched: int = 0

    def add(self, version: Version) -> StoredVersion:
        """Return what to write of *version*, the one after those added before."""
        self.patch = combined(self.patch, version.change)
        if self.size > SMALL:
            text = patch_text(self.patch)
            if self.patched + len(text) <= self.size:
                self.patched += len(text)
                return StoredVersion(self.id, self.patched, text)
        return self._whole(version.id)

    def _whole(self, version_id: int) -> StoredVersion:
        self.state = patched(self.state, self.patch)
        text = whole_text(self.state)
        self.id, self.size, self.patch, self.patched = version_id, len(text), UNCHANGED, 0
        return StoredVersion(None, 0, text)


def _parts(text: str) -> dict[str, Any]:
    return cast(dict[str, Any], json.loads(text))
