"""What was found, per rule: as a table, as Markdown, as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ours_emulator.contract.rules import rules_of
from ours_emulator.fidelity.answers import Difference, NoReply
from ours_emulator.fidelity.by_hand import ByHand, by_hand_of
from ours_emulator.fidelity.forms import Format, cut, escaped, markdown_row
from ours_emulator.fidelity.found import Compared, Found
from ours_emulator.http.redaction import Redactor
from ours_emulator.records import Rule
from ours_emulator.terminal import columns
from ours_emulator.wording import and_more, listed, plural

NO_RULE = "(none)"
"""Stands for the rule of a request that no rule refuses and none hints at."""
_HEADS = ("rule", "basis", "sent", "same", "different", "not answered")
_MAX_SHOWN = 160
_MAX_EXAMPLES = 10
"""How many requests are shown of each rule; as JSON all of them are."""
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
class Report:
    """What a comparison found. *redactor* hides the secrets that a server's answer may repeat."""

    found: Found
    host: str
    revision: str
    is_suite: bool
    planned: int
    """How many requests were to be sent."""
    redactor: Redactor

    def text(self, form: Format) -> str:
        """Return it in one of the forms, with the end of its last line."""
        if form == "json":
            return json.dumps(self._json(), indent=2) + "\n"
        return "\n".join(self._markdown() if form == "markdown" else self._table()) + "\n"

    @property
    def headline(self) -> str:
        """What was found, in one line."""
        sent, rows = len(self.found.compared), self.rows
        different, silent = sum(row.different for row in rows), sum(row.not_answered for row in rows)
        counts = [f"{different} answered differently", *([f"{silent} not answered"] if silent else [])]
        return f"{plural(sent, 'request')} to {self.host}, revision {self.revision}: {', '.join(counts)}"

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The rules that requests were about, in the order of the rules. A request counts for its first rule."""
        by_rule: dict[str, list[Compared]] = {}
        for one in self.found.compared:
            by_rule.setdefault(self._rule(one), []).append(one)
        order = [*self._rules, *(rule for rule in by_rule if rule not in self._rules)]
        return tuple(_row(rule, self._basis(rule), by_rule[rule]) for rule in order if rule in by_rule)

    @cached_property
    def _rules(self) -> Mapping[str, Rule]:
        return {rule.id: rule for rule in rules_of(self.revision)}

    def _rule(self, one: Compared) -> str:
        known = (rule for rule in one.rules if rule in self._rules)
        return next(known, one.rules[0] if one.rules else NO_RULE)

    def _basis(self, rule: str) -> str:
        return self._rules[rule].basis if rule in self._rules else ""

    def _differing(self) -> Iterator[tuple[str, Sequence[Compared]]]:
        """Yield each rule that something is different about, with those requests."""
        for row in self.rows:
            of_it = (one for one in self.found.compared if self._rule(one) == row.rule)
            different = [one for one in of_it if one.differences or isinstance(one.server, NoReply)]
            if different:
                yield row.rule, different

    def _by_hand(self) -> Sequence[ByHand]:
        """Return what is left to look up; after requests of an export nobody asked for it."""
        return [one for one in by_hand_of(self.revision) if not one.is_emulators_own] if self.is_suite else ()

    def _own(self) -> Sequence[ByHand]:
        return [one for one in by_hand_of(self.revision) if one.is_emulators_own] if self.is_suite else ()

    def _table(self) -> Iterator[str]:
        yield self.headline
        if self.rows:
            yield ""
            heads = [head.upper() for head in _HEADS]
            yield from columns([heads, *(_cells(row) for row in self.rows)])
        for rule, requests in self._differing():
            yield from ("", self._about(rule))
            for one in requests[:_MAX_EXAMPLES]:
                yield f"  {self._place(one)}"
                yield from (f"    {line}" for line in self._lines(one))
            yield from (f"  {line}" for line in _more(requests))
        for title, lines in self._lists():
            yield from ("", f"{title}:", *(f"  {line}" for line in lines))

    def _markdown(self) -> Iterator[str]:
        yield from (f"# {escaped(self.headline)}", "")
        if self.rows:
            yield from (markdown_row(_HEADS), markdown_row(["---"] * len(_HEADS)))
            yield from (markdown_row([f"`{row.rule}`", *map(str, _cells(row)[1:])]) for row in self.rows)
        for rule, requests in self._differing():
            yield from ("", f"## {escaped(self._about(rule))}", "")
            for one in requests[:_MAX_EXAMPLES]:
                yield f"- {escaped(self._place(one))}"
                yield from (f"  - {escaped(line)}" for line in self._lines(one))
            yield from (f"- {escaped(line)}" for line in _more(requests))
        for title, lines in self._lists():
            yield from ("", f"## {title.capitalize()}", "", *(f"- {escaped(line)}" for line in lines))

    def _lists(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield what else there is to say, each list with its title."""
        if self.found.stopped is not None:
            left = self.planned - len(self.found.compared)
            yield "stopped early", [f"{self.found.stopped}; {plural(left, 'request')} not sent"]
        if self.found.unsent:
            yield "not compared", list(self._unsent())
        if self._by_hand():
            yield "to look up by hand", [f"{one.rule}: {one.text}" for one in self._by_hand()]
            yield "of the emulator only", [f"{one.rule}: {one.text}" for one in self._own()]

    def _unsent(self) -> Iterator[str]:
        """Yield each reason why requests were not compared, with the first of them."""
        labels: dict[str, list[str]] = {}
        for one in self.found.unsent:
            labels.setdefault(self._shown(one.why), []).append(one.label)
        yield from (f"{listed(of_it, _MAX_EXAMPLES)}: {why}" for why, of_it in labels.items())

    def _json(self) -> dict[str, Any]:
        return {
            "server": self.host,
            "revision": self.revision,
            "same": self.found.is_same,
            "planned": self.planned,
            "stopped": self.found.stopped,
            "rules": [dict(zip(_keys(), _cells(row), strict=True)) for row in self.rows],
            "requests": [self._request(one) for one in self.found.compared],
            "not_compared": [{"request": one.label, "why": self._shown(one.why)} for one in self.found.unsent],
            "to_look_up": [{"rule": one.rule, "text": one.text} for one in self._by_hand()],
            "of_the_emulator": [{"rule": one.rule, "text": one.text} for one in self._own()],
        }

    def _request(self, one: Compared) -> dict[str, Any]:
        answered = not isinstance(one.server, NoReply)
        return {
            "request": one.request.label,
            "method": one.request.method,
            "path": self._shown(one.request.path),
            "rule": self._rule(one),
            "emulator_status": one.emulator.status,
            "server_status": None if isinstance(one.server, NoReply) else one.server.status,
            "problem": self._shown(one.server.problem) if isinstance(one.server, NoReply) else None,
            "same": answered and not one.differences,
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

    def _place(self, one: Compared) -> str:
        return f"{one.request.label}: {one.request.method} {self._shown(one.request.path)}"

    def _lines(self, one: Compared) -> Iterator[str]:
        if isinstance(one.server, NoReply):
            yield f"{_NOT_ANSWERED}: {self._shown(one.server.problem)}"
        yield from map(self._line, one.differences)

    def _line(self, at: Difference) -> str:
        return f"{self._shown(at.where)}: emulator {self._shown(at.emulator)}, server {self._shown(at.server)}"

    def _shown(self, text: str) -> str:
        """Return *text*, which may be the server's, without secrets, in one line and not too long."""
        return cut(self.redactor(text[:_MAX_SEARCHED]), _MAX_SHOWN)


def _row(rule: str, basis: str, of_it: Sequence[Compared]) -> Row:
    silent = sum(isinstance(one.server, NoReply) for one in of_it)
    different = sum(bool(one.differences) for one in of_it)
    return Row(rule, basis, len(of_it), len(of_it) - silent - different, different, silent)


def _more(requests: Sequence[Compared]) -> list[str]:
    more = and_more(len(requests) - _MAX_EXAMPLES)
    return [f"{more}: --format json"] if more else []


def _cells(row: Row) -> Sequence[object]:
    return (row.rule, row.basis, row.sent, row.same, row.different, row.not_answered)


def _keys() -> Sequence[str]:
    return [head.replace(" ", "_") for head in _HEADS]
