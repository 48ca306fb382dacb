"""What a report has: the answers of the debug API that its page asks for, as many as fit."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated

from pydantic import ConfigDict, Field, JsonValue

from ours_emulator import __version__
from ours_emulator.debug.accounts import account_state
from ours_emulator.debug.event_changes import event_detail
from ours_emulator.debug.faults import shown_faults
from ours_emulator.debug.params import Body
from ours_emulator.debug.parts import Parts
from ours_emulator.debug.requests import masked_body, request_detail
from ours_emulator.debug.rules import rules_of
from ours_emulator.debug.visitors import names_of
from ours_emulator.http.redaction import each_text
from ours_emulator.jsontext import json_text
from ours_emulator.model import Properties
from ours_emulator.records import RequestDetail, StoredRequest, iso, to_json, utc
from ours_emulator.store import EventFilter, RequestFilter, StoreReader, VisitorFilter
from ours_emulator.wording import listed

MAX_BYTES = 5 * 1024 * 1024
_SMALLEST_ITEM_BYTES = 500
"""Every item is larger than this."""
_MAX_SECONDS = 5.0
_MAX_EVENTS = 200
_MAX_CALLS = 100
_MAX_BODY_BYTES = 256 * 1024
_BESIDE_BODY = 8 * 1024
"""Bytes for all that a request has beside its body."""
_MAX_NAMED = 5
_MAX_TEXT = 100_000
_LISTS = {
    "accounts": "account {account}",
    "calls": "call {call_id}",
    "events": "#{id}",
    "requests": "request {id}",
    "visitors": "visitor {visitor_id}",
}
"""The lists of a report, each with what an item is called."""
_BOUNDS = {
    "calls": "the newest",
    "events": "the newest",
    "requests": "the newest, and those of the events",
    "visitors": "those of the events",
}
"""Which items a list has if there is room and time for more."""


class ReportBody(Body):
    """What is said of the report at its top."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "test_signup", "failures": []}, {}]})

    title: str = Field(default="", max_length=_MAX_TEXT, description="What it is about, such as the name of a test.")
    failures: list[Annotated[str, Field(max_length=_MAX_TEXT)]] = Field(
        default=[], max_length=100, description="Shown above everything else: why the test failed."
    )
    redact: bool = Field(default=True, description="Mask tokens and keys.")


@dataclass
class _Collected:
    """The lists of a report, each item as JSON, until there is no room or no time for more."""

    deadline: float
    redact: Callable[[Properties], Properties]
    left: int = MAX_BYTES
    lists: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    too_large: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """The names of items that there was no room for, by list."""
    cut_short: dict[str, str] = field(default_factory=dict[str, str])
    """Why nothing more was added, by list."""
    without_body: list[str] = field(default_factory=list[str])
    """The ids of requests whose body was left out for its size."""
    seen: set[tuple[str, int | str]] = field(default_factory=set[tuple[str, int | str]])

    def is_over(self, *names: str) -> bool:
        """Tell whether there is no room or no time for more; that is why the lists *names* end then."""
        if self.left < _SMALLEST_ITEM_BYTES:
            why = f"the report has {MAX_BYTES // 1024**2} MiB already"
        elif time.monotonic() > self.deadline:
            why = f"collecting took {_MAX_SECONDS:g} seconds"
        else:
            return False
        self.cut_short.update(dict.fromkeys(names, why))
        return True

    async def add(self, name: str, record: object, **more: JsonValue) -> None:
        """Add *record* with *more* fields to the list *name*; note it if it is too large."""
        shown, text = await asyncio.to_thread(self._shown, {**to_json(record), **more})
        if len(text) <= self.left:
            self.lists.setdefault(name, []).append(text)
            self.left -= len(text)
        else:
            self.too_large.setdefault(name, []).append(f"{_LISTS[name].format_map(shown)} ({len(text):,} bytes)")

    async def add_request(self, stored: StoredRequest) -> None:
        """Add the request *stored*, without its body if that is too large."""
        detail = await asyncio.to_thread(_detail, stored, min(_MAX_BODY_BYTES, self.left - _BESIDE_BODY))
        if stored.body and detail.body is None and detail.body_base64 is None:
            self.without_body.append(str(detail.id))
        await self.add("requests", detail)

    def is_new(self, account: str, key: int | str) -> bool:
        """Tell whether this is the first time that the request or visitor *key* of *account* is asked for."""
        is_new = (account, key) not in self.seen
        self.seen.add((account, key))
        return is_new

    def json(self) -> str:
        """Return the lists as members of a JSON object."""
        return "".join(f',"{name}":[{",".join(self.lists.get(name, ()))}]' for name in _LISTS)

    def missing(self, totals: Mapping[str, int]) -> list[str]:
        """Return what is not there, and why: of all that each list could have, and the bodies of requests."""
        lines = [self._missing(name, total) for name, total in totals.items()]
        if self.without_body:
            lines.append(f"the bodies of requests that are too large: {listed(self.without_body, _MAX_NAMED)}")
        return [line for line in lines if line]

    def _missing(self, name: str, total: int) -> str:
        count, too_large = len(self.lists.get(name, ())), self.too_large.get(name, [])
        if count >= total:
            return ""
        reasons = [f"no room for {listed(too_large, _MAX_NAMED)}"] if too_large else []
        reasons += [self.cut_short.get(name) or _BOUNDS.get(name, "")] if count + len(too_large) < total else []
        why = "; ".join(filter(None, reasons))
        return f"{count:,} of {total:,} {name}{why and ': '}{why}"

    def _shown(self, record: Properties) -> tuple[Properties, str]:
        shown = self.redact(record)
        return shown, json_text(shown)


async def report_json(parts: Parts, reader: StoreReader, account: str | None, url: str, body: ReportBody) -> str:
    """Return the data of a report on *account*, or on all of them, as JSON in ASCII. `report.js` reads it."""
    redact = partial(_redacted, parts, account) if body.redact else _unchanged
    collected = _Collected(time.monotonic() + _MAX_SECONDS, redact)
    summary = await reader.summary(account)
    names = [account] if account is not None else sorted(await reader.account_names())
    for name in names:
        await collected.add("accounts", account_state(parts.accounts, name))
    calls = await reader.calls(account, _MAX_CALLS, None)
    for call in calls.items:
        await collected.add("calls", call)
    await _add_events(collected, reader, account)
    totals = {
        "accounts": len(names),
        "events": sum(summary.outcomes.values()),
        "requests": summary.requests,
        "calls": calls.total,
        "visitors": summary.visitors,
    }
    head: Properties = {
        "account": account,
        "url": url,
        "title": body.title,
        "failures": list(body.failures),
        "made_at": iso(utc(time.time_ns() // 1_000_000)),
        "version": __version__,
        "summary": to_json(summary),
        "faults": [fault for name in names for fault in shown_faults(parts, name)],
        "missing": list[JsonValue](collected.missing(totals)),
    }
    rules = [to_json(rule) for rule in rules_of(parts.accounts, account)]
    return f'{json_text(redact(head))[:-1]},"rules":{json_text(rules)}{collected.json()}}}'


async def _add_events(collected: _Collected, reader: StoreReader, account: str | None) -> None:
    """Add the newest events, each with the request that brought it and its visitor, and then the other requests."""
    events = await reader.events(account, EventFilter(outcome=None), _MAX_EVENTS, None, "arrival")
    requests = await reader.requests(account, RequestFilter(), _MAX_EVENTS, None)
    for event in events.items:
        if collected.is_over("events", "requests", "visitors"):
            return
        stored = await reader.event(account, event.id)
        if stored is not None:
            detail = await asyncio.to_thread(event_detail, stored)
            await collected.add("events", detail, named=dict(stored.named), texts=list(stored.texts_not_shown))
        await _add_request(collected, reader, event.account, event.request_id)
        await _add_visitor(collected, reader, event.account, event.visitor_id)
    for request in requests.items:
        if collected.is_over("requests"):
            return
        await _add_request(collected, reader, request.account, request.id)


async def _add_request(collected: _Collected, reader: StoreReader, account: str, request_id: int) -> None:
    if not collected.is_new(account, request_id):
        return
    stored = await reader.request(account, request_id)
    if stored is not None:
        await collected.add_request(stored[0])


async def _add_visitor(collected: _Collected, reader: StoreReader, account: str, visitor_id: str | None) -> None:
    if visitor_id is None or not collected.is_new(account, visitor_id):
        return
    for visitor in (await reader.visitors(account, VisitorFilter({"user_id": visitor_id}), 1, None)).items:
        await collected.add("visitors", visitor, names=dict(names_of(visitor)))


def _detail(stored: StoredRequest, limit: int) -> RequestDetail:
    """Return the request *stored* without its events, which are in the report already, and with *limit* for its body.

    It is measured as it would be in the report: unpacked, and as JSON.
    """
    detail = request_detail(stored, ())
    size = len(json_text(detail.body or detail.body_base64 or ""))
    if size <= limit or not stored.body:
        return detail
    why = f"it has {size:,} bytes as JSON, and there was room for {max(0, limit):,}"
    return replace(detail, body=None, body_base64=None, body_missing=why)


def _redacted(parts: Parts, account: str | None, record: Properties) -> Properties:
    """Return *record* with tokens and keys masked: those of its account, which is *account* if it names none."""
    owner = record.get("account")
    mask = partial(parts.redactor, account=owner if isinstance(owner, str) else account)
    shown = {**record, **masked_body(record)} if "body_base64" in record else record
    return {mask(name): each_text(value, mask) for name, value in shown.items()}


def _unchanged(record: Properties) -> Properties:
    return record
