"""What differs between two documents, as a table, as Markdown, as JSON. One change of several endpoints is one row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

from ours_emulator.fidelity.change import Change
from ours_emulator.fidelity.formats import cut, escaped, markdown_row, more_as_json
from ours_emulator.terminal import columns
from ours_emulator.wording import plural

_HEADS = ("change", "what", "before", "after", "where", "rules")
_MAX_CELL = 48
_MAX_ROWS = 1000
_MAX_TEXT = 2000


@dataclass(frozen=True)
class DriftReport:
    """The *changes* from revision *revision* to the document called *source*."""

    changes: Sequence[Change]
    revision: str
    source: str

    def table(self) -> Iterator[str]:
        """Yield the lines for a terminal."""
        yield self._headline()
        rows = self._rows(_MAX_CELL)
        if rows:
            yield ""
            yield from columns([[head.upper() for head in _HEADS], *rows])
        yield from more_as_json(len(self._grouped) - _MAX_ROWS)

    def markdown(self) -> Iterator[str]:
        """Yield the lines of Markdown."""
        yield f"# {escaped(self._headline())}"
        rows = self._rows(_MAX_TEXT)
        if rows:
            yield from ("", markdown_row(_HEADS), markdown_row(["---"] * len(_HEADS)))
            yield from (markdown_row([escaped(cut(cell, _MAX_TEXT)) for cell in row]) for row in rows)
        yield from more_as_json(len(self._grouped) - _MAX_ROWS)

    def fields(self) -> Mapping[str, object]:
        """Return what a program reads as JSON."""
        return {
            "source": self.source,
            "revision": self.revision,
            "changes": [
                {
                    **asdict(change),
                    "where": where,
                    "before": cut(change.before, _MAX_TEXT),
                    "after": cut(change.after, _MAX_TEXT),
                }
                for change, where in self._grouped
            ],
        }

    def _headline(self) -> str:
        count = plural(len(self._grouped), "difference")
        rules = list(dict.fromkeys(rule for change in self.changes for rule in change.rules))
        touched = f", {plural(len(rules), 'rule')} touched" if self.changes else ""
        return cut(f"{self.source} and revision {self.revision}: {count}{touched}", _MAX_TEXT)

    @cached_property
    def _grouped(self) -> list[tuple[Change, list[str]]]:
        """Return each change once, with the endpoints that have it."""
        groups: dict[Change, list[str]] = {}
        for change in self.changes:
            groups.setdefault(replace(change, where=""), []).append(change.where)
        return list(groups.items())

    def _rows(self, length: int) -> list[Sequence[str]]:
        return [
            (
                change.action,
                cut(f"{change.place} {change.what}".strip(), length),
                cut(change.before, length),
                cut(change.after, length),
                ", ".join(cut(name, length) for name in where),
                ", ".join(change.rules),
            )
            for change, where in self._grouped[:_MAX_ROWS]
        ]
