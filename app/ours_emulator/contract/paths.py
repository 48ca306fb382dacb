"""Paths: the account that one names, and why one is unknown (rules accounts, methods)."""

import re
from collections.abc import Iterable

from ours_emulator.model import ACCOUNT_NAME, DEFAULT_ACCOUNT
from ours_emulator.wording import did_you_mean

INGEST_BASE = "/api/v1"
"""Where the Ingest API is served, and also at the root (rules base-path, root-path)."""
ACCOUNTS_PATH = "/accounts/"

_TWO_BASES = re.compile(r"(/api/(?:v1|client))(?=/).*?(/api/(?:v1|client))(?:/|$)")
_WEB_SDK = "ingest"


def within_account(path: str) -> tuple[str | None, str]:
    """Return the account that *path* names, None without one, and the path within it (rule accounts)."""
    if path.startswith(ACCOUNTS_PATH):
        name, slash, rest = path[len(ACCOUNTS_PATH) :].partition("/")
        if slash and ACCOUNT_NAME.fullmatch(name):
            return name, f"/{rest}"
    return None, path


def account_at(path: str) -> str:
    """Return the account that *path* belongs to."""
    return within_account(path)[0] or DEFAULT_ACCOUNT


def prefixed(account: str, path: str) -> str:
    """Return *path* as it is sent to *account* (rule accounts)."""
    return path if account == DEFAULT_ACCOUNT else f"{ACCOUNTS_PATH}{account}{path}"


def unknown_path(path: str, known: Iterable[str]) -> str:
    """Return why nothing is at *path*. The last part of each path that is served is *known*."""
    return f"there is no such path{_explanation(path, known)}"


def _explanation(path: str, known: Iterable[str]) -> str:
    bases = _TWO_BASES.search(path)
    if bases is not None:
        first, second = bases.groups()
        if first == second:
            return f": the base URL is doubled; {first} is in it twice"
        return f": the base URL {first} is before {second}; remove it"
    last = path.rstrip("/").rpartition("/")[2]
    if last == _WEB_SDK:
        return "; the vendor's web SDK posts here, and its API is not emulated"
    return did_you_mean(last, known)
