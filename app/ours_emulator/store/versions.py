"""Visitor versions as text: whole, or as a patch of an earlier one of the same visitor that is stored whole.

The text is a JSON object with the keys of `VisitorState`, or of `Change`, that are not empty. What the file never
recorded of a migrated version is named under `unknown`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

from ours_emulator.decide.versions import combined, patched
from ours_emulator.jsontext import json_text, stored_json
from ours_emulator.model import UNCHANGED, UNKNOWN, Change, Properties, Version, VisitorState

SMALL = 4096
"""A version of so many bytes is always stored whole: a patch would save less than it costs to read two rows."""


def text_of(parts: VisitorState | Change) -> str:
    """Return a state, whole, or a change, as a patch, as text."""
    kept: Properties = {"properties": parts.properties}
    if parts.data:
        kept["data"] = parts.data
    if parts.devices:
        kept["devices"] = list(parts.devices)
    # An anonymous id may be "" (rule client-look-up).
    if parts.anonymous_id is not None:
        kept["anonymous_id"] = parts.anonymous_id
    return json_text(kept)


def state_in(whole: str) -> VisitorState:
    """Return the state in the text of a whole version."""
    parts = _parts(whole)
    properties = parts.pop("properties")
    return VisitorState(properties, *_others(parts)) if parts else VisitorState(properties, {})


# Bases are large, and mostly the same one is asked for again: by the next request, or the next event of a page.
@lru_cache(maxsize=2)
def base_state(whole: str) -> VisitorState:
    """Return the state in the text of a version that patches refer to."""
    return state_in(whole)


def change_in(patch: str) -> Change:
    """Return the change in the text of a patch."""
    parts = _parts(patch)
    data, devices, anonymous_id = _others(parts)
    return Change(parts["properties"], data, devices or None, anonymous_id)


def stored_state(content: str, base: str | None) -> VisitorState:
    """Return the state of a version: *content* is whole, or a patch if there is a *base*."""
    return state_in(content) if base is None else patched(base_state(base), change_in(content))


def unknown_in(content: str, base: str | None) -> Sequence[str]:
    """Return the keys of what was never recorded of the version."""
    return cast(Sequence[str], _parts(base or content).get("unknown", ()))


def _others(parts: dict[str, Any]) -> tuple[Properties, tuple[Properties, ...], str | None]:
    return parts.get("data", {}), tuple(parts.get("devices", ())), parts.get("anonymous_id")


@dataclass(slots=True)
class Keyframe:
    """The version of a visitor last stored whole, and the patch that makes the latest version out of it.

    Each patch is relative to the keyframe, so two rows are enough to read any version. Patches grow as changes add up;
    when all of them together are larger than the keyframe, the next version is stored whole and becomes the keyframe,
    so that no more than twice of what is needed is ever written.
    """

    id: int = 0
    state: VisitorState = UNKNOWN
    size: int = 0
    patch: Change = UNCHANGED
    patched: int = 0
    latest: int = 0
    """Size of the latest version, with the keyframe if it is a patch."""

    def add(self, version: Version) -> tuple[int | None, int, str]:
        """Return what to write of *version*, the one after those added before: base, patched bytes and content."""
        self.patch = version.change if self.patch is UNCHANGED else combined(self.patch, version.change)
        if self.size > SMALL:
            text = text_of(self.patch)
            if self.patched + len(text) <= self.size:
                self.patched += len(text)
                self.latest = self.size + len(text)
                return self.id, self.patched, text
        return self._whole(version.id)

    def _whole(self, version_id: int) -> tuple[None, int, str]:
        self.state = patched(self.state, self.patch)
        text = text_of(self.state)
        self.id, self.size, self.patch, self.patched = version_id, len(text), UNCHANGED, 0
        self.latest = self.size
        return None, 0, text


def _parts(text: str) -> dict[str, Any]:
    return cast(dict[str, Any], stored_json(text))
