"""What the debug API answers about a store: asked page by page, and compared with what it answered before."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

import httpx

NOW = 1_778_846_400_000
"""The moment at which the clock of the store's emulator stands still: 2026-05-15T12:00:00Z."""

# Objects with names of the sender's own. In all others a later program may add names.
_WHOLE = frozenset(
    (
        *("event_properties", "default_properties", "identity_context", "visitor_properties"),
        *("properties", "custom_properties", "consent", "data", "devices", "outcomes"),
    )
)
# A cursor means something to the program that gave it, and a duration is measured.
_FREE = frozenset(("next_cursor", "duration_ms"))


def answer(http: httpx.Client, path: str) -> Any:
    """Return the JSON at *path*; of a list, all pages as one. The answer to an export is the list of its lines."""
    response = http.get(path)
    assert response.status_code == 200, f"{response.status_code} {response.text}"
    if response.headers["content-type"].startswith("application/jsonl"):
        return [json.loads(line) for line in response.text.splitlines()]
    first = response.json()
    if not isinstance(first, dict) or "items" not in first:
        return cast(Any, first)
    whole = cast(dict[str, Any], first)
    cursor = whole.get("next_cursor")
    while cursor:
        page = http.get(path, params={**httpx.URL(path).params, "cursor": cursor}).json()
        whole["items"] += page["items"]
        cursor = page["next_cursor"]
    return whole


def differences(then: Any, now: Any, path: str = "", *, whole: bool = False) -> Iterator[str]:
    """Yield the places at which *now* does not say what *then* said. It may say more, but not in *whole* objects."""
    # 1, 1.0 and true are equal.
    same = type(then) is type(now) and then == now
    if isinstance(then, dict) and isinstance(now, dict):
        before, after = cast(dict[str, Any], then), cast(dict[str, Any], now)
        if whole and after.keys() - before.keys():
            yield f"{path}: also has {sorted(after.keys() - before.keys())}"
        for name, value in before.items():
            if name in _FREE:
                continue
            if name in after:
                # A summary counts events by name; elsewhere `events` is a list of them.
                named = name in _WHOLE or (name == "events" and isinstance(value, dict))
                yield from differences(value, after[name], f"{path}/{name}", whole=whole or named)
            else:
                yield f"{path}: has no {name!r}"
    elif isinstance(then, list) and isinstance(now, list):
        items, others = cast(Sequence[Any], then), cast(Sequence[Any], now)
        if len(items) != len(others):
            yield f"{path}: has {len(others)} items, not {len(items)}"
        for index, (item, other) in enumerate(zip(items, others, strict=False)):
            yield from differences(item, other, f"{path}/{index}", whole=whole)
    elif not same:
        yield f"{path}: is {now!r}, was {then!r}"
