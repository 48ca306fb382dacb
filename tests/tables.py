"""The parts of docs/ that are made from the code; `python tests/tables.py --write` brings them up to date."""

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ours_emulator.contract.rules import load_rules
from ours_emulator.model import REVISIONS
from ours_emulator.settings import ENV_PREFIX, Settings, flag
from reference import (
    action_inputs,
    call_pages,
    command_list,
    command_pages,
    experiment_fields,
    fault_fields,
    limits,
    lookups,
    operators,
    parts,
    table,
)

DOCS = Path(__file__).parent.parent / "docs"


def settings_table() -> str:
    """Return the table of all settings."""
    rows = [
        (f"`{flag(name)}`", f"`{ENV_PREFIX}{name.upper()}`", _default(field.default), field.description or "")
        for name, field in Settings.model_fields.items()
    ]
    return table(("flag", "variable", "default", "effect"), rows)


def rules_table() -> str:
    """Return the table of all rules."""
    rows = [(f"`{rule.id}`", rule.text, f"{rule.basis}: {rule.source}", _only(rule.revisions)) for rule in load_rules()]
    return table(("id", "rule", "basis", "only in"), rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "settings": settings_table,
    "rules": rules_table,
    "commands": command_pages,
    "cli": command_list,
    "calls": call_pages,
    "ci": action_inputs,
    "debug-api": lookups,
    "experiments": experiment_fields,
    "faults": fault_fields,
    "wait-and-verify": operators,
    "limits": limits,
    "design": parts,
}
"""The tables, each by the name of its file, and of the markers it stands between."""


def current(name: str) -> str:
    """Return what docs/NAME.md contains."""
    return (DOCS / f"{name}.md").read_text("utf-8")


def expected(name: str) -> str:
    """Return what docs/NAME.md should contain: the same text with the table as the code has it."""
    between = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    text, found = between.subn(lambda markers: f"{markers[1]}{TABLES[name]()}\n{markers[2]}", current(name))
    if found != 1:
        raise ValueError(f"docs/{name}.md must have <!-- {name} --> and <!-- /{name} --> once; found {found}")
    return text


def _only(names: Sequence[str]) -> str:
    return "" if names == REVISIONS else ", ".join(names)


def _default(value: object) -> str:
    return "" if value in (None, ()) else f"`{json.dumps(value).strip(chr(34))}`"


def main(arguments: Sequence[str]) -> int:
    """Write the tables, or tell which of them are out of date."""
    outdated = [name for name in TABLES if current(name) != expected(name)]
    for name in outdated:
        if "--write" in arguments:
            (DOCS / f"{name}.md").write_text(expected(name), "utf-8")
        print(f"docs/{name}.md {'updated' if '--write' in arguments else 'is out of date; use --write'}")
    return 1 if outdated and "--write" not in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
