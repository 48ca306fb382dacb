"""One recorded request and its answer: how it is written in a line of `answers.jsonl`, and how it is sent.

A line is a JSON object:

    {"server": "open", "settings": {...}}                        starts a server; the lines after it are sent there
    {"setup": "PUT /debug/faults/busy", "request": {...}}        prepares the server; any 2xx will do
    {"name": "track/minimal", "request": {...}, "answer": {...}} a recorded answer

`request` has `method`, `target`, `headers` (in their order) and `body`; `answer` has `status`, `headers` (sorted) and
`body`, or is `{"connection": "reset"}`. A body is text, `{"base64": ...}` if it is not UTF-8, `{"zlib": ...}` (base64
of a zlib stream) if it is large, or `{"file": "openapi.json"}` if it is that file of the repository.
"""

import base64
import json
import socket
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, TypeAlias

ANSWERS = Path(__file__).with_name("answers.jsonl")
Headers: TypeAlias = tuple[tuple[str, str], ...]

_DOCUMENT = Path(__file__).parents[2] / "openapi.json"
_LARGE = 600
# `date` is the only header that differs from run to run.
_IGNORED = ("date",)


@dataclass(frozen=True)
class Request:
    """The bytes of one HTTP request, apart from the line ends of its head."""

    method: str
    target: str
    headers: Headers
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.target}"

    def sent(self) -> bytes:
        """Return the request as it is sent."""
        lines = [f"{self.method} {self.target} HTTP/1.1", *written_headers(self.headers)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body

    def written(self) -> dict[str, Any]:
        """Return the request as JSON."""
        head = {"method": self.method, "target": self.target, "headers": written_headers(self.headers)}
        return {**head, "body": written_body(self.body)}

    @classmethod
    def read(cls, written: Mapping[str, Any]) -> "Request":
        """Return the request that *written* is."""
        return cls(written["method"], written["target"], read_headers(written["headers"]), read_body(written["body"]))


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: its status, its headers without `date`, and its body. Status 0: the connection was reset.

    The order of headers means nothing (RFC 9110, 5.3), so they are sorted by name.
    """

    status: int
    headers: Headers = ()
    body: bytes = b""

    def written(self) -> dict[str, Any]:
        """Return the answer as JSON."""
        if not self.status:
            return {"connection": "reset"}
        return {"status": self.status, "headers": written_headers(self.headers), "body": written_body(self.body)}

    def lines(self) -> list[str]:
        """Return the answer as text to compare line by line."""
        if not self.status:
            return ["connection reset"]
        return [
            str(self.status),
            *written_headers(self.headers),
            "",
            *self.body.decode("utf-8", "backslashreplace").split("\n"),
        ]

    @classmethod
    def read(cls, written: Mapping[str, Any]) -> "Answer":
        """Return the answer that *written* is."""
        if "connection" in written:
            return cls(0)
        return cls(written["status"], read_headers(written["headers"]), read_body(written["body"]))


@dataclass(frozen=True)
class Exchange:
    """A request with its answer, which a setup has not."""

    name: str
    request: Request
    answer: Answer | None = None
    setup: bool = False
    """It prepares the server; any 2xx will do."""

    def written(self) -> dict[str, Any]:
        """Return the exchange as JSON."""
        request = self.request.written()
        if self.answer is None:
            return {"setup": self.name, "request": request}
        return {"name": self.name, "request": request, "answer": self.answer.written()}

    @classmethod
    def read(cls, written: Mapping[str, Any]) -> "Exchange":
        """Return the exchange that *written* is."""
        request = Request.read(written["request"])
        if "setup" in written:
            return cls(written["setup"], request, setup=True)
        return cls(written["name"], request, Answer.read(written["answer"]))


@dataclass(frozen=True)
class Recording:
    """The exchanges with one server, in their order, and the settings it is started with."""

    name: str
    settings: Mapping[str, Any]
    exchanges: list[Exchange] = field(default_factory=list[Exchange])

    def written(self) -> list[dict[str, Any]]:
        """Return the lines as JSON."""
        return [{"server": self.name, "settings": self.settings}, *(it.written() for it in self.exchanges)]


def read_answers(path: Path = ANSWERS) -> list[Recording]:
    """Return what is recorded in *path*."""
    servers: list[Recording] = []
    for line in path.read_text("ascii").splitlines():
        written = json.loads(line)
        if "server" in written:
            servers.append(Recording(written["server"], written["settings"]))
        else:
            servers[-1].exchanges.append(Exchange.read(written))
    return servers


def write_answers(servers: Sequence[Recording], path: Path = ANSWERS) -> None:
    """Write *servers* to *path*, one exchange a line."""
    lines = [json.dumps(line) for server in servers for line in server.written()]
    path.write_text("\n".join(lines) + "\n", "ascii")


def exchange(address: tuple[str, int], request: Request) -> Answer:
    """Send *request* over a connection of its own and return the answer."""
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(request.sent())
        try:
            response = HTTPResponse(connection, method=request.method)
            response.begin()
            body = response.read()
        except ConnectionResetError:
            return Answer(0)
        headers = sorted((name.lower(), value) for name, value in response.getheaders())
        return Answer(response.status, tuple(it for it in headers if it[0] not in _IGNORED), body)


def written_headers(headers: Headers) -> list[str]:
    """Return *headers* as the lines of a head."""
    return [f"{name}: {value}" for name, value in headers]


def read_headers(written: Sequence[str]) -> Headers:
    """Return the headers in the lines *written*."""
    parts = [line.partition(": ") for line in written]
    return tuple((name, value) for name, _, value in parts)


def written_body(body: bytes) -> str | dict[str, str]:
    """Return *body* as JSON: as text if it can be, and compressed if it is large."""
    if body == _DOCUMENT.read_bytes():
        return {"file": _DOCUMENT.name}
    if len(body) > _LARGE:
        return {"zlib": base64.b64encode(zlib.compress(body, 9)).decode("ascii")}
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode("ascii")}


def read_body(written: str | Mapping[str, str]) -> bytes:
    """Return the body that *written* is."""
    if isinstance(written, str):
        return written.encode("utf-8")
    if "file" in written:
        return (_DOCUMENT.parent / written["file"]).read_bytes()
    if "zlib" in written:
        return zlib.decompress(base64.b64decode(written["zlib"]))
    return base64.b64decode(written["base64"])
