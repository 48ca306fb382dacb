"""How the benchmarks print: Markdown tables to paste into docs/performance.md, and the machine they ran on."""

import math
import os
import platform
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median


def say(text: str) -> None:
    """Print progress, apart from the result."""
    print(text, file=sys.stderr, flush=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[bool]) -> str:
    """Return a Markdown table that reads as plain text too; *numbers* are the columns to align to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
    rule = ["-" * (width - 1) + "-:"[number] for width, number in zip(widths, numbers, strict=True)]
    text = [
        [f"{cell:{'>' if number else '<'}{width}}" for cell, width, number in zip(row, widths, numbers, strict=True)]
        for row in (head, *rows)
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in (text[0], rule, *text[1:]))


def spread(ratios: Sequence[float]) -> str:
    """Return the lowest and the highest of the rounds' ratios; nothing for a single round."""
    return f"{min(ratios):.2f} to {max(ratios):.2f}" if len(ratios) > 1 else ""


def verdict(value: float, limit: float | None, *, at_most: bool = False) -> str:
    """Return *limit* and whether *value*, infinite if it could not be measured, meets it; nothing without a limit."""
    if limit is None:
        return ""
    met = value <= limit if at_most else value >= limit
    found = ("met" if met else "not met") if math.isfinite(value) else "not measured"
    return f"{'≤' if at_most else '≥'} {limit:,g}: {found}"


def each_ratio(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return the ratio of each round."""
    return [_quotient(one, other) for one, other in zip(ours, theirs, strict=True)]


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the ratio of the medians."""
    return _quotient(median(ours), median(theirs))


def _quotient(one: float, other: float) -> float:
    """Return *one* by *other*; on a busy machine a short run may have answered no batch at all."""
    return one / other if other else math.inf


def machine(client: str = "") -> str:
    """Return what the figures depend on besides the code: also the *client* that sent the load, if there was any."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return (
        f"{platform.system()} {platform.machine()}, cores: {os.cpu_count()}; {python}, "
        f"SQLite {sqlite3.sqlite_version}, uvicorn {version('uvicorn')}{client and f'; client: {client}'}"
    )


def emulator_version() -> str:
    """Return the version measured, with the commit in a git checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return f"ours-emulator {version('ours-emulator')}"
    return f"ours-emulator {version('ours-emulator')} at {commit}"


def load_average() -> str:
    """Return how busy the machine was in the last minute, this run included; with much else running, run again."""
    return f"load average: {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load average: unknown"
