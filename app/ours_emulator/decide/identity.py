"""Who a message is about: the rules of identity, on plain values, without clock, database or HTTP."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from ours_emulator.decide.phone import PHONE, phone_name
from ours_emulator.decide.properties import NAMING_PROPERTIES
from ours_emulator.decide.versions import combined, patched
from ours_emulator.model import UNKNOWN, Change, Claim, Identifier, Identity, Properties, Version, VisitorState
from ours_emulator.records import Hint, Resolution, Step

_NAMING = frozenset((*NAMING_PROPERTIES, PHONE))
Name: TypeAlias = tuple[int, Identifier, str]
"""An identifier as visitors are found by it: account, kind, value."""


@dataclass(slots=True)
class KnownVisitor:
    """A person, as the account knows them. *pk* grows with age: of two visitors the smaller is the older."""

    pk: int
    account_id: int
    visitor_id: str
    state: VisitorState = UNKNOWN
    version: Version | None = None
    """The version last made of this visitor; None if there was none yet."""
    event_count: int = 0
    first_seen: int = 0
    last_seen: int = 0
    stored_names: tuple[Name, ...] = ()
    """The names the store already has for this visitor; none for one that is new."""
    names_changed: bool = True
    """Whether the visitor's names may be others than the store has."""
    unversioned: Change | None = None
    """What changed since `version`."""
    size: int = 0
    """How many bytes of JSON `state` is at most; exactly so many if `measured` (rule visitor-size)."""
    measured: bool = False

    @property
    def properties(self) -> Properties:
        """What is known of the visitor but for the Client API's `data` and the devices."""
        return self.state.properties

    def names(self) -> Iterator[Name]:
        """Yield the identifiers this visitor is found by."""
        yield (self.account_id, "user_id", self.visitor_id)
        for kind in NAMING_PROPERTIES:
            value = self.state.properties.get(kind)
            if isinstance(value, str):
                yield (self.account_id, kind, value)
        # Always, though not every revision looks one up: the account may get another revision.
        phone = phone_name(self.state.properties.get(PHONE))
        if phone is not None:
            yield (self.account_id, PHONE, phone)
        if self.state.anonymous_id is not None:
            yield (self.account_id, "anonymous_id", self.state.anonymous_id)

    def copy(self) -> "KnownVisitor":
        """Return the same visitor, for another group to change."""
        # By hand: `dataclasses.replace` takes six times as long.
        return KnownVisitor(
            self.pk,
            self.account_id,
            self.visitor_id,
            self.state,
            self.version,
            self.event_count,
            self.first_seen,
            self.last_seen,
            self.stored_names,
            self.names_changed,
            self.unversioned,
            self.size,
            self.measured,
        )

    def change(self, change: Change) -> None:
        """Do *change* to the visitor."""
        self.state = patched(self.state, change)
        self.unversioned = change if self.unversioned is None else combined(self.unversioned, change)


class KnownVisitors:
    """The visitors a group of messages may be about, found by name."""

    def __init__(self, loaded: Iterable[KnownVisitor], next_pk: int) -> None:
        self._by_name: dict[Name, list[KnownVisitor]] = {}
        self._next_pk = next_pk
        for visitor in loaded:
            self._index(visitor, visitor.stored_names)

    def find(
        self, account_id: int, identity: Identity, *, falls_through: bool
    ) -> tuple[KnownVisitor | None, Resolution, list[Hint]]:
        """Return the visitor *identity* names, if there is one, and how that was found.

        Of several visitors with the same identifier the oldest is meant (rule oldest-wins).
        """
        tried = looked_up(identity, falls_through=falls_through)
        steps: list[Step] = []
        for count, claim in enumerate(tried, 1):
            matches = self._matches(account_id, claim)
            if matches:
                steps.append(Step(claim.given_as, claim.value, "matched"))
                resolution = Resolution(claim.given_as, False, (*steps, *_skipped(identity[count:])))
                if len(matches) == 1:
                    return matches[0], resolution, []
                return min(matches, key=_age), resolution, [_ambiguous(claim)]
            steps.append(Step(claim.given_as, claim.value, "not_found"))
        return None, Resolution(None, False, (*steps, *_skipped(identity[len(tried) :]))), []

    def resolve(
        self,
        account_id: int,
        identity: Identity,
        new_id: Callable[[], str],
        *,
        falls_through: bool = False,
        newer: str | None = None,
    ) -> tuple[KnownVisitor, Resolution, list[Hint]]:
        """Return the visitor that *identity* names. If none matches, add one, with the user id or else *new_id*.

        The strongest identifier given decides alone: there is no look-up by email beside an external id (rule
        identity-order), unless it *falls_through* (rules identity-order, client-look-up). *newer* is the revision that
        would, for a hint.
        """
        visitor, resolution, hints = self.find(account_id, identity, falls_through=falls_through)
        if visitor is None:
            given = identity and identity[0].kind == "user_id"
            visitor = self._add(account_id, identity[0].value if given else new_id())
            resolution = Resolution(identity[0].given_as if identity else None, True, resolution.steps)
            if newer is not None and identity and identity[0].kind == "external_id":
                hints += self._found_by_newer(account_id, identity[1:], newer)
        if identity and identity[0].kind == "user_id":
            hints += self._foreign(account_id, identity[1:], visitor)
        return visitor, resolution, hints

    def adopt(self, visitor: KnownVisitor, claim: Claim) -> bool:
        """Give *visitor* the anonymous id in *claim* unless another has it; return whether *visitor* has it now."""
        if self._matches(visitor.account_id, claim):
            return visitor.state.anonymous_id == claim.value
        self.change(visitor, Change(anonymous_id=claim.value))
        return True

    def change(self, visitor: KnownVisitor, change: Change) -> None:
        """Do *change* to *visitor* and let them be found by the identifiers they have then."""
        if change.anonymous_id is None and change.properties.keys().isdisjoint(_NAMING):
            visitor.change(change)
            return
        before = set(visitor.names())
        visitor.change(change)
        after = set(visitor.names())
        if before != after:
            visitor.names_changed = True
            for name in before - after:
                self._by_name[name].remove(visitor)
            self._index(visitor, after - before)

    def discard(self, visitor: KnownVisitor) -> None:
        """Forget *visitor*, who was just added for a message that is refused."""
        for name in visitor.names():
            self._by_name[name].remove(visitor)

    def holder(self, account_id: int, claim: Claim) -> KnownVisitor | None:
        """Return the visitor that has the identifier in *claim*, the oldest of several."""
        return min(self._matches(account_id, claim), key=_age, default=None)

    def _matches(self, account_id: int, claim: Claim) -> list[KnownVisitor]:
        return self._by_name.get((account_id, claim.kind, claim.value), [])

    def _add(self, account_id: int, visitor_id: str) -> KnownVisitor:
        visitor = KnownVisitor(self._next_pk, account_id, visitor_id)
        self._next_pk += 1
        self._index(visitor, ((account_id, "user_id", visitor_id),))
        return visitor

    def _index(self, visitor: KnownVisitor, names: Iterable[Name]) -> None:
        for name in names:
            self._by_name.setdefault(name, []).append(visitor)

    def _found_by_newer(self, account_id: int, others: Identity, newer: str) -> Iterator[Hint]:
        """Yield a hint if the revision *newer* would have found a visitor by the email among *others*."""
        for claim in others:
            if claim.kind == "email" and self._matches(account_id, claim):
                message = f"another visitor has it; revision {newer} would take that one instead of a new one"
                yield Hint("revision", _path(claim), message)

    def _foreign(self, account_id: int, others: Identity, visitor: KnownVisitor) -> Iterator[Hint]:
        for claim in others:
            holders = self._matches(account_id, claim)
            if claim.kind == "external_id" and any(holder is not visitor for holder in holders):
                message = (
                    "belongs to another visitor, which is not changed: userId decided, and visitors are never merged"
                )
                yield Hint("never-merged", f"/{claim.given_as}", message)


def looked_up(identity: Identity, *, falls_through: bool) -> Identity:
    """Return the claims that may decide: the strongest, or all if it *falls_through*; a user id always alone."""
    return identity if falls_through and identity and identity[0].kind != "user_id" else identity[:1]


def _skipped(claims: Identity) -> list[Step]:
    return [Step(claim.given_as, claim.value, "skipped") for claim in claims]


def _age(visitor: KnownVisitor) -> int:
    return visitor.pk


def _path(claim: Claim) -> str:
    return "/" + claim.given_as.replace(".", "/")


def _ambiguous(claim: Claim) -> Hint:
    return Hint("oldest-wins", _path(claim), f"several visitors have this {claim.kind}; the oldest one was taken")
