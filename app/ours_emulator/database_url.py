"""URLs of databases, as they may be shown."""

import re

_SECRET = re.compile(r"(?<=[?&])(?:ssl)?password=[^&]*&?", re.IGNORECASE)


def without_password(url: str) -> str:
    """Return *url* without its passwords, and what cannot be told from one; a path, of SQLite too, as it is."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() == "sqlite":
        return url
    # A password may have any character in it, if its user forgot to quote it.
    user, at, place = rest.rpartition("@")
    name, colon, _ = user.partition(":")
    shown = f"{name}{at}{place}" if colon else rest
    return f"{scheme}://{_SECRET.sub('', shown).rstrip('?&')}"
