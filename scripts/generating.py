"""What the scripts that generate a file have in common."""

import sys
from pathlib import Path


def write_or_check(path: Path, text: str) -> None:
    """Write *text* to *path*; with --check only compare, and exit with 1 if the file is not up to date."""
    if sys.argv[1:] != ["--check"]:
        path.write_text(text, "utf-8")
    elif path.read_text("utf-8") != text:
        sys.exit(f"{path.name} is not up to date; run python scripts/{Path(sys.argv[0]).name}")
