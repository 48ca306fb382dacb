"""What JavaScript, in which the vendor validates, makes of JSON: white space, texts of numbers, lengths of texts."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal

from pydantic import JsonValue
from pydantic_core import PydanticSerializationError, to_json

MAX_SAFE_INTEGER = 2**53 - 1
WHITE_SPACE = "".join(
    map(chr, (*range(0x09, 0x0E), 0x20, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000))
) + chr(0xFEFF)
"""What `trim` removes (ECMA-262, WhiteSpace and LineTerminator). Python's `strip` differs: it keeps U+FEFF."""
_MAX_PLAIN_DIGITS = 21
_MAX_LEADING_ZEROS = 6
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = len("\\ud800")
# The worst is a list of numbers: "1e20," has 5 bytes, and 22 units when it is written as JavaScript does.
_MAX_UNITS_PER_BYTE = 5


class SentNumber(float):
    """A number beyond the safe integers that was not sent as an integer, with its digits as they were sent."""

    digits: str

    @classmethod
    def read(cls, digits: str) -> "SentNumber":
        """Return the number written as *digits*."""
        number = cls(digits)
        number.digits = digits
        return number


def sent_digits(number: float) -> str:
    """Return *number* as it was sent; an integer is always written the same way."""
    if isinstance(number, SentNumber):
        return number.digits
    return str(number) if isinstance(number, int) else number_text(number)


def number_text(number: float) -> str:
    """Return what `String()` makes of *number*: 123, 1.5, 1e+21 (ECMA-262, Number::toString)."""
    value = float(number)
    if value == 0:
        return "0"
    # Both languages write the fewest digits that are read as the same number.
    sign, digits, exponent = Decimal(float.__repr__(value)).normalize().as_tuple()
    return ("-" if sign else "") + _written("".join(map(str, digits)), len(digits) + int(exponent))


def _written(digits: str, point: int) -> str:
    """Return *digits* with the decimal point after *point* of them, which may be none, or more than there are."""
    if len(digits) <= point <= _MAX_PLAIN_DIGITS:
        return digits.ljust(point, "0")
    if 0 < point <= _MAX_PLAIN_DIGITS:
        return f"{digits[:point]}.{digits[point:]}"
    if -_MAX_LEADING_ZEROS < point <= 0:
        return f"0.{'0' * -point}{digits}"
    mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
    return f"{mantissa}e{point - 1:+d}"


def longer_than(value: JsonValue, limit: int) -> bool:
    """Tell whether `JSON.stringify(value)` has more than *limit* UTF-16 code units."""
    try:
        if len(to_json(value)) * _MAX_UNITS_PER_BYTE <= limit:
            return False
    except PydanticSerializationError:
        # It has a lone surrogate.
        pass
    return _units(value) > limit


def _units(value: JsonValue) -> int:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    units = len(text.encode("utf-16-le", "surrogatepass")) // 2
    escaped = len(_LONE_SURROGATE.findall(text)) * (_ESCAPED_SURROGATE - 1)
    return units + escaped + sum(len(number_text(number)) - len(float.__repr__(number)) for number in _floats(value))


def _floats(value: JsonValue) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _floats(item)
