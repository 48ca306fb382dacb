"""Secrets masked: in the log, in the settings that are shown, in a journal that is passed on."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from urllib.parse import quote

from pydantic import JsonValue

from ours_emulator.jsontext import json_text

_MIN_SECRET = 6
"""A shorter text is no secret, and occurs in too many words."""
_KEY = re.compile(r"\b[ps]k_[A-Za-z0-9_-]{6,}")
TOKEN_FIELD = re.compile(
    r'("(?:t|\\u0074)(?:o|\\u006[fF])(?:k|\\u006[bB])(?:e|\\u0065)(?:n|\\u006[eE])"\s*:\s*")((?:[^"\\]|\\.)*)'
)


def masked(secret: str) -> str:
    """Return the end of *secret*, at most four characters and never more than a third of it."""
    return "…" + secret[len(secret) - min(4, len(secret) // 3) :]


def without_tokens(body: str) -> str:
    """Return the JSON text *body* with the value of each field `token` masked and everything else unchanged."""
    return TOKEN_FIELD.sub(lambda field: field[1] + _masked_inside(field[2]), without_keys(body))


def without_keys(text: str) -> str:
    """Return *text* with each key of the Client API masked."""
    return _KEY.sub(lambda key: masked(key[0]), text) if "k_" in text else text


def _masked_inside(string: str) -> str:
    """Return the inside of a JSON string masked; nothing of it is shown if it is malformed."""
    try:
        return json_text(masked(json.loads(f'"{string}"')))[1:-1]
    except ValueError:
        return "…"


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
        return without_keys(self.replaced(text, account, masked))

    def replaced(self, text: str, account: str | None, by: Callable[[str], str]) -> str:
        """Return *text*, which is about *account*, with each secret replaced *by* something; keys stay."""
        of_account = () if account is None else self._secrets_of(account)
        for spelled, secret in _spellings(self._secrets.union(of_account)):
            if spelled in text:
                text = text.replace(spelled, by(secret))
        return text


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
    """Return *secret* as it stands in text, in a JSON string, in a JSON pointer and in a URL."""
    pointer = secret.replace("~", "~0").replace("/", "~1")
    return {
        *(secret, json_text(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], pointer),
        *(quote(secret, safe, errors="backslashreplace") for safe in ("", "/~$@")),
        quote(pointer, "/~$@", errors="backslashreplace"),
    }
