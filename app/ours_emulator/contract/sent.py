"""What the body of a request says of one event, also of one that was refused."""

from collections.abc import Mapping

from pydantic import JsonValue

from ours_emulator.contract.revision import revisions
from ours_emulator.model import Properties


def message_in(body: JsonValue, endpoint: str, batch_index: int | None) -> Properties:
    """Return the object in *body* that is about one event; an empty one if there is none."""
    if batch_index is None:
        return body if isinstance(body, dict) else {}
    rows = body.get("events") if endpoint == "batch" and isinstance(body, dict) else body
    row = rows[batch_index] if isinstance(rows, list) and batch_index < len(rows) else None
    return row if isinstance(row, dict) else {}


def sent_fields(message: Properties) -> Properties:
    """Return the properties and identifiers in *message*, one of the Ingest API, as an event has them."""
    fields: Properties = {}
    # Not those of the Client API: the Ingest API drops `external_id`, and an event is not found by it.
    kinds = [pair for each in revisions().values() for pair in each.identity.kinds.items()]
    for name, kind in kinds:
        value = value_at(message, name.split("."))
        if isinstance(value, str) and value:
            fields[kind] = value
    properties = message.get("eventProperties", {})
    return fields | {"event_properties": properties or {}} if isinstance(properties, dict | None) else fields


def value_at(value: JsonValue, names: list[str]) -> JsonValue:
    """Return what is in *value* at the path *names*; None if nothing is."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
