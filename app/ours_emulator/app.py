"""The parts put together, and nothing else."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from starlette.types import ASGIApp

from ours_emulator.accounts import Accounts
from ours_emulator.contract.account import AccountConfig
from ours_emulator.contract.client import MAX_BODY_BYTES, ClientContract
from ours_emulator.contract.ingest import IngestContract, Limits
from ours_emulator.contract.revision import revision
from ours_emulator.debug.journal_format import LineError, read
from ours_emulator.feed import Feed
from ours_emulator.http import client_paths, ingest_paths
from ours_emulator.http.endpoint import Emulated, Endpoint
from ours_emulator.http.guard import Guard
from ours_emulator.http.log import RequestLog
from ours_emulator.http.redaction import Redactor
from ours_emulator.http.routes import Front
from ours_emulator.model import DEFAULT_ACCOUNT, Request, allowed
from ours_emulator.pipeline import Contract, Pipeline, StoreWriteError
from ours_emulator.settings import Loaded, Settings, SettingsError, load
from ours_emulator.store.sqlite.file import StoreError, StoreFile
from ours_emulator.store.sqlite.reader import StoreReader
from ours_emulator.store.sqlite.writer import Retention, StoreWriter


def create_app(loaded: Loaded | None = None, feed: Feed | None = None, accounts: Accounts | None = None) -> Guard:
    """Return the emulator as an ASGI app, its store open. Raises StoreError or SettingsError if that can't be.

    Without *loaded*, the settings come from the environment; a *feed* of one's own hears of all that is committed;
    *accounts* of one's own have configurations that no setting can give, such as another revision of the contract. A
    server that runs the app's lifespan closes it at the end; whoever runs none awaits `aclose()`.
    """
    loaded = loaded or load()
    settings = loaded.settings
    limits = Limits(body=settings.max_body_bytes, row=settings.max_row_bytes)
    client_limit = min(limits.body, MAX_BODY_BYTES)
    ingest_contract = IngestContract(limits)
    client_contract = ClientContract(client_limit)
    contracts: dict[str, Contract] = {
        **dict.fromkeys(ingest_paths.NAMES, ingest_contract),
        **dict.fromkeys(client_paths.NAMES, client_contract),
    }
    seed = _seed(settings.seed)
    accounts = accounts or Accounts(_account(settings), settings.now)
    file = StoreFile(settings.database)
    feed = feed or Feed()
    store = StoreWriter(file, Retention(settings.keep, settings.keep_body_bytes))
    try:
        pipeline = Pipeline(store, contracts, accounts, feed, seed)
    except StoreWriteError as error:
        store.close()
        raise StoreError(f"{settings.seed} can't be stored: {error}") from error
    reader = StoreReader(file)

    async def close() -> None:
        feed.close()
        try:
            await reader.close()
        finally:
            # It may have to wait for what is still being written.
            await asyncio.to_thread(pipeline.close)

    def debug() -> ASGIApp:
        from ours_emulator.debug.app import debug_app

        return debug_app(reader, pipeline, accounts, feed, loaded, redactor)

    secrets = (*settings.tokens, *settings.public_keys, settings.admin_token or "")
    redactor = Redactor(secrets, accounts.secrets)
    log = RequestLog(settings.log_format, sys.stdout, redactor)
    to_ingest = Emulated(pipeline, ingest_contract, accounts, log, limits.body)
    to_client = Emulated(pipeline, client_contract, accounts, log, client_limit)
    front = Front(
        ingest_paths.endpoints(to_ingest) | client_paths.endpoints(to_client),
        debug,
        {
            client_paths.BASE_PATH + "/": Endpoint(client_paths.UNKNOWN, to_client),
            "/": Endpoint(ingest_paths.UNKNOWN, to_ingest),
        },
        close,
        feed.close,
    )
    return Guard(front, log, settings.allowed_hosts, settings.admin_token, settings.max_body_bytes)


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
