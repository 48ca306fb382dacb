"""What a message makes of a visitor's properties: null, absent, "" and concrete, as pure rules."""

from pydantic import JsonValue

from ours_emulator.model import Identity, Properties, listed
from ours_emulator.records import Hint

CUSTOM = "custom_properties"
_CLAIMED = ("external_id", "email")


def said(identity: Identity, properties: Properties, *, empty_ignored: bool = True) -> Properties:
    """Return everything a message says of its visitor's properties.

    The external id and email of *identity* count as properties; if *properties* gives the same one, that wins for
    what is stored, even with null (rule claims-stored). "" says nothing if *empty_ignored* (rule property-empty).
    """
    claimed: Properties = {claim.kind: claim.value for claim in identity if claim.kind in _CLAIMED}
    if not empty_ignored:
        return claimed | properties
    return claimed | {name: value for name, value in properties.items() if value != ""}


def merged(stored: Properties, said: Properties) -> Properties:
    """Return *stored* after a message *said* something: a new value sets, null clears, absent leaves (section 5).

    custom_properties are merged one level deep and never cleared; consent, like any other value, is replaced whole.
    """
    properties = stored.copy()
    for name, value in said.items():
        if name == CUSTOM:
            if isinstance(value, dict):
                properties[CUSTOM] = _merged_custom(properties.get(CUSTOM), value)
        elif value is None:
            properties.pop(name, None)
        else:
            properties[name] = value
    return properties


def hints(stored: Properties, identity: Identity, said: Properties) -> list[Hint]:
    """Return what a sender may not have meant: null for a custom property, null for the identifier looked up by."""
    found: list[Hint] = []
    custom = said.get(CUSTOM)
    if CUSTOM in said and custom is None:
        found.append(Hint("custom-null", f"/userProperties/{CUSTOM}", "null is ignored here; nothing is cleared"))
    elif isinstance(custom, dict) and None in custom.values():
        kept = stored.get(CUSTOM)
        names = [name for name, value in custom.items() if value is None]
        still = "" if not isinstance(kept, dict) or kept.keys().isdisjoint(names) else "; the stored value stays"
        message = f"null is ignored inside custom_properties{still}: {listed(names)}"
        found.append(Hint("custom-null", f"/userProperties/{CUSTOM}", message))
    found += [
        Hint("claims-stored", f"/userProperties/{claim.kind}", f"null clears what {claim.given_as} just set")
        for claim in identity
        if claim.kind in _CLAIMED and claim.kind in said and said[claim.kind] is None
    ]
    found += [
        Hint("claims-stored", f"/{claim.given_as}", f"not stored: userProperties.{claim.kind} has another value")
        for claim in identity
        if claim.kind in _CLAIMED and said.get(claim.kind) not in (None, claim.value)
    ]
    return found


def ignored(properties: Properties) -> list[Hint]:
    """Return a hint for each place where "" was sent, which says nothing (rules property-empty, custom-merge)."""
    found: list[Hint] = []
    custom = properties.get(CUSTOM)
    for path, sent in (("/userProperties", properties), (f"/userProperties/{CUSTOM}", custom)):
        if isinstance(sent, dict) and "" in sent.values():
            names = listed([name for name, value in sent.items() if value == ""])
            rule = "property-empty" if sent is properties else "custom-merge"
            found.append(Hint(rule, path, f'"" is ignored: {names}'))
    return found


def _merged_custom(stored: JsonValue, sent: Properties) -> Properties:
    custom = dict(stored) if isinstance(stored, dict) else {}
    custom.update((name, value) for name, value in sent.items() if value is not None and value != "")
    return custom
