"""Comparisons that every database has, each in words of its own, which the module `dialect` of its folder compiles."""

from collections.abc import Sequence
from typing import Any, Self, TypeAlias

import sqlalchemy as sa
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType

from ours_emulator.jsontext import json_text

Condition: TypeAlias = sa.ColumnElement[bool]


def among(column: sa.ColumnElement[Any], values: Sequence[int] | Sequence[str]) -> Condition:
    """Match any of *values*, which are integers or digests.

    A single one is compared, so that an index which goes on by time gives the order too.
    """
    return column == values[0] if len(values) == 1 else Among(column, sa.literal(json_text(list(values))))


def is_name(column: sa.ColumnElement[Any], name: str) -> Condition:
    """Match a *name* that may be long, by its index."""
    return IsName(column, sa.literal(name))


class _Comparison(FunctionElement[bool]):
    type = sa.Boolean()
    inherit_cache = True

    def self_group(self, against: OperatorType | None = None) -> Self:
        """Return this: SQLAlchemy would compare it with 1, as SQLite has no booleans, and then no index is used."""
        del against
        return self


class Among(_Comparison):
    """A value is one of those in a JSON array."""

    inherit_cache = True


class IsName(_Comparison):
    """A text is another one."""

    inherit_cache = True


def operands(element: FunctionElement[bool], compiler: SQLCompiler, options: Any) -> list[str]:
    """Return the operands of *element* as SQL."""
    return [compiler.process(clause, **options) for clause in element.clauses]
