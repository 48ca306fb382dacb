"""Whether the files of an open store are still there and whole: what goes wrong with them is noticed nowhere else.

SQLite goes on writing into a file that was removed, and beyond the end of one that was cut. How long the write-ahead
log has to be, the index of the log says (https://sqlite.org/walformat.html).
"""

import os
import struct
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ours_emulator.store import StoreLostError

_MAGIC = b"SQLite format 3\0"
_DATABASE_HEADER = struct.Struct(">16sH10xI")
_INDEX_HEADER = struct.Struct("=14xHI12x8s8x")
_LOG_HEADER = struct.Struct("16x8s8x")
_COPIED = struct.Struct("=I")
_FRAME_HEADER_BYTES = 24
# The offset of a descriptor is shared by all threads, and not every system can read without it.
_reading = threading.Lock()


class TruncatedError(StoreLostError):
    """A file of an open store was cut: what it had there is lost."""


@dataclass(frozen=True, slots=True)
class _Index:
    """What the index says of the log: how many pages it has, how long each is there, and the salt of this round."""

    frames: int
    frame_bytes: int
    salt: bytes

    def end_of(self, frame: int) -> int:
        """Return where in the log the frame of that number, from 1 on, ends."""
        return _LOG_HEADER.size + frame * self.frame_bytes


class _File:
    """A file, open for reading, that its path has to lead to."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self._identity = _identity(os.fstat(self.descriptor))

    def size(self) -> int:
        """Return the size in bytes. Raises StoreLostError if the path does not lead to this file."""
        try:
            status = os.stat(self.path)
        except OSError as error:
            raise StoreLostError(f"{self.path} is gone ({error.strerror}); restart the emulator") from None
        if _identity(status) != self._identity:
            raise StoreLostError(f"{self.path} was replaced by another file; restart the emulator")
        return status.st_size

    def read(self, offset: int, count: int) -> bytes:
        """Return *count* bytes, or as many as there are."""
        if sys.platform != "win32":
            return os.pread(self.descriptor, count, offset)
        with _reading:
            os.lseek(self.descriptor, offset, os.SEEK_SET)
            return os.read(self.descriptor, count)


class Watch:
    """The files of a database in WAL mode that a connection has open; the descriptor is one of the database.

    Closed after every connection: with a descriptor of a file, the process loses the locks of SQLite on it.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._truncated_file: _File | None = None
        self._index: _Index | None = None
        self._last_frame = b""
        self._database = _File(str(path), descriptor)
        self._database_bytes = self._database.size()
        with ExitStack() as opened:
            self._log = _opened(f"{path}-wal", opened)
            self._shared = _opened(f"{path}-shm", opened)
            self.log_bytes = self._log.size()
            """Bytes of the write-ahead log after the last commit."""
            self._remember(self._read_index())
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close the files but the database, whose descriptor is the caller's."""
        self._opened.close()

    @property
    def frames(self) -> int:
        """The number of pages in the write-ahead log after the last commit."""
        return self._index.frames if self._index else 0

    def check(self) -> None:
        """Raise StoreLostError unless the files are there and as long as they have to be. Any thread may call this.

        A file that was cut once stays damaged, also when it has grown since: there is a gap in it.
        """
        self._checked()

    def committed(self) -> None:
        """Raise StoreLostError if what was just committed, or what came before, is not in the files.

        A log that is cut before a commit is as long as before after it, with a gap: then the last frame of the commit
        before is not what it was.
        """
        index, database_bytes, log_bytes = self._checked()
        last = self._index
        if last and index and last.salt == index.salt and self._read_frame(last) != self._last_frame:
            raise self._truncated(self._log)
        if self._database.read(0, len(_MAGIC)) != _MAGIC:
            raise self._truncated(self._database)
        self._database_bytes, self.log_bytes = database_bytes, log_bytes
        self._remember(index)

    def _checked(self) -> tuple[_Index | None, int, int]:
        """Return the index, and the bytes of the database and of the log, or raise what `check` does."""
        if self._truncated_file is not None:
            raise self._truncated(self._truncated_file)
        # Read before the size: a commit meanwhile makes both larger.
        at_least = self._database_bytes
        database_bytes = self._database.size()
        if database_bytes < at_least and not self._is_whole_database():
            raise self._truncated(self._database)
        index = self._read_index()
        log_bytes = self._log.size()
        # A commit or a checkpoint between the two looks like a short log.
        if index and index.frames and log_bytes < index.end_of(index.frames) and index == self._read_index():
            raise self._truncated(self._log)
        return index, database_bytes, log_bytes

    def _is_whole_database(self) -> bool:
        """Whether the database is as long as it says: after VACUUM, SQLite itself makes it shorter."""
        header = self._database.read(0, _DATABASE_HEADER.size).ljust(_DATABASE_HEADER.size)
        magic, page_bytes, pages = cast(tuple[bytes, int, int], _DATABASE_HEADER.unpack(header))
        return magic == _MAGIC and pages * (65536 if page_bytes == 1 else page_bytes) == self._database.size()

    def _remember(self, index: _Index | None) -> None:
        self._index = index if index and index.frames else None
        self._last_frame = self._read_frame(self._index) if self._index else b""

    def _truncated(self, file: _File) -> TruncatedError:
        """Note that *file* was cut, and return the error that tells of it."""
        self._truncated_file = file
        return TruncatedError(f"{file.path} was truncated or overwritten by another program; restart the emulator")

    def _read_frame(self, index: _Index) -> bytes:
        """Return the header of the last frame: its checksum is over all frames of this round."""
        return self._log.read(index.end_of(index.frames - 1), _FRAME_HEADER_BYTES)

    def _read_index(self) -> _Index | None:
        """Return what the index says; None while another process changes it. Raises StoreLostError if it is cut."""
        headers = self._shared.read(0, 2 * _INDEX_HEADER.size)
        if len(headers) < 2 * _INDEX_HEADER.size:
            raise self._truncated(self._shared)
        return _index_in(headers)


def log_lacks_commits(path: Path) -> bool:
    """Whether the log of a database that this process has not open is shorter than its index says.

    The index is left behind by a process that was killed. One of another log tells nothing, nor does one of a log that
    was copied into the database.
    """
    try:
        shared, log = Path(f"{path}-shm").read_bytes(), Path(f"{path}-wal")
        with log.open("rb") as file:
            header, log_bytes = file.read(_LOG_HEADER.size), log.stat().st_size
    except FileNotFoundError:
        return False
    index = _index_in(shared) if len(shared) > 2 * _INDEX_HEADER.size + _COPIED.size else None
    if index is None or _COPIED.unpack_from(shared, 2 * _INDEX_HEADER.size)[0] >= index.frames:
        return False
    is_of_log = len(header) < _LOG_HEADER.size or _LOG_HEADER.unpack(header)[0] == index.salt
    return is_of_log and log_bytes < index.end_of(index.frames)


def _index_in(shared: bytes) -> _Index | None:
    """Return what the two headers of an index say; None if they differ, while another process changes them."""
    size = _INDEX_HEADER.size
    if shared[:size] != shared[size : 2 * size]:
        return None
    page_bytes, frames, salt = _INDEX_HEADER.unpack_from(shared)
    # 65536 does not fit, and is written as 1.
    page_bytes = (page_bytes & 0xFE00) + ((page_bytes & 1) << 16)
    return _Index(frames, _FRAME_HEADER_BYTES + page_bytes, salt)


def _opened(path: str, files: ExitStack) -> _File:
    """Open the file at *path* until *files* are closed."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    files.callback(os.close, descriptor)
    return _File(path, descriptor)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
