"""What a message contains, as the JSON text that is kept of it: written when it is decided, read by the store."""

import json
from collections.abc import Mapping
from typing import Any

from ours_emulator.jsontext import json_text, same, stored_json
from ours_emulator.model import AnyMessage, Message, Properties, Registration, Rejection

_NAMED = "named"
_OF_AN_EVENT = ("event_properties", "default_properties", "identity_context", "identity")


def content_of(message: AnyMessage) -> str:
    """Return what *message* contains. Messages with the same distinct id are compared by it (rule dedup)."""
    identity: Properties = {claim.given_as: claim.value for claim in message.identity}
    if not isinstance(message, Message):
        device: Properties = {"device": message.device} if isinstance(message, Registration) else {}
        return json_text({**device, "identity": identity})
    content: Properties = {
        "event_properties": message.event_properties,
        "default_properties": message.default_properties,
        "identity_context": message.identity_context,
        "user_properties": message.user_properties,
        "identity": identity,
        "time": message.time,
    }
    if message.data is not None:
        content["data"] = message.data
    return json_text(content)


def refused_content(rejection: Rejection) -> str:
    """Return what is kept of what was refused: the identifiers that it named, by which its visitor finds it."""
    return json_text({_NAMED: {claim.given_as: claim.value for claim in rejection.identity}})


def identifiers_in(contained: Mapping[str, Any]) -> dict[str, str]:
    """Return the identifiers that a message gave, or that a refused one named, in wire spelling."""
    return contained.get("identity") or contained.get(_NAMED) or {}


def event_fields(content: str) -> dict[str, Any]:
    """Return those fields of an event that are in *content*; a rejection has none of them, an alias only one."""
    contained: dict[str, Any] = stored_json(content)
    return {name: contained[name] for name in _OF_AN_EVENT if name in contained}


def same_content(one: str, other: str) -> bool:
    """Tell whether two contents are the same JSON; clients may write it in another order."""
    return one == other or same(json.loads(one), json.loads(other))
