"""What a report has: the answers of the debug API that its page asks for, as many as fit."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Annotated

from pydantic import ConfigDict, Field, JsonValue

from ours_emulator import __version__
from ours_emulator.debug.accounts import account_state
from ours_emulator.debug.event_changes import event_detail
from ours_emulator.debug.faults import shown_faults
from ours_emulator.debug.params import Body
from ours_emulator.debug.parts import Parts
from ours_emulator.debug.requests import request_detail
from ours_emulator.debug.rules import rules_of
from ours_emulator.debug.visitors import names_of
from ours_emulator.http.redaction import each_text, without_tokens
from ours_emulator.jsontext import json_text
from ours_emulator.model import Properties
from ours_emulator.records import iso, to_json, utc
from ours_emulator.store import EventFilter, RequestFilter, StoreReader, VisitorFilter

MAX_BYTES = 5 * 1024 * 1024
_MAX_SECONDS = 2.0
_MAX_EVENTS = 200
_MAX_OTHERS = 100
_MAX_BODY_BYTES = 256 * 1024
_MAX_TEXT = 100_000


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
    redact: Callable[[Properties], JsonValue]
    left: int = MAX_BYTES
    lists: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    @property
    def is_full(self) -> bool:
        return self.left <= 0 or time.monotonic() > self.deadline

    async def add(self, name: str, record: object, **more: JsonValue) -> None:
        """Add *record* with *more* fields to the list *name*, unless it is too large."""
        text = await asyncio.to_thread(lambda: json_text(self.redact({**to_json(record), **more})))
        if len(text) <= self.left:
            self.lists.setdefault(name, []).append(text)
            self.left -= len(text)

    def json(self) -> str:
        return "".join(f',"{name}":[{",".join(self.lists.get(name, ()))}]' for name in _LISTS)

    def missing(self, name: str, total: int) -> str:
        """Return what is not there of all that the list *name* could have; "" if that is nothing."""
        count = len(self.lists.get(name, ()))
        return f"{count:,} of {total:,} {name}" if count < total else ""


async def report_json(parts: Parts, reader: StoreReader, account: str | None, url: str, body: ReportBody) -> str:
    """Return the data of a report on *account*, or on all of them, as JSON in ASCII. `report.js` reads it."""
    redact = partial(_redacted, parts, account) if body.redact else _unchanged
    collected = _Collected(time.monotonic() + _MAX_SECONDS, redact)
    summary = await reader.summary(account)
    names = [account] if account is not None else sorted(await reader.account_names())
    for name in names:
        await collected.add("accounts", account_state(parts.accounts, name))
    for call in (await reader.calls(account, _MAX_OTHERS, None)).items:
        await collected.add("calls", call)
    await _add_events(collected, reader, account)
    for visitor in (await reader.visitors(account, VisitorFilter({}, None), _MAX_OTHERS, None)).items:
        await collected.add("visitors", visitor, names=dict(names_of(visitor)))
    missing = [
        collected.missing("events", sum(summary.outcomes.values())),
        collected.missing("requests", summary.requests),
        collected.missing("visitors", summary.visitors),
    ]
    head: Properties = {
        "account": account,
        "url": url,
        "title": body.title,
        "failures": list(body.failures),
        "made_at": iso(utc(time.time_ns() // 1_000_000)),
        "version": __version__,
        "summary": to_json(summary),
        "faults": [fault for name in names for fault in shown_faults(parts, name)],
        "missing": [text for text in missing if text],
    }
    rules = [to_json(rule) for rule in rules_of(parts.accounts, account)]
    return f'{json_text(redact(head))[:-1]},"rules":{json_text(rules)}{collected.json()}}}'


async def _add_events(collected: _Collected, reader: StoreReader, account: str | None) -> None:
    """Add the newest events with the requests that brought them, and then the other requests."""
    events = await reader.events(account, EventFilter(outcome=None), _MAX_EVENTS, None, "arrival")
    requests = await reader.requests(account, RequestFilter(), _MAX_EVENTS, None)
    ids = [event.request_id for event in events.items], [request.id for request in requests.items]
    wanted = dict.fromkeys(chain(*ids))
    for event in events.items:
        if collected.is_full:
            return
        stored = await reader.event(account, event.id)
        if stored is not None:
            await collected.add("events", await asyncio.to_thread(event_detail, stored), texts=list(stored.texts))
        if wanted.pop(event.request_id, 0) is None:
            await _add_request(collected, reader, account, event.request_id)
    for request_id in wanted:
        if collected.is_full:
            return
        await _add_request(collected, reader, account, request_id)


async def _add_request(collected: _Collected, reader: StoreReader, account: str | None, request_id: int) -> None:
    stored = await reader.request(account, request_id)
    if stored is None:
        return
    # Its events are in the report already.
    detail = request_detail(stored[0], ())
    if len(stored[0].body) > _MAX_BODY_BYTES:
        detail = replace(detail, body=None, body_base64=None)
    await collected.add("requests", detail)


_LISTS = ("accounts", "calls", "events", "requests", "visitors")


def _redacted(parts: Parts, account: str | None, record: Properties) -> JsonValue:
    """Return *record* with tokens and keys masked: those of its account, which is *account* if it names none."""
    owner = record.get("account")
    mask = partial(parts.redactor, account=owner if isinstance(owner, str) else account)
    body = record.get("body")
    shown = record if body is None else {**record, "body": without_tokens(str(body))}
    return each_text({**shown, **({"body_base64": None} if "body_base64" in record else {})}, mask)


def _unchanged(record: Properties) -> JsonValue:
    return record
