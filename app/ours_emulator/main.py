"""The former place of `create_app`. Deprecated: import it from `ours_emulator.app`."""

from ours_emulator.app import create_app

__all__ = ["create_app"]
