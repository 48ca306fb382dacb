"""Lock what the image installs, with hashes, to the newest versions: `python scripts/lock_image.py`.

docker/requirements.txt has the dependencies and the extra `plan`, docker/build-requirements.txt what builds the
package. uv resolves them.
"""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEADER = "# Written by `make lock`; do not edit. What {name} in pyproject.toml resolved to.\n"


def locked(requirements: list[str]) -> str:
    """Resolve *requirements* for the Python of the image, and return one line per version and hash."""
    options = ("--generate-hashes", "--universal", "--python-version=3.13", "--no-header", "--no-annotate")
    command = [sys.executable, "-m", "uv", "--quiet", "pip", "compile", *options, "-"]
    done = subprocess.run(command, input="\n".join(requirements), stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def main() -> None:
    """Write both files."""
    read = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    parts = {
        "requirements.txt": (
            "project.dependencies, with the extra plan,",
            [*read["project"]["dependencies"], *read["project"]["optional-dependencies"]["plan"]],
        ),
        "build-requirements.txt": ("build-system.requires", read["build-system"]["requires"]),
    }
    for file, (name, requirements) in parts.items():
        (ROOT / "docker" / file).write_text(HEADER.format(name=name) + locked(requirements), "utf-8")


if __name__ == "__main__":
    main()
