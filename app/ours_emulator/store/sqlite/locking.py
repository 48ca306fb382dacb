"""Locks on a database file beside those of SQLite, which they outlive: they belong to a descriptor, not to the process.

SQLite's own locks go when the process closes any descriptor of the file. Only Linux has these; elsewhere nothing is
locked here, and the file `.lock` alone keeps others out.
"""

import os
import struct
import sys

_OWN_BYTE = 1 << 45
"""Locked by the emulator that has the database. SQLite locks bytes around 1 GiB, and nobody writes that far."""
_SHARED_BYTES = (0x4000_0002, 510)
"""What every SQLite connection locks for reading, and the last one for writing before it copies the log."""


def lock_database(descriptor: int) -> bool:
    """Lock a database until *descriptor*, which can write, is closed; return False if another emulator has it."""
    return _locked(descriptor, _OWN_BYTE, 1, shared=False)


def prevent_checkpoint(descriptor: int) -> None:
    """Keep SQLite from copying the log into the database when it closes, and from removing the log."""
    _locked(descriptor, *_SHARED_BYTES, shared=True)


if sys.platform == "linux":
    import fcntl

    def _locked(descriptor: int, first: int, count: int, *, shared: bool) -> bool:
        kind = fcntl.F_RDLCK if shared else fcntl.F_WRLCK
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", kind, os.SEEK_SET, first, count, 0))
        except (BlockingIOError, PermissionError):
            return False
        except OSError:
            # A file system without such locks.
            return True
        return True

else:

    def _locked(descriptor: int, first: int, count: int, *, shared: bool) -> bool:
        del descriptor, first, count, shared
        return True
