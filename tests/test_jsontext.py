"""JSON as it is stored and sent: the same value for every text, printable ASCII, and its length."""

import itertools
import json
import random
from typing import Any

import pytest

from ours_emulator.jsontext import json_length, json_text, same, stored_json

_CHARACTERS = 'aé\x00\x1f\x7f\x80"\\/\udfff\u2028\ufeff\U0001f600 \b\n'
_NUMBERS = (0, -1, 2**53, 2**64, -(10**40), 0.0, -0.0, 1e-5, 1e16, 1e22, 5e-324, 1.7976931348623157e308)


def _value(chance: random.Random, level: int = 0) -> Any:
    text = "".join(chance.choices(_CHARACTERS, k=chance.randrange(5)))
    kind = chance.randrange(8 if level < 4 else 4)
    if kind < 4:
        return (text, chance.choice(_NUMBERS), chance.choice((None, True, False)), chance.random())[kind]
    if kind < 6:
        return [_value(chance, level + 1) for _ in range(3)]
    return {f"{text}{number}": _value(chance, level + 1) for number in range(3)}


def test_a_value_is_printable_ascii_as_json_and_comes_back_as_it_was() -> None:
    chance = random.Random(1)
    for _ in range(5_000):
        value = _value(chance)
        text = json_text(value)
        assert text.isascii()
        assert text.isprintable()
        # `repr` tells 1 from 1.0 and from true, and 0.0 from -0.0.
        assert repr(json.loads(text)) == repr(stored_json(text)) == repr(value)
        assert same(json.loads(text), value)
        assert json_length(value) == len(text)


@pytest.mark.parametrize("levels", [10, 199, 254, 255, 300])
def test_a_deep_value_is_written_and_read(levels: int) -> None:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    text = json_text(value)
    assert text == "[" * (levels + 1) + "]" * (levels + 1)
    assert stored_json(text) == value


def test_escapes_of_surrogates_are_read_as_python_reads_them() -> None:
    for escapes in itertools.product((r"\ud83d", r"\ude00", "x", r"\n", r"\u00e9"), repeat=4):
        text = '"' + "".join(escapes) + '"'
        assert stored_json(text) == json.loads(text)
