"""The parts put together, and nothing else."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ours_emulator.accounts import Accounts
from ours_emulator.contract.account import AccountConfig
from ours_emulator.contract.client import MAX_BODY_BYTES, ClientContract
from ours_emulator.contract.ingest import IngestContract, Limits
from ours_emulator.contract.revision import revision
from ours_emulator.debug.journal_format import LineError, read
from ours_emulator.feed import Feed
from ours_emulator.http.endpoint import DocumentEndpoint, Emulated, Endpoint
from ours_emulator.http.front import Answerer, Front
from ours_emulator.http.guard import Guard
from ours_emulator.http.log import RequestLog
from ours_emulator.http.redaction import Redactor
from ours_emulator.http.routes import CLIENT_NAMES, INGEST_NAMES
from ours_emulator.http.standalone import StandaloneFront
from ours_emulator.model import DEFAULT_ACCOUNT, Request, allowed
from ours_emulator.pipeline import Contract, Pipeline, StoreWriteError
from ours_emulator.settings import Loaded, Settings, SettingsError, load
from ours_emulator.store import Retention, Store, StoreError, StoreReader, open_store

if TYPE_CHECKING:
    from ours_emulator.openapi.app import EmulatorApp


def create_app(loaded: Loaded | None = None, feed: Feed | None = None, accounts: Accounts | None = None) -> EmulatorApp:
    """Return the emulator as a FastAPI app, its store open. Raises StoreError or SettingsError if that fails.

    Without *loaded*, the settings come from the environment; a *feed* that is passed hears of everything committed;
    *accounts* that are passed may be configured in ways that no setting offers, such as with another revision. A server
    that runs the app's lifespan closes the store at its end; otherwise `aclose()` has to be awaited.
    """
    parts = _open(loaded or load(), feed or Feed(), accounts)
    app = parts.fastapi_app()
    app.add_middleware(Front, parts.guard, parts.endpoints, parts.log, parts.limit)
    return app


def create_standalone(loaded: Loaded, feed: Feed | None = None) -> StandaloneFront:
    """Return the same for a server of our own: it answers before FastAPI is imported. Raises as `create_app` does."""
    parts = _open(loaded, feed or Feed(), None)
    return StandaloneFront(
        parts.fastapi_app, parts.guard, parts.endpoints, parts.log, parts.limit, parts.feed.close, parts.close
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """What an emulator consists of, apart from how it is served."""

    loaded: Loaded
    accounts: Accounts
    feed: Feed
    pipeline: Pipeline
    reader: StoreReader
    redactor: Redactor
    log: RequestLog
    guard: Guard
    endpoints: Mapping[str, Answerer]

    @property
    def limit(self) -> int:
        """The largest body of a debug call, in bytes."""
        return self.loaded.settings.max_body_bytes

    def fastapi_app(self) -> EmulatorApp:
        """Return the FastAPI app for everything that is not emulated."""
        from ours_emulator.debug.params import Parts
        from ours_emulator.openapi.app import EmulatorApp

        parts = Parts(self.reader, self.pipeline, self.accounts, self.feed, self.loaded, self.redactor)
        return EmulatorApp(parts, self.feed.close, self.close)

    async def close(self) -> None:
        """End waits and streams, finish writing, and close the store."""
        self.feed.close()
        try:
            await self.reader.close()
        finally:
            # It may have to wait for what is still being written.
            await asyncio.to_thread(self.pipeline.close)


def _open(loaded: Loaded, feed: Feed, accounts: Accounts | None) -> _Parts:
    settings = loaded.settings
    limits = Limits(body=settings.max_body_bytes, row=settings.max_row_bytes)
    client_limit = min(limits.body, MAX_BODY_BYTES)
    ingest_contract = IngestContract(limits)
    client_contract = ClientContract(client_limit)
    contracts: dict[str, Contract] = {
        **dict.fromkeys(INGEST_NAMES, ingest_contract),
        **dict.fromkeys(CLIENT_NAMES, client_contract),
    }
    accounts = accounts or Accounts(_account(settings), settings.now)
    seed = _seed(settings.seed)
    store = open_store(settings.database, Retention(settings.keep, settings.keep_body_bytes))
    pipeline = _pipeline(store, settings, contracts, accounts, feed, seed)
    redactor = Redactor((*settings.tokens, *settings.public_keys, settings.admin_token or ""), accounts.secrets)
    log = RequestLog(settings.log_format, sys.stdout, redactor)
    ingest = Emulated(pipeline, ingest_contract, accounts, log, limits.body)
    client = Emulated(pipeline, client_contract, accounts, log, client_limit)
    endpoints: dict[str, Answerer] = {
        **dict.fromkeys(INGEST_NAMES, Endpoint(ingest)),
        **dict.fromkeys(CLIENT_NAMES, Endpoint(client)),
        "openapi": DocumentEndpoint(ingest),
    }
    guard = Guard(settings.allowed_hosts, settings.admin_token)
    return _Parts(loaded, accounts, feed, pipeline, store.reader, redactor, log, guard, endpoints)


def _pipeline(
    store: Store,
    settings: Settings,
    contracts: Mapping[str, Contract],
    accounts: Accounts,
    feed: Feed,
    seed: Sequence[Request],
) -> Pipeline:
    """Return the pipeline of *store*, which begins with *seed* if it is new."""
    try:
        return Pipeline(store.writer, contracts, accounts, feed, seed)
    except StoreWriteError as error:
        store.writer.close()
        raise StoreError(f"{settings.seed} can't be stored: {error}") from error


def _account(settings: Settings) -> AccountConfig:
    """Return what every account accepts, until it is told otherwise."""
    names = settings.allowed_events
    return AccountConfig(
        name=DEFAULT_ACCOUNT,
        revision=revision(),
        tokens=frozenset(settings.tokens),
        keys=frozenset(settings.public_keys),
        allowed_events=None if names is None else allowed(names),
        require_identifier=settings.require_identifier,
        strict_openapi=settings.strict_openapi,
        max_visitor_bytes=settings.max_visitor_bytes,
    )


def _seed(file: Path | None) -> Sequence[Request]:
    """Return the requests that a new store begins with. Raises SettingsError."""
    if file is None:
        return ()
    try:
        with file.open("rb") as opened:
            return [line.request() for _, line in read(opened)]
    except OSError as error:
        raise SettingsError(f"{file} can't be read: {error.strerror}") from None
    except LineError as error:
        raise SettingsError(f"{file}, {error}") from None
