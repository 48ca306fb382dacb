"""The emulator, or the bare app, under uvicorn as it comes by itself: h11, asyncio, and nothing of our server."""

import socket
import sys
from contextlib import suppress
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

import bare
from ours_emulator.app import create_app
from ours_emulator.settings import load


def main() -> None:
    """Serve the app named first on a free port, told in the file named last."""
    app: ASGIApp = create_app(load({})) if sys.argv[1] == "emulator" else bare.app
    # Named by its protocol: asyncio leaves Nagle's algorithm on for others.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(2048)
    Path(sys.argv[-1]).write_text(f"{listening.getsockname()[1]}\n")
    config = uvicorn.Config(app, http="h11", loop="asyncio", log_config=None, access_log=False)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
