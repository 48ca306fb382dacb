"""From bytes to a JSON value: media type, content coding, size, UTF-8, JSON, depth."""

import gzip
import json
import random
import tracemalloc
import zlib

import pytest
from pydantic import JsonValue

from looping import case
from ours_emulator.contract.body import MAX_DEPTH, Statuses, inflate, media_type_problem, parse, read
from ours_emulator.model import Request
from ours_emulator.records import Reason
from requesting import request_to

LIMIT = 1000
SINGLE = Statuses(media_type=400, coding=400, size=400)
BATCH = Statuses(media_type=415, coding=415, size=413)
BOTH = pytest.mark.parametrize("statuses", [SINGLE, BATCH], ids=["single", "batch"])
MIB = 1 << 20


def request(
    body: bytes, content_type: str = "application/json", content_encoding: str = "", *, oversized: bool = False
) -> Request:
    return request_to("track", body, content_type=content_type, content_encoding=content_encoding, oversized=oversized)


def refused(value: JsonValue | Reason) -> tuple[str, int | None]:
    assert isinstance(value, Reason), value
    assert value.path == ""
    assert value.message
    return value.rule, value.status


def json_of_size(size: int) -> bytes:
    return b'"' + b"x" * (size - 2) + b'"'


def gzip_bomb(wire_at_most: int) -> bytes:
    """Return a gzip body of about *wire_at_most* bytes; each of its bytes inflates to about a thousand."""
    packer = zlib.compressobj(9, wbits=31)
    head = packer.compress(b" ") + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(4 * MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + again * ((wire_at_most - len(head)) // len(again))


# Media type


@pytest.mark.rule("content-type")
@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json ; charset=utf-8; profile=x",
        "application/json;",
        "APPLICATION/JSON",
        "Application/Json; Charset=UTF-8",
        "  application/json  ",
        "\tapplication/json",
    ],
)
def test_json_is_taken_with_any_parameters_case_and_blanks(content_type: str) -> None:
    for statuses in (SINGLE, BATCH):
        with case(statuses):
            sent = request(b'{"a":1}', content_type)
            assert media_type_problem(sent, statuses) is None
            assert read(sent, statuses, LIMIT) == {"a": 1}


@pytest.mark.rule("content-type")
@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "application/json+x",
        "application/ld+json",
        "application",
        "json",
        "; application/json",
        "application/json, text/plain",
    ],
)
def test_another_or_no_media_type_is_refused(content_type: str) -> None:
    for statuses in (SINGLE, BATCH):
        with case(statuses):
            sent = request(b"{}", content_type)
            assert refused(media_type_problem(sent, statuses)) == ("content-type", statuses.media_type)
            # The body can still be read, for a fault that matches by token.
            assert read(sent, statuses, LIMIT) == {}


# Content coding


@pytest.mark.rule("encoding")
@pytest.mark.parametrize("coding", ["", " ", "identity", "Identity", " IDENTITY "])
def test_a_plain_body_is_taken_as_it_is(coding: str) -> None:
    for statuses in (SINGLE, BATCH):
        with case(statuses):
            assert read(request(b"[1]", content_encoding=coding), statuses, LIMIT) == [1]


@pytest.mark.rule("encoding")
@pytest.mark.parametrize("coding", ["gzip", "GZIP", " Gzip "])
def test_gzip_is_inflated(coding: str) -> None:
    for statuses in (SINGLE, BATCH):
        with case(statuses):
            assert read(request(gzip.compress(b"[1]"), content_encoding=coding), statuses, LIMIT) == [1]


@pytest.mark.rule("encoding")
@pytest.mark.parametrize("coding", ["br", "deflate", "zstd", "compress", "gzip, gzip", "gzip, identity", "*", "none"])
def test_another_coding_is_refused(coding: str) -> None:
    for statuses in (SINGLE, BATCH):
        with case(statuses):
            assert refused(read(request(b"{}", content_encoding=coding), statuses, LIMIT)) == (
                "encoding",
                statuses.coding,
            )


GZIPPED = gzip.compress(b'{"a":"' + random.Random(1).randbytes(150).hex().encode() + b'"}', mtime=0)


@pytest.mark.rule("encoding")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"a":1}', id="plain JSON"),
        pytest.param(b"\x1f\x8b", id="magic only"),
        pytest.param(GZIPPED[:10], id="header only"),
        pytest.param(GZIPPED[: len(GZIPPED) // 2], id="cut in the middle"),
        pytest.param(GZIPPED[:-8], id="no checksum"),
        pytest.param(GZIPPED[:-1], id="last byte missing"),
        pytest.param(GZIPPED[:-8] + bytes(8), id="wrong checksum"),
        pytest.param(GZIPPED[:50] + b"\xff" * 20 + GZIPPED[70:], id="corrupt in the middle"),
        pytest.param(zlib.compress(b"{}"), id="zlib, not gzip"),
        pytest.param(GZIPPED + b"garbage", id="garbage behind"),
        pytest.param(GZIPPED + GZIPPED[:20], id="second member cut"),
    ],
)
def test_bad_gzip_is_refused(body: bytes) -> None:
    for statuses in (SINGLE, BATCH):
        with case(statuses):
            assert refused(read(request(body, content_encoding="gzip"), statuses, LIMIT)) == ("encoding", 400)


@pytest.mark.rule("encoding")
def test_the_members_of_a_gzip_body_are_read_as_one() -> None:
    body = gzip.compress(b'{"a"') + gzip.compress(b"") + gzip.compress(b":1}")
    assert read(request(body, content_encoding="gzip"), SINGLE, LIMIT) == {"a": 1}


@pytest.mark.rule("encoding")
@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131072, 1_000_000])
def test_what_was_deflated_is_inflated_to_the_byte(size: int) -> None:
    for kind in ("zeros", "noise"):
        with case(kind):
            plain = bytes(size) if kind == "zeros" else random.Random(size).randbytes(size)
            assert inflate(gzip.compress(plain), size) == plain
            assert inflate(gzip.compress(plain + b"x"), size) is None


@pytest.mark.rule("encoding")
@pytest.mark.parametrize("coding", ["x-gzip", "X-GZIP", " x-gzip "])
def test_x_gzip_is_gzip(coding: str) -> None:
    for statuses in (SINGLE, BATCH):
        with case(statuses):
            body = request(gzip.compress(b'{"a":1}'), content_encoding=coding)
            assert read(body, statuses, LIMIT) == {"a": 1}
            assert refused(read(request(b"{}", content_encoding=coding), statuses, LIMIT)) == ("encoding", 400)


@pytest.mark.rule("byte-order-mark")
def test_a_byte_order_mark_before_the_json_is_ignored_after_inflating_too() -> None:
    marked = b'\xef\xbb\xbf{"a":"\xef\xbb\xbf"}'
    assert parse(marked) == {"a": "\ufeff"}
    assert read(request(marked), SINGLE, LIMIT) == {"a": "\ufeff"}
    assert read(request(gzip.compress(marked), content_encoding="gzip"), BATCH, LIMIT) == {"a": "\ufeff"}


@pytest.mark.rule("malformed")
def test_nothing_gzipped_is_malformed_and_not_bad_gzip() -> None:
    assert refused(read(request(gzip.compress(b""), content_encoding="gzip"), SINGLE, LIMIT)) == ("malformed", 400)


# Size


@pytest.mark.rule("size")
@pytest.mark.parametrize("coding", ["", "gzip"])
@BOTH
def test_a_body_exactly_at_the_limit_is_taken(coding: str, statuses: Statuses) -> None:
    plain = json_of_size(LIMIT)
    body = gzip.compress(plain) if coding else plain
    assert read(request(body, content_encoding=coding), statuses, LIMIT) == "x" * (LIMIT - 2)


@pytest.mark.rule("size")
@pytest.mark.parametrize("coding", ["", "gzip"])
@BOTH
def test_one_byte_over_the_limit_is_refused(coding: str, statuses: Statuses) -> None:
    plain = json_of_size(LIMIT + 1)
    body = gzip.compress(plain) if coding else plain
    assert refused(read(request(body, content_encoding=coding), statuses, LIMIT)) == ("size", statuses.size)


@pytest.mark.rule("size")
@BOTH
def test_gzip_is_bounded_on_the_wire_too(statuses: Statuses) -> None:
    empty = gzip.compress(b"")
    body = gzip.compress(b"[1]") + empty * 200
    at, over = request(body, content_encoding="gzip"), request(body + empty, content_encoding="gzip")
    assert read(at, statuses, len(body)) == [1]
    assert refused(read(over, statuses, len(body))) == ("size", statuses.size)


@pytest.mark.rule("size")
@BOTH
def test_a_body_that_was_not_kept_is_refused(statuses: Statuses) -> None:
    assert refused(read(request(b"", oversized=True), statuses, LIMIT)) == ("size", statuses.size)


@pytest.mark.rule("size")
@pytest.mark.parametrize("limit", [LIMIT, 5 * MIB])
def test_a_gzip_bomb_is_refused_without_holding_what_it_inflates_to(limit: int) -> None:
    bomb = gzip_bomb(MIB)
    assert len(bomb) > MIB * 0.9
    tracemalloc.start()
    try:
        assert inflate(bomb, limit) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < limit + 4 * MIB


@pytest.mark.rule("size")
def test_a_bomb_of_many_members_is_refused() -> None:
    member = gzip.compress(bytes(MIB))
    assert inflate(member * 900, 5 * MIB) is None


@pytest.mark.rule("encoding", "size")
def test_coding_comes_before_size() -> None:
    assert refused(read(request(b"", content_encoding="br", oversized=True), BATCH, LIMIT)) == ("encoding", 415)


# JSON


@pytest.mark.rule("malformed")
@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b" \n", id="blank"),
        pytest.param(b"hello", id="word"),
        pytest.param(b"{", id="cut"),
        pytest.param(b'{"a":1', id="cut later"),
        pytest.param(b"{} {}", id="two values"),
        pytest.param(b"{}x", id="something behind"),
        pytest.param(b"{'a':1}", id="single quotes"),
        pytest.param(b"{a:1}", id="bare name"),
        pytest.param(b"[1,]", id="comma at the end"),
        pytest.param(b'{"a":1,}', id="comma at the end of an object"),
        pytest.param(b"[01]", id="leading zero"),
        pytest.param(b"[.5]", id="no digit before the point"),
        pytest.param(b"[1.]", id="no digit behind the point"),
        pytest.param(b"[+1]", id="plus"),
        pytest.param(b"[True]", id="Python"),
        pytest.param(b"[1] // c", id="comment"),
        pytest.param(b'["a\nb"]', id="newline in a string"),
        pytest.param(b'["\x00"]', id="NUL in a string"),
        pytest.param(b'["\\x41"]', id="unknown escape"),
        pytest.param(b'["\\u12"]', id="short escape"),
        pytest.param(b"a=1&b=2", id="form"),
        pytest.param("[1]".encode("utf-16"), id="UTF-16"),
        pytest.param("[1]".encode("utf-32"), id="UTF-32"),
        pytest.param('["é"]'.encode("latin-1"), id="Latin-1"),
        pytest.param(b'["\xff"]', id="no UTF-8"),
        pytest.param(b'["\xc0\xaf"]', id="overlong UTF-8"),
        pytest.param(b'["\xed\xa0\x80"]', id="surrogate in UTF-8"),
        pytest.param(b'["\xe2\x82', id="UTF-8 cut"),
        pytest.param(b"\xef\xbb\xbf", id="only a byte order mark"),
        pytest.param(b"\xef\xbb\xbf" * 2 + b"{}", id="two byte order marks"),
        pytest.param(b" \xef\xbb\xbf{}", id="byte order mark behind a space"),
        pytest.param(b"{}\xef\xbb\xbf", id="byte order mark at the end"),
        pytest.param("\ufeff{}".encode("utf-16-le"), id="byte order mark of UTF-16"),
        pytest.param(b"[NaN]", id="NaN"),
        pytest.param(b"[Infinity]", id="Infinity"),
        pytest.param(b"[-Infinity]", id="-Infinity"),
        pytest.param(b"NaN", id="nothing but NaN"),
        pytest.param(b"[1e400]", id="1e400"),
        pytest.param(b"[-1e400]", id="-1e400"),
        pytest.param(b"[1.8e308]", id="just beyond a double"),
        pytest.param(b"[" + b"9" * 400 + b"]", id="400 digits"),
        pytest.param(b"[-" + b"9" * 400 + b"]", id="-400 digits"),
        pytest.param(b"[" + b"9" * 5000 + b"]", id="5000 digits"),
        pytest.param(b"[-" + b"9" * 5000 + b"]", id="-5000 digits"),
        pytest.param(b"[" + str(2**1024).encode() + b"]", id="2**1024"),
    ],
)
def test_what_is_no_json_is_malformed(raw: bytes) -> None:
    assert refused(parse(raw)) == ("malformed", 400)
    assert refused(read(request(raw), BATCH, 10_000)) == ("malformed", 400)


@pytest.mark.rule("malformed")
@pytest.mark.parametrize(
    "raw", [b"[NaN]", b"[1e400]", b"[" + b"9" * 5000 + b"]", b"[secret]", b'["secret\x01"]', b'["secret"']
)
def test_the_message_does_not_show_the_body(raw: bytes) -> None:
    reason = parse(raw)
    assert isinstance(reason, Reason)
    assert "secret" not in reason.message
    assert "999" not in reason.message
    assert len(reason.message) < 200


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b" \t\r\n{ } \n", {}),
        (b"null", None),
        (b"5", 5),
        (b"-0", 0),
        (b'"x"', "x"),
        (b"true", True),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'{"a":{"b":1},"a":{"c":2}}', {"a": {"c": 2}}),
        (b'{"":1}', {"": 1}),
        (b'"\\ud800"', "\ud800"),
        (b'"\\udc00\\ud800"', "\udc00\ud800"),
        (b'{"\\ud800":"\\udfff"}', {"\ud800": "\udfff"}),
        (b'"\\ud83d\\ude00"', "😀"),
        ('"😀é"'.encode(), "😀é"),
        (b'"a\\u0000b"', "a\0b"),
        (b'"\x7f"', "\x7f"),
        (b"18446744073709551616", 2**64),
        (b"-18446744073709551617", -(2**64) - 1),
        (b"9007199254740993", 2**53 + 1),
        (b"1.7976931348623157e308", 1.7976931348623157e308),
        (b"1" + b"0" * 308, 10**308),
        (b"-1" + b"0" * 308, -(10**308)),
        (str(2**1023).encode(), 2**1023),
    ],
)
def test_every_json_value_is_kept_exactly(raw: bytes, value: JsonValue) -> None:
    parsed = parse(raw)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(("raw", "kind"), [(b"1", int), (b"1.0", float), (b"1e3", float), (b"-5", int)])
def test_an_integer_stays_an_integer_and_a_float_a_float(raw: bytes, kind: type[object]) -> None:
    assert type(parse(raw)) is kind


# Depth

NESTINGS = pytest.mark.parametrize(
    ("opening", "core", "closing"),
    [
        pytest.param(b"[", b"", b"]", id="lists"),
        pytest.param(b"[", b"1", b"]", id="lists around a number"),
        pytest.param(b'{"a":', b"1", b"}", id="objects around a number"),
        pytest.param(b'{"b":2,"a":', b"null", b',"c":"[{"}', id="objects with others beside"),
    ],
)


@pytest.mark.rule("nesting")
@NESTINGS
def test_200_levels_are_taken(opening: bytes, core: bytes, closing: bytes) -> None:
    assert MAX_DEPTH == 200
    raw = opening * 200 + core + closing * 200
    assert parse(raw) == json.loads(raw)


@pytest.mark.rule("nesting")
@NESTINGS
def test_more_levels_are_refused(opening: bytes, core: bytes, closing: bytes) -> None:
    for levels in (201, 202, 500, 5_000, 100_000):
        with case(levels):
            assert refused(parse(opening * levels + core + closing * levels)) == ("nesting", 400)


@pytest.mark.rule("nesting")
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_100000_levels_that_are_never_closed_are_refused(opening: bytes) -> None:
    assert refused(parse(opening * 100_000)) == ("nesting", 400)


def test_lists_and_objects_count_alike() -> None:
    assert not isinstance(parse(b'[{"a":' * 100 + b"1" + b"}]" * 100), Reason)
    assert refused(parse(b"[" + b'[{"a":' * 100 + b"1" + b"}]" * 100 + b"]")) == ("nesting", 400)


@pytest.mark.parametrize("text", ["[" * 5000, "{" * 5000, '\\"[{' * 1000])
def test_brackets_inside_strings_are_no_levels(text: str) -> None:
    assert parse(f'["{text}"]'.encode()) == [text.replace('\\"', '"')]


def test_many_values_side_by_side_are_no_levels() -> None:
    assert parse(b"[" + b"[{}]," * 50_000 + b"[]]") == [*([[{}]] * 50_000), []]
