"""How far the emulator answers as another server does, and how a newer document differs from a bundled one.

Pure rules are in `answers`, `preparation`, `suite`, `plan`, `by_hand`, `found`, `report`, `documents` and `drift`; only
`server`, `comparison` and `download` use the network. Nothing of the server or of the fixtures imports this package.
"""
