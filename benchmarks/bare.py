"""The bare ASGI app the emulator is measured against: it reads the body, answers, and does nothing else."""

import socket
import sys
from contextlib import suppress
from pathlib import Path

import uvicorn
from starlette.types import Receive, Scope, Send

_BODY = b'{"success":true}'
_HEADERS = [(b"content-length", str(len(_BODY)).encode()), (b"content-type", b"application/json")]


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer any request with success."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


def main() -> None:
    """Serve on a free port, told in the file named last, with the uvicorn settings of `ours-emulator serve`."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=5)
    Path(sys.argv[-1]).write_text(f"{listening.getsockname()[1]}\n")
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
