"""What becomes of each message of a group, on plain values: rules over what was loaded, and nothing else."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from ours_emulator.decide import properties
from ours_emulator.decide.deduplication import DistinctId, Original
from ours_emulator.decide.devices import PendingDevices, registered
from ours_emulator.decide.identity import Name, Visitor, Visitors, looked_up
from ours_emulator.jsontext import json_text, same
from ours_emulator.model import (
    Alias,
    AnyMessage,
    Arrival,
    Message,
    Properties,
    Receipt,
    Registration,
    Rejection,
    allowed,
)
from ours_emulator.records import Hint, Resolution
from ours_emulator.values import value


@value
class Context:
    """Where and when a message arrived: the store's id of its account, the allow-list there, and the moment in ms."""

    account_id: int
    allowed_events: frozenset[str] | None
    received_at: int


class Decision:
    """What becomes of each message of a group, in order of arrival."""

    def __init__(self, visitors: Visitors, originals: dict[DistinctId, Original], waiting: PendingDevices) -> None:
        self._visitors = visitors
        self._originals = originals
        self.waiting = waiting
        self.touched: dict[int, Visitor] = {}
        self.repeats: dict[int, int] = {}

    def receipts(self, id_: int, context: Context, arrival: Arrival) -> list[Receipt]:
        """Return what becomes of *arrival*, numbered from *id_* on: rejected, dropped, duplicate or accepted."""
        if isinstance(arrival, Message):
            return self._message(id_, context, arrival)
        if isinstance(arrival, Rejection):
            return [Receipt(id_, arrival, "rejected", arrival.hints, distinct_id=arrival.distinct_id)]
        if isinstance(arrival, Alias):
            return [self._alias(id_, context, arrival)]
        return [self._registration(id_, context, arrival)]

    def _message(self, id_: int, context: Context, message: Message) -> list[Receipt]:
        if not _listed(context.allowed_events, message):
            hint = Hint("allow-list", "/event", "not on the account's list of allowed events; dropped")
            hints = (*message.hints, hint)
            distinct_id = message.distinct_id
            return [Receipt(id_, message, "dropped", hints, distinct_id=distinct_id, content=_content(message))]
        original = None
        if message.distinct_id is not None:
            original = self._originals.get(DistinctId(context.account_id, message.test, message.distinct_id))
        if original is not None:
            return [self._duplicate(id_, message, original)]
        return self._accepted(id_, context, message)

    def _duplicate(self, id_: int, message: Message, original: Original) -> Receipt:
        self.repeats[original.receipt_id] = self.repeats.get(original.receipt_id, 0) + 1
        content = _content(message)
        hints = message.hints
        if original.content is not None and not _alike(message.event, content, original):
            said = f"event {original.receipt_id} has this distinctId and another content; only that one is kept"
            hints = (*hints, Hint("dedup", "/distinctId", said))
        return Receipt(
            id_,
            message,
            "duplicate",
            hints,
            visitor_pk=original.visitor_pk,
            visitor_id=original.visitor_id,
            distinct_id=message.distinct_id,
            content=content,
        )

    def _accepted(self, id_: int, context: Context, message: Message) -> list[Receipt]:
        semantics = message.semantics
        visitor, resolution, hints = self._visitors.resolve(
            context.account_id, message.identity, new_uuid, falls_through=semantics.falls_through
        )
        written = message.identity if semantics.claims_stored or resolution.created else ()
        said = properties.said(written, message.user_properties, empty_ignored=semantics.empty_ignored)
        if semantics.empty_ignored and message.user_properties:
            hints += properties.ignored(message.user_properties)
        if said:
            hints += properties.hints(visitor.properties, message.identity, said)
            self._update(visitor, properties.merged(visitor.properties, said))
        if message.data:
            visitor.data = visitor.data | message.data
        if not semantics.claims_stored:
            hints += self._link(visitor, message, created=resolution.created)
        self._attach(visitor)
        if message.creation is None or not resolution.created:
            return [self._stored(id_, context, message, visitor, resolution, hints)]
        # Its properties are those the visitor was made with; what the item says itself is in the next receipt.
        nothing: Properties = {}
        creation = replace(
            message,
            event=message.creation,
            event_properties=nothing,
            user_properties=nothing,
            data=None,
            hints=(),
        )
        return [
            self._stored(id_, context, creation, visitor, resolution, []),
            self._stored(id_ + 1, context, message, visitor, resolution, hints),
        ]

    def _stored(
        self, id_: int, context: Context, message: Message, visitor: Visitor, resolution: Resolution, hints: list[Hint]
    ) -> Receipt:
        """Return the receipt of *message*, now that *visitor* is as it says; an event is counted and gets its id."""
        content = _content(message)
        distinct_id = None
        if message.event is not None:
            visitor.event_count += 1
            distinct_id = message.distinct_id or new_uuid()
            self._originals[DistinctId(context.account_id, message.test, distinct_id)] = Original(
                id_, visitor.pk, visitor.visitor_id, message.event, content
            )
        self._touch(visitor, context.received_at)
        return Receipt(
            id_,
            message,
            "accepted",
            (*message.hints, *hints),
            visitor.pk,
            visitor.visitor_id,
            distinct_id,
            resolution,
            content,
            visitor.json,
        )

    def _link(self, visitor: Visitor, message: Message, *, created: bool) -> list[Hint]:
        """Write the anonymous id of *message* if it may, and return what stays unlinked (rule client-identify)."""
        if not created and not message.identifies:
            return []
        hints: list[Hint] = []
        for claim in message.identity:
            if claim.kind == "anonymous_id" and not self._visitors.adopt(visitor, claim):
                said = "is another visitor's and stays theirs; not linked, and visitors are never merged"
                hints.append(Hint("client-identify", "/anonymous_id", said))
            elif claim.kind == "external_id" and visitor.properties.get("external_id") != claim.value:
                said = "not written on the visitor that anonymous_id found; that is for /api/client/alias to do"
                hints.append(Hint("client-identify", "/external_id", said))
        return hints

    def _alias(self, id_: int, context: Context, alias: Alias) -> Receipt:
        """Give the anonymous visitor the external id, or leave everything as it is (rule client-alias)."""
        visitor, resolution, hints = self._visitors.find(context.account_id, alias.identity, falls_through=True)
        obstacle = _obstacle(alias, visitor, resolution)
        if visitor is not None and obstacle is None:
            self._update(visitor, {**visitor.properties, "external_id": alias.external.value})
            self._attach(visitor)
            self._touch(visitor, context.received_at)
        elif obstacle is not None:
            hints.append(obstacle)
        return _found(id_, alias, visitor, resolution, hints, {})

    def _registration(self, id_: int, context: Context, registration: Registration) -> Receipt:
        """Give the visitor the device, or let it wait for them (rules client-devices, client-devices-wait)."""
        visitor, resolution, hints = self._visitors.find(context.account_id, registration.identity, falls_through=True)
        if visitor is not None:
            visitor.devices = registered(visitor.devices, registration.device)
            self._touch(visitor, context.received_at)
        elif registration.identity:
            self.waiting.enter(_all_names(context.account_id, registration), registration.device)
            hints.append(Hint("client-devices-wait", "", "nobody has this id yet; the device waits for them to appear"))
        else:
            hints.append(Hint("client-devices-wait", "", "both ids are null, so the device can be nobody's; dropped"))
        return _found(id_, registration, visitor, resolution, hints, {"device": registration.device})

    def _update(self, visitor: Visitor, new: Properties) -> None:
        text = json_text(new)
        # Compared as text: to Python 1, 1.0 and true are equal.
        if text != visitor.json:
            self._visitors.update(visitor, new)
            visitor.json = text

    def _attach(self, visitor: Visitor) -> None:
        """Give *visitor* the devices that waited for one of their names."""
        if visitor.names_changed:
            for device in self.waiting.leave(visitor.names()):
                visitor.devices = registered(visitor.devices, device)

    def _touch(self, visitor: Visitor, moment: int) -> None:
        visitor.first_seen = min(visitor.first_seen or moment, moment)
        visitor.last_seen = max(visitor.last_seen, moment)
        self.touched[visitor.pk] = visitor


def _obstacle(alias: Alias, visitor: Visitor | None, resolution: Resolution) -> Hint | None:
    """Return what keeps *alias* from having an effect."""
    if resolution.decided_by == alias.external.given_as and visitor is not None:
        message = "somebody has this external_id already"
    elif visitor is None:
        message = "nobody has this anonymous_id"
    elif "external_id" in visitor.properties:
        message = "the visitor with this anonymous_id has an external_id already"
    else:
        return None
    return Hint("client-alias", "", f"{message}; nothing was changed")


def _found(
    id_: int,
    arrival: Alias | Registration,
    visitor: Visitor | None,
    resolution: Resolution,
    hints: Sequence[Hint],
    content: Properties,
) -> Receipt:
    """Return the receipt of what is no event and makes no visitor."""
    return Receipt(
        id_,
        arrival,
        "accepted",
        (*arrival.hints, *hints),
        visitor_pk=visitor.pk if visitor else None,
        visitor_id=visitor.visitor_id if visitor else None,
        resolution=resolution,
        content=json_text({**content, "identity": {claim.given_as: claim.value for claim in arrival.identity}}),
        visitor_properties=visitor.json if visitor else None,
    )


def new_uuid() -> str:
    """Return a random UUID, as generated visitor ids and distinct ids are (rules visitor-ids, dedup)."""
    return str(UUID(bytes=os.urandom(16), version=4))


def names(account_id: int, said: AnyMessage) -> list[Name]:
    """Return the names to load: the deciding one, and beside a user id the external id, to tell if it is another's.

    All of them where one that finds nobody leaves it to the next, or where an id is given only if nobody has it.
    """
    if not isinstance(said, Message) or not said.semantics.claims_stored:
        return list(_all_names(account_id, said))
    identity = said.identity
    claims = looked_up(identity, falls_through=said.semantics.falls_through)
    if claims and claims[0].kind == "user_id":
        claims = tuple(claim for claim in identity if claim.kind != "email")
    return [(account_id, claim.kind, claim.value) for claim in claims]


def _all_names(account_id: int, said: AnyMessage) -> tuple[Name, ...]:
    return tuple((account_id, claim.kind, claim.value) for claim in said.identity)


def new_names(account_id: int, said: AnyMessage) -> list[Name]:
    """Return the names that *said* may give a visitor, and so the devices it may find waiting."""
    names = list(_all_names(account_id, said))
    given = said.user_properties.get("external_id") if isinstance(said, Message) else None
    return [*names, (account_id, "external_id", given)] if isinstance(given, str) else names


def _alike(event: str | None, content: str, original: Original) -> bool:
    """Tell whether a duplicate says what *original* said; clients may spell the same JSON otherwise."""
    if event != original.event:
        return False
    return content == original.content or same(json.loads(content), json.loads(original.content or "{}"))


def _listed(allowed_events: frozenset[str] | None, message: Message) -> bool:
    if allowed_events is None or not message.semantics.allow_list or message.event is None:
        return True
    return not allowed_events.isdisjoint(allowed([message.event]))


def _content(message: Message) -> str:
    """Return what *message* says as JSON text, as it is stored."""
    content: Properties = {
        "event_properties": message.event_properties,
        "default_properties": message.default_properties,
        "identity_context": message.identity_context,
        "user_properties": message.user_properties,
        "identity": {claim.given_as: claim.value for claim in message.identity},
        "time": message.time,
    }
    if message.data is not None:
        content["data"] = message.data
    return json_text(content)
