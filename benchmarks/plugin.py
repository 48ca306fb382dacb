"""What the pytest plugin costs: a run that does not use it, and each test that does.

Prints the table in docs/performance.md. `--rounds N` runs of each kind, the kinds taking turns; medians.
"""

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from report import emulator_version, load_average, machine, table, verdict

ROOT = Path(__file__).parent.parent
TESTS = 200
_RUNS = 5
_EACH_MS, _FIRST_MS = 1.5, 450
EMPTY = "def test_nothing(): pass\n"
USING = f"""
import pytest

@pytest.mark.parametrize("number", range({TESTS}))
def test_using(ours_emulator, number): pass
"""
PLAIN = f"""
import pytest

@pytest.mark.parametrize("number", range({TESTS}))
def test_plain(tmp_path_factory, monkeypatch, number): pass
"""
CONFTEST = """
import json
import time
from pathlib import Path

import pytest

seconds = {}
servers = set()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    start = time.perf_counter()
    yield
    seconds[item.name] = time.perf_counter() - start
    servers.update({item.funcargs["ours_emulator"].server_url} if "ours_emulator" in item.funcargs else ())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item):
    start = time.perf_counter()
    yield
    seconds[item.name] += time.perf_counter() - start


def pytest_sessionfinish():
    Path("costs.json").write_text(json.dumps({"seconds": list(seconds.values()), "servers": len(servers)}))
"""


def run(python: Path, directory: Path, source: str) -> float:
    """Return how many seconds of CPU a pytest run of *source* takes, under *python*."""
    (directory / "test_it.py").write_text(source)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OURS_", "PYTEST_"))}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    subprocess.run(command, cwd=directory, env=env, check=True, capture_output=True, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def environment(directory: Path, *packages: object) -> Path:
    """Return the python of a new virtual environment that has pytest and *packages*, without what those need."""
    subprocess.run([sys.executable, "-m", "venv", directory], check=True, timeout=120)
    python = directory / "bin" / "python"
    for wanted in (["pytest"], ["--no-deps", *map(str, packages)] if packages else []):
        if wanted:
            command = [str(python), "-m", "pip", "install", "-q", *wanted]
            subprocess.run(command, check=True, capture_output=True, timeout=300)
    return python


def startup(directory: Path, rounds: int) -> tuple[float, float]:
    """Return the seconds of CPU of an empty run where the plugin is not installed and where it is, in turns."""
    without, installed = environment(directory / "without"), environment(directory / "with", ROOT)
    costs = [(run(without, directory, EMPTY), run(installed, directory, EMPTY)) for _ in range(rounds + 1)]
    # The first round only warms up.
    return statistics.median(cost for cost, _ in costs[1:]), statistics.median(cost for _, cost in costs[1:])


def each(directory: Path, source: str) -> tuple[float, float]:
    """Return the seconds that set-up and teardown of the tests of *source* take: the median, and those of the first."""
    (directory / "conftest.py").write_text(CONFTEST)
    run(Path(sys.executable), directory, source)
    costs = json.loads((directory / "costs.json").read_text())
    if costs["servers"] > 1:
        raise RuntimeError(f"{costs['servers']} emulators were started instead of one")
    return statistics.median(costs["seconds"]), costs["seconds"][0]


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    if importlib.util.find_spec("pytest") is None:
        sys.exit("plugin: pytest is not installed; run: make .venv/.test")
    before = load_average()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        without, used = startup(directory, rounds)
        plain = [each(directory, PLAIN) for _ in range(_RUNS)]
        using = [each(directory, USING) for _ in range(_RUNS)]
    print(f"{emulator_version()}; {machine()}; {before} before the run.\nMedians.\n")
    rows = [
        _row("CPU time of a run of pytest that does not use it", used, without),
        _row(f"set-up and teardown of each of {TESTS} tests", _median(using, 0), _median(plain, 0), _EACH_MS),
        _row("those of the first; the plugin starts the emulator", _median(using, 1), _median(plain, 1), _FIRST_MS),
    ]
    print(table(("", "with the plugin", "without", "target"), rows, (False, True, True, False)))


def _median(runs: Sequence[tuple[float, float]], place: int) -> float:
    return statistics.median(run[place] for run in runs)


def _row(what: str, used: float, without: float, most_ms: float | None = None) -> list[str]:
    """Return a row of the table; times are in seconds, and with the plugin at most *most_ms* is the target."""
    return [what, f"{used * 1000:.1f} ms", f"{without * 1000:.1f} ms", verdict(used * 1000, most_ms, at_most=True)]


if __name__ == "__main__":
    main()
