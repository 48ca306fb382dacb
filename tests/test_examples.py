"""The examples in examples/ pass as users would run them; one that fails prints what it should."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nested import FEW_PLUGINS

ROOT = Path(__file__).parent.parent
SIGNUP = ROOT / "examples" / "signup"
BROKEN = """
def test_broken(client, ours_emulator):
    client.post("/signup", json={"email": ""})
    ours_emulator.wait_for("Signed Up", timeout=0.1)
"""


def run(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", *options]
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OURS_", "PYTEST_"))}
    return subprocess.run(
        command, cwd=directory, env={**env, **FEW_PLUGINS}, capture_output=True, text=True, timeout=100
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SIGNUP, tmp_path / "signup", ignore=shutil.ignore_patterns("__pycache__")))


def test_its_tests_pass_in_workers_and_print_nothing(copy: Path) -> None:
    done = run(copy, "-rP", "-n", "2")
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout
    assert "- ours-emulator -" not in done.stdout
    assert "POST" not in done.stdout


def test_it_runs_in_a_checkout_as_the_readme_says_without_what_the_tests_of_the_repository_need() -> None:
    assert "`pytest examples/signup`" in (ROOT / "README.md").read_text("utf-8")
    for directory, where in ((ROOT, "examples/signup"), (SIGNUP, ".")):
        done = run(directory, where, "-p", "no:timeout", "-p", "no:xdist")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "5 passed" in done.stdout


def test_a_refusal_that_was_not_expected_is_printed(copy: Path) -> None:
    with (copy / "test_signup.py").open("a") as file:
        file.write(BROKEN)
    done = run(copy, "-k", "broken")
    assert "1 failed" in done.stdout, done.stdout
    message, _, printed = done.stdout.partition("- ours-emulator -")
    assert "these would have matched, but were not accepted:" in message
    assert "rejected: email: must be a string of 1 to" in message
    assert "1 request, 0 events accepted, 1 rejected" in printed
    assert "REJECTED 400 POST /api/v1/track" in printed
