"""The changes of a stored event to its visitor, as GET /debug/events/{id} shows it."""

from dataclasses import fields, replace
from typing import cast

from ours_emulator.contract import client
from ours_emulator.contract.revision import identifier_kinds
from ours_emulator.decide.changes import PARTS, Sent, visitor_changes
from ours_emulator.decide.phone import PHONE
from ours_emulator.model import Properties
from ours_emulator.records import Event, EventDetail
from ours_emulator.store import StoredEvent

_EVENT_FIELDS = tuple(field.name for field in fields(Event))


def event_detail(stored: StoredEvent) -> EventDetail:
    """Return the event *stored* with its changes to its visitor."""
    detail = EventDetail(**{name: getattr(stored.event, name) for name in _EVENT_FIELDS})
    if stored.after is None or detail.visitor_id is None:
        return detail
    created = detail.resolution is not None and detail.resolution.created
    if stored.before is None and not created:
        return replace(detail, unknown_changes=PARTS)
    unknown = tuple(dict.fromkeys((*stored.after.unknown, *(stored.before.unknown if stored.before else ()))))
    sent = _sent(stored.event, stored.content)
    before = None if stored.before is None else stored.before.state
    changes = visitor_changes(sent, detail.visitor_id, before, stored.after.state, unknown)
    if created and stored.before is stored.after:
        # Of the two events that create a visitor over the Client API this is the second.
        why = f"was set by event {stored.after.id}, which created the visitor"
        changes = tuple(replace(change, why=why) if change.action == "unchanged" else change for change in changes)
    return replace(detail, changes=changes, unknown_changes=unknown)


def _sent(event: Event, content: Properties) -> Sent:
    """Return what the message of *event* says about the visitor."""
    kinds = identifier_kinds()
    given = cast(dict[str, str], content.get("identity", {}))
    return Sent(
        # A phone number comes as a property, which is stored as it was sent.
        identity={kinds[name]: value for name, value in given.items() if name in kinds and kinds[name] != PHONE},
        properties=cast(Properties, content.get("user_properties", {})),
        data=cast(Properties, content.get("data", {})),
        device=cast(Properties | None, content.get("device")),
        claims_stored=event.endpoint not in client.ENDPOINTS,
        names_event=event.event is not None,
        is_alias=event.endpoint == f"{client.PREFIX}alias",
        unlinked=[hint.path[1:] for hint in event.hints if hint.rule == "client-identify"],
    )
