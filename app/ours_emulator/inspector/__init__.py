"""The page that shows what arrived. It is one more client of the debug API: a document, a style and a script."""

from collections.abc import Mapping

from ours_emulator.http.assets import Asset, packaged
from ours_emulator.inspector.script import script_text

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


PAGE = packaged(__name__, "index.html", _POLICY)
ASSETS: Mapping[str, Asset] = {
    "icon.svg": packaged(__name__, "icon.svg", _POLICY),
    "inspector.css": packaged(__name__, "inspector.css", _POLICY),
    "page.js": Asset("page.js", lambda: script_text().encode(), _POLICY),
}
"""What the page loads, by the path below `/inspector/`."""
