"""`drift`: exactly what differs between two OpenAPI documents, and one line for what is none."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from looping import case
from ours_emulator.contract.revision import revision
from ours_emulator.contract.rules import load_rules
from ours_emulator.fidelity.change import Change
from ours_emulator.fidelity.documents import MAX_BYTES, DocumentError
from ours_emulator.fidelity.download import downloaded
from ours_emulator.fidelity.drift import drift
from ours_emulator.fidelity.drift_report import DriftReport
from ours_emulator.fidelity.formats import text_of
from ours_emulator.fidelity.touched_rules import touched_rules
from ours_emulator.model import MAX_TOKEN_LENGTH, REVISIONS
from serving import Server

BUNDLED = revision("2026-05").document
DIFFERENCES = json.loads((Path(__file__).parent.parent / "scripts" / "revision_2026_10.json").read_text("utf-8"))
TRACK = "POST /api/v1/track"
IDENTIFY = "POST /api/v1/identify"
ROWS = "POST /api/v1/batch events[]"
Edit = Callable[[Any], object]


def edited(*edits: Edit) -> bytes:
    """Return the bundled document after *edits*."""
    document = json.loads(BUNDLED)
    for edit in edits:
        edit(document)
    return json.dumps(document).encode()


def body(document: Any, path: str = "/track") -> Any:
    """Return the schema of the body posted to *path*."""
    return document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]


def properties(document: Any, path: str = "/track") -> Any:
    return body(document, path)["properties"]


def responses_of(document: Any) -> Any:
    """Return the responses of /track."""
    return document["paths"]["/track"]["post"]["responses"]


def changes(*edits: Edit) -> list[tuple[str, str, str, str, str, str]]:
    """Return what differs after *edits*, without the rules."""
    found = drift(edited(*edits), "2026-05")
    return [(one.action, one.where, one.place, one.what, one.before, one.after) for one in found]


@pytest.mark.parametrize("name", ["2026-05", "2026-10"])
def test_a_bundled_document_does_not_differ_from_itself(name: str) -> None:
    assert drift(revision(name).document, name) == ()


def test_the_next_revision_differs_exactly_as_it_was_derived() -> None:
    found = drift(revision("2026-10").document, "2026-05")
    assert {(one.where, one.place, one.what) for one in found} == set(derived())
    assert len(found) == len(set(derived()))


def derived() -> Iterator[tuple[str, str, str]]:
    """Yield where, which place and what the derived document changes."""
    yield from (("document", "info", name) for name in DIFFERENCES["info"])
    known = json.loads(BUNDLED)
    for path, text in DIFFERENCES["descriptions"].items():
        if path.startswith("/") and known["paths"][path]["post"]["description"] != text:
            yield (f"POST /api/v1{path}", "endpoint", "description")
    yield from ((f"POST /api/v1{path}", "endpoint", "") for path in DIFFERENCES["paths"])
    yield ("POST /api/v1/batch", "token", "x-trim")
    for path, where in (("/track", TRACK), ("/identify", IDENTIFY), ("/batch", ROWS)):
        names = properties(known, path)
        yield from changed_in(where, path, names["events"]["items"]["properties"] if path == "/batch" else names)


def changed_in(where: str, path: str, names: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield what changes in the properties *names* of one body or row."""
    places = {"": names, **{part: names[part]["properties"] for part in ("userProperties", "defaultProperties")}}
    for keyword, key in (("x-trim", "trimmed"), ("x-to-text", "to_text")):
        listed = {**DIFFERENCES[key], "": DIFFERENCES[key].get("", DIFFERENCES[key].get(path))}
        for part, known in places.items():
            yield from ((where, below(part, name), keyword) for name in listed.get(part, ()) if name in known)
    for name in names.keys() & DIFFERENCES["descriptions"].keys():
        yield (where, name, "description")
    for part, added in DIFFERENCES["added"].items():
        yield from ((where, f"{part}.{name}", "") for name in added)
    for part, any_json in DIFFERENCES["any_json"].items():
        for name in any_json:
            yield (where, f"{part}.{name}", "type")
            yield (where, f"{part}.{name}", "description")
    for part, opened in DIFFERENCES["open_objects"].items():
        for name in opened:
            if name in places[part]:
                yield (where, below(part, name), "x-open-object")
                yield (where, below(part, name) + ".*", "type")
                yield (where, below(part, name) + ".*", "description")


def below(part: str, name: str) -> str:
    return f"{part}.{name}" if part else name


def test_the_longest_token_is_the_one_of_the_documents() -> None:
    for name in REVISIONS:
        assert properties(json.loads(revision(name).document))["token"]["maxLength"] == MAX_TOKEN_LENGTH


def test_endpoints_and_statuses_that_come_and_go_are_named() -> None:
    assert changes(lambda document: document["paths"].pop("/batch")) == [
        ("removed", "POST /api/v1/batch", "endpoint", "", "", "")
    ]
    new: Any = {"get": {"summary": "Look up", "responses": {}}}
    assert changes(lambda document: document["paths"].update({"/visitors": new})) == [
        ("added", "GET /api/v1/visitors", "endpoint", "", "", "Look up")
    ]
    assert changes(lambda document: responses_of(document).pop("429")) == [
        ("removed", TRACK, "response 429", "", "", "")
    ]
    assert changes(lambda document: responses_of(document).update({"202": {"description": "Queued"}})) == [
        ("added", TRACK, "response 202", "", "", "")
    ]


def test_names_types_lengths_formats_and_what_is_required_are_compared() -> None:
    assert changes(lambda document: properties(document).pop("email")) == [
        ("removed", TRACK, "email", "", "string or null, minLength 1, maxLength 1000", "")
    ]
    assert changes(lambda document: properties(document).update(color={"type": "string", "maxLength": 5})) == [
        ("added", TRACK, "color", "", "", "string, maxLength 5")
    ]
    for edit, keyword, before, after in (
        ({"type": "integer"}, "type", "string", "integer"),
        ({"nullable": True}, "type", "string", "string or null"),
        ({"maxLength": 500}, "maxLength", "1000", "500"),
        ({"format": "uuid"}, "format", "", "uuid"),
        ({"pattern": "^x"}, "pattern", "", "^x"),
        ({"enum": ["a"]}, "enum", "", '["a"]'),
    ):
        with case(edit):
            (found,) = changes(event_with(edit))
            assert (found[2], found[3], found[4], found[5]) == ("event", keyword, before, after)
    assert changes(lambda document: body(document)["required"].append("userId")) == [
        ("changed", TRACK, "userId", "required", "false", "true")
    ]


def event_with(keywords: Mapping[str, Any]) -> Edit:
    return lambda document: properties(document)["event"].update(keywords)


def test_any_json_is_told_from_a_string_by_how_it_is_written() -> None:
    def string_first(document: Any) -> None:
        properties(document)["eventProperties"]["additionalProperties"] = {"type": "string", "nullable": True}

    assert changes(string_first) == [
        (
            "changed",
            TRACK,
            "eventProperties.*",
            "type",
            "string or null, read as any JSON value",
            "string or null",
        )
    ]


def test_a_change_of_all_bodies_is_one_row_with_its_rules() -> None:
    def longer(document: Any) -> None:
        for names in (properties(document), properties(document, "/identify")):
            names["userId"]["maxLength"] = 500
        properties(document, "/batch")["events"]["items"]["properties"]["userId"]["maxLength"] = 500

    found = drift(edited(longer), "2026-05")
    assert [one.where for one in found] == [TRACK, ROWS, IDENTIFY]
    assert {one.rules for one in found} == {("schema", "identifier", "identity-order", "user-id")}
    read = json.loads(text_of(DriftReport(found, "2026-05", "x.json"), "json"))
    assert [change["where"] for change in read["changes"]] == [[TRACK, ROWS, IDENTIFY]]
    table = text_of(DriftReport(found, "2026-05", "x.json"), "table")
    assert table.startswith("x.json and revision 2026-05: 1 difference, 4 rules touched\n")
    assert "| changed | userId maxLength | 400 | 500 |" in text_of(DriftReport(found, "2026-05", "x.json"), "markdown")


def test_references_and_the_forms_of_openapi_3_1_change_nothing() -> None:
    def with_references(document: Any) -> None:
        document["components"]["schemas"]["Track"] = body(document)
        content = document["paths"]["/track"]["post"]["requestBody"]["content"]
        content["application/json"]["schema"] = {"allOf": [{"$ref": "#/components/schemas/Track"}]}
        track = document["paths"]["/track"]
        document["components"]["path~"] = track
        document["paths"]["/track"] = {"$ref": "#/components/path~0"}

    def with_lists_of_types(document: Any) -> None:
        names = properties(document)
        names["email"] = {**names["email"], "type": ["string", "null"]}
        del names["email"]["nullable"]
        user = {key: value for key, value in names["userId"].items() if key != "nullable"}
        names["userId"] = {"anyOf": [user, {"type": "null"}]}

    def with_base_path(document: Any) -> None:
        for item in document["paths"].values():
            item["post"]["servers"] = [{"url": "https://api.oursprivacy.com"}]
        document["paths"] = {f"/api/v1{path}": item for path, item in document["paths"].items()}

    assert changes(with_references) == []
    assert changes(with_lists_of_types) == []
    assert changes(with_base_path) == []


def test_a_server_that_moved_is_reported() -> None:
    found = drift(
        edited(lambda document: document["servers"][0].update(url="https://eu.example.com/api/v1")), "2026-05"
    )
    assert [(one.what, one.rules) for one in found] == [("servers", ("base-path",))]


def test_what_only_a_derived_document_says_is_not_missed_in_the_vendors() -> None:
    found = drift(BUNDLED, "2026-10")
    assert {one.what for one in found} & {"x-trim", "x-to-text", "x-open-object"} == set()
    assert {"removed"} == {one.action for one in found if one.place == "userProperties.graid"}


def cyclic(document: Any) -> None:
    schemas = document["components"]["schemas"]
    schemas["A"] = {"allOf": [{"$ref": "#/components/schemas/B"}]}
    schemas["B"] = {"allOf": [{"$ref": "#/components/schemas/A"}]}
    properties(document)["event"] = {"$ref": "#/components/schemas/A"}


def laughing(document: Any) -> None:
    schemas = document["components"]["schemas"]
    schemas["L0"] = {"type": "string"}
    for level in range(1, 40):
        schemas[f"L{level}"] = {"allOf": [{"$ref": f"#/components/schemas/L{level - 1}"}] * 2}
    properties(document)["event"] = {"$ref": "#/components/schemas/L39"}


def merging(document: Any) -> None:
    schemas = document["components"]["schemas"]
    schemas["Wide"] = {"properties": {str(at): {} for at in range(2000)}}
    properties(document)["event"] = {"allOf": [{"$ref": "#/components/schemas/Wide"}] * 2000}


def looping(document: Any) -> None:
    document["components"]["schemas"]["A"] = {"$ref": "#/components/schemas/A"}
    properties(document)["event"] = {"$ref": "#/components/schemas/A"}


def refers_to(reference: str) -> Edit:
    return lambda document: properties(document).update(event={"$ref": reference})


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (b"", "not JSON"),
        (b"\xff", "not UTF-8"),
        (b"openapi: 3.0.0\npaths: {}", "looks like YAML"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"paths":' + b'{"a":' * 5000 + b"1" + b"}" * 5001, "nested too deeply"),
        (b"NaN", "NaN"),
        (b"[]", "no object `paths`"),
        (b'{"openapi":"3.0.0","paths":[]}', "no object `paths`"),
        (b'{"swagger":"2.0","paths":{"/a":{}}}', "not an OpenAPI 3 document"),
        (b'{"openapi":"3.0.0","paths":{"/pets":{"get":{}}}}', "none of the endpoints"),
        (b" " * (MAX_BYTES + 1), "larger than"),
        (edited(cyclic), "refers to itself"),
        (edited(looping), "refers to itself"),
        (edited(merging), "too large once its references are resolved"),
        (edited(refers_to("other.json#/Event")), "another document, 'other.json"),
        (edited(refers_to("#/components/nothing")), "nothing at '#/components/nothing'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_can_not_be_compared_is_one_clear_line(content: bytes, shown: str) -> None:
    with pytest.raises(DocumentError) as raised:
        drift(content, "2026-05")
    assert shown in str(raised.value)
    assert "\n" not in str(raised.value)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths to objects and lists in *value*, to the first ones of each."""
    keys: list[Any] = [*(value if isinstance(value, dict) else range(len(value)))]
    for key in keys[:4]:
        if isinstance(value[key], dict | list):
            yield (*path, key)
            yield from places(value[key], (*path, key))


def test_wherever_a_document_has_another_type_it_is_compared_or_refused_in_one_line() -> None:
    document = json.loads(BUNDLED)
    outside = [path for path in places(document) if len(path) < 9]
    for at, path in enumerate(outside):
        value = (5, None, "x", [5], {"x": [5]}, True)[at % 6]
        with case(path, value):
            assert "\n" not in problem_of(edited(partial(put, path=path, value=value)))


def problem_of(content: bytes) -> str:
    """Return why *content* cannot be compared; nothing if it can."""
    try:
        drift(content, "2026-05")
    except DocumentError as error:
        return str(error)
    return ""


def put(document: Any, path: tuple[Any, ...], value: object) -> None:
    *parents, last = path
    for key in parents:
        document = document[key]
    document[last] = value


def test_references_that_double_with_each_level_are_resolved_once() -> None:
    assert [change[2:4] for change in changes(laughing)] == [
        ("event", "minLength"),
        ("event", "maxLength"),
        ("event", "description"),
    ]


def test_a_recursive_schema_that_is_new_is_described_and_not_entered() -> None:
    def tree(document: Any) -> None:
        document["components"]["schemas"]["Tree"] = {
            "type": "object",
            "properties": {"child": {"$ref": "#/components/schemas/Tree"}},
        }
        properties(document)["tree"] = {"$ref": "#/components/schemas/Tree"}

    assert changes(tree) == [("added", TRACK, "tree", "", "", "object")]


def test_a_report_stays_short_and_in_one_line_for_each_row_whatever_a_document_says() -> None:
    many = [Change("added", TRACK, f"n{at}", "", "", "\x1b[2J|" + "x" * 99) for at in range(1500)]
    report = DriftReport(many, "2026-05", "x")
    for text in (text_of(report, "table"), text_of(report, "markdown")):
        assert "and 500 more: --format json" in text
        assert "\x1b" not in text
    assert len(json.loads(text_of(report, "json"))["changes"]) == 1500


def test_the_rules_that_a_change_may_touch_are_rules() -> None:
    touched = touched_rules()
    tables = (touched.name, touched.keyword, touched.status)
    named = {rule for table in tables for rules in table.values() for rule in rules}
    assert named - {rule.id for rule in load_rules()} == set()
    statuses = {status for item in json.loads(BUNDLED)["paths"].values() for status in item["post"]["responses"]}
    assert statuses == touched.status.keys()


def test_a_document_is_downloaded(server: Server) -> None:
    assert downloaded(f"{server.url}/api/v1/openapi", 10) == BUNDLED
    with pytest.raises(DocumentError, match="answered with status 404"):
        downloaded(f"{server.url}/nothing", 10)
