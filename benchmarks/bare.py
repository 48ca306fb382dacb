"""The bare ASGI app the emulator is measured against: it reads the body, answers, and does nothing else."""

import socket
import sys
from contextlib import suppress
from pathlib import Path

from starlette.types import Receive, Scope, Send

from ours_emulator.http.server import Server

_BODY = b'{"success":true}'
_HEADERS = [(b"content-length", str(len(_BODY)).encode()), (b"content-type", b"application/json")]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer any request with success."""
    if scope["type"] != "http":
        for answer in ("lifespan.startup.complete", "lifespan.shutdown.complete"):
            await receive()
            await send({"type": answer})
        return
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


def main() -> None:
    """Serve on a free port, told in the file named last, under the server of `ours-emulator serve`."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    Path(sys.argv[-1]).write_text(f"{listening.getsockname()[1]}\n")
    with suppress(KeyboardInterrupt):
        Server(app).run(sockets=[listening])


if __name__ == "__main__":
    main()
