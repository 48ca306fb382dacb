"""JSON as it is stored and sent: the same value for every text, printable ASCII, and its length."""

import itertools
import json
import random
from typing import Any

import pytest

from ours_emulator.jsontext import json_length, json_text, same, stored_json
from ours_emulator.model import Answer, Attempt, Exchange, Question, Receipt, Rejection
from ours_emulator.records import Hint, Reason, Resolution, Step, to_json
from ours_emulator.store.writing.rows import receipt_row
from requesting import request_to

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


def _receipt(chance: random.Random) -> Receipt:
    """A receipt with any texts, and with each of its parts or without."""

    def text() -> str:
        return "".join(chance.choices(_CHARACTERS, k=chance.randrange(4)))

    hints = tuple(Hint(text(), text(), text()) for _ in range(chance.randrange(3)))
    steps = tuple(Step(text(), text(), chance.choice(("matched", "skipped"))) for _ in range(chance.randrange(3)))
    resolution = Resolution(chance.choice((None, text())), chance.random() < 0.5, steps)
    rejection = Rejection("track", None, Reason("schema", text(), text(), chance.choice((None, 400)), None))
    arrival = rejection if chance.random() < 0.5 else Question("track", (), (), {})
    return Receipt(1, arrival, "accepted", hints, resolution=chance.choice((None, resolution)))


def test_the_explanation_of_an_event_is_stored_as_any_other_json() -> None:
    chance = random.Random(2)
    request = request_to("track")
    for _ in range(2_000):
        receipt = _receipt(chance)
        exchange = Exchange(1, Attempt(1, 1), 1, request, [receipt], Answer(200, b"", {}))
        resolution = None if receipt.resolution is None else to_json(receipt.resolution)
        if resolution is not None:
            for step in resolution["steps"]:
                del step["why"]
        reason = to_json(receipt.arrival.reason) if isinstance(receipt.arrival, Rejection) else None
        parts = {"resolution": resolution, "hints": list(map(to_json, receipt.hints)), "reason": reason}
        assert receipt_row(exchange, receipt)[-1] == json_text(parts)
