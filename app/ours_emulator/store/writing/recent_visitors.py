"""Visitors as the last transaction left them: a message about one of them needs no query.

Most events are about a visitor who just had another one, and loading one takes an eighth of the instructions for a row.
"""

from collections.abc import Iterable

from ours_emulator.decide.identity import KnownVisitor, Name
from ours_emulator.store.versions import Keyframe

VisitorAndKeyframe = tuple[KnownVisitor, Keyframe]
MOST_VISITORS = 2000
MOST_BYTES = 4 * 1024 * 1024
"""Of JSON, which is a fraction of what the objects take."""
MOST_BYTES_OF_ONE = MOST_BYTES // 8


class RecentVisitors:
    """Visitors as the store has them, found by the names that no other visitor has.

    Clear this when a transaction fails, or when another process has written.
    """

    def __init__(self) -> None:
        self._by_pk: dict[int, VisitorAndKeyframe] = {}
        """The one who was saved last comes last."""
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

    def find(self, names: Iterable[Name]) -> tuple[dict[int, VisitorAndKeyframe], list[Name]]:
        """Return the visitors that have *names*, by their pk, and the names that have to be loaded.

        The visitors are copies. Their keyframes are not: these change only as they are saved, and if that fails, all
        are forgotten.
        """
        visitors: dict[int, VisitorAndKeyframe] = {}
        unknown: list[Name] = []
        for name in names:
            pk = self._pks.get(name)
            if pk is None:
                unknown.append(name)
            elif pk not in visitors:
                visitor, keyframe = self._by_pk[pk]
                visitors[pk] = visitor.copy(), keyframe
        return visitors, unknown

    def note_loaded(self, names: Iterable[Name], visitors: Iterable[KnownVisitor]) -> None:
        """Note that *visitors* were loaded by *names*: all that have them, or at least two of those with the same."""
        pks: dict[Name, int] = {}
        shared: set[Name] = set()
        for visitor in visitors:
            shared.update(name for name in visitor.stored_names if name in pks)
            pks.update(dict.fromkeys(visitor.stored_names, visitor.pk))
        self._only_holders = {name: pks[name] for name in names if name in pks and name not in shared}

    def keep(self, saved: Iterable[VisitorAndKeyframe], changed: set[Name]) -> None:
        """Keep visitors that were just *saved* and can be found by a name. Somebody got or lost those in *changed*."""
        holders = {name: pk for name, pk in self._only_holders.items() if name not in changed}
        self._only_holders.clear()
        for name in changed:
            self._pks.pop(name, None)
        found_by_name = set(holders.values())
        large: list[int] = []
        for visitor, keyframe in saved:
            before = self._by_pk.pop(visitor.pk, None)
            if before is not None or visitor.pk in found_by_name:
                self._by_pk[visitor.pk] = visitor, keyframe
                self._bytes += visitor.size - (before[0].size if before else 0)
                if visitor.size > MOST_BYTES_OF_ONE:
                    large.append(visitor.pk)
        self._pks.update((name, pk) for name, pk in holders.items() if pk in self._by_pk)
        for pk in large:
            self._forget(pk)
        while len(self._by_pk) > MOST_VISITORS or self._bytes > MOST_BYTES:
            self._forget(next(iter(self._by_pk)))

    def _forget(self, pk: int) -> None:
        visitor, _ = self._by_pk.pop(pk)
        self._bytes -= visitor.size
        for name in visitor.stored_names:
            if self._pks.get(name) == pk:
                del self._pks[name]
