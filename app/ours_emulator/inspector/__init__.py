"""The page that shows what arrived. It is one more client of the debug API: a document, a style and a script."""

from collections.abc import Mapping
from functools import cached_property

from ours_emulator.http.assets import Asset
from ours_emulator.inspector.script import script_text

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


class _Script(Asset):
    @cached_property
    def _content(self) -> bytes:
        return script_text().encode()


PAGE = Asset(__name__, "index.html", _POLICY)
ASSETS: Mapping[str, Asset] = {
    "icon.svg": Asset(__name__, "icon.svg", _POLICY),
    "inspector.css": Asset(__name__, "inspector.css", _POLICY),
    "page.js": _Script(__name__, "page.js", _POLICY),
}
"""What the page loads, by the path below `/inspector/`."""
