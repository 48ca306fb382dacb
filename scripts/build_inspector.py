"""Bundle the library of the page, and format and check its scripts: `python scripts/build_inspector.py [--check]`.

With --check nothing is written. The types are those of the JavaScript client, which come from the debug API's own
OpenAPI document, so the page cannot use what the API does not have.
"""

import json
import sys
from pathlib import Path

from generating import write_or_check
from node_packages import install, run

FOLDER = Path(__file__).parent / "inspector"
MODULES = FOLDER / "node_modules"
PAGE = Path(__file__).parent.parent / "app" / "ours_emulator" / "inspector"
VENDOR = PAGE / "vendor"
LIBRARIES = ("preact", "htm")


def licenses() -> str:
    """Return what the licences of the bundled packages demand to be passed on."""
    parts: list[str] = []
    for name in LIBRARIES:
        package = json.loads((MODULES / name / "package.json").read_bytes())
        text = (MODULES / name / "LICENSE").read_text("utf-8")
        parts.append(f"{name} {package['version']} ({package['license']})\n\n{text.strip()}\n")
    return f"\n{'-' * 80}\n\n".join(parts)


def format_or_check() -> None:
    """Format the page's own files; with --check only find those that are not."""
    files = [str(path) for path in PAGE.iterdir() if path.suffix in (".css", ".js")]
    action = "--check" if sys.argv[1:] == ["--check"] else "--write"
    run(FOLDER, "node_modules/prettier/bin/prettier.cjs", action, "--print-width=120", *files)


def main() -> None:
    """Write or compare the bundle, then check the format and the types of the page's scripts."""
    install(FOLDER)
    write_or_check(VENDOR / "library.js", run(FOLDER, "bundle.mjs"))
    write_or_check(VENDOR / "LICENSES.txt", licenses())
    format_or_check()
    run(FOLDER, "node_modules/typescript/bin/tsc", "--project", "tsconfig.json")


if __name__ == "__main__":
    main()
