"""From the bytes of a body to a JSON value: media type, content coding, size, UTF-8, JSON, depth."""

import json
import math
import zlib
from dataclasses import dataclass
from typing import cast

from pydantic import JsonValue

from ours_emulator.model import Request
from ours_emulator.records import Reason

MAX_DEPTH = 200
_SLICE = 1 << 14
_MOST_MEMBERS = 1000
_CONTAINERS = (dict, list)
_FLOAT_DIGITS = 308


@dataclass(frozen=True, slots=True)
class Statuses:
    """The status an endpoint gives for a wrong media type, a wrong content coding and too large a body."""

    media_type: int
    coding: int
    size: int


def read(request: Request, statuses: Statuses, limit: int) -> JsonValue | Reason:
    """Return the JSON value that *request* carries, or why it carries none.

    *limit* bounds the body in bytes, on the wire and after inflating (rules content-type, encoding, size, malformed).
    """
    media_type = request.content_type.partition(";")[0].strip().lower()
    if media_type != "application/json":
        return Reason("content-type", "", "the content type must be application/json", statuses.media_type)
    return unpacked(request, statuses, limit)


def unpacked(request: Request, statuses: Statuses, limit: int) -> JsonValue | Reason:
    """Return what `read` does, of whatever media type *request* says its body is."""
    coding = request.content_encoding.strip().lower()
    if coding not in ("", "identity", "gzip"):
        return Reason("encoding", "", "the content coding must be gzip or identity", statuses.coding)
    if request.oversized or len(request.body) > limit:
        return Reason("size", "", f"the body is larger than {limit} bytes", statuses.size, limit)
    raw: bytes | None = request.body
    if coding == "gzip":
        try:
            raw = inflate(request.body, limit)
        except zlib.error:
            return Reason("encoding", "", "the body is not valid gzip", 400)
        if raw is None:
            return Reason("size", "", f"the inflated body is larger than {limit} bytes", statuses.size, limit)
    return parse(raw or b"")


def inflate(body: bytes, limit: int) -> bytes | None:
    """Return *body* un-gzipped, or None if that is more than *limit* bytes; never holds much more than *limit*.

    Raises `zlib.error` if *body* is corrupt, cut short, followed by something else than another gzip member, or in
    more than 1000 of them.
    """
    parts: list[bytes] = []
    size = read = members = 0
    # In slices: what follows a member is copied when it ends, and a body may have very many members.
    while read < len(body) or not parts:
        members += 1
        if members > _MOST_MEMBERS:
            raise zlib.error("too many members")
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            taken = member.unconsumed_tail or body[read : read + _SLICE]
            read += 0 if member.unconsumed_tail else len(taken)
            part = member.decompress(taken, _SLICE)
            if not part and not taken:
                raise zlib.error("incomplete")
            size += len(part)
            if size > limit:
                return None
            parts.append(part)
        read -= len(member.unused_data)
    return b"".join(parts)


def parse(raw: bytes) -> JsonValue | Reason:
    """Return the JSON value in *raw*, strictly as RFC 8259 has it, or why there is none (rule malformed)."""
    try:
        value = cast(JsonValue, _decoder.decode(raw.decode("utf-8")))
    except UnicodeDecodeError:
        return _malformed("the body is not UTF-8")
    except RecursionError:
        return _malformed(f"the body is nested deeper than {MAX_DEPTH} levels")
    except OverflowError as error:
        return _malformed(str(error))
    except json.JSONDecodeError as error:
        return _malformed(f"the body is not JSON: {error.msg} at character {error.pos}")
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _deeper_than(value, MAX_DEPTH):
        return _malformed(f"the body is nested deeper than {MAX_DEPTH} levels")
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
        raise OverflowError("the body has a number that no double can hold")
    return number


def _integer(digits: str) -> int:
    if len(digits) > _FLOAT_DIGITS:
        _finite(digits)
    return int(digits)


def _refuse_constant(name: str) -> JsonValue:
    raise OverflowError(f"the body has {name}, which is not JSON")


_decoder = json.JSONDecoder(parse_float=_finite, parse_int=_integer, parse_constant=_refuse_constant)
