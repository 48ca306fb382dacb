"""The Client API: alias, identify, devices and events from a request to arrivals, and from receipts to the answer."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import Literal, TypeAlias, cast

from pydantic import JsonValue

from ours_emulator.contract import body
from ours_emulator.contract.account import AccountConfig
from ours_emulator.contract.compile import pointer
from ours_emulator.contract.hints import dropped
from ours_emulator.contract.paths import unknown_path
from ours_emulator.jsontext import json_text
from ours_emulator.model import (
    Alias,
    Answer,
    AnyMessage,
    ApiSemantics,
    Arrival,
    Claim,
    Contents,
    Identifier,
    Identity,
    Message,
    Properties,
    Receipt,
    Registration,
    Rejection,
    Request,
)
from ours_emulator.records import Hint, Reason
from ours_emulator.values import value
from ours_emulator.wording import cut, suggested

PREFIX = "client/"
ENDPOINTS = tuple(PREFIX + name for name in ("alias", "identify", "devices", "events"))
CREATED_EVENT = "user_created"
MAX_BODY_BYTES = 1024 * 1024

_NAMES = tuple(endpoint.removeprefix(PREFIX) for endpoint in ENDPOINTS)
_ALLOWED = "POST, OPTIONS"
_STATUSES = body.Statuses(media_type=400, coding=400, size=400)
# White space at the end of a header's value is no part of it (RFC 9110, 5.5), but some servers pass it on.
_BEARER = re.compile(r"Bearer ([ps]k_\S+)[ \t]*")
_JSON_TYPE = re.compile(r"application/json|[^/;,\s]+/[^/;,\s]+\+json", re.I)
_UNREADABLE = "An error occurred with this request."
_USUAL_ERRORS = {400: _UNREADABLE, 401: "Authorization error."}
"""The errors of the public server that are the same whatever is wrong (rules client-unreadable, client-key)."""
# As the public server has it, only with this error (rule client-key).
_UNAUTHORIZED_CODE = 1000
_SEMANTICS = ApiSemantics(falls_through=True, claims_stored=False, empty_ignored=False, allow_list=False)
_IDS: tuple[Identifier, ...] = ("external_id", "anonymous_id")
PROFILE = {"email": "email", "phone": "phone_number", "timezone": "timezone", "locale": "locale"}
"""The fields of a visitor in a body, and their names in the visitor's properties."""
_DATA_ELSEWHERE = ("properties", "eventProperties", "traits")
_ADVICE = dict.fromkeys(_DATA_ELSEWHERE, suggested("data")) | {"event": suggested("name")}

Type: TypeAlias = Literal["string", "object"]
_KINDS: Mapping[Type, type] = {"string": str, "object": dict}


@value
class Field:
    """One field of a body: its type, whether it may be null, and which fields in it are checked too."""

    type: Type
    nullable: bool = False
    fields: Mapping[str, "Field"] | None = None


@value
class Shape:
    """One object of the API. Fields and required names are checked in their order (rule client-validation)."""

    fields: Mapping[str, Field]
    required: tuple[str, ...] = ()
    needs_id: bool = True
    """It must have one of the two ids."""
    closed: bool = False
    """Other names are refused."""


@value
class Problem:
    """Where a body breaks its shape, as a JSON pointer, and the message that the API has for that."""

    path: str
    message: str


_EITHER_ID = {"anonymous_id": Field("string", nullable=True), "external_id": Field("string", nullable=True)}
_USER = {name: Field("string", nullable=True) for name in PROFILE} | {"data": Field("object", nullable=True)}
_ALIAS = Shape(
    {"anonymous_id": Field("string"), "external_id": Field("string")},
    required=("external_id", "anonymous_id"),
    needs_id=False,
)
_IDENTIFY = Shape(_EITHER_ID | _USER, closed=True)
_DEVICE = Shape(
    {
        **_EITHER_ID,
        "device_id": Field("string"),
        "token": Field("string", nullable=True),
        **{name: Field("string") for name in ("os", "os_version", "model", "app_build", "app_version")},
    },
    required=("device_id", "os", "model", "app_build", "app_version"),
)
_EVENT = Shape(
    {
        "name": Field("string"),
        **_EITHER_ID,
        "data": Field("object", nullable=True),
        "user": Field("object", nullable=True, fields=_USER),
    }
)

SHAPES: Mapping[str, Shape] = {
    PREFIX + "alias": _ALIAS,
    PREFIX + "identify": _IDENTIFY,
    PREFIX + "devices": _DEVICE,
    PREFIX + "events": _EVENT,
}
"""The object that each endpoint takes; that of events is an item of an array."""


class ClientContract:
    """The rules of /api/client. *limit* is the largest body in bytes (rule client-unreadable)."""

    def __init__(self, limit: int = MAX_BODY_BYTES) -> None:
        self._limit = limit

    def read(self, request: Request, account: AccountConfig) -> Contents:
        """Return what is in *request*; checked in this order: path and method, body, key, first message."""
        key = _BEARER.fullmatch(request.authorization)
        return Contents(self._arrivals(request, account, key and key[1]), key and key[1])

    def _arrivals(self, request: Request, account: AccountConfig, key: str | None) -> list[Arrival]:
        reason = _misdirected(request)
        if reason is not None:
            return [Rejection(request.endpoint, None, reason)]
        sent = body.read(request, _STATUSES, self._limit)
        if not isinstance(sent, dict | list):
            return [Rejection(request.endpoint, None, _unreadable(sent))]
        reason = _unauthorized(request, account, key)
        if reason is not None:
            return [_refuse(request, sent, reason)]
        arrivals = _events(request, sent) if request.endpoint == PREFIX + "events" else [_single(request, sent)]
        if account.tracking_plan is not None:
            checks = account.tracking_plan.checks(request, self._limit)
            arrivals = [checks.with_hints(one) if isinstance(one, Message) else one for one in arrivals]
        first, *others = arrivals
        return [replace(first, hints=(*_content_type_hints(request), *first.hints)), *others]

    def answer(self, receipts: Sequence[Receipt]) -> Answer:
        """Return the HTTP answer when the arrivals of a request became *receipts* (rule client-success)."""
        first = receipts[0].arrival
        if not isinstance(first, Rejection):
            return Answer(204, b"", {}, None)
        return _error(first.status, first.reason.message)

    def failure(self, _: Request, status: int | None, reason: str, error: str | None = None) -> Answer:
        """Return the HTTP answer when a request got no further, and the *reason*; without *status*, of a failed store.

        *error* is the text to answer instead of the usual one (rule client-trouble).
        """
        return _error(status or 400, reason, error)


def _misdirected(request: Request) -> Reason | None:
    if request.endpoint not in ENDPOINTS:
        return Reason("methods", "", unknown_path(request.path, _NAMES), 404)
    if request.method != "POST":
        return Reason("methods", "", f"this path takes {_ALLOWED}, not {request.method}", 405)
    return None


def _unreadable(sent: JsonValue | Reason) -> Reason:
    """Return why a body is unreadable: what was wrong when it was read, or that *sent* is not a container."""
    if isinstance(sent, Reason):
        return replace(sent, rule="client-unreadable")
    return Reason("client-unreadable", "", "the body is neither an object nor an array", 400)


def _content_type_hints(request: Request) -> Iterator[Hint]:
    """Yield a hint if other servers of this API would not read the body as JSON (rule client-content-type)."""
    if _JSON_TYPE.fullmatch(request.content_type.partition(";")[0].strip()) is None:
        text = "the content type is not application/json; other servers of this API do not read such a body as JSON"
        yield Hint("client-content-type", "", text)


def _unauthorized(request: Request, account: AccountConfig, key: str | None) -> Reason | None:
    """Return why *request* may not write to *account*; the reason never contains the key."""
    if key is None:
        problem = "is not" if request.authorization else "is missing; it must be"
        message = f"the Authorization header {problem} `Bearer` and a key that begins with pk_ or sk_"
        return Reason("client-key", "", message, 401)
    if account.keys and key not in account.keys:
        count = len(account.keys)
        configured = f"one of the {count} configured keys" if count > 1 else "the configured key"
        message = f"the key is not {configured} of account {account.name}"
        return Reason("client-open-keys", "", message, 401)
    return None


def _single(request: Request, value: JsonValue) -> Arrival:
    shape, message_of = _SINGLES[request.endpoint]
    problem = _root_problem(shape, value)
    if problem is not None:
        return _refuse(request, value, _reason(problem))
    return message_of(request, cast(Properties, value))


def _events(request: Request, value: JsonValue) -> list[Arrival]:
    """Return the events in *value*, or one rejection with the first problem (rule client-whole)."""
    problem = _events_problem(value)
    if problem is not None:
        return [_refuse(request, value, _reason(problem))]
    return [_event(request, index, cast(Properties, item)) for index, item in enumerate(cast(list[JsonValue], value))]


def _alias(request: Request, value: Properties) -> Alias:
    external, anonymous = _identity(value)
    return Alias(request.endpoint, external, anonymous, tuple(_unknown(value, _ALIAS.fields)))


def _identify(request: Request, value: Properties) -> Message:
    return _message(request, None, None, value, value, {}, ())


def _device(request: Request, value: Properties) -> Registration:
    device = {name: field for name, field in value.items() if name not in _IDS}
    return Registration(request.endpoint, _identity(value), device, ())


def _event(request: Request, index: int, item: Properties) -> Message:
    user = cast(Properties | None, item.get("user"))
    event = cast(str, item.get("name", ""))
    hints = [*_unknown(item, _EVENT.fields), *(_unknown(user, _USER, "/user") if user else ())]
    if not event:
        hints.append(
            Hint("client-event-name", "/name", "the event has no name; other servers of this API refuse such an event")
        )
    return _message(request, index, event, item, user, cast(Properties, item.get("data") or {}), tuple(hints))


def _without_ids(sent: Properties) -> Iterator[Hint]:
    """Yield a hint if *sent* names no visitor, so that each such message makes another one (rule client-look-up)."""
    if all(sent.get(name) is None for name in _IDS):
        yield Hint(
            "client-look-up", "", "both ids are null, so this creates a visitor that no later request can refer to"
        )


def _message(
    request: Request,
    index: int | None,
    event: str | None,
    sent: Properties,
    user: Properties | None,
    event_properties: Properties,
    hints: tuple[Hint, ...],
) -> Message:
    """Return the message about the visitor that *sent* names; *user* has the fields of an identify, if it is one."""
    return Message(
        endpoint=request.endpoint,
        batch_index=index,
        event=event,
        identity=_identity(sent),
        distinct_id=None,
        time=None,
        test=False,
        event_properties=event_properties,
        default_properties={},
        identity_context=None,
        user_properties={stored: user[name] for name, stored in PROFILE.items() if name in user} if user else {},
        hints=(*hints, *_without_ids(sent)),
        semantics=_SEMANTICS,
        data=cast(Properties | None, user.get("data")) if user else None,
        identifies=user is not None,
        creation=None if event is None else CREATED_EVENT,
    )


_SINGLES: Mapping[str, tuple[Shape, Callable[[Request, Properties], AnyMessage]]] = {
    PREFIX + "alias": (_ALIAS, _alias),
    PREFIX + "identify": (_IDENTIFY, _identify),
    PREFIX + "devices": (_DEVICE, _device),
}


def _identity(sent: Properties) -> Identity:
    """Return the ids in *sent*; null is not an id (rule client-look-up)."""
    return tuple(Claim(kind, cast(str, sent[kind]), kind) for kind in _IDS if sent.get(kind) is not None)


def _root_problem(shape: Shape, value: JsonValue) -> Problem | None:
    if not isinstance(value, dict):
        return Problem("", _wrong_type("", "object"))
    return _object_problem(shape, value) or (_timezone_problem(value) if "timezone" in shape.fields else None)


def _events_problem(value: JsonValue) -> Problem | None:
    if not isinstance(value, list):
        return Problem("", _wrong_type("", "array"))
    if not value:
        return Problem("", "Must NOT have fewer than 1 items")
    problems = (_item_problem(item, index) for index, item in enumerate(value))
    return next((problem for problem in problems if problem is not None), None)


def _item_problem(item: JsonValue, index: int) -> Problem | None:
    if not isinstance(item, dict):
        return Problem(pointer(index), _wrong_type(str(index), "object"))
    problem = _object_problem(_EVENT, item, str(index))
    user = item.get("user")
    return problem or (_timezone_problem(user, pointer(index, "user")) if isinstance(user, dict) else None)


def _object_problem(shape: Shape, value: Properties, at: str = "") -> Problem | None:
    """Return the first problem of *value*, which is at the place *at* in the body (rule client-validation)."""
    path = f"/{at}" if at else ""
    if shape.needs_id and value.keys().isdisjoint(_IDS):
        return Problem(path, _missing("anonymous_id"))
    for name in shape.required:
        if name not in value:
            return Problem(path + pointer(name), _missing(name))
    if shape.closed and not value.keys() <= shape.fields.keys():
        extra = next(name for name in value if name not in shape.fields)
        return Problem(path + pointer(cut(extra)), "Must NOT have additional properties")
    return _type_problem(shape.fields, value, at)


def _type_problem(fields: Mapping[str, Field], value: Properties, at: str) -> Problem | None:
    for name, field in fields.items():
        given = value.get(name)
        if name not in value or (given is None and field.nullable):
            continue
        place = f"{at}/{name}" if at else name
        if not isinstance(given, _KINDS[field.type]):
            return Problem(f"/{place}", _wrong_type(place, field.type))
        if field.fields is not None and isinstance(given, dict):
            problem = _type_problem(field.fields, given, place)
            if problem is not None:
                return problem
    return None


def _timezone_problem(user: Properties, path: str = "") -> Problem | None:
    """Return what is wrong with the time zone of *user* (rule client-timezone)."""
    timezone = user.get("timezone")
    if timezone is None or str(timezone).lower() in _timezones():
        return None
    return Problem(f"{path}/timezone", "The timezone value must be in the IANA format.")


@cache
def _timezones() -> frozenset[str]:
    """Return the names of the IANA time zones in lower case, from the package `tzdata`: the same on every machine."""
    return frozenset((files("tzdata") / "zones").read_text("ascii").lower().split())


def _wrong_type(place: str, expected: str) -> str:
    return f"The value of `{place}` must be a {expected}."


def _missing(name: str) -> str:
    return f"Must have required property '{name}'"


def _unknown(sent: Properties, known: Mapping[str, Field], path: str = "") -> list[Hint]:
    """Return a hint for each unknown name in *sent*, which is accepted and dropped (rule client-extra-keys)."""

    def advice(name: str) -> str:
        if path and name in _IDS:
            return "; the visitor is identified by the ids beside `user`"
        return _ADVICE.get(name, "") if "data" in known else ""

    names = [name for name in sent if name not in known]
    return dropped("client-extra-keys", path, names, advice)


def _reason(problem: Problem) -> Reason:
    return Reason("client-validation", problem.path, problem.message, 422)


def _refuse(request: Request, sent: JsonValue, reason: Reason) -> Rejection:
    """Return the rejection of *sent*, with the name of the event if there is just one."""
    items = sent if request.endpoint == PREFIX + "events" and isinstance(sent, list) else []
    only = items[0] if len(items) == 1 else None
    name = only.get("name") if isinstance(only, dict) else None
    hints = tuple(_misnamed_data(sent)) if request.endpoint == PREFIX + "identify" and isinstance(sent, dict) else ()
    return Rejection(request.endpoint, None, reason, event=name if isinstance(name, str) else None, hints=hints)


def _misnamed_data(sent: Properties) -> Iterator[Hint]:
    """Yield a hint for each name in *sent* that other APIs use for what is `data` here."""
    for name in _DATA_ELSEWHERE:
        if name in sent:
            yield Hint("client-extra-keys", pointer(name), f"unknown field{_ADVICE[name]}")


def _error(status: int | None, reason: str, error: str | None = None) -> Answer:
    """Return an answer with *error*; by default with the usual one of *status*, else with *reason*."""
    usual = _USUAL_ERRORS.get(status or 0, reason)
    code: Properties = {"code": _UNAUTHORIZED_CODE} if status == 401 else {}
    text = json_text({"status": "error", "error": error or usual, **code})
    return Answer(status, text.encode("ascii"), {"allow": _ALLOWED} if status == 405 else {})
