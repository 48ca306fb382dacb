"""Where the emulators of this user run: one small file each, while they run."""

import json
import os
import stat
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """An emulator that runs: its address and its process."""

    url: str
    pid: int


def url_of(host: str, port: int) -> str:
    """Return where this machine reaches what listens on *host* and *port*."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def announce(url: str) -> list[Path]:
    """Write down that this process serves *url*; return the file, to be withdrawn at the end, if it could be."""
    directory = _directory()
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        if not _ours(directory):
            return []
        file = directory / f"{os.getpid()}.json"
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps({"url": url, "pid": os.getpid()}))
        partial.replace(file)
        return [file]
    except OSError:
        return []


def withdraw(file: Path) -> None:
    """Remove what `announce` wrote."""
    with suppress(OSError):
        file.unlink(missing_ok=True)
        # Others of this user may still run.
        file.parent.rmdir()


def places() -> list[Place]:
    """Return the emulators that run. Files of those that were killed are removed."""
    found: list[Place] = []
    directory = _directory()
    if not _ours(directory):
        return found
    for file in sorted(directory.glob("*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            said = json.loads(file.read_text())
            place = Place(str(said["url"]), int(said["pid"]))
            if _alive(place.pid):
                found.append(place)
            else:
                file.unlink(missing_ok=True)
    return found


def _directory() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir(), f"ours-emulator-{user}")


def _ours(directory: Path) -> bool:
    """Whether *directory* is this user's own: in a directory for all, another may have made it."""
    try:
        about = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(about.st_mode) and (not hasattr(os, "getuid") or about.st_uid == os.getuid())


def _alive(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # Signal 0 is Control-C there.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
