"""The command line."""

from ours_emulator.cli.main import main

__all__ = ["main"]
