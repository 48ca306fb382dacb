"""Generate the statements that follow from the tables: `python scripts/generate_table_sql.py [--check]`.

With --check nothing is written; the exit code is 1 if the generated file is not up to date.
"""

from collections.abc import Generator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import dialect, insert
from sqlalchemy.schema import CreateIndex, CreateTable

from generating import write_or_check
from ours_emulator.store import tables

_LINE = 110
GENERATED = Path(__file__).parent.parent / "app" / "ours_emulator" / "store" / "sqlite" / "table_sql.py"
HEADER = '''"""What follows from the tables: how they are made, and how a row is written.

Generated from tables.py by scripts/generate_table_sql.py; do not edit.
"""

'''
INSERTED = (
    tables.accounts,
    tables.requests,
    tables.receipts,
    tables.distinct_ids,
    tables.identifiers,
    tables.visitor_versions,
)
UPSERTED = {tables.visitors: {"account_id", "visitor_id"}, tables.pending_devices: set[str](), tables.marks: set[str]()}
"""With the columns that never change: writing one that has an index writes that anew too."""


def generated() -> str:
    """Return the text of the module."""
    parts = [HEADER, "CREATE = (\n", *(f"    {_literal(text)},\n" for text in _created()), ")\n"]
    parts += [f"INSERT_{table.name.upper()} = {_literal(_text(table.insert()))}\n" for table in INSERTED]
    parts += [f"UPSERT_{table.name.upper()} = {_literal(_upsert(table, fixed))}\n" for table, fixed in UPSERTED.items()]
    return "".join(parts)


def _created() -> Generator[str]:
    for table in tables.metadata.sorted_tables:
        yield _text(CreateTable(table))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            yield _text(CreateIndex(index))


def _upsert(table: sa.Table, fixed: set[str]) -> str:
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    changed = [column.name for column in table.columns if column.name not in {*keys, *fixed}]
    set_ = {name: statement.excluded[name] for name in changed}
    return _text(statement.on_conflict_do_update(index_elements=keys, set_=set_))


def _text(element: sa.ClauseElement) -> str:
    words = " ".join(str(element.compile(dialect=dialect())).split())
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
    write_or_check(GENERATED, generated())
