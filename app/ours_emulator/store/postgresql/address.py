"""Where a PostgreSQL database is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ours_emulator.database_url import without_password
from ours_emulator.store import StoreError

# A server that is gone without a word must not hold requests up for the hours that TCP would wait.
_DEFAULTS: Mapping[str, str | int | None] = {
    "application_name": "ours-emulator",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


@dataclass(frozen=True, slots=True)
class Address:
    """What a connection is opened with, and its URL without a password."""

    shown: str
    parameters: Mapping[str, str | int | None] = field(repr=False)


def address_of(url: str) -> Address:
    """Return the address in *url*. Raises StoreError."""
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:
        # Its message may have a part of a password.
        given = None
    # If a password has a slash that is not quoted, its beginning stands where the port does.
    if given is None or not re.fullmatch("[0-9,]*", str(given.get("port", ""))):
        raise StoreError("postgresql://… is not a valid database URL; use postgresql://user@host/name")
    # With another encoding of the client, texts would come as bytes from a database without one.
    return Address(without_password(url), {**_DEFAULTS, **given, "client_encoding": "utf8"})
