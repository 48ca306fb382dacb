"""The page as one file, with the data of a report in it: what a browser opens from a disk, without a server."""

from base64 import b64encode
from hashlib import sha256
from html import escape
from urllib.parse import quote

from ours_emulator.inspector.script import file_text, script_text


def single_file(data: str, title: str) -> str:
    """Return the page with *data*, which is JSON: without "<" nothing in it can end its element."""
    data = data.replace("<", "\\u003c")
    script, style, icon = script_text(), file_text("inspector.css"), quote(file_text("icon.svg"))
    policy = (
        f"default-src 'none'; script-src 'sha256-{_digest(script)}'; style-src 'sha256-{_digest(style)}'; "
        "img-src data:; form-action 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return f"""\
<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta http-equiv="Content-Security-Policy" content="{policy}">
    <meta name="referrer" content="no-referrer">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>{escape(title)}</title>
    <link rel="icon" href="data:image/svg+xml,{icon}">
    <style>{style}</style>
  </head>
  <body>
    <noscript>The report needs JavaScript. The file beside it that ends in .jsonl has the requests as text.</noscript>
    <script type="application/json" id="report">{data}</script>
    <script>{script}</script>
  </body>
</html>
"""


def _digest(source: str) -> str:
    return b64encode(sha256(source.encode("utf-8")).digest()).decode("ascii")
