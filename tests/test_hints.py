"""What a body says that will not be kept as meant: dropped names."""

import pytest
from pydantic import JsonValue

from looping import case
from ours_emulator.contract.compile import Shape, compile_body, request_schemas
from ours_emulator.contract.hints import unknown_keys
from ours_emulator.contract.revision import revision
from ours_emulator.model import Properties

MOST = 20
OWN = "put your own properties into custom_properties"


def shapes() -> dict[str, Shape]:
    schemas = request_schemas(revision().document)
    row = schemas["batch"].properties["events"].items
    assert row is not None
    named = {"track": schemas["track"], "identify": schemas["identify"], "row": row}
    return {name: compile_body(schema, strict_openapi=False).shape for name, schema in named.items()}


SHAPES = shapes()
TRACK = SHAPES["track"]


def dropped(sent: JsonValue, body: str = "track") -> list[tuple[str, str]]:
    found = unknown_keys(SHAPES[body], sent, revision("2026-10"))
    assert {hint.rule for hint in found} <= {"unknown-keys"}
    return [(hint.path, hint.message) for hint in found]


# Unknown names

FULL: Properties = {
    "event": "Purchase",
    "token": "t",
    "userId": "u",
    "externalId": "x",
    "email": "a@b.co",
    "time": 1,
    "distinctId": "d",
    "eventProperties": {"firstName": "free", "properties": "free", "": "free"},
    "userProperties": {
        "first_name": "Ann",
        "custom_properties": {"plan": "pro", "firstName": "free"},
        "consent": {"plan": "yes"},
    },
    "defaultProperties": {"title": "Home", "sessionCount": 1},
    "identityContext": {"ip": "1.2.3.4", "userAgent": "x"},
}


@pytest.mark.rule("unknown-keys")
@pytest.mark.parametrize("sent", [FULL, {"event": "e", "token": "t"}, {}])
def test_a_clean_body_gives_no_hint(sent: Properties) -> None:
    assert dropped(sent) == []


@pytest.mark.parametrize("sent", [None, True, 5, 1.5, "properties", [], [{"properties": 1}]])
def test_what_is_no_object_gives_no_hint(sent: JsonValue) -> None:
    assert dropped(sent) == []
    assert dropped({"userProperties": sent, "defaultProperties": sent}) == []


@pytest.mark.rule("unknown-keys")
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("properties", "eventProperties"),
        ("Properties", "eventProperties"),
        ("traits", "userProperties"),
        ("timestamp", "time"),
        ("messageId", "distinctId"),
        ("user_id", "userId"),
        ("external_id", "externalId"),
        ("distinct_id", "distinctId"),
        ("distinct-id", "distinctId"),
        ("event_properties", "eventProperties"),
        ("user_properties", "userProperties"),
        ("identity_context", "identityContext"),
        ("Event", "event"),
        ("EMAIL", "email"),
        ("evnet_properties", "eventProperties"),
        ("userPropertys", "userProperties"),
        ("user id", "userId"),
    ],
)
def test_a_name_like_one_at_the_top_is_taken_for_it(name: str, meant: str) -> None:
    assert dropped({"event": "e", name: 1}) == [(f"/{name}", f"dropped; did you mean {meant}?")]


@pytest.mark.rule("unknown-keys")
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("first_name", "userProperties.first_name"),
        ("firstName", "userProperties.first_name"),
        ("lastName", "userProperties.last_name"),
        ("phone_number", "userProperties.phone_number"),
        ("custom_properties", "userProperties.custom_properties"),
        ("customProperties", "userProperties.custom_properties"),
        ("consent", "userProperties.consent"),
        ("screen_width", "defaultProperties.screen_width"),
        ("screenWidth", "defaultProperties.screen_width"),
        ("current_url", "defaultProperties.current_url"),
    ],
)
def test_a_name_that_lives_one_level_down_is_shown_its_home(name: str, meant: str) -> None:
    for body in ("track", "identify", "row"):
        with case(body):
            assert dropped({name: 1}, body) == [(f"/{name}", f"dropped; did you mean {meant}?")]


@pytest.mark.rule("unknown-keys")
@pytest.mark.parametrize(
    ("inner", "name", "advice"),
    [
        ("userProperties", "firstName", "did you mean first_name?"),
        ("userProperties", "phoneNumber", "did you mean phone_number?"),
        ("userProperties", "externalId", "did you mean external_id?"),
        ("userProperties", "dateOfBirth", "did you mean date_of_birth?"),
        ("userProperties", "customProperties", "did you mean custom_properties?"),
        ("userProperties", "plan", OWN),
        ("userProperties", "name", OWN),
        ("userProperties", "properties", OWN),
        ("defaultProperties", "screenWidth", "did you mean screen_width?"),
        ("defaultProperties", "session_count", "did you mean sessionCount?"),
        ("defaultProperties", "utmSource", "did you mean utm_source?"),
        ("identityContext", "user_agent", "did you mean userAgent?"),
    ],
)
def test_names_inside_are_compared_with_those_beside_them(inner: str, name: str, advice: str) -> None:
    assert dropped({"event": "e", inner: {name: 1}}) == [(f"/{inner}/{name}", f"dropped; {advice}")]


@pytest.mark.rule("unknown-keys")
@pytest.mark.parametrize(
    "sent", [{"color": 1}, {"defaultProperties": {"plan": 1}}, {"identityContext": {"country": 1}}]
)
def test_a_name_like_no_other_is_only_said_to_be_dropped(sent: Properties) -> None:
    ((_, message),) = dropped(sent)
    assert message == "dropped"


@pytest.mark.rule("unknown-keys")
def test_every_level_is_looked_at_in_one_pass() -> None:
    sent: Properties = {
        "properties": {"plan": 1},
        "userProperties": {"plan": 1, "custom_properties": {"plan": 1}},
        "defaultProperties": {"color": 1},
        "identityContext": {"color": 1},
    }
    assert [path for path, _ in dropped(sent)] == [
        "/properties",
        "/userProperties/plan",
        "/defaultProperties/color",
        "/identityContext/color",
    ]


@pytest.mark.rule("unknown-keys")
@pytest.mark.parametrize("path", ["", "/userProperties"])
@pytest.mark.parametrize("many", [1, MOST, MOST + 1, 1000])
def test_at_most_20_names_are_listed_of_one_object(path: str, many: int) -> None:
    names: Properties = {f"zzz{number}": number for number in range(many)}
    found = dropped({path[1:]: names} if path else names)
    assert [where for where, _ in found[:MOST]] == [f"{path}/zzz{number}" for number in range(min(many, MOST))]
    rest = [(path, f"dropped {many - MOST} more unknown keys")] if many > MOST else []
    assert found[MOST:] == rest


@pytest.mark.rule("unknown-keys")
@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("", ""),
        (" ", " "),
        ("_", "_"),
        ("a/b~c", "a~1b~0c"),
        ("line\nbreak", "line\nbreak"),
        ("\r\n\0", "\r\n\0"),
        ("\ud800", "\ud800"),
        ("é😀", "é😀"),
        ("<script>", "<script>"),
        ("x" * 100_000, "x" * 100 + "…"),
    ],
)
def test_any_name_is_told_by_its_pointer(name: str, escaped: str) -> None:
    for path in ("", "/userProperties", "/identityContext"):
        with case(path):
            ((where, message),) = dropped({path[1:]: {name: 1}} if path else {name: 1})
            assert where == f"{path}/{escaped}"
            assert message == (f"dropped; {OWN}" if path == "/userProperties" else "dropped")


@pytest.mark.rule("unknown-keys")
def test_a_hint_never_shows_a_value() -> None:
    secret = "s3cret"
    free: Properties = {"a": [secret], "b": {secret: secret}}
    sent: Properties = {
        "properties": secret,
        "color": {"deep": secret},
        "eventProperties": free,
        "userProperties": {"plan": secret, "zip": [secret], "consent": free, "custom_properties": free},
    }
    hints = unknown_keys(TRACK, sent, revision("2026-10"))
    assert len(hints) == 3
    assert all(secret not in hint.path + hint.message for hint in hints)
