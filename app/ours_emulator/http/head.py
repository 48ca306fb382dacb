"""HEAD: what GET would answer, without the body (RFC 9110, 9.3.2). Health checks and link checkers send it."""

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send


async def answer_head(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Let *app* answer the request as a GET, and send the head of the answer.

    An answer without end, such as the stream, is ended by telling the app that its client has left.
    """
    head = _Head(receive, send)
    try:
        await app({**scope, "method": "GET"}, head.receive, head.send)
    except* ClientDisconnect:
        # Also in a group: older versions of Starlette send a stream in a task group.
        pass


class _Head:
    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._sent = False

    async def receive(self) -> Message:
        return {"type": "http.disconnect"} if self._sent else await self._receive()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._send(message)
            await self._send({"type": "http.response.body", "body": b""})
            self._sent = True
        elif message.get("more_body", False):
            raise ClientDisconnect  # An OSError is taken for one by some servers' protocol versions only.
