"""Visitors as the last transaction left them: a message about one of them needs no query.

Most events are about a visitor who just had another one, and loading a visitor takes a seventh of the time of an event.
"""

from collections.abc import Iterable

from ours_emulator.decide.identity import KnownVisitor, Name
from ours_emulator.store.versions import Keyframe

Loaded = tuple[KnownVisitor, Keyframe]
"""A visitor, and the keyframe of their versions."""
MOST_VISITORS = 2000
MOST_BYTES = 4 * 1024 * 1024
"""Of JSON, which is a fraction of what the objects take."""


class RecentVisitors:
    """Visitors as the store has them, found by the names that no other visitor has.

    They are to be cleared when a transaction fails, and when another process has written.
    """

    def __init__(self) -> None:
        self._by_pk: dict[int, Loaded] = {}
        self._pks: dict[Name, int] = {}
        self._only_holders: dict[Name, int] = {}
        """The pks of visitors who were loaded since something was saved, by those names that no other has."""
        self._bytes = 0

    def clear(self) -> None:
        """Forget all of them."""
        self._by_pk.clear()
        self._pks.clear()
        self._only_holders.clear()
        self._bytes = 0

    def find(self, names: Iterable[Name]) -> tuple[dict[int, Loaded], list[Name]]:
        """Return copies of the visitors that have *names*, by their pk, and the names that have to be loaded."""
        found: dict[int, Loaded] = {}
        others: list[Name] = []
        for name in names:
            pk = self._pks.get(name)
            if pk is None:
                others.append(name)
            elif pk not in found:
                visitor, keyframe = self._by_pk[pk]
                found[pk] = visitor.copy(), keyframe
        return found, others

    def note_loaded(self, names: Iterable[Name], visitors: Iterable[KnownVisitor]) -> None:
        """Note that *visitors* were loaded by *names*: all that have them, or at least two of those with the same."""
        pks: dict[Name, int] = {}
        shared: set[Name] = set()
        for visitor in visitors:
            shared.update(name for name in visitor.stored_names if name in pks)
            pks.update(dict.fromkeys(visitor.stored_names, visitor.pk))
        self._only_holders = {name: pks[name] for name in names if name in pks and name not in shared}

    def keep(self, saved: Iterable[Loaded], changed: set[Name]) -> None:
        """Keep visitors that were just *saved* if they are found by a name. Somebody got or lost those in *changed*."""
        holders = {name: pk for name, pk in self._only_holders.items() if name not in changed}
        self._only_holders.clear()
        for name in changed:
            self._pks.pop(name, None)
        found_by_name = set(holders.values())
        for visitor, keyframe in saved:
            before = self._by_pk.get(visitor.pk)
            if before is not None or visitor.pk in found_by_name:
                self._by_pk[visitor.pk] = visitor, keyframe
                self._bytes += visitor.size - (before[0].size if before else 0)
        self._pks.update((name, pk) for name, pk in holders.items() if pk in self._by_pk)
        if len(self._by_pk) > MOST_VISITORS or self._bytes > MOST_BYTES:
            self.clear()
