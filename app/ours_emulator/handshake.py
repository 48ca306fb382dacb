"""What a test process and its emulator, a child process, say to each other through the pipes of the child.

The parent writes one line with the settings, which are secret and so neither arguments nor variables. The child answers
with one line: where it serves, or why it cannot. It ends when the parent closes the pipe, which also happens when the
parent is killed, and may then write a last line with the counts of what arrived. Each line is a JSON object. Parent and
child may be of different versions, so PROTOCOL changes with every change of these lines.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import PurePath
from typing import Any, cast

from ours_emulator.errors import SettingsError, StoreError

PROTOCOL = 1
_MARK = "ours_emulator_protocol"
_ERRORS: Mapping[str, type[Exception]] = {"SettingsError": SettingsError, "StoreError": StoreError, "OSError": OSError}


@dataclass(frozen=True, slots=True)
class Order:
    """What the parent wants: an emulator with these *settings*, each from one of the *origins* (by default a flag).

    *arrivals*: the child counts what arrives, for its last line.
    """

    settings: Mapping[str, Any]
    origins: Mapping[str, str] | None = None
    arrivals: bool = False

    def line(self) -> bytes:
        """Return the line that says so. Raises SettingsError for a setting that JSON has no type for."""
        settings = {name: _plain(name, value) for name, value in self.settings.items()}
        return _line({"settings": settings, "origins": self.origins, "arrivals": self.arrivals})


@dataclass(frozen=True, slots=True)
class Ready:
    """The child serves at *url*. The tokens are the first of each kind that its accounts accept."""

    version: str
    url: str
    token: str | None = None
    public_key: str | None = None
    admin_token: str | None = None

    def line(self) -> bytes:
        """Return the line that says so."""
        return _line({"ready": asdict(self)})


@dataclass(frozen=True, slots=True)
class Failed:
    """The child cannot run, because of an error of this *kind* with these *arguments*."""

    version: str
    kind: str
    arguments: tuple[Any, ...]

    def line(self) -> bytes:
        """Return the line that says so."""
        return _line({"failed": asdict(self)})

    def error(self) -> Exception | None:
        """Return the error as the parent raises it; None if it has no such error."""
        kind = _ERRORS.get(self.kind)
        return None if kind is None else kind(*self.arguments)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What arrived until the child ended: how many requests, events of each outcome, and hints.

    *problems* has a line for each of the first refusals, drops and hints, *more* is how many others there were, and
    *replayed* how many requests were imported or came from a seed, which count as none of the above.
    """

    requests: int = 0
    outcomes: Mapping[str, int] | None = None
    hints: int = 0
    problems: tuple[str, ...] = ()
    more: int = 0
    replayed: int = 0

    def line(self) -> bytes:
        """Return the line that says so."""
        return _line({"arrivals": asdict(self)})


class ProtocolError(Exception):
    """The other side speaks another version of the protocol, which is the argument, or none at all."""


def read_order(line: bytes) -> Order:
    """Return the order that *line* is. Raises ProtocolError."""
    message = _read(line)
    if message is None:
        raise ProtocolError("none")
    return Order(message["settings"], message["origins"], message["arrivals"])


def read_answer(line: bytes) -> Ready | Failed | None:
    """Return the answer that *line* is; None for any other line. Raises ProtocolError."""
    message = _read(line) or {}
    if "ready" in message:
        return Ready(**message["ready"])
    return Failed(**message["failed"]) if "failed" in message else None


def read_arrivals(line: bytes) -> Arrivals:
    """Return the counts that *line* has, none if it is another line."""
    return Arrivals(**(_read(line) or {}).get("arrivals", {}))


def failure(version: str, error: Exception) -> Failed:
    """Return how *error*, which keeps a child from running, is told to its parent."""
    kind = next((name for name, known in _ERRORS.items() if isinstance(error, known)), type(error).__name__)
    arguments = (error.errno, error.strerror) if isinstance(error, OSError) and error.strerror else (str(error),)
    return Failed(version, kind, arguments)


def _line(message: Mapping[str, object]) -> bytes:
    return json.dumps({_MARK: PROTOCOL, **message}).encode("ascii") + b"\n"


def _read(line: bytes) -> dict[str, Any] | None:
    """Return what a line of the protocol says; None for a line that is none. Raises ProtocolError."""
    try:
        decoded = json.loads(line)
    except ValueError:
        return None
    if not isinstance(decoded, dict) or _MARK not in decoded:
        return None
    message = cast(dict[str, Any], decoded)
    if message[_MARK] != PROTOCOL:
        raise ProtocolError(message[_MARK])
    return message


def _plain(name: str, value: object) -> object:
    """Return the value of the setting *name* as JSON has it; paths and dates are text there, and sequences lists."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Iterable) and not isinstance(value, (bytes, Mapping)):
        return [_plain(name, item) for item in cast(Iterable[object], value)]
    raise SettingsError(f"{name}: {value!r} is not a value of a setting")
