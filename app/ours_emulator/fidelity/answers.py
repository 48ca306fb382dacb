"""What two servers answered to the same request, and how that differs. Nothing here sends anything.

The status and the body are compared. Some values differ between servers, so only their type is compared: a UUID, an
ISO 8601 time, a time in milliseconds, and in answers of the Ingest API the texts `error` and `message`, whose wording
nobody documents.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

from pydantic import JsonValue

from ours_emulator.contract.rules import load_rules
from ours_emulator.jsontext import json_text, same, strict_json

MAX_DIFFERENCES = 20
"""How many differences of one answer are kept; a batch of 1000 rows may have thousands."""
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_ISO_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?")
_MILLISECONDS = range(1_500_000_000_000, 2_500_000_000_000)
"""From 2017 to 2049. A count or a limit is never that large."""
_WORDING = frozenset(("error", "message"))
_REASON, _OUTCOME, _HINTS = "x-emulator-reason", "x-emulator-outcome", "x-emulator-hints"
_OPEN_RULES = ("401", "client-open-keys")
_ABSENT = "(absent)"


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """An answer. The names of the headers are in lower case."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def refused_by(self) -> tuple[str, ...]:
        """The rules by which an emulator refused the request; none if it was accepted, or no emulator answered."""
        return _rules_in(self.headers.get(_REASON, ""))

    @property
    def hinted_by(self) -> tuple[str, ...]:
        """The rules of the hints that an emulator gave."""
        return _rules_in(self.headers.get(_HINTS, ""))

    @property
    def is_accepted(self) -> bool:
        """Whether all of the request was accepted."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Why there is no answer that can be compared."""

    problem: str


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two answers differ (`status`, `body`, `body.results.0.code`, `header allow`), and what each has there."""

    where: str
    emulator: str
    server: str


def differences(
    emulator: ServerAnswer, server: ServerAnswer, *, wording: bool, headers: Sequence[str] = ()
) -> tuple[Difference, ...]:
    """Return how two answers differ, at most MAX_DIFFERENCES.

    *wording*: the texts for people are compared as well, as on the Client API. Of *headers* only their presence is.
    """
    different: list[Difference] = []
    if emulator.status != server.status:
        different.append(Difference("status", str(emulator.status), str(server.status)))
    different += _header_differences(emulator, server, headers)
    different += _body_differences(emulator, server, wording)
    return tuple(different[:MAX_DIFFERENCES])


def accepts_every_token(emulator: ServerAnswer, server: ServerAnswer) -> bool:
    """Whether *server* answers as an emulator without configured tokens or keys, where *emulator* refuses one."""
    accepted = server.headers.get(_OUTCOME) == "accepted"
    return accepted and bool(emulator.refused_by) and set(emulator.refused_by) <= set(_OPEN_RULES)


def _rules_in(header: str) -> tuple[str, ...]:
    """Return the rules in a header such as `schema /event; unknown-keys /x; and 3 more`; any server can send one."""
    names = (part.strip().partition(" ")[0] for part in header.split(";"))
    return tuple(name for name in dict.fromkeys(names) if name in _known_rules())


@cache
def _known_rules() -> frozenset[str]:
    return frozenset(rule.id for rule in load_rules())


def _header_differences(emulator: ServerAnswer, server: ServerAnswer, names: Sequence[str]) -> Iterator[Difference]:
    for name in names:
        if (name in emulator.headers) != (name in server.headers):
            shown = (answer.headers.get(name, _ABSENT) for answer in (emulator, server))
            yield Difference(f"header {name}", *shown)


def _body_differences(emulator: ServerAnswer, server: ServerAnswer, wording: bool) -> list[Difference]:
    if emulator.body == server.body:
        return []
    values = [_json(answer.body) for answer in (emulator, server)]
    if None in values:
        return [Difference("body", _described(emulator), _described(server))]
    (one,), (other,) = (value for value in values if value is not None)
    if isinstance(one, dict) and "openapi" in one:
        return [] if same(one, other) else [Difference("body", "its OpenAPI document", _described(server))]
    return list(_walk("body", one, other, wording))


def _json(body: bytes) -> tuple[JsonValue] | None:
    try:
        return (strict_json(body),)
    except (ValueError, RecursionError):
        return None


def _described(answer: ServerAnswer) -> str:
    if not answer.body:
        return "(empty)"
    kind = answer.headers.get("content-type", "no content type").partition(";")[0]
    text = answer.body.decode("utf-8", "replace")
    return text if kind == "application/json" else f"{kind}: {text}"


def _walk(where: str, emulator: JsonValue, server: JsonValue, wording: bool) -> Iterator[Difference]:
    inside = partial(_walk, wording=wording)
    if isinstance(emulator, dict) and isinstance(server, dict):
        for name in dict.fromkeys((*emulator, *server)):
            place = f"{where}.{name}"
            if name not in emulator or name not in server:
                yield Difference(place, _shown(emulator, name), _shown(server, name))
            elif wording or name not in _WORDING or not _are_texts(emulator[name], server[name]):
                yield from inside(place, emulator[name], server[name])
    elif isinstance(emulator, list) and isinstance(server, list) and len(emulator) == len(server):
        for at, (one, other) in enumerate(zip(emulator, server, strict=True)):
            yield from inside(f"{where}.{at}", one, other)
    elif not same(emulator, server) and (_type(emulator) is None or _type(emulator) != _type(server)):
        yield Difference(where, json_text(emulator), json_text(server))


def _are_texts(one: JsonValue, other: JsonValue) -> bool:
    return isinstance(one, str) and isinstance(other, str)


def _shown(fields: Mapping[str, JsonValue], name: str) -> str:
    return json_text(fields[name]) if name in fields else _ABSENT


def _type(value: JsonValue) -> str | None:
    """Return the type of *value*, if two values of that type need not be equal."""
    if isinstance(value, str):
        return "uuid" if _UUID.fullmatch(value) else "time" if _ISO_TIME.fullmatch(value) else None
    is_moment = isinstance(value, int | float) and _MILLISECONDS.start <= value < _MILLISECONDS.stop
    return "milliseconds" if is_moment else None
