"""What the handle asserts by itself, of lists that it has read."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from ours_emulator.emulator.errors import ExpectationError
from ours_emulator.emulator.report import hint_lines
from ours_emulator.records import Event, Visitor
from ours_emulator.wording import did_you_mean, first_of

_MAX_VISITORS = 10


def rules_in(ignore: str | Iterable[str]) -> frozenset[str]:
    """Return the rules that *ignore* names: one as a string, or several."""
    return frozenset((ignore,) if isinstance(ignore, str) else ignore)


def known_rules(names: Iterable[str], known: Collection[str]) -> None:
    """Raise ValueError if one of *names* is no rule: it would ignore nothing."""
    for name in sorted(names):
        if problem := unknown_rule(name, known):
            raise ValueError(f"ignore: {problem}")


def unknown_rule(name: str, known: Collection[str]) -> str:
    """Return what is wrong with the *name* of a rule; an empty string if it is one of the *known* rules."""
    return "" if name in known else f"unknown rule {name!r}{did_you_mean(name, known)}; docs/rules.md lists the rules"


def no_hints(events: Sequence[Event], ignored: Collection[str]) -> None:
    """Raise ExpectationError if any of *events* has a hint, except those of the rules *ignored*."""
    __tracebackhide__ = True
    lines = hint_lines(events, ignored)
    if lines:
        raise ExpectationError(
            "\n".join([f"expected no hints, but there are {len(lines)}; fix the calls or ignore these rules:", *lines])
        )


def only_visitor(matching: Sequence[Visitor], filters: Mapping[str, object], known: Sequence[Visitor]) -> Visitor:
    """Return the one visitor *matching* the filters. Raises ExpectationError, which lists the *known* ones instead."""
    __tracebackhide__ = True
    if len(matching) == 1:
        return matching[0]
    words = " and ".join(f"{name}={value!r}" for name, value in filters.items())
    expected = f"visitor with {words}" if words else "visitor"
    if matching:
        raise ExpectationError(f"expected one {expected}, but there are {len(matching)}:\n{_lines(matching)}")
    others = f"there are:\n{_lines(known)}" if known else "there are no visitors"
    raise ExpectationError(f"there is no {expected}; {others}")


def _lines(visitors: Sequence[Visitor]) -> str:
    lines = [f"{visitor.visitor_id}: {_identifiers(visitor)}" for visitor in visitors]
    return "\n".join(f"  {line}" for line in first_of(lines, _MAX_VISITORS))


def _identifiers(visitor: Visitor) -> str:
    ids = visitor.identifiers
    known = {"external_id": ids.external_id, "email": ids.email, "anonymous_id": ids.anonymous_id}
    return ", ".join(f"{name}={value!r}" for name, value in known.items() if value is not None) or "no other identifier"
