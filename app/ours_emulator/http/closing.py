"""The orderly end of a connection: complete requests are answered, then a final response is written."""

import asyncio

from ours_emulator.http.flow import HoldableFlow
from ours_emulator.http.pending_cycles import PendingCycles
from ours_emulator.http.read_progress import ReadProgress

_HEAD = (
    b"HTTP/1.1 %d %s\r\ncontent-type: text/plain\r\nx-content-type-options: nosniff\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n"
)
_PHRASES = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
}


class Closing:
    """Ends one connection, from which no further request is read once this has begun.

    A client that has closed its half of the connection (as `nc -N` does) still gets the answers. An answer that is
    endless is over then: a client that has left looks the same, and nothing else would end it.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        flow: HoldableFlow,
        progress: ReadProgress,
        pending: PendingCycles,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._transport = transport
        self._flow = flow
        self._progress = progress
        self._pending = pending
        self._loop = loop
        self._final_response = b""
        self.has_begun = False
        """Whether nothing more is read."""
        self.half_closed = False
        """Whether the client will send nothing more."""
        self.endless = False
        """Whether the answer in progress has no end."""

    def begin(self, final_response: bytes = b"") -> None:
        """Read no further requests, and end with *final_response* once those before are answered."""
        self.has_begun = True
        self._final_response = final_response
        self._progress.waiting_since = None
        self.finish_if_answered()

    def finish_if_answered(self) -> None:
        """Write the final response and close, if this has begun and no request is still to be answered.

        Reading goes on for a moment: a client still sending would see a reset instead of the response.
        """
        if not self.has_begun or self._pending.any_answerable() or self._transport.is_closing():
            return
        self._progress.begin_closing(self._loop.time())
        self._flow.resume_reading()
        self._transport.write(self._final_response)
        if self.half_closed:
            self._transport.close()
        else:
            self._transport.write_eof()

    def mark_endless(self) -> None:
        """Note that the answer in progress has no end, and close if its client has half-closed."""
        self.endless = True
        if self.half_closed:
            self._transport.close()


def error_response(status: int) -> bytes:
    """Return a final response that has nothing but *status* and its name."""
    phrase = _PHRASES[status].encode()
    return _HEAD % (status, phrase, len(phrase)) + phrase
