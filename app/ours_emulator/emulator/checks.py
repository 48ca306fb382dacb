"""What the handle asserts by itself, of lists that it has read."""

from collections.abc import Mapping, Sequence

from ours_emulator.emulator.errors import ExpectationError
from ours_emulator.emulator.report import hint_lines
from ours_emulator.records import Event, Visitor
from ours_emulator.wording import first_of

_MAX_VISITORS = 10


def no_hints(events: Sequence[Event], ignore: Sequence[str]) -> None:
    """Raise ExpectationError if any of *events* has a hint, except those of the rules in *ignore*."""
    __tracebackhide__ = True
    lines = hint_lines(events, ignore)
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
