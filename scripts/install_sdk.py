"""Install the vendor's SDK, and its own test suite, for the tests: `python scripts/install_sdk.py`.

They go into the environment of this Python. The suite is only in the SDK's sdist; it and what it needs are kept apart,
in the folder `sdk-suite` of the environment.
"""

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
SUITE = Path(sys.prefix) / "sdk-suite"
SDK = ("--no-deps", "--requirement", "tests/sdk.txt")


def pip(command: str, *arguments: str) -> None:
    """Run pip for this Python's environment, in the root of the project."""
    options = ("--quiet", "--disable-pip-version-check")
    subprocess.run([sys.executable, "-m", "pip", *options, command, *arguments], cwd=ROOT, check=True)


def main() -> None:
    """Install the SDK with what it needs, then fetch its suite."""
    pip("install", "--requirement", "tests/sdk-needs.txt")
    pip("install", *SDK)
    shutil.rmtree(SUITE, ignore_errors=True)
    pip("install", "--target", str(SUITE / "needs"), "--requirement", "tests/sdk-suite.txt")
    pip("download", *SDK, "--no-binary", "oursprivacy-client", "--dest", str(SUITE))
    (archive,) = SUITE.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(SUITE, filter="data")
    (SUITE / archive.name.removesuffix(".tar.gz")).rename(SUITE / "source")


if __name__ == "__main__":
    main()
