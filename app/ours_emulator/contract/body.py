"""From the bytes of a body to a JSON value: media type, content coding, size, UTF-8, JSON, depth."""

import json
import math
import zlib
from dataclasses import dataclass
from typing import cast

from pydantic import JsonValue

from ours_emulator.javascript import MAX_SAFE_INTEGER, SentNumber
from ours_emulator.model import Request
from ours_emulator.records import Reason

# Python's own limit depends on the stack that is left, and what is accepted is encoded and compared recursively later.
MAX_DEPTH = 200
_SLICE_BYTES = 1 << 14
GZIP = ("gzip", "x-gzip")
"""The name of the content coding, and its old name, which means the same (RFC 9110, 8.4.1.3)."""
_BYTE_ORDER_MARK = "\ufeff"
# Real clients send one. A member costs time even if it is empty, and a megabyte has room for fifty thousand.
_MAX_MEMBERS = 1000
_CONTAINERS = (dict, list)
# An integer of so many digits is a finite double for sure; of a longer one that has to be checked (rule malformed).
_FLOAT_DIGITS = 308


@dataclass(frozen=True, slots=True)
class Statuses:
    """The HTTP statuses of an endpoint for a wrong media type, a wrong content coding and a body that is too large."""

    media_type: int
    coding: int
    size: int


def media_type_problem(request: Request, statuses: Statuses) -> Reason | None:
    """Return why the media type of *request* is refused, if it is (rule content-type)."""
    media_type = request.content_type.partition(";")[0].strip().lower()
    if media_type == "application/json":
        return None
    return Reason("content-type", "", "the content type must be application/json", statuses.media_type)


def read(request: Request, statuses: Statuses, limit: int, *, keeps_digits: bool = False) -> JsonValue | Reason:
    """Return the JSON value in the body of *request*, whatever its media type, or why there is none.

    *limit* bounds the body in bytes, on the wire and after inflating (rules encoding, size, malformed, nesting).
    *keeps_digits*: large numbers know how they were sent.
    """
    coding = request.content_encoding.strip().lower()
    if coding not in ("", "identity", *GZIP):
        return Reason("encoding", "", "the content coding must be gzip or identity", statuses.coding)
    if request.oversized or len(request.body) > limit:
        return Reason("size", "", f"the body is larger than {limit} bytes", statuses.size, limit)
    raw: bytes | None = request.body
    if coding in GZIP:
        try:
            raw = inflate(request.body, limit)
        except zlib.error:
            return Reason("encoding", "", "the body is not valid gzip", 400)
        if raw is None:
            return Reason("size", "", f"the inflated body is larger than {limit} bytes", statuses.size, limit)
    return parse(raw or b"", keeps_digits=keeps_digits)


def inflate(body: bytes, limit: int) -> bytes | None:
    """Return *body* inflated, or None if that is more than *limit* bytes; never holds much more than *limit*.

    Raises `zlib.error` if *body* is corrupt, truncated, has more than 1000 gzip members, or has anything else after
    one.
    """
    parts: list[bytes] = []
    size = position = members = 0
    # In slices: zlib copies what follows a member when the member ends, and a body may have very many members.
    while position < len(body) or not parts:
        members += 1
        if members > _MAX_MEMBERS:
            raise zlib.error("too many members")
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            piece = member.unconsumed_tail or body[position : position + _SLICE_BYTES]
            position += 0 if member.unconsumed_tail else len(piece)
            part = member.decompress(piece, _SLICE_BYTES)
            if not part and not piece:
                raise zlib.error("incomplete")
            size += len(part)
            if size > limit:
                return None
            parts.append(part)
        position -= len(member.unused_data)
    return b"".join(parts)


def parse(raw: bytes, *, keeps_digits: bool = False) -> JsonValue | Reason:
    """Return the JSON value in *raw*, strictly by RFC 8259, or why it is not valid (rules malformed, nesting).

    A byte order mark before it is ignored, as the RFC allows (rule byte-order-mark).
    """
    decoder = _exact_decoder if keeps_digits else _decoder
    try:
        value = cast(JsonValue, decoder.decode(raw.decode("utf-8").removeprefix(_BYTE_ORDER_MARK)))
    except UnicodeDecodeError:
        return _malformed("the body is not UTF-8")
    except RecursionError:
        return _TOO_DEEP
    except OverflowError as error:
        return _malformed(str(error))
    except json.JSONDecodeError as error:
        return _malformed(f"the body is not JSON: {error.msg} at character {error.pos}")
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _deeper_than(value, MAX_DEPTH):
        return _TOO_DEEP
    return value


def _malformed(message: str) -> Reason:
    return Reason("malformed", "", message, 400)


def _deeper_than(value: JsonValue, levels: int) -> bool:
    level = [value]
    for _ in range(levels):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
            if isinstance(child, _CONTAINERS)
        ]
        if not level:
            return False
    return True


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise OverflowError("the body has a number that is too large for a 64-bit float")
    return number


def _finite_as_sent(digits: str) -> float:
    number = _finite(digits)
    return number if abs(number) <= MAX_SAFE_INTEGER else SentNumber.read(digits)


def _integer(digits: str) -> int:
    if len(digits) > _FLOAT_DIGITS:
        _finite(digits)
    return int(digits)


def _refuse_constant(name: str) -> JsonValue:
    raise OverflowError(f"the body has {name}, which is not JSON")


_TOO_DEEP = Reason("nesting", "", f"the body is nested deeper than {MAX_DEPTH} levels", 400)
_decoder = json.JSONDecoder(parse_float=_finite, parse_int=_integer, parse_constant=_refuse_constant)
_exact_decoder = json.JSONDecoder(parse_float=_finite_as_sent, parse_int=_integer, parse_constant=_refuse_constant)
