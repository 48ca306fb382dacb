"""From requests to receipts: load what a group mentions, decide on plain values, save, and only then answer."""

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Protocol, cast
from uuid import UUID

from ours_emulator import properties
from ours_emulator.contract.ingest import IDENTIFY_EVENT
from ours_emulator.identity import Name, Visitor, Visitors
from ours_emulator.jsontext import json_text
from ours_emulator.messages import (
    Account,
    Answer,
    Arrival,
    Exchange,
    Hint,
    Message,
    Properties,
    Receipt,
    Rejection,
    Request,
)
from ours_emulator.store.writer import Cleared, DistinctId, Original, StoreBusyError, StoreWriter
from ours_emulator.worker import GroupWorker, StoppedError

# A group holds up to 256 small requests, or what makes 8 MiB: a batch must not make everybody wait for ten others.
_LEAST_WEIGHT = 32 * 1024
_MOST_WEIGHT = 256 * _LEAST_WEIGHT
_log = logging.getLogger(__name__)


class StoreWriteError(Exception):
    """The store could not be written; what was asked for did not happen."""


class Contract(Protocol):
    """What an API says of its requests: the arrivals in them, and the answer to what became of those."""

    def arrivals(self, request: Request, account: Account) -> list[Arrival]:
        """Return what *request* says, at least one arrival."""
        ...

    def answer(self, receipts: Sequence[Receipt]) -> Answer:
        """Return the HTTP answer when the arrivals became *receipts*."""
        ...

    def failure(self, request: Request) -> Answer:
        """Return the HTTP answer when *request* could not be stored."""
        ...


@dataclass(frozen=True, slots=True)
class Reset:
    """Forget everything of *account*, or of all accounts if None."""

    account: str | None


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A request and what it says, with the account it belongs to."""

    request: Request
    account: Account
    arrivals: Sequence[Arrival]


class Pipeline:
    """The one road from a request to its receipts. An exchange is returned when its rows are committed."""

    def __init__(self, store: StoreWriter, contract: Contract, template: Account) -> None:
        self._store = store
        self._contract = contract
        self._template = template
        self._accounts: dict[str, Account] = {}
        self._worker: GroupWorker[Request | Reset, Exchange | Cleared] = GroupWorker(self._work, _weight, _MOST_WEIGHT)

    async def submit(self, request: Request) -> Exchange | None:
        """Return what became of *request*, once that is committed; None if nothing of it could be kept."""
        try:
            return cast(Exchange, await self._worker.submit(request))
        except (StoreWriteError, StoppedError):
            return None

    async def reset(self, account: str | None) -> Cleared:
        """Forget everything of *account* (of all if None), after what was submitted before. Raises StoreWriteError."""
        return cast(Cleared, await self._worker.submit(Reset(account)))

    def close(self) -> None:
        """Finish what was submitted and close the store."""
        self._worker.stop()
        self._store.close()

    def _work(self, jobs: list[Request | Reset]) -> list[Exchange | Cleared | Exception]:
        results: list[Exchange | Cleared | Exception] = []
        for resets, together in groupby(jobs, lambda job: isinstance(job, Reset)):
            if resets:
                results += [self._reset(cast(Reset, job)) for job in together]
            else:
                results += self._requests([cast(Request, job) for job in together])
        return results

    def _reset(self, job: Reset) -> Cleared | Exception:
        try:
            with self._store.transaction():
                return self._store.reset(job.account)
        except Exception as error:
            return _failure(error)

    def _requests(self, requests: Sequence[Request]) -> Sequence[Exchange | Exception]:
        parsed = [self._parsed(request) for request in requests]
        committed = iter(self._committed([it for it in parsed if isinstance(it, _Parsed)]))
        return [next(committed) if isinstance(it, _Parsed) else it for it in parsed]

    def _parsed(self, request: Request) -> "_Parsed | Exception":
        """Return what *request* says. It needs no database, so it keeps none waiting."""
        account = self._accounts.get(request.account)
        if account is None:
            account = self._accounts[request.account] = replace(self._template, name=request.account)
        try:
            return _Parsed(request, account, self._contract.arrivals(request, account))
        except Exception as error:
            return _failure(error)

    def _committed(self, parsed: Sequence["_Parsed"]) -> Sequence[Exchange | Exception]:
        """Decide and commit *parsed* together; if that fails, each by itself, so that one spoils no other."""
        if not parsed:
            return []
        try:
            with self._store.transaction():
                return self._group(parsed)
        except StoreBusyError as error:
            # The next one would wait as long, and fail as well.
            return [_failure(error)] * len(parsed)
        except Exception as error:
            if len(parsed) > 1:
                return [result for it in parsed for result in self._committed([it])]
            return [_failure(error)]

    def _group(self, parsed: Sequence["_Parsed"]) -> list[Exchange]:
        ids_of = {it.account.name: self._store.account_id(it.account.name) for it in parsed}
        messages = [
            (ids_of[it.account.name], arrival)
            for it in parsed
            for arrival in it.arrivals
            if isinstance(arrival, Message)
        ]
        names = {name for account_id, message in messages for name in _names(account_id, message)}
        distinct_ids = {
            DistinctId(account_id, message.test, message.distinct_id)
            for account_id, message in messages
            if message.distinct_id is not None
        }
        loaded = self._store.visitors(names, len(messages) + 1) if names else []
        decision = _Decision(Visitors(loaded, self._store.next_visitor_pk), self._store.originals(list(distinct_ids)))
        exchanges = self._exchanges(parsed, ids_of, decision)
        self._store.save(exchanges, decision.touched.values(), decision.repeats)
        return exchanges

    def _exchanges(
        self, parsed: Sequence["_Parsed"], ids_of: Mapping[str, int], decision: "_Decision"
    ) -> list[Exchange]:
        exchanges: list[Exchange] = []
        receipt_id = self._store.next_receipt_id
        for request_id, it in enumerate(parsed, self._store.next_request_id):
            account_id = ids_of[it.account.name]
            receipts = [
                decision.receipt(id_, it, account_id, arrival) for id_, arrival in enumerate(it.arrivals, receipt_id)
            ]
            receipt_id += len(receipts)
            answer = self._contract.answer(receipts)
            call_id = self._call_id(account_id, it.request, exchanges) or request_id
            exchanges.append(Exchange(request_id, call_id, account_id, it.request, receipts, answer))
        return exchanges

    def _call_id(self, account_id: int, request: Request, before: Sequence[Exchange]) -> int | None:
        """Return the call that this is a further attempt of, begun in this group or earlier; None if it begins one."""
        if request.attempt == 1:
            return None
        for exchange in reversed(before):
            other = exchange.request
            same = (other.account, other.path, other.body) == (request.account, request.path, request.body)
            if same and other.attempt == request.attempt - 1:
                return exchange.call_id
        return self._store.call_id(account_id, request)


class _Decision:
    """What becomes of each message of a group, in order of arrival: rules over what was loaded, and nothing else."""

    def __init__(self, visitors: Visitors, originals: Mapping[DistinctId, Original]) -> None:
        self._visitors = visitors
        self._originals = dict(originals)
        self.touched: dict[int, Visitor] = {}
        self.repeats: Counter[int] = Counter()

    def receipt(self, id_: int, parsed: _Parsed, account_id: int, arrival: Arrival) -> Receipt:
        """Return what becomes of *arrival*: rejected, dropped, duplicate or accepted."""
        if isinstance(arrival, Rejection):
            return Receipt(id_, arrival, "rejected", arrival.hints, distinct_id=arrival.distinct_id)
        if not _listed(parsed.account, arrival):
            hint = Hint("allow-list", "/event", "not on the account's list of allowed events; dropped")
            hints = (*arrival.hints, hint)
            return Receipt(id_, arrival, "dropped", hints, distinct_id=arrival.distinct_id, content=_content(arrival))
        distinct_id = arrival.distinct_id
        original = None
        if distinct_id is not None:
            original = self._originals.get(DistinctId(account_id, arrival.test, distinct_id))
        if original is not None:
            return self._duplicate(id_, arrival, original)
        return self._accepted(id_, parsed.request.received_at, account_id, arrival)

    def _duplicate(self, id_: int, message: Message, original: Original) -> Receipt:
        self.repeats[original.receipt_id] += 1
        content = _content(message)
        hints = message.hints
        if original.content is not None and (message.event, content) != (original.event, original.content):
            said = f"event {original.receipt_id} has this distinctId and another content; only that one is kept"
            hints = (*hints, Hint("dedup", "/distinctId", said))
        return Receipt(
            id_,
            message,
            "duplicate",
            hints,
            visitor_pk=original.visitor_pk,
            visitor_id=original.visitor_id,
            distinct_id=message.distinct_id,
            content=content,
        )

    def _accepted(self, id_: int, received_at: int, account_id: int, message: Message) -> Receipt:
        visitor, resolution, hints = self._visitors.resolve(account_id, message.identity, new_uuid)
        said = properties.said(message.identity, message.user_properties)
        if said:
            hints += properties.hints(visitor.properties, message.identity, said)
            self._update(visitor, properties.merged(visitor.properties, said))
        visitor.event_count += 1
        visitor.first_seen = min(visitor.first_seen or received_at, received_at)
        visitor.last_seen = max(visitor.last_seen, received_at)
        self.touched[visitor.pk] = visitor
        content = _content(message)
        distinct_id = message.distinct_id or new_uuid()
        self._originals[DistinctId(account_id, message.test, distinct_id)] = Original(
            id_, visitor.pk, visitor.visitor_id, message.event, content
        )
        return Receipt(
            id_,
            message,
            "accepted",
            (*message.hints, *hints),
            visitor.pk,
            visitor.visitor_id,
            distinct_id,
            resolution,
            content,
            visitor.json,
        )

    def _update(self, visitor: Visitor, new: Properties) -> None:
        text = json_text(new)
        # Compared as text: to Python 1, 1.0 and true are equal.
        if text != visitor.json:
            self._visitors.update(visitor, new)
            visitor.json = text


def _weight(job: Request | Reset) -> int:
    return _LEAST_WEIGHT + (len(job.body) if isinstance(job, Request) else 0)


def _failure(error: Exception) -> StoreWriteError:
    _log.error("nothing of it could be kept", exc_info=error)
    return StoreWriteError(str(error))


def new_uuid() -> str:
    """Return a random UUID, as generated visitor ids and distinct ids are (rules visitor-ids, dedup)."""
    return str(UUID(bytes=os.urandom(16), version=4))


def _names(account_id: int, message: Message) -> list[Name]:
    """Return the names to load: the deciding one, and beside a user id the external id, to tell if it is another's."""
    claims = (
        message.identity[:1]
        if not message.identity or message.identity[0].kind != "user_id"
        else [claim for claim in message.identity if claim.kind != "email"]
    )
    return [(account_id, claim.kind, claim.value) for claim in claims]


def _listed(account: Account, message: Message) -> bool:
    if account.allowed_events is None or message.event == IDENTIFY_EVENT:
        return True
    return message.event.strip().casefold() in account.allowed_events


def _content(message: Message) -> str:
    """Return what *message* says as JSON text, as it is stored."""
    return json_text(
        {
            "event_properties": message.event_properties,
            "default_properties": message.default_properties,
            "identity_context": message.identity_context,
            "user_properties": message.user_properties,
            "identity": {claim.given_as: claim.value for claim in message.identity},
            "time": message.time,
        }
    )
