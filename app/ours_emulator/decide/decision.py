"""What becomes of each message of a group: rules on plain values, over the visitors and ids that were loaded."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from uuid import UUID

from ours_emulator.decide import properties
from ours_emulator.decide.content import content_of, refused_content, same_content
from ours_emulator.decide.deduplication import DistinctId, Original
from ours_emulator.decide.devices import PendingDevices, registered
from ours_emulator.decide.identity import KnownVisitor, KnownVisitors, Name, looked_up
from ours_emulator.decide.impressions import assignments, personalization
from ours_emulator.decide.sizes import grow
from ours_emulator.decide.versions import data_changes
from ours_emulator.jsontext import json_text
from ours_emulator.model import (
    UNCHANGED,
    UNKNOWN,
    Alias,
    AnyMessage,
    Arrival,
    Change,
    Message,
    Properties,
    Question,
    Receipt,
    Registration,
    Rejection,
    Version,
    allowed,
)
from ours_emulator.records import Hint, Reason, Resolution
from ours_emulator.values import value


@value
class Context:
    """Where and when a message arrived: the store's id of its account, what is allowed there, and the moment in ms."""

    account_id: int
    allowed_events: frozenset[str] | None
    received_at: int
    max_visitor_bytes: int


class Decision:
    """What becomes of each message of a group, in order of arrival."""

    def __init__(self, visitors: KnownVisitors, originals: dict[DistinctId, Original], pending: PendingDevices) -> None:
        self._visitors = visitors
        self._originals = originals
        self.pending = pending
        self.touched: dict[int, KnownVisitor] = {}
        self.versions: list[Version] = []
        """The new versions of visitors, in order of their ids."""
        self.repeats: dict[int, int] = {}

    def receipts(self, id_: int, context: Context, arrival: Arrival) -> list[Receipt]:
        """Return what becomes of *arrival*, numbered from *id_* on: rejected, dropped, duplicate or accepted."""
        if isinstance(arrival, Message):
            return self._message(id_, context, arrival)
        if isinstance(arrival, Rejection):
            return [_refusal(id_, arrival)]
        if isinstance(arrival, Alias):
            return [self._alias(id_, context, arrival)]
        if isinstance(arrival, Question):
            return [self._question(id_, context, arrival)]
        return [self._registration(id_, context, arrival)]

    def _message(self, id_: int, context: Context, message: Message) -> list[Receipt]:
        if not _listed(context.allowed_events, message):
            hint = Hint("allow-list", "/event", "not on the account's list of allowed events; dropped")
            hints = (*message.hints, hint)
            distinct_id = message.distinct_id
            return [Receipt(id_, message, "dropped", hints, distinct_id=distinct_id, content=content_of(message))]
        original = None
        if message.distinct_id is not None:
            original = self._originals.get(DistinctId(context.account_id, message.test, message.distinct_id))
        if original is not None:
            return [self._duplicate(id_, message, original)]
        return self._accepted(id_, context, message)

    def _duplicate(self, id_: int, message: Message, original: Original) -> Receipt:
        self.repeats[original.receipt_id] = self.repeats.get(original.receipt_id, 0) + 1
        content = content_of(message)
        hints = message.hints
        kept = original.content
        if kept is not None and not (message.event == original.event and same_content(content, kept)):
            text = f"event {original.receipt_id} has the same distinctId and different content; only that event is kept"
            hints = (*hints, Hint("dedup", "/distinctId", text))
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
            context.account_id,
            message.identity,
            new_uuid,
            falls_through=semantics.falls_through,
            newer=semantics.newer,
        )
        written = message.identity if semantics.claims_stored or resolution.created else ()
        given = properties.given(written, message.user_properties, empty_ignored=semantics.empty_ignored)
        if semantics.empty_ignored and message.user_properties:
            hints += properties.ignored(message.user_properties)
        if message.assigned is not None:
            given |= assignments(visitor.properties, message.assigned)
        if given:
            hints += properties.hints(visitor.properties, message.identity, given)
        if not self._change(visitor, context, given, message.data):
            if resolution.created:
                self._visitors.discard(visitor)
            return [_too_large(id_, context, message)]
        if not semantics.claims_stored:
            hints += self._link(visitor, message, created=resolution.created)
        hints += self._attach(visitor, context)
        if message.creation is None or not resolution.created:
            return [self._stored(id_, context, message, visitor, resolution, hints)]
        return [
            self._stored(id_, context, _creation(message), visitor, resolution, []),
            self._stored(id_ + 1, context, message, visitor, resolution, hints),
        ]

    def _stored(
        self,
        id_: int,
        context: Context,
        message: Message,
        visitor: KnownVisitor,
        resolution: Resolution,
        hints: list[Hint],
    ) -> Receipt:
        """Return the receipt of *message*, which has changed *visitor* already; an event is counted and gets an id."""
        content = content_of(message)
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
            self._version(visitor, id_),
        )

    def _link(self, visitor: KnownVisitor, message: Message, *, created: bool) -> list[Hint]:
        """Write the anonymous id of *message* if it may, and return what stays unlinked (rule client-identify)."""
        if not created and not message.identifies:
            return []
        hints: list[Hint] = []
        for claim in message.identity:
            if claim.kind == "anonymous_id" and not self._visitors.adopt(visitor, claim):
                text = "belongs to another visitor; not linked, because visitors are never merged"
                hints.append(Hint("client-identify", "/anonymous_id", text))
            elif claim.kind == "external_id" and visitor.properties.get("external_id", claim.value) != claim.value:
                # If the visitor has none, its alias may be on the way: SDKs send both at once.
                text = "not stored: the visitor with this anonymous_id has another external_id, which is never replaced"
                hints.append(Hint("client-identify", "/external_id", text))
        return hints

    def _alias(self, id_: int, context: Context, alias: Alias) -> Receipt:
        """Give the anonymous visitor the external id, or leave everything as it is (rule client-alias)."""
        visitor, resolution, hints = self._visitors.find(context.account_id, alias.identity, falls_through=True)
        if visitor is not None and "external_id" not in visitor.properties:
            if not self._change(visitor, context, {"external_id": alias.external.value}):
                return _too_large(id_, context, alias)
            hints += self._attach(visitor, context)
            self._touch(visitor, context.received_at)
        elif visitor is not None:
            hints += _obstacle(alias, visitor, self._visitors.holder(context.account_id, alias.anonymous))
        return self._about(id_, alias, visitor, resolution, hints)

    def _registration(self, id_: int, context: Context, registration: Registration) -> Receipt:
        """Give the visitor the device, or keep it until they appear (rules client-devices, client-devices-wait)."""
        visitor, resolution, hints = self._visitors.find(context.account_id, registration.identity, falls_through=True)
        if visitor is not None:
            if not _register(visitor, context, registration.device):
                return _too_large(id_, context, registration)
            self._touch(visitor, context.received_at)
        elif registration.identity:
            self.pending.add(_all_names(context.account_id, registration), registration.device)
            text = "no visitor has this id yet; the device is kept until one appears"
            hints.append(Hint("client-devices-wait", "", text))
        else:
            text = "both ids are null, so the device belongs to no visitor; dropped"
            hints.append(Hint("client-devices-wait", "", text))
        return self._about(id_, registration, visitor, resolution, hints)

    def _question(self, id_: int, context: Context, question: Question) -> Receipt:
        """Answer about the visitor as they are, whom it leaves as they are (rule experiment-personalization)."""
        visitor, resolution, hints = self._visitors.find(context.account_id, question.identity, falls_through=False)
        if question.traits is not None:
            traits = personalization(visitor.properties, question.traits) if visitor else {}
            question = replace(question, answer_fields={"properties": traits})
        return self._about(id_, question, visitor, resolution, hints)

    def _about(
        self,
        id_: int,
        arrival: Alias | Registration | Question,
        visitor: KnownVisitor | None,
        resolution: Resolution,
        hints: Sequence[Hint],
    ) -> Receipt:
        """Return the receipt of an alias, a device or a question, which is not an event and creates no visitor."""
        return Receipt(
            id_,
            arrival,
            "accepted",
            (*arrival.hints, *hints),
            visitor_pk=visitor.pk if visitor else None,
            visitor_id=visitor.visitor_id if visitor else None,
            resolution=resolution,
            content=content_of(arrival),
            version=self._version(visitor, id_) if visitor else None,
        )

    def _change(
        self, visitor: KnownVisitor, context: Context, given: Properties, data: Properties | None = None
    ) -> bool:
        """Let *visitor* have the properties *given*, and *data* beside them, as far as that changes anything.

        False, and nothing changes, if the visitor would become too large (rule visitor-size).
        """
        changed = properties.changes(visitor.properties, given) if given else given
        more = data_changes(visitor.state.data, data) if data else {}
        if changed or more:
            change = Change(changed, more)
            if not grow(visitor, change, context.max_visitor_bytes):
                return False
            self._visitors.change(visitor, change)
        return True

    def _attach(self, visitor: KnownVisitor, context: Context) -> list[Hint]:
        """Give *visitor* the devices that were pending for one of their names; hint at those that do not fit."""
        if not visitor.names_changed or not self.pending:
            return []
        fitting = [_register(visitor, context, device) for device in self.pending.take(visitor.names())]
        text = "a device that was kept for this visitor is dropped: the visitor would become too large"
        return [Hint("visitor-size", "", text) for fits in fitting if not fits]

    def _version(self, visitor: KnownVisitor, receipt_id: int) -> Version:
        """Return the version of *visitor* that the receipt leaves: a new one if anything has changed."""
        if visitor.version is not None and visitor.unversioned is None:
            return visitor.version
        before, change = visitor.version or UNKNOWN, visitor.unversioned or UNCHANGED
        version = Version(receipt_id, visitor.pk, before, change)
        self.versions.append(version)
        visitor.version, visitor.unversioned = version, None
        return version

    def _touch(self, visitor: KnownVisitor, moment: int) -> None:
        visitor.first_seen = min(visitor.first_seen or moment, moment)
        visitor.last_seen = max(visitor.last_seen, moment)
        self.touched[visitor.pk] = visitor


def _creation(message: Message) -> Message:
    """Return the event that precedes *message*, which creates its visitor. What that contains is in its own receipt."""
    nothing: Properties = {}
    return replace(
        message, event=message.creation, event_properties=nothing, user_properties=nothing, data=None, hints=()
    )


def _obstacle(alias: Alias, visitor: KnownVisitor, anonymous: KnownVisitor | None) -> Iterator[Hint]:
    """Yield a hint if *alias*, which changes nothing, can no longer make its ids name one visitor.

    *visitor* has an external id; *anonymous* has the anonymous id. If nobody has that, or *visitor* has, the identify
    that SDKs send at the same time has done the alias's work or will do it.
    """
    if visitor.properties.get("external_id") != alias.external.value:
        message = "the visitor with this anonymous_id has another external_id"
    elif anonymous not in (None, visitor):
        message = "another visitor has this external_id"
    else:
        return
    yield Hint("client-alias", "", f"{message}; nothing was changed")


def _register(visitor: KnownVisitor, context: Context, device: Properties) -> bool:
    """Give *visitor* the *device*; False, and nothing changes, if they would become too large (rule visitor-size)."""
    devices = registered(visitor.state.devices, device)
    if json_text(devices) != json_text(visitor.state.devices):
        change = Change(devices=devices)
        if not grow(visitor, change, context.max_visitor_bytes):
            return False
        visitor.change(change)
    return True


def _too_large(id_: int, context: Context, message: AnyMessage) -> Receipt:
    """Return the refusal of *message*, which would make its visitor too large (rule visitor-size).

    A row of a batch is refused alone; an item of the Client API refuses its whole request (rule client-whole).
    """
    limit = context.max_visitor_bytes
    reason = Reason("visitor-size", "", f"the visitor would become larger than {limit} bytes", 400, limit)
    index = message.batch_index if message.endpoint == "batch" else None
    distinct_id = message.distinct_id if isinstance(message, Message) else None
    rejection = Rejection(message.endpoint, index, reason, message.event, distinct_id, message.hints, message.identity)
    return _refusal(id_, rejection)


def _refusal(id_: int, rejection: Rejection) -> Receipt:
    content = refused_content(rejection) if rejection.identity else "{}"
    return Receipt(id_, rejection, "rejected", rejection.hints, distinct_id=rejection.distinct_id, content=content)


def new_uuid() -> str:
    """Return a random UUID, as generated visitor ids and distinct ids are (rules visitor-ids, dedup)."""
    return str(UUID(bytes=os.urandom(16), version=4))


def names(account_id: int, message: AnyMessage) -> list[Name]:
    """Return the names to load: the deciding one, and what hints need, such as the external id beside a user id.

    All names if one that matches no visitor leaves the decision to the next, or if an id is written only where no
    visitor has it.
    """
    if not isinstance(message, Message) or not message.semantics.claims_stored:
        return list(_all_names(account_id, message))
    identity = message.identity
    claims = looked_up(identity, falls_through=message.semantics.falls_through)
    if claims and claims[0].kind == "user_id":
        claims = tuple(claim for claim in identity if claim.kind in ("user_id", "external_id"))
    elif message.semantics.newer is not None:
        claims = identity
    return [(account_id, claim.kind, claim.value) for claim in claims]


def _all_names(account_id: int, message: AnyMessage) -> tuple[Name, ...]:
    return tuple((account_id, claim.kind, claim.value) for claim in message.identity)


def new_names(account_id: int, message: AnyMessage) -> list[Name]:
    """Return the names that *message* may give a visitor, for which devices may be pending."""
    names = list(_all_names(account_id, message))
    given = message.user_properties.get("external_id") if isinstance(message, Message) else None
    return [*names, (account_id, "external_id", given)] if isinstance(given, str) else names


def _listed(allowed_events: frozenset[str] | None, message: Message) -> bool:
    if allowed_events is None or not message.semantics.allow_list or message.event is None:
        return True
    return not allowed_events.isdisjoint(allowed([message.event]))
