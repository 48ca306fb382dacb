"""The emulator beside mock servers that validate but keep nothing, and the goals for it.

Each load runs against one server after the other, each new and warmed up, so that noise of the machine reaches all.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import peers
from load import CLIENT, Load, Result, measured
from report import each_ratio, emulator_version, load_average, machine, ratio, say, spread, table, verdict
from servers import BARE, EMULATOR, running

_WARM_SECONDS = 1
_FSYNCS = 50
_TRACKS = tuple(Load("/track", connections) for connections in (1, 16, 64))
_BATCH = Load("/batch", 1, rows=1000, users=0)
_START, _BATCH_ROWS, _MEMORY = "start to first 200", "`/batch` of 1,000 rows", "memory, idle"
_P99 = "`/track`, 16 connections, p99"


def _track(connections: int) -> str:
    return f"`/track`, {connections} connection{'s' if connections > 1 else ''}"


# What is measured, in the order of the table, and how a figure of it is printed.
_FORMATS = {
    _START: "{:,.0f} ms",
    **{_track(load.connections): "{:,.0f}/s" for load in _TRACKS},
    _P99: "{:,.1f} ms",
    _BATCH_ROWS: "{:,.0f} rows/s",
    _MEMORY: "{:,.0f} MiB",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """A server to measure, and what it is called in the table."""

    name: str
    command: tuple[str, ...]
    port_option: str = ""


_OURS = Subject("emulator", EMULATOR)
_KEPT = Subject("with `--database`", (*EMULATOR, "--database", "kept.db"))
_STEADY, _PRISM = (Subject(peer.name, peer.command, peers.PORT_OPTION) for peer in (peers.STEADY, peers.PRISM))
_BARE = Subject("bare ASGI app", BARE)


def _baseline(command: str) -> Subject:
    return Subject("baseline", (str(Path(shutil.which(command) or command).absolute()), *EMULATOR[1:]))


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio that is wanted: a *floor* that must be met, an *aim* that should."""

    figure: str
    other: str
    floor: float | None = None
    aim: float | None = None
    ours: str = _OURS.name
    at_most: bool = False


_GOALS = (
    *(Goal(_track(count), _STEADY.name, floor, 1.2) for count, floor in ((1, 0.8), (16, 1), (64, 1))),
    *(Goal(_track(load.connections), _PRISM.name, aim=3) for load in _TRACKS),
    Goal(_BATCH_ROWS, _PRISM.name, 0.4, 1),
    Goal(_START, _BARE.name, 1.6, 1.1, at_most=True),
    Goal(_track(16), _OURS.name, 0.6, ours=_KEPT.name),
)
_BASELINE_GOAL = Goal(_P99, "baseline", 1, at_most=True)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured: for each figure and subject, one number a round; several of what each new server shows."""

    samples: dict[tuple[str, str], list[float]] = field(default_factory=dict[tuple[str, str], list[float]])

    def add(self, figure: str, subject: Subject, value: float) -> None:
        """Note one number."""
        self.samples.setdefault((figure, subject.name), []).append(value)

    def row(self, figure: str, subjects: Sequence[Subject]) -> list[str]:
        """Return the row of *figure*: the median for each subject."""
        numbers = (self.samples.get((figure, subject.name)) for subject in subjects)
        return [figure, *("" if values is None else _FORMATS[figure].format(median(values)) for values in numbers)]

    def judge(self, goal: Goal) -> list[str]:
        """Return the row of *goal*."""
        ours, theirs = (self.samples[goal.figure, name] for name in (goal.ours, goal.other))
        value, ratios = ratio(ours, theirs), each_ratio(ours, theirs)
        limits = (verdict(value, limit, at_most=goal.at_most) for limit in (goal.floor, goal.aim))
        return [f"{goal.figure}: {goal.ours} / {goal.other}", f"{value:.2f}", *limits, spread(ratios)]


def compare(rounds: int, seconds: int, baseline: str | None) -> None:
    """Install the peers, measure all servers in turns, and print the figures and the goals."""
    peers.install()
    before, fsync = load_average(), _fsync_ms()
    subjects = [_OURS, _KEPT, *([_baseline(baseline)] if baseline else []), _STEADY, _PRISM, _BARE]
    figures = Figures()
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        _round(figures, subjects, seconds)
    print(f"{emulator_version()}; {machine(CLIENT)}; {before} before the run; one fsync: {fsync:.2f} ms.")
    print(f"Medians; rounds of {seconds} s, taken in turns: {rounds}; starts of each server: {rounds * 4}.\n")
    print(_table(figures, subjects))
    print(f"\n{_goals(figures, [*_GOALS, *([_BASELINE_GOAL] if baseline else [])])}")
    if not baseline:
        print("\nThe floor of the p99 is that of another version: give its ours-emulator as --baseline.")


def _round(figures: Figures, subjects: Sequence[Subject], seconds: int) -> None:
    for load in (*_TRACKS, _BATCH):
        for subject in subjects:
            for figure, value in _measure(subject, load, seconds):
                figures.add(figure, subject, value)


def _measure(subject: Subject, load: Load, seconds: int) -> Iterator[tuple[str, float]]:
    """Start *subject* twice, so that its files are in memory whatever ran before, and yield what *load* shows of it."""
    with running(subject.command, subject.port_option) as server:
        server.start_ms("/track", next(_TRACKS[0].bodies()))
    with running(subject.command, subject.port_option) as server:
        yield _START, server.start_ms("/track", next(_TRACKS[0].bodies()))
        memory = server.settled_mib()
        if memory is not None:
            yield _MEMORY, memory
        measured(server.port, load, _WARM_SECONDS)
        yield from _figures(load, measured(server.port, load, seconds))


def _figures(load: Load, result: Result) -> Iterator[tuple[str, float]]:
    if load is _BATCH:
        yield _BATCH_ROWS, result.requests_per_second * load.rows
        return
    yield _track(load.connections), result.requests_per_second
    if load.connections == 16:
        yield _P99, result.p99_ms


def _table(figures: Figures, subjects: Sequence[Subject]) -> str:
    head = ["", *(subject.name for subject in subjects)]
    rows = [figures.row(figure, subjects) for figure in _FORMATS]
    return table(head, rows, [False, *(True for _ in subjects)])


def _goals(figures: Figures, goals: Sequence[Goal]) -> str:
    head = ["ratio", "", "floor", "aim", "in each round"]
    return table(head, [figures.judge(goal) for goal in goals], [False, True, False, False, True])


def _fsync_ms() -> float:
    """Return how long the disk of the temporary files takes to sync 4 KiB, which bounds `--database`."""
    with tempfile.TemporaryFile(prefix="bench-") as file:
        return median(_synced_ms(file.fileno()) for _ in range(_FSYNCS))


def _synced_ms(descriptor: int) -> float:
    os.write(descriptor, bytes(4096))
    started = time.perf_counter()
    os.fsync(descriptor)
    return (time.perf_counter() - started) * 1000
