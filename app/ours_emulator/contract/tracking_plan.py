"""Tracking plans: what events and visitors should have, as files and calls give them (rule tracking-plan).

Not imported at start unless a plan is configured. The parser of YAML is one of the extra `plan`.
"""

import re
from functools import cached_property
from json import JSONDecodeError
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from ours_emulator.contract.plan_checks import Checks, RequestChecks
from ours_emulator.contract.plan_schemas import INSTALL, json_problem
from ours_emulator.contract.setting_files import NoParserError, read_setting_file
from ours_emulator.jsontext import is_twice, unambiguous_json
from ours_emulator.model import Properties, Request

if TYPE_CHECKING:
    from yaml import SafeLoader

_MERGE = "tag:yaml.org,2002:merge"
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
# YAML 1.1 also takes NO for false, 12:30:45 for 45045 and 010 for 8; whoever writes a plan means text.
_AS_IN_JSON = {
    "tag:yaml.org,2002:bool": re.compile(r"(?:true|false)\Z"),
    "tag:yaml.org,2002:int": re.compile(r"-?(?:0|[1-9][0-9]*)\Z"),
    # With what is no number in JSON, so that it is refused.
    "tag:yaml.org,2002:float": re.compile(
        r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)|\.(?:inf|nan))\Z"
    ),
}
_MAX_VALUES = 100_000
_MAX_TEXT = 4 * 1024 * 1024


def _any_if_null(schema: Any) -> Any:
    """Return *schema*; in YAML, a name with nothing after it is null, and means an event with any properties."""
    return {} if schema is None else schema


EventSchema = Annotated[
    dict[str, Any],
    BeforeValidator(_any_if_null),
    WithJsonSchema({"anyOf": [{"type": "object", "additionalProperties": True}, {"type": "null"}]}),
]


class TrackingPlan(BaseModel):
    """What events and visitors should have, each as a JSON Schema (2020-12). What differs gets a hint.

    `$ref` refers to a place in the plan: `#/$defs/money`.
    """

    is_slow: ClassVar[bool] = True
    """It takes up to seconds to read and compile one."""
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

    events: dict[str, EventSchema] = Field(
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
        _ = self._checks
        return self

    @property
    def document(self) -> Properties:
        """The plan as JSON."""
        return self.model_dump(mode="json")

    def checks(self, request: Request, limit: int) -> RequestChecks:
        """Return the checks for the messages of *request*, whose body has at most *limit* bytes."""
        return RequestChecks(self._checks, limit if request.content_encoding else len(request.body))

    @cached_property
    def _checks(self) -> Checks:
        return Checks(self)


class _OrText:
    """Says in the document what every plan may be, as its validator reads it: the text of its file."""

    def __get_pydantic_json_schema__(self, plan: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [handler(plan), {"type": "string", "description": "The plan as text, in YAML or JSON."}]}


GivenPlan = Annotated[TrackingPlan, _OrText()]
"""A plan in the body of a call."""


def parsed(text: str) -> Any:
    """Return what *text*, in YAML or JSON, says. Raises ValueError, whose message is one line."""
    if len(text) > _MAX_TEXT:
        raise ValueError(f"longer than {_MAX_TEXT} characters")
    if not text.lstrip().startswith("{"):
        return _from_yaml(text)
    try:
        return unambiguous_json(text)
    except JSONDecodeError as error:
        # YAML may begin so, too.
        not_json = error
    try:
        return _from_yaml(text)
    except NoParserError:
        raise not_json from None


def read_file(file: Path) -> TrackingPlan:
    """Return the plan in *file*, which is JSON if its name ends so, else YAML. Raises SettingsError."""
    if file.suffix.lower() == ".json":
        return read_setting_file(file, "tracking plan", "JSON", unambiguous_json, TrackingPlan.model_validate)
    return read_setting_file(file, "tracking plan", "YAML", parsed, TrackingPlan.model_validate)


def _from_yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise NoParserError(f"YAML needs PyYAML; run: {INSTALL}, or use JSON") from None
    try:
        return yaml.load(text, _loader())
    except RecursionError:
        raise ValueError("nested too deep") from None
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        raise ValueError(f"{line}{error.problem}") from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def _loader() -> "type[SafeLoader]":
    """Return what reads YAML as JSON means it."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads dates as text, which they are in JSON, and refuses a name that is there twice."""

        # Here, because what is merged by `<<` is added to the node later, and may be overridden.
        def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
            """Return the node of an object."""
            node = super().compose_mapping_node(anchor)
            seen: set[tuple[str, str]] = set()
            for name, _ in node.value:
                if isinstance(name, yaml.ScalarNode) and name.tag != _MERGE:
                    if (name.tag, name.value) in seen:
                        raise yaml.MarkedYAMLError(problem=is_twice(name.value), problem_mark=name.start_mark)
                    seen.add((name.tag, name.value))
            return node

    Loader.yaml_implicit_resolvers = {
        first: [(tag, _AS_IN_JSON.get(tag, pattern)) for tag, pattern in resolvers if tag != _TIMESTAMP]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return Loader
