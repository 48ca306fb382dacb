"""Hints about a body of the Ingest API: what is accepted but probably not intended.

Unknown keys are only reported here (rule unknown-keys). What drops them is the validator that `compile` makes.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

from pydantic import JsonValue

from ours_emulator.contract.compile import Shape, pointer
from ours_emulator.contract.revision import Revision
from ours_emulator.javascript import WHITE_SPACE
from ours_emulator.model import Identity, Properties
from ours_emulator.records import Hint
from ours_emulator.wording import MAX_LISTED, cut, nearest, suggested

# Close enough to be a typo: two letters of difference, and of a long name one in seven. Advice on a guess misleads.
_MAX_TYPOS = 2
_CLOSE = 0.85
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


def unknown_keys(shape: Shape, sent: JsonValue, revision: Revision, path: str = "") -> list[Hint]:
    """Return a hint for every name in *sent* that *shape*, of a body of *revision*, does not have.

    That the next revision has it is another hint than that nobody knows it (rules unknown-keys, revision).
    """
    if not isinstance(sent, dict):
        return []
    hints = [] if sent.keys() <= shape.known else _unknown_here(shape, sent, revision, path)
    for name, inner in shape.closed.items():
        if name in sent:
            hints += unknown_keys(inner, sent[name], revision, f"{path}/{name}")
    return hints


def surrounded(identity: Identity, newer: str) -> list[Hint]:
    """Return a hint for each identifier with white space around it, which the revision *newer* removes."""
    return [
        Hint(
            "revision",
            pointer(*claim.given_as.split(".")),
            f"has white space around it, which revision {newer} removes",
        )
        for claim in identity
        if claim.value[0] in WHITE_SPACE or claim.value[-1] in WHITE_SPACE
    ]


def dropped(rule: str, path: str, names: Sequence[str], advice: Callable[[str], str]) -> list[Hint]:
    """Return a hint for each of the first *names* that were dropped from the object at *path*, and one for the others.

    *advice*, which gets a name that is not too long, says what to do instead.
    """
    shown = map(cut, names[:MAX_LISTED])
    hints = [Hint(rule, path + pointer(name), f"dropped{advice(name)}") for name in shown]
    more = len(names) - MAX_LISTED
    return [*hints, *([Hint(rule, path, f"dropped {more} more unknown keys")] if more > 0 else [])]


def _unknown_here(shape: Shape, sent: Properties, revision: Revision, path: str) -> list[Hint]:
    places = {name: path + pointer(name) for name in sent if name not in shape.known}
    newer = revision.newer_names
    names = [name for name, place in places.items() if place not in newer]
    return [
        *(
            Hint("revision", place, f"dropped; revision {revision.newer} knows it")
            for place in places.values()
            if place in newer
        ),
        *dropped("unknown-keys", path, names, lambda name: _advice(shape, name)),
    ]


@lru_cache(maxsize=4096)
def _suggestion(names: frozenset[str], name: str) -> str | None:
    """Return the one of *names* that *name*, which must be short, probably means."""
    folded = _fold(name)
    synonym = next((known for known in _SYNONYMS.get(folded, ()) if known in names), None)
    if synonym is not None:
        return synonym
    return close_name(names, name)


def close_name(names: frozenset[str], name: str) -> str | None:
    """Return the one of *names* of which *name* is probably a typo."""
    folded = _fold(cut(name))
    # `nearest` is slow, so it only gets names of about that length.
    near = {_fold(known): known for known in sorted(names) if abs(len(_fold(known)) - len(folded)) <= _MAX_TYPOS}
    if folded in near:
        return near[folded]
    close = nearest(folded, near, _CLOSE)
    return None if close is None else near[close]


def _advice(shape: Shape, name: str) -> str:
    suggestion = _suggestion(shape.known, name)
    if suggestion is not None:
        return suggested(suggestion)
    inner = _suggestion(frozenset(shape.homes), name)
    if inner is not None:
        return suggested(f"{shape.homes[inner]}.{inner}")
    if "custom_properties" in shape.known:
        return "; put your own properties into custom_properties"
    return ""


def _fold(name: str) -> str:
    return name.replace("_", "").replace("-", "").replace(" ", "").lower()
