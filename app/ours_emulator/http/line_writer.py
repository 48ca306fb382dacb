"""Writes lines to a stream from a thread of its own: a reader that is slow or gone never stops the emulator."""

import io
import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import accumulate
from typing import TextIO

_BATCH_SECONDS = 0.05
_BATCH_BYTES = 64 * 1024
_MAX_BYTES = 1024 * 1024
_CLOSE_SECONDS = 1.0


class LineWriter:
    """Writes lines to *stream* in their order, about 50 ms after `write` or sooner, without waiting for its reader.

    At most 1 MiB waits to be written. Lines beyond that, and lines that *stream* refuses (its reader has left, the disk
    is full), are dropped; a line that *notice* makes of their count takes their place. A stream without a file, such as
    a StringIO, is written to at once. None, which is what a closed standard output is, takes nothing.
    """

    def __init__(self, stream: TextIO | None, notice: Callable[[int], str]) -> None:
        self._stream = stream
        self._raw = _raw(stream)
        self._encoding: str = getattr(stream, "encoding", None) or "utf-8"
        self._notice = notice
        self._changed = threading.Condition()
        self._pending: list[bytes] = []
        self._size = 0
        self._dropped = 0
        self._closed = False
        self._deadline = math.inf
        self._thread: threading.Thread | None = None
        # Only the thread uses these two.
        self._unreported = 0
        self._is_line_partial = False

    def write(self, line: str) -> None:
        """Write *line*, which has no end of line yet."""
        encoded = line.encode(self._encoding, "backslashreplace") + b"\n"
        if self._raw is None:
            self._write_at_once(encoded)
            return
        with self._changed:
            if self._closed:
                return
            # After the first line that is dropped all are, until there is room again: the notice stands in their place.
            if self._dropped or self._size + len(encoded) > _MAX_BYTES:
                self._dropped += 1
            else:
                self._pending.append(encoded)
                self._size += len(encoded)
            self._wake()

    def close(self) -> None:
        """Write what is pending, for at most 1 s. Later lines are ignored. Calling it twice is harmless."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._deadline = time.monotonic() + _CLOSE_SECONDS
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def _write_at_once(self, encoded: bytes) -> None:
        if self._stream is not None:
            # The reader may have closed it; requests are answered all the same.
            with suppress(OSError, ValueError):
                self._stream.write(encoded.decode(self._encoding))
                self._stream.flush()

    def _wake(self) -> None:
        """Wake the thread if it has to write now; start it with the first line.

        As a daemon it does not keep a process from ending whose output is blocked.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ours-emulator-log", daemon=True)
            self._thread.start()
        elif len(self._pending) + self._dropped == 1 or self._size >= _BATCH_BYTES:
            self._changed.notify()

    def _run(self) -> None:
        while self._send_next():
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._size >= _BATCH_BYTES, _BATCH_SECONDS)

    def _send_next(self) -> bool:
        """Wait for lines and send them, and a notice of those dropped after them. Return False when all is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._pending or self._dropped)
            lines, self._pending, self._size = self._pending, [], 0
            dropped, self._dropped = self._dropped, 0
        if lines:
            self._send(lines)
        self._unreported += dropped
        if dropped:
            self._send([])
        return bool(lines or dropped)

    def _send(self, lines: list[bytes]) -> None:
        """Send *lines* after a notice of those that were lost before; those that are not sent are lost."""
        head = (b"\n" if self._is_line_partial else b"") + self._notice_of_lost()
        content = head + b"".join(lines)
        sent = self._write_raw(content)
        lost = sum(end > sent for end in accumulate(map(len, lines), initial=len(head)))
        if sent >= len(head):
            self._unreported = lost
        else:
            self._unreported += len(lines)
        if sent:
            self._is_line_partial = content[sent - 1 : sent] != b"\n"

    def _notice_of_lost(self) -> bytes:
        return self._notice(self._unreported).encode("ascii", "backslashreplace") + b"\n" if self._unreported else b""

    def _write_raw(self, content: bytes) -> int:
        """Return how many bytes of *content* the stream has taken: all of them, unless it failed."""
        assert self._raw is not None
        rest = memoryview(content)
        with suppress(OSError, ValueError):
            while rest and time.monotonic() < self._deadline:
                # None from a stream in non-blocking mode that is full.
                count = self._raw.write(rest) or 0
                rest = rest[count:]
                if count == 0:
                    time.sleep(_BATCH_SECONDS)
        return len(content) - len(rest)


def _raw(stream: TextIO | None) -> io.RawIOBase | None:
    """Return the unbuffered file of *stream*, if it has one.

    A buffer is locked by a thread that is stuck in it, and would keep the process from ending.
    """
    buffer: object = getattr(stream, "buffer", None)
    raw: object = getattr(buffer, "raw", buffer)
    if stream is None or not isinstance(raw, io.RawIOBase):
        return None
    with suppress(OSError, ValueError):
        stream.flush()
    return raw
