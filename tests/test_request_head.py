"""Targets and fields of a request's head."""

import pytest

from ours_emulator.http.request_head import field_value, head_bytes, path_of, with_path, written_head

FIELDS = [(b"host", b"localhost"), (b"x", b"")]


@pytest.mark.parametrize(
    ("target", "completed"),
    [
        (b"/track", b"/track"),
        (b"http://a", b"http://a/"),
        (b"http://a?x=1", b"http://a/?x=1"),
        (b"HTTP://a:1#part", b"HTTP://a:1/#part"),
        (b"http://a/track", b"http://a/track"),
        (b"*", b"*"),
    ],
)
def test_an_absolute_target_without_a_path_gets_one(target: bytes, completed: bytes) -> None:
    assert with_path(target) == completed


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/tr%61ck?x=1", "/track"),
        (b"http://a/track", "/track"),
        (b"/\xe9", "/\xe9"),
        (b"nonsense?x", "nonsense"),
    ],
)
def test_the_path_of_any_target_can_be_shown(target: bytes, path: str) -> None:
    assert path_of(target) == path


def test_a_head_is_written_as_it_is_sent() -> None:
    assert written_head(b"GET", b"/", "1.1", FIELDS) == b"GET / HTTP/1.1\r\nhost: localhost\r\nx: \r\n\r\n"
    assert head_bytes(b"/", FIELDS) == 15


def test_the_last_field_of_a_name_counts() -> None:
    assert field_value([*FIELDS, (b"x", b"2")], b"x") == b"2"
    assert field_value(FIELDS, b"y") is None
