"""Write the types of the JavaScript client, and format and check its files.

`python scripts/build_javascript_client.py [--check]`; with --check nothing is written. The types of the debug API come
from its own OpenAPI document. The page is checked against the same types: see build_inspector.py.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from generating import write_or_check
from node_packages import install, run
from ours_emulator.app import create_app
from ours_emulator.settings import load

GENERATOR = Path(__file__).parent / "inspector"
CLIENT = Path(__file__).parent.parent / "clients" / "javascript"
TYPESCRIPT = "node_modules/typescript/bin/tsc"


def without_examples(document: Any) -> Any:
    """Return *document* without examples, and without the answers to what is refused: no type is made of them."""
    if isinstance(document, list):
        return [without_examples(item) for item in document]
    if not isinstance(document, dict):
        return document
    return {
        name: without_examples(value)
        for name, value in document.items()
        if name not in ("example", "examples") and not name.startswith("4") and not name.startswith("5")
    }


def api_types() -> str:
    """Return the types of the debug API, from the document that the app itself serves."""
    document = without_examples(create_app(load({"log_format": "none"})).debug_document())
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
