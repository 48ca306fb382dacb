"""The modules of the page as one script.

A browser takes a tenth of a second to load thirty modules, each of which it has to read to know the next; and from a
file, which a report is, it loads none. So each module becomes a function that returns what it exports, and runs after
those that it imports. What a module says of types, and what it imports of them, is left out. They are written so that
this takes no parser: an import, an export or a comment on types is a line of its own, or several, and nothing that is
exported changes.
"""

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from posixpath import dirname, join, normpath

_IMPORT = re.compile(r'^import (\{[^}]*\}) from "([^"]+)";\n?', re.MULTILINE)
_TYPES = re.compile(r"^ */\*\*(?:.*\*/\n|\n(?: *\*.*\n)+)", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:const|function|class) (\w+))", re.MULTILINE)
_EXPORT_LIST = re.compile(r"^export\s*\{([^}]*)\};?\n?|(?<=;)export\{([^}]*)\};?\n?", re.MULTILINE)
_NOT_IN_SCRIPTS = re.compile(r"<(?:/script|!--)", re.IGNORECASE)


@cache
def script_text() -> str:
    """Return the modules of the page as one script. Raises ValueError for a module not written for that."""
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
    source = file_text(name)
    imported = [(names, normpath(join(dirname(name), path))) for names, path in _IMPORT.findall(source)]
    for _, path in imported:
        _add(path, modules, (*importers, name))
    lines = "".join(f"const {names.replace(' as ', ': ')} = {_variable(path)};\n" for names, path in imported)
    body = _EXPORT_LIST.sub("", _EXPORT.sub("", _IMPORT.sub("", _TYPES.sub("", source))))
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


def file_text(name: str) -> str:
    """Return the text of a file of the page."""
    return (files("ours_emulator.inspector") / name).read_text("utf-8")
