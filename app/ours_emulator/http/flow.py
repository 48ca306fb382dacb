"""Flow control of a connection that can also pause reading for a moment."""

import asyncio

from uvicorn.protocols.http.flow_control import FlowControl

_HOLD_SECONDS = 0.15
"""Pause of a body in tiny parts. One read may have 40,000 chunks of one byte, which take 50 ms; without pauses there
would be one read after the other, and nobody else would be answered."""


class HoldableFlow(FlowControl):
    """uvicorn's flow control, with `hold`."""

    held = False

    def hold(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop reading for 0.15 s, even if the app asks for more."""
        if not self.held:
            self.held = True
            self.pause_reading()
            loop.call_later(_HOLD_SECONDS, self._release)

    def resume_reading(self) -> None:
        """Read again, unless reading is held."""
        if not self.held:
            super().resume_reading()

    @property
    def waits_for_app(self) -> bool:
        """Whether reading is paused until the app has taken what was read."""
        return self.read_paused and not self.held

    def _release(self) -> None:
        self.held = False
        self.resume_reading()
