"""JSON as it is stored and sent: compact and ASCII, so that NUL and lone surrogates survive any database and wire."""

import json

json_text = json.JSONEncoder(separators=(",", ":")).encode
"""Return a JSON value as text."""
