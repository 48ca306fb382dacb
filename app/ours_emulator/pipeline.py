"""From requests to receipts: load what a group mentions, decide on plain values, save, and only then answer."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Protocol, TypeAlias, TypeVar, cast

from ours_emulator.accounts import Accounts
from ours_emulator.contract.account import AccountConfig
from ours_emulator.decide.decision import Context, Decision, names, new_names
from ours_emulator.decide.deduplication import DistinctId
from ours_emulator.decide.devices import PendingDevices
from ours_emulator.decide.faults import apply_fault, retry_headers
from ours_emulator.decide.identity import KnownVisitors, Name
from ours_emulator.decide.retries import Calls, attempt_of, early_retry_hint
from ours_emulator.model import (
    Answer,
    AnyMessage,
    Arrival,
    Closed,
    Contents,
    Exchange,
    Message,
    Receipt,
    Rejection,
    Request,
)
from ours_emulator.records import Cleared, FaultAnswer
from ours_emulator.store import StoreBusyError, StoreFailedError, StoreWriter
from ours_emulator.values import value
from ours_emulator.worker import GroupWorker, StoppedError

# A group holds up to 256 small requests, or what makes 8 MiB: a batch must not make everybody wait for ten others.
_MIN_WEIGHT = 32 * 1024
_MAX_WEIGHT = 256 * _MIN_WEIGHT
_ONE_EVENT = frozenset(("track", "identify"))
_SMALL_BYTES = 4096
"""Largest body of a request that is handled on the event loop instead of the worker's thread; temporary stores only."""
# As many as a group of small ones: all that a group mentions is in memory at once, and a seed may be of any length.
_SEED_REQUESTS = 256
_log = logging.getLogger(__name__)
T = TypeVar("T")
A = TypeVar("A", str, str | None)
Task: TypeAlias = Callable[[], object]
"""Work on the worker's thread in a transaction of its own, after everything submitted before."""


class StoreWriteError(Exception):
    """The store could not be written, and nothing of the request or call took effect."""


class Contract(Protocol):
    """The contract of one API: from a request to its arrivals, and from receipts to the answer."""

    def read(self, request: Request, account: AccountConfig) -> Contents:
        """Return what is in *request*."""
        ...

    def answer(self, receipts: Sequence[Receipt]) -> Answer:
        """Return the HTTP answer when the arrivals became *receipts*."""
        ...

    def failure(self, request: Request, /, status: int | None, reason: str, error: str | None = None) -> Answer:
        """Return the HTTP answer when *request* got no further; without *status*, that of a failed store.

        *error* is the text to answer, if it is not for the contract to choose.
        """
        ...


class Observer(Protocol):
    """Hears of each commit, on the thread that made it, before the clients are answered."""

    def publish(self, exchanges: Sequence[Exchange]) -> None:
        """*exchanges* were committed."""
        ...

    def cleared(self, account: str | None, next_id: int) -> None:
        """Everything of *account*, or of all accounts if None, was deleted; the next receipt has *next_id*."""
        ...


@value
class _Parsed:
    """A request with its arrivals, and the account it belongs to."""

    request: Request
    account: AccountConfig
    sent: Sequence[Arrival]
    """The arrivals as the contract reads them."""
    arrivals: Sequence[Arrival]
    """The arrivals after a fault: some, or all of them, may be rejected."""
    fault: FaultAnswer | None


class Pipeline:
    """The one road from a request to its receipts. An exchange is returned when its rows are committed.

    *contracts* has the contract for each endpoint. A new store, and one that was reset, begins with the requests of
    *seed*. Raises StoreWriteError if these cannot be stored.
    """

    def __init__(
        self,
        store: StoreWriter,
        contracts: Mapping[str, Contract],
        accounts: Accounts,
        observer: Observer,
        seed: Sequence[Request] = (),
    ) -> None:
        self._store = store
        self._contracts = contracts
        self._accounts = accounts
        self._observer = observer
        self._seed = seed
        self._calls = Calls()
        if store.is_empty():
            try:
                with store.transaction():
                    self._plant_seed(None)
            except Exception as error:
                raise _failure(error) from error
        self._worker: GroupWorker[Request | Task, object] = GroupWorker(
            self._work, _weight, _MAX_WEIGHT, store.tidy, self._is_small
        )

    async def submit(self, request: Request) -> Exchange | Closed | None:
        """Return the exchange that *request* became, once it is committed; None if nothing of it could be stored."""
        try:
            return cast(Exchange | Closed, await self._worker.submit(request))
        except (StoreWriteError, StoppedError):
            return None

    def enqueue(
        self, request: Request, loop: asyncio.AbstractEventLoop, on_done: Callable[[Exchange | Closed | None], None]
    ) -> None:
        """Call *on_done* on *loop*, the running one, with what `submit` returns: without a task for each request."""
        try:
            self._worker.enqueue(request, loop, lambda result: on_done(_exchange_of(result)))
        except StoppedError:
            on_done(None)

    async def reset(self, account: str | None) -> Cleared:
        """Delete everything of *account* (of all if None), after what was submitted before. Raises StoreWriteError.

        Clock, faults and seed are as at the start again; the configuration stays.
        """

        def reset() -> Cleared:
            cleared = self._cleared(self._store.reset, account, seeded=True)
            self._accounts.restart(account)
            return cleared

        return await self._done(reset)

    async def close_account(self, name: str) -> Cleared:
        """Delete the account *name*, and refuse requests that still come for it. Raises StoreWriteError."""

        def close() -> Cleared:
            cleared = self._cleared(self._store.delete_account, name, seeded=False)
            self._accounts.close(name)
            return cleared

        return await self._done(close)

    def close(self) -> None:
        """Finish what was submitted and close the store."""
        self._worker.stop()
        self._store.close()

    async def _done(self, task: Callable[[], T]) -> T:
        return cast(T, await self._worker.submit(task))

    def _plant_seed(self, account: str | None) -> list[Exchange]:
        """Store the seed of *account* (all of it if None) in the open transaction: a store has all of it or nothing."""
        seed: list[_Parsed] = []
        for parsed in [self._parsed(request) for request in self._seed_now(account)]:
            if isinstance(parsed, Exception):
                raise parsed
            if isinstance(parsed, _Parsed):
                seed.append(parsed)
        groups = [seed[begin : begin + _SEED_REQUESTS] for begin in range(0, len(seed), _SEED_REQUESTS)]
        return [exchange for group in groups for exchange in self._group(group)]

    def _seed_now(self, account: str | None) -> Iterable[Request]:
        """Yield the requests of the seed for *account*, or all if None, as if they had just begun."""
        started = time.perf_counter()
        return (replace(one, started=started) for one in self._seed if account in (None, one.account))

    def _cleared(self, clear: Callable[[A], Cleared], account: A, *, seeded: bool) -> Cleared:
        self._calls.begin()
        with self._store.transaction():
            cleared = clear(account)
            first_id = self._store.next_receipt_id
            seed = self._plant_seed(account) if seeded else []
        self._calls.forget(account)
        self._observer.cleared(account, first_id)
        self._observer.publish(seed)
        return cleared

    def _is_small(self, job: Request | Task) -> bool:
        """Whether *job* is one event, which takes a fraction of a millisecond. A batch may be small, encoded or not."""
        if self._store.waits_for_disk or not isinstance(job, Request):
            return False
        return job.endpoint in _ONE_EVENT and not job.content_encoding and len(job.body) <= _SMALL_BYTES

    def _work(self, jobs: list[Request | Task]) -> list[object]:
        results: list[object] = []
        for requests, together in groupby(jobs, lambda job: isinstance(job, Request)):
            if requests:
                results += self._requests([cast(Request, job) for job in together])
            else:
                results += [_attempted(cast(Task, job)) for job in together]
        return results

    def _requests(self, requests: Sequence[Request]) -> Sequence[object]:
        parsed = [self._parsed(request) for request in requests]
        committed = iter(self._committed([one for one in parsed if isinstance(one, _Parsed)]))
        return [next(committed) if isinstance(one, _Parsed) else one for one in parsed]

    def _parsed(self, request: Request) -> _Parsed | Closed | Exception:
        """Read *request*, which needs no database, so no transaction has to wait for it."""
        account = self._accounts.open(request.account)
        if account is None:
            if not request.replayed:
                self._accounts.refuse(request.account)
            return Closed(request.account)
        try:
            contract = self._contracts[request.endpoint]
            contents = contract.read(request, account.config)
            fault = request.fault if request.replayed else account.faults.answer(request, contents)
            arrivals = apply_fault(contents.arrivals, fault)
            return _Parsed(request, account.config, contents.arrivals, arrivals, fault)
        except Exception as error:
            return _failure(error)

    def _committed(self, parsed: Sequence[_Parsed]) -> Sequence[Exchange | Exception]:
        """Decide and commit *parsed* together; if that fails, each by itself, so that one cannot fail the others."""
        if not parsed:
            return []
        self._calls.begin()
        try:
            with self._store.transaction():
                exchanges = self._group(parsed)
        except StoreBusyError as error:
            # Each of them alone would wait as long and fail as well, or be stored twice.
            return [_failure(error)] * len(parsed)
        except Exception as error:
            if len(parsed) > 1:
                return [result for one in parsed for result in self._committed([one])]
            return [_failure(error)]
        self._calls.keep()
        self._observer.publish(exchanges)
        return exchanges

    def _group(self, parsed: Sequence[_Parsed]) -> list[Exchange]:
        contexts = [
            Context(
                self._store.account_id(one.account.name),
                one.account.allowed_events,
                one.request.received_at,
                one.account.max_visitor_bytes,
            )
            for one in parsed
        ]
        decision = self._load(
            [
                (context.account_id, arrival)
                for context, one in zip(contexts, parsed, strict=True)
                for arrival in one.arrivals
                if not isinstance(arrival, Rejection)
            ]
        )
        exchanges = self._exchanges(zip(contexts, parsed, strict=True), decision)
        whole = list(map(_refused_as_a_whole, parsed, exchanges))
        if whole != parsed:
            # Decided once more, on what is loaded again: nothing of such a request takes effect (rule client-whole).
            self._calls.begin()
            return self._group(whole)
        self._store.save(exchanges, decision)
        return exchanges

    def _load(self, messages: Sequence[tuple[int, AnyMessage]]) -> Decision:
        """Load all that *messages*, each with the id of its account, mention: one query for each kind."""
        mentioned = {name for account_id, message in messages for name in names(account_id, message)}
        ids = {
            DistinctId(account_id, message.test, message.distinct_id)
            for account_id, message in messages
            if isinstance(message, Message) and message.distinct_id is not None
        }
        loaded = self._store.visitors(mentioned, len(messages) + 1) if mentioned else []
        appearing = {name for one in messages for name in new_names(*one)} if self._store.any_pending else set[Name]()
        devices = self._store.pending(appearing) if appearing else []
        return Decision(
            KnownVisitors(loaded, self._store.next_visitor_pk),
            self._store.originals(list(ids)),
            PendingDevices(devices, self._store.next_pending_pk),
        )

    def _exchanges(self, parsed: Iterable[tuple[Context, _Parsed]], decision: Decision) -> list[Exchange]:
        exchanges: list[Exchange] = []
        receipt_id = self._store.next_receipt_id
        for id_, (context, one) in enumerate(parsed, self._store.next_request_id):
            request, receipts = one.request, list[Receipt]()
            for arrival in one.arrivals:
                receipts += decision.receipts(receipt_id + len(receipts), context, arrival)
            receipt_id += len(receipts)
            before = self._calls.before(request, one.sent)
            if before is not None:
                receipts[0] = replace(receipts[0], hints=(*receipts[0].hints, *early_retry_hint(before, request)))
            stored = partial(self._store.attempt_before, context.account_id, request)
            attempt = attempt_of(id_, request, before, exchanges, stored)
            answer = self._answer(one, receipts)
            exchange = Exchange(id_, attempt, context.account_id, request, receipts, answer, one.fault)
            self._calls.add(exchange, one.sent)
            exchanges.append(exchange)
        return exchanges

    def _answer(self, parsed: _Parsed, receipts: Sequence[Receipt]) -> Answer:
        contract, fault = self._contracts[parsed.request.endpoint], parsed.fault
        if fault is None or not fault.hides_answer:
            return contract.answer(receipts)
        answer = contract.failure(parsed.request, fault.status or 503, fault.sentence, fault.error)
        return replace(answer, status=fault.status, headers={**answer.headers, **retry_headers(fault)})


def _refused_as_a_whole(parsed: _Parsed, exchange: Exchange) -> _Parsed:
    """Return *parsed* with one rejection only, if a decision on one of its items refuses the request as a whole."""
    if len(exchange.receipts) > 1:
        for receipt in exchange.receipts:
            if isinstance(receipt.arrival, Rejection) and receipt.arrival.batch_index is None:
                return replace(parsed, arrivals=[receipt.arrival])
    return parsed


def _exchange_of(result: object) -> Exchange | Closed | None:
    return None if isinstance(result, Exception) else cast(Exchange | Closed, result)


def _attempted(task: Task) -> object:
    try:
        return task()
    except Exception as error:
        return _failure(error)


def _weight(job: Request | Task) -> int:
    return _MIN_WEIGHT + (len(job.body) if isinstance(job, Request) else 0)


def _failure(error: Exception) -> StoreWriteError:
    expected = isinstance(error, StoreBusyError | StoreFailedError)
    _log.error("nothing of the request could be stored: %s", error, exc_info=None if expected else error)
    return StoreWriteError(str(error))
