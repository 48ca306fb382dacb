"""Generate the statements that follow from the tables: `python scripts/generate_table_sql.py [--check]`.

With --check nothing is written; the exit code is 1 if a generated file is not up to date.
"""

from collections.abc import Generator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.schema import CreateIndex, CreateTable

from generating import write_or_check
from ours_emulator.store import tables

_LINE = 110
STORE = Path(__file__).parent.parent / "app" / "ours_emulator" / "store"
HEADER = '"""{}\n\nGenerated from tables.py by scripts/generate_table_sql.py; do not edit.\n"""\n\n'
WRITTEN = "How a row is written."
MADE = "How the tables are made."
INSERTED = (
    tables.accounts,
    tables.requests,
    tables.receipts,
    tables.distinct_ids,
    tables.identifiers,
    tables.visitor_versions,
)
UPSERTED = {
    tables.visitors: {"account_id", "visitor_id"},
    tables.pending_devices: set[str](),
    tables.failed_attempts: set[str](),
    tables.marks: set[str](),
}
"""With the columns that never change: writing one that has an index writes that anew too."""


LONG = "event"
"""A column that may be longer than an entry of an index of PostgreSQL."""


def generated() -> dict[Path, str]:
    """Return the texts of the modules."""
    return {
        STORE / "writing" / "table_sql.py": HEADER.format(WRITTEN) + _written(),
        STORE / "sqlite" / "create_sql.py": HEADER.format(MADE) + _create(_made_in_sqlite()),
        STORE / "postgresql" / "create_sql.py": HEADER.format(MADE) + _create(_made_in_postgresql()),
    }


def _written() -> str:
    parts = [f"INSERT_{table.name.upper()} = {_literal(_text(table.insert()))}\n" for table in INSERTED]
    parts += [f"UPSERT_{table.name.upper()} = {_literal(_upsert(table, fixed))}\n" for table, fixed in UPSERTED.items()]
    return "".join(parts)


def _create(statements: Generator[str]) -> str:
    return "".join(["CREATE = (\n", *(f"    {_literal(text)},\n" for text in statements), ")\n"])


def _made_in_sqlite() -> Generator[str]:
    for table in tables.metadata.sorted_tables:
        yield _text(CreateTable(table))
        for index in _indexes(table):
            yield _text(CreateIndex(index))


def _made_in_postgresql() -> Generator[str]:
    for table in tables.metadata.sorted_tables:
        made = _text(CreateTable(table), "postgresql")
        keys = [column.name for column in table.primary_key]
        if LONG in keys:
            yield made.replace(f", PRIMARY KEY ({', '.join(keys)})", "")
            yield f"CREATE UNIQUE INDEX {table.name}_key ON {table.name} ({_indexed(keys)})"
        else:
            yield made
        for index in _indexes(table):
            # Every index of SQLite goes on by the key of the table.
            columns = _indexed([*(column.name for column in index.columns), *keys])
            index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]
            begin, _, end = _text(CreateIndex(index), "postgresql").partition(")")
            yield f"{begin.partition('(')[0]}({columns}){end}"


def _indexed(columns: list[str]) -> str:
    return ", ".join(f"md5({name})" if name == LONG else name for name in columns)


def _indexes(table: sa.Table) -> list[sa.Index]:
    return sorted(table.indexes, key=lambda index: str(index.name))


def _upsert(table: sa.Table, fixed: set[str]) -> str:
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    changed = [column.name for column in table.columns if column.name not in {*keys, *fixed}]
    set_ = {name: statement.excluded[name] for name in changed}
    return _text(statement.on_conflict_do_update(index_elements=keys, set_=set_))


def _text(element: sa.ClauseElement, dialect: str = "sqlite") -> str:
    words = " ".join(str(element.compile(dialect=registry.load(dialect)())).split())
    return words.replace("( ", "(").replace(" )", ")")


def _literal(text: str) -> str:
    """Return *text* as a string of lines that fit."""
    lines = [""]
    for word in text.split(" "):
        if len(lines[-1]) + len(word) > _LINE:
            lines.append("")
        lines[-1] += f"{word} "
    return '"""\n' + "\n".join(line.rstrip() for line in lines) + '\n"""'


if __name__ == "__main__":
    for file, text in generated().items():
        write_or_check(file, text)
