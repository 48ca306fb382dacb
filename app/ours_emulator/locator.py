"""Where the emulators of this user are running: one small file each, while they run."""

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
    """A running emulator: its address and its process."""

    url: str
    pid: int


def url_of(host: str, port: int) -> str:
    """Return the address at which this machine reaches what listens on *host* and *port*."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def announce(url: str) -> list[Path]:
    """Write a file that says that this process serves *url*; return it if that worked, to be withdrawn at the end."""
    directory = _directory()
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        if not _is_own(directory):
            return []
        file = directory / f"{os.getpid()}.json"
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps({"url": url, "pid": os.getpid()}))
        partial.replace(file)
        return [file]
    except OSError:
        return []


def withdraw(file: Path) -> None:
    """Remove the file that `announce` wrote."""
    with suppress(OSError):
        file.unlink(missing_ok=True)
        # Fails while other emulators of this user are running.
        file.parent.rmdir()


def places() -> list[Place]:
    """Return the running emulators. Files of those that were killed are removed."""
    running: list[Place] = []
    directory = _directory()
    if not _is_own(directory):
        return running
    for file in sorted(directory.glob("*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            announced = json.loads(file.read_text())
            place = Place(str(announced["url"]), int(announced["pid"]))
            if _alive(place.pid):
                running.append(place)
            else:
                file.unlink(missing_ok=True)
    return running


def _directory() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir(), f"ours-emulator-{user}")


def _is_own(directory: Path) -> bool:
    """Whether *directory* is this user's own: others may write to the directory of temporary files."""
    try:
        status = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and (not hasattr(os, "getuid") or status.st_uid == os.getuid())


def _alive(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # There, signal 0 is Control-C and would end it.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
