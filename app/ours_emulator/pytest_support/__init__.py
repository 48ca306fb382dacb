"""What the pytest plugin needs once a test asks for an emulator."""

FOLDER = ".ours-emulator"
"""Where failing tests leave their reports, in the root directory of the run."""
