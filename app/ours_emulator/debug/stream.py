"""GET /debug/stream: arrivals as they are committed, as server-sent events."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import Header, HTTPException, Query
from starlette.responses import Response, StreamingResponse

from ours_emulator.debug.params import Account, AskedOutcome, Needs, debug_router
from ours_emulator.event_view import EventView
from ours_emulator.feed import Feed, FeedClosedError
from ours_emulator.store import EventFilter, StoreReader

MEDIA_TYPE = "text/event-stream"
_PAGE = 200
_HEARTBEAT_SECONDS = 15
_RESET = "event: reset\ndata: {}\n\n"
_EXAMPLE = 'id: 17\nevent: receipt\ndata: {"id":17,"event":"Purchase","outcome":"accepted"}\n\n'
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {MEDIA_TYPE: {"schema": {"type": "string"}, "example": _EXAMPLE}},
        "description": "Server-sent events, without end.",
    }
}
router = debug_router()


@router.get("/stream", response_class=Response, responses=_RESPONSES)
async def stream(
    parts: Needs,
    account: Account,
    event: str | None = None,
    outcome: AskedOutcome = "any",
    last_event_id: Annotated[str | None, Query(description="The same as the header Last-Event-ID.")] = None,
    resumed: Annotated[str | None, Header(alias="last-event-id")] = None,
) -> Response:
    """Send every arrival, whatever its outcome, the first one first, as GET /debug/events/{id} shows it.

    The id of each message is the event's id. With Last-Event-ID the stream goes on after that event, without a gap or a
    repeat. A message `reset` means that earlier events are gone. A comment every 15 seconds keeps the connection alive.
    """
    after = _event_id(resumed if resumed is not None else last_event_id)
    which = EventFilter(event=event, outcome=None if outcome == "any" else outcome)
    messages = _messages(parts.reader, parts.feed, account, which, after)
    headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
    return StreamingResponse(messages, media_type=MEDIA_TYPE, headers=headers)


async def _messages(
    reader: StoreReader, feed: Feed, account: str | None, which: EventFilter, after: int | None
) -> AsyncGenerator[str]:
    """Yield the messages. Events are read from the store, so that nothing is kept here for a slow client."""
    try:
        with feed.listen(account, which.event, wake_only=True) as listener:
            newest = await reader.newest_event()
            yield "retry: 1000\n\n"
            last = newest if after is None else after
            if last > newest:
                # An emulator that is gone gave out that id.
                last = 0
                yield _RESET
            while True:
                events = (await reader.arrivals(account, which, last, _PAGE)).events
                # Asked after the read, so that an event which came after a reset is never sent before it.
                reset_at = listener.reset_at()
                for event in events:
                    last = event.id
                    if reset_at is not None and last >= reset_at:
                        yield _RESET
                        reset_at = None
                    yield f"id: {last}\nevent: receipt\ndata: {EventView(event).text}\n\n"
                if reset_at is not None:
                    yield _RESET
                if len(events) < _PAGE and await listener.next(_HEARTBEAT_SECONDS) is None:
                    yield ": still here\n\n"
    except FeedClosedError:
        return


def _event_id(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise HTTPException(400, "last_event_id: not the id of an event; use the id of the last message received")
    return int(text)
