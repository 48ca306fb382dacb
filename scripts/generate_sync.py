"""Generate the synchronous handle from the asynchronous one: `python scripts/generate_sync.py [--check]`.

With --check nothing is written; the exit code is 1 if the generated file is not up to date.
"""

import importlib
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from generating import write_or_check

HANDLE = Path(__file__).parent.parent / "app" / "ours_emulator" / "emulator"
SOURCE, GENERATED = HANDLE / "_async.py", HANDLE / "_sync.py"
SETTINGS = str(HANDLE.parent.parent.parent / "pyproject.toml")
TIDY = (
    ["check", "--select", "I,SIM117,UP028", "--fix", "--unsafe-fixes", "--quiet"],
    ["format", "--quiet"],
)
"""Without `async` statements can be shorter: nested `with` are joined, and loops that only yield."""
HEADER = "# Generated from _async.py by scripts/generate_sync.py; do not edit.\n"
NAMES = {
    **{
        f"Async{name}": name
        for name in ("Clock", "Emulator", "Expectation", "Export", "Fault", "Stream", "Transport", "Client")
    },
    "AsyncFaultState": "FaultState",
    "aclose": "close",
    "planned_later": "planned_now",
    "async_pause": "pause",
}
"""What the names of the source become, beyond what unasync knows by itself."""


def generated() -> str:
    """Return the synchronous handle."""
    # It has no type information.
    unasync: Any = importlib.import_module("unasync")
    with tempfile.TemporaryDirectory() as name:
        source, target = (Path(name, kind, "handle.py") for kind in ("async", "sync"))
        source.parent.mkdir()
        source.write_text(HEADER + SOURCE.read_text("utf-8"), "utf-8")
        unasync.unasync_files([str(source)], [unasync.Rule("/async/", "/sync/", additional_replacements=NAMES)])
        for command in TIDY:
            subprocess.run([sys.executable, "-m", "ruff", *command, "--config", SETTINGS, str(target)], check=True)
        return target.read_text("utf-8")


if __name__ == "__main__":
    write_or_check(GENERATED, generated())
