"""The README keeps its promises: its commands run as printed, its tables are what the program has."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from ours_emulator.contract.revision import revision
from ours_emulator.settings import ENV_PREFIX, Settings, flag
from serving import serving

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def section(name: str) -> str:
    """What stands between <!-- name --> and <!-- /name -->."""
    found = re.search(f"<!-- {name} -->\n(.*?)<!-- /{name} -->", README, re.DOTALL)
    assert found, name
    return found[1].strip()


def settings_table() -> str:
    rows = ["| flag | variable | default | what it sets |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, ()) else f"`{json.dumps(field.default).strip(chr(34))}`"
        rows.append(f"| `{flag(name)}` | `{ENV_PREFIX}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def rules_table() -> str:
    rows = ["| rule | what it says | basis |", "|---|---|---|"]
    rows += [f"| `{rule.id}` | {rule.text} | {rule.basis}: {rule.source} |" for rule in revision().rules]
    return "\n".join(rows)


def test_the_settings_table_is_what_can_be_set() -> None:
    assert section("settings") == settings_table()


def test_the_rules_table_is_the_contract() -> None:
    assert section("rules") == rules_table()


def commands() -> Iterator[tuple[str, str, str]]:
    """Each shell block with the language and text of the block that shows its output."""
    blocks = BLOCK.findall(README)
    for (language, text), (shown_as, shown) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if language == "sh":
            yield text, shown_as, shown


def contains(actual: JsonValue, shown: JsonValue) -> bool:
    """Whether *actual* has everything that is *shown*."""
    if isinstance(shown, dict):
        fields = actual if isinstance(actual, dict) else {}
        return all(key in fields and contains(fields[key], value) for key, value in shown.items())
    if isinstance(shown, list):
        return isinstance(actual, list) and len(actual) == len(shown) and all(map(contains, actual, shown))
    return actual == shown


def values(text: str) -> Iterator[Any]:
    """The JSON values that follow each other in *text*."""
    decoder = json.JSONDecoder()
    text = text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        yield value
        text = text[end:].strip()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_commands_print_what_the_readme_shows(tmp_path: Path) -> None:
    ran = 0
    with serving() as server:
        here = str(Path(sys.executable).parent)
        environment = {
            **os.environ,
            "PATH": os.pathsep.join([here, os.environ.get("PATH", "")]),
            "OURS_EMULATOR_URL": server.url,
        }
        for command, shown_as, shown in commands():
            real = command.replace("http://127.0.0.1:4010", server.url)
            done = subprocess.run(
                ["sh", "-ec", real],
                capture_output=True,
                text=True,
                timeout=30,
                check=True,
                cwd=tmp_path,
                env=environment,
            )
            if shown_as == "json":
                actual, expected = list(values(done.stdout)), list(values(shown))
                assert len(actual) == len(expected), command
                assert all(contains(a, e) for a, e in zip(actual, expected, strict=True)), (command, actual)
            elif shown_as == "text":
                assert [line for line in shown.splitlines() if line not in done.stdout] == [], done.stdout
            ran += 1
    assert ran >= 7
