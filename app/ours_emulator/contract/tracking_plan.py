"""Tracking plans: what events and visitors should have, and what a message has otherwise (rule tracking-plan).

Not imported at start unless a plan is configured. The engine, and the parser of YAML, are those of the extra `plan`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from ours_emulator.contract.client import PREFIX, PROFILE
from ours_emulator.contract.compile import pointer
from ours_emulator.contract.hints import close_name
from ours_emulator.contract.plan_schemas import PlanError, check_schemas, json_problem
from ours_emulator.contract.plan_wording import differences
from ours_emulator.contract.setting_files import read_setting_file
from ours_emulator.jsontext import strict_json
from ours_emulator.model import Message, Properties
from ours_emulator.records import Hint
from ours_emulator.values import value
from ours_emulator.wording import MAX_LISTED, cut, suggested

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError, Validator

RULE = "tracking-plan"
INSTALL = "pip install ours-emulator[plan]"
_MAX_VALUES = 100_000
_MAX_TEXT = 4 * 1024 * 1024
_VENDORS = "$"
"""How the names of the vendor's own events begin: they need not be in a plan."""
_SURROGATES = re.compile("[\ud800-\udfff]")


@value
class _Places:
    """Where a body has the name and the properties of an event, and those of a visitor, as JSON pointers."""

    name: str
    event: str
    visitor: str
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    """The names of visitor properties in the body, where they differ from those that are stored."""


_SENT_AS = {stored: name for name, stored in PROFILE.items()}
_INGEST = _Places("/event", "/eventProperties", "/userProperties")
_CLIENT_EVENT = _Places("/name", "/data", "/user", _SENT_AS)
_CLIENT_IDENTIFY = _Places("", "", "", _SENT_AS)


def _places(message: Message) -> _Places:
    if not message.endpoint.startswith(PREFIX):
        return _INGEST
    return _CLIENT_IDENTIFY if message.event is None else _CLIENT_EVENT


class TrackingPlan(BaseModel):
    """What events and visitors should have, each as a JSON Schema (2020-12). What differs gets a hint.

    `$ref` refers to a place in the plan: `#/$defs/money`.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        serialize_by_alias=True,
        json_schema_extra={
            "examples": [
                {
                    "events": {
                        "Purchase": {
                            "properties": {"amount": {"type": "number", "minimum": 0}},
                            "required": ["amount"],
                            "additionalProperties": False,
                        }
                    }
                }
            ]
        },
    )

    events: dict[str, dict[str, Any]] = Field(
        default_factory=dict[str, dict[str, Any]],
        description="For each event the schema of its properties.",
    )
    visitor: dict[str, Any] | None = Field(
        default=None, description="The schema of the properties of visitors, as far as a message sends them."
    )
    allow_unplanned: bool = Field(default=False, description="Events that the plan does not have get no hint.")
    definitions: dict[str, Any] = Field(
        default_factory=dict[str, Any], alias="$defs", description="Schemas that others refer to."
    )

    @model_validator(mode="before")
    @classmethod
    def _as_json(cls, given: Any) -> Any:
        read = parsed(given) if isinstance(given, str) else given
        if problem := json_problem(read, _MAX_VALUES):
            raise ValueError(f"the plan {problem}")
        return read

    @model_validator(mode="after")
    def _usable(self) -> Self:
        # Here, so that what is wrong is said where the plan is given.
        assert self._checks is not None
        return self

    @property
    def document(self) -> Properties:
        """The plan as JSON."""
        return self.model_dump(mode="json")

    def hints(self, message: Message) -> Sequence[Hint]:
        """Return a hint for each difference between *message* and the plan."""
        places = _places(message)
        return [*self._hints_about_event(message, places), *self._hints_about_visitor(message, places)]

    def _hints_about_event(self, message: Message, places: _Places) -> Sequence[Hint]:
        event = message.event
        if event is None:
            return ()
        check = self._checks.events.get(event)
        if check is not None:
            return check.hints(message.event_properties, places.event)
        if self.allow_unplanned or event.startswith(_VENDORS):
            return ()
        return [Hint(RULE, places.name, self._checks.unplanned(event))]

    def _hints_about_visitor(self, message: Message, places: _Places) -> Iterator[Hint]:
        check = self._checks.visitor
        if check is None or not (message.user_properties or message.data):
            return
        # null removes a property, which a schema of it need not allow.
        sent: Properties = {name: given for name, given in message.user_properties.items() if given is not None}
        if message.data:
            sent["data"] = message.data
        for hint in check.hints(sent, ""):
            _, first, *rest = hint.path.split("/", 2) if hint.path else ("", "")
            name = places.names.get(first, first)
            path = "/".join(("", name, *rest)) if name else ""
            yield Hint(RULE, places.visitor + path, hint.message)

    @cached_property
    def _checks(self) -> "_Checks":
        return _Checks(self.events, self.visitor, self.definitions)


class _Check:
    """The compiled schema of one kind of event, or of visitors."""

    def __init__(self, validator: "Validator") -> None:
        self._validator = validator

    def hints(self, sent: Properties, path: str) -> Sequence[Hint]:
        """Return a hint for each of the first differences of *sent*, which is at *path*, and one for the others."""
        try:
            if self._validator.is_valid(sent):
                return ()
            return self._explained(sent, path)
        except ValueError:
            # Lone surrogates, or numbers that know their digits, neither of which the engine can have.
            return self._explained(_encodable(sent), path)

    def _explained(self, sent: Any, path: str) -> list[Hint]:
        every = (one for error in self._validator.iter_errors(sent) for one in differences(error, sent))
        found = list(islice(dict.fromkeys(every), MAX_LISTED + 1))
        hints = [Hint(RULE, path + pointer(*map(_cut, at)), message) for at, message in found[:MAX_LISTED]]
        more = len(found) > MAX_LISTED
        return [*hints, *([Hint(RULE, path, f"differs from the plan in more than {MAX_LISTED} places")] if more else [])]


class _Checks:
    """A plan, compiled. Raises PlanError if one of its schemas is not valid."""

    def __init__(
        self, events: Mapping[str, Properties], visitor: Properties | None, definitions: Properties
    ) -> None:
        compiled = _compiler(events, visitor, definitions)
        self.events = {name: _Check(compiled(("events", name), schema)) for name, schema in events.items()}
        self.visitor = None if visitor is None else _Check(compiled(("visitor",), visitor))
        names = frozenset(events)
        self.unplanned = lru_cache(4096)(lambda event: f"not in the plan{suggested(close_name(names, event))}")


def _compiler(
    events: Mapping[str, Properties], visitor: Properties | None, definitions: Properties
) -> Callable[[tuple[str, ...], Properties], "Validator"]:
    """Return what compiles the schema at a place of the plan."""
    roots: dict[tuple[str | int, ...], Any] = {("events", name): schema for name, schema in events.items()}
    roots |= {("$defs", name): schema for name, schema in definitions.items()}
    roots |= {} if visitor is None else {("visitor",): visitor}
    used = check_schemas(roots)
    plan: Properties = {"$defs": definitions, "events": dict(events), "visitor": visitor}
    shared = {name: part for name, part in plan.items() if name in used}
    try:
        from jsonschema_rs import Draft202012Validator, RegexOptions, ValidationError
    except ImportError:
        raise ValueError(f"tracking plans need jsonschema-rs; run: {INSTALL}") from None

    def compiled(place: tuple[str, ...], schema: Properties) -> "Validator":
        # As the only schema of allOf, it has names of its own beside those of the plan, which references are about.
        whole = {"allOf": [schema], **shared}
        try:
            return Draft202012Validator(
                whole, validate_formats=True, pattern_options=RegexOptions(), retriever=_refuse_to_load
            )
        except ValidationError as error:
            raise _schema_problem(error, place, whole) from None

    # Those that nobody refers to are not compiled with the others.
    for name, schema in definitions.items():
        compiled(("$defs", name), schema)
    return compiled


def _schema_problem(error: "ValidationError", place: tuple[str, ...], whole: Properties) -> PlanError:
    path, message = next(differences(error, whole))
    return PlanError((*place, *path[2:]) if path[:1] == ("allOf",) else path, message)


def _refuse_to_load(address: str) -> Any:
    raise ValueError(f"{cut(address)} leads out of the plan")


def _cut(part: str | int) -> str | int:
    return cut(part) if isinstance(part, str) else part


def _encodable(sent: JsonValue) -> JsonValue:
    """Return *sent* with another character for each lone surrogate, and with numbers that are nothing else."""
    if isinstance(sent, str):
        return _SURROGATES.sub("\ufffd", sent)
    if isinstance(sent, dict):
        return {_SURROGATES.sub("\ufffd", name): _encodable(inner) for name, inner in sent.items()}
    if isinstance(sent, list):
        return [_encodable(inner) for inner in sent]
    return float(sent) if isinstance(sent, float) else sent


def parsed(text: str) -> Any:
    """Return what *text*, in YAML or JSON, says. Raises ValueError, whose message is one line."""
    if len(text) > _MAX_TEXT:
        raise ValueError(f"longer than {_MAX_TEXT} characters")
    return strict_json(text) if text.lstrip().startswith("{") else _from_yaml(text)


def read_file(file: Path) -> TrackingPlan:
    """Return the plan in *file*, which is JSON if its name ends so, else YAML. Raises SettingsError."""
    if file.suffix.lower() == ".json":
        return read_setting_file(file, "tracking plan", "JSON", strict_json, TrackingPlan.model_validate)
    return read_setting_file(file, "tracking plan", "YAML", parsed, TrackingPlan.model_validate)


def _from_yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise ValueError(f"YAML needs PyYAML; run: {INSTALL}, or use JSON") from None

    class Loader(yaml.SafeLoader):
        """Reads dates as text, which they are in JSON."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        return yaml.load(text, Loader)
    except RecursionError:
        raise ValueError("nested too deep") from None
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        raise ValueError(f"{line}{error.problem}") from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
