"""What the pytest plugin costs: a run that does not use it, and each test that does.

Prints the rows of the table in docs/performance.md. `--rounds N` runs of each kind, the kinds taking turns; medians.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
TESTS = 200
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


def each(directory: Path, source: str) -> tuple[float, float, int]:
    """Return the median and the first set-up and teardown of the tests of *source* in seconds, and the servers seen."""
    (directory / "conftest.py").write_text(CONFTEST)
    run(Path(sys.executable), directory, source)
    costs = json.loads((directory / "costs.json").read_text())
    return statistics.median(costs["seconds"]), costs["seconds"][0], costs["servers"]


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        without, used = startup(directory, rounds)
        plain, _, _ = each(directory, PLAIN)
        median, first, servers = each(directory, USING)
    print("| | with the plugin | without | difference |\n|---|---:|---:|---:|")
    print(row("CPU time of a run that does not use it, installed or not", used, without))
    print(row(f"set-up and teardown of each of {TESTS} tests, median", median, plain))
    print(f"| the first of them, which starts the server ({servers} in all) | {first * 1000:.0f} ms | | |")


def row(what: str, used: float, without: float) -> str:
    """Return a row of the table; times are in seconds."""
    cells = [f"{seconds * 1000:.1f} ms" for seconds in (used, without, used - without)]
    return f"| {what} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
