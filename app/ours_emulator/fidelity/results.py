"""The results of a comparison, which grow while it runs."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from ours_emulator.fidelity.answers import Difference, NoAnswer, ServerAnswer
from ours_emulator.fidelity.preparation import NotCompared, OutgoingRequest
from ours_emulator.wording import listed

MAX_EXAMPLES = 10
"""How many requests are shown of each rule, and of each reason; as JSON all of them are."""


@dataclass(frozen=True, slots=True)
class ComparedRequest:
    """A request that was sent, and what is different: nothing, `differences`, or that there was no answer."""

    request: OutgoingRequest
    rules: tuple[str, ...]
    """The rules it is about, as far as known: of the suite, or those of the reasons and hints that it was answered."""
    emulator: ServerAnswer
    server: ServerAnswer | NoAnswer
    differences: tuple[Difference, ...] = ()

    @property
    def is_same(self) -> bool:
        """Whether the server answered as the emulator did."""
        return isinstance(self.server, ServerAnswer) and not self.differences


@dataclass
class Results:
    """The results so far, of *planned* requests that were to be sent."""

    planned: int
    sent: int = 0
    """How many requests were sent to the server, also those whose answers cannot be compared."""
    compared: list[ComparedRequest] = field(default_factory=list[ComparedRequest])
    not_compared: list[NotCompared] = field(default_factory=list[NotCompared])
    """The requests that were not sent, and those whose answers cannot be compared."""
    stopped: str | None = None
    """Why not everything was sent."""

    @property
    def is_same(self) -> bool:
        """Whether everything planned was sent, and no compared request was answered differently or not at all."""
        return self.stopped is None and all(one.is_same for one in self.compared)


def reasons(not_compared: Iterable[NotCompared], shown: Callable[[str], str]) -> Iterator[str]:
    """Yield each reason why requests are not compared, as *shown*: `line 1, line 2 and 3 more: why`."""
    labels: dict[str, list[str]] = {}
    for request in not_compared:
        labels.setdefault(shown(request.why), []).append(request.label)
    yield from (f"{listed(names, MAX_EXAMPLES)}: {why}" for why, names in labels.items())
