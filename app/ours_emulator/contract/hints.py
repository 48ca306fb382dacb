"""What a body says that will not be kept as its sender probably meant it."""

from difflib import get_close_matches
from functools import lru_cache

from pydantic import JsonValue

from ours_emulator.contract.compile import Shape, pointer
from ours_emulator.model import MOST_LISTED, Properties, cut, listed
from ours_emulator.records import Hint

_TYPOS = 2
_SYNONYMS = {
    "properties": ("eventProperties", "userProperties"),
    "traits": ("userProperties",),
    "timestamp": ("time",),
    "messageid": ("distinctId",),
    "name": ("event",),
    "type": ("event",),
    "apikey": ("token",),
    "phone": ("phone_number",),
    "mobile": ("phone_number",),
    "zipcode": ("zip",),
    "postalcode": ("zip",),
}


def unknown_keys(shape: Shape, sent: JsonValue, path: str = "") -> list[Hint]:
    """Return a hint for every name in *sent* that the document does not have (rule unknown-keys)."""
    if not isinstance(sent, dict):
        return []
    found = [] if sent.keys() <= shape.known else _dropped(shape, sent, path)
    for name, inner in shape.closed.items():
        if name in sent:
            found += unknown_keys(inner, sent[name], f"{path}/{name}")
    return found


def forbidden_types(shape: Shape, sent: Properties, path: str = "") -> list[Hint]:
    """Return a hint for what is accepted though the document literally says "string" (rule any-json)."""
    found: list[Hint] = []
    for name, value in sent.items():
        if value is None or isinstance(value, str):
            continue
        if name in shape.loose:
            found.append(Hint("any-json", f"{path}/{name}", "kept, though the document has it as a string"))
        elif isinstance(value, dict):
            if name in shape.closed:
                found += forbidden_types(shape.closed[name], value, f"{path}/{name}")
            elif name in shape.free:
                found += _not_strings(value, f"{path}/{name}")
    return found


def _dropped(shape: Shape, sent: Properties, path: str) -> list[Hint]:
    names = [cut(name) for name in sent if name not in shape.known]
    found = [Hint("unknown-keys", path + pointer(it), f"dropped{_advice(shape, it)}") for it in names[:MOST_LISTED]]
    if len(names) > MOST_LISTED:
        found.append(Hint("unknown-keys", path, f"dropped {len(names) - MOST_LISTED} more unknown keys"))
    return found


def _not_strings(values: Properties, path: str) -> list[Hint]:
    names = [name for name, value in values.items() if value is not None and not isinstance(value, str)]
    if not names:
        return []
    return [Hint("any-json", path, f"kept, though the document has it as a string: {listed(names)}")]


@lru_cache(maxsize=4096)
def _suggestion(names: frozenset[str], name: str) -> str | None:
    """Return which of *names* was probably meant by *name*, which must be short."""
    folded = _fold(name)
    synonym = next((known for known in _SYNONYMS.get(folded, ()) if known in names), None)
    if synonym is not None:
        return synonym
    # Only names of about that length are worth the comparison, which is slow.
    near = {_fold(known): known for known in sorted(names) if abs(len(_fold(known)) - len(folded)) <= _TYPOS}
    close = get_close_matches(folded, near, n=1, cutoff=0.85)
    return near[close[0]] if close else None


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
