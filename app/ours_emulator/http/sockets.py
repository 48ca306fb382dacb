"""The listening socket, made before the server and without importing it."""

import errno
import socket

from ours_emulator.errors import ListenError, why


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Clients may connect at once and are answered once the server runs.

    Raises ListenError.
    """
    try:
        return _listening(host, port)
    except (OSError, UnicodeError) as error:
        in_use = getattr(error, "errno", None) == errno.EADDRINUSE
        advice = "; stop what listens there, or use another port (0 for a free one)" if in_use else ""
        raise ListenError(f"cannot listen on {host}:{port}: {why(error)}{advice}") from None


def _listening(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # The protocol is given explicitly: with 0, asyncio leaves Nagle on, and answers wait 40 ms for acknowledgements.
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except OSError:
        listening.close()
        raise
    return listening
