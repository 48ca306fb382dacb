"""The old place of `create_app`, kept for those who import it from here. Deprecated: use `ours_emulator.app`."""

from ours_emulator.app import create_app

__all__ = ["create_app"]
