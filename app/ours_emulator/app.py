"""The parts put together, and nothing else."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ours_emulator.accounts import Accounts
from ours_emulator.contract.account import AccountConfig
from ours_emulator.contract.client import MAX_BODY_BYTES, ClientContract
from ours_emulator.contract.ingest import IngestContract, Limits
from ours_emulator.contract.revision import revision
from ours_emulator.debug.parts import Parts
from ours_emulator.feed import Feed, OnCommit
from ours_emulator.http.endpoint import DocumentEndpoint, Endpoint, EndpointParts, UnknownEndpoint
from ours_emulator.http.front import Answerer, Front, Served
from ours_emulator.http.guard import Guard
from ours_emulator.http.log import RequestLog
from ours_emulator.http.preflights import Preflights
from ours_emulator.http.probes import Probe
from ours_emulator.http.redaction import Redactor
from ours_emulator.http.routes import CLIENT_NAMES, INGEST_NAMES, INGEST_UNKNOWN
from ours_emulator.http.standalone import StandaloneFront
from ours_emulator.model import DEFAULT_ACCOUNT, Request, allowed
from ours_emulator.pipeline import Contract, Pipeline, StoreWriteError
from ours_emulator.settings import Loaded, Settings, SettingsError, load, shared_settings, unknown_variables
from ours_emulator.store import Retention, SharedDatabase, Store, StoreError, open_store

if TYPE_CHECKING:
    from ours_emulator.contract.experiments import Experiments
    from ours_emulator.contract.tracking_plan import TrackingPlan
    from ours_emulator.metrics import Metrics
    from ours_emulator.openapi.app import EmulatorApp

_log = logging.getLogger(__name__)


def create_app(
    loaded: Loaded | None = None, feed: Feed | None = None, accounts: Accounts | None = None, **settings: Any
) -> EmulatorApp:
    """Return the emulator as a FastAPI app, its store open. Raises StoreError or SettingsError if that fails.

    *settings* are those of `ours-emulator serve` (`allowed_events=["Purchase"]`); the others come from the environment.
    *loaded* are settings that were loaded already, and replaces both. A *feed* that is passed hears of everything
    committed; *accounts* that are passed may be configured in ways that no setting offers, such as with another
    revision. A server that runs the app's lifespan closes the store at its end; otherwise `aclose()` has to be awaited.
    """
    if loaded is not None and settings:
        raise TypeError(f"loaded replaces all settings; omit it, or {', '.join(settings)}")
    if loaded is None:
        for warning in unknown_variables(os.environ):
            _log.warning(warning)
    parts, served = _open(loaded or load(settings, keywords=True), feed or Feed(), accounts)
    app = _fastapi_app(parts)
    app.add_middleware(Front, served=served)
    return app


def create_standalone(loaded: Loaded, on_commit: OnCommit | None = None) -> StandaloneFront:
    """Return the same for a server of our own: it answers before FastAPI is imported. Raises as `create_app` does."""
    feed = Feed()
    if on_commit is not None:
        feed.call_on_commit(on_commit)
    parts, served = _open(loaded, feed, None)
    make_app = partial(_fastapi_app, parts)
    return StandaloneFront(make_app, parts.store.open_reader, served, parts.feed.close, parts.close)


def _fastapi_app(parts: Parts) -> EmulatorApp:
    """Return the FastAPI app for everything that is not emulated."""
    from ours_emulator.openapi.app import EmulatorApp

    return EmulatorApp(parts)


def _open(loaded: Loaded, feed: Feed, accounts: Accounts | None) -> tuple[Parts, Served]:
    settings = loaded.settings
    limits = Limits(body=settings.max_body_bytes, row=settings.max_row_bytes)
    client_limit = min(limits.body, MAX_BODY_BYTES)
    ingest_contract = IngestContract(limits)
    client_contract = ClientContract(client_limit)
    contracts = _contracts(ingest_contract, client_contract)
    accounts = accounts or Accounts(_account(settings), settings.now)
    seed = _seed(settings.seed, accounts)
    metrics = _metrics(feed) if settings.metrics else None
    retention = Retention(settings.keep, settings.keep_body_bytes, settings.keep_event_bytes)
    store = open_store(settings.database, retention, partial(shared_settings, settings))
    if store.shared is not None:
        _share(store, store.shared, accounts)
    pipeline = _pipeline(store, settings, contracts, accounts, feed, seed)
    if store.shared is not None:
        feed.follow(store.shared.follow)
    redactor = Redactor((*settings.tokens, *settings.public_keys, settings.admin_token or ""), accounts.secrets)
    log = RequestLog(settings.log_format, sys.stdout, redactor)
    preflights = Preflights(log)
    ingest = EndpointParts(pipeline, ingest_contract, accounts, log, preflights, limits.body)
    client = EndpointParts(pipeline, client_contract, accounts, log, preflights, client_limit)
    guard = Guard(settings.allowed_hosts, settings.admin_token)
    parts = Parts(store, pipeline, accounts, feed, loaded, redactor, log, metrics)
    return parts, Served(guard, _endpoints(ingest, client, store), log, limits.body, accounts)


def _share(store: Store, shared: SharedDatabase, accounts: Accounts) -> None:
    """Share *accounts* with the other processes that use *store*."""
    from ours_emulator.debug.account_codec import JsonAccounts

    accounts.share(JsonAccounts(), shared.accounts, store.accounts_after)


def message_readers() -> tuple[Accounts, Mapping[str, Contract]]:
    """Return what reads messages without an emulator: accounts with the default settings, and the contracts."""
    return Accounts(_account(load(environment=False).settings)), _contracts(IngestContract(Limits()), ClientContract())


def _contracts(ingest: IngestContract, client: ClientContract) -> dict[str, Contract]:
    """Return the contract of each endpoint."""
    return {**dict.fromkeys(INGEST_NAMES, ingest), **dict.fromkeys(CLIENT_NAMES, client)}


def _endpoints(ingest: EndpointParts, client: EndpointParts, store: Store) -> dict[str, Answerer]:
    return {
        **dict.fromkeys(INGEST_NAMES, Endpoint(ingest)),
        INGEST_UNKNOWN: UnknownEndpoint(ingest),
        **dict.fromkeys(CLIENT_NAMES, Endpoint(client)),
        "openapi": DocumentEndpoint(ingest),
        "alive": Probe(),
        "ready": Probe(store.ping),
    }


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
        raise StoreError(f"{settings.seed} cannot be stored: {error}") from error


def _account(settings: Settings) -> AccountConfig:
    """Return what every account accepts, until it is told otherwise."""
    names = settings.allowed_events
    return AccountConfig(
        name=DEFAULT_ACCOUNT,
        revision=revision(settings.revision),
        tokens=frozenset(settings.tokens),
        keys=frozenset(settings.public_keys),
        allowed_events=None if names is None else allowed(names),
        require_identifier=settings.require_identifier,
        strict_openapi=settings.strict_openapi,
        experiments=_experiments(settings.experiments),
        tracking_plan=_tracking_plan(settings.tracking_plan),
        max_visitor_bytes=settings.max_visitor_bytes,
    )


def _metrics(feed: Feed) -> Metrics:
    """Return counts of everything that *feed* hears of. Raises SettingsError."""
    try:
        from ours_emulator.metrics import Metrics
    except ImportError:
        raise SettingsError("--metrics needs prometheus-client; run: pip install 'ours-emulator[metrics]'") from None
    metrics = Metrics()
    feed.call_on_commit(metrics.count)
    return metrics


def _experiments(file: Path | None) -> Experiments:
    """Return the experiments in *file*. Raises SettingsError."""
    if file is None:
        return {}
    from ours_emulator.contract.experiments import read_file

    return read_file(file)


def _tracking_plan(file: Path | None) -> TrackingPlan | None:
    """Return the plan in *file*. Raises SettingsError."""
    if file is None:
        return None
    from ours_emulator.contract.tracking_plan import read_file

    return read_file(file)


def _seed(file: Path | None, accounts: Accounts) -> Sequence[Request]:
    """Return the requests that a new store begins with; *accounts* get the settings in *file*. Raises SettingsError."""
    if file is None:
        return ()
    from ours_emulator.debug.seed import read_seed

    return read_seed(file, accounts)
