"""Check that a tag may be released: `python scripts/check_release.py v1.2.0 [--notes]`.

The tag is `v` and the version of the package, which the JavaScript client has as well. CHANGELOG.md has a part about
that version which no longer says that it is unreleased. With --notes that part is printed. It needs nothing but Python.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def version(root: Path = ROOT) -> str:
    """Return the version of the package."""
    text = (root / "app" / "ours_emulator" / "__init__.py").read_text("utf-8")
    (number,) = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    return str(number)


def check_client(number: str, root: Path = ROOT) -> None:
    """Exit if the JavaScript client does not have the version *number*, too."""
    for name in ("package.json", "package-lock.json"):
        client = json.loads((root / "clients" / "javascript" / name).read_bytes())["version"]
        if client != number:
            sys.exit(f"clients/javascript/{name} has version {client}; set it to {number}")


def notes(changelog: str, number: str) -> str:
    """Return what *changelog* says about the version *number*; exit if it is not ready to be released."""
    found = re.search(rf"^## {re.escape(number)}(?: \((.+)\))?\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if found is None:
        sys.exit(f"CHANGELOG.md has no heading '## {number}'; add one")
    if found[1] == "unreleased":
        sys.exit(f"CHANGELOG.md says that {number} is unreleased; put the date in the heading")
    return found[2].strip() + "\n"


def check(tag: str, root: Path = ROOT) -> str:
    """Return the notes of the release that *tag* stands for; exit if the tag is not that of this version."""
    number = version(root)
    if tag != f"v{number}":
        sys.exit(f"tag {tag} is not the version of the package; use v{number}")
    check_client(number, root)
    return notes((root / "CHANGELOG.md").read_text("utf-8"), number)


def main() -> None:
    """Check the tag that is the first argument; with --notes print the notes."""
    match sys.argv[1:]:
        case [tag]:
            check(tag)
        case [tag, "--notes"]:
            sys.stdout.write(check(tag))
        case _:
            sys.exit("usage: python scripts/check_release.py TAG [--notes]")


if __name__ == "__main__":
    main()
