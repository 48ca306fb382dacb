"""The compiled document against the document itself, which is walked here a second time."""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import JsonValue

from looping import case
from ours_emulator.contract.compile import (
    Body,
    Problem,
    Schema,
    compile_body,
    pointer,
    request_schemas,
)
from ours_emulator.contract.revision import revision
from ours_emulator.model import Properties

OPENAPI = Path(__file__).parent.parent / "openapi.json"
FREE = "any name"


def posted(path: str) -> Mapping[str, Any]:
    paths = json.loads(OPENAPI.read_bytes())["paths"]
    return cast(Mapping[str, Any], paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"])


RAW: dict[str, Mapping[str, Any]] = {
    "track": posted("/track"),
    "identify": posted("/identify"),
    "row": posted("/batch")["properties"]["events"]["items"],
}
SMALLEST: dict[str, Properties] = {
    "track": {"event": "e", "token": "t"},
    "identify": {"token": "t", "userProperties": {}},
    "row": {"event": "e", "distinctId": "d"},
}


def compiled(*, strict_openapi: bool) -> dict[str, Body]:
    schemas = request_schemas(OPENAPI.read_bytes())
    row = schemas["batch"].properties["events"].items
    assert row is not None
    return {
        name: compile_body(schema, strict_openapi=strict_openapi)
        for name, schema in (("track", schemas["track"]), ("identify", schemas["identify"]), ("row", row))
    }


BODIES = compiled(strict_openapi=False)
STRICT = compiled(strict_openapi=True)


@dataclass(frozen=True, repr=False)
class Place:
    """One property of one body, with what the document says of it."""

    body: str
    path: tuple[str, ...]
    raw: Mapping[str, Any]
    required: bool

    def __repr__(self) -> str:
        return self.body + self.pointer

    @property
    def pointer(self) -> str:
        return "".join(f"/{name}" for name in self.path)

    @property
    def any_json(self) -> bool:
        """Written `nullable` first, `type: string` second, and no length."""
        keys = [key for key in self.raw if key != "description"]
        return keys == ["nullable", "type"] and self.raw["nullable"] is True and self.raw["type"] == "string"

    @property
    def nullable(self) -> bool:
        return bool(self.raw.get("nullable", False))

    @property
    def longest(self) -> int | None:
        return cast(int | None, self.raw.get("maxLength"))

    @property
    def shortest(self) -> int:
        return cast(int, self.raw.get("minLength", 0))

    def holding(self, value: JsonValue) -> Properties:
        """Return the smallest valid body, but with *value* at this place."""
        whole = deepcopy(SMALLEST[self.body])
        inner = whole
        for name in self.path[:-1]:
            if not isinstance(inner.get(name), dict):
                inner[name] = {"ip": "1.2.3.4", "userAgent": "x"} if name == "identityContext" else {}
            inner = cast(Properties, inner[name])
        inner[self.path[-1]] = value
        return whole

    def without(self) -> Properties:
        whole = self.holding(None)
        inner = whole
        for name in self.path[:-1]:
            inner = cast(Properties, inner[name])
        del inner[self.path[-1]]
        return whole


def places(body: str, raw: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[Place]:
    required: list[str] = raw.get("required", [])
    inner: Mapping[str, Mapping[str, Any]] = raw.get("properties", {})
    for name, schema in inner.items():
        yield Place(body, (*path, name), schema, name in required)
        yield from places(body, schema, (*path, name))
    if "additionalProperties" in raw:
        yield Place(body, (*path, FREE), raw["additionalProperties"], False)


PLACES = [place for body, raw in RAW.items() for place in places(body, raw)]


def refused(outcome: Properties | Problem) -> Problem:
    assert isinstance(outcome, Problem), outcome
    return outcome


def same(kept: object, sent: object) -> bool:
    """Tell whether both are the same JSON, where `1`, `1.0` and `true` are different."""
    return json.dumps(kept, sort_keys=True) == json.dumps(sent, sort_keys=True)


OPEN = [place for place in PLACES if place.any_json]
CLOSED = [place for place in PLACES if not place.any_json]
SCALARS = [place for place in CLOSED if place.raw["type"] in ("number", "boolean")]
REQUIRED = [place for place in PLACES if place.required]
OPTIONAL = [place for place in PLACES if not place.required]
WITH_MAXIMUM = [place for place in PLACES if place.longest is not None]
WITH_MINIMUM = [place for place in PLACES if place.shortest > 0]
MAYBE_EMPTY = [place for place in CLOSED if place.raw["type"] == "string" and place.shortest == 0]
UNLIMITED = [place for place in PLACES if place.raw["type"] == "string" and place.longest is None]

SAMPLES: dict[str, list[JsonValue]] = {
    "string": ["x", "", "5", "true", "null"],
    "number": [5, 0, -1, 1.5, 2**64],
    "boolean": [True, False],
    "object": [{}, {"a": 1}],
    "array": [[], ["x"], [{}]],
}


# What the walk finds


def test_the_bundled_document_is_the_vendors() -> None:
    assert revision().document == OPENAPI.read_bytes()


def test_the_walk_covers_every_body() -> None:
    assert {place.body for place in PLACES} == set(RAW)
    assert len(PLACES) > 400
    assert len(OPEN) + len(CLOSED) == len(REQUIRED) + len(OPTIONAL) == len(PLACES)
    assert min(len(WITH_MAXIMUM), len(MAYBE_EMPTY), len(UNLIMITED)) > 100
    assert min(len(OPEN), len(SCALARS), len(REQUIRED), len(WITH_MINIMUM)) >= 12


@pytest.mark.rule("any-json")
def test_the_places_for_any_json_are_these_and_no_others() -> None:
    user = {f"/userProperties/{name}" for name in ("is_bot", "phone_number", "zip")}
    free = {f"/userProperties/{name}/{FREE}" for name in ("custom_properties", "consent")}
    found = {body: {place.pointer for place in OPEN if place.body == body} for body in RAW}
    everywhere = user | free | {"/defaultProperties/is_bot"}
    assert found == {
        "track": everywhere | {f"/eventProperties/{FREE}"},
        "identify": everywhere,
        "row": everywhere | {f"/eventProperties/{FREE}"},
    }


@pytest.mark.rule("schema")
def test_the_shape_has_the_names_of_the_document() -> None:
    for body in RAW:
        with case(body):
            shape = BODIES[body].shape
            names = {f"/{name}" for name in shape.known}
            names |= {f"/{outer}/{name}" for outer, inner in shape.closed.items() for name in inner.known}
            assert names == {place.pointer for place in PLACES if place.body == body and place.path[-1] != FREE}


# Types


@pytest.mark.rule("schema")
def test_another_type_is_refused_where_it_stands() -> None:
    for place in CLOSED:
        with case(place):
            wrong = [value for kind, values in SAMPLES.items() if kind != place.raw["type"] for value in values]
            for value in wrong:
                for bodies in (BODIES, STRICT):
                    problem = refused(bodies[place.body].check(place.holding(value)))
                    assert problem.path == place.pointer
                    assert problem.message.startswith("must be ")


@pytest.mark.rule("schema")
def test_its_own_type_is_accepted_and_kept() -> None:
    for place in SCALARS:
        with case(place):
            for value in SAMPLES[place.raw["type"]]:
                sent = place.holding(value)
                assert same(BODIES[place.body].check(sent), sent)


@pytest.mark.rule("schema")
def test_null_is_accepted_exactly_where_the_document_says_so() -> None:
    for place in PLACES:
        with case(place):
            sent = place.holding(None)
            for bodies in (BODIES, STRICT):
                outcome = bodies[place.body].check(sent)
                if place.nullable:
                    assert outcome == sent
                else:
                    assert refused(outcome).path == place.pointer
                    assert "null" not in refused(outcome).message.partition(", got ")[0]


@pytest.mark.rule("schema")
def test_a_required_name_is_required() -> None:
    for place in REQUIRED:
        with case(place):
            problem = refused(BODIES[place.body].check(place.without()))
            assert problem == Problem(place.pointer, "required")


@pytest.mark.rule("schema")
def test_every_other_name_may_be_absent() -> None:
    for place in OPTIONAL:
        with case(place):
            sent = place.without()
            assert BODIES[place.body].check(sent) == sent


@pytest.mark.rule("identify-body")
@pytest.mark.parametrize(
    ("body", "sent", "accepted"),
    [
        ("identify", {"token": "t", "userProperties": {}}, True),
        ("identify", {"token": "t", "userProperties": None}, False),
        ("identify", {"token": "t"}, False),
        ("track", {"event": "e", "token": "t", "userProperties": {}}, True),
        ("track", {"event": "e", "token": "t", "userProperties": None}, True),
        ("track", {"event": "e", "token": "t"}, True),
    ],
)
def test_user_properties_are_asked_for_on_identify_only(body: str, sent: Properties, accepted: bool) -> None:
    assert isinstance(BODIES[body].check(sent), dict) == accepted


@pytest.mark.rule("identity-context")
@pytest.mark.parametrize(
    ("context", "problem"),
    [
        (None, None),
        ({"ip": "1.2.3.4", "userAgent": "x"}, None),
        ({"ip": "", "userAgent": ""}, None),
        ({}, "/identityContext/ip"),
        ({"ip": "1.2.3.4"}, "/identityContext/userAgent"),
        ({"userAgent": "x"}, "/identityContext/ip"),
        ({"ip": None, "userAgent": "x"}, "/identityContext/ip"),
        ({"ip": "1.2.3.4", "userAgent": 5}, "/identityContext/userAgent"),
        ("1.2.3.4", "/identityContext"),
    ],
)
def test_the_identity_context_needs_both_of_its_strings(context: JsonValue, problem: str | None) -> None:
    for body in RAW:
        with case(body):
            sent: Properties = {**SMALLEST[body], "identityContext": context}
            outcome = BODIES[body].check(sent)
            assert outcome == sent if problem is None else refused(outcome).path == problem


@pytest.mark.rule("schema")
@pytest.mark.parametrize("value", [None, True, 5, 1.5, "x", [], [{}]])
def test_a_body_that_is_no_object_is_refused_as_a_whole(value: JsonValue) -> None:
    for body in RAW:
        with case(body):
            problem = refused(BODIES[body].check(value))
            assert problem.path == ""
            assert problem.message.startswith("must be an object")


# Lengths


@pytest.mark.rule("schema")
def test_a_string_as_long_as_allowed_is_accepted_and_one_longer_refused() -> None:
    for place in WITH_MAXIMUM:
        with case(place):
            body, longest = BODIES[place.body], place.longest
            assert longest is not None
            for character in ("x", "é", "😀", "\ud800", "\0"):
                sent = place.holding(character * longest)
                assert body.check(sent) == sent
                problem = refused(body.check(place.holding(character * (longest + 1))))
                assert problem.path == place.pointer
                assert str(longest) in problem.message


@pytest.mark.rule("schema", "empty-identifier")
def test_a_string_as_short_as_allowed_is_accepted_and_one_shorter_refused() -> None:
    for place in WITH_MINIMUM:
        with case(place):
            body = BODIES[place.body]
            for character in ("x", "😀", "\ud800", " "):
                sent = place.holding(character * place.shortest)
                assert body.check(sent) == sent
                problem = refused(body.check(place.holding(character * (place.shortest - 1))))
                assert problem.path == place.pointer


@pytest.mark.rule("schema")
def test_an_empty_string_is_accepted_where_no_minimum_is_given() -> None:
    for place in MAYBE_EMPTY:
        with case(place):
            sent = place.holding("")
            assert BODIES[place.body].check(sent) == sent


@pytest.mark.rule("schema")
def test_a_string_without_a_limit_may_be_very_long() -> None:
    for place in UNLIMITED:
        with case(place):
            for text in ("x" * 100_000, "\ud800" * 100_000):
                sent = place.holding(text)
                assert BODIES[place.body].check(sent) == sent
                assert STRICT[place.body].check(sent) == sent


@pytest.mark.rule("schema")
@pytest.mark.parametrize(
    ("body", "path", "lengths"),
    [
        ("track", "/event", (1, 1000)),
        ("track", "/token", (1, 250)),
        ("track", "/userId", (1, 400)),
        ("track", "/externalId", (1, 400)),
        ("track", "/distinctId", (1, 400)),
        ("track", "/email", (1, 1000)),
        ("row", "/event", (1, 1000)),
        ("row", "/distinctId", (1, 400)),
        ("identify", "/token", (1, 250)),
        ("identify", "/email", (1, 1000)),
        ("track", "/userProperties/email", (0, 2000)),
        ("track", "/defaultProperties/referrer", (0, 5000)),
        ("row", "/defaultProperties/referring_domain", (0, 5000)),
    ],
)
def test_the_lengths_the_contract_names_are_in_the_document(body: str, path: str, lengths: tuple[int, int]) -> None:
    (place,) = [place for place in PLACES if (place.body, place.pointer) == (body, path)]
    assert (place.shortest, place.longest) == lengths


# Any JSON

ANY_JSON: list[JsonValue] = [
    None,
    "x",
    "",
    5,
    0,
    -0.5,
    2**64,
    True,
    False,
    [],
    {},
    [1, "a", None, {"b": [2**64]}],
    {"a": {"b": None}},
    "\ud800",
    {"\ud800": "\udfff"},
]


@pytest.mark.rule("any-json")
def test_any_json_is_kept_as_it_is() -> None:
    for place in OPEN:
        with case(place):
            for value in ANY_JSON:
                sent = place.holding(value)
                assert same(BODIES[place.body].check(sent), sent)


@pytest.mark.rule("any-json")
def test_read_strictly_they_take_strings_and_null_only() -> None:
    for place in OPEN:
        with case(place):
            for value in ANY_JSON:
                sent = place.holding(value)
                outcome = STRICT[place.body].check(sent)
                if value is None or isinstance(value, str):
                    assert outcome == sent
                else:
                    assert refused(outcome).path == place.pointer


@pytest.mark.rule("any-json")
@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("", ""),
        ("0", "0"),
        ("a/b~c", "a~1b~0c"),
        ("~1", "~01"),
        ("a\nb", "a\nb"),
        ("é😀", "é😀"),
        ("\0", "\0"),
        ("x" * 5000, "x" * 5000),
    ],
)
def test_free_names_may_be_anything_and_are_escaped_in_the_pointer(name: str, escaped: str) -> None:
    sent: Properties = {**SMALLEST["track"], "eventProperties": {"ok": "x", name: 5}}
    assert BODIES["track"].check(sent) == sent
    assert refused(STRICT["track"].check(sent)).path == f"/eventProperties/{escaped}"


@pytest.mark.rule("any-json")
def test_a_free_name_may_be_a_lone_surrogate() -> None:
    sent: Properties = {**SMALLEST["track"], "eventProperties": {"\ud800": "x"}}
    assert BODIES["track"].check(sent) == sent
    assert STRICT["track"].check(sent) == sent
    assert refused(STRICT["track"].check({**sent, "eventProperties": {"\ud800": 5}})).path.startswith(
        "/eventProperties/"
    )


# Unknown names

UNKNOWN: Properties = {"unknown": 1, "": {}, "a/b~c": [], "\ud800": "\ud800", "Event": "x", "user_id": "x"}


@pytest.mark.rule("unknown-keys")
@pytest.mark.parametrize("bodies", [BODIES, STRICT], ids=["default", "strict"])
def test_unknown_names_are_dropped_at_the_top(bodies: Mapping[str, Body]) -> None:
    for body in RAW:
        with case(body):
            assert bodies[body].check({**SMALLEST[body], **UNKNOWN}) == SMALLEST[body]


@pytest.mark.rule("unknown-keys")
@pytest.mark.parametrize(
    ("inner", "kept"),
    [
        ("userProperties", {"first_name": "Ann"}),
        ("defaultProperties", {"title": "Home"}),
        ("identityContext", {"ip": "1.2.3.4", "userAgent": "x"}),
    ],
)
def test_unknown_names_are_dropped_one_level_down(inner: str, kept: Properties) -> None:
    for body in RAW:
        with case(body):
            sent: Properties = {**SMALLEST[body], inner: {**UNKNOWN, **kept}}
            assert BODIES[body].check(sent) == {**SMALLEST[body], inner: kept}


@pytest.mark.rule("unknown-keys")
@pytest.mark.parametrize("inner", ["custom_properties", "consent"])
def test_free_names_are_never_dropped(inner: str) -> None:
    sent: Properties = {**SMALLEST["identify"], "userProperties": {inner: UNKNOWN}}
    assert BODIES["identify"].check(sent) == sent


@pytest.mark.rule("unknown-keys")
def test_what_is_dropped_is_not_checked_and_what_was_sent_stays_as_it_was() -> None:
    sent: Properties = {**SMALLEST["track"], "first_name": 5, "userProperties": {"plan": {"deep": [None]}}}
    before = deepcopy(sent)
    assert BODIES["track"].check(sent) == {**SMALLEST["track"], "userProperties": {}}
    assert sent == before


# Numbers


@pytest.mark.rule("schema")
@pytest.mark.parametrize(
    "value",
    [0, 5, -5, 1.0, 0.1, 2**53 + 1, 2**64, -(2**64), 1.7976931348623157e308, pytest.param(10**308, id="10**308")],
)
def test_a_number_stays_what_it_is(value: int | float) -> None:
    for sent in (
        {**SMALLEST["track"], "time": value},
        {**SMALLEST["track"], "defaultProperties": {"page_hash": value}},
        {**SMALLEST["track"], "eventProperties": {"amount": value}},
        {**SMALLEST["track"], "userProperties": {"custom_properties": {"amount": value}, "zip": value}},
    ):
        assert same(BODIES["track"].check(cast(JsonValue, sent)), sent)


@pytest.mark.rule("schema")
@pytest.mark.parametrize("value", [True, False])
def test_a_boolean_is_no_number(value: bool) -> None:
    problem = refused(BODIES["track"].check({**SMALLEST["track"], "time": value}))
    assert problem == Problem("/time", "must be a number or null, got a boolean")


@pytest.mark.rule("schema")
@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("userProperties", "first_name"), 5),
        (("defaultProperties", "screen_width"), "1920"),
        (("defaultProperties", "webview"), 1),
        (("defaultProperties", "webview"), "true"),
        (("defaultProperties", "title"), True),
    ],
)
def test_nothing_is_coerced(place: tuple[str, str], value: JsonValue) -> None:
    outer, inner = place
    problem = refused(BODIES["track"].check({**SMALLEST["track"], outer: {inner: value}}))
    assert problem.path == f"/{outer}/{inner}"


# Problems

SECRET = "s3cret"
HIDDEN: list[JsonValue] = [
    SECRET,
    SECRET * 1000,
    f"{SECRET}\ud800" * 1000,
    [SECRET],
    {SECRET: SECRET},
    5318008,
    -5318008.5,
    int("5318008" * 20),
]


@pytest.mark.rule("schema")
def test_a_problem_never_shows_the_value() -> None:
    for place in PLACES:
        with case(place):
            for value in HIDDEN:
                for bodies in (BODIES, STRICT):
                    outcome = bodies[place.body].check(place.holding(value))
                    if isinstance(outcome, Problem):
                        assert SECRET not in outcome.path + outcome.message
                        assert "5318008" not in outcome.path + outcome.message


@pytest.mark.rule("schema")
@pytest.mark.parametrize("value", [SECRET, 5318008, [SECRET], [{SECRET: SECRET}]])
def test_a_problem_never_shows_the_whole_body(value: JsonValue) -> None:
    for body in RAW:
        with case(body):
            problem = refused(BODIES[body].check(value))
            assert SECRET not in problem.message
            assert "5318008" not in problem.message


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((), ""),
        (("a",), "/a"),
        (("a", 0, "b"), "/a/0/b"),
        (("",), "/"),
        (("a/b~c",), "/a~1b~0c"),
        (("~1",), "/~01"),
        (("/",), "/~1"),
    ],
)
def test_a_pointer_is_as_rfc_6901_has_it(parts: tuple[str | int, ...], expected: str) -> None:
    assert pointer(*parts) == expected


def test_a_schema_this_program_does_not_know_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match="unsupported"):
        compile_body(Schema.read({"type": "object", "properties": {"a": {"type": "integer"}}}), strict_openapi=False)
