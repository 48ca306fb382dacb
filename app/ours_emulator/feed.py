"""What was committed, for whoever listens."""

from collections.abc import Sequence

from ours_emulator.messages import Exchange


class Feed:
    """Nobody listens yet."""

    def publish(self, exchanges: Sequence[Exchange]) -> None:
        """*exchanges* were committed."""

    def cleared(self, account: str | None) -> None:
        """Everything of *account*, or of all accounts if None, was forgotten."""

    def close(self) -> None:
        """End every listener."""
