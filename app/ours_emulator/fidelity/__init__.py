"""How far the emulator answers as another server does, and how a newer document differs from a bundled one.

Only `server`, `comparison` and `download` use the network; the other modules use none. Nothing of the server or of the
fixtures imports this package.
"""
