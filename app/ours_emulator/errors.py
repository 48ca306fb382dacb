"""Why an emulator cannot run or be used. Imports only the standard library, as test processes have no server."""

from pathlib import Path
from typing import Literal

WRONG_ADMIN_TOKEN = "the admin token is missing or wrong; set OURS_EMULATOR_ADMIN_TOKEN to it"


class SettingsError(Exception):
    """A setting that is not valid; the message is one line for the user."""


class ListenError(OSError):
    """The address cannot be listened on; the message is one line for the user."""


class StoreError(Exception):
    """The store cannot be used; the message is one line for the user."""


class EmulatorError(Exception):
    """The emulator cannot be reached, or refused an operation of the debug API; the message says why.

    `status` is the HTTP status of a refusal, None if there was no answer. `reason` is what the emulator itself says of
    it, without the operation; None if it says nothing.
    """

    def __init__(self, message: str, status: int | None = None, reason: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class NotUtf8Error(ValueError):
    """A file that is not UTF-8; the message is one line for the user."""


def file_text(file: Path) -> str:
    """Return the text in *file*. Raises OSError or NotUtf8Error."""
    try:
        return file.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise NotUtf8Error(f"{file} is not UTF-8; save it in that encoding") from None


def file_problem(path: Path, use: Literal["read", "write"], error: OSError) -> str:
    """Return why *path* cannot be read or written, and what to do: `x cannot be read: Is a directory; name …`."""
    done = {"read": "read", "write": "written"}[use]
    if use == "write" and isinstance(error, FileNotFoundError):
        return f"{path} cannot be {done}: the folder {path.parent} does not exist; create it"
    advice: dict[type[OSError], str] = {
        FileNotFoundError: "; check the path",
        IsADirectoryError: "; name a file in it",
        NotADirectoryError: "; check the path",
        PermissionError: f"; use a path that this user may {use}",
    }
    return f"{path} cannot be {done}: {why(error)}{advice.get(type(error), '')}"


def why(error: Exception) -> str:
    """Return what *error* says, without the number that a system error has."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
