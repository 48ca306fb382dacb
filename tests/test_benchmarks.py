"""The benchmarks: that they run and say what is missing. Their figures are nobody's business here."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from databases import MISSING, programs

FOLDER = Path(__file__).parent.parent / "benchmarks"

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="the source distribution has no benchmarks")


def run(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(FOLDER / script), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50)


def test_comparing_with_peers_without_node_is_refused_in_one_line(tmp_path: Path) -> None:
    outcome = run("bench.py", "--peers", PATH=str(tmp_path))
    assert outcome.returncode == 1
    assert outcome.stdout == ""
    assert outcome.stderr == "bench: node and npm not found, which the peers need; install Node.js, or omit PEERS=1\n"


def test_a_baseline_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    outcome = run("bench.py", "--peers", "--baseline", "no-such-emulator", PATH=str(tmp_path))
    assert outcome.returncode == 2
    assert "--baseline no-such-emulator: needs --peers (PEERS=1) and a command that exists" in outcome.stderr


def test_reads_are_measured_with_as_many_events_as_wanted(tmp_path: Path) -> None:
    outcome = run("reads.py", "--events", "50", PATH=str(tmp_path))
    assert outcome.returncode == 0, outcome.stderr
    assert "| 50 events stored |" in re.sub(" +", " ", outcome.stdout)
    rows = dict(re.findall(r"^\| (.+?) +\| +([\d,.]+) ms \|", outcome.stdout, re.MULTILINE))
    assert {"`summary`", "`calls`", "verify by name", "verify without a name", "reset"} <= rows.keys()


def test_the_page_is_not_measured_without_a_browser(tmp_path: Path) -> None:
    outcome = run("page.py", PATH=str(tmp_path))
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == "page: chromium not found; install it\n"


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no Chromium here")
def test_the_page_is_measured_while_events_arrive() -> None:
    outcome = run("page.py", "--events", "20", "--seconds", "1", PATH=os.environ["PATH"])
    assert outcome.returncode == 0, outcome.stderr
    assert "20 events stored" in outcome.stdout
    rows = dict(re.findall(r"^\| (.+?) +\| +([\d,.]+)", outcome.stdout, re.MULTILINE))
    assert {"first rows, median", "99 of 100 frames", "most rows in the document"} <= rows.keys()
    assert int(rows["events sent meanwhile"]) > 1


@pytest.mark.skipif(programs() is None, reason=MISSING)
def test_waits_for_events_that_reach_another_emulator_on_the_database_are_measured() -> None:
    outcome = run("postgresql.py", "--rounds", "0", "--waits", "5", PATH=os.environ["PATH"])
    assert outcome.returncode == 0, outcome.stderr
    assert "| from the response to `/track` at one emulator to that of a wait at the other |" in outcome.stdout
    assert re.search(r"\| +[\d.-]+ ms \| +[\d.-]+ ms \| ≤ 5: ", outcome.stdout)
