"""Secrets masked: in the log, in the settings that are shown, in a journal that is passed on."""

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from urllib.parse import quote, unquote

from pydantic import JsonValue

from ours_emulator.jsontext import json_text

_MIN_SECRET = 6
"""A shorter text is no secret, and occurs in too many words."""
_MAX_DEPTH = 5
"""How often something may be encoded and is still found: `%70`, `%2570`, `%252570`."""
_PERCENT = f"%(?:25){{0,{_MAX_DEPTH - 1}}}"
_BACKSLASHES = rf"(?:\\|{_PERCENT}5[Cc]){{1,16}}"
"""As many as there are before an escape if JSON is in a JSON string, five times over. Bounded, since a client may send
a million."""
_BACKSLASH = f"{_BACKSLASHES}+"
"""The same where none of them is tried again as what comes after them: a million would take a minute."""
_ESCAPE = re.compile(rf"{_BACKSLASH}u00([0-9A-Fa-f]{{2}})|{_PERCENT}([0-9A-Fa-f]{{2}})")
_JSON_ESCAPE = re.compile(rf"{_BACKSLASH}(?:u([0-9A-Fa-f]{{4}})|([\"/]))")
_ESCAPED_PREFIX = re.compile(rf"(?:{_PERCENT}|{_BACKSLASH}u00)(?:7[03]|6[bB]|5[fF])")
_BASE64_KEY = re.compile(r"(?<![A-Za-z0-9+_-])(?:cGtf|c2tf)[A-Za-z0-9+/_-]{8,}={0,2}")
_FORM = re.compile(r"[^\s\"'{}<>]*")
_FORM_TOKEN = re.compile(r"\b(token=)([^&\s\"]+)", re.IGNORECASE)
_TOKEN_FIELD = re.compile(
    r'("(?:t|\\u00[57]4)(?:o|\\u00[46][fF])(?:k|\\u00[46][bB])(?:e|\\u00[46]5)(?:n|\\u00[46][eE])"\s*:\s*")'
    r'((?:[^"\\]|\\.)*)',
    re.IGNORECASE,
)
_NAMED = re.compile(r"token\W*[:=]", re.IGNORECASE)
"""Of a text inside JSON: what looks as if a token followed."""


def masked(secret: str) -> str:
    """Return the end of *secret*, at most four characters and never more than a third of it.

    It can stand inside a JSON string: an end with a quotation mark or a backslash is not shown.
    """
    end = secret[len(secret) - min(4, len(secret) // 3) :]
    return "…" if '"' in end or "\\" in end else "…" + end


def without_tokens(body: str) -> str:
    """Return *body* with its tokens and keys masked, and as much as can be of the rest unchanged."""
    return without_keys(tokens_replaced(body, masked))


def tokens_replaced(body: str, by: Callable[[str], str]) -> str:
    """Return *body* with each token that it names replaced *by* another text, also those that nobody configured.

    In JSON those are the texts in a field `token`, whatever its case, also of JSON inside a text; in a form they are
    the fields `token`. Another body is replaced whole if it names a token anywhere, or is not text.
    """
    if "\0" in body:
        return by(body)
    if not _names_token(body):
        return body
    try:
        wanted = _replaced_in(json.loads(body.removeprefix("\ufeff"), object_pairs_hook=_object), by)
    except (ValueError, RecursionError):
        return _replaced_in_form(body, by)
    shown = _TOKEN_FIELD.sub(lambda field: field[1] + json_text(by(json.loads(f'"{field[2]}"')))[1:-1], body)
    return shown if json.loads(shown.removeprefix("\ufeff")) == wanted else json_text(wanted)


def _object(pairs: Sequence[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    """Return an object of *pairs*. Raises ValueError for several tokens, of which an object has only the last."""
    if sum(map(_is_token, dict(pairs))) < sum(_is_token(name) for name, _ in pairs):
        raise ValueError("a token is given twice")
    return dict(pairs)


def _is_token(name: str) -> bool:
    return name.strip().lower() == "token"


def _names_token(text: str) -> bool:
    return "token" in (_plain(text) if _may_be_escaped(text) else text).lower()


def _replaced_in(value: JsonValue, by: Callable[[str], str]) -> JsonValue:
    """Return the JSON *value* with the tokens in it replaced."""
    if isinstance(value, str):
        return _replaced_in_text(value, by)
    if isinstance(value, list):
        return [_replaced_in(item, by) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        _replaced_in_text(name, by): each_text(inner, by) if _is_token(name) else _replaced_in(inner, by)
        for name, inner in value.items()
    }


def _replaced_in_text(text: str, by: Callable[[str], str]) -> str:
    """Return a *text* inside JSON with the tokens in it replaced, if they are named as fields."""
    return tokens_replaced(text, by) if _NAMED.search(_plain(text)) else text


def _replaced_in_form(body: str, by: Callable[[str], str]) -> str:
    """Return *body*, which is not JSON: a form with its tokens replaced, anything else replaced whole."""
    if not _FORM.fullmatch(body) or _names_token(_FORM_TOKEN.sub("", body)):
        return by(body)
    return _FORM_TOKEN.sub(lambda field: field[1] + by(field[2]), body)


def without_keys(text: str) -> str:
    """Return *text* with each key of the Client API masked."""
    return keys_replaced(text, masked, _MIN_SECRET)


def keys_replaced(text: str, by: Callable[[str], str], least: int) -> str:
    """Return *text* with each key of the Client API that has *least* characters after its prefix replaced *by* another.

    A key is found with escapes of URLs and JSON in it too, and at the beginning of base64, as `Basic` has it.
    """
    if "k_" in text or (_may_be_escaped(text) and _ESCAPED_PREFIX.search(text)):
        text = _keys(least).sub(lambda key: by(_ESCAPE.sub(_unescaped, key[0])), text)
    return _BASE64_KEY.sub(lambda key: by(key[0]), text) if "tf" in text else text


def _may_be_escaped(text: str) -> bool:
    return "%" in text or "\\" in text


def _escaped(codes: str) -> str:
    """Return a pattern of the escapes of characters whose two hexadecimal digits match *codes*."""
    return rf"{_PERCENT}(?:{codes})|{_BACKSLASH}u00(?:{codes})"


@lru_cache
def _keys(least: int) -> re.Pattern[str]:
    kind, k, underscore = (
        f"(?:{plain}|{_escaped(codes)})" for plain, codes in (("[ps]", "7[03]"), ("k", "6[bB]"), ("_", "5[fF]"))
    )
    rest = f"(?:[A-Za-z0-9_-]|{_escaped('3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|5[fF]|2[dD]')})"
    begins = r"(?:(?<!\w)|(?<=%[0-9A-Fa-f]{2})|(?<=\\u[0-9A-Fa-f]{4}))"
    return re.compile(f"{begins}{kind}{k}{underscore}(?!redacted_){rest}{{{least},}}")


def _unescaped(escape: re.Match[str]) -> str:
    return chr(int(escape[1] or escape[2], 16))


def each_text(value: JsonValue, change: Callable[[str], str]) -> JsonValue:
    """Return the JSON *value* with *change* applied to every string in it, names of fields included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(name): each_text(inner, change) for name, inner in value.items()}
    return [each_text(inner, change) for inner in value] if isinstance(value, list) else value


class Redactor:
    """Masks the *secrets* of this emulator, those of an account (*secrets_of* its name), and every key."""

    def __init__(
        self, secrets: Iterable[str] = (), secrets_of: Callable[[str], Iterable[str]] = lambda _account: ()
    ) -> None:
        self._secrets = frozenset(secrets)
        self._secrets_of = secrets_of

    def __call__(self, text: str, account: str | None = None) -> str:
        """Return *text*, which is about *account*, with its secrets and keys masked."""
        shown = without_keys(self.replaced(text, account, masked))
        return _beginnings_replaced(shown, self._of(account)) if "…" in shown else shown

    def replaced(self, text: str, account: str | None, by: Callable[[str], str]) -> str:
        """Return *text*, which is about *account*, with each secret replaced *by* something; keys stay."""
        secrets = self._of(account)
        for spelled, secret in _spellings(secrets):
            if spelled in text:
                text = text.replace(spelled, by(secret))
        return _escaped_replaced(text, secrets, by) if _may_be_escaped(text) else text

    def _of(self, account: str | None) -> frozenset[str]:
        return self._secrets if account is None else self._secrets.union(self._secrets_of(account))


def _beginnings_replaced(text: str, secrets: Iterable[str]) -> str:
    """Return *text* with what it has of *secrets* where a long name was cut, which ends with an ellipsis, replaced."""
    for secret in secrets:
        for length in range(len(secret) - 1, _MIN_SECRET - 1, -1):
            text = text.replace(f"{secret[:length]}…", "…")
    return text


def _escaped_replaced(text: str, secrets: frozenset[str], by: Callable[[str], str]) -> str:
    """Return *text* with each of *secrets* that stands in it with escapes, of any of its characters, replaced."""
    plain = _plain(text)
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _MIN_SECRET and secret in plain:
            text = _with_escapes(secret).sub(by(secret).replace("\\", r"\\"), text)
    return text


def _plain(text: str) -> str:
    """Return *text* without the escapes of URLs and JSON."""
    for _ in range(_MAX_DEPTH):
        before, text = text, unquote(text)
        if text == before:
            break
    text = _JSON_ESCAPE.sub(lambda escape: escape[2] or chr(int(escape[1], 16)), text)
    # Two escapes may be one character.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@lru_cache(maxsize=1024)
def _with_escapes(secret: str) -> re.Pattern[str]:
    return re.compile("".join(f"(?:{'|'.join(_ways(character))})" for character in secret))


def _ways(character: str) -> Sequence[str]:
    """Return patterns for *character*: as it is, and as it is escaped in a URL and in JSON."""
    encoded = character.encode("utf-8", "surrogatepass")
    units = character.encode("utf-16-be", "surrogatepass").hex(" ", 2).split()
    ways = [re.escape(character), "".join(f"{_PERCENT}(?i:{byte:02x})" for byte in encoded)]
    ways.append("".join(f"{_BACKSLASH}u(?i:{unit})" for unit in units))
    return [*ways, _BACKSLASHES + re.escape(character)] if character in '"\\/' else ways


# Every line of the log needs the same ones.
@lru_cache(maxsize=256)
def _spellings(secrets: frozenset[str]) -> Sequence[tuple[str, str]]:
    """Return the spellings of each secret, however it is spelled, each with the secret itself.

    Longer secrets come first, because one may be the beginning of another.
    """
    return [
        (spelled, secret)
        for secret in sorted(secrets, key=len, reverse=True)
        if len(secret) >= _MIN_SECRET
        for spelled in _spelled(secret)
    ]


def _spelled(secret: str) -> set[str]:
    """Return *secret* as it stands in text, in a JSON string, in a JSON pointer, in a URL and in base64."""
    pointer = secret.replace("~", "~0").replace("/", "~1")
    return {
        *(secret, json_text(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], pointer),
        *(quote(secret, safe, errors="backslashreplace") for safe in ("", "/~$@")),
        quote(pointer, "/~$@", errors="backslashreplace"),
        *_in_base64(secret.encode("utf-8", "surrogatepass")),
    }


def _in_base64(secret: bytes) -> Iterator[str]:
    """Yield the digits that *secret* has in base64, after any number of other bytes, unless they tell of others too."""
    for before in range(3):
        digits = slice(-(-before * 8 // 6), (before + len(secret)) * 8 // 6)
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(bytes(before) + secret)[digits].decode("ascii")
