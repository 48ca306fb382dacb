"""From requests to receipts: load what a group mentions, decide on plain values, save, and only then answer."""

import asyncio
import logging
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Protocol, TypeAlias, TypeVar, cast

from ours_emulator.accounts import Accounts, OpenAccount
from ours_emulator.contract.account import AccountConfig
from ours_emulator.contract.ingest import ENDPOINTS
from ours_emulator.contract.sdk import newer_note
from ours_emulator.decide.decision import Context, Decision, names, new_names
from ours_emulator.decide.deduplication import DistinctId
from ours_emulator.decide.devices import PendingDevices
from ours_emulator.decide.faults import apply_fault, retry_headers
from ours_emulator.decide.identity import KnownVisitors, Name
from ours_emulator.decide.retries import Calls, Key, attempt_of, call_key, early_retry_hint
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
from ours_emulator.store import StoreBusyError, StoreError, StoreFailedError, StoreWriter
from ours_emulator.values import value
from ours_emulator.worker import GroupWorker, StoppedError

# A group holds up to 256 small requests, or what makes 8 MiB: a batch must not make everybody wait for ten others.
_MIN_WEIGHT = 32 * 1024
_MAX_WEIGHT = 256 * _MIN_WEIGHT
_ONE_EVENT = frozenset(("track", "identify"))
_SMALL_BYTES = 4096
"""Largest body of a request that may be handled on the event loop instead of the worker's thread."""
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
class _Read:
    """A request as its account reads it."""

    request: Request
    """By the account's clock."""
    account: OpenAccount
    contents: Contents


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
        try:
            with self._transaction():
                if store.is_empty():
                    self._plant_seed(None)
        except Exception as error:
            raise _failure(error) from error
        # A loop must not wait for a disk.
        on_loop = not store.waits_for_disk
        self._worker: GroupWorker[Request | Task, object] = GroupWorker(
            self._work, _weight, _MAX_WEIGHT, store.tidy, _is_small, on_loop, store.reserve
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

        return await self._done(partial(self._reset, account))

    async def close_account(self, name: str) -> Cleared:
        """Delete the account *name*, and refuse requests that still come for it. Raises StoreWriteError."""
        return await self._done(partial(self._close_account, name))

    async def change(self, change: Callable[[], T]) -> T:
        """Return what *change* returns, which changes accounts, after what was submitted before; what it raises, too.

        Raises StoreWriteError if the accounts are in the store, and that fails.
        """

        def changed() -> T:
            with self._transaction() if self._accounts.are_shared else self._accounts.transaction():
                return change()

        return await self._done(changed)

    def close(self) -> None:
        """Finish what was submitted and close the store."""
        self._worker.stop()
        self._store.close()

    async def _done(self, task: Callable[[], T]) -> T:
        try:
            return cast(T, await self._worker.submit(task))
        except StoppedError:
            raise StoreWriteError("the emulator shuts down") from None

    @contextmanager
    def _transaction(self) -> Generator[None]:
        """Commit what happens inside to the store and to the accounts, or, if it raises, leave both as they were."""
        with self._accounts.transaction(), self._store.transaction():
            self._accounts.load()
            yield
            self._accounts.save()

    def _reset(self, account: str | None) -> Cleared:
        with self._transaction():
            cleared = self._store.reset(account)
            first_id = self._store.next_receipt_id
            self._accounts.restart(account)
            seed = self._plant_seed(account)
        self._observer.cleared(account, first_id)
        self._observer.publish(seed)
        return cleared

    def _close_account(self, name: str) -> Cleared:
        with self._transaction():
            cleared = self._store.delete_account(name)
            first_id = self._store.next_receipt_id
            self._accounts.close(name)
        self._observer.cleared(name, first_id)
        return cleared

    def _plant_seed(self, account: str | None) -> list[Exchange]:
        """Store the seed of *account* (all of it if None) in the open transaction: a store has all of it or nothing."""
        seed: list[_Parsed] = []
        for request in self._seed_now(account):
            parsed = self._parsed(request, self._read(request))
            if isinstance(parsed, _Parsed):
                seed.append(parsed)
        groups = [seed[begin : begin + _SEED_REQUESTS] for begin in range(0, len(seed), _SEED_REQUESTS)]
        return [exchange for group in groups for exchange in self._group(group)]

    def _seed_now(self, account: str | None) -> Iterable[Request]:
        """Yield the requests of the seed for *account*, or all if None, as if they had just begun."""
        started = time.perf_counter()
        return (replace(one, started=started) for one in self._seed if account in (None, one.account))

    def _work(self, jobs: list[Request | Task]) -> list[object]:
        try:
            return self._done_together(jobs)
        finally:
            self._store.release()

    def _done_together(self, jobs: list[Request | Task]) -> list[object]:
        results: list[object] = []
        for requests, together in groupby(jobs, lambda job: isinstance(job, Request)):
            if requests:
                results += self._requests([cast(Request, job) for job in together])
            else:
                results += [_attempted(cast(Task, job)) for job in together]
        return results

    def _requests(self, requests: Sequence[Request]) -> Sequence[object]:
        reads = [self._read_or_failure(request) for request in requests]
        together = [
            (request, read) for request, read in zip(requests, reads, strict=True) if not isinstance(read, Exception)
        ]
        committed = iter(self._committed(together))
        return [read if isinstance(read, Exception) else next(committed) for read in reads]

    def _read_or_failure(self, request: Request) -> _Read | Closed | Exception:
        """Read *request*, which needs no database."""
        try:
            return self._read(request)
        except Exception as error:
            return _failure(error)

    def _read(self, request: Request) -> _Read | Closed:
        account = self._accounts.open(request.account)
        if account is None:
            return Closed(request.account)
        clock = account.clock
        if clock.state != "real" and not request.replayed:
            request = replace(request, received_at=clock.at(request.received_at))
        return _Read(request, account, self._contracts[request.endpoint].read(request, account.config))

    def _parsed(self, request: Request, read: _Read | Closed) -> _Parsed | Closed:
        """Return *request*, which was *read* before the transaction, after its fault; read again if it is outdated."""
        account = self._accounts.open(request.account)
        if _is_outdated(read, account):
            read = self._read(request)
        if isinstance(read, Closed) or account is None:
            if not request.replayed:
                self._accounts.refuse(request.account)
            return Closed(request.account)
        request, config, contents = read.request, account.config, read.contents
        if request.python_sdk and not account.newer_sdk:
            account = self._note_sdk(account, request)
        fault = request.fault if request.replayed else self._fault(account, request, contents)
        return _Parsed(request, config, contents.arrivals, apply_fault(contents.arrivals, fault), fault)

    def _note_sdk(self, account: OpenAccount, request: Request) -> OpenAccount:
        """Note it if the SDK that sent *request* is made for a newer revision. That is no mistake, and so no hint."""
        if request.endpoint in ENDPOINTS and newer_note(request.python_sdk, account.config.revision):
            account = replace(account, newer_sdk=request.python_sdk)
            self._accounts.put(request.account, account)
        return account

    def _fault(self, account: OpenAccount, request: Request, contents: Contents) -> FaultAnswer | None:
        """Return what a fault does to *request*, and count that."""
        if not account.faults.active:
            return None
        faults, answer = account.faults.answer(request, contents)
        if faults != account.faults:
            self._accounts.put(request.account, replace(account, faults=faults))
        return answer

    def _committed(self, reads: Sequence[tuple[Request, _Read | Closed]]) -> Sequence[Exchange | Closed | Exception]:
        """Decide and commit *reads* together; if that fails, each by itself, so that one cannot fail the others."""
        if not reads:
            return []
        try:
            with self._transaction():
                results = self._results(reads)
        except StoreBusyError as error:
            # Each of them alone would wait as long and fail as well, or be stored twice.
            return [_failure(error)] * len(reads)
        except Exception as error:
            if len(reads) > 1:
                return [result for one in reads for result in self._committed([one])]
            return [_failure(error)]
        self._observer.publish([one for one in results if isinstance(one, Exchange)])
        return results

    def _results(self, reads: Sequence[tuple[Request, _Read | Closed]]) -> list[Exchange | Closed]:
        parsed = [self._parsed(request, read) for request, read in reads]
        exchanges = iter(self._group([one for one in parsed if isinstance(one, _Parsed)]))
        return [next(exchanges) if isinstance(one, _Parsed) else one for one in parsed]

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
        calls = self._load_calls(parsed)
        exchanges = self._exchanges(zip(contexts, parsed, strict=True), decision, calls)
        whole = list(map(_refused_as_a_whole, parsed, exchanges))
        if whole != parsed:
            # Decided once more, on what is loaded again: nothing of such a request takes effect (rule client-whole).
            return self._group(whole)
        self._store.save(exchanges, decision)
        if calls.changed:
            self._store.save_failed_attempts(calls.changed)
        return exchanges

    def _load(self, messages: Sequence[tuple[int, AnyMessage]]) -> Decision:
        """Load all that *messages*, each with the id of its account, mention: a query for each kind at most."""
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

    def _load_calls(self, parsed: Sequence[_Parsed]) -> Calls:
        """Load the failed attempts that some of *parsed* may repeat, if there are any at all."""
        keys = {call_key(one.request, one.sent) for one in parsed} if self._store.any_failed_attempts else set[Key]()
        return Calls(self._store.failed_attempts(keys) if keys else {})

    def _exchanges(self, parsed: Iterable[tuple[Context, _Parsed]], decision: Decision, calls: Calls) -> list[Exchange]:
        exchanges: list[Exchange] = []
        receipt_id = self._store.next_receipt_id
        for id_, (context, one) in enumerate(parsed, self._store.next_request_id):
            request, receipts = one.request, list[Receipt]()
            for arrival in one.arrivals:
                receipts += decision.receipts(receipt_id + len(receipts), context, arrival)
            receipt_id += len(receipts)
            before = calls.before(request, one.sent)
            if before is not None:
                receipts[0] = replace(receipts[0], hints=(*receipts[0].hints, *early_retry_hint(before, request)))
            stored = partial(self._store.attempt_before, context.account_id, request)
            attempt = attempt_of(id_, request, before, exchanges, stored)
            answer = self._answer(one, receipts)
            exchange = Exchange(id_, attempt, context.account_id, request, receipts, answer, one.fault)
            calls.add(exchange, one.sent)
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


def _is_outdated(read: _Read | Closed, account: OpenAccount | None) -> bool:
    """Whether the *account* is not as it was when a request was *read*: another process may have changed it."""
    if isinstance(read, Closed):
        return account is not None
    if account is None or account is read.account:
        return False
    return account.config is not read.account.config or account.clock != read.account.clock


def _exchange_of(result: object) -> Exchange | Closed | None:
    return None if isinstance(result, Exception) else cast(Exchange | Closed, result)


def _attempted(task: Task) -> object:
    try:
        return task()
    except StoreError as error:
        return _failure(error)
    except Exception as error:
        return error


def _is_small(job: Request | Task) -> bool:
    """Whether *job* is one event, which takes a fraction of a millisecond. A batch may be small, encoded or not."""
    if not isinstance(job, Request):
        return False
    return job.endpoint in _ONE_EVENT and not job.content_encoding and len(job.body) <= _SMALL_BYTES


def _weight(job: Request | Task) -> int:
    return _MIN_WEIGHT + (len(job.body) if isinstance(job, Request) else 0)


def _failure(error: Exception) -> StoreWriteError:
    expected = isinstance(error, StoreBusyError | StoreFailedError)
    _log.error("nothing of the request could be stored: %s", error, exc_info=None if expected else error)
    return StoreWriteError(str(error))
