"""The socket that the server listens on, there before the server is."""

import socket


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens: whoever connects from now on is answered, if only later. Raises OSError."""
    family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # The protocol is named on purpose: with 0 asyncio leaves Nagle on, and answers wait for acknowledgements.
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
        listening.listen(2048)
    except OSError:
        listening.close()
        raise
    return listening
