"""The page as one file, with the data of a report in it: what a browser opens from a disk, without a server.

A browser loads no module from a file, so the modules become one classic script: each is a function that returns what it
exports, and runs after those that it imports. They are written so that this takes no parser: an import or export is a
line of its own, and nothing that is exported changes.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from posixpath import dirname, join, normpath
from urllib.parse import quote

_PACKAGE = "ours_emulator.inspector"
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "([^"]+)";\n?', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:const|function|class) (\w+))", re.MULTILINE)
_EXPORT_LIST = re.compile(r"^export\s*\{([^}]*)\};?\n?|(?<=;)export\{([^}]*)\};?\n?", re.MULTILINE)
_NOT_IN_SCRIPTS = re.compile(r"<(?:/script|!--)", re.IGNORECASE)


def single_file(data: str, title: str) -> str:
    """Return the page with *data*, which is JSON: without "<" nothing in it can end its element."""
    data = data.replace("<", "\\u003c")
    script, style, icon = script_text(), _text("inspector.css"), quote(_text("icon.svg"))
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


@cache
def script_text() -> str:
    """Return the modules of the page as one classic script. Raises ValueError for a module not written for that."""
    modules: dict[str, str] = {}
    _add("main.js", modules, ())
    script = f'"use strict";\n{"".join(modules.values())}'
    if _NOT_IN_SCRIPTS.search(script):
        raise ValueError("a module has </script or <!--, which would end the script of a report; split that text")
    return script


def _add(name: str, modules: dict[str, str], importers: tuple[str, ...]) -> None:
    """Add the module *name* to *modules*, after those that it imports."""
    if name in importers:
        raise ValueError(f"modules import each other: {' -> '.join((*importers, name))}")
    if name in modules:
        return
    source = _text(name)
    imported = [(names, normpath(join(dirname(name), path))) for names, path in _IMPORT.findall(source)]
    for _, path in imported:
        _add(path, modules, (*importers, name))
    lines = "".join(f"const {names.replace(' as ', ': ')} = {_variable(path)};\n" for names, path in imported)
    body = _EXPORT_LIST.sub("", _EXPORT.sub("", _IMPORT.sub("", source)))
    if re.search(r"^\s*(?:import|export)\b\s*[\w{*]", body, re.MULTILINE):
        raise ValueError(f"{name} has an import or export of another form; write it as the others are")
    exported = ", ".join(_exported(source))
    modules[name] = f"const {_variable(name)} = (() => {{\n{lines}{body}\nreturn {{ {exported} }};\n}})();\n"


def _exported(source: str) -> Iterator[str]:
    """Yield the properties of an object of all that the module exports."""
    yield from _EXPORT.findall(source)
    for lists in _EXPORT_LIST.findall(source):
        for pair in filter(None, "".join(lists).split(",")):
            inner, _, outer = pair.strip().partition(" as ")
            yield f"{outer or inner}: {inner}"


def _variable(name: str) -> str:
    return "$" + re.sub(r"\W", "_", name)


@cache
def _text(name: str) -> str:
    return (files(_PACKAGE) / name).read_text("utf-8")


def _digest(text: str) -> str:
    return b64encode(sha256(text.encode("utf-8")).digest()).decode("ascii")
