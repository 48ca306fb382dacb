"""A PostgreSQL server for a measurement, from the programs of the machine. It syncs as servers do by default."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from servers import free_port

# The programs refuse to run as root.
_UNPRIVILEGED = ("nobody", "nogroup", tuple[str]())


def programs() -> Path | None:
    """Return the folder of the server's programs; None without any. Debian has them in none of PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("initdb")
    return installed[-1].parent if installed else Path(found).parent if found else None


@contextmanager
def postgresql(folder_of_programs: Path) -> Generator[Callable[[], str]]:
    """Run a server until the block ends; each call of what is given makes a database, and returns its URL."""

    def run(program: str, *arguments: str) -> None:
        command = [str(folder_of_programs / program), *arguments]
        user, group, others = _UNPRIVILEGED if os.getuid() == 0 else (None, None, None)
        subprocess.run(
            command, check=True, cwd="/", stdout=subprocess.DEVNULL, user=user, group=group, extra_groups=others
        )

    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        if os.getuid() == 0:
            shutil.chown(folder, *_UNPRIVILEGED[:2])
        data, log, port = f"{folder}/data", f"{folder}/log", free_port()
        run("initdb", "-D", data, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C")
        flags = f"-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c port={port}"
        run("pg_ctl", "start", "-w", "-D", data, "-l", log, "-o", flags)
        names = map("bench{}".format, count())

        def database() -> str:
            name = next(names)
            run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", name)
            return f"postgresql://postgres@127.0.0.1:{port}/{name}"

        try:
            yield database
        finally:
            run("pg_ctl", "stop", "-D", data, "-m", "immediate")
