"""The results of a comparison, per rule: as a table, as Markdown, as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ours_emulator.contract.rules import rules_of
from ours_emulator.fidelity.answers import Difference, NoAnswer
from ours_emulator.fidelity.formats import cut, escaped, markdown_row, more_as_json
from ours_emulator.fidelity.manual_checks import ManualCheck, manual_checks_of
from ours_emulator.fidelity.results import MAX_EXAMPLES, ComparedRequest, Results, reasons
from ours_emulator.http.redaction import Redactor
from ours_emulator.records import Rule
from ours_emulator.terminal import columns
from ours_emulator.wording import plural

NO_RULE = "(none)"
"""Stands for the rule of a request that no rule refuses and none hints at."""
_HEADS = ("rule", "basis", "sent", "same", "different", "not answered")
_MAX_SHOWN = 160
_MAX_SEARCHED = 10_000
"""How much of a text is searched for secrets, of which nothing but the beginning is shown."""
_NOT_ANSWERED = "not answered"


@dataclass(frozen=True, slots=True)
class Row:
    """How many requests were about a rule, and how they were answered."""

    rule: str
    basis: str
    sent: int
    same: int
    different: int
    not_answered: int


@dataclass(frozen=True)
class ComparisonReport:
    """The *results* of a comparison with the server at *host*. *redactor* hides secrets that an answer may repeat."""

    results: Results
    host: str
    revision: str
    is_suite: bool
    redactor: Redactor

    @property
    def headline(self) -> str:
        """The counts, in one line."""
        sent, rows = self.results.sent, self.rows
        different, silent = sum(row.different for row in rows), sum(row.not_answered for row in rows)
        counts = [f"{different} answered differently", *([f"{silent} not answered"] if silent else [])]
        return f"{plural(sent, 'request')} to {self.host}, revision {self.revision}: {', '.join(counts)}"

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The rules that requests were about, in the order of the rules. A request counts for its first rule."""
        order = [*self._rules, *(rule for rule in self._by_rule if rule not in self._rules)]
        return tuple(_row(rule, self._basis(rule), self._by_rule[rule]) for rule in order if rule in self._by_rule)

    def table(self) -> Iterator[str]:
        """Yield the lines for a terminal."""
        yield self.headline
        if self.rows:
            yield ""
            heads = [head.upper() for head in _HEADS]
            yield from columns([heads, *(_cells(row) for row in self.rows)])
        for rule, requests in self._differing():
            yield from ("", self._about(rule))
            for one in requests[:MAX_EXAMPLES]:
                yield f"  {self._place(one)}"
                yield from (f"    {line}" for line in self._lines(one))
            yield from (f"  {line}" for line in more_as_json(len(requests) - MAX_EXAMPLES))
        for title, lines in self._lists():
            yield from ("", f"{title}:", *(f"  {line}" for line in lines))

    def markdown(self) -> Iterator[str]:
        """Yield the lines of Markdown."""
        yield from (f"# {escaped(self.headline)}", "")
        if self.rows:
            yield from (markdown_row(_HEADS), markdown_row(["---"] * len(_HEADS)))
            yield from (markdown_row([f"`{row.rule}`", *map(str, _cells(row)[1:])]) for row in self.rows)
        for rule, requests in self._differing():
            yield from ("", f"## {escaped(self._about(rule))}", "")
            for one in requests[:MAX_EXAMPLES]:
                yield f"- {escaped(self._place(one))}"
                yield from (f"  - {escaped(line)}" for line in self._lines(one))
            yield from (f"- {escaped(line)}" for line in more_as_json(len(requests) - MAX_EXAMPLES))
        for title, lines in self._lists():
            yield from ("", f"## {title.capitalize()}", "", *(f"- {escaped(line)}" for line in lines))

    def fields(self) -> Mapping[str, Any]:
        """Return what a program reads as JSON."""
        return {
            "server": self.host,
            "revision": self.revision,
            "same": self.results.is_same,
            "planned": self.results.planned,
            "sent": self.results.sent,
            "stopped": self.results.stopped,
            "rules": [dict(zip(_keys(), _cells(row), strict=True)) for row in self.rows],
            "requests": [self._request(one) for one in self.results.compared],
            "not_compared": [{"request": one.label, "why": self._shown(one.why)} for one in self.results.not_compared],
            "manual_checks": [_check(one) for one in self._manual_checks(emulator_only=False)],
            "emulator_only": [_check(one) for one in self._manual_checks(emulator_only=True)],
        }

    @cached_property
    def _by_rule(self) -> Mapping[str, Sequence[ComparedRequest]]:
        by_rule: dict[str, list[ComparedRequest]] = {}
        for one in self.results.compared:
            by_rule.setdefault(self._rule(one), []).append(one)
        return by_rule

    @cached_property
    def _rules(self) -> Mapping[str, Rule]:
        return {rule.id: rule for rule in rules_of(self.revision)}

    def _rule(self, one: ComparedRequest) -> str:
        known = (rule for rule in one.rules if rule in self._rules)
        return next(known, one.rules[0] if one.rules else NO_RULE)

    def _basis(self, rule: str) -> str:
        return self._rules[rule].basis if rule in self._rules else ""

    def _differing(self) -> Iterator[tuple[str, Sequence[ComparedRequest]]]:
        """Yield each rule that something is different about, with those requests."""
        for row in self.rows:
            different = [one for one in self._by_rule[row.rule] if not one.is_same]
            if different:
                yield row.rule, different

    def _manual_checks(self, *, emulator_only: bool) -> Sequence[ManualCheck]:
        """Return what is left to check, or what need not be; nothing after requests of an export."""
        checks = manual_checks_of(self.revision) if self.is_suite else ()
        return [one for one in checks if one.emulator_only is emulator_only]

    def _lists(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield what else there is to say, each list with its title."""
        if self.results.stopped is not None:
            left = self.results.planned - self.results.sent
            yield "stopped early", [f"{self.results.stopped}; {plural(left, 'request')} not sent"]
        if self.results.not_compared:
            yield "not compared", list(reasons(self.results.not_compared, self._shown))
        for title, emulator_only in (("to check by hand", False), ("of the emulator only", True)):
            checks = self._manual_checks(emulator_only=emulator_only)
            if checks:
                yield title, [f"{check.rule}: {check.text}" for check in checks]

    def _request(self, one: ComparedRequest) -> dict[str, Any]:
        return {
            "request": one.request.label,
            "method": one.request.method,
            "path": self._shown(one.request.path),
            "rule": self._rule(one),
            "emulator_status": one.emulator.status,
            "server_status": None if isinstance(one.server, NoAnswer) else one.server.status,
            "problem": self._shown(one.server.problem) if isinstance(one.server, NoAnswer) else None,
            "same": one.is_same,
            "differences": [
                {"where": self._shown(at.where), "emulator": self._shown(at.emulator), "server": self._shown(at.server)}
                for at in one.differences
            ],
        }

    def _about(self, rule: str) -> str:
        known = self._rules.get(rule)
        if known is not None:
            return f"{rule} ({known.basis}): {known.text}"
        return f"{rule}: the server refuses by it" if rule != NO_RULE else "no rule: the emulator has no reason or hint"

    def _place(self, one: ComparedRequest) -> str:
        return f"{one.request.label}: {one.request.method} {self._shown(one.request.path)}"

    def _lines(self, one: ComparedRequest) -> Iterator[str]:
        if isinstance(one.server, NoAnswer):
            yield f"{_NOT_ANSWERED}: {self._shown(one.server.problem)}"
        yield from map(self._line, one.differences)

    def _line(self, at: Difference) -> str:
        return f"{self._shown(at.where)}: emulator {self._shown(at.emulator)}, server {self._shown(at.server)}"

    def _shown(self, text: str) -> str:
        """Return *text*, which may be the server's, without secrets, in one line and not too long."""
        return cut(self.redactor(text[:_MAX_SEARCHED]), _MAX_SHOWN)


def _row(rule: str, basis: str, requests: Sequence[ComparedRequest]) -> Row:
    silent = sum(isinstance(one.server, NoAnswer) for one in requests)
    different = sum(bool(one.differences) for one in requests)
    return Row(rule, basis, len(requests), len(requests) - silent - different, different, silent)


def _check(check: ManualCheck) -> Mapping[str, str]:
    return {"rule": check.rule, "text": check.text}


def _cells(row: Row) -> Sequence[object]:
    return (row.rule, row.basis, row.sent, row.same, row.different, row.not_answered)


def _keys() -> Sequence[str]:
    return [head.replace(" ", "_") for head in _HEADS]
