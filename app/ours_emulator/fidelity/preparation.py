"""Requests of an export made ready to be sent to another server: with other tokens, times and distinctIds.

What a request is refused for stays: a token that is too long stays too long, a time outside of the window stays
outside, and two events with one distinctId still share one. Nothing here sends anything.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from gzip import compress
from hashlib import blake2b
from secrets import randbelow
from urllib.parse import quote

from pydantic import JsonValue

from ours_emulator.contract.body import GZIP
from ours_emulator.contract.paths import INGEST_BASE
from ours_emulator.contract.revision import Revision, revisions
from ours_emulator.debug.journal_format import MAX_LINE_BYTES, Line, hiding, redacted, text_of
from ours_emulator.http.redaction import Redactor
from ours_emulator.http.routes import (
    CLIENT_BASE,
    CLIENT_UNKNOWN,
    INGEST_NAMES,
    INGEST_UNKNOWN,
    emulated_at,
)
from ours_emulator.jsontext import json_text, strict_json
from ours_emulator.model import MAX_TOKEN_LENGTH, TEST_PREFIX, Properties

_MINUTE_MS = 60 * 1000
_HOUR_MS = 60 * _MINUTE_MS
_PATH_CHARACTERS = "/%:@!$&'()*+,;=-._~"
_HEADERS = ("content-type", "content-encoding", "x-stainless-retry-count")
_METHOD = re.compile(r"[A-Z]{1,20}")
_BEARER = re.compile(r"Bearer [ps]k_\S+\s*")
_MAX_ID = 400
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """A request as both servers get it. `label` is where it comes from: `line 3`, or a name in the suite."""

    label: str
    method: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    rules: tuple[str, ...] = ()
    """The rules that it exercises; the first one that the revision has is meant. Empty for a line of an export."""
    compared_headers: tuple[str, ...] = ()

    @property
    def is_client_api(self) -> bool:
        """Whether it is for the Client API, which needs a key."""
        return self.path.startswith(CLIENT_BASE)


@dataclass(frozen=True, slots=True)
class NotCompared:
    """A request that is not sent, or whose answers cannot be compared, and why."""

    label: str
    why: str


@dataclass(frozen=True)
class Credentials:
    """What the other server accepts. Without a `key` nothing is sent to the Client API."""

    token: str
    key: str | None = None

    @property
    def live_token(self) -> str:
        """The token of the source; `token` may be its Test Mode key (rule test-mode)."""
        return self.token.removeprefix(TEST_PREFIX)


def run_digits() -> str:
    """Return new digits, which make the distinctIds of one run its own."""
    return str(100_000_000 + randbelow(900_000_000))


def secrets_in(line: Line) -> Iterator[str]:
    """Yield the token and the key that *line* was sent with, except for a token that no source can have."""
    request = line.request(_newest_revision())
    yield request.authorization.partition(" ")[2].strip() or request.authorization
    value = _parsed(text_of(request.body, request.content_encoding, MAX_LINE_BYTES))
    token = value.get("token") if isinstance(value, dict) else None
    # One that is too long is refused, and may be of letters that other texts have too.
    if isinstance(token, str) and len(token) <= MAX_TOKEN_LENGTH:
        yield token


def why_not_sent(line: Line, credentials: Credentials) -> str | None:
    """Return why *line* cannot be sent with these *credentials*; None if it can."""
    if standard_path(line.path) is None:
        return "its path is not one of the two APIs"
    if line.oversized:
        return "its body was too large to be kept"
    if is_client_path(line.path) and credentials.key is None:
        return "the Client API needs --public-key"
    if not _METHOD.fullmatch(line.method) or line.method == "CONNECT":
        return f"its method {line.method[:20]!r} cannot be sent"
    if not all(_is_sendable(text) for pair in line.headers.items() for text in pair):
        return "a header has characters that cannot be sent"
    return None


class RequestPreparer:
    """Prepares the lines of an export; *secrets* are those it has, and the digits of *run* renew its distinctIds."""

    def __init__(self, credentials: Credentials, secrets: Iterable[str], run: str, window_ms: int) -> None:
        self._credentials = credentials
        self._hide = hiding(Redactor(secrets))
        self._run = run
        self._window_ms = window_ms

    def prepare(self, line: Line, label: str, now: int) -> OutgoingRequest | NotCompared:
        """Return the request of *line* as it is sent at the moment *now*, in milliseconds."""
        path = standard_path(line.path)
        why = why_not_sent(line, self._credentials)
        if why is not None or path is None:
            return NotCompared(label, why or "")
        body = self._body(line, now)
        sent = {name.lower(): text for name, text in line.headers.items()}
        headers = {name: self._hide(sent[name]) for name in _HEADERS if name in sent}
        if "authorization" in sent:
            headers["authorization"] = self._authorization(sent["authorization"], path)
        return OutgoingRequest(label, line.method, quote(self._hide(path), _PATH_CHARACTERS), body, headers)

    def _authorization(self, sent: str, path: str) -> str:
        """Return the header with the key of this run where it had one; what is refused stays so, without its secret."""
        if path.startswith(CLIENT_BASE) and _BEARER.fullmatch(sent):
            return f"Bearer {self._credentials.key}"
        return self._hide(sent)

    def _body(self, line: Line, now: int) -> bytes:
        request = line.request(_newest_revision())
        coding = request.content_encoding
        is_gzip = coding.strip().lower() in GZIP
        text = text_of(request.body, coding, MAX_LINE_BYTES)
        if text is None:
            # What cannot be read cannot be searched for secrets either, so it is replaced by what is refused as well.
            return b"\x1f\x8b not gzip" if is_gzip else b"\xff not UTF-8"
        body, _ = redacted(request.body, coding, self._hide)
        shown = body.decode("utf-8")
        if request.endpoint in INGEST_NAMES:
            shown = self._renewed(text, shown, line.received_at, now)
        return compress(shown.encode("utf-8"), mtime=0) if is_gzip else shown.encode("utf-8")

    def _renewed(self, sent: str, shown: str, received_at: int, now: int) -> str:
        """Return *shown*, which is *sent* without its secrets, with a token, times and distinctIds of this run."""
        original, value = _parsed(sent), _parsed(shown)
        if not isinstance(original, dict) or not isinstance(value, dict):
            return shown
        renew = partial(self._row, received_at=received_at, now=now)
        value = renew(value)
        if "token" in original:
            value["token"] = self._token(original["token"])
        rows, originals = value.get("events"), original.get("events")
        if isinstance(rows, list) and isinstance(originals, list):
            pairs = zip(rows, originals, strict=True)
            value["events"] = [self._batch_row(row, old, original.get("token"), renew) for row, old in pairs]
        return (_BYTE_ORDER_MARK if sent.startswith(_BYTE_ORDER_MARK) else "") + json_text(value)

    def _batch_row(
        self, row: JsonValue, original: JsonValue, token: JsonValue, renew: Callable[[Properties], Properties]
    ) -> JsonValue:
        if not isinstance(row, dict) or not isinstance(original, dict):
            return row
        own = original.get("token")
        # A token other than that of the batch stays another one, the redacted one that is there already.
        return renew({**row, "token": self._token(own)} if "token" in original and own == token else row)

    def _row(self, row: Properties, received_at: int, now: int) -> Properties:
        changed = dict(row)
        if "time" in row:
            changed["time"] = shifted_time(row["time"], received_at, now, self._window_ms)
        if "distinctId" in row:
            changed["distinctId"] = renewed_distinct_id(row["distinctId"], self._run)
        return changed

    def _token(self, sent: JsonValue) -> JsonValue:
        if not isinstance(sent, str) or not sent.strip():
            return sent
        if len(sent) > MAX_TOKEN_LENGTH:
            return "x" * len(sent)
        return sent.replace(sent.strip(), self._credentials.token)


def standard_path(path: str) -> str | None:
    """Return *path* as every server of the API has it, not only an emulator; None if it is of neither API."""
    if path.startswith((f"{INGEST_BASE}/", f"{CLIENT_BASE}/")):
        return path
    target = emulated_at(path, _newest_revision())
    if target.endpoint in (INGEST_UNKNOWN, CLIENT_UNKNOWN):
        return None
    return f"{CLIENT_BASE if target.owner == 'client' else INGEST_BASE}{path}"


def _newest_revision() -> Revision:
    """Return the revision that has every path."""
    return [*revisions().values()][-1]


def is_client_path(path: str) -> bool:
    """Whether a request to *path* is sent to the Client API."""
    return (standard_path(path) or "").startswith(f"{CLIENT_BASE}/")


def shifted_time(time: JsonValue, received_at: int, now: int, window_ms: int) -> JsonValue:
    """Return *time* as far from *now* as it was from *received_at*; what is not a number is returned as it is.

    What was in the window then stays in it, and what was outside stays outside, though the clock of another server is
    not that of this machine: at least a minute from now, and an hour from the other end.
    """
    if isinstance(time, bool) or not isinstance(time, int | float) or not math.isfinite(_as_float(time)):
        return time
    age = received_at - time
    if 0 <= age <= window_ms:
        age = min(max(age, _MINUTE_MS), window_ms - _HOUR_MS)
    else:
        age = min(age, -_HOUR_MS) if age < 0 else max(age, window_ms + _HOUR_MS)
    return now - age


def renewed_distinct_id(distinct_id: JsonValue, run: str) -> JsonValue:
    """Return *distinct_id* with the digits of *run* before it: another one, of the same type, equal for equal ones.

    A text keeps the white space at its ends, and whether it is empty or too long.
    """
    if isinstance(distinct_id, str):
        return _renewed_text(distinct_id, run)
    if isinstance(distinct_id, bool) or not isinstance(distinct_id, int | float) or "e" in repr(distinct_id):
        return distinct_id
    digits = repr(abs(distinct_id))
    number = json.loads(run + digits) if digits[0].isdigit() else distinct_id
    return -number if distinct_id < 0 else number


def _renewed_text(text: str, run: str) -> str:
    inner = text.strip()
    if not inner:
        return text
    renewed = text.replace(inner, run + inner, 1)
    if len(text) > _MAX_ID or len(renewed) <= _MAX_ID:
        return renewed
    return run + blake2b(inner.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _as_float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _is_sendable(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _parsed(text: str | None) -> JsonValue:
    """Return what *text* is as JSON; None if it is not JSON."""
    try:
        value: JsonValue = strict_json((text or "").removeprefix(_BYTE_ORDER_MARK))
    except (ValueError, RecursionError):
        return None
    return value
