"""Why an emulator cannot run. Imports only the standard library: a test process raises these without the server."""

WRONG_ADMIN_TOKEN = "the admin token is missing or wrong; set OURS_EMULATOR_ADMIN_TOKEN to it"


class SettingsError(Exception):
    """A setting that is not valid; the message is one line for the user."""


class ListenError(OSError):
    """The address cannot be listened on; the message is one line for the user."""


class StoreError(Exception):
    """The store cannot be used; the message is one line for the user."""


def why(error: Exception) -> str:
    """Return what *error* says, without the number that a system error has."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
