"""What the emulator costs: beside a bare ASGI app under the same server, and beside sqlite3 alone."""

import argparse
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from comparison import compare
from executemany import transactions_per_second, written_for
from load import CLIENT, Load, requests_per_second
from report import emulator_version, load_average, machine, say, table
from servers import BARE, EMULATOR, PLAIN_BARE, PLAIN_EMULATOR, Server, running

_TRACKS = tuple(Load("/track", connections) for connections in (1, 16, 64))
_PLAIN_TRACKS = _TRACKS[:2]
_BATCH = Load("/batch", 1, rows=1000, users=0)
_STARTS = 5
_WARM_SECONDS = 1
_HEAD = ("", "emulator", "beside", "", "ratio", "ratio in each round")
_NOTE = "The bare app's /batch is as fast as the client makes rows: a bound, not a figure of the app."
_NUMBERS = (False, True, False, True, True, True)


@dataclass(slots=True)
class Line:
    """One line of the table: what was measured in each round, of the emulator and of what it is compared with."""

    what: str
    other: str = "bare app"
    ours: list[float] = field(default_factory=list[float])
    theirs: list[float] = field(default_factory=list[float])

    def add(self, ours: float, theirs: float) -> None:
        """Note one round."""
        self.ours.append(ours)
        self.theirs.append(theirs)

    def cells(self) -> list[str]:
        """Return the medians, their ratio, and the lowest and highest ratio of a round."""
        ratios = sorted(ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True))
        ours, theirs = median(self.ours), median(self.theirs)
        spread = f"{ratios[0]:.3f} to {ratios[-1]:.3f}" if len(ratios) > 1 else ""
        return [self.what, f"{ours:,.0f}", self.other, f"{theirs:,.0f}", f"{ours / theirs:.3f}", spread]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, help="length of one run [default: 3]")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind [default: 3]")
    parser.add_argument("--quick", action="store_true", help="one round of one second: a look, not a figure")
    parser.add_argument("--peers", action="store_true", help="compare with two mock servers from npm instead")
    parser.add_argument("--baseline", metavar="COMMAND", help="with --peers: the ours-emulator of another checkout")
    options = parser.parse_args()
    if options.quick:
        options.rounds = options.seconds = 1
    if min(options.rounds, options.seconds) < 1:
        parser.error("--rounds and --seconds are at least 1")
    if options.baseline and not (options.peers and shutil.which(options.baseline)):
        parser.error(f"--baseline {options.baseline}: needs --peers (PEERS=1) and a command that exists")
    # As Ctrl-C does it: every block is left, so every process is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.peers:
            compare(options.rounds, options.seconds, options.baseline)
        else:
            _alone(options.rounds, options.seconds, starts=1 if options.quick else _STARTS)
    except KeyboardInterrupt:
        sys.exit(130)


def _alone(rounds: int, seconds: int, starts: int) -> None:
    """Compare with the bare app and with sqlite3, and print."""
    lines = [_starts(starts), *_runs(rounds, seconds)]
    print(f"{emulator_version()}; {machine(CLIENT)}; {load_average()} after the run.")
    print(f"Medians; rounds of {seconds} s, taken in turns: {rounds}.\n")
    print(f"{table(_HEAD, [line.cells() for line in lines], _NUMBERS)}\n\n{_NOTE}")


def _starts(times: int) -> Line:
    """Measure from making the process to its first 200, emulator and bare app in turns."""
    line = Line("start to first 200, ms")
    for number in range(times):
        say(f"start {number + 1} of {times}")
        line.add(*(_start(command) for command in (EMULATOR, BARE)))
    return line


def _start(command: Sequence[str]) -> float:
    with running(command) as server:
        return server.start_ms("/track", next(_TRACKS[0].bodies()))


def _runs(rounds: int, seconds: int) -> list[Line]:
    """Measure throughput, and memory before and after it."""
    written = written_for(_BATCH)
    tracks = [Line(f"/track, connections: {it.connections}, requests/s") for it in _TRACKS]
    plain = [Line(f"/track, connections: {it.connections}, h11 and asyncio") for it in _PLAIN_TRACKS]
    batch, floor = Line("/batch of 1,000, rows/s"), Line("/batch of 1,000, rows/s", "executemany")
    with running(EMULATOR) as emulator, running(BARE) as bare:
        idle = _memory("memory, idle, MiB", emulator, bare)
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}")
            _add(tracks, _TRACKS, seconds, emulator, bare)
            with running(PLAIN_EMULATOR) as slower, running(PLAIN_BARE) as slower_bare:
                requests_per_second(slower.port, _PLAIN_TRACKS[0], _WARM_SECONDS)
                _add(plain, _PLAIN_TRACKS, seconds, slower, slower_bare)
            # A new store, as executemany has: the other one is full by now, and evicts as much as it adds.
            with running(EMULATOR) as empty:
                requests_per_second(empty.port, _BATCH, _WARM_SECONDS)
                rates = [requests_per_second(it.port, _BATCH, seconds) * _BATCH.rows for it in (empty, bare)]
            batch.add(*rates)
            floor.add(rates[0], transactions_per_second(written, _BATCH.rows, seconds) * _BATCH.rows)
        return [*tracks, *plain, batch, floor, *idle, *_memory("memory, after /track, MiB", emulator, bare)]


def _add(lines: Sequence[Line], loads: Sequence[Load], seconds: int, *servers: Server) -> None:
    for line, load in zip(lines, loads, strict=True):
        line.add(*(requests_per_second(it.port, load, seconds) for it in servers))


def _memory(what: str, *servers: Server) -> list[Line]:
    """Return the line about resident memory, a first request answered; none where there is no /proc."""
    line = Line(what)
    for server in servers:
        server.post("/track", next(_TRACKS[0].bodies()))
    ours, theirs = (server.settled_mib() for server in servers)
    if ours is None or theirs is None:
        say(f"skipped, as there is no /proc: {what}")
        return []
    line.add(ours, theirs)
    return [line]


if __name__ == "__main__":
    main()
