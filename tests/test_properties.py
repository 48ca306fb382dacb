"""null, absent, "" and concrete: what a message makes of a visitor's properties."""

import pytest

from ours_emulator.decide.properties import changes, given, hints, ignored, merged
from ours_emulator.model import Claim, Identity, Properties

BEFORE: Properties = {
    "first_name": "Ann",
    "custom_properties": {"plan": "pro", "seats": 3},
    "consent": {"ads": "yes", "mail": "no"},
}
TOP: Identity = (Claim("external_id", "X", "externalId"), Claim("email", "a@b.co", "email"))


def after(user_properties: Properties) -> Properties:
    return merged(BEFORE, changes(BEFORE, given((), user_properties)))


@pytest.mark.rule("property-set")
@pytest.mark.parametrize("value", ["Bea", " ", 5, 0, False, [], {}, ["x"], {"a": None}])
def test_a_concrete_value_sets(value: Properties) -> None:
    assert after({"phone_number": value}) == {**BEFORE, "phone_number": value}


@pytest.mark.rule("property-null")
def test_null_clears() -> None:
    assert after({"first_name": None}) == {key: value for key, value in BEFORE.items() if key != "first_name"}


@pytest.mark.rule("property-null")
def test_null_for_what_is_not_there_changes_nothing() -> None:
    assert after({"last_name": None}) == BEFORE


@pytest.mark.rule("property-absent")
def test_absent_leaves() -> None:
    assert after({}) == BEFORE


@pytest.mark.rule("property-empty")
@pytest.mark.parametrize("name", ["first_name", "last_name", "phone_number"])
def test_empty_is_ignored(name: str) -> None:
    assert after({name: ""}) == BEFORE


@pytest.mark.rule("custom-merge")
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"seats": 4}, {"plan": "pro", "seats": 4}),
        ({"new": {"deep": None}}, {"plan": "pro", "seats": 3, "new": {"deep": None}}),
        ({"plan": None}, {"plan": "pro", "seats": 3}),
        ({"plan": ""}, {"plan": "pro", "seats": 3}),
        ({}, {"plan": "pro", "seats": 3}),
        ({"plan": False}, {"plan": False, "seats": 3}),
    ],
)
def test_custom_properties_are_merged_one_level_deep(sent: Properties, kept: Properties) -> None:
    assert after({"custom_properties": sent})["custom_properties"] == kept


@pytest.mark.rule("custom-null")
def test_null_clears_no_custom_properties() -> None:
    assert after({"custom_properties": None}) == BEFORE


@pytest.mark.rule("consent-replaced")
@pytest.mark.parametrize("consent", [{"ads": "no"}, {}, {"mail": None, "ads": ""}])
def test_consent_is_replaced_as_a_whole(consent: Properties) -> None:
    assert after({"consent": consent})["consent"] == consent


@pytest.mark.rule("property-null")
def test_null_clears_consent() -> None:
    assert "consent" not in after({"consent": None})


@pytest.mark.rule("claims-stored")
@pytest.mark.parametrize(
    ("user_properties", "stored"),
    [
        ({}, {"external_id": "X", "email": "a@b.co"}),
        ({"email": "other@b.co"}, {"external_id": "X", "email": "other@b.co"}),
        ({"email": ""}, {"external_id": "X", "email": "a@b.co"}),
        ({"email": None}, {"external_id": "X"}),
        ({"external_id": "Y"}, {"external_id": "Y", "email": "a@b.co"}),
    ],
)
def test_identifiers_of_the_top_level_are_stored_unless_user_properties_say_more(
    user_properties: Properties, stored: Properties
) -> None:
    assert merged({}, changes({}, given(TOP, user_properties))) == stored


def test_a_user_id_is_no_property() -> None:
    assert given((Claim("user_id", "U", "userId"),), {}) == {}


def test_what_was_stored_is_never_changed_in_place() -> None:
    before: Properties = {"custom_properties": {"plan": "pro"}, "first_name": "Ann"}
    merged(before, changes(before, {"custom_properties": {"plan": "free"}, "first_name": None}))
    assert before == {"custom_properties": {"plan": "pro"}, "first_name": "Ann"}


@pytest.mark.rule("custom-null")
@pytest.mark.parametrize("sent", [{"custom_properties": None}, {"custom_properties": {"plan": None}}])
def test_null_for_a_custom_property_is_hinted_at(sent: Properties) -> None:
    assert [hint.path for hint in hints(BEFORE, (), sent)] == ["/userProperties/custom_properties"]


@pytest.mark.rule("claims-stored")
def test_null_for_the_identifier_just_given_is_hinted_at() -> None:
    assert [hint.path for hint in hints({}, TOP, given(TOP, {"email": None}))] == ["/userProperties/email"]


def test_ordinary_properties_give_no_hint() -> None:
    assert hints(BEFORE, TOP, given(TOP, {"first_name": None, "custom_properties": {"plan": "x"}})) == []


@pytest.mark.rule("property-empty", "custom-merge")
def test_what_is_empty_is_hinted_at_where_it_was_sent() -> None:
    sent: Properties = {"email": "", "gclid": "g", "first_name": "", "custom_properties": {"a": "", "b": None, "c": 1}}
    assert [(it.rule, it.path, it.message) for it in ignored(sent)] == [
        ("property-empty", "/userProperties", '"" is ignored: email, first_name'),
        ("custom-merge", "/userProperties/custom_properties", '"" is ignored: a'),
    ]
    assert ignored({"gclid": "g", "custom_properties": {"a": 0, "b": False}}) == []


@pytest.mark.rule("claims-stored")
def test_an_identifier_that_is_not_stored_is_hinted_at() -> None:
    claims = (Claim("external_id", "x", "externalId"), Claim("email", "a@b.co", "email"))
    sent: Properties = {"email": "other@b.co", "external_id": "x"}
    found = hints({}, claims, given(claims, sent))
    assert [(it.rule, it.path) for it in found] == [("claims-stored", "/email")]


def test_hints_name_few_of_many_names_and_cut_long_ones() -> None:
    many: Properties = {"custom_properties": {**{f"k{at:02}": "v" for at in range(20)}, "z": "", "n" * 500: None}}
    (empty,) = ignored(many)
    assert empty.message == '"" is ignored: z'
    (null,) = hints({}, (), many)
    assert len(null.message) < 200
    (listed,) = ignored({f"k{at:02}": "" for at in range(25)})
    assert listed.message.endswith("k19 and 5 more")
