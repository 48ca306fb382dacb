"""The name that a visitor is found by because of a phone number (rules phone-match, phone-form)."""

import re
from typing import Literal

from pydantic import JsonValue

from ours_emulator.javascript import number_text

PHONE: Literal["phone_number"] = "phone_number"
"""The property that has it, and the kind of the identifier."""
_FORMATTING = str.maketrans("", "", " -.()/")
_NUMBER = re.compile(r"(?:\+|00(?=[0-9]))?([0-9]+)")


def phone_name(value: JsonValue) -> str | None:
    """Return what the phone number *value* is compared as; None if it is no text or number, or has no digit."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = number_text(value)
    if not isinstance(value, str):
        return None
    number = _NUMBER.fullmatch(value.translate(_FORMATTING))
    if number is not None:
        return number[1]
    return value if any(map(str.isdecimal, value)) else None
