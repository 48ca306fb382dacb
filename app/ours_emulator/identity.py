"""Who a message is about: the rules of identity, on plain values, without clock, database or HTTP."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from pydantic import JsonValue

from ours_emulator.messages import Claim, Hint, Identifier, Identity, Properties, Resolution, Step

Name: TypeAlias = tuple[int, Identifier, str]
"""An identifier as visitors are found by it: account, kind, value."""


@dataclass(slots=True)
class Visitor:
    """A person, as the account knows them. *pk* grows with age: of two visitors the smaller is the older."""

    pk: int
    account_id: int
    visitor_id: str
    properties: Properties = field(default_factory=dict[str, JsonValue])
    json: str = "{}"
    """*properties* as JSON text: what is stored, and what each event keeps of them."""
    event_count: int = 0
    first_seen: int = 0
    last_seen: int = 0
    stored_names: tuple[Name, ...] = ()
    """The names the store already has for this visitor; none for one that is new."""
    names_changed: bool = True
    """Whether the visitor's names may be others than the store has."""

    def names(self) -> Iterator[Name]:
        """Yield the identifiers this visitor is found by."""
        yield (self.account_id, "user_id", self.visitor_id)
        for kind in ("external_id", "email"):
            value = self.properties.get(kind)
            if isinstance(value, str):
                yield (self.account_id, kind, value)


class Visitors:
    """The visitors a group of messages may be about, found by name."""

    def __init__(self, loaded: Iterable[Visitor], next_pk: int) -> None:
        self._by_name: dict[Name, list[Visitor]] = {}
        self._next_pk = next_pk
        for visitor in loaded:
            self._index(visitor, visitor.stored_names)

    def resolve(
        self, account_id: int, identity: Identity, new_id: Callable[[], str]
    ) -> tuple[Visitor, Resolution, list[Hint]]:
        """Return the visitor *identity* names, adding one, under *new_id* unless given, if nobody matches.

        The strongest identifier given decides alone: a user id is taken at its word and an external id silences the
        email (rule identity-order). Of several visitors with the same identifier the oldest is meant (oldest-wins).
        """
        if not identity:
            return self._add(account_id, new_id()), Resolution(None, True, ()), []
        decider, *others = identity
        matches = self._matches(account_id, decider)
        skipped = [Step(claim.given_as, claim.value, "skipped") for claim in others]
        hints: list[Hint] = []
        if matches:
            visitor = min(matches, key=_age)
            if len(matches) > 1:
                hints.append(_ambiguous(decider))
        else:
            visitor = self._add(account_id, decider.value if decider.kind == "user_id" else new_id())
        hints += self._foreign(account_id, decider, others, visitor)
        first = Step(decider.given_as, decider.value, "matched" if matches else "not_found")
        return visitor, Resolution(decider.given_as, not matches, (first, *skipped)), hints

    def update(self, visitor: Visitor, properties: Properties) -> None:
        """Give *visitor* its new *properties* and let it be found by the identifiers among them."""
        before = visitor.properties
        visitor.properties = properties
        for kind in ("external_id", "email"):
            old, new = before.get(kind), properties.get(kind)
            if old == new:
                continue
            visitor.names_changed = True
            if isinstance(old, str):
                self._by_name[visitor.account_id, kind, old].remove(visitor)
            if isinstance(new, str):
                self._by_name.setdefault((visitor.account_id, kind, new), []).append(visitor)

    def _matches(self, account_id: int, claim: Claim) -> list[Visitor]:
        return self._by_name.get((account_id, claim.kind, claim.value), [])

    def _add(self, account_id: int, visitor_id: str) -> Visitor:
        visitor = Visitor(self._next_pk, account_id, visitor_id)
        self._next_pk += 1
        self._index(visitor, visitor.names())
        return visitor

    def _index(self, visitor: Visitor, names: Iterable[Name]) -> None:
        for name in names:
            self._by_name.setdefault(name, []).append(visitor)

    def _foreign(self, account_id: int, decider: Claim, others: Iterable[Claim], visitor: Visitor) -> Iterator[Hint]:
        if decider.kind != "user_id":
            return
        for claim in others:
            holders = self._matches(account_id, claim)
            if claim.kind == "external_id" and any(holder is not visitor for holder in holders):
                message = "belongs to another visitor, who is left as is; userId decided, and visitors are never merged"
                yield Hint("never-merged", f"/{claim.given_as}", message)


def _age(visitor: Visitor) -> int:
    return visitor.pk


def _ambiguous(claim: Claim) -> Hint:
    path = "/" + claim.given_as.replace(".", "/")
    return Hint("oldest-wins", path, f"several visitors have this {claim.kind}; the oldest one was taken")
