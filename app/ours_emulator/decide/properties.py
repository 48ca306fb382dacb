"""What a message makes of a visitor's properties: null, absent, "" and concrete, as pure rules."""

from pydantic import JsonValue

from ours_emulator.jsontext import json_text
from ours_emulator.model import Identifier, Identity, Properties
from ours_emulator.records import Hint
from ours_emulator.wording import listed

CUSTOM = "custom_properties"
NAMING_PROPERTIES: tuple[Identifier, ...] = ("external_id", "email")
"""The properties that a visitor is also found by."""


def given(identity: Identity, properties: Properties, *, empty_ignored: bool = True) -> Properties:
    """Return all the properties that a message gives its visitor.

    The external id and email of *identity* count as properties; if *properties* gives the same one, that wins for
    what is stored, even with null (rule claims-stored). "" gives nothing if *empty_ignored* (rule property-empty).
    """
    claimed: Properties = {claim.kind: claim.value for claim in identity if claim.kind in NAMING_PROPERTIES}
    if not empty_ignored:
        return claimed | properties
    return claimed | {name: value for name, value in properties.items() if value != ""}


def changes(stored: Properties, sent: Properties) -> Properties:
    """Return what of *sent* changes *stored*: a new value sets, null clears, absent leaves (section 5).

    custom_properties are merged one level deep and never cleared; consent, like any other value, is replaced whole.
    """
    changed: Properties = {}
    for name, value in sent.items():
        if name == CUSTOM:
            if isinstance(value, dict):
                custom = _custom_changes(stored.get(CUSTOM), value)
                if custom or CUSTOM not in stored:
                    changed[CUSTOM] = custom
        elif value is None:
            if name in stored:
                changed[name] = None
        elif name not in stored or differs(stored[name], value):
            changed[name] = value
    return changed


def differs(one: JsonValue, other: JsonValue) -> bool:
    """Tell whether two values differ as JSON text: to Python 1, 1.0 and true are equal."""
    if one is other:
        return False
    return one != other or (not isinstance(one, str) and json_text(one) != json_text(other))


def merged(stored: Properties, changed: Properties) -> Properties:
    """Return *stored* after what `changes` returned."""
    properties = joined(stored, changed)
    if None in changed.values():
        return {name: value for name, value in properties.items() if value is not None}
    return properties


def joined(first: Properties, second: Properties) -> Properties:
    """Return *first* with what *second* has too; of the custom properties those of both."""
    if not first:
        return second
    properties = first | second
    custom, more = first.get(CUSTOM), second.get(CUSTOM)
    if isinstance(custom, dict) and isinstance(more, dict):
        properties[CUSTOM] = custom | more
    return properties


def hints(stored: Properties, identity: Identity, sent: Properties) -> list[Hint]:
    """Return what a sender may not have meant: null for a custom property, null for the identifier looked up by."""
    hints: list[Hint] = []
    custom = sent.get(CUSTOM)
    if CUSTOM in sent and custom is None:
        hints.append(Hint("custom-null", f"/userProperties/{CUSTOM}", "null is ignored here; nothing is cleared"))
    elif isinstance(custom, dict) and None in custom.values():
        kept = stored.get(CUSTOM)
        names = [name for name, value in custom.items() if value is None]
        still = "" if not isinstance(kept, dict) or kept.keys().isdisjoint(names) else "; the stored value stays"
        message = f"null is ignored inside custom_properties{still}: {listed(names)}"
        hints.append(Hint("custom-null", f"/userProperties/{CUSTOM}", message))
    hints += [
        Hint("claims-stored", f"/userProperties/{claim.kind}", f"null clears what {claim.given_as} just set")
        for claim in identity
        if claim.kind in NAMING_PROPERTIES and claim.kind in sent and sent[claim.kind] is None
    ]
    hints += [
        Hint("claims-stored", f"/{claim.given_as}", f"not stored: userProperties.{claim.kind} has another value")
        for claim in identity
        if claim.kind in NAMING_PROPERTIES and sent.get(claim.kind) not in (None, claim.value)
    ]
    return hints


def ignored(properties: Properties) -> list[Hint]:
    """Return a hint for each place where "" was sent, which changes nothing (rules property-empty, custom-merge)."""
    custom = properties.get(CUSTOM)
    within = [] if not isinstance(custom, dict) else _empty("custom-merge", f"/userProperties/{CUSTOM}", custom)
    return [*_empty("property-empty", "/userProperties", properties), *within]


def _empty(rule: str, path: str, sent: Properties) -> list[Hint]:
    if "" not in sent.values():
        return []
    names = listed([name for name, value in sent.items() if value == ""])
    return [Hint(rule, path, f'"" is ignored: {names}')]


def _custom_changes(stored: JsonValue, sent: Properties) -> Properties:
    custom = stored if isinstance(stored, dict) else {}
    return {
        name: value
        for name, value in sent.items()
        if value is not None and value != "" and (name not in custom or differs(custom[name], value))
    }
