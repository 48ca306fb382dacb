"""A PostgreSQL server for the tests, from the programs of the machine, and databases in it."""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from waiting import until

DATABASES = ("sqlite", "postgresql")
"""What tests of the store are run with, and those of a `server` that are marked with `each_database`."""
MISSING = "no PostgreSQL server on this machine; install postgresql"
_UNPRIVILEGED = "nobody"
WITH_PASSWORD = "ann"
"""The only user who needs a password."""
_ACCESS = f"host all {WITH_PASSWORD} 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"


def is_postgresql(database: Path | str) -> bool:
    """Whether a *database*, as `--database` names it, is one of PostgreSQL."""
    return str(database).startswith("postgresql:")


def queried(database: Path | str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of *query* in a *database*, as `--database` names it."""
    if is_postgresql(database):
        with closing(psycopg.connect(str(database), autocommit=True)) as connection:
            return connection.execute(query.encode()).fetchall()
    with closing(sqlite3.connect(database)) as file:
        return file.execute(query).fetchall()


@cache
def programs() -> Path | None:
    """Return the directory of the server's programs; None without any. Debian has them in none of PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("initdb")
    return installed[-1].parent if installed else Path(found).parent if found else None


@dataclass
class PostgresqlServer:
    """A server on a free port of this machine, with its data in *directory*."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres") -> str:
        """Return the URL of a *database*."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        flags = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", f"port={self.port}"]
        with (self.directory / "log").open("ab") as log:
            self.process = _run("postgres", "-D", str(self.directory / "data"), *flags, output=log.fileno())
        until(self.answers)

    def answers(self) -> bool:
        """Whether the server answers."""
        assert self.process is not None
        assert self.process.poll() is None, (self.directory / "log").read_text()
        try:
            psycopg.connect(self.url()).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT closes all connections, SIGQUIT leaves recovery to the next start."""
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(30)

    def execute(self, statement: str, *values: Any, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Return the rows of *statement*."""
        with closing(psycopg.connect(self.url(database), autocommit=True)) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def schema(self) -> str:
        """Return the URL of a new schema, which is made faster than a database, and is one to the emulator."""
        name = f"s{uuid4().hex}"
        self.execute(f"CREATE SCHEMA {name}")
        return f"{self.url()}?options=-csearch_path%3D{name}"

    def database(self) -> str:
        """Return the URL of a new database."""
        name = f"d{uuid4().hex}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)


def _run(program: str, *arguments: str, output: int) -> subprocess.Popen[bytes]:
    """Run one of the programs, which refuse to run as root."""
    directory = programs()
    assert directory is not None, MISSING
    command = [str(directory / program), *arguments]
    if os.getuid() != 0:
        return subprocess.Popen(command, stdout=output, stderr=output)
    return subprocess.Popen(
        command, stdout=output, stderr=output, cwd="/", user=_UNPRIVILEGED, group="nogroup", extra_groups=[]
    )


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


@contextmanager
def running_server() -> Generator[PostgresqlServer]:
    """Run a server with data of its own until the block ends."""
    with tempfile.TemporaryDirectory(prefix="ours-postgresql-") as name:
        directory = Path(name)
        if os.getuid() == 0:
            shutil.chown(directory, _UNPRIVILEGED)
        with (directory / "log").open("ab") as log:
            flags = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
            made = _run("initdb", "-D", str(directory / "data"), *flags, output=log.fileno())
            assert made.wait(60) == 0, (directory / "log").read_text()
        (directory / "data" / "pg_hba.conf").write_text(_ACCESS)
        server = PostgresqlServer(directory, free_port())
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)
