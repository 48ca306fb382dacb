"""What PostgreSQL costs beside a file of SQLite, and what a second emulator on the same database gains.

Prints a table for docs/performance.md.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from statistics import median

from load import CLIENT, Load, requests_per_second
from postgresql_server import postgresql, programs
from report import each_ratio, emulator_version, load_average, machine, ratio, say, spread, table, verdict
from servers import EMULATOR, Server, running
from waits import Connection, all_listen

_LOADS = {
    "`/track`, 16 connections": Load("/track", 16),
    "`/batch` of 1,000 rows, 2 connections": Load("/batch", 2, rows=1000, users=0),
}
_WARM_SECONDS = 1
_WARM_WAITS = 10
_MOST_MS = 5.0
_TIMEOUT_MS = 30_000


@dataclass(frozen=True, slots=True)
class Subject:
    """Emulators to measure: what they are called in the table, and the account that each is sent its part for."""

    name: str
    accounts: tuple[str, ...] = ("",)
    in_file: bool = False


_FILE = Subject("SQLite file", in_file=True)
_ONE = Subject("one emulator")
_TWO = Subject("two emulators", ("", ""))
_APART = Subject("two emulators, each with an account", ("/accounts/a", "/accounts/b"))
_SUBJECTS = (_FILE, _ONE, _TWO, _APART)
# Which ratios are shown, and how much is wanted: of /track, and of /batch.
_COMPARISONS = ((_ONE, _FILE, (0.5, None)), (_TWO, _ONE, (1.0, 1.0)), (_APART, _ONE, (None, None)))
Rates = dict[tuple[str, str], list[float]]
"""For each load and subject one rate a round, in rows per second."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, help="length of one run [default: 3]")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each kind; 0: waits only [default: 3]")
    parser.add_argument("--waits", type=int, default=300, help="how many waits are measured [default: 300]")
    parser.add_argument("--quick", action="store_true", help="one round of one second, few waits: a look, not a figure")
    parser.add_argument("--if-installed", action="store_true", help="do nothing where PostgreSQL is not installed")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds, options.waits = 1, 1, 30
    if options.rounds < 0 or min(options.seconds, options.waits) < 1:
        parser.error("--rounds is at least 0, --seconds and --waits are at least 1")
    folder = programs()
    if folder is None:
        say("postgresql: not measured; there is no PostgreSQL server on this machine")
        sys.exit(0 if options.if_installed else 1)
    # As Ctrl-C does it: every block is left, so every process is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    before = load_average()
    try:
        with postgresql(folder) as new_database:
            rates = _rates(new_database, options.rounds, options.seconds)
            say(f"{options.waits} waits")
            delays = _delays_ms(new_database(), options.waits)
    except KeyboardInterrupt:
        sys.exit(130)
    print(f"{emulator_version()}; {machine(CLIENT)}; {before} before the run.")
    print(f"Medians; rounds of {options.seconds} s, taken in turns: {options.rounds}; waits: {options.waits}.\n")
    print("\n\n".join([_throughput(rates), _waits(delays)] if options.rounds else [_waits(delays)]))


def _rates(new_database: Callable[[], str], rounds: int, seconds: int) -> Rates:
    """Measure each load with each subject, in turns."""
    rates: Rates = {(what, subject.name): [] for what in _LOADS for subject in _SUBJECTS}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for what, load in _LOADS.items():
            for subject in _SUBJECTS:
                database = "kept.db" if subject.in_file else new_database()
                rates[what, subject.name].append(_rate(subject, database, load, seconds))
    return rates


def _rate(subject: Subject, database: str, load: Load, seconds: int) -> float:
    """Return how many rows a second *subject* takes into a new *database*, warmed up."""
    with ExitStack() as stack:
        servers = _on_one_database(stack, database, len(subject.accounts))
        _sent(servers, subject.accounts, load, _WARM_SECONDS)
        return _sent(servers, subject.accounts, load, seconds)


def _on_one_database(stack: ExitStack, database: str, count: int) -> list[Server]:
    """Run so many emulators until *stack* ends."""
    return [stack.enter_context(running((*EMULATOR, "--database", database))) for _ in range(count)]


def _sent(servers: Sequence[Server], accounts: Sequence[str], load: Load, seconds: int) -> float:
    """Send *load* in equal parts, one to each of *servers* at the same time; return the rows per second of all."""
    connections = load.connections // len(servers)
    parts = [replace(load, path=account + load.path, connections=connections) for account in accounts]
    with ThreadPoolExecutor(len(servers)) as pool:
        sent = [
            pool.submit(requests_per_second, server.port, part, seconds)
            for server, part in zip(servers, parts, strict=True)
        ]
        return sum(one.result() for one in sent) * load.rows


def _delays_ms(database: str, waits: int) -> list[float]:
    """Return, in order, the ms from the answer of one emulator to that of the other, where the event was waited for."""
    with ExitStack() as stack:
        sender, other = _on_one_database(stack, database, 2)
        return sorted(asyncio.run(_delays(sender.port, other.port, waits)))


async def _delays(port: int, other_port: int, waits: int) -> list[float]:
    sender, waiter = await Connection.to(port), await Connection.to(other_port)
    delays: list[float] = []
    for number in range(_WARM_WAITS + waits):
        match = {"event": f"Event {number}"}
        waiting = asyncio.create_task(waiter.post("/debug/wait", {"match": match, "timeout_ms": _TIMEOUT_MS}))
        await all_listen(other_port)
        answered = await sender.post("/track", {"token": "t", **match, "userId": f"u{number}"})
        delays.append((await waiting - answered) * 1000)
    sender.close()
    waiter.close()
    return delays[_WARM_WAITS:]


def _throughput(rates: Rates) -> str:
    """Return the table of rates."""
    rows = [
        _row(f"{what}: {ours.name} / {theirs.name}", rates[what, ours.name], rates[what, theirs.name], limit)
        for ours, theirs, limits in _COMPARISONS
        for what, limit in zip(_LOADS, limits, strict=True)
    ]
    return table(
        ("events/s", "first", "second", "ratio", "target", "in each round"),
        rows,
        (False, True, True, True, False, True),
    )


def _row(what: str, ours: Sequence[float], theirs: Sequence[float], limit: float | None) -> list[str]:
    value = ratio(ours, theirs)
    rates = (f"{median(each):,.0f}" for each in (ours, theirs))
    return [what, *rates, f"{value:.2f}", verdict(value, limit), spread(each_ratio(ours, theirs))]


def _waits(delays: Sequence[float]) -> str:
    """Return the table of *delays*, which are in order."""
    middle, late = median(delays), delays[len(delays) * 99 // 100]
    row = [
        "from the response to `/track` at one emulator to that of a wait at the other",
        f"{middle:.1f} ms",
        f"{late:.1f} ms",
        verdict(middle, _MOST_MS, at_most=True),
    ]
    return table(("", "median", "p99", "target"), [row], (False, True, True, False))


if __name__ == "__main__":
    main()
