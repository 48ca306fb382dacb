"""What a comparison finds, while it is found."""

from dataclasses import dataclass, field

from ours_emulator.fidelity.answers import Difference, NoReply, Reply
from ours_emulator.fidelity.preparation import Outgoing, Unsent


@dataclass(frozen=True, slots=True)
class Compared:
    """A request that was sent, and what is different: nothing, `differences`, or that there was no answer."""

    request: Outgoing
    rules: tuple[str, ...]
    """The rules it is about, as far as known: of the suite, or those of the reasons and hints that it was answered."""
    emulator: Reply
    server: Reply | NoReply
    differences: tuple[Difference, ...] = ()


@dataclass
class Found:
    """All that was found so far."""

    compared: list[Compared] = field(default_factory=list[Compared])
    unsent: list[Unsent] = field(default_factory=list[Unsent])
    stopped: str | None = None
    """Why not everything was sent."""

    @property
    def is_same(self) -> bool:
        """Whether everything that was to be sent was answered, and the same."""
        clean = all(isinstance(one.server, Reply) and not one.differences for one in self.compared)
        return clean and self.stopped is None
