"""The parts put together, and nothing else."""

import asyncio
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

    Without *loaded*, the settings come from the environment. A server that runs the app's lifespan closes it at the
    end; whoever runs none awaits `aclose()`.
    """
    loaded = loaded or load()
    settings = loaded.settings
    limits = Limits(body=settings.max_body_bytes, row=settings.max_row_bytes)
    contract = IngestContract(limits, strict_openapi=settings.strict_openapi)
    clock = Clock(settings.now)
    file = StoreFile(settings.database)
    pipeline = Pipeline(
        StoreWriter(file, Retention(settings.keep, settings.keep_body_bytes)), contract, _account(settings)
    )
    reader = StoreReader(file)

    async def close() -> None:
        try:
            await reader.close()
        finally:
            # It may have to wait for what is still being written.
            await asyncio.to_thread(pipeline.close)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        yield
        await close()

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
    return Front(ingest.endpoints(parts), debug, Endpoint("unknown", parts), close)


def _account(settings: Settings) -> Account:
    """Return what every account accepts, until it is told otherwise."""
    names = settings.allowed_events
    return Account(
        name="default",
        tokens=frozenset(settings.tokens),
        allowed_events=None if names is None else frozenset(name.strip().casefold() for name in names),
        require_identifier=settings.require_identifier,
    )
