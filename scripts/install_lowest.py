"""Install the lowest versions of the dependencies that pyproject.toml allows: `python scripts/install_lowest.py`.

They go into the environment of this Python, which has uv. The test tools, and what the dependencies depend on, are
those of a day soon after the newest of the lowest versions was released: later ones warn of what those versions do,
and a warning fails a test. `make test` then adds what else the tests need, and leaves what is installed as it is.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
DAY = "2026-09-01"
"""The newest of them is schemathesis 4.25, of August 2026. Whoever raises a bound may have to move the day."""


def uv(*arguments: str) -> None:
    """Run uv for this Python's environment, in the root of the project."""
    subprocess.run([sys.executable, "-m", "uv", "--quiet", "pip", *arguments], cwd=ROOT, check=True)


def main() -> None:
    """Find the lowest versions, and install them with the project and its test tools."""
    install = ("install", "--python", sys.executable)
    with tempfile.TemporaryDirectory() as folder:
        lowest = str(Path(folder) / "lowest.txt")
        found = ("--extra", "postgres", "--no-annotate", "--no-header", "--output-file", lowest)
        uv("compile", "pyproject.toml", "--resolution=lowest-direct", "--exclude-newer", DAY, *found)
        sys.stdout.write(Path(lowest).read_text("utf-8"))
        project = ("--editable", ".", "--group", "test", "--constraint", lowest)
        uv(*install, *project, "--exclude-newer", DAY)


if __name__ == "__main__":
    main()
