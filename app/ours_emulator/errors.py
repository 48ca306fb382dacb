"""Why an emulator cannot run. Imports only the standard library: a test process raises these without the server."""


class SettingsError(Exception):
    """A setting that is not valid; the message is one line for the user."""


class StoreError(Exception):
    """The store cannot be used; the message is one line for the user."""
