"""How far a connection has come with reading a request, and whether its client is late: the bounds and deadlines."""

from typing import Literal, TypeAlias

from ours_emulator.wording import plural

HEAD_BYTES = 64 * 1024
HEAD_FIELDS = 256
HEAD_SECONDS = 10.0
BODY_SECONDS = 10.0
_CLOSING_SECONDS = 2.0
_MAX_PARTS = 2000
_MIN_PART = 16
_MIB = 1024 * 1024

Phase: TypeAlias = Literal["idle", "head", "body", "closing"]
"""What is read: nothing yet of the next request, its head, its body, or the rest of what is not answered any more."""


class ReadProgress:
    """Counts what one connection reads.

    It does no I/O and has no clock of its own: *now* is always the time of the event loop's clock, in seconds.
    """

    def __init__(self, now: float) -> None:
        self.phase: Phase = "idle"
        self.waiting_since: float | None = now
        """When the wait for the client began; None while nothing is expected of it."""
        self.last_read_bytes = 0
        """Bytes of the read that is being parsed."""
        self._body_bytes = 0
        self._body_parts = 0
        self._unproductive_bytes = 0
        self._excused_bytes = 0

    def add_read(self, size: int) -> None:
        """Count a read of *size* bytes, which are parsed next."""
        self.last_read_bytes = size
        self._unproductive_bytes += size

    def begin_head(self, now: float) -> None:
        """Note the first byte of a request."""
        self.phase = "head"
        self.waiting_since = now
        self._unproductive_bytes = 0

    def begin_body(self, now: float) -> None:
        """Note the end of a head."""
        self.phase = "body"
        self.waiting_since = now
        self._body_bytes = self._body_parts = self._unproductive_bytes = self._excused_bytes = 0

    def add_part(self, size: int) -> None:
        """Count a part of the body: a chunk, or what one read has of it."""
        self._body_bytes += size
        self._body_parts += 1
        self._unproductive_bytes = 0

    def end_request(self) -> None:
        """Note that the request is complete; nothing is expected until the next one begins."""
        self.phase = "idle"
        self.waiting_since = None

    def begin_closing(self, now: float) -> None:
        """Note that all is answered, and the client is expected to close."""
        self.phase = "closing"
        self.waiting_since = now

    def excuse(self, now: float) -> None:
        """Begin the wait anew: we have stopped reading, so the client is not late."""
        if self.waiting_since is not None:
            self.waiting_since, self._excused_bytes = now, self._body_bytes

    def is_late(self, now: float, *, answered: bool) -> bool:
        """Return whether the client takes too long; *answered* tells that the request was answered before its end."""
        return self.waiting_since is not None and now - self.waiting_since > self._time_limit(answered=answered)

    @property
    def is_unproductive(self) -> bool:
        """Whether too much was read since the head began or the body grew: an endless header, trailer or extension."""
        return self._unproductive_bytes > HEAD_BYTES

    @property
    def has_tiny_parts(self) -> bool:
        """Whether the body comes in many parts that are tiny on average."""
        return self._body_parts > _MAX_PARTS and self._body_bytes < _MIN_PART * self._body_parts

    def late_message(self, content_length: bytes | None) -> str:
        """Return what did not arrive in time; *content_length* is the header's value."""
        if self.phase == "head":
            return f"the head did not arrive within {HEAD_SECONDS:g} s"
        return f"the body did not arrive in time: {self._arrived(content_length)}"

    def cut_off_message(self, content_length: bytes | None) -> str:
        """Return what was cut off; *content_length* is the header's value."""
        return (
            "the head was cut off" if self.phase == "head" else f"the body was cut off: {self._arrived(content_length)}"
        )

    def _time_limit(self, *, answered: bool) -> float:
        if self.phase == "closing":
            return _CLOSING_SECONDS
        if self.phase != "body":
            return HEAD_SECONDS
        # A body that is discarded, because the answer was sent already, gets no extra time for its size.
        return BODY_SECONDS + (0 if answered else self._body_bytes - self._excused_bytes) / _MIB

    def _arrived(self, content_length: bytes | None) -> str:
        """Return how much of the body has arrived: `1 of 9 bytes arrived`."""
        if content_length is None:
            return f"{plural(self._body_bytes, 'byte')} arrived"
        # The parser bounds the value, but not how many zeros are before it.
        return f"{self._body_bytes} of {plural(int(content_length[-20:]), 'byte')} arrived"
