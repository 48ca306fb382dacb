"""GET /debug/stream: arrivals as they are committed, as server-sent events."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterable
from typing import Annotated, Any

from fastapi import Header, HTTPException, Query, Request
from starlette.responses import Response, StreamingResponse

from ours_emulator.debug.params import Account, AskedOutcome, Needs, Reader, debug_router
from ours_emulator.event_view import EventView
from ours_emulator.feed import Feed, FeedClosedError, Listener, Resets
from ours_emulator.http.wire import mark_endless
from ours_emulator.jsontext import json_text
from ours_emulator.records import Event
from ours_emulator.store import LARGEST, EventFilter, StoreReader

MEDIA_TYPE = "text/event-stream"
_PAGE = 200
_HEARTBEAT_SECONDS = 15
_BEHIND = "event: behind\ndata: {}\n\n"
_CHUNK_CHARACTERS = 64 * 1024
_PAUSE_SECONDS = 0.0002
"""Pause of a stream between two sends, for each stream and wait there is. A send takes a fifth of that: however many
there are, they leave most of the event loop to others. What arrives meanwhile is sent together."""
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
    request: Request,
    parts: Needs,
    reader: Reader,
    account: Account,
    event: str | None = None,
    visitor_id: str | None = None,
    outcome: AskedOutcome = "any",
    last_event_id: Annotated[str | None, Query(description="The same as the header Last-Event-ID.")] = None,
    resumed: Annotated[str | None, Header(alias="last-event-id")] = None,
) -> Response:
    """Send every arrival, whatever its outcome, the first one first, as GET /debug/events lists it.

    The id of each message is the event's id. With Last-Event-ID the stream goes on after that event, without a gap or a
    repeat. A message `reset` means that the earlier events of its account (null: of all accounts) are gone. A message
    `behind` is the last one: some arrivals may have been missed, because the client reads more slowly than they come,
    or the emulator lost its database. The client has to resume. A comment every 15 seconds keeps the connection alive.
    """
    after = _event_id(resumed if resumed is not None else last_event_id)
    which = EventFilter(event, visitor_id, outcome=None if outcome == "any" else outcome)
    mark_endless(request.scope)
    # What follows the commits of several processes may tell of some that are older than the stream.
    since = await reader.newest_event() if after is None else after
    messages = _messages(reader, parts.feed, account, which, since, resumes=after is not None)
    headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
    return StreamingResponse(messages, media_type=MEDIA_TYPE, headers=headers)


async def _messages(
    reader: StoreReader, feed: Feed, account: str | None, which: EventFilter, after: int, *, resumes: bool
) -> AsyncGenerator[str]:
    """Yield the messages, some at a time: from the store until the client has caught up, then as they are committed.

    What the feed hands over is made once for all streams, and bounded: a client that reads more slowly than events
    arrive is told so, and has to resume.
    """
    try:
        with feed.listen(account, which.event, bounded=True) as listener:
            yield "retry: 1000\n\n"
            progress = _Progress(which, after)
            # A new stream has nothing to catch up with: whatever comes from here on is handed over.
            if resumes:
                async for chunk in _missed(reader, account, which, listener, progress):
                    yield chunk
            while (views := listener.take()) is not None:
                progress.note(listener.resets())
                for chunk in progress.chunks(views, complete=True):
                    yield chunk
                await asyncio.sleep(_PAUSE_SECONDS * feed.listeners)
                if not await listener.woken(_HEARTBEAT_SECONDS):
                    yield ": still here\n\n"
            yield _BEHIND
    except FeedClosedError:
        return


async def _missed(
    reader: StoreReader, account: str | None, which: EventFilter, listener: Listener, progress: "_Progress"
) -> AsyncGenerator[str]:
    """Yield what the store has after the event that the client had last."""
    if progress.last > await reader.newest_event():
        # An emulator that is gone gave out that id.
        progress.last = 0
        yield _reset(account)
    more = True
    while more:
        if listener.take() is None:  # The store has the events as well, but no reset.
            listener.miss()
            return
        part = await reader.arrivals(account, which, progress.last, _PAGE)
        # Asked after the read, so that an event which came after a reset is never sent before it.
        progress.note(listener.resets())
        for chunk in progress.chunks(map(EventView, part.items)):
            yield chunk
        more = part.more


class _Progress:
    """How far a stream has come."""

    def __init__(self, which: EventFilter, last: int) -> None:
        self._which = which
        self.last = last
        """The id of the last event that was sent."""
        self._resets: Resets = {}

    def note(self, resets: Resets) -> None:
        """Note *resets*, to tell of each before the events after it."""
        self._resets.update(resets)

    def chunks(self, views: Iterable[EventView], *, complete: bool = False) -> Generator[str]:
        """Yield the messages for those of *views* that are new, in parts of some size.

        A message `reset` comes before the first event after the reset; also without such an event, if *views* are
        *complete*: a page of the store may lack events from before the reset, which the feed still has.
        """
        parts: list[str] = []
        size = 0
        for message in self._messages(views, complete):
            parts.append(message)
            size += len(message)
            if size > _CHUNK_CHARACTERS:
                yield "".join(parts)
                parts, size = [], 0
        if parts:
            yield "".join(parts)

    def _messages(self, views: Iterable[EventView], complete: bool) -> Generator[str]:
        for view in views:
            event = view.event
            if event.id <= self.last or not self._is_wanted(event):
                continue
            self.last = event.id
            yield from self._due(self.last)
            yield f"id: {self.last}\nevent: receipt\ndata: {view.text}\n\n"
        if complete:
            yield from self._due(LARGEST)

    def _is_wanted(self, event: Event) -> bool:
        """Whether *event*, which has the name that is asked for, has the outcome and the visitor too."""
        outcome, visitor_id = self._which.outcome, self._which.visitor_id
        return outcome in (None, event.outcome) and visitor_id in (None, event.visitor_id)

    def _due(self, event_id: int) -> Generator[str]:
        """Yield a message for each reset before the event with that id."""
        due = [account for account, first_id in self._resets.items() if first_id <= event_id]
        for account in due:
            del self._resets[account]
            yield _reset(account)


def _reset(account: str | None) -> str:
    return f"event: reset\ndata: {json_text({'account': account})}\n\n"


def _event_id(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise HTTPException(400, "last_event_id: not the id of an event; use the id of the last message received")
    return int(text)
