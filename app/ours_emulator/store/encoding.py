"""How texts and names are written in the database."""

import json
from functools import lru_cache
from hashlib import blake2b
from json.encoder import encode_basestring_ascii
from typing import cast

from ours_emulator.decide.identity import Name

REMOVED = "/"
"""What the name of an account that is being removed begins with."""


def encoded(text: str) -> str:
    """Return *text* as the inside of an ASCII JSON string: NUL and lone surrogates survive any database so."""
    return encode_basestring_ascii(text)[1:-1]


def decoded(text: str) -> str:
    """Return the text that `encoded` made *text* from."""
    return cast(str, json.loads(f'"{text}"')) if "\\" in text else text


def removed_name(account_id: int) -> str:
    """Return the name of an account while it is being removed."""
    return f"{REMOVED}{account_id}"


def name_digest(name: Name) -> str:
    """Return what a visitor with this *name* is looked up by."""
    account_id, kind, value = name
    return _digest(account_id, kind, value)


def distinct_digest(account_id: int, distinct_id: str, *, test: bool) -> str:
    """Return what must be unique: account, live or test, distinct id (rule dedup)."""
    return _digest(account_id, "test" if test else "live", distinct_id)


def digest_range(account_id: int) -> tuple[str, str]:
    """Return the range (from, up to but not including) in which all digests of an account lie."""
    return f"{account_id}:", f"{account_id};"


# What is looked up is mostly written soon after: in a batch of 1,000 rows, each with three names and a distinct id.
@lru_cache(maxsize=4096)
def _digest(account_id: int, kind: str, value: str) -> str:
    text = f"{kind}:{value}".encode("utf-8", "surrogatepass")
    return f"{account_id}:{blake2b(text, digest_size=16).hexdigest()}"
