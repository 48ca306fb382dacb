"""The journal as JSON Lines, one request each: taken out of one emulator, and replayed in another.

Before the requests there is one line of settings for each account that does not have the defaults.
"""

import base64
import binascii
import re
import time
import zlib
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import count
from typing import IO, Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    JsonValue,
    ValidationError,
    model_validator,
)

from ours_emulator.clock import LAST_MOMENT
from ours_emulator.contract.account import AccountConfig
from ours_emulator.contract.body import GZIP, inflate
from ours_emulator.contract.paths import prefixed, within_account
from ours_emulator.contract.revision import Revision
from ours_emulator.debug.account_settings import AccountSettings, settings_of
from ours_emulator.debug.names import ValidName
from ours_emulator.http.redaction import Redactor, each_text, keys_replaced, tokens_replaced
from ours_emulator.http.routes import emulated_at
from ours_emulator.http.wire import attempt_number
from ours_emulator.jsontext import json_text, strict_json
from ours_emulator.model import DEFAULT_ACCOUNT, Properties, Request
from ours_emulator.records import Connection, FaultAnswer, RowCode, StoredRequest, from_json, milliseconds_of, to_json
from ours_emulator.wording import plain

MAX_LINE_BYTES = 64 * 1024 * 1024
_AUTHORIZATION = re.compile(r"(Bearer +(?:[ps]k_)?)?(.+)", re.IGNORECASE | re.DOTALL)
_BEARER = "Bearer "
_KIND = re.compile(r"[ps]k_|test_")


class LineError(ValueError):
    """A line that is neither a request nor settings; the message is one sentence that begins with the line's number."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


_Status = Annotated[int, Field(ge=400, le=599)]


class _Fault(_Strict):
    """What a fault did to the request; `fault` is its name."""

    fault: str
    status: _Status | None = None
    retry_after: FiniteFloat | None = None
    error: str | None = None
    delay_ms: FiniteFloat = 0.0
    connection: Connection | None = None
    code: RowCode | None = None
    rows: list[int] | None = None
    stored: bool = False

    def answer(self) -> FaultAnswer:
        """Return it as the pipeline takes it; a replay is never delayed."""
        return from_json(FaultAnswer, {**self.model_dump(), "name": self.fault, "delay_ms": 0.0})


def _text_or_json(body: JsonValue) -> JsonValue:
    if body is None or isinstance(body, (str, dict, list)):
        return body
    raise ValueError("must be a JSON object or array, or the body as text")


def _path_or_asterisk(path: str) -> str:
    if path != "*" and not path.startswith("/"):
        raise ValueError("must begin with a slash")
    return path


class Line(_Strict):
    """One request as a line has it. `received_at` is in milliseconds since the epoch.

    An export has `body` as text, byte for byte; by hand it is easier to write as the JSON that it is.
    """

    account: ValidName = DEFAULT_ACCOUNT
    method: str = "POST"
    path: Annotated[str, AfterValidator(_path_or_asterisk)]
    headers: dict[str, str] = {"content-type": "application/json"}
    body: Annotated[str | dict[str, JsonValue] | list[JsonValue] | None, BeforeValidator(_text_or_json)] = None
    body_base64: str | None = None
    oversized: bool = False
    received_at: Annotated[int, Field(ge=0, le=LAST_MOMENT)]
    status: Annotated[int, Field(ge=100, le=599)] | None = None
    fault: _Fault | None = None

    @model_validator(mode="after")
    def _sendable(self) -> "Line":
        if self.body is not None and self.body_base64 is not None:
            raise ValueError("body and body_base64 are both given; give only one of them")
        self._bytes()
        return self

    def _bytes(self) -> bytes:
        if self.body_base64 is not None:
            try:
                return base64.b64decode(self.body_base64, validate=True)
            except binascii.Error:
                raise ValueError("body_base64 is not valid base64; encode the bytes of the body") from None
        try:
            return (self.body if isinstance(self.body, str) else _json_of(self.body)).encode("utf-8")
        except UnicodeEncodeError:
            raise ValueError("body has a lone surrogate, which UTF-8 cannot encode; use body_base64") from None

    def request(self, revision: Revision, account: str | None = None) -> Request:
        """Return the request, to be replayed in *account*, which has *revision*, or else in its own."""
        name = account or self.account
        headers = {key.lower(): value for key, value in self.headers.items()}
        return Request(
            account=name,
            endpoint=emulated_at(self.path, revision).endpoint,
            method=self.method,
            path=prefixed(name, self.path),
            content_type=headers.get("content-type", ""),
            content_encoding=headers.get("content-encoding", ""),
            authorization=headers.get("authorization", ""),
            body=self._bytes(),
            oversized=self.oversized,
            attempt=attempt_number(headers.get("x-stainless-retry-count", "0")),
            sdk_counts="x-stainless-retry-count" in headers,
            received_at=self.received_at,
            started=time.perf_counter(),
            replayed=True,
            fault=self.fault.answer() if self.fault else None,
        )


class SettingsLine(_Strict):
    """What an account accepted when the journal was exported."""

    account: ValidName = DEFAULT_ACCOUNT
    settings: AccountSettings


def _json_of(body: JsonValue) -> str:
    return "" if body is None else json_text(body)


def read(file: IO[bytes]) -> Iterator[tuple[int, Line]]:
    """Yield the requests in *file*, numbered from 1; empty lines and settings are skipped. Raises LineError."""
    for number, line in read_all(file):
        if isinstance(line, Line):
            yield number, line


def read_all(file: IO[bytes]) -> Iterator[tuple[int, Line | SettingsLine]]:
    """Yield the requests and settings in *file*, numbered from 1; empty lines are skipped. Raises LineError."""
    for number in count(1):
        text = file.readline(MAX_LINE_BYTES + 1)
        if not text:
            return
        if len(text) > MAX_LINE_BYTES:
            raise LineError(f"line {number}: longer than {MAX_LINE_BYTES} bytes; leave that request out")
        if not text.strip():
            continue
        try:
            yield number, _line(strict_json(text))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise LineError(f"line {number}: {_place(first['loc'])}{plain(first)}") from None
        except (ValueError, RecursionError) as error:
            raise LineError(f"line {number}: not JSON: {error}") from None


def _line(value: JsonValue) -> Line | SettingsLine:
    has_settings = isinstance(value, dict) and "settings" in value
    return SettingsLine.model_validate(value) if has_settings else Line.model_validate(value)


def _place(location: tuple[int | str, ...]) -> str:
    """Return the field that an error is about; of settings, which one of them."""
    depth = 2 if location[:1] == ("settings",) else 1
    names = ".".join(str(part) for part in location[:depth])
    return f"{names}: " if names else ""


def written_settings(config: AccountConfig, redactor: Redactor | None) -> str | None:
    """Return the line, without its end, of an account's settings, redacted as its requests; None for the defaults."""
    settings = settings_of(config)
    if settings == AccountSettings():
        return None
    if redactor is not None:
        settings = settings.hidden(stand_in, _key_hidden)
    line: Properties = {"account": config.name, "settings": settings.model_dump(mode="json", warnings=False)}
    return json_text(line if redactor is None else each_text(line, hiding(redactor, config.name)))


def written(stored: StoredRequest, redactor: Redactor | None) -> str:
    """Return the line, without its end, of a stored request; with a *redactor*, without tokens and keys."""
    record = stored.record
    body, coding, authorization = stored.body, record.content_encoding, stored.authorization
    hide = None if redactor is None else hiding(redactor, record.account)
    if hide is not None:
        body, coding = redacted(body, coding, hide)
        authorization = _authorization_hidden(authorization)
    headers = {
        "content-type": record.content_type,
        "content-encoding": coding,
        "authorization": authorization,
        "x-stainless-retry-count": str(record.attempt - 1) if record.attempt > 1 else "",
    }
    line: Properties = {
        "account": record.account,
        "method": record.method,
        "path": within_account(record.path)[1],
        "headers": {name: value for name, value in headers.items() if value},
        **_body(body),
        "received_at": milliseconds_of(record.received_at),
        "status": record.status,
    }
    if stored.oversized:
        line["oversized"] = True
    if record.fault is not None:
        # Lines are kept in files and replayed by other versions, so the fault's name keeps the key it always had there.
        line["fault"] = {"fault" if key == "name" else key: part for key, part in to_json(record.fault).items()}
    if hide is not None:
        # The body is redacted already.
        line = {name: part if name.startswith("body") else each_text(part, hide) for name, part in line.items()}
    return json_text(line)


def hiding(redactor: Redactor, account: str | None = None) -> Callable[[str], str]:
    """Return what replaces, in a text, each key and each secret that *redactor* knows, by what stands for it."""
    return lambda text: redactor.replaced(keys_replaced(text, stand_in, 1), account, stand_in)


def _authorization_hidden(header: str) -> str:
    return _AUTHORIZATION.sub(lambda match: (match[1] or "") + stand_in(match[2]), header)


def _key_hidden(key: str) -> str:
    """Return what stands for *key* in the header that has it."""
    return _authorization_hidden(_BEARER + key).removeprefix(_BEARER)


def text_of(body: bytes, coding: str, limit: int) -> str | None:
    """Return *body* as text, decompressed; None if it is not text, or more than *limit* bytes."""
    try:
        plain = inflate(body, limit) if _is_gzip(coding) else body
        return None if plain is None else plain.decode("utf-8")
    except (zlib.error, UnicodeDecodeError):
        return None


def in_base64(body: bytes) -> str:
    """Return *body* as JSON can have it if it is not text."""
    return base64.b64encode(body).decode("ascii")


def _is_gzip(coding: str) -> bool:
    return coding.strip().lower() in GZIP


def _body(body: bytes) -> Properties:
    text = text_of(body, "", MAX_LINE_BYTES)
    return {"body_base64": in_base64(body)} if text is None else {"body": text}


def redacted(body: bytes, coding: str, hide: Callable[[str], str]) -> tuple[bytes, str]:
    """Return *body* without its token and the secrets that *hide* replaces, and its coding.

    A packed body is unpacked. What is not text loses everything.
    """
    text = text_of(body, coding, MAX_LINE_BYTES)
    if text is None:
        return b"", coding
    shown = hide(_hidden_escapes(tokens_replaced(text, stand_in), hide))
    return shown.encode("utf-8"), "" if _is_gzip(coding) else coding


def _hidden_escapes(text: str, hide: Callable[[str], str]) -> str:
    """Return *text*; if it is JSON in which a secret stands with escapes, which nothing finds in a text, then anew."""
    try:
        value = strict_json(text)
        shown = each_text(value, hide)
        return text if shown == value else json_text(shown)
    except (ValueError, RecursionError):
        return text


def stand_in(secret: str) -> str:
    """Return what stands for *secret*: of the same kind, and the same for the same one, so that both can be told."""
    kind = _KIND.match(secret)
    prefix = kind[0] if kind else ""
    digest = blake2b(secret.removeprefix(prefix).encode("utf-8", "surrogatepass"), digest_size=6)
    return f"{prefix}redacted_{digest.hexdigest()}"
