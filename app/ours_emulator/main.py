"""The parts put together, and nothing else."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from ours_emulator import __version__
from ours_emulator.api import ingest
from ours_emulator.api.debug import DebugApi, DebugApp
from ours_emulator.api.front import Front
from ours_emulator.api.ingest import Emulated, Endpoint
from ours_emulator.api.log import RequestLog
from ours_emulator.clock import Clock
from ours_emulator.contract.ingest import IngestContract, Limits
from ours_emulator.messages import Account
from ours_emulator.pipeline import Pipeline
from ours_emulator.settings import Loaded, Settings, load
from ours_emulator.store.files import StoreFile
from ours_emulator.store.reader import StoreReader
from ours_emulator.store.writer import Retention, StoreWriter


def create_app(loaded: Loaded | None = None) -> Front:
    """Return the emulator as an ASGI app, its store open. Raises StoreError if that can't be.

    Without *loaded*, the settings come from the environment.
    """
    loaded = loaded or load()
    settings = loaded.settings
    file = StoreFile(settings.database)
    writer = StoreWriter(file, Retention(settings.keep, settings.keep_body_bytes))
    reader = StoreReader(file)
    clock = Clock(settings.now)
    limits = Limits(body=settings.max_body_bytes, row=settings.max_row_bytes)
    contract = IngestContract(limits, strict_openapi=settings.strict_openapi)
    template = _account(settings)
    pipeline = Pipeline(writer, contract, template)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        yield
        await reader.close()
        pipeline.close()

    debug = DebugApp(
        title="ours-emulator",
        version=__version__,
        summary="What arrived at the emulator, and what became of it.",
        openapi_url="/debug/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    DebugApi(reader, pipeline, clock, loaded).add_to(debug)
    parts = Emulated(pipeline, contract, clock, RequestLog(settings.log_format, sys.stdout), limits.body)
    return Front(ingest.endpoints(parts), debug, Endpoint("unknown", parts))


def _account(settings: Settings) -> Account:
    """Return what every account accepts, until it is told otherwise."""
    names = settings.allowed_events
    return Account(
        name="default",
        tokens=frozenset(settings.tokens),
        allowed_events=None if names is None else frozenset(name.strip().casefold() for name in names),
        require_identifier=settings.require_identifier,
    )
