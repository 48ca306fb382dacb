"""The rules as data: complete, and each one tested."""

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import get_args

from ours_emulator.contract.revision import revision
from ours_emulator.contract.rules import load_rules, rules_of
from ours_emulator.model import REVISIONS
from ours_emulator.records import Basis, Rule

RULES = load_rules()
TESTS = Path(__file__).parent


def rules_named_by_tests() -> Iterator[str]:
    """Every id in a `@pytest.mark.rule(...)` on a test."""
    for file in TESTS.glob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith("test_"):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.rule":
                    yield from (str(ast.literal_eval(argument)) for argument in mark.args)


def test_every_rule_has_a_test_that_names_it() -> None:
    assert {rule.id for rule in RULES} - set(rules_named_by_tests()) == set()


def test_no_test_names_a_rule_that_is_none() -> None:
    assert set(rules_named_by_tests()) - {rule.id for rule in RULES} == set()


def test_every_rule_has_an_id_of_its_own_and_says_something() -> None:
    for name in REVISIONS:
        assert len({rule.id for rule in rules_of(name)}) == len(rules_of(name)) == len(revision(name).rules)
    for rule in RULES:
        assert rule.text.endswith(".")
        assert rule.source
        assert rule.basis in get_args(Basis)
        # The file that they are read from has no types.
        for field in fields(Rule):
            value = getattr(rule, field.name)
            if field.name == "revisions":
                assert value == tuple(name for name in REVISIONS if name in value) != ()
                continue
            assert isinstance(value, str)
            assert value == " ".join(value.split())


def test_every_reason_and_hint_in_the_code_names_a_rule() -> None:
    ids = {rule.id for rule in RULES}
    source = TESTS.parent / "app" / "ours_emulator"
    places = {"Reason": 0, "Hint": 0, "Refusal": 1, "self._fail": 4}
    found: set[str] = set()
    for file in source.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if isinstance(node, ast.Call) and name in places and len(node.args) > places[name]:
                rule = node.args[places[name]]
                if isinstance(rule, ast.Constant):
                    found.add(name)
                    assert rule.value in ids, f"{file.name}:{node.lineno}"
    assert found == places.keys()
