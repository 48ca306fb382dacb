"""The reference pages that are made from the program: its commands and the calls of the debug API."""

import ast
import inspect
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click
import yaml

from ours_emulator.app import create_app
from ours_emulator.cli.main import commands
from ours_emulator.contract.body import MAX_DEPTH
from ours_emulator.contract.client import MAX_BODY_BYTES as CLIENT_BODY_BYTES
from ours_emulator.http.read_progress import BODY_SECONDS, HEAD_BYTES, HEAD_FIELDS, HEAD_SECONDS
from ours_emulator.matching import MAX_CONDITIONS, MAX_LEVELS, OPERATORS
from ours_emulator.records import MAX_WAIT_SECONDS
from ours_emulator.settings import Settings, flag

PACKAGE = Path(__file__).parent.parent / "app" / "ours_emulator"
_SETTINGS = {flag(name) for name in Settings.model_fields}
_HEAD = ("field", "type", "meaning")
_BOUNDS = {"exclusiveMinimum": "> {:g}", "minimum": "≥ {:g}", "maximum": "≤ {:,.0f}", "maxLength": "≤ {:,} characters"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(_escaped, cells))} |" for cells in lines)


def _escaped(cell: str) -> str:
    """Return *cell* with what Markdown would take for emphasis or the end of the cell escaped; code keeps its stars."""
    parts = re.split(r"(`[^`]*`)", cell)
    return "".join(re.sub(r"[|]" if part.startswith("`") else r"[|*<]", r"\\\g<0>", part) for part in parts)


# Commands


def command_pages() -> str:
    """Return a section for each command."""
    top = click.Context(commands, info_name="ours-emulator")
    return "\n\n".join(map(_command, _contexts(commands, top)))


def _contexts(group: click.Group, parent: click.Context) -> Iterator[click.Context]:
    """Yield the context of each command, of those of a group one after the other."""
    for command in group.commands.values():
        context = click.Context(command, info_name=command.name, parent=parent)
        if isinstance(command, click.Group):
            yield from _contexts(command, context)
        elif not command.hidden:
            yield context


def _command(context: click.Context) -> str:
    command = context.command
    # Some versions of click put two brackets around choices that may be omitted.
    pieces = " ".join(command.collect_usage_pieces(context)).replace("[[", "[").replace("]]", "]")
    usage = f"{context.command_path} {pieces}"
    # Without the option for help, which click makes when a command first runs, and then keeps under other names.
    options = [record for one in _options(command) if (record := one.get_help_record(context))]
    own = [record for record in options if record not in _settings_of_serve()]
    rows = [(f"`{names}`", _sentences(text)) for names, text in own]
    settings = [] if _settings_of_serve().isdisjoint(options) else ["Every [setting](settings.md) is an option, too."]
    options_table = [table(("option", "meaning"), rows)] if rows else []
    return "\n\n".join(
        [
            f"## {_name(context)}",
            f"`{usage}`",
            *_paragraphs(command.help or ""),
            *settings,
            *options_table,
        ]
    )


def _options(command: click.Command) -> Iterator[click.Option]:
    """Yield the options. The arguments are in the usage, and only some versions of click list them with the options."""
    return (one for one in command.params if isinstance(one, click.Option))


@cache
def _settings_of_serve() -> set[tuple[str, str]]:
    """Return the options that the page about settings describes, with their defaults there."""
    serve = commands.commands["serve"]
    context = click.Context(serve)
    records = [one.get_help_record(context) for one in _options(serve)]
    return {record for record in records if record and record[0].split()[0] in _SETTINGS}


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a command's help. Lines that click must not wrap (after \\b) are terms with meanings."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            terms = [re.split(r"  +", line.strip(), maxsplit=1) for line in paragraph.strip("\b\n").splitlines()]
            yield "\n".join(f"- `{term}`: {''.join(meaning)}" for term, *meaning in terms)
        else:
            yield _prose(paragraph)


def command_list() -> str:
    """Return the table of the commands, each with the first paragraph of its help."""
    top = click.Context(commands, info_name="ours-emulator")
    shown = [(_name(context), context.command.help or "") for context in _contexts(commands, top)]
    rows = [(f"[`{name}`](commands.md#{_anchor(name)})", _first_paragraph(text)) for name, text in shown]
    return table(("command", "what it does"), rows)


def _name(context: click.Context) -> str:
    """Return `plan infer`: the command without the name of the program."""
    return context.command_path.removeprefix("ours-emulator ")


# The debug API


@cache
def _document() -> dict[str, Any]:
    return create_app().openapi()


def call_pages() -> str:
    """Return a section for each call of the debug API."""
    paths = {path: calls for path, calls in _document()["paths"].items() if path.startswith("/debug")}
    return "\n\n".join(_call(path, method, call) for path, calls in paths.items() for method, call in calls.items())


def _call(path: str, method: str, call: dict[str, Any]) -> str:
    parts = [f"## {method.upper()} {path}", _prose(call["description"])]
    if parameters := call.get("parameters"):
        rows = [(f"`{one['name']}`", _kind(one["schema"]), _about(one, one["schema"])) for one in parameters]
        parts.append(table(("parameter", "type", "meaning"), rows))
    parts += [table(_HEAD, _fields(schema)) for schema in _bodies(call)]
    return "\n\n".join(parts)


def lookups() -> str:
    """Return the table of the calls that look something up, each with the first paragraph of its description."""
    gets = {path: calls["get"] for path, calls in _document()["paths"].items() if "get" in calls}
    rows = [
        (
            f"[`{path.removeprefix('/debug/')}`](calls.md#{_anchor(f'GET {path}')})",
            _first_paragraph(call["description"]),
        )
        for path, call in gets.items()
        if path.startswith("/debug/")
    ]
    return table(("`GET /debug/…`", "what it does"), rows)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def fault_fields() -> str:
    """Return the table of the fields of a fault."""
    return table(_HEAD, _fields(_schema("FaultBody")))


def experiment_fields() -> str:
    """Return the table of the fields of an experiment, and of its variants."""
    return table(_HEAD, [*_fields(_schema("Experiment")), *_fields(_schema("Variant"), "variants[].")])


def _schema(name: str) -> dict[str, Any]:
    return _resolved({"$ref": f"#/components/schemas/{name}"})


def operators() -> str:
    """Return the table of the operators of the match grammar."""
    return table(("operator", "matches"), [(f"`{name}`", meaning) for name, meaning in OPERATORS.items()])


def _bodies(call: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the schemas of the bodies that are objects."""
    content = call.get("requestBody", {}).get("content", {})
    found = [_resolved(one["schema"]) for one in content.values()]
    return [schema for schema in found if "properties" in schema]


def _fields(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield the rows of an object's fields, those of inner objects below them."""
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        needed = "Required. " if name in required else ""
        yield f"`{prefix}{name}`", _kind(field), (needed + _about(field, field)).strip()
        for inner in _variants(field):
            if "properties" in inner:
                yield from _fields(inner, f"{prefix}{name}.")


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    known: dict[str, dict[str, Any]] = _document()["components"]["schemas"]
    return known[schema["$ref"].rpartition("/")[2]]


def _variants(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a value may be, apart from null."""
    schema = _resolved(schema)
    choices = [one for key in ("anyOf", "oneOf", "allOf") for one in schema.get(key, ())]
    return [one for choice in choices for one in _variants(choice)] if choices else _not_null(schema)


def _not_null(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [] if schema.get("type") == "null" else [schema]


def _kind(schema: dict[str, Any]) -> str:
    """Return the type of a value, with its bounds."""
    return " or ".join(dict.fromkeys(map(_kind_of_one, _variants(schema))))


def _kind_of_one(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`".lower()
    name: str = schema.get("type", "any")
    if name == "array":
        return f"list of {_kind(schema['items'])}"
    return name + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    """Return the bounds of a value, but for those that only keep it in the range of the store."""
    given = [form.format(schema[key]) for key, form in _BOUNDS.items() if abs(schema.get(key, 10**12)) < 10**12]
    return f" {', '.join(given)}" if given else ""


def _about(described: dict[str, Any], schema: dict[str, Any]) -> str:
    """Return what is said of a value, and its default."""
    texts = [described.get("description"), *(one.get("description") for one in _variants(schema))]
    text = _sentences(next((text for text in texts if text), ""))
    default = schema.get("default")
    return text if default in (None, {}) else f"{text} Default: `{json.dumps(default)}`.".strip()


# Parts of the code


def parts() -> str:
    """Return the table of the packages and modules, with the first sentence of what each one says of itself."""
    packages = {f"{file.parent.name}/": file for file in sorted(PACKAGE.glob("*/__init__.py"))}
    modules = {file.name: file for file in sorted(PACKAGE.glob("*.py")) if not file.name.startswith("__")}
    rows = [(f"`{name}`", _first_line(file)) for name, file in {**packages, **modules}.items()]
    return table(("part", "what is in it"), rows)


def _first_line(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
    return docstring.splitlines()[0]


# Limits


def limits() -> str:
    """Return the table of what cannot be configured."""
    (page,) = [one for one in _document()["paths"]["/debug/events"]["get"]["parameters"] if one["name"] == "limit"]
    rows = [
        ("header section", f"{HEAD_BYTES // 1024} KiB and {HEAD_FIELDS} fields, within {HEAD_SECONDS:g} s"),
        ("body", f"within {BODY_SECONDS:g} s, plus 1 s for each MiB"),
        ("body of the Ingest API", f"nested at most {MAX_DEPTH} levels deep"),
        ("body of the Client API", f"{CLIENT_BODY_BYTES // 1024} KiB"),
        ("page of a list", f"{page['schema']['maximum']:,} items"),
        ("wait", f"{MAX_WAIT_SECONDS} s, settling time included"),
        ("match", f"nested at most {MAX_LEVELS} levels deep, with at most {MAX_CONDITIONS:,} conditions"),
    ]
    return table(("what", "limit"), rows)


# Inputs of the action


def action_inputs() -> str:
    """Return the table of the inputs of the action."""
    action = yaml.safe_load((PACKAGE.parent.parent / "action.yml").read_text("utf-8"))
    rows = [(f"`{name}`", one["description"], _code(one["default"])) for name, one in action["inputs"].items()]
    return table(("input", "meaning", "default"), rows)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


# Text


def _first_paragraph(text: str) -> str:
    return _sentences(_prose(inspect.cleandoc(text).split("\n\n")[0]))


def _prose(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines()).replace("<", "\\<")


def _sentences(text: str) -> str:
    """Return *text* on one line."""
    return " ".join(text.split())
