"""What a body says that will not be kept as its sender probably meant it."""

from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache

from pydantic import JsonValue

from ours_emulator.contract.compile import Shape, pointer
from ours_emulator.messages import Hint

_MOST = 20
_SYNONYMS = {
    "properties": "eventProperties",
    "traits": "userProperties",
    "timestamp": "time",
    "messageid": "distinctId",
    "name": "event",
    "type": "event",
}


def unknown_keys(shape: Shape, sent: JsonValue, path: str = "") -> Iterator[Hint]:
    """Yield a hint for every name in *sent* that the document does not have (rule unknown-keys)."""
    if not isinstance(sent, dict):
        return
    if not sent.keys() <= shape.known:
        dropped = [name for name in sent if name not in shape.known]
        for name in dropped[:_MOST]:
            yield Hint("unknown-keys", path + pointer(name), f"dropped{_advice(shape, name)}")
        if len(dropped) > _MOST:
            yield Hint("unknown-keys", path, f"dropped {len(dropped) - _MOST} more unknown keys")
    for name, inner in shape.closed.items():
        if name in sent:
            yield from unknown_keys(inner, sent[name], f"{path}/{name}")


def forbidden_types(shape: Shape, sent: JsonValue, path: str = "") -> Iterator[Hint]:
    """Yield a hint for what is accepted though the document literally says "string" (rule any-json)."""
    if not isinstance(sent, dict):
        return
    for name in shape.free:
        values = sent.get(name)
        if isinstance(values, dict):
            names = [key for key, value in values.items() if value is not None and not isinstance(value, str)]
            if names:
                more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
                listed = ", ".join(names[:_MOST]) + more
                yield Hint("any-json", f"{path}/{name}", f"not a string, as the document has it: {listed}")
    for name in shape.loose:
        value = sent.get(name)
        if value is not None and not isinstance(value, str):
            yield Hint("any-json", f"{path}/{name}", "not a string, as the document has it")
    for name, inner in shape.closed.items():
        if name in sent:
            yield from forbidden_types(inner, sent[name], f"{path}/{name}")


@lru_cache(maxsize=4096)
def _suggestion(names: frozenset[str], name: str) -> str | None:
    folded = {_fold(known): known for known in sorted(names)}
    synonym = _SYNONYMS.get(_fold(name))
    if synonym in names:
        return synonym
    close = get_close_matches(_fold(name)[:100], folded, n=1, cutoff=0.85)
    return folded[close[0]] if close else None


def _advice(shape: Shape, name: str) -> str:
    suggestion = _suggestion(shape.known, name)
    if suggestion is not None:
        return f"; did you mean {suggestion}?"
    inner = _suggestion(frozenset(shape.homes), name)
    if inner is not None:
        return f"; did you mean {shape.homes[inner]}.{inner}?"
    if "custom_properties" in shape.known:
        return "; a property of your own belongs in custom_properties"
    return ""


def _fold(name: str) -> str:
    return name.replace("_", "").replace("-", "").replace(" ", "").lower()
