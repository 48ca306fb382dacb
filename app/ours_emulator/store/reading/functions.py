"""Conditions that every database has, each in words of its own."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from ours_emulator.jsontext import json_text

Condition: TypeAlias = sa.ColumnElement[bool]


def among(column: sa.ColumnElement[Any], values: Sequence[int] | Sequence[str]) -> Condition:
    """Match any of *values*, which are integers or digests.

    A single one is compared, so that an index which goes on by time gives the order too.
    """
    return column == values[0] if len(values) == 1 else _Among(column, sa.literal(json_text(list(values))))


def is_name(column: sa.ColumnElement[Any], name: str) -> Condition:
    """Match a *name* that may be long, by its index."""
    return _IsName(column, sa.literal(name))


class _Among(FunctionElement[bool]):
    """A value is one of those in a JSON array."""

    type = sa.Boolean()
    inherit_cache = True


class _IsName(FunctionElement[bool]):
    """A text is another one."""

    type = sa.Boolean()
    inherit_cache = True


def _operands(element: FunctionElement[bool], compiler: SQLCompiler, options: Any) -> list[str]:
    return [compiler.process(clause, **options) for clause in element.clauses]


@compiles(_Among, "sqlite")
def _among_in_sqlite(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = _operands(element, compiler, options)
    return f"{column} IN (SELECT value FROM json_each({values}))"


@compiles(_Among, "postgresql")
def _among_in_postgresql(element: _Among, compiler: SQLCompiler, **options: Any) -> str:
    # Of an array its planner knows how long it is; one of integers or digests is but for the brackets as in JSON.
    column, values = _operands(element, compiler, options)
    kind = "bigint" if isinstance(next(iter(element.clauses)).type, sa.Integer) else "text"
    return f"{column} = ANY (CAST(translate({values}, '[]', '{{}}') AS {kind}[]))"


@compiles(_IsName, "sqlite")
def _is_name_in_sqlite(element: _IsName, compiler: SQLCompiler, **options: Any) -> str:
    return " = ".join(_operands(element, compiler, options))


@compiles(_IsName, "postgresql")
def _is_name_in_postgresql(element: _IsName, compiler: SQLCompiler, **options: Any) -> str:
    # An entry of its indexes has room for 2,700 bytes.
    column, name = _operands(element, compiler, options)
    return f"md5({column}) = md5({name}) AND {column} = {name}"
