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
from dataclasses import dataclass
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
ASSERTING = f"""
import json
import urllib.request

import pytest

@pytest.fixture
def sent(ours_emulator):
    body = {{"token": ours_emulator.token, "event": "Paid", "userId": "u", "eventProperties": {{"plan": "pro"}}}}
    headers = {{"content-type": "application/json"}}
    url = ours_emulator.ingest_url + "/track"
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).close()

@pytest.mark.parametrize("number", range({TESTS}))
def test_asserting(sent, ours_emulator, number):
    ours_emulator.assert_tracked("Paid", user_id="u", event_properties={{"plan": "pro"}})
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

around = {}
calls = []
servers = set()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item):
    start = time.perf_counter()
    yield
    around[item.name] = time.perf_counter() - start
    servers.update({item.funcargs["ours_emulator"].server_url} if "ours_emulator" in item.funcargs else ())


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item):
    start = time.perf_counter()
    yield
    calls.append(time.perf_counter() - start)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item):
    start = time.perf_counter()
    yield
    around[item.name] += time.perf_counter() - start


def pytest_sessionfinish():
    costs = {"around": list(around.values()), "calls": calls, "servers": len(servers)}
    Path("costs.json").write_text(json.dumps(costs))
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


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds that the tests of a run take."""

    around: float
    """Set-up and teardown of a test, the median."""
    around_first: float
    call: float
    """A test itself, the median."""


def costs_of(directory: Path, source: str) -> Costs:
    """Run the tests of *source*, and return what they cost."""
    (directory / "conftest.py").write_text(CONFTEST)
    run(Path(sys.executable), directory, source)
    costs = json.loads((directory / "costs.json").read_text())
    if costs["servers"] > 1:
        raise RuntimeError(f"{costs['servers']} emulators were started instead of one")
    return Costs(statistics.median(costs["around"]), costs["around"][0], statistics.median(costs["calls"]))


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
        plain, using, asserting = (_median_of(directory, source) for source in (PLAIN, USING, ASSERTING))
    print(f"{emulator_version()}; {machine()}; {before} before the run.")
    print(f"Medians: of the CPU time of {rounds} runs, and of the time in {_RUNS} runs of {TESTS} tests.\n")
    rows = [
        _row("CPU time of a run of pytest without a test that uses it", used, without),
        _row("set-up and teardown of the first test", using.around_first, plain.around_first, _FIRST_MS),
        _row("set-up and teardown of a later test", using.around, plain.around, _EACH_MS),
        _row("a test that calls `assert_tracked` once, in which an event is found", asserting.call, None),
    ]
    print(table(("", "with the plugin", "without", "target, ms"), rows, (False, True, True, False)))


def _median_of(directory: Path, source: str) -> Costs:
    """Return the medians of several runs of *source*."""
    runs = [costs_of(directory, source) for _ in range(_RUNS)]
    columns = zip(*((run.around, run.around_first, run.call) for run in runs), strict=True)
    return Costs(*map(statistics.median, columns))


def _row(what: str, used: float, without: float | None, most_ms: float | None = None) -> list[str]:
    """Return a row of the table; times are in seconds, and with the plugin at most *most_ms* is the target."""
    plain = "" if without is None else f"{without * 1000:.1f} ms"
    return [what, f"{used * 1000:.1f} ms", plain, verdict(used * 1000, most_ms, at_most=True)]


if __name__ == "__main__":
    main()
