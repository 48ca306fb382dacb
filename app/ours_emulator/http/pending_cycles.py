"""The requests of one connection that are not answered yet.

uvicorn only knows the cycle of the last request. With pipelining, earlier ones may be unanswered still, and have to be
told when the client disconnects.
"""

from collections import deque

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class PendingCycles:
    """The cycles of one connection in the order of their requests. They are answered in this order too."""

    def __init__(self) -> None:
        self._cycles = deque[RequestResponseCycle]()

    def add(self, cycle: RequestResponseCycle) -> None:
        """Add the cycle of the next request, and forget those that are answered."""
        while self._cycles and self._cycles[0].response_complete:
            self._cycles.popleft()
        self._cycles.append(cycle)

    @property
    def is_last_answered(self) -> bool:
        """Whether no earlier request has to be answered before a new one."""
        return not self._cycles or self._cycles[-1].response_complete

    def any_answerable(self) -> bool:
        """Return whether a request is still to be answered. One whose client was said to be gone is not."""
        return any(not (cycle.response_complete or cycle.disconnected) for cycle in self._cycles)

    def notify_disconnect(self) -> None:
        """Tell the app that nobody waits for the answers. uvicorn does not tell requests that wait behind another."""
        for cycle in self._cycles:
            if not cycle.response_complete:
                notify_disconnect(cycle)


def notify_disconnect(cycle: RequestResponseCycle) -> None:
    """Tell the app that nobody waits for the answer of *cycle*."""
    cycle.disconnected = True
    cycle.message_event.set()
