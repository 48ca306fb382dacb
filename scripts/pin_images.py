"""Pin the images that a Dockerfile starts from to their digests of today: `python scripts/pin_images.py Dockerfile …`.

`FROM python:3.13-slim` becomes `FROM python:3.13-slim@sha256:…`. A digest that is there already is replaced. The digest
is that of the index, which has an image for each platform. It needs Docker with buildx, and nothing else but Python.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

_FROM = re.compile(r"^(FROM )([^\s@]+:[^\s@]+)(?:@sha256:[0-9a-f]{64})?(?=\s|$)", re.MULTILINE)


@cache
def digest(image: str) -> str:
    """Ask the registry for the digest of *image*."""
    command = ["docker", "buildx", "imagetools", "inspect", image, "--format", "{{json .Manifest}}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return str(json.loads(done.stdout)["digest"])


def pinned(dockerfile: str, digest_of: Callable[[str], str]) -> str:
    """Return the text of *dockerfile* with the digest of each image that has a tag. Stages have none."""
    return _FROM.sub(lambda found: f"{found[1]}{found[2]}@{digest_of(found[2])}", dockerfile)


def main() -> None:
    """Pin the images of each file that is an argument."""
    for name in sys.argv[1:]:
        path = Path(name)
        text = pinned(path.read_text("utf-8"), digest)
        path.write_text(text, "utf-8")
        sys.stdout.writelines(f"{found[0]}\n" for found in _FROM.finditer(text))


if __name__ == "__main__":
    main()
