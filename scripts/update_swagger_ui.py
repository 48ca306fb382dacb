"""Replace the vendored files of Swagger UI by those of another version: `python scripts/update_swagger_ui.py 5.35.0`.

It needs npm, which fetches the package and checks it against the registry's own checksum.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "app" / "ours_emulator" / "openapi" / "swagger_ui"
FILES = ("swagger-ui-bundle.js", "swagger-ui-bundle.js.LICENSE.txt", "swagger-ui.css", "LICENSE", "NOTICE")
README = """\
# Swagger UI {version}

The page at `/docs` loads nothing from elsewhere, so what it needs of [Swagger UI](https://swagger.io/tools/swagger-ui/)
is here, unchanged from the npm package `swagger-ui-dist` {version}. Swagger UI is licensed under the Apache License 2.0
(`LICENSE`, `NOTICE`); `swagger-ui-bundle.js.LICENSE.txt` has the licences of what is bundled with it.

`scripts/update_swagger_ui.py VERSION` replaces these files. `index.html` and `init.js` are our own.

| file | SHA-256 |
|---|---|
{rows}
"""


def main(version: str) -> None:
    """Fetch *version* of the package, and write its files and the README beside them."""
    rows: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", f"swagger-ui-dist@{version}"], cwd=folder, check=True)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as package:
            for name in FILES:
                member = package.extractfile(f"package/{name}")
                if member is None:
                    sys.exit(f"swagger-ui-dist {version} has no file {name}")
                content = member.read()
                (FOLDER / name).write_bytes(content)
                rows.append(f"| `{name}` | `{hashlib.sha256(content).hexdigest()}` |")
    (FOLDER / "README.md").write_text(README.format(version=version, rows="\n".join(rows)), "utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: update_swagger_ui.py VERSION")
    main(sys.argv[1])
