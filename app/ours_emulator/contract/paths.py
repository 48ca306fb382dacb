"""Why a path is unknown, in words (rule methods)."""

import re
from collections.abc import Iterable

from ours_emulator.wording import did_you_mean

_TWO_BASES = re.compile(r"(/api/(?:v1|client))(?=/).*?(/api/(?:v1|client))(?:/|$)")
_WEB_SDK = "ingest"


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
