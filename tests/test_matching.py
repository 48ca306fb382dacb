"""The match grammar by itself: what fits, what misses and why, and what cannot be meant."""

import json
from typing import Any

import pytest
from pydantic import JsonValue

from ours_emulator.jsontext import PLAIN, Shape
from ours_emulator.matching import MAX_CONDITIONS, MAX_LEVELS, MatchError, closest, compiled
from ours_emulator.patterns import Pattern

SHAPE: Shape = {
    "id": PLAIN,
    "event": PLAIN,
    "visitor_id": PLAIN,
    "event_properties": None,
    "visitor_properties": None,
    "hints": None,
    "reason": {"rule": PLAIN, "path": PLAIN},
}
VIEW: dict[str, JsonValue] = {
    "id": 17,
    "event": "Purchase",
    "visitor_id": None,
    "event_properties": {
        "amount": 99.99,
        "count": 1,
        "gift": True,
        "note": None,
        "empty": "",
        "a.b": {"c.d": 5},
        "cart": {"items": [{"sku": "A", "n": 1}, {"sku": "B", "n": 2}], "coupon": "SUMMER"},
        "$lib": "web",
    },
    "visitor_properties": None,
    "hints": [{"rule": "unknown-keys", "path": "/x"}],
    "reason": None,
}
FITS: list[dict[str, JsonValue]] = [
    {},
    {"event": "Purchase"},
    {"id": 17},
    {"id": 17.0},
    {"event_properties": {}},
    {"event_properties": {"amount": 99.99}},
    {"event_properties.amount": 99.99},
    {"event_properties": {"cart": {"coupon": "SUMMER"}}},
    {"event_properties.cart.coupon": "SUMMER"},
    {"event_properties": {"cart.coupon": "SUMMER"}},
    {"event_properties.a.b.c.d": 5},
    {"event_properties": {"a.b": {"c.d": 5}}},
    {"event_properties.cart.items.1.sku": "B"},
    {"event_properties.cart.items": [{"sku": "A"}, {"n": 2}]},
    {"event_properties.cart.items": [{"$any": True}, {"sku": {"$regex": "B"}}]},
    {"event_properties.note": None},
    {"event_properties.note": {"$any": True}},
    {"event_properties.empty": ""},
    {"event_properties.$lib": "web"},
    {"event_properties.coupon": {"$absent": True}},
    {"visitor_id": None},
    {"visitor_id": {"$absent": True}},
    {"reason": None},
    {"reason.rule": {"$absent": True}},
    {"reason.rule": None},
    {"visitor_properties": {"$absent": True}},
    {"visitor_properties.email": {"$absent": True}},
    {"hints": [{"rule": "unknown-keys"}]},
    {"hints.0.rule": "unknown-keys"},
    {"event": {"$regex": "urch"}},
    {"event": {"$any": True}},
    {"event": {"$ne": "purchase"}},
    {"event": {"$in": ["Refund", "Purchase"]}},
    {"event_properties.coupon": {"$ne": "SUMMER"}},
    {"event_properties.count": {"$ne": True}},
    {"event_properties.amount": {"$gt": 99, "$lt": 100}},
    {"event_properties.count": {"$gte": 1, "$lte": 1.0}},
    {"event": {"$gt": "P", "$lt": "Q"}},
]
MISSES: list[tuple[dict[str, JsonValue], str, Any, Any, str]] = [
    ({"event": "purchase"}, "event", "purchase", "Purchase", "differs only in upper and lower case"),
    ({"event": " Purchase"}, "event", " Purchase", "Purchase", "differs only in the spaces around it"),
    ({"event": "Refund"}, "event", "Refund", "Purchase", "another value"),
    ({"event": 5}, "event", 5, "Purchase", "a string, not a number"),
    ({"event": None}, "event", None, "Purchase", "a string, not null"),
    ({"visitor_id": "u"}, "visitor_id", "u", None, "not there"),
    ({"visitor_id": {"$any": True}}, "visitor_id", {"$any": True}, None, "not there"),
    ({"visitor_id": {"$ne": None}}, "visitor_id", {"$ne": None}, None, "equal"),
    ({"event_properties.count": True}, "event_properties.count", True, 1, "a number, not a boolean"),
    ({"event_properties.gift": 1}, "event_properties.gift", 1, True, "a boolean, not a number"),
    ({"event_properties.amount": "99.99"}, "event_properties.amount", "99.99", 99.99, "a number, not a string"),
    ({"event_properties.amout": 1}, "event_properties.amout", 1, None, "not there"),
    ({"event_properties.amout": None}, "event_properties.amout", None, None, "not there"),
    ({"event_properties.amount.x": 1}, "event_properties.amount.x", 1, None, "not there"),
    ({"event_properties.note": {"$absent": True}}, "event_properties.note", {"$absent": True}, None, "is there"),
    ({"event_properties.amount": {}}, "event_properties.amount", {}, 99.99, "a number, not an object"),
    ({"event_properties.amount": []}, "event_properties.amount", [], 99.99, "a number, not a list"),
    ({"hints": []}, "hints", [], [{"rule": "unknown-keys", "path": "/x"}], "1 items, not 0"),
    ({"hints": [{"rule": "dedup"}]}, "hints.0.rule", "dedup", "unknown-keys", "another value"),
    ({"hints.1.rule": "dedup"}, "hints.1.rule", "dedup", None, "not there"),
    ({"event": {"$regex": "^urch"}}, "event", {"$regex": "^urch"}, "Purchase", "does not match"),
    ({"id": {"$regex": "17"}}, "id", {"$regex": "17"}, 17, "a number, not a string"),
    ({"id": {"$gt": 17}}, "id", {"$gt": 17}, 17, "not greater"),
    ({"id": {"$gte": 18}}, "id", {"$gte": 18}, 17, "less"),
    ({"id": {"$lt": 17}}, "id", {"$lt": 17}, 17, "not less"),
    ({"id": {"$lte": 16}}, "id", {"$lte": 16}, 17, "greater"),
    ({"id": {"$gt": "1"}}, "id", {"$gt": "1"}, 17, "a number, not a string"),
    ({"event_properties.gift": {"$gt": 0}}, "event_properties.gift", {"$gt": 0}, True, "a boolean, not a number"),
    ({"event": {"$in": ["A"]}}, "event", {"$in": ["A"]}, "Purchase", "not one of them"),
    ({"event_properties.x": {"$in": ["A"]}}, "event_properties.x", {"$in": ["A"]}, None, "not there"),
    ({"event_properties.gift": {"$in": [1]}}, "event_properties.gift", {"$in": [1]}, True, "not one of them"),
    ({"reason": {}}, "reason", {}, None, "null, not an object"),
]
REFUSED: list[tuple[JsonValue, str]] = [
    ({"evnt": "x"}, "match.evnt: unknown field; did you mean event?"),
    ({"zzz": "x"}, "match.zzz: unknown field; use one of id, event, "),
    ({"": "x"}, "match.: unknown field"),
    ({"event_properties..a": 1}, "match.event_properties..a: empty name in path; remove a dot; a name that has such"),
    ({"event_properties.": 1}, "match.event_properties.: empty name in path; "),
    ({"event_properties.a.": 1}, "match.event_properties.a.: empty name in path; "),
    ({"reason.rul": "x"}, "match.reason.rul: unknown field; did you mean rule?"),
    ({"reason": {"rul": "x"}}, "match.reason.rul: unknown field; did you mean rule?"),
    ({"event.name": "x"}, "match.event.name: event is a plain value with nothing inside"),
    ({"event": {"name": "x"}}, "match.event: event is a plain value, not an object"),
    ({"event": ["x"]}, "match.event: event is a plain value, not a list"),
    ({"event": {"$regexp": "x"}}, "match.event.$regexp: unknown operator; did you mean $regex?"),
    ({"event": {"$zzz": 1}}, "match.event.$zzz: unknown operator; use one of $regex, $any"),
    ({"event_properties": {"$any": True, "a": 1}}, "match.event_properties.a: fields and operators cannot be mixed"),
    ({"event": {"$regex": 5}}, "match.event.$regex: must be a regular expression, as a string"),
    ({"event": {"$regex": "("}}, "match.event.$regex: ( at position 0 is never closed"),
    (
        {"event": {"$regex": "(" * 5000 + ")" * 5000}},
        "match.event.$regex: the regular expression has 10000 bytes in UTF-8; use at most 1000",
    ),
    (
        {"event": {"$in": ["x"], "$regex": r"\pL{99}" * 6}},
        "match.event.$regex: the regular expression is too large; use smaller counts",
    ),
    (
        {f"event_properties.{n}": {"$regex": r"\pL{150}"} for n in range(9)},
        "match.event_properties.1.$regex: the regular",
    ),
    ({"event": {"$any": False}}, "match.event.$any: must be true; use $absent for a field that must be missing"),
    ({"event": {"$absent": 1}}, "match.event.$absent: must be true; use $any for a field that must be there"),
    ({"id": {"$gt": None}}, "match.id.$gt: must be a number or a string"),
    ({"id": {"$lte": True}}, "match.id.$lte: must be a number or a string"),
    ({"id": {"$in": 5}}, "match.id.$in: must be a list of values"),
    ({"id": {"$in": []}}, "match.id.$in: must be a list of values"),
    ({"id": float("nan")}, "match.id: nan is not a JSON number"),
    ({"id": {"$gt": float("inf")}}, "match.id.$gt: inf is not a JSON number"),
    ({"event_properties": {"a": [float("-inf")]}}, "match.event_properties.a.0: -inf is not a JSON number"),
    ({"id": {"$ne": {"a": [float("nan")]}}}, "match.id.$ne: nan is not a JSON number"),
    ({"id": {"$in": [float("nan")]}}, "match.id.$in: nan is not a JSON number"),
    ([], "match: must be an object of fields"),
    (None, "match: must be an object of fields"),
    ("event", "match: must be an object of fields"),
]


@pytest.mark.parametrize("match", FITS, ids=json.dumps)
def test_a_match_fits_what_has_all_it_asks_for(match: dict[str, JsonValue]) -> None:
    made = compiled(match, SHAPE)
    assert made.misses(VIEW) == []
    assert made.fits(VIEW)


@pytest.mark.parametrize(("match", "path", "expected", "actual", "why"), MISSES, ids=lambda it: json.dumps(it)[:60])
def test_a_miss_says_where_what_was_expected_what_is_there_and_why(
    match: dict[str, JsonValue], path: str, expected: Any, actual: Any, why: str
) -> None:
    made = compiled(match, SHAPE)
    (miss,) = made.misses(VIEW)
    assert (miss.path, miss.expected, miss.actual, miss.why) == (path, expected, actual, why)
    assert type(miss.expected) is type(expected)
    assert not made.fits(VIEW)


@pytest.mark.parametrize(("match", "error"), REFUSED, ids=lambda it: str(it)[:60])
def test_what_can_not_be_meant_is_refused_by_its_place(match: JsonValue, error: str) -> None:
    with pytest.raises(MatchError) as caught:
        compiled(match, SHAPE)
    assert str(caught.value).startswith(error)


def test_everything_that_misses_is_told() -> None:
    match: dict[str, JsonValue] = {"event": "x", "event_properties": {"amount": {"$gt": 100, "$lt": 99}, "z": 1}}
    paths = [miss.path for miss in compiled(match, SHAPE).misses(VIEW)]
    assert paths == ["event", "event_properties.amount", "event_properties.amount", "event_properties.z"]


def test_a_match_knows_its_fields_and_what_must_be_equal() -> None:
    match = compiled({"event": "Purchase", "visitor_id": {"$any": True}, "event_properties.a.b": 1}, SHAPE)
    assert match.fields == {"event", "visitor_id", "event_properties"}
    assert (match.text("event"), match.text("visitor_id"), match.text("id")) == ("Purchase", None, None)


def test_a_match_tells_before_it_is_applied_how_much_its_regular_expressions_may_cost() -> None:
    def steps(match: dict[str, JsonValue]) -> int:
        return compiled(match, SHAPE).steps({"event": "x" * 10, "event_properties": {"a": "x" * 100, "b": ["x", 5]}})

    one: JsonValue = {"$regex": "x"}
    size = Pattern("x").size
    assert steps({"event": one}) == 10 * size
    assert steps({"event": {"$regex": "x", "$ne": "y"}, "event_properties": {"a": one}}) == 110 * size
    assert steps({"event_properties.b": [one, one]}) == size
    assert steps({"event": "x", "event_properties": {"c": one, "a": [one]}}) == 0


@pytest.mark.parametrize("levels", [MAX_LEVELS + 1, 500])
def test_a_match_that_is_nested_too_deep_is_refused(levels: int) -> None:
    value: JsonValue = 1
    lists: JsonValue = 1
    for _ in range(levels):
        value, lists = {"a": value}, [lists]
    matches: list[JsonValue] = [
        {"event_properties": value},
        {"event_properties": lists},
        {"event_properties" + ".a" * levels: 1},
        {"id": {"$ne": value}},
        {"id": {"$in": [lists]}},
    ]
    for match in matches:
        with pytest.raises(MatchError, match="nested deeper than 64 levels"):
            compiled(match, SHAPE)


def test_a_match_that_asks_for_too_much_is_refused() -> None:
    properties: dict[str, JsonValue] = {str(number): 1 for number in range(MAX_CONDITIONS + 1)}
    with pytest.raises(MatchError, match="match: has more than 1000 conditions"):
        compiled({"event_properties": properties}, SHAPE)


def test_an_error_is_short_however_long_the_name() -> None:
    with pytest.raises(MatchError) as caught:
        compiled({"x" * 1_000_000: 1}, SHAPE)
    assert len(str(caught.value)) < 300


def test_the_nearest_misses_least_and_then_by_least() -> None:
    match = compiled({"event": "Purchase", "event_properties.amount": 1}, SHAPE)
    views: list[dict[str, JsonValue]] = [
        {"event": "Zzz", "event_properties": {}},
        {"event": "Zzz", "event_properties": {"amount": 1}},
        {"event": "purchase ", "event_properties": {"amount": 1}},
        {"event": "Purchase", "event_properties": {"amount": "1"}},
    ]
    ranked = sorted(views, key=lambda view: closest(match.misses(view)))
    assert [views.index(view) for view in ranked] == [2, 3, 1, 0]
