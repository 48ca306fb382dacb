"""The page that shows what arrived. It is one more client of the debug API: its files are served as they are here."""

from collections.abc import Mapping

from ours_emulator.http.assets import Asset

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_FILES = (
    "inspector.css",
    "main.js",
    "vendor/library.js",
)
PAGE = Asset(__name__, "index.html", _POLICY)
ASSETS: Mapping[str, Asset] = {name: Asset(__name__, name, _POLICY) for name in _FILES}
"""What the page loads, by the path below `/inspector/`."""
