"""Derive the OpenAPI document of revision 2026-10: `python scripts/derive_revision.py [--check]`.

The vendor has not published it: it is the document of 2026-05 with the differences in revision_2026_10.json.
With --check nothing is written; the exit code is 1 if the derived file is not up to date.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from generating import write_or_check

DIFFERENCES = Path(__file__).with_name("revision_2026_10.json")
DOCUMENTS = Path(__file__).parent.parent / "app" / "ours_emulator" / "contract" / "documents"
DERIVED = DOCUMENTS / "2026-10.json"
PARTS = ("userProperties", "defaultProperties")


def derived() -> str:
    """Return the text of the document."""
    document = json.loads((DOCUMENTS / "2026-05.json").read_text("utf-8"))
    differences = json.loads(DIFFERENCES.read_text("utf-8"))
    document["info"] = differences["info"]
    for path, operations in document["paths"].items():
        operation = operations["post"]
        operation["description"] = differences["descriptions"].get(path, operation["description"])
        _change_body(operation["requestBody"]["content"]["application/json"]["schema"], path, differences)
    refusals = {status: answer for status, answer in _responses(document["paths"]["/track"]).items() if status != "200"}
    for path, operations in differences["paths"].items():
        _responses(operations).update(refusals)
        document["paths"][path] = operations
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _responses(operations: Any) -> Any:
    return operations["post"]["responses"]


def _change_body(schema: Any, path: str, differences: Mapping[str, Any]) -> None:
    """Change the *schema* of the body that is posted to *path*; of a batch the token and the rows."""
    properties = schema["properties"]
    _change(properties, "", differences)
    rows = properties["events"]["items"]["properties"] if "events" in properties else properties
    if rows is not properties:
        _change(rows, "", differences)
    _mark(rows, differences["to_text"][path], "x-to-text", True)
    for name in rows.keys() & differences["descriptions"].keys():
        rows[name]["description"] = differences["descriptions"][name]
    for part in PARTS:
        rows[part]["properties"] |= differences["added"][part]
        _change(rows[part]["properties"], part, differences)


def _change(properties: Any, part: str, differences: Mapping[str, Any]) -> None:
    """Change those of *properties* that *differences* has for *part*, an object of the body; "" is the body itself."""
    _mark(properties, differences["trimmed"].get(part, ()), "x-trim", True)
    _mark(properties, differences["to_text"].get(part, ()), "x-to-text", True)
    for name in differences["any_json"].get(part, ()):
        properties[name] = {"description": "Any JSON value."}
    for name in properties.keys() & differences["open_objects"].get(part, ()):
        properties[name]["additionalProperties"] = {"description": "Any JSON value."}
        properties[name]["x-open-object"] = differences["open_object"]


def _mark(properties: Any, names: Iterable[str], keyword: str, value: object) -> None:
    for name in names:
        if name in properties:
            properties[name][keyword] = value


if __name__ == "__main__":
    write_or_check(DERIVED, derived())
