"""What the debug API costs with many events stored; with `--growth`, how /track and memory change with them.

Prints tables for docs/performance.md.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

from filling import event, fill
from load import CLIENT, Load, measured
from report import each_ratio, emulator_version, load_average, machine, ratio, say, spread, table, verdict
from servers import EMULATOR, Server, running

_TIMES = 5
_SECONDS = 5.0
"""A read is repeated until it took so long altogether, or was done *_TIMES* times."""
_QUICK_MS = 50
_SCAN_MS = 0.01
_TRACK = Load("/track", 16)
_ROUNDS = 7
_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Read:
    """A call of the debug API and, of its time, what is wanted: so many ms, or so many for each stored event."""

    what: str
    path: str
    body: dict[str, object] | None = None
    goal_ms: float | None = None
    goal_ms_per_event: float = 0
    status: int = 200

    def goal(self, events: int) -> float | None:
        """Return what is wanted with *events* events stored, in milliseconds."""
        return max(_QUICK_MS, self.goal_ms_per_event * events) if self.goal_ms_per_event else self.goal_ms


def _verify(what: str, match: dict[str, object], scan: float = 0, status: int = 200) -> Read:
    return Read(f"verify {what}", "/debug/verify", {"match": match}, goal_ms_per_event=scan, status=status)


_READS = (
    Read("`events/latest`", "/debug/events/latest", goal_ms=_QUICK_MS),
    Read("first page of `events`", "/debug/events", goal_ms=_QUICK_MS),
    Read("first page of `requests`", "/debug/requests", goal_ms=_QUICK_MS),
    Read("first page of `visitors`", "/debug/visitors", goal_ms=_QUICK_MS),
    Read("`summary`", "/debug/summary", goal_ms=_QUICK_MS),
    Read("`calls`", "/debug/calls", goal_ms=_QUICK_MS),
    Read("`events?property.plan=rare`", "/debug/events?property.plan=rare", goal_ms_per_event=_SCAN_MS),
    _verify("by name", {"event": "Event 7"}),
    _verify("by name, nothing matches", {"event": "No Such Event"}, status=406),
    _verify("without a name", {"event_properties.plan": "rare"}, _SCAN_MS),
    _verify("by a pattern, without a name", {"event_properties.order": {"$regex": "-9+$"}}, _SCAN_MS),
    _verify("without a name, nothing matches", {"event_properties.plan": "none"}, _SCAN_MS, status=406),
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--growth", action="store_true", help="measure growth instead")
    parser.add_argument("--events", type=int, help="events to store [default: 100,000; with --growth 1,000,000]")
    parser.add_argument("--quick", action="store_true", help="with a twentieth of the events: a look, not a figure")
    options = parser.parse_args()
    events = options.events or (1_000_000 if options.growth else 100_000) // (20 if options.quick else 1)
    if events < 1:
        parser.error("--events is at least 1")
    # As Ctrl-C does it: every block is left, so every process is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    before = load_average()
    try:
        text = _growth(events, 1 if options.quick else 3) if options.growth else _reads(events)
    except KeyboardInterrupt:
        sys.exit(130)
    print(f"{emulator_version()}; {machine(CLIENT if options.growth else '')}; {before} before the run.\n\n{text}")


def _reads(events: int) -> str:
    """Return the table of the reads, with so many events stored, each sent in a request of its own."""
    with running((*EMULATOR, *_keeping(events))) as server:
        say(f"storing {events:,} events")
        fill(server.port, events)
        rows = [_row(read.what, _median_ms(server, read), read.goal(events)) for read in _READS]
        reset_ms, waited_ms = _reset(server)
    rows.append(_row("reset", reset_ms, None))
    rows.append(_row("longest `/track` while it runs", waited_ms, _QUICK_MS))
    return table(("", f"{events:,} events stored", "target, ms"), rows, (False, True, False))


def _keeping(events: int) -> tuple[str, ...]:
    """Return the options that keep *events* events with their requests, and some more."""
    return ("--keep", str(events * 2), "--keep-body-bytes", str(1 << 40))


def _row(what: str, milliseconds: float, goal: float | None) -> list[str]:
    return [what, f"{milliseconds:,.1f} ms", verdict(milliseconds, goal, at_most=True)]


def _median_ms(server: Server, read: Read) -> float:
    say(read.what)
    times: list[float] = []
    while len(times) < _TIMES and sum(times) < _SECONDS * 1000:
        times.append(_milliseconds(lambda: _call(server, read)))
    return median(times)


def _milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


def _call(server: Server, read: Read) -> None:
    answer = server.answer(read.path, None if read.body is None else json.dumps(read.body))
    if answer.status != read.status:
        raise RuntimeError(f"{read.path} answered {answer.status}: {answer.text[:200]}")


def _reset(server: Server) -> tuple[float, float]:
    """Return how many ms a reset takes, and how many the slowest event sent meanwhile."""
    say("reset")
    body = json.dumps({"token": "bench", **event(0), "distinctId": None})
    with ThreadPoolExecutor(1) as pool:
        reset = pool.submit(_milliseconds, lambda: server.post("/debug/reset", '{"all": true}'))
        waits = [_milliseconds(lambda: server.post("/track", body))]
        while not reset.done():
            waits.append(_milliseconds(lambda: server.post("/track", body)))
    return reset.result(), max(waits)


def _growth(events: int, seconds: int) -> str:
    """Return the table of what changes after so many events."""
    empty, full = _track_rates(events, seconds)
    idle, after = _memory(events)
    rows = [_growth_row(f"`/track`, {_TRACK.connections} connections, all kept", empty, full, "{:,.0f}/s", 0.9)]
    if idle is not None and after is not None:
        rows.append(_growth_row("memory, with the default `--keep`", [idle], [after], "{:,.0f} MiB", 1.5, at_most=True))
    head = ("", "empty store", f"after {events:,} events", "ratio", "target", "in each round")
    return table(head, rows, (False, True, True, True, False, True))


def _growth_row(
    what: str, empty: Sequence[float], full: Sequence[float], text: str, wanted: float, *, at_most: bool = False
) -> list[str]:
    figures = (text.format(median(values)) for values in (empty, full))
    change = ratio(full, empty)
    limit = verdict(change, wanted, at_most=at_most)
    return [what, *figures, f"{change:.2f}", limit, spread(each_ratio(full, empty))]


def _track_rates(events: int, seconds: int) -> tuple[list[float], list[float]]:
    """Return the requests/s of an empty store and of one with *events* events, in turns."""
    rates: tuple[list[float], list[float]] = ([], [])
    keeping = (*EMULATOR, *_keeping(events))
    with running(keeping) as full:
        say(f"storing {events:,} events")
        fill(full.port, events, _ROWS)
        # So that the system does not write out the stored events during the rounds.
        os.sync()
        for number in range(_ROUNDS):
            say(f"round {number + 1} of {_ROUNDS}")
            with running(keeping) as empty:
                for server, found in zip((empty, full), rates, strict=True):
                    # So that both are warm.
                    measured(server.port, _TRACK, 1)
                    found.append(measured(server.port, _TRACK, seconds).requests_per_second)
    return rates


def _memory(events: int) -> tuple[float | None, float | None]:
    """Return the memory in MiB with an empty store, and after *events* events of which the default number is kept."""
    with running(EMULATOR) as server:
        server.post("/track", next(_TRACK.bodies()))
        idle = server.settled_mib()
        say(f"sending {events:,} events")
        fill(server.port, events, _ROWS)
        return idle, server.settled_mib()


if __name__ == "__main__":
    main()
