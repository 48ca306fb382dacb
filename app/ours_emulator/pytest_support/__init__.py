"""What the pytest plugin needs once a test asks for an emulator."""
