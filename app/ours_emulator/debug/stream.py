"""GET /debug/stream: what becomes of each arrival, as it is committed, as server-sent events."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Header, HTTPException, Query, Request
from starlette.responses import Response, StreamingResponse

from ours_emulator.debug import views
from ours_emulator.debug.params import ACCESS, Account, AskedOutcome, StrictRoute, account_of
from ours_emulator.feed import Feed, FeedClosedError
from ours_emulator.jsontext import json_text
from ours_emulator.store import EventFilter
from ours_emulator.store.sqlite.reader import SqliteReader as StoreReader

MEDIA_TYPE = "text/event-stream"
_PAGE = 200
_HEARTBEAT_SECONDS = 15
_RESET = "event: reset\ndata: {}\n\n"
_EXAMPLE = 'id: 17\nevent: receipt\ndata: {"id":17,"event":"Purchase","outcome":"accepted"}\n\n'


class StreamApi:
    """The endpoint under /debug that tells of arrivals as they come."""

    def __init__(self, reader: StoreReader, feed: Feed) -> None:
        self._reader = reader
        self._feed = feed

    def add_to(self, app: FastAPI) -> None:
        """Add the route to *app*."""
        router = APIRouter(prefix="/debug", route_class=StrictRoute, responses=ACCESS)
        content = {MEDIA_TYPE: {"schema": {"type": "string"}, "example": _EXAMPLE}}
        described: dict[int | str, dict[str, Any]] = {
            200: {"content": content, "description": "Server-sent events, without end."}
        }
        router.add_api_route("/stream", self.stream, methods=["GET"], response_class=Response, responses=described)
        app.include_router(router)

    async def stream(
        self,
        request: Request,
        account: Account = None,
        event: str | None = None,
        outcome: AskedOutcome = "any",
        last_event_id: Annotated[str | None, Query(description="As the header Last-Event-ID.")] = None,
        resumed: Annotated[str | None, Header(alias="last-event-id")] = None,
    ) -> Response:
        """Tell of arrivals, whatever became of them, the first one first; as GET /debug/events/{id} shows them.

        The id of each is the event's. With Last-Event-ID it goes on after that one, without gap or repeat. An event
        `reset` says that what was told before is gone. A comment every 15 seconds keeps the connection alive.
        """
        after = _whole(resumed if resumed is not None else last_event_id)
        which = EventFilter(event=event, outcome=None if outcome == "any" else outcome)
        told = self._told(account_of(request, account), which, after)
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        return StreamingResponse(told, media_type=MEDIA_TYPE, headers=headers)

    async def _told(self, account: str | None, which: EventFilter, after: int | None) -> AsyncGenerator[str]:
        """Yield events in the form of the protocol. They are read from the store: a slow client keeps nothing here."""
        try:
            with self._feed.listen(account, which.event, rows=False) as listener:
                newest = await self._reader.newest_event()
                yield "retry: 1000\n\n"
                last = newest if after is None else after
                if last > newest:
                    # It was given by an emulator that is gone.
                    last = 0
                    yield _RESET
                while True:
                    rows = (await self._reader.arrivals(account, which, last, _PAGE)).rows
                    # Heard after the read, so that what came after a reset is never told before it.
                    reset_at = listener.reset_at()
                    for row in rows:
                        last = row["id"]
                        if reset_at is not None and last >= reset_at:
                            yield _RESET
                            reset_at = None
                        yield f"id: {last}\nevent: receipt\ndata: {json_text(views.event(row))}\n\n"
                    if reset_at is not None:
                        yield _RESET
                    if len(rows) < _PAGE and await listener.next(_HEARTBEAT_SECONDS) is None:
                        yield ": still here\n\n"
        except FeedClosedError:
            return


def _whole(last_event_id: str | None) -> int | None:
    if not last_event_id:
        return None
    if not last_event_id.isascii() or not last_event_id.isdecimal() or len(last_event_id) > 18:
        raise HTTPException(400, "last_event_id: not the id of an event")
    return int(last_event_id)
