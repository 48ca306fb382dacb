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
from ours_emulator.devices import WaitingRoom, registered
from ours_emulator.identity import Name, Visitor, Visitors, looked_up
from ours_emulator.jsontext import json_text
from ours_emulator.messages import (
    Account,
    Alias,
    Answer,
    Arrival,
    Exchange,
    Hint,
    Message,
    Properties,
    Receipt,
    Registration,
    Rejection,
    Request,
    Resolution,
    Said,
)
from ours_emulator.store.writer import Cleared, DistinctId, Original, StoreBusyError, StoreFailedError, StoreWriter
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

    def failure(self, request: Request, /) -> Answer:
        """Return the HTTP answer when *request* could not be stored."""
        ...


@dataclass(frozen=True, slots=True)
class Reset:
    """Forget everything of *account*, or of all accounts if None."""

    account: str | None


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A request and what it says, with the account it belongs to, whose id only the store knows."""

    request: Request
    account: Account
    arrivals: Sequence[Arrival]
    account_id: int = 0


class Pipeline:
    """The one road from a request to its receipts. An exchange is returned when its rows are committed.

    *contracts* has for each endpoint the contract of its API; every account begins as *template* is.
    """

    def __init__(self, store: StoreWriter, contracts: Mapping[str, Contract], template: Account) -> None:
        self._store = store
        self._contracts = contracts
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

    def _parsed(self, request: Request) -> _Parsed | Exception:
        """Return what *request* says. It needs no database, so it keeps none waiting."""
        account = self._accounts.get(request.account)
        if account is None:
            account = self._accounts[request.account] = replace(self._template, name=request.account)
        try:
            return _Parsed(request, account, self._contracts[request.endpoint].arrivals(request, account))
        except Exception as error:
            return _failure(error)

    def _committed(self, parsed: Sequence[_Parsed]) -> Sequence[Exchange | Exception]:
        """Decide and commit *parsed* together; if that fails, each by itself, so that one spoils no other."""
        if not parsed:
            return []
        try:
            with self._store.transaction():
                return self._group([replace(it, account_id=self._store.account_id(it.account.name)) for it in parsed])
        except StoreBusyError as error:
            # The next one would wait as long, and fail as well.
            return [_failure(error)] * len(parsed)
        except Exception as error:
            if len(parsed) > 1:
                return [result for it in parsed for result in self._committed([it])]
            return [_failure(error)]

    def _group(self, parsed: Sequence[_Parsed]) -> list[Exchange]:
        said = [
            (it.account_id, arrival) for it in parsed for arrival in it.arrivals if not isinstance(arrival, Rejection)
        ]
        decision = self._load(said)
        exchanges = self._exchanges(parsed, decision)
        self._store.save(exchanges, decision.touched.values(), decision.repeats, decision.waiting)
        return exchanges

    def _load(self, said: Sequence[tuple[int, Said]]) -> "_Decision":
        """Ask the store once per kind for everything that is mentioned."""
        names = {name for account_id, arrival in said for name in _names(account_id, arrival)}
        ids = {
            DistinctId(account_id, message.test, message.distinct_id)
            for account_id, message in said
            if isinstance(message, Message) and message.distinct_id is not None
        }
        loaded = self._store.visitors(names, len(said) + 1) if names else []
        new_names = {name for it in said for name in _new_names(*it)} if self._store.any_waiting else set[Name]()
        devices = self._store.waiting(new_names) if new_names else []
        return _Decision(
            Visitors(loaded, self._store.next_visitor_pk),
            self._store.originals(list(ids)),
            WaitingRoom(devices, self._store.next_waiting_pk),
        )

    def _exchanges(self, parsed: Sequence[_Parsed], decision: "_Decision") -> list[Exchange]:
        exchanges: list[Exchange] = []
        receipt_id = self._store.next_receipt_id
        for request_id, it in enumerate(parsed, self._store.next_request_id):
            receipts: list[Receipt] = []
            for arrival in it.arrivals:
                receipts += decision.receipts(receipt_id + len(receipts), it, arrival)
            receipt_id += len(receipts)
            answer = self._contracts[it.request.endpoint].answer(receipts)
            call_id = self._call_id(it, exchanges) or request_id
            exchanges.append(Exchange(request_id, call_id, it.account_id, it.request, receipts, answer))
        return exchanges

    def _call_id(self, parsed: _Parsed, before: Sequence[Exchange]) -> int | None:
        """Return the call that this is a further attempt of, begun in this group or earlier; None if it begins one."""
        request = parsed.request
        if request.attempt == 1:
            return None
        for exchange in reversed(before):
            other = exchange.request
            same = (other.account, other.path, other.body) == (request.account, request.path, request.body)
            if same and other.attempt == request.attempt - 1:
                return exchange.call_id
        return self._store.call_id(parsed.account_id, request)


class _Decision:
    """What becomes of each message of a group, in order of arrival: rules over what was loaded, and nothing else."""

    def __init__(self, visitors: Visitors, originals: Mapping[DistinctId, Original], waiting: WaitingRoom) -> None:
        self._visitors = visitors
        self._originals = dict(originals)
        self.waiting = waiting
        self.touched: dict[int, Visitor] = {}
        self.repeats: Counter[int] = Counter()

    def receipts(self, id_: int, parsed: _Parsed, arrival: Arrival) -> list[Receipt]:
        """Return what becomes of *arrival*, numbered from *id_* on: rejected, dropped, duplicate or accepted."""
        if isinstance(arrival, Message):
            return self._message(id_, parsed, arrival)
        if isinstance(arrival, Rejection):
            return [Receipt(id_, arrival, "rejected", arrival.hints, distinct_id=arrival.distinct_id)]
        if isinstance(arrival, Alias):
            return [self._alias(id_, parsed, arrival)]
        return [self._registration(id_, parsed, arrival)]

    def _message(self, id_: int, parsed: _Parsed, message: Message) -> list[Receipt]:
        if not _listed(parsed.account, message):
            hint = Hint("allow-list", "/event", "not on the account's list of allowed events; dropped")
            hints = (*message.hints, hint)
            distinct_id = message.distinct_id
            return [Receipt(id_, message, "dropped", hints, distinct_id=distinct_id, content=_content(message))]
        original = None
        if message.distinct_id is not None:
            original = self._originals.get(DistinctId(parsed.account_id, message.test, message.distinct_id))
        if original is not None:
            return [self._duplicate(id_, message, original)]
        return self._accepted(id_, parsed, message)

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

    def _accepted(self, id_: int, parsed: _Parsed, message: Message) -> list[Receipt]:
        customs = message.customs
        visitor, resolution, hints = self._visitors.resolve(
            parsed.account_id, message.identity, new_uuid, falls_through=customs.falls_through
        )
        written = message.identity if customs.claims_stored or resolution.created else ()
        said = properties.said(written, message.user_properties, empty_ignored=customs.empty_ignored)
        if said:
            hints += properties.hints(visitor.properties, message.identity, said)
            self._update(visitor, properties.merged(visitor.properties, said))
        if message.data:
            visitor.data = visitor.data | message.data
        if not customs.claims_stored:
            hints += self._link(visitor, message, created=resolution.created)
        self._attach(visitor)
        if message.creation is None or not resolution.created:
            return [self._stored(id_, parsed, message, visitor, resolution, hints)]
        # Its properties are those the visitor was made with; what the item says itself is in the next receipt.
        nothing: Properties = {}
        creation = replace(
            message,
            event=message.creation,
            event_properties=nothing,
            user_properties=nothing,
            data=None,
            hints=(),
        )
        return [
            self._stored(id_, parsed, creation, visitor, resolution, []),
            self._stored(id_ + 1, parsed, message, visitor, resolution, hints),
        ]

    def _stored(
        self, id_: int, parsed: _Parsed, message: Message, visitor: Visitor, resolution: Resolution, hints: list[Hint]
    ) -> Receipt:
        """Return the receipt of *message*, now that *visitor* is as it says; an event is counted and gets its id."""
        content = _content(message)
        distinct_id = None
        if message.event is not None:
            visitor.event_count += 1
            distinct_id = message.distinct_id or new_uuid()
            self._originals[DistinctId(parsed.account_id, message.test, distinct_id)] = Original(
                id_, visitor.pk, visitor.visitor_id, message.event, content
            )
        self._touch(visitor, parsed.request)
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

    def _link(self, visitor: Visitor, message: Message, *, created: bool) -> list[Hint]:
        """Write the anonymous id of *message* if it may, and return what stays unlinked (rule client-identify)."""
        if not created and not message.identifies:
            return []
        hints: list[Hint] = []
        for claim in message.identity:
            if claim.kind == "anonymous_id" and not self._visitors.adopt(visitor, claim):
                said = "is another visitor's and stays theirs; not linked, and visitors are never merged"
                hints.append(Hint("client-identify", "/anonymous_id", said))
            elif claim.kind == "external_id" and visitor.properties.get("external_id") != claim.value:
                said = "not written on the visitor that anonymous_id found; that is for /api/client/alias to do"
                hints.append(Hint("client-identify", "/external_id", said))
        return hints

    def _alias(self, id_: int, parsed: _Parsed, alias: Alias) -> Receipt:
        """Give the anonymous visitor the external id, or leave everything as it is (rule client-alias)."""
        visitor, resolution, hints = self._visitors.find(parsed.account_id, alias.identity, falls_through=True)
        obstacle = _obstacle(alias, visitor, resolution)
        if visitor is not None and obstacle is None:
            self._update(visitor, {**visitor.properties, "external_id": alias.external.value})
            self._attach(visitor)
            self._touch(visitor, parsed.request)
        elif obstacle is not None:
            hints.append(obstacle)
        return _found(id_, alias, visitor, resolution, hints, {})

    def _registration(self, id_: int, parsed: _Parsed, registration: Registration) -> Receipt:
        """Give the visitor the device, or let it wait for them (rules client-devices, client-devices-wait)."""
        visitor, resolution, hints = self._visitors.find(parsed.account_id, registration.identity, falls_through=True)
        if visitor is not None:
            visitor.devices = registered(visitor.devices, registration.device)
            self._touch(visitor, parsed.request)
        elif registration.identity:
            self.waiting.enter(_all_names(parsed.account_id, registration), registration.device)
            hints.append(Hint("client-devices-wait", "", "nobody has this id yet; the device waits for them to appear"))
        else:
            hints.append(Hint("client-devices-wait", "", "both ids are null, so the device can be nobody's; dropped"))
        return _found(id_, registration, visitor, resolution, hints, {"device": registration.device})

    def _update(self, visitor: Visitor, new: Properties) -> None:
        text = json_text(new)
        # Compared as text: to Python 1, 1.0 and true are equal.
        if text != visitor.json:
            self._visitors.update(visitor, new)
            visitor.json = text

    def _attach(self, visitor: Visitor) -> None:
        """Give *visitor* the devices that waited for one of their names."""
        if visitor.names_changed:
            for device in self.waiting.leave(visitor.names()):
                visitor.devices = registered(visitor.devices, device)

    def _touch(self, visitor: Visitor, request: Request) -> None:
        visitor.first_seen = min(visitor.first_seen or request.received_at, request.received_at)
        visitor.last_seen = max(visitor.last_seen, request.received_at)
        self.touched[visitor.pk] = visitor


def _obstacle(alias: Alias, visitor: Visitor | None, resolution: Resolution) -> Hint | None:
    """Return what keeps *alias* from having an effect."""
    if resolution.decided_by == alias.external.given_as and visitor is not None:
        message = "somebody has this external_id already"
    elif visitor is None:
        message = "nobody has this anonymous_id"
    elif "external_id" in visitor.properties:
        message = "the visitor with this anonymous_id has an external_id already"
    else:
        return None
    return Hint("client-alias", "", f"{message}; nothing was changed")


def _found(
    id_: int,
    arrival: Alias | Registration,
    visitor: Visitor | None,
    resolution: Resolution,
    hints: Sequence[Hint],
    content: Properties,
) -> Receipt:
    """Return the receipt of what is no event and makes no visitor."""
    return Receipt(
        id_,
        arrival,
        "accepted",
        (*arrival.hints, *hints),
        visitor_pk=visitor.pk if visitor else None,
        visitor_id=visitor.visitor_id if visitor else None,
        resolution=resolution,
        content=json_text({**content, "identity": {claim.given_as: claim.value for claim in arrival.identity}}),
        visitor_properties=visitor.json if visitor else None,
    )


def _weight(job: Request | Reset) -> int:
    return _LEAST_WEIGHT + (len(job.body) if isinstance(job, Request) else 0)


def _failure(error: Exception) -> StoreWriteError:
    foreseen = isinstance(error, StoreBusyError | StoreFailedError)
    _log.error("nothing of it could be kept: %s", error, exc_info=None if foreseen else error)
    return StoreWriteError(str(error))


def new_uuid() -> str:
    """Return a random UUID, as generated visitor ids and distinct ids are (rules visitor-ids, dedup)."""
    return str(UUID(bytes=os.urandom(16), version=4))


def _names(account_id: int, said: Said) -> list[Name]:
    """Return the names to load: the deciding one, and beside a user id the external id, to tell if it is another's.

    All of them where one that finds nobody leaves it to the next, or where an id is given only if nobody has it.
    """
    if not isinstance(said, Message) or not said.customs.claims_stored:
        return list(_all_names(account_id, said))
    identity = said.identity
    claims = looked_up(identity, falls_through=said.customs.falls_through)
    if claims and claims[0].kind == "user_id":
        claims = tuple(claim for claim in identity if claim.kind != "email")
    return [(account_id, claim.kind, claim.value) for claim in claims]


def _all_names(account_id: int, said: Said) -> tuple[Name, ...]:
    return tuple((account_id, claim.kind, claim.value) for claim in said.identity)


def _new_names(account_id: int, said: Said) -> list[Name]:
    """Return the names that *said* may give a visitor, and so the devices it may find waiting."""
    names = list(_all_names(account_id, said))
    given = said.user_properties.get("external_id") if isinstance(said, Message) else None
    return [*names, (account_id, "external_id", given)] if isinstance(given, str) else names


def _listed(account: Account, message: Message) -> bool:
    if account.allowed_events is None or not message.customs.allow_list:
        return True
    if message.event is None or message.event == IDENTIFY_EVENT:
        return True
    return message.event.strip().casefold() in account.allowed_events


def _content(message: Message) -> str:
    """Return what *message* says as JSON text, as it is stored."""
    content: Properties = {
        "event_properties": message.event_properties,
        "default_properties": message.default_properties,
        "identity_context": message.identity_context,
        "user_properties": message.user_properties,
        "identity": {claim.given_as: claim.value for claim in message.identity},
        "time": message.time,
    }
    if message.data is not None:
        content["data"] = message.data
    return json_text(content)
