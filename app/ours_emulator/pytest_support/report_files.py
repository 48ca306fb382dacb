"""The files that failing tests leave: the page as one file, and what was sent, to be replayed.

Several processes may write there at the same time: workers of one run, and other runs. Each has a list of its files,
which it keeps locked as long as it lives, and the next run removes what is in lists that nobody has locked. Functions
are taken when this module is imported, because pyfakefs replaces those of modules while a test runs.
"""

import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from itertools import count
from pathlib import Path
from secrets import token_hex

import pytest

from ours_emulator.emulator import Emulator, EmulatorError, operations
from ours_emulator.errors import why

if sys.platform != "win32":
    import fcntl

_SEPARATOR = os.sep
_LIST = ".list"
_MAX_BYTES = 5 * 1024 * 1024
_MAX_SECONDS = 2.0
_MAX_NAME = 120
"""With the digest, a number and the ending it stays well below 255 bytes."""
_MAX_TEXT = 50_000
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.]+")
_WRITE = os.O_WRONLY | getattr(os, "O_BINARY", 0)
_READ = os.O_RDONLY
_NEW = os.O_CREAT | os.O_EXCL
_AGAIN = os.O_TRUNC
_OWN_NAME = re.compile(r"\w[\w.-]*\.(?:html|jsonl)", re.ASCII)


class _System:
    """Functions of the system as they are now."""

    close = staticmethod(os.close)
    listdir = staticmethod(os.listdir)
    mkdir = staticmethod(os.mkdir)
    monotonic = staticmethod(time.monotonic)
    open = staticmethod(os.open)
    read = staticmethod(os.read)
    rename = staticmethod(os.rename)
    unlink = staticmethod(os.unlink)
    write = staticmethod(os.write)
    if sys.platform != "win32":
        flock = staticmethod(fcntl.flock)
        exclusive = fcntl.LOCK_EX | fcntl.LOCK_NB


class ReportFiles:
    """The reports of this process, in a *folder* of the root directory of the run."""

    def __init__(self, config: pytest.Config, folder: str) -> None:
        self._config = config
        self._folder = f"{config.rootpath}{_SEPARATOR}{folder}"
        self._list: int | None = None
        self._written: set[str] = set()

    def save(self, emulator: Emulator, title: str, failures: Sequence[str]) -> str:
        """Write the report on a test, and return the line that says where it is, or why there is none."""
        try:
            requests, is_cut = _exported(emulator)
            notes = [f"The file that ends in .jsonl has only the first {_MAX_BYTES} bytes or so."] if is_cut else []
            lines = [_encodable(text) for text in (*failures, *notes)]
            html = emulator.perform(operations.html_report(_encodable(title), lines, seconds=_MAX_SECONDS * 2))
            path = self._write(_stem(title), html.encode("utf-8"), requests)
        except EmulatorError as error:
            return f"there is no report: {error}"
        except OSError as error:
            return f"the report cannot be written to {self._folder}: {why(error)}"
        return f"report: {path}{' (the .jsonl is cut)' if is_cut else ''}"

    def _write(self, stem: str, html: bytes, requests: bytes) -> str:
        """Write both files, under a name that no other run uses, and return the path of the page."""
        listed = self._open_list()
        for name in _numbered(stem):
            if self._created(f"{name}.html", html, listed) and self._created(f"{name}.jsonl", requests, listed):
                return self._path(f"{name}.html")
        raise AssertionError

    def _created(self, name: str, content: bytes, listed: int) -> bool:
        """Write a file; return False if there is one of that name which this process did not write."""
        try:
            _write_file(self._path(name), _AGAIN if name in self._written else _NEW, content)
        except FileExistsError:
            return False
        if name not in self._written:
            self._written.add(name)
            _write_all(listed, f"{name}\n".encode())
        return True

    def _open_list(self) -> int:
        """Open the list of this process, which stays locked until the end of the run. Makes the folder if need be."""
        if self._list is None:
            with suppress(FileExistsError):
                _System.mkdir(self._folder)
            with suppress(FileExistsError):
                _write_file(self._path(".gitignore"), _NEW, b"*\n")
            self._list = new_list(self._folder)
            self._config.add_cleanup(partial(_System.close, self._list))
        return self._list

    def _path(self, name: str) -> str:
        return f"{self._folder}{_SEPARATOR}{name}"


_FILES = pytest.StashKey[ReportFiles]()


def report_files(config: pytest.Config, folder: str) -> ReportFiles | None:
    """Return the files of this run, in *folder*; None if the ini file says that there are none.

    They outlive the emulator of the run, which is started again when the last test is.
    """
    if not config.getini("ours_emulator_report"):
        return None
    return config.stash.setdefault(_FILES, ReportFiles(config, folder))


def remove_old_reports(folder: Path) -> None:
    """Remove the reports of runs that have ended. What cannot be removed stays."""
    with suppress(OSError):
        for name in _System.listdir(folder):
            if name.endswith(_LIST):
                with suppress(OSError):
                    _remove_listed(str(folder), name)


def _remove_listed(folder: str, list_name: str) -> None:
    """Remove the files of a list that nobody has locked, and the list itself."""
    path = f"{folder}{_SEPARATOR}{list_name}"
    descriptor = _System.open(path, _READ)
    try:
        if not _lock(descriptor):
            return
        names = b"".join(iter(lambda: _System.read(descriptor, 65536), b"")).decode("utf-8", "replace")
    finally:
        _System.close(descriptor)
    if sys.platform == "win32":
        # Fails while another process has it open, which is the lock there.
        _System.unlink(path)
    for name in names.split("\n"):
        # Only names that are written here: a list in the repository could have others.
        if _OWN_NAME.fullmatch(name):
            with suppress(OSError):
                _System.unlink(f"{folder}{_SEPARATOR}{name}")
    with suppress(FileNotFoundError):
        _System.unlink(path)


def new_list(folder: str) -> int:
    """Return the descriptor of a new list, locked."""
    path = f"{folder}{_SEPARATOR}.{token_hex(8)}"
    if sys.platform == "win32":
        return _System.open(path + _LIST, _NEW | _WRITE, 0o666)
    descriptor = _System.open(path, _NEW | _WRITE, 0o666)
    _lock(descriptor)
    # It has this name only now: another run removes the lists that nobody has locked.
    _System.rename(path, path + _LIST)
    return descriptor


def _lock(descriptor: int) -> bool:
    """Lock a file until it is closed; return False if another process has done so."""
    if sys.platform != "win32":
        try:
            _System.flock(descriptor, _System.exclusive)
        except BlockingIOError:
            return False
    return True


def _exported(emulator: Emulator) -> tuple[bytes, bool]:
    """Return the requests as JSON Lines, and whether they are cut because there are too many."""
    deadline = _System.monotonic() + _MAX_SECONDS
    taken = b""
    with emulator.stream_export(redact=True, timeout=_MAX_SECONDS) as exported:
        for part in exported.parts:
            taken += part
            if len(taken) > _MAX_BYTES or _System.monotonic() > deadline:
                return taken[: taken.rfind(b"\n", 0, _MAX_BYTES) + 1], True
    return taken, False


def _stem(title: str) -> str:
    """Return the name of the files for a test: what can be read of it, and a digest, as others may look the same."""
    test, bracket, parameters = title.partition("[")
    # Parameters may have slashes too.
    readable = _NOT_IN_NAMES.sub("-", test.rpartition("/")[2] + bracket + parameters)
    digest = blake2b(title.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{readable[:_MAX_NAME].strip('-.') or 'test'}-{digest}"


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    for number in count(2):
        yield f"{stem}-{number}"


def _encodable(text: str) -> str:
    """Return *text* without half surrogate pairs, and not too long."""
    return text[:_MAX_TEXT].encode("utf-8", "backslashreplace").decode("utf-8")


def _write_file(path: str, flags: int, content: bytes) -> None:
    descriptor = _System.open(path, _WRITE | flags, 0o666)
    try:
        _write_all(descriptor, content)
    finally:
        _System.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[_System.write(descriptor, rest) :]
