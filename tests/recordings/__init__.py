"""What the emulated endpoints answer, recorded; `record.py` says how to record again."""
