"""What `exec` reports when its command has ended."""

from ours_emulator.emulator import Emulator, report
from ours_emulator.handshake import Arrivals
from ours_emulator.variables import BASE_URL_VARIABLE
from ours_emulator.wording import plural


def summary(arrivals: Arrivals, emulator: Emulator) -> str:
    """Return the counts of all that arrived, and a line for each rejection, drop and hint, the first 20 of them."""
    outcomes = arrivals.outcomes or {}
    counts = report.counted(arrivals.requests, outcomes, arrivals.hints)
    replayed = f"; {plural(arrivals.replayed, 'request')} replayed" if arrivals.replayed else ""
    lines = [f"ours-emulator: {counts}{replayed}", *(f"  {line}" for line in arrivals.problems)]
    if arrivals.more:
        lines.append(f"  and {arrivals.more} more")
    if arrivals.requests == 0:
        lines.append(f"  {_what_to_check(emulator)}")
    return "\n".join(lines) + "\n"


def _what_to_check(emulator: Emulator) -> str:
    return (
        f"check that the app reads its base URL from {BASE_URL_VARIABLE} (it was {emulator.ingest_url}), that it sends "
        "its events before it exits, and that it runs on this machine and not in a container"
    )
