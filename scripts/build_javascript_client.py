"""Write the types of the JavaScript client, and format and check its files.

`python scripts/build_javascript_client.py [--check]`; with --check nothing is written. The types of the debug API come
from its own OpenAPI document. The page is checked against the same types: see build_inspector.py.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import JsonValue

from generating import write_or_check
from node_packages import install, run
from ours_emulator.app import create_app
from ours_emulator.settings import load

GENERATOR = Path(__file__).parent / "inspector"
CLIENT = Path(__file__).parent.parent / "clients" / "javascript"
UNUSED = re.compile(r"examples?|[45]\d\d")
TYPESCRIPT = "node_modules/typescript/bin/tsc"


def shortened(value: JsonValue, parent: str = "") -> JsonValue:
    """Return a document without what no type is made of: examples, and the answers to what is refused."""
    if isinstance(value, list):
        return [shortened(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = value if parent == "properties" else {name: value[name] for name in value if not UNUSED.fullmatch(name)}
    return {name: shortened(inner, name) for name, inner in kept.items()}


def api_types() -> str:
    """Return the types of the debug API, from the document that the app itself serves."""
    document = shortened(create_app(load({"log_format": "none"})).debug_document())
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(document, file)
        file.flush()
        # What has a default may be left out of a body, which is for the emulator to fill in.
        return run(GENERATOR, "node_modules/openapi-typescript/bin/cli.js", file.name, "--default-non-nullable=false")


def declarations() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each file that tells TypeScript what the client's files have."""
    with tempfile.TemporaryDirectory() as folder:
        run(CLIENT, TYPESCRIPT, "--project", "tsconfig.types.json", "--outDir", folder)
        for path in sorted(Path(folder).iterdir()):
            yield path.name, path.read_text("utf-8")


def format_or_check() -> None:
    """Format the client's own files; with --check only find those that are not."""
    action = "--check" if sys.argv[1:] == ["--check"] else "--write"
    run(CLIENT, "node_modules/prettier/bin/prettier.cjs", action, "--log-level=warn", ".")


def main() -> None:
    """Write or compare the types, then check the format, the types and the style of the client's files."""
    install(GENERATOR)
    install(CLIENT)
    write_or_check(CLIENT / "types" / "api.d.ts", api_types())
    for name, text in declarations():
        write_or_check(CLIENT / "types" / name, text)
    format_or_check()
    for project in ("tsconfig.json", "tests/consumer/tsconfig.json"):
        run(CLIENT, TYPESCRIPT, "--project", project)
    run(CLIENT, "node_modules/eslint/bin/eslint.js", ".")


if __name__ == "__main__":
    main()
