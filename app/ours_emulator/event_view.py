"""An event as it is shown and matched, made straight from the receipt or read from the store."""

from functools import cached_property
from typing import cast

from ours_emulator.contract.revision import identifier_kinds
from ours_emulator.decide.versions import state_of
from ours_emulator.jsontext import PLAIN, Shape, json_text
from ours_emulator.model import Exchange, Identifier, Message, Properties, Receipt, Rejection, received_properties
from ours_emulator.records import Event, Reason, Resolution, to_json, utc, whole

IDENTIFIERS: tuple[Identifier, ...] = ("user_id", "external_id", "email", "anonymous_id")
"""The fields that a match may use to name an event's visitor, beside those of the event."""
_OF_IDENTIFIERS = frozenset(("visitor_id", "visitor_properties", "identity"))
"""The fields of an event that tell its identifiers."""
MATCH_SHAPE: Shape = {
    **dict.fromkeys((*Event.__annotations__, *IDENTIFIERS), PLAIN),
    **dict.fromkeys(
        ("event_properties", "default_properties", "identity_context", "identity", "visitor_properties", "hints"), None
    ),
    "resolution": {**dict.fromkeys(Resolution.__annotations__, PLAIN), "steps": None},
    "reason": dict.fromkeys(Reason.__annotations__, PLAIN),
}
"""What a match may ask of an event."""


class EventView:
    """An event with its JSON and the fields it is matched by. Each is made once and shared, so never change it.

    Of a refused event, *sent* has those fields that are not kept, but that its request still tells.
    """

    def __init__(self, event: Event, sent: Properties | None = None) -> None:
        self.event = event
        self.sent: Properties = sent or {}

    @cached_property
    def json(self) -> Properties:
        """The event as the debug API answers it."""
        return to_json(self.event)

    @cached_property
    def text(self) -> str:
        """The same as JSON text."""
        return json_text(self.json)

    @cached_property
    def fields(self) -> Properties:
        """The same with the identifiers of the visitor beside: those the message gave, else those the visitor has."""
        fields = with_identifiers(self.json)
        return {**fields, **self.sent} if self.sent else fields


def excerpt_fields(fields: frozenset[str]) -> frozenset[str]:
    """Return which fields of an event are needed to know those *fields* that it may be matched by."""
    plain = fields.difference(IDENTIFIERS)
    return plain if plain == fields else plain | _OF_IDENTIFIERS


def with_identifiers(event: Properties) -> Properties:
    """Return the JSON of an event, or an excerpt that has what tells the identifiers, with these beside."""
    snapshot = cast(Properties, event["visitor_properties"] or {})
    known: Properties = {
        "email": snapshot.get("email"),
        "external_id": snapshot.get("external_id"),
        "user_id": event["visitor_id"],
        "anonymous_id": None,
    }
    kinds = identifier_kinds()
    identity = cast(Properties, event["identity"])
    given: Properties = {kinds[name]: value for name, value in identity.items() if name in kinds}
    return {**event, **known, **given}


def event_of(exchange: Exchange, receipt: Receipt) -> Event:
    """Return the event that *receipt*, one of *exchange*, is the receipt of: as the store would return it."""
    arrival = receipt.arrival
    message = arrival if isinstance(arrival, Message) else None
    moment = exchange.request.received_at
    received_at = utc(moment)
    sent = message.default_properties if message else {}
    return Event(
        id=receipt.id,
        account=exchange.request.account,
        endpoint=arrival.endpoint,
        outcome=receipt.outcome,
        event=arrival.event,
        visitor_id=receipt.visitor_id,
        distinct_id=receipt.distinct_id,
        time=moment if message is None or message.time is None else whole(message.time),
        received_at=received_at,
        test=message is not None and message.test,
        repeats=0,
        event_properties=message.event_properties if message else {},
        default_properties=received_properties(receipt.outcome, received_at, sent),
        identity_context=message.identity_context if message else None,
        identity={} if isinstance(arrival, Rejection) else {claim.given_as: claim.value for claim in arrival.identity},
        visitor_properties=None if receipt.version is None else state_of(receipt.version).properties,
        resolution=receipt.resolution and receipt.resolution.explained(),
        hints=receipt.hints,
        reason=arrival.reason if isinstance(arrival, Rejection) else None,
        request_id=exchange.id,
        batch_index=arrival.batch_index,
    )
