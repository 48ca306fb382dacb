"""`python -m ours_emulator`."""

from ours_emulator.cli import main

main()
