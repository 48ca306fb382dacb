"""The page that shows what arrived. It is one more client of the debug API: its files are served as they are here."""

from collections.abc import Mapping
from functools import cached_property

from ours_emulator.http.assets import Asset

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_FILES = (
    "api.js",
    "arrivals.js",
    "attempts.js",
    "banner.js",
    "buckets.js",
    "calls.js",
    "control.js",
    "copies.js",
    "copybar.js",
    "detail.js",
    "empty.js",
    "header.js",
    "icon.svg",
    "identity.js",
    "inspector.css",
    "jsonlines.js",
    "list.js",
    "main.js",
    "parts.js",
    "percent.js",
    "place.js",
    "report.js",
    "rules.js",
    "sent.js",
    "status.js",
    "store.js",
    "stream.js",
    "text.js",
    "vendor/library.js",
    "verify.js",
    "visitors.js",
)
_PRELOADS = "".join(f'<link rel="modulepreload" href="inspector/{name}">' for name in _FILES if name.endswith(".js"))


class _Page(Asset):
    """The document, with a link to each module: a browser finds them all at once, and not one in the other."""

    @cached_property
    def _content(self) -> bytes:
        return super()._content.replace(b"</head>", f"{_PRELOADS}</head>".encode())


PAGE = _Page(__name__, "index.html", _POLICY)
ASSETS: Mapping[str, Asset] = {name: Asset(__name__, name, _POLICY) for name in _FILES}
"""What the page loads, by the path below `/inspector/`."""
