"""Experiments: how they are configured, and which variant a visitor gets (rules experiment-*).

Everything here is pure but `read_file`. Not imported at start unless experiments are configured: the models take 3 ms.
"""

import math
import tomllib
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Self, TypeAlias
from urllib.parse import parse_qs

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    JsonValue,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)

from ours_emulator.contract.setting_files import read_setting_file
from ours_emulator.jsontext import unambiguous_json
from ours_emulator.model import ACCOUNT_NAME, ACCOUNT_NAME_FORM, Properties
from ours_emulator.wording import cut

MAX_VARIANTS = 100
_MAX_TEXT = 400
_ANY = "*"
_SCALE = 2**53
"""How many different points there are: as many as a float tells apart below 1."""


def _valid_key(key: str) -> str:
    if ACCOUNT_NAME.fullmatch(key) is None:
        raise ValueError(f"{cut(key)!r} is not a valid key; use {ACCOUNT_NAME_FORM}")
    return key


def _destination(redirect: str) -> str:
    if not redirect.startswith(("/", "https://")) or redirect.startswith("//"):
        raise ValueError("must be a path that begins with a slash, or a URL that begins with https://")
    return redirect


def _scalar(value: Any) -> JsonValue:
    if isinstance(value, str | int | None) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError("must be a string, a finite number, a boolean or null")


Key: TypeAlias = Annotated[str, AfterValidator(_valid_key)]
Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=_MAX_TEXT)]
Pattern: TypeAlias = Annotated[str, Field(min_length=1, max_length=2000)]
# Not as a list of types, which FastAPI before 0.116 refuses in a document.
_SCALAR_TYPES = [{"type": name} for name in ("string", "number", "boolean", "null")]
Scalar: TypeAlias = Annotated[Any, AfterValidator(_scalar), WithJsonSchema({"anyOf": _SCALAR_TYPES})]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Variant(_Strict):
    """A variant of an experiment: how many of the visitors get it, and what the answer says of it."""

    id: Text
    name: Text | None = None
    weight: Annotated[FiniteFloat, Field(ge=0, le=1e6)] = Field(
        default=1.0, description="How many visitors get it, relative to the other variants; 0 for none."
    )
    control: bool = False
    redirect: Annotated[str, Field(max_length=2000), AfterValidator(_destination)] | None = Field(
        default=None, description="A path, or an `https` URL."
    )
    properties: dict[str, Scalar] = Field(
        default_factory=dict[str, JsonValue],
        description="What personalization returns for visitors with an impression of the variant.",
    )


class Experiment(_Strict):
    """An experiment: its variants, which share of the visitors is in it, and on which pages."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"variants": [{"id": "control", "control": True}, {"id": "green", "weight": 3}]},
                {"url": ["/checkout*"], "query": {"utm_source": "meta"}, "variants": [{"id": "b", "redirect": "/b"}]},
            ]
        }
    )

    id: Text | None = Field(default=None, description="By default the key.")
    name: Text | None = None
    type: Text | None = None
    allocation: Annotated[FiniteFloat, Field(ge=0, le=1)] = Field(
        default=1.0, description="The share of visitors that are in the experiment."
    )
    url: Annotated[list[Pattern], Field(max_length=100)] = Field(
        default_factory=list[str],
        description="Patterns, of which the page must match one: `https://shop.example.com/checkout*` is compared with "
        "the whole URL without query and fragment, `/checkout*` with its path. `*` stands for any characters.",
    )
    query: Annotated[dict[str, Pattern], Field(max_length=100)] = Field(
        default_factory=dict[str, str],
        description="Parameters that the query must have, each with a pattern of its value.",
    )
    variants: Annotated[list[Variant], Field(min_length=1, max_length=MAX_VARIANTS)]

    @model_validator(mode="after")
    def _assignable(self) -> Self:
        ids = [variant.id for variant in self.variants]
        twice = next((name for name in ids if ids.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two variants have the id {cut(twice)!r}; give each its own")
        if not any(variant.weight for variant in self.variants):
            raise ValueError("every variant has weight 0; give one a positive weight")
        return self

    def variant_of(self, key: str, visitor_id: str, url: str | None, search: str | None) -> Variant | None:
        """Return the variant of the visitor, None if they are not in the experiment, which has this *key*.

        It follows from *key* and *visitor_id* alone, in every process; *url* and *search* only decide whether the page
        takes part (rules experiment-assignment, experiment-conditions).
        """
        takes_part = self._includes(url, search) and _point("allocation", key, visitor_id) < self.allocation
        return self._drawn(_point("variant", key, visitor_id)) if takes_part else None

    def answer(self, key: str, variant: Variant) -> Properties:
        """Return what an answer, and an impression, says of an assignment to *variant*."""
        fields: Properties = {
            "experiment_id": self.id or key,
            "variant_id": variant.id,
            "experiment_key": key,
            "experiment_name": self.name,
            "variant_name": variant.name,
            "type": self.type,
            "is_control": variant.control,
            "redirect": variant.redirect,
        }
        return {name: value for name, value in fields.items() if value is not None}

    def _includes(self, url: str | None, search: str | None) -> bool:
        if url is not None and self.url and not any(_page_matches(pattern, url) for pattern in self.url):
            return False
        query = _query_of(url) if search is None and url is not None else search
        return query is None or not self.query or self._query_matches(parse_qs(query.lstrip("?"), True))

    def _query_matches(self, parameters: Mapping[str, list[str]]) -> bool:
        return all(
            any(_matches(pattern, value) for value in parameters.get(name, ())) for name, pattern in self.query.items()
        )

    def _drawn(self, point: float) -> Variant:
        """Return the variant at *point*, from 0 to 1, of all weights in a row."""
        left = point * sum(variant.weight for variant in self.variants)
        drawable = [variant for variant in self.variants if variant.weight]
        for variant in drawable:
            left -= variant.weight
            if left < 0:
                return variant
        return drawable[-1]  # What is left may be a rounding error.


Experiments: TypeAlias = Mapping[str, Experiment]
"""The experiments of an account, by key."""
_FILE = TypeAdapter(dict[Key, Experiment])


def read_file(file: Path) -> Experiments:
    """Return the experiments in *file*, which is JSON if its name ends so, else TOML. Raises SettingsError."""
    if file.suffix.lower() == ".json":
        return read_setting_file(file, "experiments", "JSON", unambiguous_json, _FILE.validate_python)
    return read_setting_file(file, "experiments", "TOML", tomllib.loads, _FILE.validate_python)


def _point(purpose: str, key: str, visitor_id: str) -> float:
    """Return where the visitor stands, at least 0 and less than 1: at different places for different purposes."""
    text = f"{purpose}\0{key}\0{visitor_id}"
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % _SCALE / _SCALE


def _page_matches(pattern: str, url: str) -> bool:
    """Tell whether *url*, without query and fragment, matches *pattern*; one that begins with a slash is of a path."""
    page = url.partition("#")[0].partition("?")[0]
    _, has_scheme, rest = page.partition("://")
    if pattern.startswith("/") and has_scheme:
        page = "/" + rest.partition("/")[2]
    return _matches(pattern, page)


def _query_of(url: str) -> str:
    return url.partition("#")[0].partition("?")[2]


def _matches(pattern: str, text: str) -> bool:
    """Tell whether *text* matches *pattern*, in which `*` stands for any characters.

    Not by a regular expression: one with many stars can take very long on a text that does not match.
    """
    first, *parts = pattern.split(_ANY)
    if not parts:
        return pattern == text
    *inner, last = parts
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    position, end = len(first), len(text) - len(last)
    for part in inner:
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True
