"""Where the emulators of this user are running: one small file each, while they run.

Containers may share the folder of these files, and in each of them the emulator may be process 1: a name has more than
the process id. The process holds a lock on its file, which the system releases however it ends, so a file that is left
behind is known even if its process id is another program's by now.
"""

import json
import os
import stat
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import uuid4


@dataclass(frozen=True, slots=True)
class Place:
    """A running emulator: its address and its process."""

    url: str
    pid: int


@dataclass(frozen=True, slots=True)
class Announced:
    """The file that announces this process, locked as long as *lock*, the same file, is open."""

    path: Path
    lock: IO[str]

    def withdraw(self) -> None:
        """Remove the file."""
        self.lock.close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
            # Fails while other emulators of this user are running.
            self.path.parent.rmdir()


def url_of(host: str, port: int) -> str:
    """Return the address at which this machine reaches what listens on *host* and *port*."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def announce(url: str) -> list[Announced]:
    """Announce that this process serves *url*; return the announcement if that worked, to be withdrawn at the end."""
    try:
        directory = _directory()
        directory.mkdir(mode=0o700, exist_ok=True)
        return [_announced(directory, url)] if _is_own(directory) else []
    except OSError:
        return []


def places() -> list[Place]:
    """Return the running emulators that this process can reach. Files of those that were killed are removed."""
    running: list[Place] = []
    try:
        directory = _directory()
    except OSError:
        return running
    for file in sorted(directory.glob("*.json")) if _is_own(directory) else ():
        with suppress(OSError, ValueError, KeyError, TypeError):
            announced = json.loads(file.read_text())
            place = Place(str(announced["url"]), int(announced["pid"]))
            if _is_left_behind(file):
                file.unlink(missing_ok=True)
            elif announced["network"] == _network():
                running.append(place)
    return running


def _announced(directory: Path, url: str) -> Announced:
    path = directory / f"{os.getpid()}-{uuid4().hex[:12]}.json"
    lock = path.open("x")
    # Locked before anything is in it: nobody takes a file for left behind that cannot be read yet.
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    lock.write(json.dumps({"url": url, "pid": os.getpid(), "network": _network()}))
    lock.flush()
    return Announced(path, lock)


def _is_left_behind(file: Path) -> bool:
    """Tell whether the process that announced itself by *file* has ended."""
    if sys.platform == "win32":
        # A file that is open cannot be removed there.
        try:
            file.unlink()
        except OSError:
            return False
        return True
    import fcntl

    with file.open() as opened:
        try:
            # Shared, so that two processes that look at once do not take each other for the emulator.
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _network() -> int:
    """Return what tells the network of a container from others; 0 where there are no containers."""
    try:
        return os.stat("/proc/self/ns/net").st_ino
    except OSError:
        return 0


def _directory() -> Path:
    """Return the folder of the files. Raises OSError if there is no folder for temporary files."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir(), f"ours-emulator-{user}")


def _is_own(directory: Path) -> bool:
    """Whether *directory* is this user's own: others may write to the directory of temporary files."""
    try:
        status = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and (not hasattr(os, "getuid") or status.st_uid == os.getuid())
