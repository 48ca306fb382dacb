"""Functions of a request's head as the parser gives it: the target and the fields, their names in lower case."""

import re
from collections.abc import Iterable, Sequence
from urllib.parse import unquote

import httptools

_WITHOUT_PATH = re.compile(rb"\A([A-Za-z]+://[^/?#]+)([?#].*)?\Z", re.DOTALL)

Fields = Sequence[tuple[bytes, bytes]]


def with_path(target: bytes) -> bytes:
    """Return *target* with a path: an absolute one without a path means `/` (RFC 9112, 3.2.2); uvicorn fails on it."""
    return target if target.startswith(b"/") else _WITHOUT_PATH.sub(rb"\1/\2", target)


def path_of(target: bytes) -> str:
    """Return the decoded path of *target*, which may be malformed."""
    try:
        path = httptools.parse_url(target).path or b""
    except httptools.HttpParserError:
        path = target.partition(b"?")[0]
    return unquote(path.decode("latin-1"))


def head_bytes(target: bytes, fields: Fields) -> int:
    """Return the size of a head, without what separates its parts."""
    return len(target) + sum(len(name) + len(value) for name, value in fields)


def written_head(method: bytes, target: bytes, version: str, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the head as it is sent, with the empty line at its end."""
    lines = [b"%s: %s\r\n" % field for field in fields]
    return b"%s %s HTTP/%s\r\n" % (method, target, version.encode()) + b"".join(lines) + b"\r\n"


def field_value(fields: Fields, name: bytes) -> bytes | None:
    """Return the value of the last field of that *name*; None without one."""
    return dict(fields).get(name)
