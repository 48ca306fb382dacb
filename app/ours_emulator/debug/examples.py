"""What the debug API answers, one example for each operation: for its OpenAPI document. They are in examples.json."""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, cast

from pydantic import JsonValue

from ours_emulator import __version__
from ours_emulator.model import DEFAULT_REVISION

_DATA: Mapping[str, Any] = json.loads((files("ours_emulator.debug") / "examples.json").read_text("utf-8"))
_RECORDS: Mapping[str, JsonValue] = {**_DATA["records"], "version": __version__, "revision": DEFAULT_REVISION}


def _filled(node: JsonValue) -> JsonValue:
    """Return *node* with records filled in: `"$event"` is that record, and `$like` one that differs in other fields."""
    if isinstance(node, str) and node.startswith("$"):
        return _filled(_RECORDS[node[1:]])
    if isinstance(node, list):
        return [_filled(item) for item in node]
    return _filled_object(node) if isinstance(node, dict) else node


def _filled_object(node: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    record = _filled(f"${node['$like']}") if "$like" in node else {}
    return {**cast(dict[str, JsonValue], record), **{key: _filled(node[key]) for key in node if key != "$like"}}


UNMET = _filled_object(_DATA["unmet"])


def add_to(document: dict[str, Any]) -> None:
    """Put each example where the *document*, an OpenAPI one, describes the answer. FastAPI would leave nulls out.

    What streams has its example where it is declared.
    """
    for path, answers in _DATA["answers"].items():
        for method, answer in answers.items():
            content = document["paths"][path][method]["responses"]["200"]["content"]["application/json"]
            content["example"] = _filled(answer)
