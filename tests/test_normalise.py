"""What revision 2026-10 does to a body before it is checked, on plain values."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from ours_emulator.contract import body
from ours_emulator.contract.account import AccountConfig
from ours_emulator.contract.compile import Problem, request_schemas
from ours_emulator.contract.ingest import IngestContract, Limits
from ours_emulator.contract.normalise import as_text, trimmed
from ours_emulator.contract.revision import revision
from ours_emulator.decide.content import content_of
from ours_emulator.javascript import MAX_SAFE_INTEGER, WHITE_SPACE, longer_than, number_text
from ours_emulator.jsontext import json_text
from ours_emulator.model import Message, Properties, Request
from ours_emulator.records import Reason

OLD, NEW = revision("2026-05"), revision("2026-10")
NOW = 1_795_168_800_000
ENDPOINTS = ("track", "identify", "row")
LIMITS_RULE = "open-object-limits"
LARGEST = 2**20 - 1
"""UTF-16 code units of an open object."""
CONTRACT = IngestContract(Limits(body=2**25, row=2**25))
BODIES: dict[str, Properties] = {
    "track": {"token": "t", "event": "e", "userId": "u"},
    "identify": {"token": "t", "userId": "u", "userProperties": {}},
    "row": {"event": "e", "distinctId": "d", "userId": "u"},
}
OPEN = [
    (endpoint, place)
    for endpoint in ENDPOINTS
    for place in (("eventProperties",), ("userProperties", "custom_properties"), ("userProperties", "consent"))
    if (endpoint, place) != ("identify", ("eventProperties",))
]
"""Every open object of every body."""


def parsed(text: str) -> Properties:
    return cast(Properties, body.parse(text.encode("utf-8", "surrogatepass"), keeps_digits=True))


def normalised(endpoint: str, sent: Properties) -> Properties:
    return NEW.normalised(endpoint, sent)


def with_open(endpoint: str, place: tuple[str, ...], value: JsonValue) -> Properties:
    """Return the smallest body with *value* at *place*."""
    outer: Properties = {place[0]: value if len(place) == 1 else {place[1]: value}}
    return {**BODIES[endpoint], **outer}


def open_object(sent: Properties, place: tuple[str, ...]) -> JsonValue:
    value: Any = sent
    for name in place:
        value = value[name]
    return cast(JsonValue, value)


def checked(endpoint: str, sent: Properties) -> Properties | Problem:
    compiled = NEW.bodies.row if endpoint == "row" else NEW.bodies.single[endpoint]
    return compiled.check(normalised(endpoint, sent))


# The texts of JavaScript


@pytest.mark.rule("trimmed-characters")
def test_white_space_is_what_javascript_trims() -> None:
    assert len(WHITE_SPACE) == 25
    for kept in "\x1c\x1d\x1e\x1f\x85\u200b\u2060\u180e":
        assert trimmed(f"{kept}x{kept}") == f"{kept}x{kept}"
    for removed in "\ufeff\u00a0\u2003\u2028\u2029\u3000\t\v":
        assert trimmed(f" {removed}x y{removed} ") == "x y"
    assert trimmed(" \n ") == ""
    assert trimmed("\ud800 ") == "\ud800"
    others: list[Any] = [None, 5, [" x "]]
    assert [*map(trimmed, others)] == others


@pytest.mark.rule("to-text-form")
@pytest.mark.parametrize(
    ("number", "text"),
    [
        (123, "123"),
        (1.0, "1"),
        (-0.0, "0"),
        (1.5, "1.5"),
        (-12.25, "-12.25"),
        (0.000001, "0.000001"),
        (0.0000001, "1e-7"),
        (1.5e-7, "1.5e-7"),
        (1e20, "100000000000000000000"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e21, "1e+21"),
        (1.25e21, "1.25e+21"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (2**53, "9007199254740992"),
        (2**53 + 1, "9007199254740992"),
        (12345678901234567890, "12345678901234567000"),
        (10**21, "1e+21"),
    ],
)
def test_a_number_becomes_the_text_that_javascript_makes_of_it(number: float, text: str) -> None:
    assert number_text(number) == text


@pytest.mark.rule("to-text-form")
def test_only_numbers_and_booleans_become_text() -> None:
    assert [as_text(value) for value in (True, False, 5, "x", None)] == ["true", "false", "5", "x", None]
    others: list[Any] = [{"a": 1}, [1]]
    assert [*map(as_text, others)] == others


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_number_is_read_as_the_same_number(number: float) -> None:
    assert float(number_text(number)) == number


@pytest.mark.rule("open-object-count")
@pytest.mark.parametrize(
    ("value", "units"),
    [
        ("x", 3),
        ("ü€", 4),
        ("😀", 4),
        ("\ud800", 8),
        ('"\\\n\x01', 14),
        ("\x7f\u2028", 4),
        (1.0, 1),
        (1e16, 17),
        (1e20, 21),
        (1e21, 5),
        ([1e20] * 3, 67),
        ({"a": None, "b": [True]}, 21),
    ],
)
def test_json_is_as_long_as_javascript_writes_it(value: JsonValue, units: int) -> None:
    assert longer_than(value, units - 1)
    assert not longer_than(value, units)


# Numbers as they were sent


@pytest.mark.rule("open-object-tidy", "open-object-digits")
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("9007199254740991", 9007199254740991),
        ("9007199254740992", "9007199254740992"),
        ("-9007199254740991", -9007199254740991),
        ("-9007199254740992", "-9007199254740992"),
        ("9007199254740991.4", 9007199254740991.4),
        ("9007199254740991.5", "9007199254740991.5"),
        ("9007199254740992.00", "9007199254740992.00"),
        ("1E+300", "1E+300"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("1.0", 1.0),
        ("1e-400", 0.0),
        ("true", True),
    ],
)
def test_a_number_beyond_the_safe_integers_becomes_its_digits_as_sent(sent: str, kept: JsonValue) -> None:
    for endpoint, place in OPEN:
        whole = with_open(endpoint, place, {"n": "NUMBER", "deep": {"n": "NUMBER"}, "list": ["NUMBER"]})
        found = open_object(normalised(endpoint, parsed(json.dumps(whole).replace('"NUMBER"', sent))), place)
        assert json_text(found) == json_text({"n": kept, **json.loads(f'{{"deep":{{"n":{sent}}},"list":[{sent}]}}')})


@pytest.mark.rule("malformed")
def test_what_no_double_holds_is_refused_as_before() -> None:
    for text in ("1e400", "-1e400", "1" * 400, '{"a":NaN}', "[" * 201 + "]" * 201):
        assert body.parse(text.encode(), keeps_digits=True) == body.parse(text.encode())
        assert isinstance(body.parse(text.encode()), Reason)


@pytest.mark.rule("open-object-digits")
def test_of_a_key_that_stands_twice_the_last_value_counts() -> None:
    sent = parsed('{"eventProperties":{"a":1e300,"":1,"a":2e300,"":2}}')
    assert normalised("track", sent)["eventProperties"] == {"a": "2e300"}


def test_a_large_number_stays_a_number_wherever_no_open_object_has_it_at_its_top() -> None:
    sent = parsed('{"time":1e300,"defaultProperties":{"screen_width":1e300},"userProperties":{"zip":[1e300]}}')
    assert json_text(normalised("track", sent)) == json_text(sent)
    assert json_text(sent) == json_text(json.loads(json_text(sent)))


# Open objects


@pytest.mark.rule("open-object-tidy")
def test_empty_keys_are_removed_at_every_level_and_arrays_are_cut() -> None:
    value: Any = {"": 1, "a": {"": {"x": 1}, "b": [{"": 1, "c": 2}]}, "l": [[*range(300)]] * 251}
    tidy = {"a": {"b": [{"c": 2}]}, "l": [[*range(250)]] * 250}
    for endpoint, place in OPEN:
        assert open_object(normalised(endpoint, with_open(endpoint, place, value)), place) == tidy
        others: list[Any] = [None, "x", 5, [{"": 1}]]
        for other in others:
            assert open_object(normalised(endpoint, with_open(endpoint, place, other)), place) == other


def keys(count: int) -> JsonValue:
    return {"": "removed", **{f"k{number}": {str(inner): 1 for inner in range(300)} for number in range(count)}}


def levels(count: int, inside: JsonValue = 1) -> JsonValue:
    value: JsonValue = {"last": inside}
    for _ in range(count - 1):
        value = {"in": value}
    return value


def of_length(units: int) -> JsonValue:
    """Return an object whose JSON has *units* UTF-16 code units, and more bytes in UTF-8."""
    filling = units - len('{"a":""}')
    return {"a": "€" * (filling % 2) + "😀" * (filling // 2)}


LIMITS: list[tuple[Any, tuple[tuple[str, ...], str] | None]] = [
    (keys(200), None),
    (keys(201), ((), "must not have more than 200 keys, got 201")),
    (levels(5, [{"a": {"b": 1}}]), None),
    (levels(5, {"": {}}), (("in",) * 4 + ("last",), "must not have more than 5 levels of objects")),
    (levels(5, {}), (("in",) * 4 + ("last",), "must not have more than 5 levels of objects")),
    ({"": levels(9), "a": 1}, None),
    (of_length(LARGEST), None),
    (of_length(LARGEST + 1), ((), "must not be longer than 1048575 UTF-16 code units as JSON")),
    ({"a": ["x"] * 250}, None),
    ({"a": ["x" * 5000] * 251, "": "x" * LARGEST}, ((), "must not be longer than 1048575 UTF-16 code units as JSON")),
    ({"a": ["x" * 4000] * 250 + ["x" * LARGEST]}, None),
]


@pytest.mark.rule("open-object-limits", "open-object-count")
@pytest.mark.parametrize(("value", "problem"), LIMITS)
def test_an_open_object_is_refused_from_its_limits_on(
    value: JsonValue, problem: tuple[tuple[str, ...], str] | None
) -> None:
    for endpoint, place in OPEN:
        found = checked(endpoint, with_open(endpoint, place, value))
        if problem is None:
            assert not isinstance(found, Problem)
            continue
        inner, message = problem
        assert found == Problem("".join(f"/{name}" for name in (*place, *inner)), message, LIMITS_RULE)


def test_the_place_of_a_refusal_has_long_names_cut() -> None:
    found = checked("track", with_open("track", ("eventProperties",), {"n" * 500: levels(5)}))
    assert isinstance(found, Problem)
    assert len(found.path) < 250


# Any body: what needs no normalisation is the same in both revisions, and it is enough to normalise once.

TEXTS = st.text("a \ufeff€😀\ud800", max_size=3) | st.sampled_from([" x ", "\ufeffx", "", " ", "\x85x", "€😀"])
NUMBERS = st.integers(-(2**64), 2**64) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
FREE = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8
)
NAMED = {
    "track": NEW.bodies.single["track"].shape,
    "identify": NEW.bodies.single["identify"].shape,
    "row": NEW.bodies.row.shape,
}


def some(names: Iterable[str], inner: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Properties]:
    """Draw an object with some of *names*, and values that may be wrong; of some names *inner* ones."""
    objects = [st.fixed_dictionaries({}, optional={name: value}) for name, value in inner.items()]
    return st.tuples(st.dictionaries(st.sampled_from(sorted(names)), FREE, max_size=4), *objects).map(
        lambda parts: {name: value for part in parts for name, value in part.items()}
    )


def bodies() -> st.SearchStrategy[tuple[str, Properties]]:
    """Draw an endpoint and a body for it."""

    def of(endpoint: str) -> st.SearchStrategy[tuple[str, Properties]]:
        shape = NAMED[endpoint]
        inner = {name: some(closed.known, {}) for name, closed in shape.closed.items()}
        return st.tuples(st.just(endpoint), some(shape.known, inner))

    return st.sampled_from(ENDPOINTS).flatmap(of)


@given(bodies())
@settings(max_examples=300)
def test_normalising_twice_is_normalising_once(drawn: tuple[str, Properties]) -> None:
    endpoint, sent = drawn
    once = normalised(endpoint, sent)
    assert json_text(normalised(endpoint, once)) == json_text(once)
    assert once.keys() == sent.keys()


PLAIN_TEXT = st.text("ab c€", min_size=1, max_size=6).map(lambda text: f"x{text}x")
PLAIN_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER) | st.just(1.0) | PLAIN_TEXT,
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)
PLAIN_OBJECT = st.dictionaries(PLAIN_TEXT, PLAIN_VALUES | st.dictionaries(PLAIN_TEXT, PLAIN_VALUES), max_size=4)


def plain_strings(part: str) -> st.SearchStrategy[dict[str, str | None]]:
    """Draw strings, or null, for any of the names that 2026-05 has for strings in *part*."""
    properties = request_schemas(OLD.document)["track"].properties[part].properties
    names = [name for name, schema in properties.items() if schema.type == "string" and not schema.any_json]
    return st.dictionaries(st.sampled_from(names), PLAIN_TEXT | st.none())


def message(config: AccountConfig, endpoint: str, sent: Properties) -> Message:
    whole: Properties = {"token": "t", "events": [sent]} if endpoint == "row" else sent
    name = "batch" if endpoint == "row" else endpoint
    content = json.dumps(whole).encode()
    request = Request("a", name, "POST", f"/{name}", "application/json", "", content, False, 1, NOW, 0.0)
    (arrival,) = CONTRACT.read(request, config).arrivals
    assert isinstance(arrival, Message), arrival
    return arrival


@given(
    st.sampled_from(ENDPOINTS),
    PLAIN_OBJECT,
    PLAIN_OBJECT,
    plain_strings("userProperties"),
    plain_strings("defaultProperties"),
    PLAIN_VALUES,
)
def test_a_message_that_needs_no_normalisation_is_the_same_in_both_revisions(
    endpoint: str,
    free: Properties,
    consent: Properties,
    user: Properties,
    default: Properties,
    zip_code: JsonValue,
) -> None:
    sent: Properties = {
        **BODIES[endpoint],
        "externalId": "x y",
        "userProperties": {**user, "zip": zip_code, "custom_properties": free, "consent": consent},
        "defaultProperties": {**default, "unheard": 1},
        **({} if endpoint == "identify" else {"eventProperties": free}),
    }
    old, new = (message(AccountConfig("a", each), endpoint, sent) for each in (OLD, NEW))
    for name in ("event", "identity", "distinct_id", "time", "identity_context", "hints"):
        assert getattr(old, name) == getattr(new, name)
    assert content_of(old) == content_of(new)
    for name in ("event_properties", "user_properties", "default_properties"):
        assert json_text(getattr(old, name)) == json_text(getattr(new, name))


def test_a_revision_without_normalisations_parses_and_checks_as_before() -> None:
    assert OLD.normalisations == ()
    sent: Properties = {"eventProperties": {"": 1, "a": [*range(300)]}}
    assert OLD.normalised("track", sent) is sent
    number = body.parse(b"1e300")
    assert type(number) is float
    assert math.isfinite(number)
