"""How a newer OpenAPI document differs from the one that a revision has, and which rules that touches.

The walk goes where the bundled document goes, which is finite, so a newer one may be deep or cyclic. What is new in it
is described, not entered.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from urllib.parse import urlsplit

from ours_emulator.contract.compile import NORMALISING
from ours_emulator.contract.revision import revision
from ours_emulator.fidelity.change import ANY_JSON, Change
from ours_emulator.fidelity.documents import DocumentError, Node, Resolver, items, node, read_document
from ours_emulator.fidelity.touched_rules import with_rules
from ours_emulator.jsontext import json_text, same

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_IN_SCHEMA = frozenset(
    ("type", "nullable", "properties", "required", "additionalProperties", "items", "anyOf", "oneOf")
)
_IN_OPERATION = frozenset(("requestBody", "responses", "parameters", "servers"))
_ROWS = "events[]"
_ABSENT = ""
_LENGTHS = ("minLength", "maxLength", "minItems", "maxItems")


def drift(content: bytes, name: str) -> tuple[Change, ...]:
    """Return how the document in *content* differs from the one of the revision *name*. Raises DocumentError."""
    try:
        old, new = _Document(read_document(revision(name).document)), _Document(read_document(content))
        if not old.operations.keys() & new.operations.keys():
            known = ", ".join(old.operations)
            raise DocumentError(f"it has none of the endpoints of revision {name} ({known}); is it of this API?")
        return tuple(with_rules(change, name) for change in _Walk(old, new).changes())
    except RecursionError:
        raise DocumentError("nested too deeply") from None


class _Document:
    """A document and its endpoints."""

    def __init__(self, document: Node) -> None:
        self.document = document
        self.resolver = Resolver(document)

    @cached_property
    def operations(self) -> Mapping[str, Node]:
        """The operations by method and path, wherever the base path is written."""
        operations: dict[str, Node] = {}
        for path, item in node(self.document["paths"]).items():
            methods = self.resolver.resolved(item)
            for method in _METHODS:
                if method in methods:
                    operation = self.resolver.resolved(methods[method])
                    operations[f"{method.upper()} {self._base(methods, operation)}{path}"] = operation
        return operations

    def _base(self, item: Node, operation: Node) -> str:
        for level in (operation, item, self.document):
            for server in items(level.get("servers"))[:1]:
                with suppress(ValueError):
                    return urlsplit(str(node(server).get("url", ""))).path.rstrip("/")
        return ""


class _Walk:
    """Compares two documents."""

    def __init__(self, old: _Document, new: _Document) -> None:
        self._old, self._new = old, new

    def changes(self) -> Iterator[Change]:
        """Yield every difference."""
        old, new = self._old.document, self._new.document
        yield from _keywords("document", "info", node(old.get("info")), node(new.get("info")))
        for keyword in ("openapi", "servers", "security"):
            yield from _keyword("document", "", keyword, old, new)
        before, after = self._old.operations, self._new.operations
        for where in dict.fromkeys((*before, *after)):
            if where not in after:
                yield Change("removed", where, "endpoint", "", _ABSENT, _ABSENT)
            elif where not in before:
                yield Change("added", where, "endpoint", "", _ABSENT, str(after[where].get("summary", "")))
            else:
                yield from self._operation(where, before[where], after[where])

    def _operation(self, where: str, old: Node, new: Node) -> Iterator[Change]:
        yield from _keywords(where, "endpoint", old, new, _IN_OPERATION)
        yield from self._parameters(where, old, new)
        before, after = self._both(old.get("requestBody"), new.get("requestBody"))
        yield from _keywords(where, "body", before, after, frozenset(("content",)))
        yield from self._content(where, "", before, after)
        yield from self._responses(where, node(old.get("responses")), node(new.get("responses")))

    def _parameters(self, where: str, old: Node, new: Node) -> Iterator[Change]:
        before, after = (
            {f"{one.get('in')} {one.get('name')}": one for one in map(side.resolver.resolved, items(part))}
            for side, part in ((self._old, old.get("parameters")), (self._new, new.get("parameters")))
        )
        yield from _added_or_removed(where, "parameter ", before, after)
        for name in before.keys() & after.keys():
            yield from _keywords(where, f"parameter {name}", before[name], after[name], frozenset(("schema",)))
            yield from self._schema(where, f"parameter {name}", before[name].get("schema"), after[name].get("schema"))

    def _responses(self, where: str, old: Node, new: Node) -> Iterator[Change]:
        yield from _added_or_removed(where, "response ", old, new)
        for status in old:
            if status in new:
                before, after = self._both(old[status], new[status])
                place = f"response {status}"
                yield from _keywords(where, place, before, after, frozenset(("content",)))
                yield from self._content(where, place, before, after)

    def _content(self, where: str, place: str, old: Node, new: Node) -> Iterator[Change]:
        before, after = node(old.get("content")), node(new.get("content"))
        yield from _added_or_removed(where, f"{place or 'body'} ", before, after)
        for media_type in before:
            if media_type in after:
                schemas = (node(side[media_type]).get("schema") for side in (before, after))
                yield from self._schema(where, place, *schemas)

    def _schema(self, where: str, place: str, old: object, new: object) -> Iterator[Change]:
        before, after = self._old.resolver.schema(old), self._new.resolver.schema(new)
        types = _type_of(before), _type_of(after)
        if types[0] != types[1]:
            yield Change("changed", where, place, "type", *types)
        yield from _keywords(where, place, before, after, _IN_SCHEMA)
        yield from self._properties(where, place, before, after)
        yield from self._inner(where, place, before, after)

    def _properties(self, where: str, place: str, old: Node, new: Node) -> Iterator[Change]:
        before, after = node(old.get("properties")), node(new.get("properties"))
        required = [frozenset(map(str, items(side.get("required")))) for side in (old, new)]
        for name in dict.fromkeys((*before, *after)):
            inner = _below(place, name)
            if name not in after:
                yield Change("removed", where, inner, "", self._summary(self._old, before[name]), _ABSENT)
            elif name not in before:
                summary = self._summary(self._new, after[name]) + (", required" if name in required[1] else "")
                yield Change("added", where, inner, "", _ABSENT, summary)
            else:
                needed = tuple(json_text(name in names) for names in required)
                if needed[0] != needed[1]:
                    yield Change("changed", where, inner, "required", needed[0], needed[1])
                yield from self._schema(where, inner, before[name], after[name])

    def _inner(self, where: str, place: str, old: Node, new: Node) -> Iterator[Change]:
        """Yield the differences in what an object, a list or a choice contains."""
        for keyword, suffix in (("additionalProperties", ".*"), ("items", "[]")):
            before, after = node(old.get(keyword)), node(new.get(keyword))
            if before and after:
                yield from self._schema(*_rows(where, place + suffix), before, after)
            else:
                yield from _keyword(where, place, keyword, old, new)
        for keyword in ("anyOf", "oneOf"):
            choices = items(old.get(keyword)), items(new.get(keyword))
            if len(choices[0]) != len(choices[1]):
                yield from _keyword(where, place, keyword, old, new)
                continue
            for at, (before, after) in enumerate(zip(*choices, strict=True)):
                yield from self._schema(where, f"{place}|{at}", before, after)

    def _both(self, old: object, new: object) -> tuple[Node, Node]:
        return self._old.resolver.resolved(old), self._new.resolver.resolved(new)

    def _summary(self, side: _Document, value: object) -> str:
        """Describe a property in short."""
        schema = side.resolver.schema(value)
        limits = (f"{keyword} {schema[keyword]}" for keyword in _LENGTHS if keyword in schema)
        return ", ".join((_type_of(schema), *limits))


def _type_of(schema: Node) -> str:
    """Return the type as the emulator reads it (rule any-json)."""
    kind = schema.get("type")
    or_null = " or null" if schema.get("nullable") is True else ""
    if kind is None:
        has_form = any(keyword in schema for keyword in ("properties", "items", "anyOf", "oneOf", "enum", "not"))
        return f"no type{or_null}" if has_form else ANY_JSON
    name = kind if isinstance(kind, str) else json_text(kind)
    first = next(iter(schema))
    is_artefact = first == "nullable" and kind == "string" and "maxLength" not in schema
    return f"{name}{or_null}" + (f", read as {ANY_JSON}" if is_artefact else "")


def _keywords(where: str, place: str, old: Node, new: Node, others: frozenset[str] = frozenset()) -> Iterator[Change]:
    """Yield what differs in the keywords of an object, except for *others*, which are compared in another way."""
    for keyword in dict.fromkeys((*old, *new)):
        if keyword not in others:
            yield from _keyword(where, place, keyword, old, new)


def _keyword(where: str, place: str, keyword: str, old: Node, new: Node) -> Iterator[Change]:
    # Only a derived document has the keywords of NORMALISING: that the vendor's lacks them says nothing.
    before, after = old.get(keyword), new.get(keyword)
    if keyword in old and keyword in new:
        if not same(before, after):
            yield Change("changed", where, place, keyword, _text(before), _text(after))
    elif keyword in old and keyword not in NORMALISING:
        yield Change("removed", where, place, keyword, _text(before), _ABSENT)
    elif keyword in new:
        yield Change("added", where, place, keyword, _ABSENT, _text(after))


def _added_or_removed(where: str, prefix: str, old: Node, new: Node) -> Iterator[Change]:
    yield from (Change("removed", where, prefix + name, "", _ABSENT, _ABSENT) for name in old if name not in new)
    yield from (Change("added", where, prefix + name, "", _ABSENT, _ABSENT) for name in new if name not in old)


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _rows(where: str, place: str) -> tuple[str, str]:
    """Return *where* and *place*. The rows of a batch are a place of their own, with the names of /track."""
    return (f"{where} {_ROWS}", "") if place == _ROWS else (where, place)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json_text(value)
